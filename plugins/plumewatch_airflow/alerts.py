"""What is told of a run: one digest of its failures, or a notice of what is missing in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plumewatch.areas import WHOLE_SEARCH
from plumewatch.errors import some_of
from plumewatch.failures import NothingDone

from plumewatch_airflow.channels import Picture

NAMES_SHOWN, LINES_SHOWN = 6, 40  # of one cause, of one digest
ADDRESS = re.compile(r"(\w+://[^/\s:]+(?::\d+)?)[^\s:;,)']*")


@dataclass(frozen=True)
class _Told:
    """What digests and notices have in common as alerts: no pictures, and they stand in the log as errors."""

    level: ClassVar[int] = logging.ERROR
    pictures: ClassVar[tuple[Picture, ...]] = ()


@dataclass(frozen=True)
class Notice(_Told):
    """Tells of what is missing, in a run that is green."""

    dag_id: str
    """The DAG that needs it."""
    run_id: str
    """The run that noticed."""
    key: str
    """The partition key that the run was for."""
    what: str
    """What is missing: a setting, areas, sources."""
    reason: str
    """What that costs and what to do."""

    @property
    def title(self) -> str:
        """One line: what is missing, and where."""
        return f"Plumewatch: {self.dag_id} for {self.key} lacks {self.what}"

    @property
    def text(self) -> str:
        """The title, and what to do."""
        return f"{self.title} (run {self.run_id}; told once)\n- {self.reason}"


@dataclass(frozen=True)
class Digest(_Told):
    """What an alert says of a run's failures: one line a cause."""

    dag_id: str
    """The DAG whose run has failures."""
    run_id: str
    """The run."""
    key: str
    """The partition key that the run was for."""
    failures: Sequence[dict[str, Any]]
    """Rows of failed_scenes."""
    failed_tasks: Sequence[str]
    """Tasks that failed for another reason than a scene."""
    link: str = ""
    """Where the run is seen."""

    @property
    def causes(self) -> list[list[dict[str, Any]]]:
        """The failures by their cause: the same stage and error, whatever they name.

        A task that failed because all its parts did is no cause of its own.
        """
        parts = [f for f in self.failures if f["error_class"] != NothingDone.__name__]
        by_cause: dict[Any, list[dict[str, Any]]] = {}
        for failure in parts or self.failures:
            by_cause.setdefault(_cause(failure), []).append(failure)
        return list(by_cause.values())

    @property
    def n_failures(self) -> int:
        """Failures that it tells of, tasks aside."""
        return sum(map(len, self.causes))

    @property
    def title(self) -> str:
        """One line: how much failed, and where."""
        failed = f"failed scenes: {self.n_failures}, failed tasks: {len(self.failed_tasks)}"
        return f"Plumewatch: {self.dag_id} for {self.key}: {failed}"

    @property
    def first_cause(self) -> str:
        """One line: the first cause, and how many more there are above it in the log."""
        first, *others = self.lines
        return first.removeprefix("- ") + (f" (and {len(others)} more, above)" if others else "")

    @property
    def text(self) -> str:
        """The title, then one line a cause."""
        lines = self.lines
        if left := lines[LINES_SHOWN:]:
            lines = [*lines[:LINES_SHOWN], f"- and {len(left)} more; all are in failed_scenes"]
        return "\n".join([f"{self.title} (run {self.run_id})", *lines, *filter(None, [self.link])])

    @property
    def lines(self) -> list[str]:
        """One line a cause."""
        told = {failure["stage"] for failure in self.failures}  # a task whose own row says why
        lines = [_line(failures) for failures in self.causes]
        return lines + [f"- task {task}: see its log" for task in self.failed_tasks if task not in told]


def run_link(ti: Any) -> str:
    """Return where the run of a task is seen in Airflow's UI."""
    return str(ti.log_url).partition("/tasks/")[0]


def _cause(failure: dict[str, Any]) -> tuple[Any, ...]:
    same = ("stage", "error_class", "http_status", "is_retryable")
    return *(failure.get(name) for name in same), _unnamed(failure)


def _unnamed(failure: dict[str, Any]) -> str:
    """The message without the names of its area and scene, and of addresses without what follows the host."""
    message = str(failure["message"])
    for name in sorted({failure["area"], failure["scene_id"]} - {None, "", WHOLE_SEARCH}, key=len, reverse=True):
        message = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", "...", message)
    return ADDRESS.sub(r"\1", message)


def _line(failures: Sequence[dict[str, Any]]) -> str:
    """One line for failures of one cause."""
    first, n = failures[0], len(failures)
    attempts = max(failure["attempts"] for failure in failures)
    if n == 1:
        what, message = f"{first['area'] or '-'} {first['scene_id']}", first["message"]
    else:
        are_areas = all(f["area"] and f["scene_id"] == WHOLE_SEARCH for f in failures)
        names = [f["area"] if are_areas else f"{f['area'] or ''} {f['scene_id']}".strip() for f in failures]
        what = f"{n} {'areas' if are_areas else 'failures'} ({some_of(names, NAMES_SHOWN)})"
        message = first["message"] if len({f["message"] for f in failures}) == 1 else _unnamed(first)
    how = f"{first['stage']}, attempt {attempts}, {'retryable' if first['is_retryable'] else 'final'}"
    return f"- {what} ({how}): {first['error_class']}: {message}"
