"""The last line of a task's log: read, written, skipped, failed, seconds, path."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException
from plumewatch.errors import may_heal, redact
from plumewatch.jobs import JobResult

KEY = "plumewatch_summary"

log = logging.getLogger("plumewatch.task")


@dataclass
class Summary:
    """What a task did, filled while it works."""

    read: int = 0
    """Rows, scenes or files that went in."""
    written: int = 0
    """Rows, scenes or files that came out."""
    skipped: int = 0
    """What was left out on purpose."""
    failed: int = 0
    """What could not be used."""
    path: str = "-"
    """Where the result is."""
    started: float = field(default_factory=time.monotonic)
    """When the task began, on the monotonic clock."""

    def add(self, result: JobResult) -> None:
        """Count what a Spark job says of itself."""
        self.read += result.rows_read
        self.written += result.rows_written
        self.failed += result.failed


@contextmanager
def summarised() -> Iterator[Summary]:
    """Fill the summary that ends the task's log, whether the task goes well or not.

    An error that cannot heal ends the task for good: trying again would only delay the alert.
    """
    context: Any = get_current_context()
    summary: Summary = context.setdefault(KEY, Summary())
    try:
        yield summary
    except BaseException as error:
        log_summary(get_current_context())
        if isinstance(error, Exception) and not may_heal(error):
            raise AirflowFailException(f"{type(error).__name__}: {redact(str(error))}") from error
        raise


def log_summary(context: Any, result: Any = None) -> None:
    """Log the summary. As `post_execute` of every task, it comes after Airflow's own last words."""
    if summary := context.get(KEY):
        log.info(
            "read %d, written %d, skipped %d, failed %d, %.1f s, %s",
            summary.read, summary.written, summary.skipped, summary.failed, time.monotonic() - summary.started,
            summary.path,
        )  # fmt: skip
