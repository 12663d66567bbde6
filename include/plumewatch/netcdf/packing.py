"""How stored numbers become values, and which are none: scale, offset, fill, valid range (CF 1.11, 2.5 and 8.1).

What a variable says is used or refused by name; what it leaves open is what its product documents.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError

Array = NDArray[Any]
Mask = NDArray[np.bool_]

RANGES = {"valid_range": 2, "valid_min": 1, "valid_max": 1}
"""Attributes that say which numbers are valid, and how many numbers each is."""
FILLS = ("missing_value", "_FillValue")
UNLIMITED = (-math.inf, math.inf)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Packing:
    """What the attributes of a variable say: a value is a stored number times `scale` plus `offset`."""

    scale: float
    """1 where none is stated."""
    offset: float
    """In the unit of the values; 0 where none is stated."""
    fills: tuple[float, ...]
    """Stored numbers that stand for no value."""
    ranges: Mapping[str, object]
    """RANGES as they are stated."""
    is_stated: bool
    """Whether scale or offset are."""
    source: str
    """What messages call the variable."""

    @classmethod
    def of(cls, attributes: Mapping[str, Any], source: str) -> Packing:
        """Read the attributes of a variable; InputError names `source` where they can't be what they are called.

        >>> Packing.of({"scale_factor": 0.1, "_FillValue": -9}, "u10").unpack(np.array([-26, -9], "i2")).tolist()
        [-2.6, nan]
        """
        if text_of(attributes.get("_Unsigned", "")).casefold() == "true":
            raise InputError(source, "_Unsigned integers", "integers as their type says")
        scale, offset = (_one_number(attributes, name, source) for name in ("scale_factor", "add_offset"))
        if scale == 0:
            raise InputError(source, "scale_factor 0", "a scale other than 0")
        fills = [fill for name in FILLS for fill in _fills(attributes, name, source)]
        return cls(
            1.0 if scale is None else scale,
            offset or 0.0,
            tuple(fills),
            {name: attributes[name] for name in RANGES if name in attributes},
            scale is not None or offset is not None,
            source,
        )

    @property
    def is_plain(self) -> bool:
        """Whether stored numbers are the values."""
        return (self.scale, self.offset) == (1.0, 0.0)

    def fills_of(self, dtype: np.dtype[Any], further: Iterable[float] = ()) -> tuple[float, ...]:
        """Return the fills, and `further` ones, as numbers of a type; those that it can't hold are equal to none."""
        of_type = (_as_type(fill, dtype) for fill in (*self.fills, *further))
        return tuple(dict.fromkeys(fill for fill in of_type if fill is not None))

    def limits(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """Return the least and the most valid number as stored in a type; a range that is no numbers says nothing."""
        least, most = UNLIMITED
        for name, attribute in self.ranges.items():
            stated = numbers_of(attribute)
            if len(stated) != RANGES[name] or any(map(math.isnan, stated)):
                log.warning("%s: %s %s says nothing", self.source, name, attribute)
                continue
            if dtype.kind != "f" and not self.is_plain and np.asarray(attribute).dtype.kind == "f":
                # of a wider type than what is packed: in the unit of the unpacked values
                stated = sorted((value - self.offset) / self.scale for value in stated)
            least = max(least, stated[0]) if name != "valid_max" else least
            most = min(most, stated[-1]) if name != "valid_min" else most
        return least, most

    def unpack(self, stored: Array) -> NDArray[np.float64]:
        """Return the values of numbers, NaN where there is none."""
        is_valid = valid(stored, self.fills_of(stored.dtype), self.limits(stored.dtype))
        numbers = stored.astype(float)
        return np.where(is_valid, numbers if self.is_plain else numbers * self.scale + self.offset, np.nan)


def valid(stored: Array, fills: Iterable[float], limits: tuple[float, float]) -> Mask:
    """Return whether stored numbers are valid: finite, no fill, in their limits."""
    is_valid = np.isfinite(stored) if stored.dtype.kind == "f" else np.ones(stored.shape, bool)
    for fill in fills:
        is_valid &= stored != fill
    return is_valid if limits == UNLIMITED else is_valid & (stored >= limits[0]) & (stored <= limits[1])


def text_of(attribute: Any) -> str:
    """Return a text attribute, in whichever of the forms HDF5 has for it."""
    value = np.asarray(attribute).ravel()[0] if np.size(attribute) else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def numbers_of(attribute: Any) -> list[float]:
    """Return the numbers of an attribute, none where one is no number."""
    try:
        return [float(value) for value in np.ravel(attribute).tolist()]
    except (TypeError, ValueError):
        return []


def _one_number(attributes: Mapping[str, Any], name: str, source: str) -> float | None:
    if attributes.get(name) is None:
        return None
    numbers = numbers_of(attributes[name])
    if len(numbers) != 1 or not math.isfinite(numbers[0]):
        raise InputError(source, f"{name} {attributes[name]!r}", "one number")
    return numbers[0]


def _fills(attributes: Mapping[str, Any], name: str, source: str) -> list[float]:
    """Numbers that stand for no value; CF lets `missing_value` have several."""
    stated = attributes.get(name)
    if stated is None or getattr(stated, "shape", ()) is None:  # HDF5's empty attribute
        return []
    numbers = [_exact(value, source, name) for value in np.ravel(stated).tolist()]
    if name == "_FillValue" and len(numbers) > 1:
        raise InputError(source, f"{name} {stated!r}", "one number")
    return numbers


def _exact(value: Any, source: str, name: str) -> float:
    """A number as it is, so that large integers keep their digits; one in a text as what it says."""
    if isinstance(value, int | float):
        return value
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(source, f"{name} {value!r}", "a number") from error


def _as_type(fill: float, dtype: np.dtype[Any]) -> float | None:
    """A fill in the type of the stored numbers, as 1e20 isn't its own f4; None where the type can't hold it."""
    if dtype.kind == "f":
        return dtype.type(fill).item() if abs(fill) <= float(np.finfo(dtype).max) else None
    if dtype.kind == "b" or not math.isfinite(fill) or fill != int(fill):
        return None
    limits = np.iinfo(dtype)
    return int(fill) if limits.min <= fill <= limits.max else None
