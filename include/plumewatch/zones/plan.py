"""The work of a month's zones: which are counted on which area's grid, and shares of them for the workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely

from plumewatch.sentinel2.pixel_plan import WINDOW_PX
from plumewatch.sentinel2.pixels import CellWindow
from plumewatch.zones.area_months import AreaMonth
from plumewatch.zones.months import ZoneTask

BLOCK_PX = (
    WINDOW_PX,
    2 * WINDOW_PX,
)  # rows, columns: two tiles of the rasters, as each task reads those at its edges too
WAVE_CELLS = 200_000_000  # of all dates and indices: half a minute of two cores, after which is published


@dataclass
class Counting:
    """What is counted of each zone."""

    names: tuple[str, ...]
    """Bands and indices."""
    statistics: tuple[str, ...]
    """Names of statistics."""
    constants: tuple[str, ...] = ()
    """Constants of indices that are set."""
    bad: set[str] = field(default_factory=set)
    """Items of scenes that turned out to be bad, and are left out of the whole month."""


def cells_of(
    wanted: Sequence[int],
    months: Mapping[str, AreaMonth],
    area_of: Mapping[int, str],
    shapes: Mapping[int, Any],
    n_names: int,
) -> list[float]:
    """Return how many cells are read for each of the wanted zones, of all dates and of all bands and indices."""
    weights = []
    for number in wanted:
        cells = 1.0
        if number in shapes:
            month = months[area_of[number]]
            cells += shapes[number].area / month.grid.resolution_m**2 * len(month.scenes)
        weights.append(cells * n_names)
    return weights


def waves(cells: Sequence[float], most: float) -> Iterator[range]:
    """Yield the zones, by place, that are counted and published together: so many cells, one zone at least.

    >>> list(waves([3, 3, 9, 1], 6))
    [range(0, 2), range(2, 3), range(3, 4)]
    """
    first, sum_ = 0, 0.0
    for i, n in enumerate(cells):
        if i > first and sum_ + n > most:
            yield range(first, i)
            first, sum_ = i, 0.0
        sum_ += n
    if len(cells) > first:
        yield range(first, len(cells))


def plan_zone_tasks(
    month: AreaMonth, numbers: Sequence[int], shapes: Mapping[int, Any], counting: Counting
) -> list[ZoneTask]:
    """Return the tasks of zones (by number, `shapes` in the grid's system) that are counted on a month's grid.

    Those whose centre is in one block of BLOCK_PX cells are one task.
    """
    grid, size = month.grid, month.grid.resolution_m
    blocks: dict[tuple[int, int], list[tuple[int, CellWindow]]] = {}
    for number in numbers:
        west, south, east, north = shapes[number].bounds
        row, bottom = _cells(grid.north - north, grid.north - south, size, grid.height)
        col, right = _cells(west - grid.west, east - grid.west, size, grid.width)
        if row < bottom and col < right:
            block = (row + bottom) // 2 // BLOCK_PX[0], (col + right) // 2 // BLOCK_PX[1]
            blocks.setdefault(block, []).append((number, CellWindow(row, col, bottom - row, right - col)))
    return [
        ZoneTask(
            zones=tuple((number, shapely.to_wkb(shapes[number]).hex()) for number, _ in of_block),
            window=_around([window for _, window in of_block]),
            month=month,
            names=counting.names,
            statistics=counting.statistics,
            constants=counting.constants,
            bad=tuple(sorted(counting.bad)),
        )
        for _, of_block in sorted(blocks.items())
    ]


def _cells(start: float, end: float, size: float, length: int) -> tuple[int, int]:
    """The cells from the one that holds `start` to past the one that holds `end`, within 0 to `length`."""
    return max(0, int(np.floor(start / size))), min(length, int(np.floor(end / size)) + 1)


def _around(windows: Sequence[CellWindow]) -> CellWindow:
    row, col = min(w.row for w in windows), min(w.col for w in windows)
    bottom, right = max(w.row + w.height for w in windows), max(w.col + w.width for w in windows)
    return CellWindow(row, col, bottom - row, right - col)
