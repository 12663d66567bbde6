"""Rasters whose numbers mean themselves: classes and percentages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError
from plumewatch.sensors.sensor import NO_PACKING

REAL = "uif"  # kinds of numpy: whole and floating numbers


def checked_plain(
    name: str,
    numbers: NDArray[Any],
    last: int,
    *,
    fill: int,
    nodata: float | None = None,
    tags: tuple[float, float] = NO_PACKING,
) -> NDArray[np.uint8]:
    """Return whole numbers from 0 to `last` in 8 bits, `fill` where the raster has no data (`nodata`, or no number).

    InputError, naming the raster, where others are among them or its tags (scale, offset) pack them: a class of 260
    must not become one of 4.
    """
    if tuple(tags) != NO_PACKING:
        raise InputError(name, f"numbers with scale {tags[0]:g} and offset {tags[1]:g}", "plain numbers")
    if numbers.dtype.kind not in REAL:
        raise InputError(name, f"pixels of type {numbers.dtype}", "whole numbers")
    if numbers.dtype == np.uint8 and nodata in (None, fill) and numbers.max(initial=0) <= last:
        return numbers
    is_empty = (numbers == fill) | (numbers != numbers)  # NaN is the one that isn't itself
    if nodata is not None:
        is_empty |= numbers == nodata
    is_wrong = ~is_empty & ((numbers < 0) | (numbers > last) | (np.floor(numbers) != numbers))
    if is_wrong.any():
        wrong = numbers[is_wrong]
        found = f"{wrong.size} pixels of {wrong.min():g}" + (
            f" to {wrong.max():g}" if wrong.min() < wrong.max() else ""
        )
        raise InputError(name, found, f"whole numbers from 0 to {last}")
    return np.where(is_empty, fill, numbers).astype(np.uint8)
