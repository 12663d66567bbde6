"""Where the time of task instances went, from Airflow's database and the tasks' logs in the folder of an Airflow."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

BODY_BEGINS, BODY_ENDS = "::endgroup::", ("::group::Post Execute", "Done. Returned value")
JOB_SECONDS = re.compile(r"'seconds': ([\d.]+)")


@dataclass(frozen=True)
class TaskTime:
    """One task instance that had a process; all in s."""

    task: str
    """dag_id.task_id."""
    began: datetime
    """When its process began."""
    ended: datetime
    """When it had ended."""
    waited_s: float
    """From the moment it could run to its start: the scheduler's loop, then a free slot."""
    start_s: float
    """From the start of its process to that of its own code: Airflow and the DAG file."""
    body_s: float
    """Its own code, with what that imports and the start of its Spark job."""
    end_s: float
    """From there to the end."""
    job_s: float
    """Of the body what its Spark jobs say that they took, without their own start."""


def task_times(home: Path) -> list[TaskTime]:
    """Return the times of all task instances that had a process, by the Airflow in `home`."""
    with closing(sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT dag_id, run_id, task_id, map_index, try_number, scheduled_dttm, start_date, end_date "
            "FROM task_instance WHERE pid IS NOT NULL AND end_date IS NOT NULL"
        ).fetchall()
    return [_task_time(home, *row) for row in rows]


def runs_of(home: Path) -> list[tuple[str, str | None]]:
    """Return the runs of the Airflow in `home` in their order: DAG and partition key."""
    with closing(sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT dag_id, partition_key FROM dag_run ORDER BY start_date").fetchall()


def _task_time(
    home: Path, dag_id: str, run_id: str, task_id: str, index: int, attempt: int, ready: str, start: str, end: str
) -> TaskTime:
    of_task = home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
    log = of_task / (f"map_index={index}" if index >= 0 else "") / f"attempt={attempt}.log"
    lines = list(_lines(log))
    began, ended = _time(start), _time(end)
    body = next((at for at, event in lines if event == BODY_BEGINS), began)
    after = next((at for at, event in lines if event.startswith(BODY_ENDS)), ended)
    job_s = sum(float(said[1]) for _, event in lines if (said := JOB_SECONDS.search(event)))
    return TaskTime(
        f"{dag_id}.{task_id}", began, ended, (began - _time(ready)).total_seconds(), (body - began).total_seconds(),
        (after - body).total_seconds(), (ended - after).total_seconds(), job_s,
    )  # fmt: skip


def _lines(log: Path) -> Iterator[tuple[datetime, str]]:
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        yield datetime.fromisoformat(entry["timestamp"]), str(entry["event"])


def _time(text: str) -> datetime:
    """A time of the database, which has no zone: UTC."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
