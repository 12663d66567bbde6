"""The same ground on earlier dates: what the target date is compared with, and how far it usually differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plumewatch.methane.passes import Pass
from plumewatch.methane.regions import find_regions, is_surface_change
from plumewatch.methane.registration import Gradient, estimate_shift, gradient_of, moved_back
from plumewatch.methane.retrieval import compute_log_ratio
from plumewatch.methane.significance import Array, Mask, least_noise, robust_sigma, slow_part, smooth
from plumewatch.methane.thresholds import Thresholds


@dataclass(frozen=True, eq=False)
class Aligned:
    """References minus target, each as a natural logarithm, references x height x width; 0 where not valid."""

    ratios: Array
    """Of the band ratio, each relative to its scene's median."""
    brightness: Array
    """Of band 11, without its median."""
    valid: Mask
    """Usable in both."""
    pixel_size_m: float
    """Cell size."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The target against the mean of its references: natural logarithms without their slow parts."""

    absorption: Array
    """ln R_ref - ln R = -ln M, about the signal of methane; 0 where not valid."""
    brightening: Array
    """ln of band 11 minus that of the references; 0 where not valid."""
    valid: Mask
    """Usable in the target and in at least one reference."""
    n_references: int
    """How many dates the target is compared with; 0 for its own surroundings."""
    reference_variance: Array
    """Variance of the mean of the references in units of one's: 1 where there is one, 1 / K for K equal ones."""
    residuals: Array
    """Each reference against the mean of the others; references x height x width, empty for one."""
    residuals_valid: Mask
    """Where `residuals` tell the noise: usable there and in another reference, no plume in the reference."""


def align(target: Pass, references: Sequence[Pass]) -> Aligned:
    """Bring the references onto the target's grid to a fraction of a pixel."""
    log_ratio = compute_log_ratio(target.b11, target.b12, target.is_usable)
    log_b11 = _log(target.b11, target.is_usable)
    slopes = gradient_of(log_b11, target.is_usable)
    valid = np.stack([target.is_usable & reference.is_usable for reference in references])
    ratios, brightness = (np.zeros(valid.shape, np.float32) for _ in range(2))
    for k, reference in enumerate(references):
        its_b11, its_ratio = _in_place(reference, log_b11, slopes, valid[k])
        ratios[k] = np.where(valid[k], its_ratio - log_ratio, np.float32(0.0))
        brightness[k] = _without_median(its_b11 - log_b11, valid[k])
    return Aligned(ratios, brightness, valid, target.pixel_size_m)


def compute_comparison(aligned: Aligned, limits: Thresholds, plume_free: Mask | None = None) -> Comparison:
    """Compare the target with the mean of its references; slow parts are those of `plume_free` pixels.

    Each difference loses its slow part first, so that gaps of a reference leave no step. References are averaged by the
    inverse variance of their smoothed difference from the target; where one holds a plume of its own (seen against the
    others), its pixels are left out.
    """
    background_px = limits["smoothing"]["background_m"] / aligned.pixel_size_m
    scale_px = limits["smoothing"]["reference_scale_m"] / aligned.pixel_size_m
    valid, brightness = aligned.valid, aligned.brightness
    ground = valid if plume_free is None else valid & plume_free
    ratios = np.stack(
        [_without_slow_part(r, v, g, background_px) for r, v, g in zip(aligned.ratios, valid, ground, strict=True)]
    )
    spreads = [robust_sigma(smooth(r, v, scale_px).values[v]) for r, v in zip(ratios, valid, strict=True)]
    weights = np.maximum(spreads, least_noise(scale_px)) ** -2.0
    has_others = len(ratios) > 1
    usable = (
        valid & ~_own_plumes(ratios, brightness, valid, weights, limits, aligned.pixel_size_m) if has_others else valid
    )
    absorption, any_valid = _mean(ratios, usable, weights)
    brightening = -_mean(brightness, usable, weights)[0]
    residuals, residuals_valid = _leave_one_out(ratios, usable, weights) if has_others else (ratios[:0], usable[:0])
    return Comparison(
        absorption=absorption,
        brightening=_without_slow_part(brightening, any_valid, np.any(ground, axis=0), background_px),
        valid=any_valid,
        n_references=len(ratios),
        reference_variance=_variance_of_mean(usable, weights),
        residuals=residuals,
        residuals_valid=residuals_valid,
    )


def compare_with_surroundings(target: Pass, limits: Thresholds, plume_free: Mask | None = None) -> Comparison:
    """Compare each pixel of one date with the plume-free ground around it: what is left without references."""
    background_px = limits["smoothing"]["background_m"] / target.pixel_size_m
    valid = target.is_usable
    ground = valid if plume_free is None else valid & plume_free
    log_ratio = compute_log_ratio(target.b11, target.b12, valid)
    none = np.zeros((0, *target.shape), np.float32)
    return Comparison(
        absorption=-_without_slow_part(log_ratio, valid, ground, background_px),
        brightening=_without_slow_part(_log(target.b11, valid), valid, ground, background_px),
        valid=valid,
        n_references=0,
        reference_variance=np.zeros(target.shape, np.float32),
        residuals=none,
        residuals_valid=none.astype(bool),
    )


def _in_place(reference: Pass, log_b11: Array, slopes: Gradient, valid: Mask) -> tuple[Array, Array]:
    """Return ln B11 and ln(B12 / B11) of a reference, moved by its sub-pixel shift onto the target's ln B11."""
    its_b11 = _log(reference.b11, valid)
    its_ratio = compute_log_ratio(reference.b11, reference.b12, valid)
    shift = estimate_shift(its_b11, log_b11, slopes, valid)
    return moved_back(its_b11, valid, shift), moved_back(its_ratio, valid, shift)


def _log(band: Array, valid: Mask) -> Array:
    return np.log(np.where(valid, band, np.float32(1.0))).astype(np.float32)


def _without_slow_part(field: Array, valid: Mask, ground: Mask, background_px: float) -> Array:
    field = np.where(valid, field, np.float32(0.0))
    return np.where(valid, field - slow_part(field, ground, background_px), np.float32(0.0))


def _without_median(field: Array, valid: Mask) -> Array:
    return np.where(valid, field - np.median(field[valid]), np.float32(0.0)).astype(np.float32)


def _mean(fields: Array, valid: Mask, weights: np.ndarray) -> tuple[Array, Mask]:
    """Return the weighted mean over the first axis where any is valid, and where that is."""
    weight = np.tensordot(weights.astype(np.float32), valid.astype(np.float32), 1)
    total = np.tensordot(weights.astype(np.float32), np.where(valid, fields, np.float32(0.0)), 1)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0), weight > 0


def _variance_of_mean(valid: Mask, weights: np.ndarray) -> Array:
    """Return sum of squared weights over squared sum of weights; 0 where none is valid."""
    w = weights.astype(np.float32) / np.float32(weights.max())
    total, squares = (np.tensordot(power, valid.astype(np.float32), 1) for power in (w, w**2))
    return np.divide(squares, total**2, out=np.zeros_like(total), where=total > 0)


def _leave_one_out(fields: Array, valid: Mask, weights: np.ndarray) -> tuple[Array, Mask]:
    """Return the mean of the others minus each field (of ln R: a reference's absorption), and where it is known."""
    w = weights.astype(np.float32)[:, None, None] * valid
    weighted = w * fields
    others_weight, others = w.sum(axis=0) - w, weighted.sum(axis=0) - weighted
    known = valid & (others_weight > 0.5 * weights.min())
    mean = np.divide(others, others_weight, out=np.zeros_like(others), where=known)
    return np.where(known, mean - fields, np.float32(0.0)), known


def _own_plumes(
    ratios: Array,
    brightness: Array,
    valid: Mask,
    weights: np.ndarray,
    limits: Thresholds,
    pixel_size_m: float,
) -> Mask:
    """Return where a reference has a plume of its own: absorption against the others, band 11 unchanged."""
    levels = limits["candidates"]
    scale_px = limits["smoothing"]["reference_scale_m"] / pixel_size_m
    residuals, known = _leave_one_out(ratios, valid, weights)
    darkening, _ = _leave_one_out(brightness, valid, weights)
    found = np.zeros(valid.shape, bool)
    for k in range(len(ratios)):
        smoothed = smooth(residuals[k], known[k], scale_px)
        inside = known[k] & (smoothed.coverage >= limits["smoothing"]["min_coverage"])
        if not inside.any():
            continue
        spread = max(robust_sigma(smoothed.values[inside]), least_noise(scale_px))
        z = np.where(inside, smoothed.values / np.float32(spread), -np.inf)
        regions = find_regions(z, levels["reference_plume_significance"], levels["mask_significance"])
        changed = is_surface_change(
            regions, residuals[k], -darkening[k], known[k],
            limits["smoothing"]["surface_change_scale_m"] / pixel_size_m,
            levels["surface_change_correlation"], levels["surface_change_slope"],
        )  # fmt: skip
        found[k] = np.isin(regions.labels, regions.numbers[~changed])
    return found
