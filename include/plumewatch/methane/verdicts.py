"""What is asked of a region before it counts as a plume: each answer a number, and the first reason against it.

A plume darkens band 12 alone, is no single object, and doesn't end where cloud or changed ground does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from plumewatch.geodesy import angle_between_deg
from plumewatch.methane.candidates import Region
from plumewatch.methane.likeness import compare_shapes
from plumewatch.methane.mask_window import window_around
from plumewatch.methane.matched_filter import Matches
from plumewatch.methane.passes import Pass
from plumewatch.methane.probability import is_calibrated, probability_of
from plumewatch.methane.references import Comparison
from plumewatch.methane.retrieval import transmittance_curve
from plumewatch.methane.smoothing import TINY, Array, Mask
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.sensors.known import sensor_of_platform
from plumewatch.statuses import ACCEPTED, MASKED_EDGE, NOT_SIGNIFICANT, SURFACE_CHANGE, TOO_SMALL, UNRATED

BAND_11 = "band_11"
CORE_SHARE = 0.8  # of a region's absorption: the fewest pixels that hold it are its core


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
    """Of methane from a source; None for isolation_forest, and where it wasn't measured for the sensor."""
    status: str
    """`accepted`, or the first reason against it."""
    tests: Mapping[str, float] = field(default_factory=dict)
    """What the tests saw, by name."""


@dataclass(frozen=True, eq=False)
class SearchEvidence:
    """What one search gave, and what the tests of its candidates need."""

    comparison: Comparison
    """What was searched."""
    local_noise: Array
    """Of the place, in units of the scene's median."""
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
    beside_not_seen: Mask
    """Cloud, shadow or water of at least 3 x 3 pixels, and their edges."""
    sharp_ground: Mask
    """Sharp edges of the ground, and the pixels beside them."""


def judge_region(
    method: str, region: Region, target: Pass, search: SearchEvidence, limits: PlumeThresholds
) -> Candidate:
    """Return the region with what the tests say of it."""
    levels, mask = limits.candidates, region.mask
    tests = run_tests(region, target, search, limits)
    sensor = sensor_of_platform(target.platform).name
    probability = probability_of(method, region.significance, tests, limits, sensor)
    reasons = (
        (SURFACE_CHANGE, is_surface_change(tests, limits)),
        (SURFACE_CHANGE, tests["share_beyond_table"] >= levels.beyond_table_share),
        (TOO_SMALL, tests["n_pixels"] * target.pixel_size_m**2 < levels.min_area_m2),
        (TOO_SMALL, tests["n_core_pixels"] * target.pixel_size_m**2 <= levels.largest_object_area_m2),
        (MASKED_EDGE, tests["masked_edge_share"] > levels.masked_edge_share),
        (UNRATED, not is_calibrated(method, sensor, limits)),
        (NOT_SIGNIFICANT, tests["mean_significance"] <= 0 or not probability >= limits.probability.accepted),
    )
    status = next((name for name, holds in reasons if holds), ACCEPTED)
    stated = min(probability, limits.probability.refused.get(status, probability))
    stated_if_known = stated if is_calibrated(method, sensor, limits) else None
    scale_m = region.template.length_m if region.template.towards_deg is None else None
    return Candidate(mask, region.significance, scale_m, stated_if_known, status, tests)


def shape_tests(mask: Mask, target: Pass, search: SearchEvidence, limits: PlumeThresholds) -> dict[str, float]:
    """Return how the other bands follow the absorption, by name, and how much of the region is changed ground."""
    comparison = search.comparison
    around = window_around(mask, 0)
    tests = {"changed_ground_share": float(search.changed_ground[around][mask[around]].mean())}
    scale_px = limits.smoothing.surface_change_scale_m / target.pixel_size_m
    for band, change in {BAND_11: comparison.brightening, **comparison.other_changes}.items():
        likeness = compare_shapes(mask, comparison.absorption, change, comparison.valid, scale_px)
        tests |= {f"{band}_correlation": likeness.correlation, f"{band}_slope": likeness.slope}
    return tests


def is_surface_change(tests: Mapping[str, float], limits: PlumeThresholds) -> bool:
    """Whether any band changed in the shape of the absorption.

    Less likeness of band 11 is enough on changed ground, or where it changed far more than the absorption.
    """
    levels = limits.candidates
    for band in (name.removesuffix("_slope") for name in tests if name.endswith("_slope")):
        least = levels.surface_change_correlation
        if band == BAND_11 and tests["changed_ground_share"] > levels.changed_ground_share:
            least = levels.changed_ground_correlation
        elif band == BAND_11 and abs(tests["band_11_slope"]) >= levels.steep_change_slope:
            least = levels.steep_change_correlation
        is_alike = abs(tests[f"{band}_correlation"]) >= least
        if is_alike and abs(tests[f"{band}_slope"]) >= levels.surface_change_slope:
            return True
    return False


def run_tests(region: Region, target: Pass, search: SearchEvidence, limits: PlumeThresholds) -> dict[str, float]:
    """Return what a plume and a chance differ by, by name."""
    comparison, template = search.comparison, region.template
    around = window_around(region.mask, 1)
    mask = region.mask[around]

    def inside(field: Array | Mask) -> Array | Mask:
        return field[around][mask]

    absorbing = np.maximum(inside(comparison.absorption), 0.0)
    falling = np.sort(absorbing)[::-1]
    held = np.cumsum(falling)
    core = falling[: np.searchsorted(held, CORE_SHARE * held[-1]) + 1]
    largest = transmittance_curve(target.platform, target.air_mass_factor).largest_absorption
    boundary = mask & ~ndimage.binary_erosion(mask)
    off = 0.0
    if template.towards_deg is not None and search.wind_towards_deg is not None:
        off = float(angle_between_deg(template.towards_deg, search.wind_towards_deg))
    return shape_tests(region.mask, target, search, limits) | {
        "n_references": float(comparison.n_references),
        "lowest_significance_in_scene": search.matches.lowest_z,
        "masked_edge_share": float(absorbing[inside(search.beside_not_seen)].sum() / max(absorbing.sum(), TINY)),
        "sharp_ground_share": float(search.sharp_ground[around][boundary].mean()),
        "local_noise": float(np.median(inside(search.local_noise))),
        "mean_significance": float(inside(search.relative).mean()),
        "n_pixels": float(mask.sum()),
        "n_core_pixels": float(len(core)),
        "share_beyond_table": float((core >= largest).mean()),
        "off_wind_deg": off,
        "is_round": float(template.towards_deg is None),
    }
