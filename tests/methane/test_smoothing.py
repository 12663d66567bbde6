"""Averages over gaps, slow parts of a field, and spreads that outliers don't pull."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.smoothing import (
    SAMPLED_VALUES,
    least_noise,
    local_noise,
    robust_sigma,
    sampled,
    slow_part,
    smooth,
    smooth_each,
)

ROWS, COLS = np.indices((120, 140)).astype(np.float32)


def test_average_over_gaps_is_that_of_the_valid_pixels() -> None:
    field = np.full((120, 140), 3.0, np.float32)
    valid = np.random.default_rng(1).random(field.shape) < 0.6
    field[~valid] = np.nan
    averaged = smooth(field, valid, 2.0)
    assert averaged == pytest.approx(3.0, abs=1e-5)


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
    averaged = smooth(white, np.ones(white.shape, bool), 2.0)[20:-20, 20:-20]
    assert least_noise(2.0) == pytest.approx(averaged.std(), rel=0.05)


def test_no_values_have_no_spread() -> None:
    assert np.isnan(robust_sigma(np.zeros(0)))
    assert robust_sigma(np.full(9, 3.0)) == 0.0


@pytest.mark.parametrize("width", [200, 201, 550, 600])
@pytest.mark.parametrize("pattern", ["all", "checkerboard", "odd columns", "one column in three", "one row"])
def test_a_sample_is_of_valid_values_whatever_their_pattern(width: int, pattern: str) -> None:
    rows, cols = np.indices((width, width))
    valid = {
        "all": rows >= 0,
        "checkerboard": (rows + cols) % 2 == 1,
        "odd columns": cols % 2 == 1,
        "one column in three": cols % 3 == 1,
        "one row": rows == 7,
    }[pattern]
    values = np.where(valid, cols, -1)
    some = sampled(values, valid)
    assert (some >= 0).all() and some.size >= min(valid.sum(), SAMPLED_VALUES) / 4
    assert len(np.unique(some)) > 0.3 * len(np.unique(values[valid]))  # not of a few columns


def test_few_values_are_all_taken() -> None:
    values = np.arange(300.0).reshape(10, 30)
    np.testing.assert_array_equal(sampled(values, values > 100.0), np.arange(101.0, 300.0))
    np.testing.assert_array_equal(sampled(values), values.ravel())


def test_several_fields_are_smoothed_as_each_by_itself() -> None:
    rng = np.random.default_rng(3)
    fields = rng.standard_normal((4, 40, 50)).astype(np.float32)
    valid = rng.random((4, 40, 50)) < 0.7
    valid[2] = valid[1]
    for found, field, mask in zip(smooth_each(fields, valid, 2.0), fields, valid, strict=True):
        np.testing.assert_array_equal(found, smooth(field, mask, 2.0))
