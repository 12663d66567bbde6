"""A source raster on the grid of an area."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from plumewatch.errors import InputError
from plumewatch.models import Grid

ALIGNED_PX = 1e-6  # georeferencing is given in metres with at most a few decimals
WARP_MARGIN_PX = 4  # more than bilinear interpolation looks around itself
BOUNDS_POINTS = 21  # along an edge, for the bounds of a rectangle in another projection


def read_on_grid(source: DatasetReader, grid: Grid, resampling: Resampling, fill: int) -> NDArray[Any]:
    """Return the first band of `source` on `grid` (height x width), `fill` where the source shows nothing.

    Where every cell lies in one source pixel (the same lattice, or a coarser one that the grid divides) the value is
    that pixel's, untouched. Otherwise it is resampled. `fill` is also the source's value of no data.

    Raises InputError where the source has no position; rasterio's error where a part of it cannot be read.
    """
    if source.crs is None or source.transform.is_identity:
        raise InputError(source.name, "a raster without projection or position", "a georeferenced raster")
    window = _window_of(source, grid)
    if window is None:
        return np.full((grid.height, grid.width), fill, dtype=source.dtypes[0])
    numbers = source.read(1, window=window)
    repeat = _cells_in_pixel(source, grid)
    if repeat:
        return _repeat(numbers, window, source, grid, repeat, fill)
    target = np.full((grid.height, grid.width), fill, dtype=source.dtypes[0])
    reproject(
        numbers,
        target,
        src_transform=window_transform(window, source.transform),
        src_crs=source.crs,
        src_nodata=fill,
        dst_transform=grid.transform,
        dst_crs=CRS.from_epsg(grid.epsg),
        dst_nodata=fill,
        resampling=resampling,
    )
    return target


def _cells_in_pixel(source: DatasetReader, grid: Grid) -> int:
    """How many cells of the grid make the side of a source pixel; 0 where cells don't lie wholly in pixels."""
    a, b, west, d, e, north = tuple(source.transform)[:6]
    if source.crs.to_epsg() != grid.epsg or b or d or a <= 0 or e != -a:
        return 0
    ratio = a / grid.resolution_m
    shifts = ((west - grid.west) / grid.resolution_m, (north - grid.north) / grid.resolution_m)
    is_nested = round(ratio) >= 1 and all(abs(x - round(x)) < ALIGNED_PX for x in (ratio, *shifts))
    return round(ratio) if is_nested else 0


def _repeat(
    numbers: NDArray[Any], window: Window, source: DatasetReader, grid: Grid, repeat: int, fill: int
) -> NDArray[Any]:
    fine = numbers.repeat(repeat, axis=0).repeat(repeat, axis=1)
    west, north = source.transform @ (window.col_off, window.row_off)
    row = round((grid.north - north) / grid.resolution_m)
    col = round((west - grid.west) / grid.resolution_m)
    target = np.full((grid.height, grid.width), fill, dtype=numbers.dtype)
    to_rows, from_rows = _overlap(grid.height, fine.shape[0], row)
    to_cols, from_cols = _overlap(grid.width, fine.shape[1], col)
    target[to_rows, to_cols] = fine[from_rows, from_cols]
    return target


def _overlap(length: int, other_length: int, start: int) -> tuple[slice, slice]:
    """Where a piece that begins at `start` meets 0..length: as slices of the whole and of the piece."""
    first, last = max(start, 0), min(start + other_length, length)
    last = max(first, last)
    return slice(first, last), slice(first - start, last - start)


def _window_of(source: DatasetReader, grid: Grid) -> Window | None:
    """The part of the source that the grid needs, None where they don't meet."""
    bounds = grid.bounds
    if source.crs.to_epsg() != grid.epsg:
        bounds = transform_bounds(CRS.from_epsg(grid.epsg), source.crs, *bounds, densify_pts=BOUNDS_POINTS)
    corners = [~source.transform @ (x, y) for x in (bounds[0], bounds[2]) for y in (bounds[1], bounds[3])]
    pixels_in_cell = (max(c[0] for c in corners) - min(c[0] for c in corners)) / grid.width
    margin = WARP_MARGIN_PX * max(1.0, pixels_in_cell)
    first_col, first_row = (math.floor(min(c[axis] for c in corners) - margin) for axis in (0, 1))
    last_col, last_row = (math.ceil(max(c[axis] for c in corners) + margin) for axis in (0, 1))
    first_col, first_row = max(first_col, 0), max(first_row, 0)
    last_col, last_row = min(last_col, source.width), min(last_row, source.height)
    if last_col <= first_col or last_row <= first_row:
        return None
    return Window(first_col, first_row, last_col - first_col, last_row - first_row)


def lonlat_bounds(grid: Grid) -> tuple[float, float, float, float]:
    """Return west, south, east, north of the grid in degrees."""
    bounds = array_bounds(grid.height, grid.width, grid.transform)
    return transform_bounds(CRS.from_epsg(grid.epsg), CRS.from_epsg(4326), *bounds, densify_pts=BOUNDS_POINTS)
