"""The last line of a task's log: read, written, skipped, failed, seconds, path."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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


@contextmanager
def summarised() -> Iterator[Summary]:
    """Log the summary when the task ends, however it ends."""
    summary, started = Summary(), time.monotonic()
    try:
        yield summary
    finally:
        log.info(
            "read %d, written %d, skipped %d, failed %d, %.1f s, %s",
            summary.read, summary.written, summary.skipped, summary.failed, time.monotonic() - started, summary.path,
        )  # fmt: skip
