"""Masses and rates of planted plumes come back, with intervals that say what is known."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL
from plumewatch.methane.evaluation.measure import Setting, run_trial
from plumewatch.methane.evaluation.seeds import TRAINING
from plumewatch.methane.quantification import (
    GroundNoise,
    Mass,
    compute_mass,
    detection_limit_kg_h,
    effective_wind_m_s,
    estimate_plume_emission,
    noise_of_sum,
)
from plumewatch.methane.smoothing import robust_sigma
from plumewatch.methane.thresholds import plume_thresholds
from scipy import ndimage

LIMITS = plume_thresholds()


def mass_of(ime_kg: float, area_m2: float, sigma_kg: float = 0.0) -> Mass:
    per_length = ime_kg / area_m2**0.5
    return Mass(ime_kg, sigma_kg, area_m2, (per_length, per_length, per_length))


def test_rate_of_the_published_example() -> None:
    rate = estimate_plume_emission(mass_of(520.0, 600.0**2), 3.5, "a", LIMITS)
    assert rate.emission_kg_h == pytest.approx((0.33 * 3.5 + 0.45) * 520 / 600 * 3600, rel=1e-9)
    assert effective_wind_m_s([0.0, 10.0], LIMITS) == pytest.approx([0.45, 3.75])


def test_interval_is_of_the_wind_and_grows_with_noise() -> None:
    quiet, noisy = (estimate_plume_emission(mass_of(520.0, 360e3, sigma), 3.5, "a", LIMITS) for sigma in (0.0, 300.0))
    half = (quiet.high_kg_h - quiet.low_kg_h) / 2 / quiet.emission_kg_h
    rule = LIMITS.emission
    of_wind = rule.wind_error * 0.33 * 3.5 / 1.605
    parts = of_wind, rule.retrieval_error, rule.model_error
    assert half == pytest.approx(np.sqrt(np.square(parts).sum()), abs=0.04) and half > of_wind
    assert noisy.high_kg_h - noisy.low_kg_h > 1.3 * (quiet.high_kg_h - quiet.low_kg_h)
    assert noisy.low_kg_h < noisy.emission_kg_h < noisy.high_kg_h


def test_interval_depends_on_the_plume_alone() -> None:
    first, again, other = (
        estimate_plume_emission(mass_of(520.0, 360e3), 3.5, name, LIMITS) for name in ("a", "a", "b")
    )
    assert first == again and first != other


def test_a_mass_below_the_surroundings_has_an_interval_around_its_rate() -> None:
    mass = Mass(-500.0, 100.0, 360_000.0, (-0.85, -0.83, -0.81))
    found = estimate_plume_emission(mass, 3.5, "below", LIMITS)
    assert found.low_kg_h < found.emission_kg_h < 0.0
    assert found.emission_kg_h < found.high_kg_h


def test_mass_in_a_mask_and_its_noise() -> None:
    rng = np.random.default_rng(6)
    white = 0.05 * rng.standard_normal((200, 200))
    mask = np.zeros((200, 200), bool)
    mask[90:110, 60:140] = True
    field = (white + 0.2 * mask).astype(np.float32)
    field[95, 100] = np.nan
    mass = compute_mass(field, mask, GroundNoise.of(field, ~ndimage.binary_dilation(mask, iterations=5)), 20.0, LIMITS)
    per_mol = MOLAR_MASS_CH4_KG_MOL * 400
    assert mass.area_m2 == 1600 * 400
    assert mass.ime_kg == pytest.approx(0.2 * 1600 * per_mol, rel=0.04)
    assert mass.ime_sigma_kg == pytest.approx(0.05 * 40 * per_mol, rel=0.35)
    smaller, best, larger = mass.ime_per_length_kg_m
    assert smaller < best and larger < best


def test_noise_of_a_sum_holds_the_correlation_of_pixels() -> None:
    rng = np.random.default_rng(7)
    correlated = ndimage.gaussian_filter(rng.standard_normal((250, 250)), 3.0)
    correlated *= 0.05 / correlated.std()
    mask = np.zeros((250, 250), bool)
    mask[100:115, 100:130] = True
    truth = 0.05 * np.sqrt(450 * 4 * np.pi * 9)  # each pixel stands for 4 pi s^2 others
    assert noise_of_sum(GroundNoise.of(correlated, ~mask), mask) == pytest.approx(truth, rel=0.35)
    everywhere = np.ones((250, 250), bool)
    assert noise_of_sum(GroundNoise.of(correlated, everywhere), everywhere) > 0.05 * 62500 / 2


def test_noise_of_a_sum_is_the_covariance_of_all_pairs() -> None:
    rng = np.random.default_rng(8)
    field = ndimage.gaussian_filter(rng.standard_normal((43, 53)), 1.0)  # not a length that a transform likes
    field[:, 47:] = np.nan
    mask = np.zeros((43, 53), bool)
    mask[20:23, 10:14], mask[23, 12] = True, True
    free = ~ndimage.binary_dilation(mask, iterations=2)
    ground = free & np.isfinite(field)
    limit = 3 * robust_sigma(field[ground])
    middle = np.median(field[ground])
    clipped = np.clip(field, middle - limit, middle + limit)
    values = np.where(ground, clipped - clipped[ground].mean(), 0.0)

    def covariance(rows: int, cols: int) -> float:
        there = ndimage.shift(values, (rows, cols), order=0), ndimage.shift(ground.astype(int), (rows, cols), order=0)
        return float((values * there[0]).sum() / (ground * there[1]).sum())

    places = np.argwhere(mask)
    variance = sum(covariance(*(a - b)) for a in places for b in places)
    assert noise_of_sum(GroundNoise.of(field, free), mask) == pytest.approx(np.sqrt(variance), rel=1e-4)


def test_noise_of_a_sum_is_that_of_sums_at_other_places() -> None:
    field = ndimage.gaussian_filter(np.random.default_rng(10).standard_normal((300, 300)), 2.0)
    mask = np.zeros((300, 300), bool)
    mask[100:110, 100:125] = True
    sums = ndimage.uniform_filter(field, (10, 25))[10:-10:3, 25:-25:3] * mask.sum()
    assert noise_of_sum(GroundNoise.of(field, ~mask), mask) == pytest.approx(sums.std(), rel=0.1)


def test_without_ground_nothing_tells_the_noise() -> None:
    mask = np.ones((20, 30), bool)
    assert np.isnan(noise_of_sum(GroundNoise.of(np.ones((20, 30)), ~mask), mask))


def test_mass_at_the_end_of_the_image_is_that_of_the_same_mask_inside() -> None:
    rng = np.random.default_rng(9)
    small = (0.1 + 0.01 * rng.standard_normal((30, 40))).astype(np.float32)
    large = np.pad(small, 50)
    mask = np.zeros(small.shape, bool)
    mask[:8, 30:] = True
    at_end, inside = (
        compute_mass(field, m, GroundNoise.of(field, ~m), 20.0, LIMITS)
        for field, m in ((small, mask), (large, np.pad(mask, 50)))
    )
    assert at_end.ime_kg == pytest.approx(inside.ime_kg, rel=1e-6) and at_end.area_m2 == inside.area_m2


def test_detection_limit_is_the_worked_example() -> None:
    assert detection_limit_kg_h(5.0, 3.0, 5.5, LIMITS) == pytest.approx(191, abs=1)
    assert detection_limit_kg_h(10.0, 3.0, 5.5, LIMITS) == pytest.approx(95.3, abs=0.5)
    assert all(np.isnan(detection_limit_kg_h(nothing, 3.0, 5.5, LIMITS)) for nothing in (0.0, float("nan")))


def test_rates_of_planted_plumes_are_nearly_unbiased_and_their_intervals_hold() -> None:
    rates = np.geomspace(3000.0, 18_000.0, 7)
    trials = [
        run_trial(Setting(TRAINING.start + n, emission_kg_h=float(rate), size=200, n_references=5), LIMITS)
        for n, rate in enumerate(rates)
    ]
    seen = [trial for trial in trials if trial.is_visible]
    found = [(trial.setting.emission_kg_h, trial.hits[0]) for trial in seen if trial.hits]
    assert len(seen) == 5 and len(found) >= 4
    ratios = np.array([hit.emission_kg_h / rate for rate, hit in found])
    assert 0.75 < np.median(ratios) < 1.3 and np.median(np.abs(ratios - 1)) < 0.35
    assert sum(hit.low_kg_h <= rate <= hit.high_kg_h for rate, hit in found) >= len(found) / 2
