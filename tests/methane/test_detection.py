"""Planted plumes are found where they are, by all satellites; ground that changes is not taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plumewatch.methane.detection import (
    ACCEPTED,
    MASKED_EDGE,
    NOT_SIGNIFICANT,
    SURFACE_CHANGE,
    TOO_SMALL,
    Detection,
    detect_multi_pass,
    detect_single_pass,
    probability_of,
)
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, plume_column, simulate_area
from plumewatch.methane.passes import Pass
from plumewatch.methane.references import align, compute_comparison
from plumewatch.methane.retrieval import PLATFORMS, compute_transmittance
from plumewatch.methane.thresholds import thresholds

LIMITS = thresholds()
SIZE = 180
RNG_SEED = 11


def accepted(detection: Detection) -> list:
    return [candidate for candidate in detection.candidates if candidate.status == ACCEPTED]


def search(area: SimulatedArea, target: Pass | None = None) -> Detection:
    return detect_multi_pass(target or area.passes[-1], area.passes[:-1], LIMITS)


def with_bands(one: Pass, b11: np.ndarray | float = 1.0, b12: np.ndarray | float = 1.0) -> Pass:
    return replace(one, b11=(one.b11 * b11).astype(np.float32), b12=(one.b12 * b12).astype(np.float32))


@pytest.fixture(scope="module")
def calm() -> SimulatedArea:
    """No plume, no cloud."""
    return simulate_area(21, size=SIZE, n_references=5, clouds=False)


@pytest.mark.parametrize("wind", [2.0, 6.0])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_five_tonnes_an_hour_are_found_by_all_satellites(platform: str, wind: float) -> None:
    plume = PlantedPlume(5000.0, 90.0, 60.0, wind * 0.9, wind * 0.436)
    area = simulate_area(31, size=SIZE, platform=platform, plumes=(plume,), clouds=False, reference_plume_share=0.0)
    (found,) = accepted(search(area))
    rows, cols = np.nonzero(found.mask)
    assert np.hypot(rows - 90, cols - 60).min() < 6
    assert cols.max() > 80 and found.probability > 0.9


def test_enhancement_inside_the_mask_is_what_was_planted() -> None:
    plume = PlantedPlume(20_000.0, 90.0, 50.0, 4.0, 0.0)
    area = simulate_area(32, size=SIZE, plumes=(plume,), clouds=False, reference_plume_share=0.0)
    calm = simulate_area(32, size=SIZE, clouds=False)
    column = plume_column(np.random.default_rng(RNG_SEED), SIZE, plume)
    target = calm.passes[-1]
    gas = compute_transmittance(column, target.platform, target.air_mass_factor)
    detection = detect_multi_pass(with_bands(target, gas.b11, gas.b12), area.passes[:-1], LIMITS)
    mask = accepted(detection)[0].mask
    assert np.nansum(detection.enhancement_mol_m2[mask]) == pytest.approx(column[mask].sum(), rel=0.12)


def test_nothing_is_found_where_nothing_is(calm: SimulatedArea) -> None:
    detection = search(calm)
    assert detection.valid.all() and not accepted(detection)
    assert all(candidate.status != ACCEPTED for candidate in detection.candidates)


def test_a_plume_in_some_references_does_not_hide_one() -> None:
    plume = PlantedPlume(9000.0, 90.0, 60.0, 3.0, 1.0)
    area = simulate_area(34, size=SIZE, plumes=(plume,), n_references=5, clouds=False, reference_plume_share=0.7)
    found = accepted(search(area))
    assert len(found) == 1
    assert np.hypot(np.nonzero(found[0].mask)[0] - 90, np.nonzero(found[0].mask)[1] - 60).min() < 6


def test_the_plume_of_a_reference_is_left_out_of_the_mean(calm: SimulatedArea) -> None:
    column = plume_column(np.random.default_rng(1), SIZE, PlantedPlume(15_000.0, 90.0, 60.0, 3.0, 0.0))
    first = calm.passes[0]
    gas = compute_transmittance(column, first.platform, first.air_mass_factor)
    references = [with_bands(first, gas.b11, gas.b12), *calm.passes[1:-1]]
    core = column > 0.3
    comparison = compute_comparison(align(calm.passes[-1], references), LIMITS)
    clean = compute_comparison(align(calm.passes[-1], calm.passes[:-1]), LIMITS)
    assert comparison.absorption[core].mean() == pytest.approx(clean.absorption[core].mean(), abs=0.0005)
    assert not comparison.residuals_valid[0][core].any() and comparison.residuals_valid[1][core].mean() > 0.9
    assert comparison.reference_variance[core].mean() > 1.15 * np.median(comparison.reference_variance)


def test_wet_ground_is_a_surface_change(calm: SimulatedArea) -> None:
    wet = np.zeros((SIZE, SIZE))
    wet[60:85, 70:95] = 1.0
    target = with_bands(calm.passes[-1], np.exp(-0.08 * wet), np.exp(-0.10 * wet))
    statuses = [c.status for c in search(calm, target).candidates if c.mask[72, 82]]
    assert statuses == [SURFACE_CHANGE]


def test_a_region_along_a_cloud_is_refused(calm: SimulatedArea) -> None:
    usable = np.ones((SIZE, SIZE), bool)
    usable[60:120, 60:120] = False
    haze = np.zeros((SIZE, SIZE))
    haze[57:60, 55:125] = haze[120:123, 55:125] = haze[57:123, 57:60] = haze[57:123, 120:123] = 1.0
    target = replace(with_bands(calm.passes[-1], b12=np.exp(-0.03 * haze)), is_usable=usable)
    detection = search(calm, target)
    assert not accepted(detection)
    assert MASKED_EDGE in {c.status for c in detection.candidates}


def test_a_spot_is_too_small(calm: SimulatedArea) -> None:
    spot = np.zeros((SIZE, SIZE))
    spot[90, 90] = 1.0
    detection = search(calm, with_bands(calm.passes[-1], b12=np.exp(-0.12 * spot)))
    (candidate,) = [c for c in detection.candidates if c.mask[90, 90]]
    assert candidate.status == TOO_SMALL and candidate.significance > 5


def test_a_weak_plume_is_a_row_with_its_reason(calm: SimulatedArea) -> None:
    weak = np.zeros((SIZE, SIZE))
    weak[80:96, 80:96] = 1.0
    detection = search(calm, with_bands(calm.passes[-1], b12=np.exp(-0.0028 * weak)))
    (candidate,) = [c for c in detection.candidates if c.mask[88, 88]]
    assert candidate.status == NOT_SIGNIFICANT and 0 < candidate.probability < 0.5


def test_unstable_ground_gets_a_noise_of_its_own() -> None:
    rng = np.random.default_rng(5)
    calm = simulate_area(36, size=SIZE, n_references=7, clouds=False)
    unstable = np.zeros((SIZE, SIZE))
    unstable[40:80, 40:80] = 1.0

    def flicker(one: Pass) -> Pass:
        return with_bands(one, b12=np.exp(0.01 * rng.standard_normal() * unstable))

    references = [flicker(one) for one in calm.passes[:-1]]
    target = with_bands(calm.passes[-1], b12=np.exp(-0.01 * unstable))
    on_unstable = [c.significance for c in detect_multi_pass(target, references, LIMITS).candidates if c.mask[60, 60]]
    on_stable = [
        c.significance for c in detect_multi_pass(target, calm.passes[:-1], LIMITS).candidates if c.mask[60, 60]
    ]
    assert on_stable and max(on_unstable, default=0.0) < 0.5 * max(on_stable)


def test_one_reference_is_enough_for_a_strong_plume_but_is_trusted_less() -> None:
    plume = PlantedPlume(15_000.0, 90.0, 60.0, 3.0, 0.0)
    area = simulate_area(37, size=SIZE, plumes=(plume,), n_references=1, clouds=False, reference_plume_share=0.0)
    assert len(accepted(search(area))) == 1
    at = [probability_of("multi_pass", 6.0, n, LIMITS) for n in (1, 2, 3, 7)]
    assert at[0] < at[1] < at[2] == at[3] and at[1] < 0.5 < at[2]


def test_ground_without_any_noise_does_no_harm() -> None:
    calm = simulate_area(38, size=SIZE, n_references=3, clouds=False)
    flat = [replace(p, b11=np.full_like(p.b11, 0.5), b12=np.full_like(p.b12, 0.4)) for p in calm.passes]
    assert not detect_multi_pass(flat[-1], flat[:-1], LIMITS).candidates
    column = plume_column(np.random.default_rng(1), SIZE, PlantedPlume(3000.0, 90.0, 60.0, 3.0, 0.0))
    gas = compute_transmittance(column, flat[-1].platform, flat[-1].air_mass_factor)
    detection = detect_multi_pass(with_bands(flat[-1], gas.b11, gas.b12), flat[:-1], LIMITS)
    (found,) = accepted(detection)
    assert np.nansum(detection.enhancement_mol_m2[found.mask]) == pytest.approx(column.sum(), rel=0.1)


def test_one_date_alone_shows_a_plume_on_even_ground_only() -> None:
    rng = np.random.default_rng(2)
    textured = simulate_area(39, size=SIZE, n_references=1, clouds=False).passes[-1]
    noise = 1 + 0.0018 * rng.standard_normal((2, SIZE, SIZE))
    even = replace(textured, b11=(0.5 * noise[0]).astype(np.float32), b12=(0.4 * noise[1]).astype(np.float32))
    column = plume_column(np.random.default_rng(1), SIZE, PlantedPlume(20_000.0, 90.0, 60.0, 3.0, 0.0))
    gas = compute_transmittance(column, even.platform, even.air_mass_factor)
    (found,) = accepted(detect_single_pass(with_bands(even, gas.b11, gas.b12), LIMITS))
    assert found.mask[86:94, 60:75].any()
    assert not accepted(detect_single_pass(even, LIMITS))
    assert not accepted(detect_single_pass(with_bands(textured, gas.b11, gas.b12), LIMITS))


def test_the_same_pixels_give_the_same_result(calm: SimulatedArea) -> None:
    first, second = search(calm), search(calm)
    np.testing.assert_array_equal(first.enhancement_mol_m2, second.enhancement_mol_m2)
    assert [c.significance for c in first.candidates] == [c.significance for c in second.candidates]
