"""Averages over gaps, slow parts of a field, and spreads that outliers don't pull."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.significance import least_noise, local_noise, robust_sigma, slow_part, smooth

ROWS, COLS = np.indices((120, 140)).astype(np.float32)


def test_average_over_gaps_is_that_of_the_valid_pixels() -> None:
    field = np.full((120, 140), 3.0, np.float32)
    valid = np.random.default_rng(1).random(field.shape) < 0.6
    field[~valid] = np.nan
    averaged = smooth(field, valid, 2.0)
    assert averaged.values == pytest.approx(3.0, abs=1e-5)
    assert averaged.coverage[60, 70] == pytest.approx(0.6, abs=0.15)
    assert averaged.coverage[0, 70] < 0.45


def test_slow_part_follows_a_slope_and_ignores_a_plume() -> None:
    slope = 0.001 * ROWS - 0.0005 * COLS
    noise = 0.01 * np.random.default_rng(2).standard_normal(slope.shape).astype(np.float32)
    field = slope + noise
    field[55:65, 40:100] += 0.3
    valid = np.ones(slope.shape, bool)
    inner = slow_part(field, valid, 12.0)[30:-30, 30:-30] - slope[30:-30, 30:-30]
    assert np.abs(inner).max() < 0.03  # a plain average is lifted by 0.1
    plume_free = valid.copy()
    plume_free[50:70, 35:105] = False
    inner = slow_part(field, plume_free, 12.0)[30:-30, 30:-30] - slope[30:-30, 30:-30]
    assert np.abs(inner).max() < 0.008


def test_slow_part_follows_a_slope_to_the_edge_and_into_a_gap() -> None:
    slope = 0.001 * ROWS - 0.0005 * COLS
    field = slope + 0.01 * np.random.default_rng(2).standard_normal(slope.shape).astype(np.float32)
    valid = np.ones(slope.shape, bool)
    valid[:12, 128:] = False
    error = np.abs(slow_part(field, valid, 12.0) - slope)
    assert error[valid].max() < 0.005  # a plain average is off by 0.01 at the edges
    assert error[~valid].max() < 0.01


def test_robust_sigma_and_local_noise() -> None:
    noise = np.random.default_rng(3).standard_normal((120, 140)).astype(np.float32)
    noise[:, 70:] *= 3
    noise[5, 5] = 1000.0
    assert robust_sigma(noise[:, :70]) == pytest.approx(1.0, abs=0.05)
    local = local_noise(noise, np.ones(noise.shape, bool), 10.0)
    assert local[60, 20] == pytest.approx(1.0, abs=0.15) and local[60, 120] == pytest.approx(3.0, abs=0.6)


def test_the_least_noise_is_that_of_averaged_steps_of_the_reflectance() -> None:
    white = 1e-4 * np.random.default_rng(4).standard_normal((300, 300)).astype(np.float32)
    averaged = smooth(white, np.ones(white.shape, bool), 2.0).values[20:-20, 20:-20]
    assert least_noise(2.0) == pytest.approx(averaged.std(), rel=0.05)


def test_no_values_have_no_spread() -> None:
    assert np.isnan(robust_sigma(np.zeros(0)))
    assert robust_sigma(np.full(9, 3.0)) == 0.0
