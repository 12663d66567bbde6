"""ERA5, the reanalysis of ECMWF: hourly wind at 10 m and 100 m from 1940 to about a week ago, no account.

Google keeps a copy (ARCO-ERA5, Carver and Merose 2023, github.com/google-research/arco-era5) as a Zarr store in a
public bucket; Hersbach et al. 2020, doi:10.1002/qj.3803. One chunk is one variable and hour of the whole globe, about
2 MB, so only the chunks of wanted hours are downloaded. The last three months are preliminary (ERA5T).
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
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
from plumewatch.netcdf.packing import Packing
from plumewatch.netcdf.time_units import ALLOWED, STANDARD, parse_time_units
from plumewatch.progress import followed
from plumewatch.tables import WIND
from plumewatch.wind.grids import CutOut, GlobalGrid
from plumewatch.wind.packing import WIND_UNITS, read_packing, unpack
from plumewatch.wind.product import HOUR, Product, TimesOf, wind_rows

LEVELS = {
    10.0: ("10m_u_component_of_wind", "10m_v_component_of_wind"),
    100.0: ("100m_u_component_of_wind", "100m_v_component_of_wind"),
}
"""Height above ground in metres and the variables of u and v."""
GRID = GlobalGrid(0.0, 0.25, 1440, 90.0, -0.25, 721)
HOUR_ZERO = datetime(1900, 1, 1, tzinfo=UTC)
AXES = ("time", "latitude", "longitude")
DIMENSIONS = "_ARRAY_DIMENSIONS"
PLACE_TOLERANCE_DEG = 1e-3
DEGREES = ("degrees_north", "degrees_east", "degree_north", "degree_east", "degrees", "degree")
# The axis of time goes on to 2050, empty; these attributes say where the data end. The later one counts.
LAST_DAYS = ("valid_time_stop", "valid_time_stop_era5t")
BLOSC_SIZES, BLOSC_SIZES_AT = struct.Struct("<III"), 4  # unpacked, of a block, packed with the header of 16 bytes
MOST_CHUNK_BYTES = 2**26  # of the globe in one hour 4 MB, of the axis of time 11 MB
DATE_DIGITS = 10  # of 2025-05-31 and of 2025-05-31T23:00

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Array:
    """One variable of the store."""

    path: str
    """Its folder."""
    attributes: Mapping[str, Any]
    """Its .zattrs."""
    description: bytes
    """Its .zarray."""
    empty: zarr.Array
    """The array without any chunk."""
    packing: Packing
    """What its numbers mean."""


@dataclass(frozen=True)
class _Layout:
    """Where the store has the nodes of GRID and the hours."""

    rows: NDArray[np.intp]
    """Row of the store, one a row of GRID."""
    columns: NDArray[np.intp]
    """Column of the store, one a column of GRID."""
    hour_zero: datetime
    """The time of its first hour."""


def read_wind(url: str, wanted: TimesOf) -> pa.Table:
    """Return rows of the table `wind` for the blocks of GRID and the times that are wanted, as far as they are there.

    `url` is the Zarr store. Order, epoch, unit, scale, offset and fill are what the store states of them; where it
    states nothing, those of ARCO-ERA5 hold. Raises InputError where they can't be those of ERA5.
    """
    store = url.rstrip("/")
    with http_session() as session:
        last = read_last_hour(session, store)
        log.info("era5 has the hours to %s", last)
        blocks_of: dict[datetime, list[CutOut]] = {}
        for cut_out, times in wanted.items():
            for at in times:
                if at <= last:
                    blocks_of.setdefault(at, []).append(cut_out)
        if not blocks_of:
            return WIND.empty()
        arrays = {n: _wind_array(session, store, n) for pair in LEVELS.values() for n in pair}
        layout = _layout(session, store, max(blocks_of))
        wanted_hours = followed(sorted(blocks_of.items()), "era5", "hours")
        hours = [_read_hour(session, arrays, layout, at, blocks) for at, blocks in wanted_hours]
    return pa.concat_tables([WIND.empty(), *hours])


def read_last_hour(session: requests.Session, url: str) -> datetime:
    """Return the last hour that the store says to hold; raises as `read_wind` does."""
    store = url.rstrip("/")
    attributes = _json(session, store, ".zattrs")
    days = {name: attributes[name] for name in LAST_DAYS if attributes.get(name) is not None}
    if not days:
        raise InputError(store, "no attribute that says where the data end", f"one of {', '.join(LAST_DAYS)}")
    try:
        last = max(date.fromisoformat(str(day)[:DATE_DIGITS]) for day in days.values())
    except ValueError as error:
        raise ServiceError(f"{store}: the data end {days}; allowed: dates") from error
    return datetime.combine(last, time(23), UTC)


def _layout(session: requests.Session, store: str, last: datetime) -> _Layout:
    """The store's axes; `last` is the last hour that is wanted."""
    rows = _nodes(session, f"{store}/{AXES[1]}", GRID.latitudes)
    columns = _nodes(session, f"{store}/{AXES[2]}", GRID.longitudes)
    path = f"{store}/{AXES[0]}"
    epoch, step = _epoch_and_step(_json(session, store, f"{AXES[0]}/.zattrs"), path)
    axis = _axis(session, path, units=None)
    if axis is None:
        if (epoch, step) != (HOUR_ZERO, HOUR):
            raise InputError(path, f"no array, times since {epoch:%Y-%m-%d %H:%M}", f"hours since {HOUR_ZERO:%Y-%m-%d}")
        return _Layout(rows, columns, HOUR_ZERO)
    first = epoch + float(_values(session, axis, 0, 1)[0]) * step
    index = min(max(0, (last - first) // HOUR), axis.empty.shape[0] - 1)
    found = epoch + float(_values(session, axis, index, index + 1)[0]) * step
    if found != first + index * HOUR:
        raise InputError(path, f"{found} as time {index} after {first}", "a time each hour")
    return _Layout(rows, columns, first)


def _nodes(session: requests.Session, path: str, degrees: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where an axis of the store has the places of GRID, in whatever order it has them."""
    axis = _axis(session, path, units=DEGREES)
    if axis is None:
        return np.arange(len(degrees))
    stated = _values(session, axis, 0, axis.empty.shape[0])
    apart = np.abs((stated[None, :] - degrees[:, None] + 180.0) % 360.0 - 180.0)
    if len(stated) != len(degrees) or not (apart.min(axis=1, initial=np.inf) <= PLACE_TOLERANCE_DEG).all():
        found = f"{len(stated)} places from {stated[0]} to {stated[-1]}" if len(stated) else "no places"
        raise InputError(path, found, f"the {len(degrees)} of ERA5 from {degrees[0]} to {degrees[-1]}, in any order")
    return apart.argmin(axis=1)


def _axis(session: requests.Session, path: str, units: tuple[str, ...] | None) -> _Array | None:
    """A variable of one dimension; None where the store has none, so that it says nothing of this axis."""
    axis = _array(session, path, units)
    if axis is None or axis.empty.ndim != 1:
        log.warning("era5: %s: no such axis in the store: it is taken to be as that of ARCO-ERA5", path)
        return None
    return axis


def _wind_array(session: requests.Session, store: str, name: str) -> _Array:
    path = f"{store}/{name}"
    array = _array(session, path, units=WIND_UNITS)
    if array is None:
        raise ServiceError(f"{path}/.zarray: HTTP 404", 404)
    axes = array.attributes.get(DIMENSIONS)
    shape, chunks = (GRID.rows, GRID.columns), array.empty.chunks
    if array.empty.shape[1:] != shape or chunks != (1, *shape) or (axes is not None and tuple(axes) != AXES):
        found = f"shape {array.empty.shape}, chunks {chunks}, axes {axes}"
        raise InputError(path, found, f"hours of {shape[0]} x {shape[1]} nodes, one a chunk, by {', '.join(AXES)}")
    return array


def _array(session: requests.Session, path: str, units: tuple[str, ...] | None) -> _Array | None:
    """A variable with what it says of itself; None where there is none. `units` that aren't given aren't looked at."""
    description = download(session, f"{path}/.zarray")
    if description is None:
        return None
    try:
        array = _open({".zarray": description})
    except Exception as error:  # zarr and its codecs raise what they like at a description
        raise InputError(path, f"not a Zarr array ({error})", "a Zarr 2 array") from error
    attributes = _json(session, path, ".zattrs", is_needed=False)
    fill = array.fill_value
    stated = {**({"_FillValue": fill} if fill else {}), **attributes}
    if units is None:
        stated.pop("units", None)
    return _Array(path, attributes, description, array, read_packing(stated, path, units or ()))


def _epoch_and_step(attributes: Mapping[str, Any], path: str) -> tuple[datetime, timedelta]:
    """When 0 is on an axis of time, and how long one is; InputError where its attributes say neither."""
    units, calendar = str(attributes.get("units")), str(attributes.get("calendar", STANDARD))
    since = parse_time_units(units, calendar)
    if since is None:
        raise InputError(path, f"times in {units!r}, calendar {calendar}", ALLOWED)
    return datetime.fromtimestamp(since.epoch_s, UTC), timedelta(seconds=since.step_s)


def _values(session: requests.Session, axis: _Array, first: int, end: int) -> NDArray[np.float64]:
    """Values `first` to before `end` of an axis; its numbers may be integers. InputError where one is missing."""
    if axis.empty.shape[0] < end:
        raise InputError(axis.path, f"{axis.empty.shape[0]} values", f"at least {end}")
    size = axis.empty.chunks[0]
    objects = {".zarray": axis.description}
    for number in range(first // size, (end - 1) // size + 1) if end > first else ():
        key = axis.empty.metadata.encode_chunk_key((number,))
        objects[key] = download_existing(session, f"{axis.path}/{key}")
    stored = _unpacked(objects, slice(first, end), axis.path)
    if stored.dtype.kind in "iu" and not axis.packing.is_stated:
        stored = stored.astype(float)
    values = unpack(axis.packing, stored, axis.path)
    if not np.isfinite(values).all():
        raise InputError(axis.path, "values that are missing", "an axis without holes")
    return values


def _read_hour(
    session: requests.Session, arrays: Mapping[str, _Array], layout: _Layout, at: datetime, blocks: list[CutOut]
) -> pa.Table:
    index = (at - layout.hour_zero) // HOUR
    parts = [WIND.empty()]
    for height, names in LEVELS.items() if index >= 0 else ():
        u, v = (_read_chunk(session, arrays[name], index) for name in names)
        for c in blocks:
            rows, columns = (
                layout.rows[c.first_row : c.last_row + 1],
                layout.columns[c.first_column : c.last_column + 1],
            )
            block = np.ix_(rows, columns)
            parts.append(wind_rows(*GRID.nodes(c), at, height, (u[block], v[block])))
    return pa.concat_tables(parts)


def _read_chunk(session: requests.Session, array: _Array, index: int) -> NDArray[np.float64]:
    """One hour of the globe; NaN where the store has no such chunk."""
    if index >= array.empty.shape[0]:
        raise ServiceError(f"{array.path}: {array.empty.shape[0]} hours, fewer than the store says to hold")
    key = array.empty.metadata.encode_chunk_key((index, 0, 0))
    chunk = download(session, f"{array.path}/{key}")
    if chunk is None:
        return np.full((GRID.rows, GRID.columns), np.nan)
    stored = _unpacked({".zarray": array.description, key: chunk}, index, f"{array.path}/{key}")
    return unpack(array.packing, stored, array.path)


def _unpacked(objects: Mapping[str, bytes], which: int | slice, source: str) -> NDArray[np.generic]:
    """The numbers that are stored in the chunks of an array."""
    try:
        _require_whole_blosc(objects)
        return np.asarray(_open(objects)[which])
    except Exception as error:  # each codec has errors of its own: zlib.error, SystemError of blosc
        size = sum(len(data) for name, data in objects.items() if name != ".zarray")
        raise ServiceError(f"{source}: {size} bytes that can't be unpacked: {error}") from error


def _require_whole_blosc(objects: Mapping[str, bytes]) -> None:
    """Raise ValueError where a chunk packed by Blosc isn't as long as it says, or is said to become far too long.

    Blosc itself believes its header (C-Blosc, README_CHUNK_FORMAT), and reads beyond the end.
    """
    if (json.loads(objects[".zarray"]).get("compressor") or {}).get("id") != "blosc":
        return
    for name, data in objects.items():
        if name == ".zarray":
            continue
        n_unpacked, _, n_packed = BLOSC_SIZES.unpack_from(data, BLOSC_SIZES_AT)
        if n_packed != len(data) or n_unpacked > MOST_CHUNK_BYTES:
            raise ValueError(f"its header says {n_packed} bytes that become {n_unpacked}")


def _open(objects: Mapping[str, bytes]) -> zarr.Array:
    """The array that the objects of its folder make."""
    content: dict[str, Buffer] = {name: cpu.Buffer.from_bytes(data) for name, data in objects.items()}
    return zarr.open_array(MemoryStore(content), mode="r", zarr_format=2)


def _json(session: requests.Session, store: str, name: str, is_needed: bool = True) -> dict[str, Any]:
    """An object of the store; one that isn't needed is empty where it isn't there."""
    address = f"{store}/{name}"
    text = download_existing(session, address) if is_needed else download(session, address) or b""
    try:
        content = json.loads(text) if text or is_needed else {}
    except ValueError as error:
        raise ServiceError(f"{address}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ServiceError(f"{address}: not a JSON object")
    return content


ERA5 = Product(
    "era5",
    GRID,
    first_minute=0,
    heights_m=tuple(LEVELS),
    url=lambda settings: settings.era5_url,
    read=read_wind,
    last_hour=read_last_hour,
)
