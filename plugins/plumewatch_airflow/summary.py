"""The last lines of a task's log: read, written, skipped, failed, seconds, path; what failed and what to do next.

Airflow writes the traceback of an error when the task has ended, and its own last words into a group that is folded up;
its callbacks come after both.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from plumewatch.errors import ParameterError, PlumewatchError, may_be_a_bug, may_heal, redact
from plumewatch.gases import DETECTION, GASES
from plumewatch.jobs import JobResult
from plumewatch.keys import AS_WRITTEN, is_key

from plumewatch_airflow.assets import partition_key, recorded_under

KEY = "plumewatch_summary"
MAX_MESSAGE = 1000  # characters of an error in the line that ends a log
KEY_FORMATS = {DETECTION[gas.name]: gas.key_format for gas in GASES.values()}
"""Of DAGs that run on assets, whose timetables know none."""
END_OF_GROUP = "::endgroup::"
"""What closes a group of lines in the log that the UI shows."""

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
    notes: list[str] = field(default_factory=list)
    """What else an operator should know of it."""
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

    An error that cannot heal ends the task for good: trying again would only delay the alert. The project's own errors
    say all in their message: their traceback is for debugging only, but where their cause may be a bug.
    """
    context: Any = get_current_context()
    summary: Summary = context.setdefault(KEY, Summary())
    try:
        yield summary
    except AirflowSkipException:
        log_skip(context)
        raise
    except PlumewatchError as error:
        log.log(logging.INFO if may_be_a_bug(error) else logging.DEBUG, "how it came to this:", exc_info=True)
        raise (AirflowException if may_heal(error) else AirflowFailException)(_told(error)) from None
    except Exception as error:
        if may_heal(error):
            raise
        raise AirflowFailException(_told(error)) from error


def log_summary(context: Any, result: Any = None) -> None:
    """Log the summary. As `post_execute` of every task, it comes after Airflow's own last words."""
    if summary := context.get(KEY):
        log.info(
            "read %d, written %d, skipped %d, failed %d, %.1f s, %s",
            summary.read, summary.written, summary.skipped, summary.failed, time.monotonic() - summary.started,
            "; ".join([summary.path, *summary.notes]),
        )  # fmt: skip


def note(text: str) -> None:
    """Have the line that ends the task's log say something more, behind its path."""
    context: Any = get_current_context()
    context.setdefault(KEY, Summary()).notes.append(text)


def log_skip(context: Any) -> None:
    """Log the summary of a task that is skipped."""
    summary = context.setdefault(KEY, Summary())
    summary.skipped = max(summary.skipped, 1)
    log_summary(context)


def log_retry(context: Any) -> None:
    """End the log of a try that failed, as `on_retry_callback` of every task."""
    ti, task = context["ti"], context["ti"].task
    least = math.ceil(task.retry_delay.total_seconds() * task.retry_exponential_backoff ** (ti.try_number - 1))
    # Airflow adds up to as much again, so that not all come back at once.
    _log_end(context, f"try {ti.try_number} of {ti.max_tries + 1}", f"will be tried again in {least} to {2 * least} s")


def log_failure(context: Any) -> None:
    """End the log of a task that failed for good, as `on_failure_callback` of every task."""
    ti = context["ti"]
    error = context.get("exception")
    is_final = isinstance(error, AirflowFailException)  # trying again would not help
    which = "final" if is_final else f"try {ti.try_number} of {ti.max_tries + 1}"
    if error and isinstance(error.__context__, ParameterError):
        _log_end(context, which, _how_to_repeat(context, "with other params"))
    else:
        has_params = bool(context["dag_run"].conf)
        _log_end(context, which, f"mend the cause, then {_how_to_repeat(context, 'and the same params' * has_params)}")


def _log_end(context: Any, which: str, then: str) -> None:
    """Log the counts and one line: what to do comes before the cause, as the UI cuts lines at its edge."""
    ti, error = context["ti"], context.get("exception")
    summary = context.setdefault(KEY, Summary())
    summary.failed = max(summary.failed, 1)
    label = "" if getattr(ti, "map_index", -1) < 0 else f" {getattr(ti, 'rendered_map_index', None) or ti.map_index}"
    log.info(END_OF_GROUP)
    log_summary(context)
    cause = _told(error) if error else "its process has died"
    log.error("FAILED %s%s, %s: %s. Cause: %s", ti.task_id, label, which, then, cause)


def _told(error: BaseException) -> str:
    """An error on one line; the class is left out where Airflow's merely says whether to try again."""
    text = " ".join(redact(str(error)).split())[:MAX_MESSAGE]
    return text if type(error) in (AirflowException, AirflowFailException) else f"{type(error).__name__}: {text}"


def _how_to_repeat(context: Any, params: str) -> str:
    """What to do for a new run; `params` says with which."""
    dag, params = context["dag"], f" {params}" if params else ""
    is_scene = getattr(context["ti"], "map_index", -1) >= 0
    if is_scene and (other := recorded_under(dag.dag_id)) != dag.dag_id:
        return f"trigger {other} with the day"
    key, key_format = context.get("partition_key"), getattr(dag.timetable, "key_format", KEY_FORMATS.get(dag.dag_id))
    if key is None and key_format:
        key = partition_key(context, key_format)
    if key_format and not is_key(key, key_format):
        return f"trigger {dag.dag_id} with a key of the form {AS_WRITTEN[key_format]}{params}"
    return f"trigger {dag.dag_id} {f'with the key {key}' if key else 'again'}{params}"
