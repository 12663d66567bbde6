"""Workers of the executor are killed where they wait, and where they have taken a task: none of the tasks is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.executors.base_executor import BaseExecutor
from airflow.executors.local_executor import LocalExecutor
from airflow.models.taskinstancekey import TaskInstanceKey
from plumewatch_airflow.executor import MendedLocalExecutor

PATIENCE_S = 20.0


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[type[LocalExecutor]], LocalExecutor]]:
    """Start an executor of two workers whose tasks write a file, but wait as long as `hold` is there."""
    executors: list[LocalExecutor] = []

    def work(workload: Any, **_: Any) -> int:
        while (tmp_path / "hold").exists():
            time.sleep(0.01)
        (tmp_path / workload.display_name).touch()
        return 0

    monkeypatch.setattr(BaseExecutor, "run_workload", staticmethod(work))

    def make(kind: type[LocalExecutor]) -> LocalExecutor:
        executor = kind(parallelism=2)
        executor.start()
        executors.append(executor)
        return executor

    yield make
    for executor in executors:
        for process in executor.workers.values():
            process.kill()


def _key(name: str) -> TaskInstanceKey:
    return TaskInstanceKey("dag", name, "run", 1, -1)


def _queue(executor: LocalExecutor, name: str) -> None:
    """Hand a task over as the scheduler does."""
    key = _key(name)
    states = {"running_state": None, "success_state": "success", "failure_state": "failed"}
    task = SimpleNamespace(key=key, display_name=name, ti=SimpleNamespace(priority_weight=1), **states)
    executor.queued_tasks[key] = task  # type: ignore[assignment]
    executor.heartbeat()


def _is_done(executor: LocalExecutor, file: Path, within_s: float = PATIENCE_S) -> bool:
    until = time.monotonic() + within_s
    while not file.exists() and time.monotonic() < until:
        executor.sync()
        time.sleep(0.05)
    return file.exists()


def _wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)


def _kill_workers(executor: LocalExecutor) -> None:
    for process in executor.workers.values():
        process.kill()
        process.join(PATIENCE_S)


@pytest.mark.parametrize(("kind", "is_mended"), [(MendedLocalExecutor, True), (LocalExecutor, False)])
def test_a_worker_killed_where_it_waits_leaves_the_others_at_work(
    start: Callable[[type[LocalExecutor]], LocalExecutor], tmp_path: Path, kind: type[LocalExecutor], is_mended: bool
) -> None:
    executor = start(kind)
    _queue(executor, "first")
    assert _is_done(executor, tmp_path / "first")
    _kill_workers(executor)  # all of them idle, so one held the queue
    _queue(executor, "second")
    # Airflow's own waits for good; the day that this changes, MendedLocalExecutor.sync can go.
    assert _is_done(executor, tmp_path / "second", PATIENCE_S if is_mended else 3.0) == is_mended


def test_a_task_that_died_with_its_worker_is_given_back(
    start: Callable[[type[LocalExecutor]], Any], tmp_path: Path
) -> None:
    executor = start(MendedLocalExecutor)
    (tmp_path / "hold").touch()
    _queue(executor, "lost")
    _wait_until(lambda: executor.activity_queue.count_at_work(executor.workers) == 1)
    _kill_workers(executor)
    (tmp_path / "hold").unlink()
    assert not _is_done(executor, tmp_path / "lost", 1.0)
    executor.revoke_task(ti=SimpleNamespace(key=_key("lost")))  # type: ignore[arg-type]  # as the scheduler does in time
    _queue(executor, "lost")
    assert _is_done(executor, tmp_path / "lost")


def test_tasks_are_taken_for_idle_workers_alone_dead_ones_aside(
    start: Callable[[type[LocalExecutor]], Any], tmp_path: Path
) -> None:
    executor = start(MendedLocalExecutor)
    assert (executor.slots_available, executor.slots_occupied) == (2, 0)
    (tmp_path / "hold").touch()
    for name in ("a", "b", "c"):
        _queue(executor, name)
    _wait_until(lambda: executor.activity_queue.count_at_work(executor.workers) == 2)
    assert (executor.slots_available, executor.slots_occupied) == (0, 3)  # c waits for a worker
    _kill_workers(executor)
    (tmp_path / "hold").unlink()
    assert _is_done(executor, tmp_path / "c")
    _wait_until(lambda: not executor.slots_occupied)
    assert (executor.slots_available, executor.slots_occupied) == (2, 0)


def test_a_worker_killed_while_it_takes_a_task_ends_the_scheduler(
    start: Callable[[type[LocalExecutor]], Any], tmp_path: Path
) -> None:
    executor = start(MendedLocalExecutor)
    _queue(executor, "first")
    assert _is_done(executor, tmp_path / "first")
    _wait_until(lambda: executor.activity_queue._waiting_pid.value in executor.workers)
    executor.activity_queue._is_reading.value = 1  # it stands so for some microseconds
    _kill_workers(executor)
    with pytest.raises(RuntimeError, match="the scheduler has to start anew"):
        _queue(executor, "second")
