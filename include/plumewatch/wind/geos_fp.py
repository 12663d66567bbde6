"""GEOS-FP, the analysis of NASA's GMAO: hourly wind at 10 m and 50 m since December 2017, to a day ago, no account.

NASA's Center for Climate Simulation (NCCS) serves it by OPeNDAP, which cuts out the few nodes that are wanted; a file
of the HTTPS portal would be the whole globe, 100 MB and more an hour. Collection tavg1_2d_slv_Nx: means over an hour,
each in its middle, on 0.25 x 0.3125 degrees. Lucchesi, File Specification for GEOS-5 FP, GMAO Office Note 4.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import requests
from numpy.typing import NDArray

from plumewatch.errors import InputError, ServiceError
from plumewatch.http import download_existing, http_session
from plumewatch.netcdf.packing import Packing
from plumewatch.progress import followed
from plumewatch.tables import WIND
from plumewatch.wind.dap2 import parse_das, parse_dods
from plumewatch.wind.grids import CutOut, GlobalGrid
from plumewatch.wind.packing import read_packing, refuse_if_packed, unpack
from plumewatch.wind.product import HOUR, Product, TimesOf, wind_rows

COLLECTION = "tavg1_2d_slv_Nx"
LEVELS = {10.0: ("u10m", "v10m"), 50.0: ("u50m", "v50m")}
"""Height above ground in metres and the variables of u and v."""
VARIABLES = [name for pair in LEVELS.values() for name in pair]
GRID = GlobalGrid(-180.0, 0.3125, 1152, -90.0, 0.25, 721)
UNDEFINED = 1e14  # the collections have 1e15 where there is no value, as of hours that the server lacks
GRADS_TIME, GRADS_TIME_FULL_HOUR = "%H:%Mz%d%b%Y", "%Hz%d%b%Y"  # 00:30z01dec2017, 00z01dec2017
AXIS_UNITS = {"time": "days since", "lat": "degree", "lon": "degree"}
HOURLY_STEPS = ("60mn", "1hr")
DAYS_TOLERANCE = 1 / 1440  # a minute; the server's days are good to about a second
PLACE_TOLERANCE_DEG = 1e-3

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Extent:
    """The hours that the server has."""

    first: datetime
    """UTC."""
    last: datetime
    """UTC."""
    first_day: float
    """How the server's variable `time` counts the first."""
    packings: Mapping[str, Packing]
    """What the numbers of each variable mean."""


def read_wind(url: str, wanted: TimesOf) -> pa.Table:
    """Return rows of the table `wind` for the blocks of GRID and the times that are wanted, as far as they are there.

    `url` is the OPeNDAP folder that holds the collection.
    """
    dataset = _dataset(url)
    parts = [WIND.empty()]
    with http_session() as session:
        extent = _extent(session, dataset)
        log.info("geos_fp has the hours from %s to %s", extent.first, extent.last)
        blocks = [
            (cut_out, run)
            for cut_out, times in wanted.items()
            for run in _runs([at for at in times if extent.first <= at <= extent.last])
        ]
        for cut_out, run in followed(blocks, "geos_fp", "cut-outs"):
            parts.append(_read_block(session, dataset, cut_out, run, extent))
    return pa.concat_tables(parts)


def read_last_hour(session: requests.Session, url: str) -> datetime:
    """Return the last time that the server has; raises as `read_wind` does."""
    return _extent(session, _dataset(url)).last


def _dataset(url: str) -> str:
    return f"{url.rstrip('/')}/{COLLECTION}"


def _extent(session: requests.Session, dataset: str) -> _Extent:
    attributes = parse_das(download_existing(session, f"{dataset}.das"), dataset)
    missing = [name for name in (*VARIABLES, "time", "lat", "lon") if name not in attributes]
    if missing:
        raise InputError(dataset, f"no {', '.join(missing)}", f"a collection with {', '.join(VARIABLES)} on a grid")
    sizes, nodes = tuple(attributes[n].get("grads_size") for n in ("lat", "lon")), (str(GRID.rows), str(GRID.columns))
    step = attributes["time"].get("grads_step")
    if sizes != nodes or step not in HOURLY_STEPS:
        raise InputError(dataset, f"{sizes} nodes each {step}", f"{nodes} nodes each 60mn")
    packings = {name: read_packing(attributes[name], f"{dataset} {name}") for name in VARIABLES}
    for name, units in AXIS_UNITS.items():
        stated = str(attributes[name].get("units", units)).lower()
        if not stated.startswith(units):
            raise InputError(f"{dataset} {name}", f"units {stated!r}", units)
        refuse_if_packed(Packing.of(attributes[name], f"{dataset} {name}"))
    try:
        beginning = attributes["time"]["grads_min"]
        form = GRADS_TIME if ":" in beginning else GRADS_TIME_FULL_HOUR
        first = datetime.strptime(beginning, form).replace(tzinfo=UTC)
        last = first + (int(attributes["time"]["grads_size"]) - 1) * HOUR
    except (KeyError, ValueError, OverflowError) as error:
        raise InputError(
            dataset, f"times without a beginning or a number ({error})", "grads_min, grads_size"
        ) from error
    days = parse_dods(download_existing(session, f"{dataset}.dods?time[0:1:0]"), dataset).get("time")
    if days is None or days.size != 1:
        raise ServiceError(f"{dataset}: no value of `time` where its first was asked for")
    return _Extent(first, last, float(days.item()), packings)


def _read_block(
    session: requests.Session, dataset: str, cut_out: CutOut, times: Sequence[datetime], extent: _Extent
) -> pa.Table:
    first, last = ((at - extent.first) // HOUR for at in (times[0], times[-1]))
    c = cut_out
    block = f"[{first}:1:{last}][{c.first_row}:1:{c.last_row}][{c.first_column}:1:{c.last_column}]"
    found = parse_dods(
        download_existing(session, f"{dataset}.dods?{','.join(name + block for name in VARIABLES)}"), dataset
    )
    _check_place(dataset, found, cut_out, extent.first_day + np.arange(first, last + 1) / 24)
    lon, lat = GRID.nodes(cut_out)
    parts = []
    for height, names in LEVELS.items():
        u, v = (_values(dataset, name, found[name], extent) for name in names)
        parts += [wind_rows(lon, lat, at, height, (u[n], v[n])) for n, at in enumerate(times)]
    return pa.concat_tables(parts)


def _values(dataset: str, name: str, stored: NDArray[np.generic], extent: _Extent) -> Floats:
    numbers = np.where(np.abs(stored.astype(float)) < UNDEFINED, 0.0, np.nan)
    return unpack(extent.packings[name], stored, f"{dataset} {name}") + numbers


def _check_place(dataset: str, found: dict[str, NDArray[np.generic]], cut_out: CutOut, days: Floats) -> None:
    """The maps of the answer must be those of the block and times that were asked for."""
    rows = slice(cut_out.first_row, cut_out.last_row + 1)
    columns = slice(cut_out.first_column, cut_out.last_column + 1)
    maps = {
        "time": (days, DAYS_TOLERANCE),
        "lat": (GRID.latitudes[rows], PLACE_TOLERANCE_DEG),
        "lon": (GRID.longitudes[columns], PLACE_TOLERANCE_DEG),
    }
    agrees = all(name in found and found[name].shape == (len(days), *cut_out.shape) for name in VARIABLES)
    for name, (expected, tolerance) in maps.items():
        agrees = agrees and name in found and found[name].shape == expected.shape
        agrees = agrees and bool(np.allclose(found[name], expected, rtol=0, atol=tolerance))
    if not agrees:
        raise ServiceError(f"{dataset}: the answer has other places or times than asked for: {cut_out}")


def _runs(times: Sequence[datetime]) -> list[list[datetime]]:
    """Times in order, split where an hour is left out."""
    runs: list[list[datetime]] = []
    for at in times:
        if runs and at - runs[-1][-1] == HOUR:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs


GEOS_FP = Product(
    "geos_fp",
    GRID,
    first_minute=30,
    heights_m=tuple(LEVELS),
    url=lambda settings: settings.geos_fp_url,
    read=read_wind,
    last_hour=read_last_hour,
)
