"""What Airflow costs in the last `make demo`: against the same DAGs with empty tasks, and the transforms alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from empty_tasks import write_empty_dags
from figures import Figure
from task_times import TaskTime, runs_of, task_times

from tools.checkout import CHECKOUT, DEMO
from tools.demo import DAG_IDS, Clock, process
from tools.java import find_java
from tools.local_airflow import LocalAirflow, wait_for_dags, wait_until_healthy
from tools.places import NEVER_S, Place, demo_place
from tools.ports import choose_ports, wait_for_answer
from tools.supervisor import Supervisor
from tools.up import PORT, CannotStart

FOLDER = Path(__file__).resolve().parent
MAX_RATIO = "<= 1.3"


def overhead() -> Iterator[Figure]:
    """The wall time of the demonstration's runs, against the least it could be, and the sums over its tasks."""
    if not (DEMO / "airflow" / "airflow.db").exists() or not (DEMO / "world" / "truth.json").exists():
        raise CannotStart("There is no demonstration to measure yet: run `make demo` first.")
    times = task_times(DEMO / "airflow")
    yield from _sums(times, "")
    with TemporaryDirectory(prefix="plumewatch-bench-") as folder:
        empty = _run_empty(Path(folder, "empty"))
        yield from _sums(empty, ", empty")
        own_s = _own_seconds(Path(folder, "alone"))
    wall_s, empty_s = _wall_s(times), _wall_s(empty)
    least_s = empty_s + own_s
    note = f"{len(times)} tasks; empty: {len(empty)} in {empty_s:.1f} s; transforms alone, in turn: {own_s:.1f} s"
    yield Figure(
        "runs of the demonstration", wall_s, "s", least_s, "the same DAGs with empty tasks, and the transforms alone",
        wall_s / least_s, MAX_RATIO, note,
    )  # fmt: skip


def _sums(times: list[TaskTime], which: str) -> Iterator[Figure]:
    """Of all tasks: what they waited, what they took to start, what they did."""
    all_s = sum((t.ended - t.began).total_seconds() + t.waited_s for t in times)
    parts = {
        "waiting for the scheduler and a slot": sum(t.waited_s for t in times),
        "starts of tasks": sum(t.start_s + t.end_s for t in times),
        "tasks' own code, Spark jobs apart": sum(t.body_s - t.job_s for t in times if not t.job_s),
        "starts of Spark jobs": sum(t.body_s - t.job_s for t in times if t.job_s),
        "Spark jobs": sum(t.job_s for t in times),
    }
    for name, seconds in parts.items():
        note = f"{len(times)} tasks in {_wall_s(times):.1f} s"
        yield Figure(f"{name}{which}", seconds, "s", all_s, "all tasks, summed", seconds / all_s, note=note)


def _wall_s(times: list[TaskTime]) -> float:
    return (max(t.ended for t in times) - min(t.began for t in times)).total_seconds()


def _run_empty(folder: Path) -> list[TaskTime]:
    """Run the DAGs with empty tasks over the dates of the demonstration, and return their times."""
    dags = folder / "dags"
    write_empty_dags(CHECKOUT / "dags", DAG_IDS, DEMO / "airflow" / "airflow.db", dags)
    truth = json.loads((DEMO / "world" / "truth.json").read_text())
    environment = _of_folder(demo_place(find_java(), "file"), folder).environment
    airflow = LocalAirflow(folder / "airflow", choose_ports(PORT)[0], environment, reparse_s=NEVER_S, dags=dags)
    with Supervisor(folder, say=_quiet) as supervisor:
        supervisor.wait("migrate", supervisor.run(airflow.migration()))
        supervisor.start(*airflow.services())
        wait_until_healthy(airflow.client, supervisor.check, _quiet)
        wait_for_dags(airflow.client, supervisor.check, set(DAG_IDS))
        process(airflow.client, supervisor.check, truth, _QuietClock())
    return task_times(folder / "airflow")


def _own_seconds(folder: Path) -> float:
    """Run every task of the demonstration in one process that has all loaded, and return the seconds of their code."""
    place = _of_folder(demo_place(find_java(), "file"), folder)
    with Supervisor(folder, say=_quiet) as supervisor:
        supervisor.start(*place.services)
        for name, url in place.answers.items():
            wait_for_answer(url, name, supervisor)
        command = [sys.executable, str(FOLDER / "transforms_alone.py"), json.dumps(runs_of(DEMO / "airflow"))]
        environment = {**place.environment, "AIRFLOW_HOME": str(folder / "airflow")}
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(sum(of_task["seconds"] for of_task in json.loads(done.stdout.splitlines()[-1]).values()))


def _of_folder(place: Place, folder: Path) -> Place:
    """Return the place with a storage of its own, and with the modules beside this one."""
    own = {"PLUMEWATCH_STORAGE_ROOT": f"file://{folder / 'storage'}", "PYTHONPATH": _python_path(place.environment)}
    return replace(place, environment={**place.environment, **own})


def _python_path(environment: Mapping[str, str]) -> str:
    return os.pathsep.join(filter(None, [str(FOLDER), str(CHECKOUT), environment.get("PYTHONPATH", "")]))


class _QuietClock(Clock):
    def say(self, text: str) -> None:
        _quiet(text)


def _quiet(text: str) -> None:
    """Tell nobody: standard output is for figures."""
