"""Two fields over a region: how much alike, and by what slope."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.methane.likeness import Likeness, compare_shapes
from plumewatch.methane.retrieval import compute_transmittance
from scipy import ndimage

SHAPE = (80, 100)
ROWS, COLS = np.indices(SHAPE)
SHAPE_OF_PLUME = np.exp(-((ROWS - 40) ** 2) / 30 - (COLS - 50) ** 2 / 200)
MASK = SHAPE_OF_PLUME > 0.3
ALL = np.ones(SHAPE, bool)
SCALE_PX = 1.0


def noise(seed: int) -> np.ndarray:
    return 0.0018 * np.random.default_rng(seed).standard_normal(SHAPE)


def compare(absorption: np.ndarray, other: np.ndarray, mask: np.ndarray = MASK, valid: np.ndarray = ALL) -> Likeness:
    return compare_shapes(mask, absorption.astype(np.float32), other.astype(np.float32), valid, SCALE_PX)


@pytest.mark.parametrize("slope", [-2.0, -0.7, 0.9, 3.0])
def test_a_change_in_the_same_shape_has_its_slope(slope: float) -> None:
    absorption = 0.03 * SHAPE_OF_PLUME
    found = compare(absorption + noise(1), slope * absorption + noise(2))
    assert found.correlation == pytest.approx(np.sign(slope), abs=0.1)
    assert found.slope == pytest.approx(slope, rel=0.08)


def test_methane_makes_a_slope_of_a_fifth() -> None:
    gas = compute_transmittance(1.0 * SHAPE_OF_PLUME, "sentinel-2a", 2.5)
    found = compare(-np.log(gas.b12 / gas.b11) + noise(1), np.log(gas.b11) + noise(2))
    assert found.slope == pytest.approx(-0.2, abs=0.06)


def test_noise_of_band_11_is_in_both_and_gives_a_slope_of_a_half() -> None:
    b11, b12 = noise(3), noise(4)
    found = compare(b11 - b12, b11)
    assert found.slope == pytest.approx(0.5, abs=0.15)


def test_fields_that_have_nothing_to_do_with_each_other() -> None:
    found = compare(0.03 * SHAPE_OF_PLUME + noise(5), noise(6))
    assert abs(found.slope) < 0.05


def test_what_lies_far_from_the_region_does_not_count() -> None:
    absorption, other = 0.03 * SHAPE_OF_PLUME + noise(7), noise(8)
    far = (np.abs(ROWS - 40) > 25) | (np.abs(COLS - 50) > 35)
    found, near = compare(absorption + 5.0 * far, other + 5.0 * far), compare(absorption, other)
    assert (found.correlation, found.slope) == pytest.approx((near.correlation, near.slope), abs=0.01)


def test_what_is_not_valid_does_not_count() -> None:
    absorption = 0.03 * SHAPE_OF_PLUME
    valid = COLS < 55
    other = np.where(valid, 0.9 * absorption, 99.0)
    found = compare(absorption + noise(9), other, valid=valid)
    assert found.slope == pytest.approx(0.9, rel=0.1)


def test_too_few_pixels_tell_nothing() -> None:
    valid = np.zeros(SHAPE, bool)
    valid[40, 46:55] = True
    absorption = 0.03 * SHAPE_OF_PLUME
    assert compare(absorption, absorption, valid=valid) == Likeness(0.0, 0.0)


def test_fields_without_any_change_are_not_alike() -> None:
    flat = np.zeros(SHAPE)
    for absorption, other in ((flat, flat), (0.03 * SHAPE_OF_PLUME, flat), (flat, 0.03 * SHAPE_OF_PLUME)):
        assert compare(absorption, other) == Likeness(0.0, 0.0)


@pytest.mark.parametrize("corner", [(slice(0, 6), slice(0, 9)), (slice(74, 80), slice(91, 100))])
def test_a_region_in_a_corner_of_the_image(corner: tuple[slice, slice]) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[corner] = True
    absorption = ndimage.gaussian_filter(0.05 * mask, 1.0)
    found = compare(absorption + noise(1), 1.5 * absorption + noise(2), mask)
    assert found.slope == pytest.approx(1.5, rel=0.1) and found.correlation > 0.9


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0), n=st.integers(1, 200), scale=st.floats(1e-6, 1e3))
def test_any_region(seed: int, share: float, n: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, bool)
    mask.ravel()[rng.choice(mask.size, n, replace=False)] = True
    fields = scale * rng.standard_normal((2, *SHAPE))
    found = compare(*fields, mask, rng.random(SHAPE) < share)
    assert -1.0001 <= found.correlation <= 1.0001 and np.isfinite(found.slope)
