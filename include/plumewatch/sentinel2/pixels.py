"""The rows of the pixel table: where cells lie, which of several scenes shows a cell, what it shows there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.geodesy import degrees_of, wrap_longitude
from plumewatch.models import Grid
from plumewatch.sensors.sensor import METHANE_BANDS
from plumewatch.tables import PIXELS

LATTICE_M = 1280.0  # 64 pixels of 20 m: filling in between is right to 0.04 m at 45 degrees, 0.2 m at 80 degrees

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CellWindow:
    """A rectangle of cells of an area's grid."""

    row: int
    """First row, from the north."""
    col: int
    """First column, from the west."""
    height: int
    """Rows."""
    width: int
    """Columns."""


@dataclass(frozen=True, eq=False)
class SceneCells:
    """What one scene shows in a window; all arrays are height x width."""

    scene_id: str
    """Id of the scene."""
    platform: str
    """sentinel-2a, sentinel-2b ..."""
    observed_at_utc: str | None
    """ISO 8601."""
    relative_orbit: int | None
    """1 to 143."""
    solar_zenith_deg: float | None
    """Of the scene."""
    view_zenith_deg: float
    """Of the scene."""
    is_present: Mask
    """Where the scene's raster has a cell at all, with data or without."""
    is_valid: Mask
    """Where the bands of methane have data."""
    is_clear: Mask
    """Where the ground is seen."""
    reflectance: Mapping[str, NDArray[np.float32]]
    """By band (B11), NaN where it has no data."""
    scl: NDArray[np.uint8]
    """Scene classification."""
    cloud: NDArray[np.uint8]
    """Cloud probability in percent."""
    has_cloud: Mask
    """Where there is a cloud probability."""
    tile: str = ""
    """MGRS tile, empty where unknown."""
    newness: Any = ()
    """Orders the products of one acquisition of a tile."""


def compute_coordinates(grid: Grid, window: CellWindow) -> tuple[Floats, Floats]:
    """Return longitude and latitude (degrees, height x width) of the centres of a window's cells.

    Exact on a lattice of about 1280 m that is fixed to the grid, bilinear in between: the error grows with the square
    of the step and is 0.04 m at a latitude of 45 degrees. A cell has the same coordinates in whatever window.
    """
    step = max(1, int(LATTICE_M // grid.resolution_m))
    rows, row_of, row_fraction = _lattice(window.row, window.height, step)
    cols, col_of, col_fraction = _lattice(window.col, window.width, step)
    to_lonlat = degrees_of(grid.crs)
    eastings, northings = np.meshgrid(
        grid.west + (cols + 0.5) * grid.resolution_m, grid.north - (rows + 0.5) * grid.resolution_m
    )
    longitudes, latitudes = to_lonlat.transform(eastings, northings)
    corner, _ = to_lonlat.transform(grid.west, grid.north)
    longitudes = wrap_longitude(longitudes - corner)  # in one piece across the antimeridian

    def fill_in(nodes: Floats) -> Floats:
        across = nodes[:, col_of] * (1.0 - col_fraction) + nodes[:, col_of + 1] * col_fraction
        filled = np.empty((window.height, window.width))
        for node in range(len(rows) - 1):  # so few rows at once stay in the processor's cache
            between = row_of == node
            fraction = row_fraction[between, None]
            filled[between] = across[node] * (1.0 - fraction) + across[node + 1] * fraction
        return filled

    longitude = fill_in(longitudes)
    longitude += corner
    return wrap_longitude(longitude), fill_in(latitudes)


def _lattice(first: int, length: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """The lattice's cells around first..first+length-1; which is before each cell, and how far the cell is past it."""
    start = first // step
    nodes = np.arange(start, (first + length - 1) // step + 2) * step
    cells = np.arange(first, first + length)
    return nodes, cells // step - start, (cells % step) / step


def compute_pixel_rows(
    grid: Grid, window: CellWindow, scenes: Sequence[SceneCells], longitude: Floats, latitude: Floats, is_inside: Mask
) -> pa.Table:
    """Return the rows of the pixel table of one overpass in a window, sorted by row and column.

    Of several products of a tile the newest that is valid shows a cell. A cell that several tiles show is taken from
    one where it is clear, else from one where it is valid, else from any; among equals from the first id. Cells outside
    the area (`is_inside`) or shown by no scene have no row.
    """
    scenes = sorted(scenes, key=lambda s: s.scene_id)
    is_row = is_inside & np.logical_or.reduce([s.is_present for s in scenes])
    is_whole = bool(is_row.all())

    def flat(array: NDArray[Any]) -> NDArray[Any]:
        return array.ravel() if is_whole else array[is_row]

    chosen = None if len(scenes) == 1 else flat(best_scene(scenes))

    def pick(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        if chosen is None:
            return flat(arrays[0])
        picked = flat(arrays[0]).copy()
        for number, array in enumerate(arrays[1:], 1):
            np.copyto(picked, flat(array), where=chosen == number)
        return picked

    b11, b12 = (pick([s.reflectance[band] for s in scenes]) for band in METHANE_BANDS)
    n = b11.size

    def spread(values: Sequence[Any], column: str) -> pa.Array:
        kind = PIXELS.schema.field(column).type
        if pa.types.is_string(kind):  # a dictionary: the same text isn't written out for each row
            which = np.zeros(n, np.int32) if chosen is None else chosen.astype(np.int32)
            return pa.DictionaryArray.from_arrays(which, pa.array(values, kind))
        one_each = pa.array(values, kind)
        if chosen is not None:
            return one_each.take(pa.array(chosen))
        same = np.full(n, one_each.fill_null(0).to_numpy(zero_copy_only=False)[0])
        return pa.array(same, kind) if values[0] is not None else pa.nulls(n, kind)

    row, col = np.ogrid[window.row : window.row + window.height, window.col : window.col + window.width]
    columns = {
        "scene_id": spread([s.scene_id for s in scenes], "scene_id"),
        "platform": spread([s.platform for s in scenes], "platform"),
        "observed_at_utc": spread([_microseconds(s.observed_at_utc) for s in scenes], "observed_at_utc"),
        "relative_orbit": spread([s.relative_orbit for s in scenes], "relative_orbit"),
        "epsg": np.full(n, grid.epsg, np.int32),
        "pixel_size_m": np.full(n, grid.resolution_m, np.float32),
        "row": flat(np.broadcast_to(row.astype(np.int32), is_row.shape)),
        "col": flat(np.broadcast_to(col.astype(np.int32), is_row.shape)),
        "longitude": flat(longitude),
        "latitude": flat(latitude),
        "b11": b11,
        "b12": b12,
        "b_diff": b11 - b12,
        "scl": pick([s.scl for s in scenes]),
        "cloud_probability_percent": pa.array(
            pick([s.cloud for s in scenes]), mask=~pick([s.has_cloud for s in scenes])
        ),
        "is_clear": pick([s.is_clear for s in scenes]),
        "solar_zenith_deg": spread([s.solar_zenith_deg for s in scenes], "solar_zenith_deg"),
        "view_zenith_deg": spread([s.view_zenith_deg for s in scenes], "view_zenith_deg"),
    }
    empty = np.full(is_inside.shape, np.nan, np.float32)
    for band in sorted({b for s in scenes for b in s.reflectance} - set(METHANE_BANDS)):
        lacks = np.array([band not in s.reflectance for s in scenes])
        values = pick([s.reflectance.get(band, empty) for s in scenes])
        columns[band.lower()] = pa.array(values, mask=None if chosen is None else lacks[chosen])
    return PIXELS.from_columns(columns, keep_dictionaries=True)


def best_scene(scenes: Sequence[SceneCells]) -> NDArray[np.intp]:
    """Return the index of the scene that each cell is taken from."""
    rank = np.stack([s.is_present.astype(np.uint8) + s.is_valid + s.is_clear for s in scenes])
    for older, newer in _replacements(scenes):
        rank[older] = np.where(scenes[newer].is_valid, np.uint8(0), rank[older])
    return rank.argmax(axis=0)  # the first of equals


def _replacements(scenes: Sequence[SceneCells]) -> list[tuple[int, int]]:
    """Return the indices of an older and a newer product, for each two of one tile."""
    return [
        (i, j)
        for i, one in enumerate(scenes)
        for j, other in enumerate(scenes)
        if one.tile and one.tile == other.tile and one.newness < other.newness
    ]


def _microseconds(time: str | None) -> int | None:
    return None if time is None else int(np.datetime64(time.removesuffix("+00:00"), "us").astype(np.int64))
