"""What a variable of a wind product says of its own values: unit, scale, offset, fill (CF Conventions 1.11, 2.5, 8.1).

What it says is used or refused by name; what it leaves open is what its product documents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError

Floats = NDArray[np.float64]

WIND_UNITS = ("m s**-1", "m s-1", "m s^-1", "m/s", "meter second-1", "m.s-1", "metre second-1", "meters/second")
NUMBER_KINDS = "fiu"


@dataclass(frozen=True)
class Packing:
    """How stored numbers become values: stored times `scale` plus `offset`."""

    scale: float
    """1 where none is stated."""
    offset: float
    """In the unit of the values."""
    fills: tuple[float, ...]
    """Stored numbers that stand for no value."""
    is_stated: bool
    """Whether scale or offset are."""

    @classmethod
    def of(cls, attributes: Mapping[str, object], source: str, units: tuple[str, ...] = WIND_UNITS) -> Packing:
        """Read the attributes of a variable; InputError names `source` where they can't be what is wanted.

        >>> Packing.of({"scale_factor": 0.1, "units": "m/s"}, "u10").unpack(np.array([-26], "i2"), "u10").tolist()
        [-2.6]
        """
        unit = attributes.get("units")
        if unit is not None and _plain(unit) not in map(_plain, units):
            raise InputError(source, f"units {unit!r}", ", ".join(units))
        if str(attributes.get("_Unsigned", "false")).lower() == "true":
            raise InputError(source, "_Unsigned integers", "integers as their type says")
        scale, offset = (_number(attributes, name, source) for name in ("scale_factor", "add_offset"))
        if scale == 0:
            raise InputError(source, "scale_factor 0", "a scale other than 0")
        fills = [_number(attributes, name, source, True) for name in ("_FillValue", "missing_value")]
        return cls(
            1.0 if scale is None else scale,
            offset or 0.0,
            tuple(fill for fill in fills if fill is not None),
            scale is not None or offset is not None,
        )

    def refuse_if_stated(self, source: str) -> None:
        """Raise InputError where values would have to be unpacked, for what is read as it stands."""
        if self.is_stated:
            raise InputError(source, f"scale_factor {self.scale}, add_offset {self.offset}", "neither")

    def unpack(self, stored: NDArray[np.generic], source: str) -> Floats:
        """Return the values, NaN where there is none; InputError for what isn't a number, or isn't said what it is."""
        if stored.dtype.kind not in NUMBER_KINDS:
            raise InputError(source, f"values of type {stored.dtype}", "numbers")
        if stored.dtype.kind != "f" and not self.is_stated:
            raise InputError(source, f"{stored.dtype} without scale_factor or add_offset", "floats, or how to unpack")
        is_none = np.zeros(stored.shape, bool)
        for fill in self.fills:  # as a float of the stored type: 1e20 isn't its own f4
            is_none |= stored == (stored.dtype.type(fill) if stored.dtype.kind == "f" else fill)
        numbers = stored.astype(float)
        return np.where(is_none, np.nan, numbers * self.scale + self.offset if self.is_stated else numbers)


def _plain(unit: object) -> str:
    return re.sub(r"\s+", " ", str(unit).strip().lower())


def _number(attributes: Mapping[str, object], name: str, source: str, may_be_nan: bool = False) -> float | None:
    stated = attributes.get(name)
    if stated is None:
        return None
    try:
        [value] = np.asarray(stated).ravel().tolist()
        number = float(value)
        if math.isfinite(number) or may_be_nan:
            return number
    except (TypeError, ValueError):
        pass
    raise InputError(source, f"{name} {stated!r}", "one number")
