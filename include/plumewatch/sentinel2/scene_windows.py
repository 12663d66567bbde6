"""Windows of a stacked scene on a grid: reflectance, classes, clouds, and where the ground is seen."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.models import Grid
from plumewatch.rasters.plain_numbers import checked_plain
from plumewatch.rasters.reading import open_raster
from plumewatch.rasters.regrid import read_masked_out
from plumewatch.rasters.scene_store import AROUND, RASTERS
from plumewatch.sensors.sensor import METHANE_BANDS
from plumewatch.sentinel2.bands import LAST_CLASS, MOST_PERCENT, NO_CLOUD_DATA, NO_DATA_CLASS
from plumewatch.sentinel2.clouds import PixelSettings, compute_clear_mask, is_probable
from plumewatch.sentinel2.pixel_plan import is_same_grid, is_same_lattice, offset_px
from plumewatch.sentinel2.pixels import CellWindow, SceneCells
from plumewatch.sentinel2.reflectance import check_reflectance
from plumewatch.sentinel2.stored_scene import StoredScene, raster_grid

SHORT_BYTES = 2  # numbers of 16 bits are at most 65,536 different ones


def read_windows(
    scene: StoredScene,
    grid: Grid,
    windows: Sequence[CellWindow],
    settings: PixelSettings,
    bands: Collection[str] | None = None,
    needed: Collection[str] = METHANE_BANDS,
) -> Iterator[SceneCells | None]:
    """Yield what the scene shows in each window of `grid`, None where its rasters don't reach.

    `bands` are those that are read (None: all of the scene); a cell is valid where all that are `needed` have data.

    Raises InputError where a raster is damaged, on another grid than the others, or no reflectance.
    """
    with ExitStack() as stack:
        rasters = {}
        for kind in RASTERS:
            path = scene.paths.raster(kind)
            if kind in ("cloud", AROUND) and not storage.exists(path):
                continue
            rasters[kind] = stack.enter_context(open_raster(path))
            found = raster_grid(rasters[kind], path)
            if kind == AROUND and is_same_lattice(found, scene.grid):
                continue
            if not is_same_grid(found, scene.grid):
                raise InputError(path, "another grid than the bands", f"the grid of {scene.paths.raster('data')}")
        for window in windows:
            yield _read_window(scene, rasters, grid, window, settings, bands, needed)


def _read_window(
    scene: StoredScene,
    rasters: Mapping[str, DatasetReader],
    grid: Grid,
    window: CellWindow,
    settings: PixelSettings,
    bands: Collection[str] | None,
    needed: Collection[str],
) -> SceneCells | None:
    row, col = offset_px(grid, scene.grid)
    top, left = max(window.row - row, 0), max(window.col - col, 0)
    bottom = min(window.row + window.height - row, scene.grid.height)
    right = min(window.col + window.width - col, scene.grid.width)
    if bottom <= top or right <= left:
        return None
    size = (bottom - top, right - left)
    exact = RasterWindow.from_slices((top, bottom), (left, right))
    reflectance = _read_reflectance(scene, rasters["data"], exact, bands)
    is_valid = np.logical_and.reduce([np.ones(size, bool), *(np.isfinite(reflectance[band]) for band in needed)])
    dilation_px = settings.cloud_dilation_m / scene.grid.resolution_m
    margin = math.ceil(dilation_px)  # cloud beyond the window's edge counts too
    corner, around = (top - margin, left - margin), (size[0] + 2 * margin, size[1] + 2 * margin)
    scl = _read_classes(scene, rasters, corner, around)
    inner = np.s_[margin : margin + size[0], margin : margin + size[1]]
    valid = np.zeros(scl.shape, bool)
    valid[inner] = is_valid
    cloud, probable = _read_cloud(scene, rasters, corner, around, settings.max_cloud_probability)
    is_clear = compute_clear_mask(scl, valid, settings.clear_classes, dilation_px, probable)[inner]
    has_cloud = is_valid & (cloud[inner] != NO_CLOUD_DATA)
    is_whole = size == (window.height, window.width)
    row, col = row - window.row, col - window.col
    place = np.s_[row + top : row + bottom, col + left : col + right]

    def on_window(piece: NDArray[Any], fill: Any) -> NDArray[Any]:
        if is_whole:
            return piece
        whole = np.full((window.height, window.width), fill, dtype=piece.dtype)
        whole[place] = piece
        return whole

    return SceneCells(
        scene_id=scene.paths.scene_id,
        platform=scene.platform,
        observed_at_utc=scene.observed_at_utc,
        relative_orbit=scene.relative_orbit,
        solar_zenith_deg=scene.solar_zenith_deg,
        view_zenith_deg=scene.view_zenith_deg,
        is_present=on_window(np.ones_like(is_valid), False),
        is_valid=on_window(is_valid, False),
        is_clear=on_window(is_clear, False),
        reflectance={band: on_window(values, np.nan) for band, values in reflectance.items()},
        scl=on_window(scl[inner], NO_DATA_CLASS),
        cloud=on_window(cloud[inner], 0),
        has_cloud=on_window(has_cloud, False),
        tile=scene.tile,
        newness=scene.newness,
    )


def _read_classes(
    scene: StoredScene, rasters: Mapping[str, DatasetReader], corner: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the classification of a window that may reach beyond the scene's edge, as far as it is known there.

    `corner` is the window's first row and column on the scene's grid. Cloud beyond the scene's edge counts too.
    """
    sides = zip(corner, shape, (scene.grid.height, scene.grid.width), strict=True)
    is_within = all(first >= 0 and first + length <= size for first, length, size in sides)
    kinds = ("scl",) if is_within or AROUND not in rasters else (AROUND, "scl")
    return _read_beyond(scene, rasters, kinds, corner, shape, LAST_CLASS, NO_DATA_CLASS)


def _read_cloud(
    scene: StoredScene,
    rasters: Mapping[str, DatasetReader],
    corner: tuple[int, int],
    shape: tuple[int, int],
    max_probability: float | None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Return the cloud probability of a window that may reach beyond the scene's edge, and where it is above the limit.

    None for the latter where there is no probability or no limit.
    """
    kinds = ("cloud",) if "cloud" in rasters else ()
    percent = _read_beyond(scene, rasters, kinds, corner, shape, MOST_PERCENT, NO_CLOUD_DATA)
    return percent, is_probable(percent, max_probability) if kinds and max_probability is not None else None


def _read_beyond(
    scene: StoredScene,
    rasters: Mapping[str, DatasetReader],
    kinds: Sequence[str],
    corner: tuple[int, int],
    shape: tuple[int, int],
    last: int,
    fill: int,
) -> NDArray[np.uint8]:
    """Return what rasters of these kinds, a later one before an earlier, know of a window; `fill` beyond them."""
    values = np.full(shape, fill, np.uint8)
    for kind in kinds:
        source = rasters[kind]
        offset = offset_px(raster_grid(source, scene.paths.raster(kind)), scene.grid)
        first = [o + c for o, c in zip(offset, corner, strict=True)]  # on the raster, or before its edge
        known = [(max(f, 0), min(f + n, size)) for f, n, size in zip(first, shape, source.shape, strict=True)]
        if all(start < end for start, end in known):
            place = tuple(slice(start - f, end - f) for (start, end), f in zip(known, first, strict=True))
            window = RasterWindow.from_slices(*known)
            values[place] = _read_plain(scene, kind, rasters, window, last, fill)
    return values


def _read_reflectance(
    scene: StoredScene, source: DatasetReader, window: RasterWindow, bands: Collection[str] | None
) -> dict[str, NDArray[np.float32]]:
    wanted = [i for i, band in enumerate(scene.bands) if band and (bands is None or band in bands)]
    numbers = source.read([i + 1 for i in wanted], window=window)
    reflectance = {}
    for i, values in zip(wanted, numbers, strict=True):
        band, scale, offset = str(scene.bands[i]), scene.scales[i], scene.offsets[i]
        reflectance[band] = _scaled(values, scale, offset, scene.nodata)
        if (is_out := read_masked_out(source, i + 1, window=window)) is not None:
            reflectance[band][is_out] = np.nan
        packing = f"number x {scale:g} + {offset:g}"
        check_reflectance(f"{scene.paths.raster('data')}, {band}", reflectance[band], packing)
    return reflectance


def _scaled(numbers: NDArray[Any], scale: float, offset: float, nodata: float) -> NDArray[np.float32]:
    """Return number x scale + offset, NaN where a number is no data."""
    if numbers.dtype.itemsize > SHORT_BYTES or numbers.dtype.kind not in "iu":
        # In 64 bits first: 0.1234 is to be the 32-bit number nearest to 1234 x 0.0001.
        scaled = (numbers * np.float64(scale) + offset).astype(np.float32)
        return np.where(np.isfinite(scaled) & (numbers != nodata), scaled, np.float32(np.nan))
    # There are so few numbers that each is scaled once, and the pixels look theirs up.
    unsigned = np.dtype(f"u{numbers.dtype.itemsize}")
    every = np.arange(1 + np.iinfo(unsigned).max, dtype=unsigned).view(numbers.dtype).astype(np.int32)
    found = np.empty(numbers.shape, np.float32)
    return np.take(_scaled(every, scale, offset, nodata), numbers.view(unsigned), out=found, mode="clip")


def _read_plain(
    scene: StoredScene, kind: str, rasters: Mapping[str, DatasetReader], window: RasterWindow, last: int, fill: int
) -> NDArray[np.uint8]:
    """Classes or percentages of a window of one of the scene's rasters, `fill` where it has no data."""
    source, name = rasters[kind], scene.paths.raster(kind)
    if source.count > 1:
        raise InputError(name, f"{source.count} bands", "a file of one band")
    tags = source.scales[0], source.offsets[0]
    # 0 percent is a probability, whatever the raster declares as no data.
    nodata = source.nodata if source.nodata or fill == NO_DATA_CLASS else None
    numbers = source.read(1, window=window)
    if (is_out := read_masked_out(source, 1, window=window)) is None:
        return checked_plain(name, numbers, last, fill=fill, nodata=nodata, tags=tags)
    numbers[is_out] = 0  # whatever stands below a mask
    plain = checked_plain(name, numbers, last, fill=fill, nodata=nodata, tags=tags)
    plain[is_out] = fill
    return plain
