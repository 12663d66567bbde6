"""Airflow's LocalExecutor, mended for workers that are killed: by hand, or by the kernel where memory runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.executors.local_executor import LocalExecutor

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

PATIENCE_S = 1.0
"""A worker that lives takes what waits for it within milliseconds."""


class MendedLocalExecutor(LocalExecutor):
    """One whose queue outlives its workers.

    Idle workers wait for work inside the lock of the queue's reading end, one holding it. Airflow's own starts another
    worker for each that dies, but one killed there leaves the lock taken: nothing is read any more, and all tasks stay
    queued for good. And a task that a worker had taken, but not begun, when it was killed stays queued for good too, as
    the scheduler can't take it back from an executor without `revoke_task`.
    """

    def sync(self) -> None:
        """Do what Airflow's own does, and free the queue of a dead reader. The scheduler calls it each second or so."""
        super().sync()
        lock = self.activity_queue._rlock  # type: ignore[attr-defined]  # nothing public tells of it
        if not self.activity_queue.empty():
            if not lock.acquire(timeout=PATIENCE_S):
                self.log.warning("a worker was killed while it waited for work: what it held is free again")
            lock.release()  # a lock of multiprocessing, not a recursive one: whoever may free it

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Forget a task that was queued for longer than `scheduler.task_queued_timeout`; the scheduler queues it anew.

        Were it to begin twice after all, Airflow's API would refuse the second.
        """
        self.queued_tasks.pop(ti.key, None)
        self.running.discard(ti.key)
