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


def at_most(name: str, value: float, most: float) -> Check:
    """Return a check that is missed by NaN too."""
    return Check(name, value, f"at most {most:g}", value <= most)


def at_least(name: str, value: float, least: float) -> Check:
    """Return a check that is missed by NaN too."""
    return Check(name, value, f"at least {least:g}", value >= least)


def within(name: str, value: float, limits: tuple[float, float]) -> Check:
    """Return a check that is missed by NaN too."""
    return Check(name, value, f"{limits[0]:g} to {limits[1]:g}", limits[0] <= value <= limits[1])
