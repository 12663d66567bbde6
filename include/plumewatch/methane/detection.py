"""Plumes in one pass: where absorption stands out of the noise of its own place, averaged before any threshold.

A plume of 5 t/h has a signal-to-noise ratio of about one in a single pixel, so fields are averaged by Gaussians of
several widths first. The noise of each average comes from the references themselves (each against the others), pooled
over its neighbourhood, and is scaled to the scene's own spread: edges and unstable ground get a noise of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plumewatch.methane.passes import Pass
from plumewatch.methane.references import Comparison, align, compare_with_surroundings, compute_comparison
from plumewatch.methane.regions import Regions, find_regions_on_scales, is_surface_change, join_regions
from plumewatch.methane.retrieval import enhancement_per_signal, estimate_enhancement
from plumewatch.methane.scales import Scale, compute_noise, compute_scales
from plumewatch.methane.significance import Array, Mask
from plumewatch.methane.thresholds import Thresholds

MULTI_PASS, SINGLE_PASS, ISOLATION_FOREST = "multi_pass", "single_pass", "isolation_forest"
# Statuses of a candidate: accepted, or the first reason against it.
ACCEPTED, UNRATED = "accepted", "unrated"
SURFACE_CHANGE, TOO_SMALL, MASKED_EDGE = "surface_change", "too_small", "masked_edge"
NOT_SIGNIFICANT, DOWNWIND_PIECE = "not_significant", "downwind_piece"

TINY = float(np.finfo(np.float32).tiny)
MASKED_EDGE_PX = 3  # pixels so near to cloud, shadow or water are its edge


@dataclass(frozen=True, eq=False)
class Candidate:
    """A connected region that may be a plume."""

    mask: Mask
    """Its pixels, on the pass's window."""
    significance: float | None
    """Largest absorption in units of its noise; None for methods without noise."""
    scale_m: float | None
    """Width of the Gaussian that gave it."""
    probability: float | None
    """Of methane from a source; None for isolation_forest."""
    status: str
    """`accepted`, or the first reason against it."""


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found in one pass."""

    method: str
    """multi_pass, single_pass or isolation_forest."""
    enhancement_mol_m2: Array
    """Column enhancement against the surroundings; NaN where not valid, not clipped."""
    valid: Mask
    """Pixels that were searched."""
    candidates: tuple[Candidate, ...]
    """All regions that reach the seed level, refused ones too, strongest first."""
    noise_mol_m2: dict[float, float]
    """By Gaussian width (m): the noise of the averaged enhancement, median over the scene."""


def detect_multi_pass(target: Pass, references: Sequence[Pass], limits: Thresholds) -> Detection:
    """Find plumes by the ratio of the target to its references (one or more, on the target's window)."""
    aligned = align(target, references)
    return _detect(MULTI_PASS, target, lambda ground: compute_comparison(aligned, limits, ground), limits)


def detect_single_pass(target: Pass, limits: Thresholds) -> Detection:
    """Find plumes in one date alone: the ratio against that of the surroundings; texture of the ground is its noise."""
    return _detect(SINGLE_PASS, target, lambda ground: compare_with_surroundings(target, limits, ground), limits)


def _detect(method: str, target: Pass, compare: Callable[[Mask | None], Comparison], limits: Thresholds) -> Detection:
    """Search twice: the second time against a background that leaves out what was found, and a margin around it."""
    smoothing, levels = limits["smoothing"], limits["candidates"]
    comparison = compare(None)
    noises = compute_noise(comparison, target.pixel_size_m, limits)
    for is_last in (False, True):
        scales = compute_scales(comparison, noises, target.pixel_size_m, limits)
        fields = [scale.z for scale in scales]
        regions = find_regions_on_scales(fields, levels["seed_significance"], levels["mask_significance"])
        if is_last or not regions.count:
            break
        margin_px = smoothing["background_margin_m"] / target.pixel_size_m
        comparison = compare(ndimage.distance_transform_edt(regions.labels == 0) > margin_px)
    per_signal = enhancement_per_signal(target.platform, target.air_mass_factor)
    return Detection(
        method=method,
        enhancement_mol_m2=enhancement_of(comparison, target),
        valid=comparison.valid,
        candidates=_candidates(method, target, comparison, scales, regions, limits),
        noise_mol_m2={scale.scale_m: scale.noise * per_signal for scale in scales},
    )


def enhancement_of(comparison: Comparison, target: Pass) -> Array:
    """Return the column enhancement (mol/m2) of a comparison; NaN where not valid."""
    signal = np.where(comparison.valid, -np.expm1(-comparison.absorption), np.nan)
    return estimate_enhancement(signal, target.platform, target.air_mass_factor).astype(np.float32)


def _candidates(
    method: str,
    target: Pass,
    comparison: Comparison,
    scales: Sequence[Scale],
    regions: Regions,
    limits: Thresholds,
) -> tuple[Candidate, ...]:
    """Return the regions that changed in band 11 too, one by one, and the others, joined where they are near."""
    levels = limits["candidates"]
    changed = is_surface_change(
        regions, comparison.absorption, comparison.brightening, comparison.valid,
        limits["smoothing"]["surface_change_scale_m"] / target.pixel_size_m,
        levels["surface_change_correlation"], levels["surface_change_slope"],
    )  # fmt: skip
    not_seen = np.isfinite(target.b11) & ~comparison.valid
    beside_not_seen = ndimage.binary_dilation(not_seen, iterations=MASKED_EDGE_PX)
    candidates = []
    for is_change, gap_m in ((False, levels["bridge_m"]), (True, 0.0)):
        joined = join_regions(regions, changed == is_change, gap_m / target.pixel_size_m)
        for number, significance, index in zip(joined.numbers, joined.significance, joined.scale, strict=True):
            mask = joined.labels == number
            absorbing = np.maximum(comparison.absorption[mask], 0.0)
            at_edge = absorbing[beside_not_seen[mask]].sum() / max(absorbing.sum(), TINY)
            probability = probability_of(method, float(significance), comparison.n_references, limits)
            reasons = (
                (SURFACE_CHANGE, is_change),
                (TOO_SMALL, mask.sum() * target.pixel_size_m**2 < levels["min_area_m2"]),
                (MASKED_EDGE, at_edge > levels["masked_edge_fraction"]),
                (NOT_SIGNIFICANT, probability < limits["probability"]["accepted"]),
            )
            status = next((reason for reason, holds in reasons if holds), ACCEPTED)
            candidates.append(Candidate(mask, float(significance), scales[index].scale_m, probability, status))
    return tuple(sorted(candidates, key=lambda c: -(c.significance or 0.0)))


def probability_of(method: str, significance: float, n_references: int, limits: Thresholds) -> float:
    """Return the probability of methane from a source: a logistic of the significance, provisional until calibrated."""
    midpoint, width = accepted_significance(method, n_references, limits), limits["probability"][f"{method}_width"]
    return float(1 / (1 + np.exp(-(significance - midpoint) / width)))


def accepted_significance(method: str, n_references: int, limits: Thresholds) -> float:
    """Return the significance of a probability of one half; more is asked for where few references tell the noise."""
    rule = limits["probability"]
    more = dict(enumerate(rule["few_references"], 1)) if method == MULTI_PASS else {}
    return rule[f"{method}_midpoint"] + more.get(n_references, 0.0)
