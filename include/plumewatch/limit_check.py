"""One line of an evaluation's verdict: a figure held against its limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A figure and whether it is within its limit."""

    name: str
    """What was measured."""
    value: float
    """The figure."""
    limit: str
    """What is wanted."""
    is_ok: bool
    """Whether it is reached."""

    def __str__(self) -> str:
        return f"{'ok    ' if self.is_ok else 'MISSED'}  {self.name}: {self.value:.3f} ({self.limit})"
