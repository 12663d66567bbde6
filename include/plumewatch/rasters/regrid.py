"""A source raster on the grid of an area."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.warp import reproject, transform_bounds
from rasterio.warp import transform as transform_places
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from plumewatch.errors import InputError
from plumewatch.models import Grid

MOST_COORDINATE, LEAST_PIXEL = 1e9, 1e-9
"""Metres or degrees; so that a place, counted in pixels, is a whole number of 64 bits."""
ALIGNED_PX = 1e-6  # georeferencing is given in metres with at most a few decimals
WARP_MARGIN_PX = 4  # more than bilinear interpolation looks around itself
LEAST_TIE_POINTS = 4  # that a plane needs, and one that shows an error
BOUNDS_POINTS = 21  # along an edge, for the bounds of a rectangle in another projection


def read_on_grid(
    source: DatasetReader, grid: Grid, resampling: Resampling, fill: float, name: str = "", band: int = 1
) -> NDArray[Any]:
    """Return a band of `source` on `grid` (height x width), `fill` where the source shows nothing.

    Where every cell lies in one source pixel (the same lattice, or a coarser one that the grid divides) the value is
    that pixel's, untouched. Otherwise it is resampled. `fill` is also the source's value of no data; what a mask within
    the source leaves out is no data too. `name` is what errors call the source, its own where empty.

    Raises InputError where the source has no position; rasterio's error where a part of it cannot be read.
    """
    if source.crs is None or source.transform.is_identity:
        raise InputError(name or source.name, "a raster without projection or position", "a georeferenced raster")
    if source.transform.is_degenerate or not is_place(source.transform):
        found = f"transform {tuple(source.transform)[:6]}"
        raise InputError(name or source.name, found, "pixels that have an area and a place")
    target = np.full((grid.height, grid.width), fill, dtype=source.dtypes[0])
    if (cells := _cells_in_pixel(grid, source)) is not None:
        _copy_pixels(source, grid, cells, fill, target, band)
    elif (window := _window_of(source, grid)) is not None:
        may_shrink = resampling == Resampling.average and _knows_no_data(source, fill, band)
        shrunk = _shrunk(source, window, grid) if may_shrink else (window.height, window.width)
        scale = Affine.scale(window.width / shrunk[1], window.height / shrunk[0])
        reproject(
            _read_window(source, window, fill, band, shrunk),
            target,
            src_transform=window_transform(window, source.transform) @ scale,
            src_crs=source.crs,
            src_nodata=fill,
            dst_transform=grid.transform,
            dst_crs=CRS.from_epsg(grid.epsg),
            dst_nodata=fill,
            resampling=resampling,
        )
    return target


def read_by_tie_points(
    source: DatasetReader, grid: Grid, resampling: Resampling, fill: float, name: str = "", band: int = 1
) -> NDArray[Any]:
    """As `read_on_grid` of a raster that has tie points (GCPs) in place of a projection.

    Between them places are those of a thin plate spline. Raises InputError where it has fewer than LEAST_TIE_POINTS.
    """
    points, crs = source.gcps
    if crs is None or len(points) < LEAST_TIE_POINTS:
        found = f"{len(points)} tie points"
        raise InputError(name or source.name, found, f"{LEAST_TIE_POINTS} tie points at least, with their projection")
    target = np.full((grid.height, grid.width), fill, dtype=source.dtypes[0])
    reproject(
        rasterio.band(source, band),
        target,
        gcps=points,
        src_crs=crs,
        src_nodata=fill,
        dst_transform=grid.transform,
        dst_crs=CRS.from_epsg(grid.epsg),
        dst_nodata=fill,
        resampling=resampling,
        SRC_METHOD="GCP_TPS",
    )
    return target


def _shrunk(source: DatasetReader, window: Window, grid: Grid) -> tuple[int, int]:
    """Height and width to read a window in: where several pixels fall on a cell their means over half a cell will do.

    They are had from the overviews of a file, which spares most of its bytes.
    """
    finer = max(1, math.floor(grid.resolution_m / pixel_size_m(source, grid) / 2))
    return max(1, window.height // finer), max(1, window.width // finer)


def _knows_no_data(source: DatasetReader, fill: float, band: int) -> bool:
    """Whether the file itself says where it has none, so that means of it leave that out."""
    tag = source.nodatavals[band - 1]
    is_tagged = tag is not None and (tag == fill or (math.isnan(tag) and math.isnan(fill)))
    return is_tagged or _has_mask(source, band)


def _has_mask(source: DatasetReader, band: int) -> bool:
    """Whether a file has a mask (GDAL's RFC 15) of all bands or, as no flag says, of this one."""
    flags = source.mask_flag_enums[band - 1]
    return MaskFlags.per_dataset in flags or not flags


def read_masked_out(source: DatasetReader, band: int, **asked: Any) -> NDArray[np.bool_] | None:
    """Return where a mask of the file (GDAL's mask or alpha band) says that a band has no data, None without a mask.

    `asked` is what a read of the band's numbers is asked: window, out_shape.
    """
    return source.read_masks(band, **asked) == 0 if _has_mask(source, band) else None


def _copy_pixels(source: DatasetReader, grid: Grid, cells: int, fill: float, target: NDArray[Any], band: int) -> None:
    """Fill `target` with the source's pixels, each as often as it has `cells` on a side."""
    x, y = source.transform.c, source.transform.f
    first = round((grid.north - y) / grid.resolution_m), round((x - grid.west) / grid.resolution_m)  # its corner
    reached, place, inner = [], [], []
    for corner, size, n_pixels in zip(first, target.shape, source.shape, strict=True):
        start, end = max(-corner, 0) // cells, min(-(-(size - corner) // cells), n_pixels)
        if start >= end:
            return
        begin, stop = max(corner + start * cells, 0), min(corner + end * cells, size)
        reached.append((start, end))
        place.append(slice(begin, stop))
        inner.append(slice(begin - corner - start * cells, stop - corner - start * cells))
    numbers = _read_window(source, Window.from_slices(*reached), fill, band)
    if cells > 1:
        numbers = numbers.repeat(cells, 0).repeat(cells, 1)
    target[tuple(place)] = numbers[tuple(inner)]


def is_place(transform: Affine) -> bool:
    """Whether a transform leads to places that there are: all its numbers finite, none beyond any coordinate.

    >>> is_place(Affine(20.0, 0.0, 5e5, 0.0, -20.0, 2.7e6)), is_place(Affine(20.0, 0.0, 1e308, 0.0, -20.0, 2.7e6))
    (True, False)
    """
    numbers = np.array(tuple(transform)[:6])
    return bool((np.abs(numbers) < MOST_COORDINATE).all() and abs(transform.determinant) > LEAST_PIXEL**2)


def _read_window(
    source: DatasetReader, window: Window, fill: float, band: int, shape: tuple[int, int] | None = None
) -> NDArray[Any]:
    """The pixels of a window, or their means in a smaller `shape`."""
    asked: dict[str, Any] = {"window": window, "out_shape": shape}
    numbers: NDArray[Any] = source.read(band, **asked, resampling=Resampling.average)
    if (is_out := read_masked_out(source, band, **asked)) is not None:
        numbers[is_out] = fill
    return numbers


def pixel_size_m(source: DatasetReader, grid: Grid) -> float:
    """Return the longer side of a pixel of `source` in metres on the grid, where the grid has its middle.

    NaN where the source has no position, or its projection none for that place.
    """
    if source.crs is None or source.transform.is_degenerate:
        return float("nan")
    west, south, east, north = grid.bounds
    on_grid = CRS.from_epsg(grid.epsg)
    [x], [y] = transform_places(on_grid, source.crs, [(west + east) / 2], [(south + north) / 2])
    col, row = ~source.transform @ (x, y)
    corners = [source.transform @ (col + right, row + down) for right, down in ((0, 0), (1, 0), (0, 1))]
    xs, ys = np.array(transform_places(source.crs, on_grid, *map(list, zip(*corners, strict=True))))
    return float(np.hypot(xs[1:] - xs[0], ys[1:] - ys[0]).max())


def _cells_in_pixel(grid: Grid, source: DatasetReader) -> int | None:
    """How many cells a pixel of the source has on a side, None where not each cell lies wholly in one pixel."""
    a, b, west, d, e, north = tuple(source.transform)[:6]
    if source.crs.to_epsg() != grid.epsg or b or d or a <= 0 or e != -a:
        return None
    return cells_in_pixel(grid, a, west, north)


def cells_in_pixel(grid: Grid, pixel_m: float, west: float, north: float) -> int | None:
    """Return how many cells a pixel has on a side, of a lattice of the grid's projection with this upper left corner.

    None where not each cell lies wholly in one pixel.

    >>> grid = Grid(32631, 60.0, 40.0, 20.0, 3, 2)
    >>> cells_in_pixel(grid, 60.0, 0.0, 100.0), cells_in_pixel(grid, 60.0, 10.0, 100.0)
    (3, None)
    """
    ratio = pixel_m / grid.resolution_m
    shifts = ((west - grid.west) / grid.resolution_m, (north - grid.north) / grid.resolution_m)
    lies = round(ratio) >= 1 and all(abs(x - round(x)) < ALIGNED_PX for x in (ratio, *shifts))
    return round(ratio) if lies else None


def _window_of(source: DatasetReader, grid: Grid) -> Window | None:
    """The part of the source that the grid needs, None where they don't meet."""
    bounds = grid.bounds
    if source.crs.to_epsg() != grid.epsg:
        bounds = transform_bounds(CRS.from_epsg(grid.epsg), source.crs, *bounds, densify_pts=BOUNDS_POINTS)
    corners = np.array([~source.transform @ (x, y) for x in bounds[::2] for y in bounds[1::2]])
    lower, upper = corners.min(axis=0), corners.max(axis=0)
    margin = WARP_MARGIN_PX * max(1.0, (upper[0] - lower[0]) / grid.width)
    first = np.maximum(np.floor(lower - margin), 0).astype(int)
    last = np.minimum(np.ceil(upper + margin), (source.width, source.height)).astype(int)
    return Window(*first.tolist(), *(last - first).tolist()) if (last > first).all() else None


def lonlat_bounds(grid: Grid) -> tuple[float, float, float, float]:
    """Return west, south, east, north of the grid in degrees."""
    bounds = array_bounds(grid.height, grid.width, grid.transform)
    return transform_bounds(CRS.from_epsg(grid.epsg), CRS.from_epsg(4326), *bounds, densify_pts=BOUNDS_POINTS)
