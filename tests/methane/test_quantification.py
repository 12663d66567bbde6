"""Masses and rates of planted plumes come back, with intervals that say what is known."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL
from plumewatch.methane.evaluation.measure import run_trial
from plumewatch.methane.quantification import (
    Mass,
    compute_mass,
    detection_limit_kg_h,
    effective_wind_m_s,
    estimate_emission,
    noise_of_sum,
)
from plumewatch.methane.thresholds import thresholds
from scipy import ndimage

LIMITS = thresholds()


def mass_of(ime_kg: float, area_m2: float, sigma_kg: float = 0.0) -> Mass:
    per_length = ime_kg / area_m2**0.5
    return Mass(ime_kg, sigma_kg, area_m2, (per_length, per_length, per_length))


def test_rate_of_the_published_example() -> None:
    rate = estimate_emission(mass_of(520.0, 600.0**2), 3.5, "a", LIMITS)
    assert rate.emission_kg_h == pytest.approx((0.33 * 3.5 + 0.45) * 520 / 600 * 3600, rel=1e-9)
    assert effective_wind_m_s([0.0, 10.0], LIMITS) == pytest.approx([0.45, 3.75])


def test_interval_is_of_the_wind_and_grows_with_noise() -> None:
    quiet, noisy = (estimate_emission(mass_of(520.0, 360e3, sigma), 3.5, "a", LIMITS) for sigma in (0.0, 300.0))
    half = (quiet.high_kg_h - quiet.low_kg_h) / 2 / quiet.emission_kg_h
    assert half == pytest.approx(np.hypot(0.5 * 0.33 * 3.5 / 1.605, 0.1), abs=0.04)
    assert noisy.high_kg_h - noisy.low_kg_h > 1.4 * (quiet.high_kg_h - quiet.low_kg_h)
    assert noisy.low_kg_h < noisy.emission_kg_h < noisy.high_kg_h


def test_interval_depends_on_the_plume_alone() -> None:
    first, again, other = (estimate_emission(mass_of(520.0, 360e3), 3.5, name, LIMITS) for name in ("a", "a", "b"))
    assert first == again and first != other


def test_mass_in_a_mask_and_its_noise() -> None:
    rng = np.random.default_rng(6)
    white = 0.05 * rng.standard_normal((200, 200))
    mask = np.zeros((200, 200), bool)
    mask[90:110, 60:140] = True
    field = (white + 0.2 * mask).astype(np.float32)
    field[95, 100] = np.nan
    mass = compute_mass(field, mask, ~ndimage.binary_dilation(mask, iterations=5), 20.0, LIMITS)
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
    assert noise_of_sum(correlated, mask, ~mask) == pytest.approx(truth, rel=0.35)
    assert noise_of_sum(correlated, np.ones((250, 250), bool), np.ones((250, 250), bool)) > 0.05 * 62500 / 2


def test_detection_limit_is_the_worked_example() -> None:
    assert detection_limit_kg_h({40.0: 0.02}, 3.0, 5.5) == pytest.approx(2700, rel=0.01)
    assert detection_limit_kg_h({40.0: 0.02, 80.0: 0.005}, 3.0, 5.5) == pytest.approx(1350, rel=0.01)
    assert np.isnan(detection_limit_kg_h({}, 3.0, 5.5))


@pytest.mark.parametrize("rate_kg_h", [4000.0, 8000.0, 16000.0])
def test_rates_of_planted_plumes_are_nearly_unbiased(rate_kg_h: float) -> None:
    trials = [run_trial(300 + n, "desert", rate_kg_h, LIMITS, n_references=4) for n in range(5)]
    found = [trial.found_kg_h[0] / rate_kg_h for trial in trials if trial.found_kg_h]
    assert len(found) >= 4
    assert 0.7 < np.median(found) < 1.4
