"""From digital numbers to reflectance: whether a catalogue's pixels still carry the offset of baseline 04.00.

What the items say about it contradicts the pixels in known ways: items of Earth Search's `sentinel-2-l2a` declare an
offset of -0.1 that was taken off already (Element84/earth-search issue 71), and processing again gives pixels of
2019 the offset of 2022. So the rule goes by the collection first, and the pixels have the last word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError
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
NODATA = 0


@dataclass(frozen=True)
class ReflectanceRule:
    """reflectance = digital number x scale + offset, and why."""

    scale: float
    """Reflectance of one digital number."""
    offset: float
    """Reflectance of digital number 0."""
    reason: str
    """What the offset was decided by."""
    is_certain: bool = True
    """False where the item contradicts itself and only the pixels can show that nothing is left to take off."""


def processing_baseline(properties: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the processing baseline of an item's properties as (major, minor), None where it isn't stated.

    >>> processing_baseline({"s2:processing_baseline": "05.11"})
    (5, 11)
    """
    for name in ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"):
        if match := re.fullmatch(r"(\d+)\.(\d+)", str(properties.get(name, ""))):
            return int(match[1]), int(match[2])
    for name in ("s2:product_uri", "sentinel:product_id"):
        if match := re.search(r"_N(\d\d)(\d\d)_", str(properties.get(name, ""))):
            return int(match[1]), int(match[2])
    return None


def compute_reflectance_rule(
    item_name: str, collection: str | None, properties: Mapping[str, Any], asset: Mapping[str, Any]
) -> ReflectanceRule:
    """Return how the pixels of one band become reflectance.

    Arguments: `item_name` for messages; `properties` of the item; `asset` as in the item, with `href` and, where
    stated, `raster:bands` (or `raster:scale`, `raster:offset`).

    Raises InputError where what is stated cannot all be true and the collection doesn't settle it.
    """
    scale, declared = _declared(asset)
    baseline = processing_baseline(properties)
    flag = next((properties[name] for name in APPLIED_FLAGS if name in properties), None)
    stated = f"offset {declared}, offset applied {flag}, baseline {_text(baseline)}"
    if collection == EARTH_SEARCH_C1:
        if flag or (declared is not None and declared != OFFSET):
            raise InputError(
                item_name, f"{collection} with {stated}", f"offset {OFFSET}, not applied, or neither stated"
            )
        return ReflectanceRule(scale, OFFSET, f"pixels of {EARTH_SEARCH_C1} carry the offset")
    if flag is not None or EARTH_SEARCH_BUCKET in str(asset.get("href", "")):
        return _earth_search(item_name, scale, declared, flag, baseline, stated)
    if declared is not None:
        return ReflectanceRule(scale, declared, f"as the asset states: offset {declared}")
    if baseline is None:
        raise InputError(item_name, f"{stated}: no telling what its pixels carry", "a processing baseline or an offset")
    carried = OFFSET if baseline >= OFFSET_FROM_BASELINE else 0.0
    return ReflectanceRule(scale, carried, f"processing baseline {_text(baseline)}, no offset stated")


def decide_offset(item_name: str, rule: ReflectanceRule, numbers: Sequence[NDArray[np.uint16]]) -> ReflectanceRule:
    """Return the rule that holds, given the digital numbers (0: no data) of all bands of the scene.

    Pixels that would come out below any possible reflectance had their offset taken off before.

    Raises InputError where the item says that the offset is still to be taken off and the pixels say it isn't, and
    where the item contradicts itself and the pixels settle nothing.
    """
    if rule.is_certain and rule.offset == 0.0:
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


def _earth_search(
    item_name: str, scale: float, declared: float | None, flag: Any, baseline: tuple[int, int] | None, stated: str
) -> ReflectanceRule:
    if flag is None or flag:
        return ReflectanceRule(scale, 0.0, f"this collection's pixels have it taken off, whatever is stated ({stated})")
    if baseline is not None and baseline < OFFSET_FROM_BASELINE:
        if declared:
            raise InputError(item_name, f"{stated}: no product of this baseline has an offset", "offset 0")
        return ReflectanceRule(scale, 0.0, f"processing baseline {_text(baseline)} has no offset")
    reason = f"contradictory flags for pixels of this collection ({stated})"
    return ReflectanceRule(scale, OFFSET, reason, is_certain=False)


def _declared(asset: Mapping[str, Any]) -> tuple[float, float | None]:
    band = (asset.get("raster:bands") or asset.get("bands") or [{}])[0]
    scale = band.get("scale", band.get("raster:scale", asset.get("raster:scale", 1.0 / QUANTIFICATION)))
    offset = band.get("offset", band.get("raster:offset", asset.get("raster:offset")))
    return float(scale), None if offset is None else float(offset)


def _is_impossible_with_offset(numbers: NDArray[np.uint16], scale: float) -> bool:
    valid = numbers[numbers != NODATA]
    return bool(valid.size) and float(np.mean(valid * scale + OFFSET < IMPOSSIBLE_REFLECTANCE)) > IMPOSSIBLE_FRACTION


def _text(baseline: tuple[int, int] | None) -> str:
    return "not stated" if baseline is None else f"{baseline[0]:02d}.{baseline[1]:02d}"
