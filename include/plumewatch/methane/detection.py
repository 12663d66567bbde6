"""Plumes in one pass: where absorption stands out of the noise of its own place, averaged before any threshold.

A plume of 5 t/h has a signal-to-noise ratio of about one in a single pixel, so fields are averaged by templates in the
shape of plumes first. The noise of each place comes from the references themselves (each against the others), pooled
over its neighbourhood, and is scaled to the scene's own spread: edges and unstable ground get a noise of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from scipy import ndimage

from plumewatch.constants import MAD_TO_SIGMA
from plumewatch.gases import MULTI_PASS, SINGLE_PASS
from plumewatch.methane.alignment import align, beside_gaps
from plumewatch.methane.candidates import find_regions
from plumewatch.methane.local_noise import compute_local_noise, in_units_of_noise
from plumewatch.methane.matched_filter import match_templates, plume_templates, steady_signal
from plumewatch.methane.passes import Pass
from plumewatch.methane.references import (
    Comparison,
    against_ground,
    away_from,
    compare_with_surroundings,
    compute_comparison,
)
from plumewatch.methane.retrieval import enhancement_per_signal, estimate_enhancement
from plumewatch.methane.smoothing import (
    OWN,
    Array,
    Mask,
    SceneNumbers,
    least_noise,
    robust_sigma,
    sampled,
    smooth,
    white_noise_of_average,
)
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.methane.verdicts import (
    Candidate,
    SearchEvidence,
    is_surface_change,
    judge_region,
    shape_tests,
)

SHARP_GROUND = 0.9  # quantile of the strength of the ground's edges, above which an edge is sharp
MASKED_EDGE_PX = 3  # pixels so near to cloud, shadow or water are its edge; what was refused is left out so wide


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
    """All regions that reach the seed level, refused ones too; strongest first where there is a significance."""
    noise_mol_m2: Mapping[float, float] = field(default_factory=dict)
    """By standard deviation of a Gaussian (m): the noise of the averaged enhancement, over the scene."""
    significance_per_mol_m: float = float("nan")
    """Significance of a steady plume of 1 mol of methane per metre along the wind; NaN for methods without noise."""
    reference_weights: tuple[float, ...] = ()
    """Of each reference in the mean that the target was compared with."""


def detect_multi_pass(
    target: Pass,
    references: Sequence[Pass],
    limits: PlumeThresholds,
    wind_towards_deg: float | None = None,
    numbers: SceneNumbers = OWN,
) -> Detection:
    """Find plumes by the ratio of the target to its references (one or more, on the target's window).

    `wind_towards_deg` (clockwise from north) narrows the directions that a plume may have; without it all are tried.
    """
    comparison = compute_comparison(align(target, references, limits, numbers), limits, numbers)
    return _detect(MULTI_PASS, target, comparison, limits, wind_towards_deg, numbers)


def detect_single_pass(
    target: Pass, limits: PlumeThresholds, wind_towards_deg: float | None = None, numbers: SceneNumbers = OWN
) -> Detection:
    """Find plumes in one date alone: the ratio against that of the surroundings; texture of the ground is its noise."""
    comparison = compare_with_surroundings(target, limits, numbers)
    return _detect(SINGLE_PASS, target, comparison, limits, wind_towards_deg, numbers)


def _detect(
    method: str,
    target: Pass,
    comparison: Comparison,
    limits: PlumeThresholds,
    wind_towards_deg: float | None,
    numbers: SceneNumbers,
) -> Detection:
    """Search twice: the second time without the ground that changed, against a background without what was found.

    In a large scene something always was.
    """
    smoothing, size_m = limits.smoothing, target.pixel_size_m
    noise = compute_local_noise(comparison, size_m, limits, numbers)
    changed = find_changed_ground(comparison, size_m, limits, numbers)
    search = _search(target, comparison, noise, changed, limits, wind_towards_deg, numbers.step("first"))
    candidates = [
        judge_region(method, region, target, search, limits)
        for region in search.regions
        if is_surface_change(shape_tests(region.mask, target, search, limits), limits)
    ]
    if search.regions or numbers.is_large:
        found = _union([region.mask for region in search.regions], target.shape) | search.stands_out
        ground = away_from(found, comparison.valid, size_m, limits)
        comparison = against_ground(comparison, ground, smoothing.background_m / size_m, numbers.step("ground"))
    if search.regions or changed.any() or numbers.is_large:  # else a second search would see the same
        # Ground that changed upwards takes part: it may lie under a plume, and its regions are tested as a whole.
        refused = _union([*(one.mask for one in candidates), changed & (comparison.absorption < 0)], target.shape)
        refused = ndimage.binary_dilation(refused, iterations=MASKED_EDGE_PX)
        kept = replace(comparison, valid=comparison.valid & ~refused)
        search = _search(target, kept, noise, changed, limits, wind_towards_deg, numbers.step("second"))
    candidates += [judge_region(method, region, target, search, limits) for region in search.regions]
    per_signal = enhancement_per_signal(target.platform, target.air_mass_factor)
    return Detection(
        method=method,
        enhancement_mol_m2=enhancement_of(comparison, target),
        valid=comparison.valid,
        candidates=tuple(sorted(candidates, key=lambda c: -(c.significance or 0.0))),
        noise_mol_m2={
            smoothing.mask_m: numbers.of("noise", lambda: _averaged_noise(comparison, target, limits)) * per_signal
        },
        significance_per_mol_m=search.matches.z_per_mol_m / per_signal,
        reference_weights=comparison.weights,
    )


def _search(
    target: Pass,
    comparison: Comparison,
    noise: Array,
    changed_ground: Mask,
    limits: PlumeThresholds,
    wind_towards_deg: float | None,
    numbers: SceneNumbers,
) -> SearchEvidence:
    size_m, valid = target.pixel_size_m, comparison.valid
    relative, spread = in_units_of_noise(comparison, noise, numbers)
    usual_noise = numbers.of("usual noise", lambda: float(np.median(sampled(noise, valid))) if valid.any() else 1.0)
    templates = plume_templates(size_m, wind_towards_deg, limits)
    signal = steady_signal(templates, size_m, limits) / (usual_noise * spread)
    matches = match_templates(relative, valid, templates, limits, signal, numbers)
    mask_px = limits.smoothing.mask_m / size_m
    averaged = smooth(relative, valid, mask_px)
    averaged_noise = numbers.of("averaged", lambda: robust_sigma(averaged, valid) if valid.any() else 0.0)
    averaged /= max(averaged_noise, white_noise_of_average(mask_px) / 2)
    stands_out = valid & (np.abs(averaged) >= limits.candidates.seed_significance)
    regions = find_regions(matches, averaged, valid, size_m, limits)
    edges = ndimage.maximum_filter(comparison.edge_strength, 3)
    sharp = numbers.of("sharp", lambda: np.quantile(sampled(edges, valid), SHARP_GROUND) if valid.any() else 0.0)
    return SearchEvidence(
        comparison=comparison,
        local_noise=noise / usual_noise,
        relative=relative,
        changed_ground=changed_ground,
        matches=matches,
        regions=regions,
        stands_out=stands_out,
        wind_towards_deg=wind_towards_deg,
        beside_not_seen=beside_gaps(target.is_usable | ~np.isfinite(target.b11), MASKED_EDGE_PX),
        sharp_ground=edges > sharp,
    )


def enhancement_of(comparison: Comparison, target: Pass) -> Array:
    """Return the column enhancement (mol/m2) of a comparison; NaN where not valid."""
    signal = np.where(comparison.valid, -np.expm1(-comparison.absorption), np.nan)
    return estimate_enhancement(signal, target.platform, target.air_mass_factor).astype(np.float32)


def find_changed_ground(
    comparison: Comparison, pixel_size_m: float, limits: PlumeThresholds, numbers: SceneNumbers = OWN
) -> Mask:
    """Return where band 11 and the ratio changed far more than elsewhere in the scene, band 11 more than the ratio.

    No gas does that. Where band 11 alone changed, as on dunes when the sun has moved, a plume can still be seen.
    """
    valid = comparison.valid
    if not valid.any():
        return valid
    scale_px = limits.smoothing.surface_change_scale_m / pixel_size_m
    change, absorption = (
        np.abs(smooth(field, valid, scale_px)) for field in (comparison.brightening, comparison.absorption)
    )
    is_far = valid & (change >= absorption)
    for name, change_of in (("change", change), ("absorption", absorption)):
        usual = numbers.of(f"usual {name}", partial(_usual_size, change_of, valid))
        is_far &= change_of >= limits.candidates.changed_ground_significance * max(usual, least_noise(scale_px))
    return is_far


def _usual_size(values: Array, valid: Mask) -> float:
    return MAD_TO_SIGMA * float(np.median(sampled(values, valid)))


def _averaged_noise(comparison: Comparison, target: Pass, limits: PlumeThresholds) -> float:
    sigma_px = limits.smoothing.mask_m / target.pixel_size_m
    return robust_sigma(smooth(comparison.absorption, comparison.valid, sigma_px)[comparison.valid])


def _union(masks: Sequence[Mask], shape: tuple[int, int]) -> Mask:
    return np.logical_or.reduce(masks) if masks else np.zeros(shape, bool)
