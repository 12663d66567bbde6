"""From digital numbers to reflectance: whether a catalogue's pixels still carry the offset of baseline 04.00.

What the items say about it contradicts the pixels in known ways: items of Earth Search's `sentinel-2-l2a` declare an
offset of -0.1 that was taken off already (Element84/earth-search issue 71), and processing again gives pixels of
2019 the offset of 2022. So the rule goes by the collection first, and the pixels have the last word. A scale of 1
with an offset of 0 is what writers of items copy from a GeoTIFF without tags: it states nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.constants import MOST_USUAL_REFLECTANCE
from plumewatch.errors import InputError
from plumewatch.rasters.plain_numbers import NO_PACKING
from plumewatch.sensors.sensor import ReflectanceRule
from plumewatch.sensors.sentinel2 import processing_baseline, stated_baselines
from plumewatch.sentinel2.bands import (
    IMPOSSIBLE_FRACTION,
    IMPOSSIBLE_REFLECTANCE,
    OFFSET,
    OFFSET_FROM_BASELINE,
    QUANTIFICATION,
)

EARTH_SEARCH_C1 = "sentinel-2-c1-l2a"
APPLIED_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
EARTH_SEARCH_BUCKET = "sentinel-cogs"
LEAST_REFLECTANCE = 0.5 / QUANTIFICATION  # half a step of the products
HALF = 0.5
NODATA = 0
SCALE = 1.0 / QUANTIFICATION
SAME = 1e-6  # relative: 32-bit numbers are written with seven digits
ALLOWED_SCALE = f"scale {SCALE:g}, or none stated"
ALLOWED_OFFSET = f"offset 0 or {OFFSET:g} ({OFFSET * QUANTIFICATION:g} digital numbers), or none stated"


def compute_reflectance_rule(
    item_name: str,
    collection: str | None,
    properties: Mapping[str, Any],
    asset: Mapping[str, Any],
    tags: tuple[float, float] = NO_PACKING,
) -> ReflectanceRule:
    """Return how the pixels of one band become reflectance.

    Arguments: `item_name` for messages; `properties` of the item; `asset` as in the item, with `href` and, where
    stated, `raster:bands` (or `raster:scale`, `raster:offset`); `tags`, scale and offset as the GeoTIFF itself says.

    Raises InputError where what is stated cannot all be true and the collection doesn't settle it, and where a scale or
    an offset is stated that no product of Sentinel-2 has.
    """
    baseline = processing_baseline(properties)
    flag = _applied(item_name, properties)
    is_earth_search = flag is not None or EARTH_SEARCH_BUCKET in str(asset.get("href", ""))
    declared = _declared(item_name, properties, asset, tags, must_agree=not is_earth_search)
    stated = f"offset {declared}, offset applied {flag}, baseline {_text(baseline)}"
    _check_baselines(item_name, properties, is_settled=is_earth_search and flag is not False)
    if collection == EARTH_SEARCH_C1:
        if flag or declared == 0.0:
            raise InputError(
                item_name, f"{collection} with {stated}", f"offset {OFFSET}, not applied, or neither stated"
            )
        if baseline is not None and baseline < OFFSET_FROM_BASELINE:
            allowed = f"baseline {_text(OFFSET_FROM_BASELINE)} or later, whose products carry an offset"
            raise InputError(item_name, f"{collection} with {stated}", allowed)
        return ReflectanceRule(SCALE, OFFSET, f"pixels of {EARTH_SEARCH_C1} carry the offset")
    if is_earth_search:
        return _earth_search(item_name, declared, flag, baseline, stated)
    if declared and baseline is not None and baseline < OFFSET_FROM_BASELINE:
        raise InputError(item_name, f"{stated}: no product of this baseline has an offset", "offset 0")
    if declared is not None:
        return ReflectanceRule(SCALE, declared, f"as the asset states: offset {declared}")
    if baseline is None:
        allowed = "a processing baseline or an offset (in the item: what its collection states isn't read)"
        raise InputError(item_name, f"{stated}: no telling what its pixels carry", allowed)
    carried = OFFSET if baseline >= OFFSET_FROM_BASELINE else 0.0
    return ReflectanceRule(SCALE, carried, f"processing baseline {_text(baseline)}, no offset stated")


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


def _check_baselines(item_name: str, properties: Mapping[str, Any], *, is_settled: bool) -> None:
    """Raise InputError where baselines are stated of which some have an offset and some not, and nothing settles it."""
    baselines = stated_baselines(properties)
    if not is_settled and len({baseline >= OFFSET_FROM_BASELINE for baseline in baselines}) > 1:
        found = " and ".join(dict.fromkeys(_text(baseline) for baseline in baselines))
        raise InputError(item_name, f"baselines {found}, of which one has an offset", "baselines that agree")


def _earth_search(
    item_name: str, declared: float | None, flag: bool | None, baseline: tuple[int, int] | None, stated: str
) -> ReflectanceRule:
    if flag is None or flag:
        return ReflectanceRule(SCALE, 0.0, f"this collection's pixels have it taken off, whatever is stated ({stated})")
    if baseline is not None and baseline < OFFSET_FROM_BASELINE:
        if declared:
            raise InputError(item_name, f"{stated}: no product of this baseline has an offset", "offset 0")
        return ReflectanceRule(SCALE, 0.0, f"processing baseline {_text(baseline)} has no offset")
    reason = f"contradictory flags for pixels of this collection ({stated})"
    return ReflectanceRule(SCALE, OFFSET, reason, is_certain=False)


def _applied(item_name: str, properties: Mapping[str, Any]) -> bool | None:
    """Return what the flag says, None where there is none."""
    for name in APPLIED_FLAGS:
        if (flag := properties.get(name)) is not None:
            if str(flag).lower() not in ("true", "false"):
                raise InputError(item_name, f"{name} {flag!r}", "true or false")
            return str(flag).lower() == "true"
    return None


def _declared(
    item_name: str,
    properties: Mapping[str, Any],
    asset: Mapping[str, Any],
    tags: tuple[float, float],
    *,
    must_agree: bool,
) -> float | None:
    """Return the offset (reflectance) that item or GeoTIFF state, None where neither does.

    An offset of -1000 is one in digital numbers. What the properties of an item state holds for assets that don't.
    """
    bands = asset.get("raster:bands") or asset.get("bands") or [{}]
    band = bands[0] if isinstance(bands, Sequence) else None
    if not isinstance(band, Mapping):
        raise InputError(item_name, f"bands of an asset {str(bands)[:80]}", "a list of objects")
    numbers = [
        _number(item_name, name, (band.get(name), *(at.get(f"raster:{name}") for at in (band, asset, properties))))
        for name in ("scale", "offset")
    ]
    by_item = _offset(item_name, *numbers)
    by_file = _offset(f"{item_name}, tags of {str(asset.get('href', '')).split('?')[0].rsplit('/', 1)[-1]}", *tags)
    if must_agree and None not in (by_item, by_file) and by_item != by_file:
        raise InputError(item_name, f"offset {by_item} in the item and {by_file} in the GeoTIFF", "one offset")
    return by_file if by_item is None else by_item


def _number(item_name: str, name: str, stated: Sequence[Any]) -> float | None:
    """Return the first of several values that is stated."""
    value = next((v for v in stated if v is not None), None)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(item_name, f"{name} {value!r}", "a number")
    return number


def _offset(name: str, scale: float | None, offset: float | None) -> float | None:
    """Return the offset in reflectance, None where scale and offset are those of no packing at all."""
    is_plain = scale is None or math.isclose(scale, 1.0, rel_tol=SAME)
    if is_plain and not offset and scale is not None:
        return None
    in_numbers = offset is not None and math.isclose(offset, OFFSET * QUANTIFICATION, rel_tol=SAME)
    if not (scale is None or math.isclose(scale, SCALE, rel_tol=SAME) or (is_plain and in_numbers)):
        raise InputError(name, f"scale {scale:g} with offset {offset}", ALLOWED_SCALE)
    if not offset:
        return offset
    if not (in_numbers or math.isclose(offset, OFFSET, rel_tol=SAME)):
        raise InputError(name, f"offset {offset:g}", ALLOWED_OFFSET)
    return OFFSET


def _is_impossible_with_offset(numbers: NDArray[np.uint16], scale: float) -> bool:
    valid = numbers[numbers != NODATA]
    return bool(valid.size) and float(np.mean(valid * scale + OFFSET < IMPOSSIBLE_REFLECTANCE)) > IMPOSSIBLE_FRACTION


def _text(baseline: tuple[int, int] | None) -> str:
    return "not stated" if baseline is None else f"{baseline[0]:02d}.{baseline[1]:02d}"
