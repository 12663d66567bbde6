"""The same ground on earlier dates: what the target date is compared with, and how far it usually differs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from plumewatch.methane.alignment import Aligned, log_band
from plumewatch.methane.passes import Pass
from plumewatch.methane.reference_weights import best_mean, compute_covariance, leave_one_out, without_outliers
from plumewatch.methane.retrieval import compute_log_ratio
from plumewatch.methane.smoothing import OWN, Array, Mask, SceneNumbers, slow_part
from plumewatch.methane.thresholds import PlumeThresholds


@dataclass(frozen=True, eq=False)
class Comparison:
    """The target against the mean of its references: natural logarithms without their slow parts."""

    absorption: Array
    """ln R_ref - ln R = -ln M, about the signal of methane; 0 where not valid."""
    brightening: Array
    """ln of band 11 minus that of the references; 0 where not valid."""
    valid: Mask
    """Where the target can be compared with at least one reference; where it is usable, for its own surroundings."""
    n_references: int
    """How many dates the target is compared with; 0 for its own surroundings."""
    variance: Array
    """Expected variance of the smoothed absorption, by which references see the pixel; 1 for the own surroundings."""
    edge_strength: Array
    """As in `Aligned`; 0 for the own surroundings, whose texture is noise anyway."""
    weights: tuple[float, ...]
    """Of each reference in the mean, averaged over the pixels that were compared."""
    other_changes: dict[str, Array]
    """By further band: as `brightening`; empty where dates share no further band."""
    residuals: Array
    """Each reference against the mean of the others; references x height x width, empty for one."""
    residuals_valid: Mask
    """Where `residuals` are known: usable there and in another reference."""


def compute_comparison(aligned: Aligned, limits: PlumeThresholds, numbers: SceneNumbers = OWN) -> Comparison:
    """Compare the target with the mean of its references.

    Each difference loses its slow part first, so that gaps of a reference leave no step. At each pixel the references
    that see it get the weights that make the noise of the comparison least; where one stands out of the others, by a
    plume of its own or by a change of its ground, its pixels are left out.
    """
    smoothing = limits.smoothing
    background_px = smoothing.background_m / aligned.pixel_size_m
    scale_px = smoothing.reference_scale_m / aligned.pixel_size_m
    valid = aligned.valid
    ratios = np.stack(
        [
            _without_slow_part(r, v, v, background_px, numbers.step(f"ratio {k}"))
            for k, (r, v) in enumerate(zip(aligned.ratios, valid, strict=True))
        ]
    )
    covariance = numbers.of("covariance", lambda: compute_covariance(ratios, valid, scale_px))
    weights = 1.0 / np.diag(covariance)
    residuals, known = leave_one_out(ratios, valid, weights) if len(ratios) > 1 else (ratios[:0], valid[:0])
    usable = without_outliers(ratios, valid, weights, scale_px, limits.candidates.reference_significance, numbers)
    mean_weights, variance = best_mean(usable, covariance)
    any_valid = np.any(usable, axis=0)
    absorption, brightening = (
        _without_slow_part(
            np.einsum("kij,kij->ij", mean_weights, field), any_valid, any_valid, background_px, numbers.step(name)
        )
        for name, field in (("absorption", ratios), ("brightening", -aligned.brightness))
    )
    return Comparison(
        absorption=absorption,
        brightening=brightening,
        valid=any_valid,
        n_references=len(ratios),
        variance=variance,
        edge_strength=aligned.edge_strength,
        weights=numbers.of("weights", lambda: _mean_of_each(mean_weights, any_valid)),
        other_changes={
            name: _without_slow_part(change, any_valid, any_valid, background_px, numbers.step(name))
            for name, change in aligned.other_changes.items()
        },
        residuals=residuals,
        residuals_valid=known,
    )


def _mean_of_each(weights: Array, valid: Mask) -> tuple[float, ...]:
    return tuple(float(weight[valid].mean()) if valid.any() else 0.0 for weight in weights)


def compare_with_surroundings(target: Pass, limits: PlumeThresholds, numbers: SceneNumbers = OWN) -> Comparison:
    """Compare each pixel of one date with the ground around it: what is left without references."""
    background_px = limits.smoothing.background_m / target.pixel_size_m
    valid = target.is_usable
    log_ratio = compute_log_ratio(target.b11, target.b12, valid, numbers)
    log_b11 = log_band(target.b11, valid)
    none = np.zeros((0, *target.shape), np.float32)
    return Comparison(
        absorption=-_without_slow_part(log_ratio, valid, valid, background_px, numbers.step("absorption")),
        brightening=_without_slow_part(log_b11, valid, valid, background_px, numbers.step("brightening")),
        valid=valid,
        n_references=0,
        variance=np.ones(target.shape, np.float32),
        edge_strength=np.zeros(target.shape, np.float32),
        weights=(),
        other_changes={},
        residuals=none,
        residuals_valid=none.astype(bool),
    )


def against_ground(
    comparison: Comparison, ground: Mask, background_px: float, numbers: SceneNumbers = OWN
) -> Comparison:
    """Return the comparison with slow parts taken from the pixels of `ground` alone."""
    absorption, brightening = (
        _without_slow_part(field, comparison.valid, comparison.valid & ground, background_px, numbers.step(name))
        for name, field in (("absorption", comparison.absorption), ("brightening", comparison.brightening))
    )
    return replace(comparison, absorption=absorption, brightening=brightening)


def away_from(masks: Mask, valid: Mask, pixel_size_m: float, limits: PlumeThresholds) -> Mask:
    """Return the valid pixels that are further from `masks` than a plume's faint edge reaches."""
    if not masks.any():
        return valid
    margin_px = limits.smoothing.background_margin_m / pixel_size_m
    return valid & (ndimage.distance_transform_edt(~masks) > margin_px)


def _without_slow_part(field: Array, valid: Mask, ground: Mask, background_px: float, numbers: SceneNumbers) -> Array:
    field = np.where(valid, field, np.float32(0.0))
    return np.where(valid, field - slow_part(field, ground, background_px, numbers), np.float32(0.0))
