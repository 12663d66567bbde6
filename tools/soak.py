"""`make soak [DAYS=60] [SEED=1]`: Airflow goes through so many days by backfill, and nothing may grow or be left.

One area is seen on each day of a simulated world, and a month of soundings with it, as in the demonstration. Three
times, once all runs so far have ended, is measured what each server holds in memory (with all its processes), how many
files it has open, what lies in temporary folders, and what the storage has that nothing lists: files of writers, locks,
hand-offs.
Exit code 1 where one grows by more than its limit a day from the first measurement to the last, or anything is left.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psutil
from plumewatch import storage
from plumewatch.at_hand.cleaning import find_left
from plumewatch.simulation.sentinel2_plan import MOST_DAYS
from plumewatch.tables import TABLES

from tools.checkout import DEMO
from tools.demo import (
    DAG_IDS,
    EXTRACTION,
    INGEST,
    INVENTORIES,
    MAX_ACTIVE_RUNS,
    Clock,
    boot,
    end_with,
    prepare_place,
    wait_for_runs,
    wipe,
)
from tools.places import Place
from tools.processes import marked_processes
from tools.supervisor import Service, Supervisor
from tools.up import prepare_spark

DAYS = 60
SERVERS = ("scheduler", "dag-processor", "api-server", "triggerer", "spark")
THIRDS = (1 / 6, 1 / 2, 1.0)
"""When it is measured: of 60 days after 10, 30 and 60."""
MB = 1e6
MOST_MB_A_DAY = 1.0
"""Of a server's memory (PSS of all its processes), of Spark's what its Java holds: some 350 MB a year of daily runs."""
MOST_OPEN_A_DAY = 0.2
"""Files and connections that a server has open: 12 more after 60 days, of 1,024 that a process may have."""
JAVA = "spark"
HEAP = re.compile(r"used (\d+)K")


@dataclass(frozen=True)
class Sample:
    """What there is once all runs of the first days have ended."""

    day: int
    """How many days there were."""
    memory_mb: Mapping[str, float]
    """By server."""
    heap_mb: float | None
    """What Spark's Java holds, after a collection; None without `jcmd`, which a JDK has and a JRE hasn't."""
    n_open: Mapping[str, int]
    """By server."""
    n_temporary: int
    """Files in temporary folders."""
    left: Mapping[str, int]
    """What nothing lists any more, by kind."""
    n_files: int
    """In the storage."""
    database_mb: float
    """Airflow's, which `airflow db clean` shortens."""


def run_soak(days: int, seed: int) -> int:
    """Go through the days and return the exit code."""
    clock = Clock()
    prepare_spark()
    with Supervisor(DEMO, say=clock.say) as supervisor:
        wipe(DEMO)
        temporary = DEMO / "tmp"
        temporary.mkdir()
        place, first = prepare_place("file")
        place = _with_temporary_folder(place, temporary)
        root = place.environment["PLUMEWATCH_STORAGE_ROOT"]
        airflow = place.airflow(first.port)
        client = airflow.client
        truth = boot(place, airflow, supervisor, seed, clock, ("--days", str(days)))
        for dag_id in DAG_IDS:
            client.pause(dag_id, False)
        client.trigger(INVENTORIES)
        wait_for_runs(client, supervisor.check, clock, truth["red_keys"], [], ())
        month = f"{truth['months'][0]}-01"
        backfills = [client.backfill(EXTRACTION, month, month, max_active_runs=1, reprocess="none")]
        samples, done = [], 0
        for upto in sorted({max(1, round(days * part)) for part in THIRDS}):
            some = truth["dates"][done:upto]
            clock.say(f"Days {done + 1} to {upto}: {some[0]} to {some[-1]}")
            backfills.append(
                client.backfill(INGEST, some[0], some[-1], max_active_runs=MAX_ACTIVE_RUNS, reprocess="none")
            )
            wait_for_runs(client, supervisor.check, clock, truth["red_keys"], backfills, ())
            done = upto
            samples.append(measure(upto, root, temporary))
            clock.say(f"Measured after {upto} days")
        runs = Counter((run.dag_id, run.state) for run in client.runs())
    left_running = [str(process) for process in marked_processes(str(DEMO))]
    print("\n".join(table(samples)))
    print(
        f"\n{clock.total_s / 60:.0f} minutes; runs: {', '.join(f'{n} {d} {s}' for (d, s), n in sorted(runs.items()))}"
    )
    problems = [*judge(samples), *(f"left running: {process}" for process in left_running)]
    red = {dag for (dag, state), n in runs.items() if state != "success" and dag not in truth["red_keys"]}
    problems += [f"red runs of {dag}" for dag in sorted(red)]
    print("\nFAILED:\n" + "\n".join(f"  - {problem}" for problem in problems) if problems else "\nNothing grew.")
    return int(bool(problems))


def _with_temporary_folder(place: Place, folder: Path) -> Place:
    """Have all that is started put what is temporary into a folder of its own."""
    own = {
        "TMPDIR": str(folder),
        "SPARK_LOCAL_DIRS": str(folder),
        "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={folder}",
    }
    services = (replace(service, environment={**service.environment, **own}) for service in place.services)
    return replace(place, environment={**place.environment, **own}, services=tuple[Service, ...](services))


def measure(day: int, root: str, temporary: Path) -> Sample:
    """Measure the servers of the demonstration's folder and what lies in the storage."""
    processes = {name: marked_processes(str(DEMO), name) for name in SERVERS}
    files = storage.list_files(root)
    return Sample(
        day=day,
        memory_mb={name: sum(map(_memory_mb, of_server)) for name, of_server in processes.items()},
        heap_mb=_heap_mb(processes[JAVA]),
        n_open={name: sum(map(_n_open, of_server)) for name, of_server in processes.items()},
        n_temporary=sum(path.is_file() for path in temporary.rglob("*")),
        left=left_in(root),
        n_files=len(files),
        database_mb=sum(path.stat().st_size for path in (DEMO / "airflow").glob("airflow.db*")) / MB,
    )


def _memory_mb(process: psutil.Process) -> float:
    """What is its own, and its part of what it shares."""
    with suppress(psutil.Error):  # it has ended meanwhile
        return float(process.memory_full_info().pss) / MB
    return 0.0


def _n_open(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.num_fds())
    return 0


def _heap_mb(processes: Sequence[psutil.Process]) -> float | None:
    java = next((process for process in processes if process.name() == "java"), None)
    jcmd = Path(java.exe()).with_name("jcmd") if java else None
    if java is None or jcmd is None or not jcmd.exists():
        return None
    answers = [
        subprocess.run([jcmd, str(java.pid), what], capture_output=True, text=True, check=True).stdout
        for what in ("GC.run", "GC.heap_info")
    ]
    generations = (HEAP.search(line) for line in answers[-1].splitlines() if "total" in line)
    return sum(int(match[1]) for match in generations if match) * 1024 / MB


def left_in(root: str) -> dict[str, int]:
    """Return how many files of a storage root nothing lists any more, by kind."""
    left = find_left(root, timedelta(0))  # nobody is at work
    names = [path.rsplit("/", 1)[-1] for path in left]
    unlisted = [path for path in _unlisted(root) if path not in left]
    return {
        "locks": names.count(storage.LOCK),
        "files of writers": len(names) - names.count(storage.LOCK) + len(unlisted),
        "hand-offs": len(storage.list_files(storage.join(root, ".hand_offs"))),
    }


def _unlisted(root: str) -> list[str]:
    """The Parquet files of tables, of whatever age, that the manifest beside them doesn't list."""
    unlisted = []
    for table in TABLES.values():
        for partition in storage.list_partitions(table, storage.join(root, table.name)):
            listed = {*(storage.read_manifest(partition.path) or {"files": ()})["files"], storage.MANIFEST}
            of_folder = (f for f in storage.list_files(partition.path) if storage.parent(f) == partition.path)
            names = ((file, file.rsplit("/", 1)[-1]) for file in of_folder)
            unlisted += [file for file, name in names if storage.is_parquet(name) and name not in listed]
    return unlisted


@dataclass(frozen=True)
class Line:
    """One figure at all measurements."""

    name: str
    """What it is."""
    values: Sequence[float | None]
    """One a measurement; None where it couldn't be taken."""
    growth: float | None
    """A day, from the first measurement to the last."""
    limit: float | None
    """Of the growth; None where it isn't judged."""

    @property
    def is_over(self) -> bool:
        """Whether it grows by more than it may."""
        return self.growth is not None and self.limit is not None and self.growth > self.limit


def lines_of(samples: Sequence[Sample]) -> list[Line]:
    """Return the figures of the measurements."""

    def line(name: str, values: Sequence[float | None], limit: float | None) -> Line:
        return Line(name, values, _a_day(samples, values), limit)

    return [
        *(line(f"memory of {name}, MB", [s.memory_mb[name] for s in samples], _most_mb(name)) for name in SERVERS),
        line("Java's heap after a collection, MB", [s.heap_mb for s in samples], MOST_MB_A_DAY),
        *(line(f"open files of {name}", [s.n_open[name] for s in samples], MOST_OPEN_A_DAY) for name in SERVERS),
        line("temporary files", [s.n_temporary for s in samples], 0.0),
        *(line(f"left in the storage: {kind}", [s.left[kind] for s in samples], 0.0) for kind in samples[0].left),
        line("files in the storage", [s.n_files for s in samples], None),
        line("Airflow's database, MB", [s.database_mb for s in samples], None),
    ]


def _most_mb(name: str) -> float | None:
    """Java takes what its heap may have before it collects: what it holds after that is judged."""
    return None if name == JAVA else MOST_MB_A_DAY


def table(samples: Sequence[Sample]) -> list[str]:
    """Return the measurements as a table in Markdown."""
    head = ["", *(f"day {sample.day}" for sample in samples), "a day", "limit"]
    rows = [head, ["---"] * len(head)]
    for line in lines_of(samples):
        values = ["not measured" if value is None else f"{value:,.0f}" for value in line.values]
        growth = "" if line.growth is None else f"{line.growth:+.2f}"
        rows.append([line.name, *values, growth, "" if line.limit is None else f"{line.limit:g}"])
    return [f"| {' | '.join(row)} |" for row in rows]


def judge(samples: Sequence[Sample]) -> list[str]:
    """Return what grows by more than its limit, what couldn't be measured, and what is left."""
    grown = [f"{one.name}: {one.growth:+.2f} a day; allowed: {one.limit:g}" for one in lines_of(samples) if one.is_over]
    unmeasured = [one.name for one in lines_of(samples) if None in one.values]
    grown += [f"{name}: not measured, as there is no jcmd beside java" for name in unmeasured]
    return grown + [f"left in the storage: {n} {kind}" for kind, n in samples[-1].left.items() if n]


def _a_day(samples: Sequence[Sample], values: Sequence[float | None]) -> float | None:
    first, last = values[0], values[-1]
    n_days = samples[-1].day - samples[0].day
    return None if first is None or last is None or not n_days else (last - first) / n_days


def main() -> None:
    """`--days N --seed N`."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=DAYS, choices=range(3, MOST_DAYS + 1), metavar=f"3..{MOST_DAYS}")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    end_with(lambda: run_soak(arguments.days, arguments.seed))


if __name__ == "__main__":
    main()
