"""Zones: shapes with ids, and the order they are counted in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyproj import CRS


@dataclass(frozen=True, eq=False)
class Zone:
    """One zone."""

    zone_id: str
    """Unique in its file."""
    shape: Any
    """shapely, in the system of its file."""


@dataclass(frozen=True, eq=False)
class Zones:
    """The zones of a file, in the order of their ids."""

    name: str
    """What the partition `zones=` is called."""
    crs: CRS
    """Of the shapes."""
    zones: tuple[Zone, ...]
    """Sorted by id: by number where all are whole numbers, else as text."""
    mended: tuple[str, ...] = ()
    """Ids of those whose outline crossed itself and was made valid."""


def sort_key(zone_ids: Sequence[str]) -> Callable[[str], Any]:
    """Return what ids are sorted by: their number where all are whole numbers, else their text.

    >>> sorted(["10", "9"], key=sort_key(["10", "9"])), sorted(["10", "9a"], key=sort_key(["10", "9a"]))
    (['9', '10'], ['10', '9a'])
    """
    is_number = all(zone_id.isdecimal() and zone_id.isascii() for zone_id in zone_ids)
    return (lambda zone_id: (len(digits := zone_id.lstrip("0")), digits)) if is_number else str
