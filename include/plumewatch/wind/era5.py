"""ERA5, the reanalysis of ECMWF: hourly wind at 10 m and 100 m from 1940 to about a week ago, no account.

Google keeps a copy (ARCO-ERA5, Carver and Merose 2023, github.com/google-research/arco-era5) as a Zarr store in a
public bucket; Hersbach et al. 2020, doi:10.1002/qj.3803. One chunk is one variable and hour of the whole globe, about
2 MB, so only the chunks of wanted hours are downloaded. The last three months are preliminary (ERA5T).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa
import requests
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import Buffer, cpu
from zarr.storage import MemoryStore

from plumewatch.errors import InputError, ServiceError
from plumewatch.http import download, download_existing, http_session
from plumewatch.tables import WIND
from plumewatch.wind.grids import CutOut, GlobalGrid
from plumewatch.wind.product import HOUR, Product, TimesOf, wind_rows

LEVELS = {
    10.0: ("10m_u_component_of_wind", "10m_v_component_of_wind"),
    100.0: ("100m_u_component_of_wind", "100m_v_component_of_wind"),
}
"""Height above ground in metres and the variables of u and v."""
GRID = GlobalGrid(0.0, 0.25, 1440, 90.0, -0.25, 721)
HOUR_ZERO = datetime(1900, 1, 1, tzinfo=UTC)
TIME_UNITS = "hours since 1900-01-01"
# The axis of time goes on to 2050, empty; these attributes say where the data end. The later one counts.
LAST_DAYS = ("valid_time_stop", "valid_time_stop_era5t")
DATE_DIGITS = 10  # of 2025-05-31 and of 2025-05-31T23:00

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Array:
    """One variable of the store."""

    name: str
    """Its folder."""
    description: bytes
    """Its .zarray."""
    empty: zarr.Array
    """The array without any chunk."""


def read_wind(url: str, wanted: TimesOf) -> pa.Table:
    """Return rows of the table `wind` for the blocks of GRID and the times that are wanted, as far as they are there.

    `url` is the Zarr store.
    """
    store = url.rstrip("/")
    with http_session() as session:
        last = _last_time(session, store)
        log.info("era5 has the hours to %s", last)
        blocks_of: dict[datetime, list[CutOut]] = {}
        for cut_out, times in wanted.items():
            for at in times:
                if at <= last:
                    blocks_of.setdefault(at, []).append(cut_out)
        if not blocks_of:
            return WIND.empty()
        arrays = {n: _array(session, store, n) for pair in LEVELS.values() for n in pair}
        hours = [_read_hour(session, store, arrays, at, blocks) for at, blocks in sorted(blocks_of.items())]
    return pa.concat_tables(hours)


def _last_time(session: requests.Session, store: str) -> datetime:
    """The last hour that the store says to hold."""
    attributes = _json(session, store, ".zattrs")
    days = {name: attributes[name] for name in LAST_DAYS if attributes.get(name) is not None}
    if not days:
        raise InputError(store, "no attribute that says where the data end", f"one of {', '.join(LAST_DAYS)}")
    units = str(_json(session, store, "time/.zattrs").get("units"))
    if not units.startswith(TIME_UNITS):
        raise InputError(store, f"times in {units!r}", TIME_UNITS)
    try:
        last = max(date.fromisoformat(str(day)[:DATE_DIGITS]) for day in days.values())
    except ValueError as error:
        raise ServiceError(f"{store}: the data end {days}; allowed: dates") from error
    return datetime.combine(last, time(23), UTC)


def _array(session: requests.Session, store: str, name: str) -> _Array:
    description = download_existing(session, f"{store}/{name}/.zarray")
    try:
        array = _open({".zarray": description})
    except Exception as error:  # zarr and its codecs raise what they like at a description
        raise InputError(f"{store}/{name}", f"not a Zarr array ({error})", "a Zarr 2 array") from error
    shape, chunks = (GRID.rows, GRID.columns), array.chunks
    if array.shape[1:] != shape or chunks != (1, *shape):
        found = f"shape {array.shape}, chunks {chunks}"
        raise InputError(f"{store}/{name}", found, f"hours of {shape[0]} x {shape[1]} nodes, one a chunk")
    return _Array(name, description, array)


def _read_hour(
    session: requests.Session, store: str, arrays: Mapping[str, _Array], at: datetime, blocks: list[CutOut]
) -> pa.Table:
    index = (at - HOUR_ZERO) // HOUR
    parts = []
    for height, names in LEVELS.items():
        u, v = (_read_chunk(session, store, arrays[name], index) for name in names)
        for c in blocks:
            block = slice(c.first_row, c.last_row + 1), slice(c.first_column, c.last_column + 1)
            parts.append(wind_rows(*GRID.nodes(c), at, height, (u[block], v[block])))
    return pa.concat_tables(parts)


def _read_chunk(session: requests.Session, store: str, array: _Array, index: int) -> NDArray[np.float64]:
    """One hour of the globe; NaN where the store has no such chunk."""
    if index >= array.empty.shape[0]:
        raise ServiceError(f"{store}/{array.name}: {array.empty.shape[0]} hours, fewer than the store says to hold")
    key = array.empty.metadata.encode_chunk_key((index, 0, 0))
    chunk = download(session, f"{store}/{array.name}/{key}")
    if chunk is None:
        return np.full((GRID.rows, GRID.columns), np.nan)
    try:
        return np.asarray(_open({".zarray": array.description, key: chunk})[index], dtype=float)
    except Exception as error:  # each codec has errors of its own: zlib.error, SystemError of blosc
        raise ServiceError(f"{store}/{array.name}/{key}: {len(chunk)} bytes that can't be unpacked: {error}") from error


def _open(objects: Mapping[str, bytes]) -> zarr.Array:
    """The array that the objects of its folder make."""
    content: dict[str, Buffer] = {name: cpu.Buffer.from_bytes(data) for name, data in objects.items()}
    return zarr.open_array(MemoryStore(content), mode="r", zarr_format=2)


def _json(session: requests.Session, store: str, name: str) -> dict[str, Any]:
    try:
        content = json.loads(download_existing(session, f"{store}/{name}"))
    except ValueError as error:
        raise ServiceError(f"{store}/{name}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ServiceError(f"{store}/{name}: not a JSON object")
    return content


ERA5 = Product(
    "era5", GRID, first_minute=0, heights_m=tuple(LEVELS), url=lambda settings: settings.era5_url, read=read_wind
)
