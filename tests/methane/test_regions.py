"""Averages over gaps, regions by hysteresis on several scales, and the test against changes of the ground."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.regions import find_regions, find_regions_on_scales, is_surface_change, join_regions
from plumewatch.methane.significance import local_noise, robust_sigma, slow_part, smooth

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


def test_regions_reach_down_to_the_mask_level_from_seeds_only() -> None:
    z = np.zeros((120, 140), np.float32)
    z[10:20, 10:40], z[15, 20] = 2.5, 7.0
    z[50:60, 50:60] = 3.9
    regions = find_regions(z, seed_level=4.0, mask_level=2.0)
    assert regions.count == 1 and regions.significance.tolist() == [7.0]
    assert (regions.labels > 0).sum() == 300


def test_of_overlapping_scales_the_stronger_keeps_its_mask() -> None:
    narrow, wide = (np.zeros((120, 140), np.float32) for _ in range(2))
    narrow[30:34, 20:60] = 12.0
    wide[20:44, 10:70] = 8.0
    wide[80:100, 80:120] = 5.0
    regions = find_regions_on_scales([narrow, wide], 4.0, 2.0)
    assert regions.significance.tolist() == [12.0, 5.0] and regions.scale.tolist() == [0, 1]
    assert [(regions.labels == n).sum() for n in (1, 2)] == [160, 800]


def test_near_regions_are_joined_and_unwanted_ones_left_out() -> None:
    z = np.zeros((120, 140), np.float32)
    z[10:14, 10:20], z[10:14, 28:40], z[10:14, 80:90] = 5.0, 6.0, 9.0
    regions = find_regions(z, 4.0, 2.0)
    joined = join_regions(regions, np.array([True, True, True]), gap_px=10)
    assert joined.significance.tolist() == [6.0, 9.0]
    assert join_regions(regions, np.array([True, False, True]), gap_px=10).significance.tolist() == [5.0, 9.0]
    assert join_regions(regions, np.zeros(3, bool), gap_px=10).count == 0


def test_a_change_of_band_11_is_told_from_methane() -> None:
    rng = np.random.default_rng(4)
    z = np.zeros((120, 140), np.float32)
    z[20:40, 20:60] = z[80:100, 20:60] = z[20:40, 90:120] = 6.0
    regions = find_regions(z, 4.0, 2.0)
    plume, field = (regions.labels == 1), (regions.labels == 3)
    haze = regions.labels == 2
    noise_b11, noise_b12 = (0.0018 * rng.standard_normal((2, *z.shape))).astype(np.float32)
    absorption = 0.01 * (z > 0) + noise_b11 - noise_b12
    brightening = -0.0016 * plume - 0.03 * field + 0.02 * haze + noise_b11
    changed = is_surface_change(regions, absorption, brightening, np.ones(z.shape, bool), 1.0, 0.5, 0.7)
    assert changed.tolist() == [False, True, True]
