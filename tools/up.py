"""`make up` and `make down`: Airflow in the background, on the user's settings or on what the last demonstration left.

`folder/up.json` holds pid, URL and whether it is up, from the first moment on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from plumewatch.errors import ConfigurationError

from tools.checkout import CHECKOUT, DEMO, LOCAL_AIRFLOW
from tools.checks.settings import say_unknown_names
from tools.java import JavaNotFound, find_java
from tools.local_airflow import USER, secrets_of
from tools.places import REPARSE_S, Place, demo_place, remembered_demo, user_place
from tools.ports import choose_ports, is_free
from tools.processes import GRACE_S, end_marked, signal_quietly
from tools.s3_server import S3ServerMissing
from tools.supervisor import AlreadyRunning, ServiceFailed, Supervisor, is_supervised

PORT = 8080
STATE = "up.json"
"""In the place's folder while the server runs: pid, URL, and whether it is ready."""
LOG = "up.log"
POLL_S = 0.3


class CannotStart(Exception):
    """Why Airflow can't be started here."""


def start(port: int | None, demo: bool) -> None:
    """Start Airflow in the background and print where it is; say so if it is running already."""
    folder = DEMO if demo else LOCAL_AIRFLOW
    if is_supervised(folder):
        print("Running already.")
        print_address(folder)
        return
    if demo and remembered_demo() is None:
        raise CannotStart("There is no demonstration to show yet: run `make demo` first.")
    port = port or PORT
    if not is_free(port):
        free = choose_ports(port + 1)[0]
        raise CannotStart(f"Port {port} is taken; choose another: make up{' DEMO=1' if demo else ''} PORT={free}")
    if not demo:  # which has settings of its own
        say_unknown_names()
    prepare_spark()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STATE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tools.up", "serve", "--port", str(port), *(["--demo"] if demo else [])]
    with (folder / LOG).open("wb") as log:
        server = subprocess.Popen(
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _follow(server, folder)
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        raise
    print_address(folder)


def prepare_spark() -> None:
    """Fetch Java, the jars and the archive of classes, where they aren't there yet, so that no task has to."""
    environment = {**os.environ, "JAVA_HOME": str(find_java())}
    run = subprocess.run([sys.executable, "-m", "plumewatch.spark_runtime"], cwd=CHECKOUT, env=environment, check=False)
    if run.returncode:
        raise CannotStart("Spark could not be prepared; the reason is above.")


def _follow(server: subprocess.Popen[bytes], folder: Path) -> None:
    """Print what the server says until it is up. Raises CannotStart if it ends instead."""
    with (folder / LOG).open(encoding="utf-8", errors="replace") as log:
        while True:
            print(log.read(), end="", flush=True)
            if (read_state(folder) or {}).get("is_ready"):
                return
            if server.poll() is not None:
                print(log.read(), end="", flush=True)
                raise CannotStart(f"Airflow didn't start; its logs are in {folder / 'logs'}")
            time.sleep(POLL_S)


def print_address(folder: Path) -> None:
    """Print URL, user and password, or who else is at work."""
    state = read_state(folder)
    if state is None:
        print("A demonstration is at work: wait for its end.")
        return
    print(f"\n  {state['url']}{'' if state['is_ready'] else '  (still starting)'}")
    print(f"  user      {USER}\n  password  {secrets_of(folder / 'airflow')['password']}\n")
    print(next_steps(folder))


def next_steps(folder: Path) -> str:
    """Return what to do in the UI now, where to look if something goes wrong, and how to end it."""
    if folder == DEMO:
        what = (
            "These are the runs of the last demonstration; red ones have a bad file that was planted.\n"
            "Its DAGs are paused: a run that you trigger begins when its DAG is unpaused, as the form offers."
        )
    else:
        what = (
            "All DAGs but waiting_detections start paused, and a paused DAG runs nothing.\n"
            "What to unpause and trigger first: README, The first real run. What works with your settings: make check."
        )
    return f"{what}\nLogs: {folder / 'logs'} (servers), {folder / 'airflow' / 'logs'} (tasks). Stop it with: make down"


def read_state(folder: Path) -> dict[str, Any] | None:
    """Return pid, url and is_ready of the Airflow that `make up` started there; None where it didn't."""
    try:
        return dict(json.loads((folder / STATE).read_text()))
    except FileNotFoundError:
        return None


def _write_state(folder: Path, url: str, is_ready: bool) -> None:
    aside = folder / f"{STATE}.new"
    aside.write_text(json.dumps({"pid": os.getpid(), "url": url, "is_ready": is_ready}))
    aside.replace(folder / STATE)


def serve(port: int, demo: bool) -> None:
    """Run Airflow until a signal ends it."""
    java_home = find_java()
    place = (
        demo_place(java_home, *(remembered_demo() or ("file",)), reparse_s=REPARSE_S) if demo else user_place(java_home)
    )
    try:
        with Supervisor(place.folder) as supervisor:
            try:
                _serve(place, port, supervisor)
            finally:
                (place.folder / STATE).unlink(missing_ok=True)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)


def _serve(place: Place, port: int, supervisor: Supervisor) -> None:
    started = time.monotonic()
    airflow = place.airflow(port)
    _write_state(place.folder, airflow.url, is_ready=False)
    print("Airflow: preparing the database ...", flush=True)
    place.start(airflow, supervisor.run(airflow.migration()), supervisor, supervisor.say)
    print(f"Up after {time.monotonic() - started:.0f} s.", flush=True)
    _write_state(place.folder, airflow.url, is_ready=True)
    while True:
        supervisor.check()
        time.sleep(POLL_S)


def stop() -> None:
    """Stop what `make up` started, wherever it has got to."""
    stopped = [folder for folder in (LOCAL_AIRFLOW, DEMO) if _stop(folder)]
    print("Stopped." if stopped else "Nothing is running.")


def _stop(folder: Path) -> bool:
    state = read_state(folder)
    if not is_supervised(folder):
        (folder / STATE).unlink(missing_ok=True)  # left behind by a kill or a power cut
        return bool(end_marked(str(folder), grace_s=0.0))
    if state is None:
        print("A demonstration is at work: end it with Ctrl-C where it runs.")
        return False
    print("Stopping ...", flush=True)
    signal_quietly(psutil.Process(state["pid"]), psutil.Process.terminate)
    deadline = time.monotonic() + 2 * GRACE_S
    while is_supervised(folder):
        if time.monotonic() > deadline:
            signal_quietly(psutil.Process(state["pid"]), psutil.Process.kill)  # its guard ends the rest
        time.sleep(POLL_S)
    return True


def main() -> None:
    """`start [--port N] [--demo]`, `stop`; `serve` is what `start` leaves running."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("start", "serve"):
        command = commands.add_parser(name)
        command.add_argument("--port", type=int)
        command.add_argument("--demo", action="store_true")
    commands.add_parser("stop")
    arguments = parser.parse_args()
    try:
        if arguments.command == "start":
            start(arguments.port, arguments.demo)
        elif arguments.command == "serve":
            serve(arguments.port or PORT, arguments.demo)
        else:
            stop()
    except (CannotStart, ConfigurationError, JavaNotFound, S3ServerMissing, ServiceFailed, AlreadyRunning) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted.")


if __name__ == "__main__":
    main()
