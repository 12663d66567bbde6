"""Planted plumes are found where they are, by all satellites; ground that changes is not taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.methane.detection import Detection, detect_multi_pass, detect_single_pass
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, plume_column, simulate_area
from plumewatch.methane.passes import Pass
from plumewatch.methane.retrieval import PLATFORMS, compute_transmittance
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.statuses import ACCEPTED, MASKED_EDGE, NOT_SIGNIFICANT, SURFACE_CHANGE, TOO_SMALL
from scipy import ndimage

LIMITS = plume_thresholds()
SIZE = 180
RNG_SEED = 11


def accepted(detection: Detection) -> list:
    return [candidate for candidate in detection.candidates if candidate.status == ACCEPTED]


def search(area: SimulatedArea, target: Pass | None = None, towards_deg: float | None = None) -> Detection:
    return detect_multi_pass(target or area.passes[-1], area.passes[:-1], LIMITS, towards_deg)


def at(detection: Detection, row: int, col: int) -> list:
    return [candidate for candidate in detection.candidates if candidate.mask[row, col]]


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
    found = accepted(search(area))[0]  # a far piece of it may be another: describe_plumes knows that by the wind
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
    assert np.nansum(detection.enhancement_mol_m2[mask]) == pytest.approx(column[mask].sum(), rel=0.25)


def test_nothing_is_found_where_nothing_is(calm: SimulatedArea) -> None:
    detection = search(calm)
    assert detection.valid.mean() > 0.9 and len(detection.candidates) > 5 and not accepted(detection)


def test_a_plume_in_some_references_does_not_hide_one() -> None:
    plume = PlantedPlume(9000.0, 90.0, 60.0, 3.0, 1.0)
    area = simulate_area(34, size=SIZE, plumes=(plume,), n_references=7, clouds=False, reference_plume_share=0.4)
    found = accepted(search(area))
    assert len(found) == 1
    assert np.hypot(np.nonzero(found[0].mask)[0] - 90, np.nonzero(found[0].mask)[1] - 60).min() < 10


def test_wet_ground_is_a_surface_change(calm: SimulatedArea) -> None:
    wet = np.zeros((SIZE, SIZE))
    wet[60:85, 70:95] = 1.0
    target = with_bands(calm.passes[-1], np.exp(-0.2 * wet), np.exp(-0.25 * wet))
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


def test_a_region_below_a_hectare_is_too_small(calm: SimulatedArea) -> None:
    least = LIMITS.candidates.min_area_m2
    areas = {
        is_small: [c.mask.sum() * 400.0 for c in search(calm).candidates if (c.status == TOO_SMALL) == is_small]
        for is_small in (True, False)
    }
    assert areas[True] and max(areas[True]) < least
    changed = [c.mask.sum() * 400.0 for c in search(calm).candidates if c.status in (SURFACE_CHANGE,)]
    assert all(area >= least or area in changed for area in areas[False])


def test_what_is_not_probable_is_a_row_with_its_reason(calm: SimulatedArea) -> None:
    candidates = [*search(calm).candidates, *search(calm, with_gas(calm.passes[-1])).candidates]
    level = LIMITS.probability.accepted
    weak = [c for c in candidates if c.status == NOT_SIGNIFICANT]
    assert weak and all(0 < c.probability < level for c in weak)
    assert all(c.probability >= level for c in candidates if c.status == ACCEPTED)


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


def test_one_reference_is_enough_for_a_strong_plume() -> None:
    plume = PlantedPlume(15_000.0, 90.0, 60.0, 3.0, 0.0)
    area = simulate_area(37, size=SIZE, plumes=(plume,), n_references=1, clouds=False, reference_plume_share=0.0)
    found = accepted(search(area))[0]
    assert found.mask[85:95, 58:75].any() and found.tests["n_references"] == 1.0


def test_one_date_alone_shows_a_plume_on_even_ground_only() -> None:
    rng = np.random.default_rng(2)
    textured = simulate_area(39, size=SIZE, n_references=1, clouds=False).passes[-1]
    noise = 1 + 0.0018 * rng.standard_normal((2, SIZE, SIZE))
    even = replace(textured, b11=(0.5 * noise[0]).astype(np.float32), b12=(0.4 * noise[1]).astype(np.float32))
    column = plume_column(np.random.default_rng(1), SIZE, PlantedPlume(20_000.0, 90.0, 60.0, 3.0, 0.0))
    gas = compute_transmittance(column, even.platform, even.air_mass_factor)
    found = detect_single_pass(with_bands(even, gas.b11, gas.b12), LIMITS).candidates[0]
    assert found.mask[86:94, 60:75].any() and found.significance > 2 * LIMITS.candidates.seed_significance
    assert not accepted(detect_single_pass(even, LIMITS))
    assert not accepted(detect_single_pass(with_bands(textured, gas.b11, gas.b12), LIMITS))


def test_the_same_pixels_give_the_same_result(calm: SimulatedArea) -> None:
    first, second = search(calm), search(calm)
    np.testing.assert_array_equal(first.enhancement_mol_m2, second.enhancement_mol_m2)
    assert [c.significance for c in first.candidates] == [c.significance for c in second.candidates]


TESTS = {
    "n_references", "band_11_correlation", "band_11_slope", "changed_ground_share", "share_beyond_table",
    "masked_edge_share", "sharp_ground_share", "local_noise", "mean_significance", "n_pixels", "n_core_pixels",
    "off_wind_deg", "is_round",
}  # fmt: skip


@pytest.fixture(scope="module")
def with_red() -> SimulatedArea:
    """As `calm`, with band 4."""
    return simulate_area(21, size=SIZE, n_references=5, clouds=False, other_bands=("b04",))


def with_gas(target: Pass, rate: float = 12_000.0, u: float = 3.0, v: float = 0.0) -> Pass:
    column = plume_column(np.random.default_rng(1), SIZE, PlantedPlume(rate, 90.0, 60.0, u, v))
    gas = compute_transmittance(column, target.platform, target.air_mass_factor)
    return with_bands(target, gas.b11, gas.b12)


def test_the_wind_is_used_where_it_is_known(calm: SimulatedArea) -> None:
    target = with_gas(calm.passes[-1])
    free, along = search(calm, target), search(calm, target, 90.0)
    assert len(accepted(free)) == len(accepted(along)) == 1
    assert free.candidates[0].tests["off_wind_deg"] == 0.0
    assert accepted(along)[0].tests["off_wind_deg"] <= 45.0
    assert len(along.candidates) <= len(free.candidates) + 1


def test_a_plume_against_the_wind_is_less_probable(calm: SimulatedArea) -> None:
    target = with_gas(calm.passes[-1], 2500.0)
    along, against = (search(calm, target, towards).candidates for towards in (90.0, 270.0))
    of_plume = [max((c.probability for c in cs if c.mask[86:95, 60:80].any()), default=0.0) for cs in (along, against)]
    assert of_plume[0] > 0.5 and of_plume[1] < of_plume[0] - 0.05


def test_a_change_of_another_band_in_the_same_shape_refuses(with_red: SimulatedArea) -> None:
    target = with_gas(with_red.passes[-1])
    (plume,) = accepted(search(with_red, target))
    assert {"b04_correlation", "b04_slope"} <= set(plume.tests) and abs(plume.tests["b04_slope"]) < 0.7
    dark = np.exp(-0.1 * plume.mask.astype(float))
    stained = replace(target, other_bands={"b04": (target.other_bands["b04"] * dark).astype(np.float32)})
    assert {c.status for c in at(search(with_red, stained), 90, 64)} == {SURFACE_CHANGE}


def test_tests_are_named_and_those_of_bands_that_are_not_there_are_not(
    calm: SimulatedArea, with_red: SimulatedArea
) -> None:
    without, red = (search(area, with_gas(area.passes[-1])).candidates for area in (calm, with_red))
    assert without and red
    for candidate in without:
        assert set(candidate.tests) >= TESTS and not any(name.startswith("b04") for name in candidate.tests)
    for candidate in red:
        assert set(candidate.tests) >= TESTS | {"b04_correlation", "b04_slope"}
        assert np.isfinite(list(candidate.tests.values())).all()


def test_strongest_first_and_scale_only_of_round_templates(calm: SimulatedArea) -> None:
    candidates = search(calm, with_gas(calm.passes[-1])).candidates
    significances = [c.significance for c in candidates]
    assert significances == sorted(significances, reverse=True) and len(candidates) > 1
    for candidate in candidates:
        assert (candidate.scale_m is None) == (candidate.tests["is_round"] == 0.0)
        assert 0.0 <= candidate.probability <= 1.0 and candidate.tests["n_pixels"] == candidate.mask.sum()
        assert candidate.significance >= LIMITS.candidates.seed_significance


def test_predicted_significance_of_a_steady_plume_is_that_of_a_planted_one(calm: SimulatedArea) -> None:
    """A limit rests on it: a straight plume of 5 mol/m has 5 times the significance per mol/m."""
    rows, cols = np.indices((SIZE, SIZE))
    along = (cols - 60) * 20.0
    width = 18.0 + 0.17 * np.maximum(along, 1.0)
    column = np.where(along > 0, np.exp(-(((rows - 90) * 20.0) ** 2) / (2 * width**2)) / (2.5066 * width), 0.0)
    target = calm.passes[-1]
    gas = compute_transmittance(5.0 * column, target.platform, target.air_mass_factor)
    detection = search(calm, with_bands(target, gas.b11, gas.b12), 90.0)
    found = max(c.significance for c in detection.candidates if c.mask[88:93, 60:80].any())
    assert found == pytest.approx(5.0 * search(calm, None, 90.0).significance_per_mol_m, rel=0.4)


def test_noise_is_stated_by_scale(calm: SimulatedArea) -> None:
    detection = search(calm)
    assert set(detection.noise_mol_m2) == {LIMITS.smoothing.mask_m}
    assert 0.001 < detection.noise_mol_m2[LIMITS.smoothing.mask_m] < 0.05
    assert detection.significance_per_mol_m > 0 and detection.method == "multi_pass"


def test_what_is_not_valid_has_no_enhancement(calm: SimulatedArea) -> None:
    usable = np.ones((SIZE, SIZE), bool)
    usable[60:90, 60:90] = False
    detection = search(calm, replace(calm.passes[-1], is_usable=usable))
    assert not detection.valid[60:90, 60:90].any() and detection.valid.mean() > 0.8
    np.testing.assert_array_equal(np.isfinite(detection.enhancement_mol_m2), detection.valid)
    assert not any((c.mask & ~usable).any() for c in detection.candidates)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_target_of_which_nothing_is_seen(calm: SimulatedArea) -> None:
    dark = replace(calm.passes[-1], is_usable=np.zeros((SIZE, SIZE), bool))
    for detection in (search(calm, dark), detect_single_pass(dark, LIMITS)):
        assert detection.candidates == () and not detection.valid.any()
        assert np.isnan(detection.enhancement_mol_m2).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    height=st.integers(3, 70), width=st.integers(3, 70), share=st.floats(0.3, 1.0), seed=st.integers(0, 1000),
    towards=st.none() | st.floats(0.0, 360.0),
)  # fmt: skip
def test_any_window_and_mask(
    calm: SimulatedArea, height: int, width: int, share: float, seed: int, towards: float | None
) -> None:
    level = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((SIZE, SIZE)), 6.0)
    window = (slice(0, height), slice(0, width))

    def cut(one: Pass, usable: np.ndarray) -> Pass:
        return replace(one, b11=one.b11[window], b12=one.b12[window], is_usable=usable[window])

    target = cut(calm.passes[-1], level <= np.quantile(level, share))
    references = [cut(one, one.is_usable) for one in calm.passes[:-1]]
    for detection in (
        detect_multi_pass(target, references, LIMITS, towards), detect_single_pass(target, LIMITS, towards)
    ):  # fmt: skip
        assert detection.enhancement_mol_m2.shape == (height, width)
        assert not (detection.valid & ~target.is_usable).any()
        for candidate in detection.candidates:
            assert candidate.mask.any() and not (candidate.mask & ~target.is_usable).any()
            assert 0.0 <= candidate.probability <= 1.0
