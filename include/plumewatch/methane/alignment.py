"""Earlier dates on the target's grid to a fraction of a pixel: their difference from it, where both can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plumewatch.methane.passes import Pass
from plumewatch.methane.registration import Shift, edges_of, estimate_shift, gradient_of, moved_back, without_edges
from plumewatch.methane.retrieval import compute_log_ratio
from plumewatch.methane.smoothing import OWN, Array, Mask, SceneNumbers, sampled
from plumewatch.methane.thresholds import PlumeThresholds

DERIVATIVES_PX = 2  # second derivatives need two neighbours: a border so wide can't be registered


@dataclass(frozen=True, eq=False)
class Aligned:
    """References minus target, each as a natural logarithm, references x height x width; 0 where not valid."""

    ratios: Array
    """Of the band ratio, each relative to its scene's median."""
    brightness: Array
    """Of band 11, without its median."""
    valid: Mask
    """Where both can be compared: `comparable_ground`."""
    edge_strength: Array
    """Root mean square of the references' ratio's derivatives: where registration leaves most, height x width."""
    other_changes: dict[str, Array]
    """By band: ln of its reflectance minus that of the references, without its median."""
    pixel_size_m: float
    """Cell size."""


def align(target: Pass, references: Sequence[Pass], limits: PlumeThresholds, numbers: SceneNumbers = OWN) -> Aligned:
    """Bring the references onto the target's grid to a fraction of a pixel."""
    searched = target.is_usable & ~target.flares
    log_ratio = compute_log_ratio(target.b11, target.b12, searched, numbers.step("target"))
    log_b11 = log_band(target.b11, searched)
    slopes = gradient_of(log_b11, searched)
    margin_px = cloud_margin_px(target, limits)
    comparable = comparable_ground(target)
    valid = np.stack([comparable & comparable_ground(reference, margin_px) for reference in references])
    steps = [numbers.step(f"reference {k}") for k in range(len(references))]
    shifts = [
        estimate_shift(log_band(r.b11, v), log_b11, slopes, v, step)
        for r, v, step in zip(references, valid, steps, strict=True)
    ]
    moved = [
        [moved_back(field, v, s) for field in (log_band(r.b11, v), compute_log_ratio(r.b11, r.b12, v, step))]
        for r, v, s, step in zip(references, valid, shifts, steps, strict=True)
    ]
    brightness, ratios = (np.stack(fields) for fields in zip(*moved, strict=True))
    of_ratio = edges_of([_mean(ratios, valid)], _without_seams(valid))
    of_ground = np.concatenate([edges_of([log_b11], searched), of_ratio])
    for k, v in enumerate(valid):
        difference = np.where(v, ratios[k] - log_ratio, np.float32(0.0))
        brightness[k] = _without_median(brightness[k] - log_b11, v, steps[k].step("b11"))
        ratios[k] = without_edges(difference, of_ground, v, steps[k])
    return Aligned(
        ratios=ratios,
        brightness=brightness,
        valid=valid,
        edge_strength=np.sqrt((of_ratio**2).mean(axis=0)),
        other_changes=_changes_of_other_bands(target, references, valid, shifts, steps),
        pixel_size_m=target.pixel_size_m,
    )


def _changes_of_other_bands(
    target: Pass, references: Sequence[Pass], valid: Mask, shifts: Sequence[Shift], steps: Sequence[SceneNumbers]
) -> dict[str, Array]:
    """Return by band how the logarithm of the reflectance differs from the mean of the references that have it."""
    changes = {}
    for name, band in target.other_bands.items():
        differences, seen = [], []
        for reference, usable, shift, step in zip(references, valid, shifts, steps, strict=True):
            if name in reference.other_bands:
                its = reference.other_bands[name]
                inside = usable & (band > 0) & (its > 0) & np.isfinite(band) & np.isfinite(its)
                difference = log_band(band, inside) - moved_back(log_band(its, inside), inside, shift)
                differences.append(_without_median(difference, inside, step.step(name)))
                seen.append(inside)
        if differences:
            changes[name] = _mean(np.stack(differences), np.stack(seen))
    return changes


def comparable_ground(one: Pass, margin_px: int = DERIVATIVES_PX) -> Mask:
    """Return where a pass can be compared with another: usable, no flare, and `margin_px` away from its clouds.

    A border of the image, which has no derivatives, can't be registered. Single pixels that aren't usable cost only
    themselves.
    """
    inside = np.zeros_like(one.is_usable)
    inside[DERIVATIVES_PX:-DERIVATIVES_PX, DERIVATIVES_PX:-DERIVATIVES_PX] = True
    return inside & one.is_usable & ~one.flares & ~beside_gaps(one.is_usable, margin_px)


def cloud_margin_px(target: Pass, limits: PlumeThresholds) -> int:
    """Return how far off a reference's clouds its pixels count."""
    return round(limits.references.cloud_margin_m / target.pixel_size_m)


def beside_gaps(usable: Mask, margin_px: int) -> Mask:
    """Return gaps of at least 3 x 3 pixels and a margin around them; the image's end is no gap."""
    if usable.all():
        return ~usable
    gaps = ndimage.maximum_filter(ndimage.minimum_filter(~usable, 3, mode="constant"), 3, mode="constant")
    return ndimage.maximum_filter(gaps, size=2 * margin_px + 1, mode="constant")


def _mean(fields: Array, valid: Mask) -> Array:
    """Return the mean of the fields where any is valid, else 0."""
    count = valid.sum(axis=0, dtype=np.float32)
    total = np.where(valid, fields, np.float32(0.0)).sum(axis=0)
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0)


def _without_seams(valid: Mask) -> Mask:
    """Return where a mean over the valid dates is of the same number of dates as beside."""
    count = valid.sum(axis=0, dtype=np.uint8)
    return (ndimage.minimum_filter(count, 3) == ndimage.maximum_filter(count, 3)) & (count > 0)


def log_band(band: Array, valid: Mask) -> Array:
    """Return the natural logarithm of a band where valid, else 0."""
    return np.log(np.where(valid, band, np.float32(1.0))).astype(np.float32)


def _without_median(field: Array, valid: Mask, numbers: SceneNumbers) -> Array:
    if not valid.any():
        return np.zeros_like(field)
    median = numbers.of("median", lambda: np.median(sampled(field, valid)))
    return np.where(valid, field - median, np.float32(0.0)).astype(np.float32)
