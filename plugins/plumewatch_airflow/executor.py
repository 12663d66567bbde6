"""Airflow's LocalExecutor, mended for workers that are killed: by hand, or by the kernel where memory runs out."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance


class _TellingQueue(SimpleQueue[Any]):
    """A queue that tells which process waits for what comes next: it does so inside the lock of the reading end."""

    _reader: Connection
    _rlock: Any

    def __init__(self) -> None:
        context = multiprocessing.get_context()
        super().__init__(ctx=context)
        self._reading_pid = context.RawValue("i", 0)

    def get(self) -> Any:
        """Return the next item, and wait for it."""
        with self._rlock:
            self._reading_pid.value = os.getpid()
            content = self._reader.recv_bytes()
            self._reading_pid.value = 0
        return ForkingPickler.loads(content)

    def free_of(self, living: set[int]) -> int | None:
        """Free the lock where its holder isn't among the living; return which process that was."""
        if not (pid := self._reading_pid.value) or pid in living:
            return None
        self._reading_pid.value = 0
        self._rlock.release()  # a lock of multiprocessing, not a recursive one: whoever may free it
        return int(pid)

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._reading_pid

    def __setstate__(self, state: Any) -> None:
        queue, self._reading_pid = state
        super().__setstate__(queue)


class MendedLocalExecutor(LocalExecutor):
    """One whose queue outlives its workers.

    Idle workers wait for work inside the lock of the queue's reading end, one holding it. Airflow's own starts another
    worker for each that dies, but one killed there leaves the lock taken: nothing is read any more, and all tasks stay
    queued for good. And a task that a worker had taken, but not begun, when it was killed stays queued for good too, as
    the scheduler can't take it back from an executor without `revoke_task`.
    """

    @property  # type: ignore[override]  # an attribute there
    def activity_queue(self) -> _TellingQueue:
        """What workers read; whatever queue Airflow's own would make, it is one that tells."""
        return self._queue

    @activity_queue.setter
    def activity_queue(self, _: Any) -> None:
        self._queue = _TellingQueue()

    def sync(self) -> None:
        """Do what Airflow's own does, and free the queue of a dead reader. The scheduler calls it each second or so."""
        super().sync()
        living = {pid for pid, process in self.workers.items() if process.is_alive()}
        if (pid := self.activity_queue.free_of(living)) is not None:
            self.log.warning("worker %s was killed while it waited for work: the others read on", pid)

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Forget a task that was queued for longer than `scheduler.task_queued_timeout`; the scheduler queues it anew.

        Were it to begin twice after all, Airflow's API would refuse the second.
        """
        self.queued_tasks.pop(ti.key, None)
        self.running.discard(ti.key)
