"""Airflow's LocalExecutor, mended for workers that are killed: by hand, or by the kernel where memory runs out."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Collection
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance


class _TellingQueue(SimpleQueue[Any]):
    """A queue that tells who waits for what comes next, inside the lock of the reading end, and who is at work."""

    _reader: Connection
    _rlock: Any

    def __init__(self, n_readers: int) -> None:
        context = multiprocessing.get_context()
        super().__init__(ctx=context)
        self._waiting_pid = context.RawValue("i", 0)
        self._is_reading = context.RawValue("b", 0)
        self._pids_at_work = context.RawArray("i", n_readers)

    def get(self) -> Any:
        """Return the next item, and wait for it; what was got before is done."""
        pid = os.getpid()
        self._replace(pid, 0)
        with self._rlock:
            self._waiting_pid.value = pid
            self._reader.poll(None)
            self._is_reading.value = 1
            content = self._reader.recv_bytes()
            self._replace(0, pid)
            self._is_reading.value = self._waiting_pid.value = 0
        return ForkingPickler.loads(content)

    def _replace(self, pid: int, by: int) -> None:
        """Put another number in the first place that holds this one."""
        for place, known in enumerate(self._pids_at_work):
            if known == pid:
                self._pids_at_work[place] = by
                return

    def count_at_work(self, living: Collection[int]) -> int:
        """Return how many of the living are at work; the others are forgotten."""
        for pid in set(self._pids_at_work) - {0, *living}:
            self._replace(pid, 0)
        return sum(pid != 0 for pid in self._pids_at_work)

    def free_of_dead(self, living: Collection[int]) -> int | None:
        """Free the lock where its holder isn't among the living; return which process that was.

        Raises RuntimeError where it may have left half an item.
        """
        if not (pid := self._waiting_pid.value) or pid in living:
            return None
        if self._is_reading.value:
            raise RuntimeError(f"worker {pid} was killed while it took a task: the scheduler has to start anew")
        self._waiting_pid.value = 0
        self._rlock.release()  # a lock of multiprocessing, not a recursive one: whoever may free it
        return int(pid)

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._waiting_pid, self._is_reading, self._pids_at_work

    def __setstate__(self, state: Any) -> None:
        queue, self._waiting_pid, self._is_reading, self._pids_at_work = state
        super().__setstate__(queue)


class MendedLocalExecutor(LocalExecutor):
    """One whose queue outlives its workers, and whose tasks are queued when a worker is idle.

    Idle workers wait for work inside the lock of the queue's reading end, one holding it. Airflow's own starts another
    worker for each that dies, but one killed there leaves the lock taken: nothing is read any more, and all tasks stay
    queued for good. And a task that a worker had taken, but not begun, when it was killed stays queued for good too, as
    the scheduler can't take it back from an executor without `revoke_task`. With that it takes back whatever is queued
    for long, so no task may be that only waits for a worker: Airflow's own takes as many as the pool has room for.
    """

    @property  # type: ignore[override]  # an attribute there
    def activity_queue(self) -> _TellingQueue:
        """What workers read; whatever queue Airflow's own would make, it is one that tells."""
        return self._queue

    @activity_queue.setter
    def activity_queue(self, _: Any) -> None:
        self._queue = _TellingQueue(self.parallelism)

    @property
    def slots_occupied(self) -> int:
        """How many workers have, or are about to take, a task."""
        waiting = 0 if self.activity_queue.empty() else self._unread_messages.value
        return int(super().slots_occupied + self.activity_queue.count_at_work(self._living()) + waiting)

    @property
    def slots_available(self) -> int:
        """How many tasks find an idle worker."""
        return max(0, int(self.parallelism - self.slots_occupied))

    def _living(self) -> set[int]:
        return {pid for pid, process in self.workers.items() if process.is_alive()}

    def sync(self) -> None:
        """Do what Airflow's own does, and free the queue of a dead reader. The scheduler calls it each second or so."""
        super().sync()
        if (pid := self.activity_queue.free_of_dead(self._living())) is not None:
            self.log.warning("worker %s was killed while it waited for work: the others read on", pid)

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Forget a task that was queued for longer than `scheduler.task_queued_timeout`; the scheduler queues it anew.

        Were it to begin twice after all, Airflow's API would refuse the second.
        """
        self.queued_tasks.pop(ti.key, None)
        self.running.discard(ti.key)
