"""Plumes in one pass: where absorption stands out of the noise of its own place, averaged before any threshold.

A plume of 5 t/h has a signal-to-noise ratio of about one in a single pixel, so fields are averaged by Gaussians of
several widths first. The noise of each average comes from the references themselves (each against the others), pooled
over its neighbourhood, and is scaled to the scene's own spread: edges and unstable ground get a noise of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from plumewatch.methane.candidates import Region, find_regions
from plumewatch.methane.likeness import compare_shapes
from plumewatch.methane.local_noise import compute_local_noise, in_units_of_noise
from plumewatch.methane.matched_filter import Matches, match_templates, plume_templates, steady_signal
from plumewatch.methane.passes import Pass
from plumewatch.methane.probability import probability_of
from plumewatch.methane.references import (
    Comparison,
    against_ground,
    align,
    compare_with_surroundings,
    compute_comparison,
)
from plumewatch.methane.retrieval import enhancement_per_signal, estimate_enhancement
from plumewatch.methane.significance import (
    MAD_TO_SIGMA,
    Array,
    Mask,
    least_noise,
    robust_sigma,
    smooth,
    white_noise_of_average,
)
from plumewatch.methane.thresholds import Thresholds

MULTI_PASS, SINGLE_PASS, ISOLATION_FOREST = "multi_pass", "single_pass", "isolation_forest"
# Statuses of a candidate: accepted, or the first reason against it.
ACCEPTED, UNRATED = "accepted", "unrated"
SURFACE_CHANGE, TOO_SMALL, MASKED_EDGE = "surface_change", "too_small", "masked_edge"
NOT_SIGNIFICANT, DOWNWIND_PIECE = "not_significant", "downwind_piece"

TINY = float(np.finfo(np.float32).tiny)
SHARP_GROUND = 0.9  # quantile of the strength of the ground's edges, above which an edge is sharp
MASKED_EDGE_PX = 3  # pixels so near to cloud, shadow or water are its edge


@dataclass(frozen=True, eq=False)
class Candidate:
    """A region that may be a plume."""

    mask: Mask
    """Its pixels, on the pass's window."""
    significance: float | None
    """Response of the plume's template in units of its noise; None for methods without noise."""
    scale_m: float | None
    """Standard deviation of the template where it is a round one."""
    probability: float | None
    """Of methane from a source; None for isolation_forest."""
    status: str
    """`accepted`, or the first reason against it."""
    tests: Mapping[str, float] = field(default_factory=dict)
    """What the tests saw, by name."""


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
    noise_mol_m2: Mapping[float, float] = field(default_factory=dict)
    """By standard deviation of a Gaussian (m): the noise of the averaged enhancement, over the scene."""
    significance_per_mol_m: float = float("nan")
    """Significance of a steady plume of 1 mol of methane per metre along the wind; NaN for methods without noise."""
    reference_weights: tuple[float, ...] = ()
    """Of each reference in the mean that the target was compared with."""


def detect_multi_pass(
    target: Pass, references: Sequence[Pass], limits: Thresholds, wind_towards_deg: float | None = None
) -> Detection:
    """Find plumes by the ratio of the target to its references (one or more, on the target's window).

    `wind_towards_deg` (clockwise from north) narrows the directions that a plume may have; without it all are tried.
    """
    comparison = compute_comparison(align(target, references, limits), limits)
    return _detect(MULTI_PASS, target, comparison, limits, wind_towards_deg)


def detect_single_pass(target: Pass, limits: Thresholds, wind_towards_deg: float | None = None) -> Detection:
    """Find plumes in one date alone: the ratio against that of the surroundings; texture of the ground is its noise."""
    return _detect(SINGLE_PASS, target, compare_with_surroundings(target, limits), limits, wind_towards_deg)


def _detect(
    method: str, target: Pass, comparison: Comparison, limits: Thresholds, wind_towards_deg: float | None
) -> Detection:
    """Search twice: the second time without the ground that changed, against a background without what was found."""
    smoothing, size_m = limits["smoothing"], target.pixel_size_m
    noise = compute_local_noise(comparison, size_m, limits)
    changed = find_changed_ground(comparison, size_m, limits)
    search = _search(target, comparison, noise, changed, limits, wind_towards_deg)
    candidates = [
        one
        for region in search.regions
        if (one := _candidate(method, region, target, search, limits)).status == SURFACE_CHANGE
    ]
    if search.regions:
        found = _union([region.mask for region in search.regions], target.shape) | search.stands_out
        away = ndimage.distance_transform_edt(~found) > smoothing["background_margin_m"] / size_m
        comparison = against_ground(comparison, away, smoothing["background_m"] / size_m)
    if search.regions or changed.any():  # else a second search would see the same
        # Ground that changed upwards takes part: it may lie under a plume, and its regions are tested as a whole.
        refused = _union([*(one.mask for one in candidates), changed & (comparison.absorption < 0)], target.shape)
        refused = ndimage.binary_dilation(refused, iterations=MASKED_EDGE_PX)
        search = _search(
            target, replace(comparison, valid=comparison.valid & ~refused), noise, changed, limits, wind_towards_deg
        )
    candidates += [_candidate(method, region, target, search, limits) for region in search.regions]
    per_signal = enhancement_per_signal(target.platform, target.air_mass_factor)
    return Detection(
        method=method,
        enhancement_mol_m2=enhancement_of(comparison, target),
        valid=comparison.valid,
        candidates=tuple(sorted(candidates, key=lambda c: -(c.significance or 0.0))),
        noise_mol_m2={smoothing["mask_m"]: _averaged_noise(comparison, target, limits) * per_signal},
        significance_per_mol_m=search.matches.z_per_mol_m / per_signal,
        reference_weights=comparison.weights,
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """What one search gave, and what the tests of its candidates need."""

    comparison: Comparison
    """What was searched."""
    noise: Array
    """Of the place, up to one factor."""
    relative: Array
    """Absorption in units of its noise."""
    changed_ground: Mask
    """As `find_changed_ground` gives it."""
    matches: Matches
    """Responses of the templates."""
    regions: list[Region]
    """Around what reaches the seed level."""
    stands_out: Mask
    """Where the averaged absorption is far from the background, up or down."""
    wind_towards_deg: float | None
    """As given."""
    band_11_change: Array
    """Averaged change of band 11, up or down, in units of its median."""
    beside_not_seen: Mask
    """Cloud, shadow or water, and their edges."""
    sharp_ground: Mask
    """Sharp edges of the ground, and the pixels beside them."""


def _search(
    target: Pass,
    comparison: Comparison,
    noise: Array,
    changed_ground: Mask,
    limits: Thresholds,
    wind_towards_deg: float | None,
) -> _Search:
    size_m, valid = target.pixel_size_m, comparison.valid
    relative, spread = in_units_of_noise(comparison, noise)
    typical = float(np.median(noise[valid])) * spread if valid.any() else 1.0
    templates = plume_templates(size_m, wind_towards_deg, limits)
    matches = match_templates(relative, valid, templates, limits, steady_signal(templates, size_m, limits) / typical)
    mask_px = limits["smoothing"]["mask_m"] / size_m
    averaged = smooth(relative, valid, mask_px).values
    averaged /= max(robust_sigma(averaged[valid]) if valid.any() else 0.0, white_noise_of_average(mask_px) / 2)
    stands_out = valid & (np.abs(averaged) >= limits["candidates"]["seed_significance"])
    regions = find_regions(matches, averaged, valid, size_m, limits)
    change = np.abs(
        smooth(comparison.brightening, valid, limits["smoothing"]["surface_change_scale_m"] / size_m).values
    )
    usual = max(float(np.median(change[valid])), TINY) if valid.any() else 1.0
    edges = ndimage.maximum_filter(comparison.edge_strength, 3)
    return _Search(
        comparison=comparison,
        noise=noise,
        relative=relative,
        changed_ground=changed_ground,
        matches=matches,
        regions=regions,
        stands_out=stands_out,
        wind_towards_deg=wind_towards_deg,
        band_11_change=(change / usual).astype(np.float32),
        beside_not_seen=ndimage.binary_dilation(np.isfinite(target.b11) & ~target.is_usable, iterations=MASKED_EDGE_PX),
        sharp_ground=edges > (np.quantile(edges[valid], SHARP_GROUND) if valid.any() else 0.0),
    )


def enhancement_of(comparison: Comparison, target: Pass) -> Array:
    """Return the column enhancement (mol/m2) of a comparison; NaN where not valid."""
    signal = np.where(comparison.valid, -np.expm1(-comparison.absorption), np.nan)
    return estimate_enhancement(signal, target.platform, target.air_mass_factor).astype(np.float32)


def find_changed_ground(comparison: Comparison, pixel_size_m: float, limits: Thresholds) -> Mask:
    """Return where band 11 and the ratio changed far more than elsewhere in the scene, band 11 more than the ratio.

    No gas does that. Where band 11 alone changed, as on dunes when the sun has moved, a plume can still be seen.
    """
    valid = comparison.valid
    if not valid.any():
        return valid
    scale_px = limits["smoothing"]["surface_change_scale_m"] / pixel_size_m
    change, absorption = (
        np.abs(smooth(field, valid, scale_px).values) for field in (comparison.brightening, comparison.absorption)
    )
    is_far = valid & (change >= absorption)
    for change_of in (change, absorption):
        usual = max(MAD_TO_SIGMA * float(np.median(change_of[valid])), least_noise(scale_px))
        is_far &= change_of >= limits["candidates"]["changed_ground_significance"] * usual
    return is_far


def _candidate(method: str, region: Region, target: Pass, search: _Search, limits: Thresholds) -> Candidate:
    """Return the region with what the tests say of it."""
    levels, mask = limits["candidates"], region.mask
    tests = _tests(region, target, search, limits)
    probability = probability_of(method, region.significance, tests, limits)
    is_changed = tests["changed_ground_share"] > levels["changed_ground_share"]
    least = levels["changed_ground_correlation" if is_changed else "surface_change_correlation"]
    is_alike = (
        abs(tests["band_11_correlation"]) >= least and abs(tests["band_11_slope"]) >= levels["surface_change_slope"]
    )
    is_alike |= any(
        abs(tests[f"{band}_correlation"]) >= levels["surface_change_correlation"]
        and abs(tests[f"{band}_slope"]) >= levels["surface_change_slope"]
        for band in search.comparison.other_changes
    )
    reasons = (
        (SURFACE_CHANGE, is_alike),
        (TOO_SMALL, mask.sum() * target.pixel_size_m**2 < levels["min_area_m2"]),
        (MASKED_EDGE, tests["masked_edge_share"] > levels["masked_edge_share"]),
        (NOT_SIGNIFICANT, tests["mean_significance"] <= 0 or not probability >= limits["probability"]["accepted"]),
    )
    status = next((name for name, holds in reasons if holds), ACCEPTED)
    probability = min(probability, limits["probability"]["refused"].get(status, probability))
    scale_m = region.template.length_m if region.template.towards_deg is None else None
    return Candidate(mask, region.significance, scale_m, probability, status, tests)


def _tests(region: Region, target: Pass, search: _Search, limits: Thresholds) -> dict[str, float]:
    """Return what a plume and a chance differ by, by name."""
    comparison, mask, template = search.comparison, region.mask, region.template
    valid = comparison.valid
    scale_px = limits["smoothing"]["surface_change_scale_m"] / target.pixel_size_m
    likeness = compare_shapes(mask, comparison.absorption, comparison.brightening, valid, scale_px)
    absorbing = np.maximum(comparison.absorption[mask], 0.0)
    boundary = mask & ~ndimage.binary_erosion(mask)
    off = 0.0
    if template.towards_deg is not None and search.wind_towards_deg is not None:
        off = abs((template.towards_deg - search.wind_towards_deg + 180.0) % 360.0 - 180.0)
    others = {
        band: compare_shapes(mask, comparison.absorption, change, valid, scale_px)
        for band, change in comparison.other_changes.items()
    }
    return {
        "n_references": float(comparison.n_references),
        "lowest_significance_in_scene": search.matches.lowest_z,
        "changed_ground_in_scene": float(search.changed_ground.mean()),
        "band_11_correlation": likeness.correlation,
        "band_11_slope": likeness.slope,
        "band_11_change": float(search.band_11_change[mask].mean()),
        "changed_ground_share": float(search.changed_ground[mask].mean()),
        "masked_edge_share": float(absorbing[search.beside_not_seen[mask]].sum() / max(absorbing.sum(), TINY)),
        "sharp_ground_share": float(search.sharp_ground[boundary].mean()),
        "local_noise": float(np.median(search.noise[mask]) / np.median(search.noise[valid])),
        "mean_significance": float(search.relative[mask].mean()),
        "n_pixels": float(mask.sum()),
        "off_wind_deg": off,
        "is_round": float(template.towards_deg is None),
        **{f"{band}_correlation": like.correlation for band, like in others.items()},
        **{f"{band}_slope": like.slope for band, like in others.items()},
    }


def _averaged_noise(comparison: Comparison, target: Pass, limits: Thresholds) -> float:
    sigma_px = limits["smoothing"]["mask_m"] / target.pixel_size_m
    return robust_sigma(smooth(comparison.absorption, comparison.valid, sigma_px).values[comparison.valid])


def _union(masks: Sequence[Mask], shape: tuple[int, int]) -> Mask:
    return np.logical_or.reduce(masks) if masks else np.zeros(shape, bool)
