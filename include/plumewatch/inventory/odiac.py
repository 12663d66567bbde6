"""ODIAC: fossil CO2 at 1 km from night lights and power plants (Oda et al. 2018, ESSD 10, 87), CC BY 4.0.

A GeoTIFF a month, `odiac2023_1km_excl_intl_YYMM.tif`: tonnes of carbon a cell and month, on land, without international
aviation and shipping. A release covers the world with 21,600 x 43,200 cells.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from plumewatch.constants import MOLAR_MASS_C_KG_MOL, MOLAR_MASS_CO2_KG_MOL
from plumewatch.errors import InputError
from plumewatch.gases import CO2
from plumewatch.inventory.grid_cells import Floats, Grid, believable_cells, cell_sources
from plumewatch.inventory.inventory import Inventory, OnSetAside, file_name, named, refusal, refuse_part, tell_set_aside
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.models import OnFailure
from plumewatch.rasters.reading import read_raster

NAME = "odiac"
LICENCE = "CC BY 4.0"
ALLOWED = "a GeoTIFF of ODIAC: one band of tonnes of carbon, degrees of longitude and latitude, north up"
CO2_OF_CARBON = MOLAR_MASS_CO2_KG_MOL / MOLAR_MASS_C_KG_MOL
IN_WORDS = "a name such as odiac2023_1km_excl_intl_2212.tif, of December 2022"
MONTHS = 12
BLOCK_CACHE_BYTES = 64 << 20  # of GDAL, which else keeps a twentieth of the machine's memory
MAX_WIDER = 1e-4  # of a cell: what a written pixel size may be off
MOST_PIXELS_AT_ONCE = 4_000_000  # 16 MB of float32
IN_NAME = re.compile(
    r"odiac(?P<release>[0-9]{4}[a-z]?)?.*_(?P<year>[0-9]{2})(?P<month>0[1-9]|1[0-2])\.tiff?$", re.IGNORECASE
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Month:
    release: str
    year: int
    month: int
    path: str


def read_odiac(
    paths: Sequence[str], on_failure: OnFailure | None = None, on_set_aside: OnSetAside | None = None
) -> pa.Table:
    """Return cells of 0.1 degree that emit much as rows of the table `sources`, of the newest release.

    The emission is the sum of the 12 months of the latest year that has all; without one that of the latest month times
    12, as the provenance says. Tonnes of carbon are taken times 44.01/12.01; packed ones are unpacked by the scale and
    offset that the file states. A cell is the sum of the pixels whose centre lies in it: wider pixels are refused. What
    is no data by the file's tag is none. Files that don't count are told to `on_set_aside`. A file that cannot be used,
    and negative pixels, raise InputError or are reported to `on_failure`.
    """
    months = []
    for path in paths:
        try:
            months.append(_month(path))
        except InputError as error:
            if on_failure is None or len(paths) == 1:
                raise
            on_failure(refusal(error, path))
    if not months:
        raise InputError(paths[0], "no file with a year and month in its name", IN_WORDS)
    chosen = _chosen(months)
    for left_out in (month for month in months if month not in chosen):
        what = f"isn't needed beside {chosen[0].year}{'' if len(chosen) > 1 else f'-{chosen[0].month:02d}'}"
        tell_set_aside(f"{file_name(left_out.path)}: {what} of ODIAC {chosen[0].release}", on_set_aside)
    grid = _grid()
    carbon = np.zeros((len(grid.latitude), len(grid.longitude)))
    for month in chosen:
        with rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE_BYTES):
            n_bad = read_raster(month.path, partial(_add, path=month.path, cells=carbon))
        if n_bad:
            refuse_part(month.path, "pixels", f"{n_bad} pixels negative or not finite", "0 or more", on_failure)
    emission, _ = believable_cells(carbon * (CO2_OF_CARBON * MONTHS / len(chosen)), CO2.name, chosen[0].path)
    how = (
        f"sum of 12 months of {chosen[0].year}"
        if len(chosen) == MONTHS
        else f"{chosen[0].year}-{chosen[0].month:02d} times 12"
    )
    provenance = f"ODIAC{chosen[0].release}, {how}, tonnes of carbon x 44/12"
    rows = cell_sources(emission, grid, CO2.name, chosen[0].year, NAME, LICENCE, provenance)
    log.info("%s: %d cells have a row", file_name(chosen[0].path), rows.num_rows)
    return rows


def _month(path: str) -> _Month:
    said = IN_NAME.search(file_name(path))
    if said is None:
        raise InputError(path, "no year and month in its name", IN_WORDS)
    return _Month(said["release"] or "", 2000 + int(said["year"]), int(said["month"]), path)


def _chosen(months: Sequence[_Month]) -> list[_Month]:
    """The months that count: a whole year, else the latest one."""
    release = max(month.release for month in months)
    of_release = {(m.year, m.month): m for m in sorted(months, key=lambda m: m.path) if m.release == release}
    of_year = {y: [of_release[key] for key in sorted(of_release) if key[0] == y] for y, _ in of_release}
    whole = [year for year, found in of_year.items() if len(found) == MONTHS]
    return of_year[max(whole)] if whole else [of_release[max(of_release)]]


def _grid() -> Grid:
    cell = inventory_factors().odiac.cell_deg
    lon, lat = (np.arange(round(2 * end / cell), dtype=np.float64) * cell - end + cell / 2 for end in (180.0, 90.0))
    return Grid.of(lon, lat, "odiac")[0]


def _add(source: DatasetReader, path: str, cells: Floats) -> int:
    """Add the pixels of a raster to the cells they lie in, window by window; return how many are no emission."""
    turn = source.transform
    is_degrees = source.crs is not None and source.crs.is_geographic and turn.b == turn.d == 0 and turn.a > 0 > turn.e
    if source.count != 1 or not is_degrees:
        raise InputError(path, f"{source.count} bands, CRS {source.crs}, transform {tuple(turn)[:6]}", ALLOWED)
    n_lat, n_lon = cells.shape
    size = 360.0 / n_lon
    lon = turn.c + (np.arange(source.width) + 0.5) * turn.a
    lat = turn.f + (np.arange(source.height) + 0.5) * turn.e
    if np.abs(lat).max() > 90 or np.abs(lon).max() > 360:
        raise InputError(path, f"from {lon[0]:g} to {lon[-1]:g} and {lat[0]:g} to {lat[-1]:g} degrees", ALLOWED)
    if max(turn.a, -turn.e) > size * (1 + MAX_WIDER):
        raise InputError(path, f"pixels of {turn.a:g} x {-turn.e:g} degrees", f"at most {size:g}, the side of a cell")
    column = np.floor(np.mod(lon + 180.0, 360.0) / size).astype(np.int64) % n_lon
    row = np.clip(np.floor((lat + 90.0) / size).astype(np.int64), 0, n_lat - 1)
    n_bad = 0
    added = np.zeros_like(cells)
    for window in _windows(source):
        stored = _unpacked(source, source.read(1, window=window))
        if not stored.any():
            continue
        is_bad = ~np.isfinite(stored) | (stored < 0)
        if is_bad.any():
            n_bad += int(is_bad.sum())
            stored[is_bad] = 0
        rows, columns = (of[start : start + n] for of, start, n in (
            (row, window.row_off, window.height), (column, window.col_off, window.width),
        ))  # fmt: skip
        first_lines = np.flatnonzero(np.diff(rows, prepend=-1))
        lines = np.add.reduceat(stored, first_lines, axis=0, dtype=np.float64)
        for line, of_row in zip(lines, rows[first_lines], strict=True):
            added[of_row] += np.bincount(columns, weights=line, minlength=n_lon)
    cells += added
    return n_bad


def _unpacked(source: DatasetReader, stored: NDArray[Any]) -> NDArray[Any]:
    """Tonnes of pixels by the tags of their raster, 0 where there is no data."""
    none = None if source.nodata is None else np.isnan(stored) if np.isnan(source.nodata) else stored == source.nodata
    scale, offset = source.scales[0], source.offsets[0]
    if (scale, offset) != (1.0, 0.0):
        stored = stored * scale + offset
    if none is not None:
        stored[none] = 0
    return stored


def _windows(source: DatasetReader) -> Iterator[Window]:
    """Parts of a raster, whole blocks of the file each, so that no block is read twice."""
    tall, wide = source.block_shapes[0]
    width = source.width if wide >= source.width else max(wide, MOST_PIXELS_AT_ONCE // tall // wide * wide)
    height = max(tall, MOST_PIXELS_AT_ONCE // width // tall * tall)
    for top in range(0, source.height, height):
        for left in range(0, source.width, width):
            yield Window(left, top, min(width, source.width - left), min(height, source.height - top))


INVENTORY = Inventory(NAME, named(r".*odiac.*\.tiff?"), read_odiac, ".tif")
