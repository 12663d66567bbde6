"""The values of a variable of a Lite file in the unit of its column, by what the file says of itself.

Unit, packing, type and missing values are read; what `reference/oco2_lite_variables.yaml` doesn't know is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import h5py
import numpy as np
from netCDF4 import default_fillvals
from numpy.typing import NDArray

from plumewatch.errors import InputError
from plumewatch.netcdf.packing import FILLS, RANGES, UNLIMITED, Packing, numbers_of, text_of, valid
from plumewatch.netcdf.time_units import STANDARD, TimeUnits, parse_time_units
from plumewatch.oco2.archive.listing import VARIABLES_FILE
from plumewatch.reference.loading import read_reference

FLOAT_BYTES = (4, 8)
ID_BYTES = 8  # a smaller type can't hold 16 digits
USUAL_FILL = -999_999  # in Lite files, also where a variable doesn't state it
UNSTATED = ("", "none")  # then the column's own unit is meant
TIME = "time"
FLAGS: Mapping[str, Mapping[int, str]] = {
    "xco2_quality_flag": {0: "good"},
    "operation_mode": {0: "nadir", 1: "glint", 2: "target"},
    "land_water_indicator": {0: "land", 1: "water"},
}
"""What values of a flag mean in a Lite file; one that calls another value so is not read."""

TOLD_BY = {
    *FILLS, *RANGES, "scale_factor", "add_offset", "_Unsigned", "units", "calendar", "flag_values", "flag_meanings",
}  # fmt: skip
"""Attributes that are read."""


Array = NDArray[Any]
Mask = NDArray[np.bool_]


@lru_cache(maxsize=1)
def lite_variables() -> Mapping[str, Mapping[str, Any]]:
    """Return the entry of each column in `reference/oco2_lite_variables.yaml`."""
    return dict(read_reference(VARIABLES_FILE)["variables"])


@lru_cache(maxsize=1)
def _units() -> Mapping[str, Mapping[str, float]]:
    return dict(read_reference(VARIABLES_FILE)["units"])


@dataclass(frozen=True)
class LiteVariable:
    """A variable with its attributes, each read once: HDF5 takes as long for fifty of them as for the values."""

    stored: h5py.Dataset
    """Where its values are."""
    attributes: Mapping[str, Any]
    """Those of TOLD_BY that it has."""

    @classmethod
    def of(cls, stored: h5py.Dataset) -> LiteVariable:
        """Read the attributes."""
        return cls(stored, {name: stored.attrs[name] for name in stored.attrs if name in TOLD_BY})

    @property
    def name(self) -> str:
        """Path within the file."""
        return str(self.stored.name).lstrip("/")

    @cached_property
    def packing(self) -> Packing:
        """How numbers become values; InputError where the attributes contradict each other."""
        return Packing.of(self.attributes, f"variable {self.name}")


def oddity(variable: LiteVariable, column: str) -> str | None:
    """What keeps the variable of a column from being read, None where nothing does."""
    kind, name, entry = variable.stored.dtype, variable.name, lite_variables()[column]
    if kind.kind not in "biuf" or (kind.kind == "f" and kind.itemsize not in FLOAT_BYTES):
        return f"variable {name} of type {kind}, neither an integer nor a float of 4 or 8 bytes"
    if column == "sounding_id" and kind.itemsize < ID_BYTES:
        return f"variable {name} of type {kind}, which can't hold 16 digits"
    try:
        packing = variable.packing
    except InputError as error:
        return f"variable {name}: {error.found}, where {error.allowed} is allowed"
    if entry.get("is_code") and not packing.is_plain:
        stated = f"scale_factor {packing.scale:g}, add_offset {packing.offset:g}"
        return f"variable {name} is packed by {stated}, though it is a count or a flag"
    units = _stated_units(variable)
    if column == TIME and units and _time_units(variable, units) is None:
        return f"variable {name} in {units!r}, calendar {_calendar(variable)!r}: no time since a date"
    if said := _other_meaning(variable, column):
        return f"variable {name} {said}"
    known = _units().get(entry.get("unit", ""), {})
    return (
        f"variable {name} in {units!r}; known are {', '.join(known)}" if known and units not in {"", *known} else None
    )


def _other_meaning(variable: LiteVariable, column: str) -> str | None:
    """What the file says of a flag's values that contradicts what they mean here (CF Conventions 1.11, 3.5)."""
    if column not in FLAGS or not {"flag_values", "flag_meanings"} <= set(variable.attributes):
        return None
    stated = text_of(variable.attributes["flag_meanings"])
    meanings = [set(re.split(r"[^a-z0-9]+", word)) for word in stated.casefold().split()]
    values = numbers_of(variable.attributes["flag_values"])
    for code, word in FLAGS[column].items():
        calls_it = {v for v, words in zip(values, meanings, strict=False) if word in words and "not" not in words}
        if calls_it and code not in calls_it:
            return f"calls {min(calls_it):g} {word} (flag_meanings {stated!r}), which is {code}"
    return None


def _stated_units(variable: LiteVariable) -> str:
    """The unit that a variable states; empty where it states none. `kg.m^-2`, `kg m**-2`, `KG m-2` are `kg m-2`."""
    text = " ".join(text_of(variable.attributes.get("units", "")).casefold().split())
    if " since " not in text:  # a date keeps its dots
        text = re.sub(r"(?<=[a-z])[.*·](?=[a-z])", " ", text.replace("**", "").replace("^", ""))
    return "" if text in UNSTATED else text


def _calendar(variable: LiteVariable) -> str:
    stated = text_of(variable.attributes.get("calendar", "")).strip().casefold()
    return STANDARD if stated in UNSTATED else stated


def _time_units(variable: LiteVariable, units: str) -> TimeUnits | None:
    return parse_time_units(units, _calendar(variable))


@dataclass(frozen=True)
class LiteValues:
    """A variable, and what stands for a missing value in it."""

    values: Array
    """One a sounding, in the column's unit."""
    fills: tuple[float, ...]
    """What stands for missing ones."""
    plausible: tuple[float, float] = UNLIMITED
    """Values beyond these are no measurement, whatever the file says of them."""
    step: float = 0.0
    """The least difference that the file can tell."""
    limits: tuple[float, float] = UNLIMITED
    """Values beyond these are missing, as the file says."""

    def valid(self, at: NDArray[np.intp] | slice = slice(None)) -> Mask:
        """Return whether values are valid: not `missing_value`, not the fill value in force, in its limits, finite."""
        values = self.values[at]
        return valid(values, self.fills, self.limits)

    def believable(self, at: NDArray[np.intp] | slice = slice(None)) -> Mask:
        """Return whether values are valid and plausible."""
        least, most = self.plausible
        values = self.values[at]
        return self.valid(at) & (values >= least) & (values <= most)


def read_values(variable: LiteVariable, column: str) -> LiteValues:
    """Read the variable of a column (one without `oddity`) in the column's unit, time in seconds since 1970.

    What is packed or in another unit becomes f64, with NaN where it is missing; all else stays as it is.
    """
    values, packing = variable.stored[()], variable.packing
    usual: list[Any] = [USUAL_FILL]
    if "_FillValue" not in variable.attributes and values.dtype.itemsize > 1:  # bytes have no default fill value
        usual.append(default_fillvals[values.dtype.str[1:]])
    plausible = tuple(lite_variables()[column].get("plausible", UNLIMITED))
    raw = LiteValues(values, packing.fills_of(values.dtype, usual), plausible, limits=packing.limits(values.dtype))
    factor, start = _to_column_unit(variable, column)
    step = abs(packing.scale * factor) * (_spacing(values[raw.valid()]) if values.dtype.kind == "f" else 1.0)
    if packing.is_plain and (factor, start) == (1.0, 0.0):
        return LiteValues(values, raw.fills, plausible, step, raw.limits)
    unpacked = values.astype(float) * packing.scale + packing.offset
    return LiteValues(np.where(raw.valid(), unpacked * factor + start, np.nan), (), plausible, step)


def _to_column_unit(variable: LiteVariable, column: str) -> tuple[float, float]:
    """Factor from the stated unit to the column's, and what is added then."""
    units = _stated_units(variable)
    if column == TIME:
        since = _time_units(variable, units)
        return (since.step_s, since.epoch_s) if since else (1.0, 0.0)
    return float(_units().get(lite_variables()[column].get("unit", ""), {}).get(units, 1.0)), 0.0


def _spacing(values: Array) -> float:
    return float(np.spacing(np.abs(values).max())) if len(values) else 0.0
