"""Read one Lite file (NetCDF-4) of OCO-2 or OCO-3 into the table `soundings`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.geodesy import wrap_longitude
from plumewatch.oco2.archive.listing import sensor_in_name
from plumewatch.oco2.granules.lite_file import find_variables, open_lite_file
from plumewatch.oco2.granules.lite_values import LiteValues, lite_variables, read_values
from plumewatch.oco2.granules.sounding_times import MICROSECONDS_PER_TENTH, compute_tenths
from plumewatch.orbits import GOOD_QUALITY
from plumewatch.tables import SOUNDINGS

FIRST_FEW = 1000  # soundings: where one of them is plausible, not all have to be looked at
LAND, WATER = "land", "water"
SURFACES: Mapping[str, tuple[int, ...]] = {LAND: (0, 3), WATER: (1, 2)}  # land_water_indicator: 2 inland water, 3 mixed
MODES = (0, 1, 2, 3, 4)  # operation_mode: nadir, glint, target, transition, snapshot area map (OCO-3)
BAD_QUALITY, IMPLAUSIBLE, REPEATED_ID = "bad_quality", "implausible", "repeated_id"

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SoundingSelection:
    """Which soundings are kept."""

    keep_bad_quality: bool = False
    """Also those whose quality flag is not 0."""
    modes: Collection[int] | None = None
    """Operation modes (0 nadir, 1 glint, 2 target, 3 transition, 4 area map); None keeps all."""
    surfaces: Collection[str] | None = None
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


def check_granule(path: str) -> None:
    """Raise InputError where a file can't be read as a granule.

    Looks at the head of the file and at its variables, not at their values.
    """
    with storage.local_copy(path) as local, open_lite_file(local, path) as dataset:
        find_variables(dataset, path)


def read_granule(path: str, selection: SoundingSelection | None = None) -> GranuleRows:
    """Return the soundings of a granule, local or on S3.

    Fill values become nulls, and so does what is outside of its column's plausible range. A sounding without id, time,
    place or valid, plausible xco2 is dropped, as are those that the selection doesn't want; a missing wind or pressure
    drops nothing. Units, packing and epochs are read. Raises InputError that says what the file is
    instead (empty, an HTML page, truncated), lists its variables where one is missing, or names what is in no known
    unit, contradicts another or is implausible throughout.
    """
    with storage.local_copy(path) as local, open_lite_file(local, path) as dataset:
        found = find_variables(dataset, path)
        columns = {column: read_values(variable, column) for column, variable in found.items()}
    _refuse_implausible(columns, path)
    return _rows(columns, selection or SoundingSelection(), path)


def _refuse_implausible(columns: Mapping[str, LiteValues], path: str) -> None:
    """Refuse a required variable of which no valid value is plausible: it is in another unit than it should be."""
    for column, values in columns.items():
        if not lite_variables()[column]["required"] or values.believable(slice(FIRST_FEW)).any():
            continue
        is_valid = values.valid()
        if is_valid.any() and not values.believable().any():
            least, most = values.plausible
            found = f"{column} from {values.values[is_valid].min():g} to {values.values[is_valid].max():g}"
            raise InputError(path, found, f"{least:g} to {most:g}")


def _rows(columns: Mapping[str, LiteValues], selection: SoundingSelection, path: str) -> GranuleRows:
    with np.errstate(invalid="ignore"):  # what is no whole number of this size becomes one below 0
        sounding_id = columns["sounding_id"].values.astype(np.int64)
    tenths = compute_tenths(sounding_id, columns.get("time"), path)
    keep, dropped = np.ones(len(sounding_id), bool), {}
    for reason, is_bad in _reasons(columns, sounding_id, tenths, selection).items():
        if count := int(np.count_nonzero(keep & is_bad)):
            dropped[reason] = count
        keep &= ~is_bad
    at = np.flatnonzero(keep)
    _, first = np.unique(sounding_id[at], return_index=True)  # also brings the ids into order
    if len(first) < len(at):
        dropped[REPEATED_ID] = len(at) - len(first)
    at = at[first]
    table = {field.name: _column(columns, field, at) for field in SOUNDINGS.schema}
    name = path.rsplit("/", 1)[-1]
    table |= {
        "sounding_id": sounding_id[at],
        "observed_at_utc": pa.array(tenths[at] * MICROSECONDS_PER_TENTH).cast(pa.timestamp("us", tz="UTC")),
        "longitude": _longitude(columns["longitude"].values[at]),
        "footprint": (sounding_id[at] % 10).astype(np.int8),
        "granule": pa.repeat(name, len(at)),
        "sensor": pa.repeat(sensor_in_name(name), len(at)),
    }
    return GranuleRows(SOUNDINGS.from_columns(table), len(sounding_id), dropped)


def _column(columns: Mapping[str, LiteValues], field: pa.Field, at: NDArray[np.intp]) -> pa.Array:
    if field.name not in columns:
        return pa.nulls(len(at), field.type)
    column = columns[field.name]
    kind = np.dtype(field.type.to_pandas_dtype())
    is_valid = column.believable(at) & _fits(column.values[at], kind)
    values = np.where(is_valid, column.values[at], 0).astype(kind, copy=False)
    return pa.array(values, field.type, mask=~is_valid)


def _fits(values: Array, kind: np.dtype[Any]) -> Mask:
    """Whether values can be held in a type of the table; a float of more digits can, one of another size can't."""
    limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    return (values >= limits.min) & (values <= limits.max)


def _longitude(values: Array) -> Array:
    """In [-180, 180); what is there already keeps its last digit."""
    degrees = values.astype(float)
    outside = (degrees < -180.0) | (degrees >= 180.0)
    degrees[outside] = wrap_longitude(degrees[outside])
    return degrees


def _reasons(
    columns: Mapping[str, LiteValues],
    sounding_id: NDArray[np.int64],
    tenths: NDArray[np.int64],
    selection: SoundingSelection,
) -> dict[str, Mask]:
    """Which soundings each reason keeps out, in the order in which they are counted."""
    latitude, longitude = columns["latitude"], columns["longitude"]
    is_place = latitude.valid() & longitude.valid()
    is_place &= (np.abs(latitude.values) <= 90) & (np.abs(longitude.values) <= 360)
    reasons = {
        "no_id": ~columns["sounding_id"].valid() | (sounding_id <= 0),
        "no_time": tenths < 0,
        "no_place": ~is_place,
        "no_orbit": ~columns["orbit"].believable(),
        "no_xco2": ~columns["xco2_ppm"].valid(),
        IMPLAUSIBLE: ~columns["xco2_ppm"].believable(),
    }
    if not selection.keep_bad_quality:
        quality = columns["xco2_quality_flag"]
        reasons[BAD_QUALITY] = ~quality.valid() | (quality.values != GOOD_QUALITY)
    if selection.modes is not None:
        mode = columns["operation_mode"]
        reasons["other_mode"] = ~mode.valid() | ~np.isin(mode.values, sorted(selection.modes))
    if selection.surfaces is not None:
        surface = columns["land_water_indicator"]
        wanted = [code for kind in sorted(selection.surfaces) for code in SURFACES[kind]]
        reasons["other_surface"] = ~surface.valid() | ~np.isin(surface.values, wanted)
    return reasons
