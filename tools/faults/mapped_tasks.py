"""Every try of a mapped task is killed, and an executor's worker: the scene is named, or fetched again.

1. Every try of one mapped task is killed (kill -9), and then the first try of the task that reports it: the scene is in
   failed_scenes, with its alert, the run is red, and the other scenes went through. Airflow calls no callback for a
   task that is killed on its last try.
2. The executor's worker of one mapped task is killed: the scene is fetched again, and the run is green.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.tables import PIXELS

from tools.airflow_client import AirflowClient, TaskRun
from tools.demo import INGEST, Clock, DemoFailed

MAPPED, REPORT = "fetch_scene", "report_failures"
TIMEOUT_S = 600.0
POLL_S = 0.1


def kill_mapped_tasks(client: AirflowClient, truth: Mapping[str, Any], root: str, clock: Clock) -> list[str]:
    """Do both on the first two days of the world; return what is wrong."""
    client.pause(INGEST, False)
    areas = [area["name"] for area in truth["areas"]]
    return [
        *_kill_every_try(client, truth["dates"][0], areas, root, clock),
        *_kill_the_worker(client, truth["dates"][1], areas, root, clock),
    ]


def _kill_every_try(client: AirflowClient, day: str, areas: list[str], root: str, clock: Clock) -> Iterator[str]:
    run_id = client.trigger(INGEST, day, {"areas": areas})
    killed: set[int] = set()
    victim: int | None = None
    for task, process in _running_until_end(client, run_id, MAPPED, REPORT):
        if task.task_id == MAPPED:
            victim = task.map_index if victim is None else victim
        is_meant = task.map_index == victim if task.task_id == MAPPED else task.try_number == 1
        if is_meant and process.pid not in killed:
            killed.add(process.pid)
            process.kill()
            clock.say(f"killed {task.task_id} {task.map_index} of {day}, try {task.try_number}")
    state, tasks = _end_of(client, run_id)
    mapped = {t.map_index: t.state for t in tasks if t.task_id == MAPPED}
    clock.say(f"run {state}; {MAPPED}: {mapped}")
    if state != "failed":
        yield f"a scene whose every try was killed leaves the run {state}"
    rows = FailureBook(root, INGEST, run_id).open_rows_of_run(day)
    for row in rows:
        clock.say(f"failed_scenes: {row['area']} {row['scene_id']} {row['error_class']}: {row['message']}")
    if len(rows) != 1:
        yield f"{len(rows)} rows of failed_scenes for one killed scene"
    [report] = [t for t in tasks if t.task_id == REPORT]
    clock.say(f"{REPORT}: {report.state} in try {report.try_number}")
    if report.try_number == 1:
        yield "the report could not be killed in time"
    if not any(r["scene_id"] in client.log(report) for r in rows):
        yield "the alert doesn't name the killed scene"
    others = [s for index, s in mapped.items() if index != victim]
    if not others or set(others) != {"success"}:
        yield f"the other scenes are {others}"
    if not storage.list_partitions(PIXELS, storage.join(root, PIXELS.name), {"date": day}):
        yield "the good scenes have no pixels"


def _kill_the_worker(client: AirflowClient, day: str, areas: list[str], root: str, clock: Clock) -> Iterator[str]:
    run_id = client.trigger(INGEST, day, {"areas": areas})
    is_killed = False
    for task, process in _running_until_end(client, run_id, MAPPED):
        if not is_killed:
            worker = process.parent()
            assert worker is not None
            worker.kill()
            is_killed = True
            clock.say(f"killed the executor's worker of {MAPPED} {task.map_index} of {day}")
    state, tasks = _end_of(client, run_id)
    tries = {t.map_index: (t.state, t.try_number) for t in tasks if t.task_id == MAPPED}
    clock.say(f"run {state}; {MAPPED} (state, try): {tries}")
    open_rows = FailureBook(root, INGEST, run_id).open_rows(day)
    if state != "success" and not open_rows:
        yield f"the worker's death leaves the run {state} and no row of failed_scenes"
    if not is_killed:
        yield "no worker could be killed in time"
    if state == "success" and set(areas) - _areas_with_pixels(root, day):
        yield f"no pixels of {sorted(set(areas) - _areas_with_pixels(root, day))}"


def _areas_with_pixels(root: str, day: str) -> set[str]:
    return {p.keys["area"] for p in storage.list_partitions(PIXELS, storage.join(root, PIXELS.name), {"date": day})}


def _running_until_end(client: AirflowClient, run_id: str, *task_ids: str) -> Iterator[tuple[TaskRun, psutil.Process]]:
    """Yield the running instances of tasks and their processes, again and again, until the run has ended."""
    deadline = time.monotonic() + TIMEOUT_S
    while not next(run for run in client.runs(INGEST) if run.run_id == run_id).is_finished:
        for task in client.task_runs(INGEST, run_id):
            if task.task_id in task_ids and task.state == "running" and task.pid and psutil.pid_exists(task.pid):
                yield task, psutil.Process(task.pid)
        if time.monotonic() > deadline:
            raise DemoFailed(f"{run_id} has not ended after {TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)


def _end_of(client: AirflowClient, run_id: str) -> tuple[str, list[TaskRun]]:
    state = next(run.state for run in client.runs(INGEST) if run.run_id == run_id)
    return state, client.task_runs(INGEST, run_id)
