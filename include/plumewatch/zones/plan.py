"""The work of a month's zones: which are counted on which area's grid, and shares of them for the workers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from plumewatch.geodesy import split_at_180, wrap_longitude
from plumewatch.models import Grid
from plumewatch.sentinel2.pixel_plan import WINDOW_PX
from plumewatch.sentinel2.pixels import CellWindow
from plumewatch.zones.area_months import AreaMonth
from plumewatch.zones.cells import POINTS
from plumewatch.zones.months import ZoneTask
from plumewatch.zones.zone import Zone

WGS84 = CRS.from_epsg(4326)
AROUND_DEG = 1.0  # of a grid: what of a zone is outside of it has no cells
FAR_DEG = 20.0  # beyond that UTM is off by metres and more, and at 90 degrees nonsense
WAVE_CELLS = 200_000_000  # of all dates and indices: half a minute of two cores, after which is published

log = logging.getLogger(__name__)


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


def shapes_in(zones: Sequence[Zone], crs: CRS, wanted: CRS) -> list[Any]:
    """Return the shapes (shapely) of zones of system `crs` in another one, corner by corner."""
    import geopandas

    shapes = geopandas.GeoSeries([zone.shape for zone in zones], crs=crs)
    return list(shapes.to_crs(wanted))


def shapes_on(grid: Grid, zones: Sequence[Zone], crs: CRS) -> list[Any]:
    """Return the shapes in a grid's system; of one that reaches far beyond the grid, the part around it.

    A projection of the grid's zone says nothing useful of a country's far end.
    """
    import geopandas

    if not zones:
        return []
    around = outline_of(grid).buffer(AROUND_DEG)
    west, _, east, _ = around.bounds
    shapes, lonlat = shapes_in(zones, crs, CRS.from_epsg(grid.epsg)), shapes_in(zones, crs, WGS84)
    bounds = shapely.bounds(lonlat)
    is_near = (bounds[:, 0] >= west - FAR_DEG) & (bounds[:, 2] <= east + FAR_DEG)
    for place in np.flatnonzero(~is_near):
        if (shape := _within_180(lonlat[place])) is not None:
            part = geopandas.GeoSeries([shapely.intersection(shapely.make_valid(shape), around)], crs=WGS84)
            [shapes[place]] = part.to_crs(CRS.from_epsg(grid.epsg))
    return shapes


def lonlat_shapes(zones: Sequence[Zone], crs: CRS) -> list[Any]:
    """Return the shapes in degrees, in two pieces where they lie over 180 degrees.

    None for one that can't be laid out so: around a pole or the whole globe, or off what its system can tell.
    """
    return [_within_180(shape) for shape in shapes_in(zones, crs, WGS84)]


def _within_180(shape: Any) -> Any:
    west, south, east, north = shape.bounds
    if not np.isfinite([west, south, east, north]).all():
        return None
    if west >= -180.0 and east <= 180.0 and east - west <= 180.0:
        return shape
    if shape.geom_type in POINTS:
        return shapely.transform(shape, lambda at: np.column_stack([wrap_longitude(at[:, 0]), at[:, 1]]))
    try:
        return split_at_180(shape)
    except (ValueError, IndexError):
        return None


def outline_of(grid: Grid) -> Any:
    """Return the outline of a grid in degrees, in two pieces over 180 degrees."""
    import geopandas

    box = shapely.segmentize(shapely.box(*grid.bounds), max(grid.width, grid.height) * grid.resolution_m / 20)
    [outline] = geopandas.GeoSeries([box], crs=CRS.from_epsg(grid.epsg)).to_crs(WGS84)
    west, _, east, _ = outline.bounds
    return split_at_180(outline) if east - west > 180.0 else outline


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

    Those whose centre is in one block of 512 x 512 cells, as the rasters are tiled, are one task.
    """
    grid, size = month.grid, month.grid.resolution_m
    blocks: dict[tuple[int, int], list[tuple[int, CellWindow]]] = {}
    for number in numbers:
        west, south, east, north = shapes[number].bounds
        row, bottom = _cells(grid.north - north, grid.north - south, size, grid.height)
        col, right = _cells(west - grid.west, east - grid.west, size, grid.width)
        if row < bottom and col < right:
            block = (row + bottom) // 2 // WINDOW_PX, (col + right) // 2 // WINDOW_PX
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
