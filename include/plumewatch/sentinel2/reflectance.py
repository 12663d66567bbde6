"""From digital numbers to reflectance by a sensor's rule (`Sensor.rule`), of which the pixels have the last word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plumewatch.constants import MOST_USUAL_REFLECTANCE
from plumewatch.errors import InputError
from plumewatch.sensors.sensor import ReflectanceRule
from plumewatch.sensors.sentinel2 import OFFSET, QUANTIFICATION
from plumewatch.sentinel2.bands import IMPOSSIBLE_FRACTION, IMPOSSIBLE_REFLECTANCE

LEAST_REFLECTANCE = 0.5 / QUANTIFICATION  # half a step of the products
HALF = 0.5
NODATA = 0
SCALE = 1.0 / QUANTIFICATION


def decide_offset(item_name: str, rule: ReflectanceRule, numbers: Sequence[NDArray[np.uint16]]) -> ReflectanceRule:
    """Return the rule that holds, given the digital numbers (0: no data) of all bands of the scene.

    Pixels that would come out below any possible reflectance had their offset taken off before. That happens to the one
    of Sentinel-2 alone.

    Raises InputError where the item says that the offset is still to be taken off and the pixels say it isn't, and
    where the item contradicts itself and the pixels settle nothing.
    """
    if rule.is_certain and rule.offset != OFFSET:
        return rule
    was_applied = any(_is_impossible_with_offset(band, rule.scale) for band in numbers)
    if rule.is_certain and not was_applied:
        return rule
    if rule.is_certain:
        found = f"pixels that have their offset of {rule.offset} taken off already ({rule.reason})"
        raise InputError(item_name, found, "pixels that carry the offset, as the item says")
    if was_applied:
        return ReflectanceRule(rule.scale, 0.0, f"{rule.reason}; pixels below the offset show that it was taken off")
    if not any((band != NODATA).any() for band in numbers):
        return ReflectanceRule(rule.scale, 0.0, f"{rule.reason}; no valid pixel here")
    raise InputError(item_name, f"{rule.reason}, and no pixel is dark enough to settle it", "flags that agree")


def normalise(numbers: NDArray[np.uint16], rule: ReflectanceRule) -> tuple[NDArray[np.uint16], int]:
    """Return reflectance x 10000 (0 stays no data), and how many valid pixels were below 1 and are 1 now.

    A digital number of 1500 with scale 1e-4 and offset -0.1 becomes 500.
    """
    values = np.rint(numbers * (rule.scale * QUANTIFICATION) + rule.offset * QUANTIFICATION)
    is_valid = numbers != NODATA
    n_clipped = int(np.count_nonzero(is_valid & (values < 1)))
    kept = np.clip(values, 1, np.iinfo(np.uint16).max).astype(np.uint16)
    return np.where(is_valid, kept, np.uint16(NODATA)), n_clipped


def check_reflectance(name: str, reflectance: NDArray[np.float32], packing: str) -> None:
    """Raise InputError where pixels (NaN: no data) are no reflectance: digital numbers, percent, a fill that isn't one.

    A few may be what they like: a flare shines, and a shadow may be over-corrected.
    """
    least, most_seen = (f.reduce(reflectance, axis=None, initial=np.nan) for f in (np.fmin, np.fmax))  # NaN is left out
    if least >= LEAST_REFLECTANCE and most_seen <= MOST_USUAL_REFLECTANCE:
        return
    valid = reflectance[np.isfinite(reflectance)]
    for beyond, most in (
        (valid > MOST_USUAL_REFLECTANCE, HALF),
        (valid < IMPOSSIBLE_REFLECTANCE, IMPOSSIBLE_FRACTION),
        ((valid != 0) & (np.abs(valid) < LEAST_REFLECTANCE), HALF),
    ):
        if (n := np.count_nonzero(beyond)) > most * valid.size:
            found = valid[beyond]
            raise InputError(
                name,
                f"{n} of {valid.size} pixels with reflectance {found.min():g} to {found.max():g} ({packing})",
                f"reflectance as a fraction (0.25), not digital numbers or percent: {LEAST_REFLECTANCE:g} to "
                f"{MOST_USUAL_REFLECTANCE:g} in most pixels, none below {IMPOSSIBLE_REFLECTANCE:g}; and no data as the "
                "no-data value that the raster states",
            )


def check_numbers(name: str, numbers: Sequence[NDArray[np.uint16]]) -> None:
    """Raise InputError where the valid pixels of all bands are 0 or 1: reflectance as a fraction, cut to whole numbers.

    >>> check_numbers("a", [np.array([1, 0, 2500], np.uint16)])
    """
    if sum(band.size for band in numbers) and max(int(band.max(initial=0)) for band in numbers) <= 1:
        found = "reflectance of at most 0.0001 in every pixel"
        raise InputError(name, found, f"reflectance x {QUANTIFICATION} as whole numbers")


def _is_impossible_with_offset(numbers: NDArray[np.uint16], scale: float) -> bool:
    valid = numbers[numbers != NODATA]
    return bool(valid.size) and float(np.mean(valid * scale + OFFSET < IMPOSSIBLE_REFLECTANCE)) > IMPOSSIBLE_FRACTION
