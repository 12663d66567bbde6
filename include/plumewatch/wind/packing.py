"""What wind products say of their numbers beyond CF's packing: the unit, and whether integers are values."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError
from plumewatch.netcdf.packing import Packing

Floats = NDArray[np.float64]

WIND_UNITS = ("m s**-1", "m s-1", "m s^-1", "m/s", "meter second-1", "m.s-1", "metre second-1", "meters/second")
NUMBER_KINDS = "fiu"


def read_packing(attributes: Mapping[str, object], source: str, units: tuple[str, ...] = WIND_UNITS) -> Packing:
    """Return the packing of a variable in one of the units; InputError names `source` where it states another one."""
    unit = attributes.get("units")
    if unit is not None and _plain(unit) not in map(_plain, units):
        raise InputError(source, f"units {unit!r}", ", ".join(units))
    return Packing.of(attributes, source)


def refuse_if_packed(packing: Packing) -> None:
    """Raise InputError where values would have to be unpacked, for what is read as it stands."""
    if packing.is_stated:
        raise InputError(packing.source, f"scale_factor {packing.scale}, add_offset {packing.offset}", "neither")


def unpack(packing: Packing, stored: NDArray[np.generic], source: str) -> Floats:
    """Return the values, NaN where there is none; InputError for what isn't a number, or isn't said what it is."""
    if stored.dtype.kind not in NUMBER_KINDS:
        raise InputError(source, f"values of type {stored.dtype}", "numbers")
    if stored.dtype.kind != "f" and not packing.is_stated:
        raise InputError(source, f"{stored.dtype} without scale_factor or add_offset", "floats, or how to unpack")
    return packing.unpack(stored)


def _plain(unit: object) -> str:
    return re.sub(r"\s+", " ", str(unit).strip().lower())
