"""Read one OCO-2 Lite file (NetCDF-4) into the table `soundings`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.geodesy import wrap_longitude
from plumewatch.oco2.catalog import VARIABLES_FILE
from plumewatch.tables import SOUNDINGS

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
HEAD_BYTES = 4096  # enough to see what a file is, and the title of an HTML page
GOOD_QUALITY = 0
LAND, WATER = "land", "water"
SURFACES: Mapping[str, tuple[int, ...]] = {LAND: (0, 3), WATER: (1, 2)}  # land_water_indicator: 2 inland water, 3 mixed
LITE_FILE = "an OCO-2 Lite NetCDF-4 file"
TENTHS_PER_S, MICROSECONDS_PER_TENTH = 10, 100_000
FIRST_TIME_S, LAST_TIME_S = 1.0e9, 4.1e9  # 2001 and 2099: other `time` values are not seconds since 1970

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SoundingSelection:
    """Which soundings are kept."""

    keep_bad_quality: bool = False
    """Also those whose quality flag is not 0."""
    modes: frozenset[int] | None = None
    """Operation modes (0 nadir, 1 glint, 2 target, 3 transition); None keeps all."""
    surfaces: frozenset[str] | None = None
    """`land`, `water`; None keeps all."""


@dataclass(frozen=True)
class GranuleRows:
    """What a granule holds."""

    soundings: pa.Table
    """The kept soundings in the columns of the table, by id."""
    n_soundings: int
    """Soundings in the file."""
    dropped: dict[str, int]
    """Number of soundings by the first reason that kept each out; reasons that kept none out are absent."""


@dataclass(frozen=True)
class GranuleCheck:
    """What a quick look at a granule found."""

    n_soundings: int
    """Soundings in the file."""
    build_id: str
    """The file's own BuildId, empty where it states none."""


@lru_cache(maxsize=1)
def _variables() -> dict[str, dict[str, Any]]:
    text = resources.files("plumewatch").joinpath("reference", VARIABLES_FILE).read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["variables"])


def check_granule(path: str) -> GranuleCheck:
    """Return size and build of a granule; InputError where it can't be read as one.

    Looks at the head of the file and at its variables, not at their values.
    """
    with storage.local_copy(path) as local, _open(local, path) as dataset:
        found = _find_variables(dataset, path)
        return GranuleCheck(len(found["sounding_id"]), str(getattr(dataset, "BuildId", "")))


def read_granule(path: str, selection: SoundingSelection | None = None) -> GranuleRows:
    """Return the soundings of a granule, local or on S3.

    Fill values become nulls. A sounding without id, time, place or valid xco2 is dropped, as are those that the
    selection doesn't want; a missing wind or pressure drops nothing. Raises InputError that says what the file is
    instead (empty, an HTML page, truncated) or lists its variables where one is missing.
    """
    name = path.rsplit("/", 1)[-1]
    with storage.local_copy(path) as local, _open(local, path) as dataset:
        try:
            columns = {column: _read(variable) for column, variable in _find_variables(dataset, path).items()}
        except (OSError, RuntimeError) as error:
            raise InputError(path, f"damaged ({error})", LITE_FILE) from error
    return _rows(columns, selection or SoundingSelection(), name)


# --- the file


@contextmanager
def _open(local: Path, path: str) -> Iterator[netCDF4.Dataset]:
    _check_head(local, path)
    try:
        dataset = netCDF4.Dataset(str(local))
    except (OSError, RuntimeError) as error:
        raise InputError(path, f"damaged or truncated, {local.stat().st_size} bytes ({error})", LITE_FILE) from error
    with dataset:
        dataset.set_auto_maskandscale(False)
        yield dataset


def _check_head(local: Path, path: str) -> None:
    """Refuse what is no HDF5 file: archives answer an account without permission by a page and status 200."""
    if not local.is_file():
        raise InputError(path, "no such file", LITE_FILE)
    with local.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(HDF5_MAGIC):
        return
    text = head.decode("utf-8", "replace")
    if not head:
        found = "an empty file"
    elif re.search(r"<!doctype html|<html", text, re.IGNORECASE):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        found = "an HTML page" + (f" ({html.unescape(' '.join(title[1].split()))})" if title else "")
    else:
        found = f"a file that begins with {head[:8]!r}"
    raise InputError(path, found, f"{LITE_FILE}, which begins with {HDF5_MAGIC!r}")


def _find_variables(dataset: netCDF4.Dataset, path: str) -> dict[str, netCDF4.Variable]:
    """The variable of every column that the file has; all are of one length."""
    present = dict(_inventory(dataset))
    n = present["sounding_id"].shape[:1] if "sounding_id" in present else None
    found = {}
    for column, entry in _variables().items():
        # Groups of single files hold arrays of another length under familiar names: the length decides as well.
        fitting = [p for p in entry["paths"] if p in present and present[p].shape == n]
        if fitting:
            found[column] = present[fitting[0]]
        elif entry["required"]:
            inventory = ", ".join(f"{name}{list(variable.shape)}" for name, variable in present.items())
            wanted = " or ".join(entry["paths"])
            raise InputError(
                path, f"no variable {wanted} of one value a sounding; it has {inventory or 'none'}", LITE_FILE
            )
    return found


def _inventory(group: netCDF4.Dataset, prefix: str = "") -> Iterator[tuple[str, netCDF4.Variable]]:
    for name, variable in group.variables.items():
        yield prefix + name, variable
    for name, below in group.groups.items():
        yield from _inventory(below, f"{prefix}{name}/")


def _read(variable: netCDF4.Variable) -> tuple[Array, Mask]:
    """Values and whether each is valid: not `missing_value`, not the fill value in force, finite."""
    values = np.asarray(variable[:])
    valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    fills = [getattr(variable, name) for name in ("missing_value", "_FillValue") if hasattr(variable, name)]
    if "_FillValue" not in variable.ncattrs() and values.dtype.itemsize > 1:  # bytes have no default fill value
        fills.append(netCDF4.default_fillvals[values.dtype.str[1:]])
    for fill in fills:
        valid &= values != np.asarray(fill).astype(values.dtype)
    return values, valid


# --- the rows


def _rows(columns: Mapping[str, tuple[Array, Mask]], selection: SoundingSelection, name: str) -> GranuleRows:
    sounding_id, has_id = columns["sounding_id"]
    sounding_id = sounding_id.astype(np.int64)
    tenths = _tenths(sounding_id, *columns.get("time", (np.zeros(len(sounding_id)), np.zeros(len(sounding_id), bool))))
    keep, dropped = np.ones(len(sounding_id), bool), {}
    for reason, is_bad in _reasons(columns, has_id, tenths, selection).items():
        if count := int(np.count_nonzero(keep & is_bad)):
            dropped[reason] = count
        keep &= ~is_bad
    at = np.flatnonzero(keep)
    _, first = np.unique(sounding_id[at], return_index=True)  # also brings the ids into order
    if len(first) < len(at):
        dropped["repeated_id"] = len(at) - len(first)
    at = at[first]
    table = {field.name: _column(columns, field, at) for field in SOUNDINGS.schema if field.name in columns}
    table |= {
        "sounding_id": sounding_id[at],
        "observed_at_utc": pa.array(tenths[at] * MICROSECONDS_PER_TENTH).cast(pa.timestamp("us", tz="UTC")),
        "longitude": _longitude(columns["longitude"][0][at]),
        "footprint": (sounding_id[at] % 10).astype(np.int8),
        "granule": pa.array([name] * len(at), pa.string()),
    }
    return GranuleRows(SOUNDINGS.from_columns(table), len(sounding_id), dropped)


def _column(columns: Mapping[str, tuple[Array, Mask]], field: pa.Field, at: NDArray[np.intp]) -> pa.Array:
    values, valid = columns[field.name]
    return pa.array(values[at].astype(field.type.to_pandas_dtype()), field.type, mask=~valid[at])


def _longitude(values: Array) -> Array:
    """In [-180, 180); what is there already keeps its last digit."""
    degrees = values.astype(float)
    return np.where((degrees >= -180.0) & (degrees < 180.0), degrees, wrap_longitude(degrees))


def _reasons(
    columns: Mapping[str, tuple[Array, Mask]], has_id: Mask, tenths: NDArray[np.int64], selection: SoundingSelection
) -> dict[str, Mask]:
    """Which soundings each reason keeps out, in the order in which they are counted."""
    quality, has_quality = columns["xco2_quality_flag"]
    (latitude, has_latitude), (longitude, has_longitude) = columns["latitude"], columns["longitude"]
    is_place = has_latitude & has_longitude & (np.abs(latitude) <= 90) & (np.abs(longitude) <= 360)
    reasons = {
        "no_id": ~has_id,
        "no_time": tenths < 0,
        "no_place": ~is_place,
        "no_orbit": ~columns["orbit"][1],
        "no_xco2": ~columns["xco2_ppm"][1],
    }
    if not selection.keep_bad_quality:
        reasons["bad_quality"] = ~has_quality | (quality != GOOD_QUALITY)
    if selection.modes is not None:
        mode, has_mode = columns["operation_mode"]
        reasons["other_mode"] = ~has_mode | ~np.isin(mode, sorted(selection.modes))
    if selection.surfaces is not None:
        surface, has_surface = columns["land_water_indicator"]
        wanted = [code for kind in sorted(selection.surfaces) for code in SURFACES[kind]]
        reasons["other_surface"] = ~has_surface | ~np.isin(surface, wanted)
    return reasons


def _tenths(sounding_id: NDArray[np.int64], time: Array, has_time: Mask) -> NDArray[np.int64]:
    """Tenths of a second since 1970: by a valid `time`, else by the first 15 digits of the id, else -1.

    >>> int(_tenths(np.array([2016083111560007]), np.zeros(1), np.zeros(1, bool))[0])
    14726445600
    """
    from_id = _tenths_of_id(sounding_id)
    is_valid = has_time & (time > FIRST_TIME_S) & (time < LAST_TIME_S)
    rounded = np.rint(np.where(is_valid, time, 0.0) * TENTHS_PER_S).astype(np.int64)
    return np.where(is_valid, rounded, from_id)


def _tenths_of_id(sounding_id: NDArray[np.int64]) -> NDArray[np.int64]:
    def digits(drop: int, count: int) -> NDArray[np.int64]:
        return sounding_id // 10**drop % 10**count

    year, month, day = digits(12, 4), digits(10, 2), digits(8, 2)
    hour, minute, second, tenth = digits(6, 2), digits(4, 2), digits(2, 2), digits(1, 1)
    is_time = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (hour < 24) & (minute < 60) & (second <= 60)
    is_time &= (year >= 2000) & (year < 2100)
    months = np.where(is_time, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second
    return np.where(is_time, seconds * TENTHS_PER_S + tenth, -1)
