"""`make faults [SEED=1] [FULL=1]`: 12 faults, with FULL=1 60, in rounds of the whole demonstration on S3.

Exit code 0 only if each round's tables are equal to those of an undisturbed run, or what differs is named and healed by
a second run; no reader saw anything half-written; no secret stands in what is left; nothing is left running.
"""

from __future__ import annotations

import argparse
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tools.checkout import DEMO
from tools.demo import Clock, boot, end_with, prepare_place, wipe
from tools.faults.left_secrets import find_secrets, secrets_in
from tools.faults.mapped_tasks import kill_mapped_tasks
from tools.faults.rounds import Result, Rounds
from tools.faults.strikes import Field, Strike, strikes
from tools.places import Place
from tools.ports import choose_ports
from tools.processes import marked_processes
from tools.s3_server import find_versitygw
from tools.supervisor import Service, Supervisor
from tools.up import prepare_spark

FEW, FULL, A_ROUND = 12, 60, 4
DISK = "1g"  # some ten times what the demonstration stores
PROXY_PORT = 7071
READERS, WIPES = "readers.txt", "wipes.txt"


def run_faults(seed: int, n: int) -> int:
    """Strike `n` times and return the exit code."""
    clock = Clock()
    find_versitygw()
    prepare_spark()
    results: list[Result] = []
    with Supervisor(DEMO, say=clock.say) as supervisor:
        wipe(DEMO)
        with _small_disk(DEMO / "s3") as disk:
            place, first = prepare_place("s3")
            place, direct = _spoiled(replace(place, environment={**place.environment, **_planted_secrets()}))
            root = place.environment["PLUMEWATCH_STORAGE_ROOT"]
            airflow = place.airflow(first.port)
            truth = boot(place, airflow, supervisor, seed, clock)
            reading = [sys.executable, "-m", "tools.faults.reading", root, str(DEMO / READERS), str(DEMO / WIPES)]
            supervisor.start(Service("readers", reading, direct))
            clock.say("The undisturbed run ...")
            rounds = Rounds(airflow.client, truth, root, supervisor.check, clock, DEMO / WIPES)
            undisturbed = rounds.undisturbed()
            field = Field(airflow.client, truth["dates"], DEMO / "trouble.json", disk, random.Random(seed))
            for number, chosen in enumerate(draw(strikes(disk is not None), n, seed), 1):
                clock.say(f"Round {number}: {', '.join(strike.name for strike in chosen)}")
                results.append(rounds.struck(undisturbed, field, chosen))
                clock.say(f"Round {number}: {results[-1].ended}")
            clock.say("Each try of one scene is killed, and the worker of another ...")
            problems = kill_mapped_tasks(airflow.client, truth, root, clock)
            planted = secrets_in(airflow.environment)
            problems += [f"a secret stands in {line}" for line in find_secrets(DEMO, planted)]
    problems += [f"left running: {process}" for process in marked_processes(str(DEMO))]
    *seen, read = (DEMO / READERS).read_text().splitlines()
    problems += [f"a reader saw {line}" for line in seen]
    _report(results, clock)
    print(f"Readers: {read}")
    print(f"Looked for in all that was left: {', '.join(sorted(planted))}, and signed URLs")
    problems += [f"{', '.join(r.strikes)}: {r.ended}" for r in results if r.ended.isupper()]
    print("\nFAILED:\n" + "\n".join(f"  - {problem}" for problem in problems) if problems else "\nNothing was lost.")
    return int(bool(problems))


def draw(kinds: Sequence[Strike], n: int, seed: int) -> Iterator[list[Strike]]:
    """Yield the strikes of each round: no kind again before all have had their turn.

    Their first order is the same for all seeds, and each seed begins where the one before it ends: of 20 kinds seeds 1
    and 2 have all in 12 faults each, and 60 faults have each three times.
    """
    first = random.Random(0).sample(kinds, len(kinds))
    begin = (seed - 1) * n % len(kinds)
    drawn, chance = first[begin:] + first[:begin], random.Random(seed)
    while len(drawn) < n:
        drawn += chance.sample(kinds, len(kinds))
    for at in range(0, n, A_ROUND):
        yield drawn[at : min(at + A_ROUND, n)]


def _planted_secrets() -> dict[str, str]:
    """Settings and connections that hold a secret, those of a demonstration aside; the hook is one that refuses."""
    names = ("EARTHDATA_TOKEN", "PC_SDK_SUBSCRIPTION_KEY", "CDSE_S3_SECRET_KEY", "HOOK_SECRET")
    values = {name: secrets.token_urlsafe(24) for name in names}
    hook = f"http://127.0.0.1:9/{values['HOOK_SECRET']}"
    connection = f"earthdata://user:{values['EARTHDATA_TOKEN']}@"
    return {
        **values,
        "PLUMEWATCH_ALERTS": "log,webhook",
        "PLUMEWATCH_ALERT_TO": hook,
        "AIRFLOW_CONN_EARTHDATA": connection,
    }


def _spoiled(place: Place) -> tuple[Place, dict[str, str]]:
    """Put the proxy between the S3 server and its clients; return the environment of who goes past it, too."""
    direct = dict(place.environment)
    [port] = choose_ports(PROXY_PORT)
    url = f"http://127.0.0.1:{port}"
    server_port = direct["AWS_ENDPOINT_URL"].rpartition(":")[2]
    command = [sys.executable, "-m", "tools.faults.spoiled_s3", str(port), server_port, str(DEMO / "trouble.json")]
    services = (Service("s3-proxy", command, direct), *(
        replace(service, environment={**service.environment, "AWS_ENDPOINT_URL": url})
        if "AWS_ENDPOINT_URL" in service.environment else service
        for service in place.services
    ))  # fmt: skip
    return replace(place, environment={**direct, "AWS_ENDPOINT_URL": url}, services=services), direct


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk of its own for the S3 server, so that it can be filled; None where none may be mounted.

    Its server may still be at work when it goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        print(f"No disk is filled, as none may be mounted here: {mounted.stderr.strip()}")
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _report(results: list[Result], clock: Clock) -> None:
    print(f"\n{sum(len(result.strikes) for result in results)} faults in {clock.total_s / 60:.0f} minutes")
    for number, result in enumerate(results):
        print(f"  {number + 1:2} {result.ended:8} {result.seconds:4.0f} s  {'; '.join(result.strikes)}")
        for line in result.details:
            print(f"       {line}")


def main() -> None:
    """`--seed N --full`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    end_with(lambda: run_faults(arguments.seed, FULL if arguments.full else FEW))


if __name__ == "__main__":
    main()
