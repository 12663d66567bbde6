"""EDGAR grids of CO2 and CH4 (Joint Research Centre of the European Commission), NetCDF files of a year.

Since v8 `*_emi.nc` has `emissions` (tonnes a cell and year) and `*_flx.nc` has `fluxes` (kg m-2 s-1); up to v6
`emi_co2` and `emi_ch4` are fluxes, and longitudes run from 0 to 360. CO2 is fossil; `CO2bio`, or `org_short-cycle_C` in
older names, is another file and isn't read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import InputError, reading
from plumewatch.gases import GASES
from plumewatch.inventory.edgar_file import ALLOWED, Layer, read_layer, read_layers
from plumewatch.inventory.grid_cells import Floats, Grid, believable_cells, cell_sources
from plumewatch.inventory.inventory import Inventory, OnSetAside, file_name, named, refusal, refuse_part, tell_set_aside
from plumewatch.models import OnFailure
from plumewatch.tables import SOURCES

NAME = "edgar"
TOTALS = "TOTALS"

log = logging.getLogger(__name__)


def read_edgar(
    paths: Sequence[str], on_failure: OnFailure | None = None, on_set_aside: OnSetAside | None = None
) -> pa.Table:
    """Return the cells of grids that emit much as rows of the table `sources`, for each gas of its latest year.

    Where there is a file of all sectors (`TOTALS`) it counts alone, else the sum of the sectors that are there; of a
    sector in both units that of tonnes. A flux becomes an emission by the area of its cell. What doesn't count, and
    how many cells lack months, is told to `on_set_aside`. A file that cannot be used, and negative cells, raise
    InputError or are reported to `on_failure`; of a gas whose sectors are to be added up, none may be missing. Raises
    InputError where no file can be used.
    """
    layers: list[Layer] = []
    unread: list[InputError] = []
    for path in paths:
        try:
            layers += _of_file(path)
        except InputError as error:
            if on_failure is None:
                raise
            on_failure(refusal(error, path))
            unread.append(error)
    if not layers:
        raise unread[0]
    tables = [SOURCES.empty()]
    for gas in GASES:
        try:
            chosen = _chosen([layer for layer in layers if layer.gas == gas], on_set_aside)
            if chosen and unread and chosen[0].sector != TOTALS:
                raise InputError(unread[0].file, "not readable, and it may be a sector", "all sectors, or TOTALS")
            tables += [_cells(chosen, gas, on_failure, on_set_aside)] if chosen else []
        except InputError as error:
            if on_failure is None:
                raise
            on_failure(refusal(error, error.file))
    return SOURCES.conform(pa.concat_tables(tables))


def _of_file(path: str) -> list[Layer]:
    with storage.local_copy(path) as local, reading(path, ALLOWED):
        return read_layers(local, path)


def _chosen(layers: Sequence[Layer], on_set_aside: OnSetAside | None) -> list[Layer]:
    """The layers of a gas that count: of the latest year, all sectors in one or the single ones, tonnes or fluxes."""
    if not layers:
        return []
    year = max(layer.year for layer in layers)
    of_year = [layer for layer in layers if layer.year == year]
    sectors: dict[str, Layer] = {}
    for layer in sorted(of_year, key=lambda layer: (layer.is_flux, layer.path)):
        known = sectors.setdefault(layer.sector, layer)
        if known is not layer and known.is_flux == layer.is_flux:
            found = f"{known.title} in {file_name(known.path)} and {file_name(layer.path)}"
            raise InputError(layer.path, found, "one release of a gas, year and sector")
    chosen = [sectors[TOTALS]] if TOTALS in sectors else list(sectors.values())
    left_out = [layer for layer in layers if layer not in chosen]
    for layer in left_out:
        tell_set_aside(f"{file_name(layer.path)}: {layer.title} isn't needed beside {chosen[0].title}", on_set_aside)
    return chosen


def _cells(
    layers: Sequence[Layer], gas: str, on_failure: OnFailure | None, on_set_aside: OnSetAside | None
) -> pa.Table:
    total: Floats | None = None
    grid: Grid | None = None
    for layer in layers:
        with storage.local_copy(layer.path) as local, reading(layer.path, ALLOWED):
            cells = read_layer(local, layer)
        if cells.n_gaps:
            what = f"{cells.n_gaps} cells have no value in some months, and emit nothing in them"
            tell_set_aside(f"{file_name(layer.path)}: {layer.title}: {what}", on_set_aside)
        emission, n_bad = believable_cells(cells.emission_t_y, gas, layer.path)
        if n_bad:
            refuse_part(layer.path, "cells", f"{n_bad} cells negative or infinite", "0 or more", on_failure)
        if grid is not None and not grid.is_like(cells.grid):
            raise InputError(layer.path, "another grid than the other sectors", "one grid")
        grid, emission = cells.grid, np.nan_to_num(emission, copy=False)
        total = emission if total is None else total + emission
    assert grid is not None and total is not None
    names = ", ".join(sorted(layer.sector for layer in layers))
    files = file_name(layers[0].path) if len(layers) == 1 else f"{len(layers)} sectors"
    rows = cell_sources(total, grid, gas, layers[0].year, NAME, layers[0].licence, f"EDGAR {names}, {files}")
    log.info("%s: %d of %d cells of %s have a row", files, rows.num_rows, total.size, gas)
    return rows


INVENTORY = Inventory(NAME, named(r".*edgar.*\.nc|v[4-9][0-9.]*_.*(co2|ch4).*\.nc"), read_edgar, ".nc")
