"""One line of `make check`: a part, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from plumewatch.errors import redact


class State(Enum):
    """How a part is."""

    OK = "OK"
    MISSING = "missing"
    """Not there, and the present settings work without it."""
    PROBLEM = "problem"
    """There, and doesn't work."""


@dataclass(frozen=True)
class Finding:
    """One line of the answer."""

    part: str
    """What was looked at."""
    state: State
    """How it is."""
    text: str
    """What was found, and what to do about it."""
    is_fatal: bool = False
    """Whether the present settings need it and it doesn't work."""

    def __str__(self) -> str:
        mark = "!" if self.is_fatal else " "
        return f"{self.state.value:7}{mark} {self.part:14} {self.text}"


def ok(part: str, text: str) -> Finding:
    """It works."""
    return Finding(part, State.OK, text)


def missing(part: str, text: str) -> Finding:
    """It isn't there, and needn't be."""
    return Finding(part, State.MISSING, text)


def problem(part: str, text: object, *, is_fatal: bool = True) -> Finding:
    """It doesn't work."""
    return Finding(part, State.PROBLEM, " ".join(redact(str(text)).split()), is_fatal)
