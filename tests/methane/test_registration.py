"""Shifts of a fraction of a pixel are found and taken back, and what they leave at edges is taken out."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.evaluation.scenes import correlated_field
from plumewatch.methane.registration import edges_of, estimate_shift, gradient_of, moved_back, without_edges
from scipy import ndimage

SIZE = 150
NOISE = 0.0018


@pytest.fixture(scope="module")
def ground() -> np.ndarray:
    """ln reflectance as a satellite sees it: blurred by its optics."""
    return ndimage.gaussian_filter(0.1 * correlated_field(np.random.default_rng(1), SIZE, 2.4), 0.5)


@pytest.fixture(scope="module")
def smooth_ground() -> np.ndarray:
    """Ground whose gradients the central differences get right to a percent: pieces of a dozen pixels."""
    rng = np.random.default_rng(3)
    return (0.8 * ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), 3.0)).astype(np.float64)


def whole() -> np.ndarray:
    return np.ones((SIZE, SIZE), bool)


def shifted(field: np.ndarray, shift: tuple[float, float], seed: int = 2) -> np.ndarray:
    """The field `shift` pixels further down and right, with noise and a scene's own level."""
    rng = np.random.default_rng(seed)
    return ndimage.shift(field, shift, order=3, mode="nearest") + NOISE * rng.standard_normal(field.shape) + 0.03


@pytest.mark.parametrize("shift", [(0.5, 0.0), (0.35, -0.35), (0.2, -0.1), (-0.3, 0.3), (0.0, 0.0)])
@pytest.mark.parametrize("clutter", [False, True])
def test_shift_is_found(smooth_ground: np.ndarray, shift: tuple[float, float], clutter: bool) -> None:
    moved, valid = shifted(smooth_ground, shift), whole()
    if clutter:
        moved[20:40, 20:40] += 0.4  # a field that was ploughed
        moved[70:74, :] -= 0.2  # a road that was built
        moved[100:130, 90:120] += 0.1 * np.random.default_rng(5).standard_normal((30, 30))
        valid[100:, :30] = False
    found = estimate_shift(moved, smooth_ground, gradient_of(smooth_ground, valid), valid)
    assert found == pytest.approx(shift, abs=0.02)


@pytest.mark.parametrize("shift", [(0.2, -0.1), (-0.3, 0.3), (0.0, 0.0)])
def test_shift_of_fine_texture_is_found_and_taken_back(ground: np.ndarray, shift: tuple[float, float]) -> None:
    moved = shifted(ground, shift)
    moved[20:40, 20:40] += 0.4
    valid = whole()
    valid[100:, :30] = False
    found = estimate_shift(moved, ground, gradient_of(ground, valid), valid)
    assert found == pytest.approx(
        shift, abs=0.06
    )  # gradients of the finest texture are underestimated, here and when it is taken back
    before, after = (np.std((m - ground)[50:100, 40:]) for m in (moved, moved_back(moved, valid, found)))
    assert after < (0.0025 if shift == (0.0, 0.0) else 0.45 * before)


def test_moved_back_is_in_place(smooth_ground: np.ndarray) -> None:
    moved = ndimage.shift(smooth_ground, (0.3, -0.2), order=3, mode="nearest")
    back = moved_back(moved, whole(), (0.3, -0.2))
    inner = (slice(10, -10), slice(10, -10))
    assert np.std((back - smooth_ground)[inner]) < 0.1 * np.std((moved - smooth_ground)[inner])


def test_no_shift_is_made_up(ground: np.ndarray) -> None:
    valid = whole()
    flat = np.zeros(ground.shape)
    assert estimate_shift(flat, flat, gradient_of(flat, valid), valid) == (0.0, 0.0)
    few = np.zeros(ground.shape, bool)
    few[:20, :20] = True
    assert estimate_shift(shifted(ground, (0.4, 0.0)), ground, gradient_of(ground, few), few) == (0.0, 0.0)


def test_more_than_a_pixel_is_no_error_of_registration(smooth_ground: np.ndarray) -> None:
    far = shifted(smooth_ground, (2.5, 0.0))
    assert estimate_shift(far, smooth_ground, gradient_of(smooth_ground, whole()), whole()) == (0.0, 0.0)


def test_gradients_are_zero_beside_gaps() -> None:
    rows, cols = np.indices((30, 40)).astype(np.float32)
    valid = np.ones((30, 40), bool)
    valid[10:15, 10:15] = False
    field = np.where(valid, 3 * rows + 2 * cols, np.nan)
    by_row, by_col = gradient_of(field, valid)
    assert by_row[20, 20] == pytest.approx(3.0) and by_col[20, 20] == pytest.approx(2.0)
    assert not by_row[9:16, 11].any() and not by_col[12, 9:16].any()
    assert np.isfinite(by_row).all() and np.isfinite(by_col).all()


def test_second_derivatives_of_edges_are_those_of_a_parabola() -> None:
    rows, cols = np.indices((30, 40)).astype(np.float64)
    edges = edges_of([0.5 * rows**2 + 2.0 * rows * cols - 1.5 * cols**2], np.ones((30, 40), bool))
    assert edges.shape == (5, 30, 40)
    assert edges[2:, 15, 20] == pytest.approx([1.0, 2.0, -3.0])
    assert not edges[2:, 0].any() and not edges[2:, :, -1].any()


def dipoles(ground: np.ndarray, offset: tuple[float, float]) -> np.ndarray:
    """Difference of two dates' ln(B12 / B11) where band 12 lies `offset` pixels off in one of them."""
    return ndimage.shift(ground, offset, order=3, mode="nearest") - ground


@pytest.mark.parametrize("offset", [(0.2, 0.0), (-0.1, 0.2)])
def test_the_dipoles_of_bands_that_lie_off_are_taken_out(ground: np.ndarray, offset: tuple[float, float]) -> None:
    valid = whole()
    noise = NOISE * np.random.default_rng(7).standard_normal(ground.shape)
    difference = (dipoles(ground, offset) + noise).astype(np.float32)
    left = without_edges(difference, edges_of([ground], valid).astype(np.float32), valid)
    inner = (slice(3, -3), slice(3, -3))
    before, after = (np.sqrt(field[inner].var() - NOISE**2) for field in (difference, left))
    assert before > 2.5 * NOISE and after < 0.35 * before


def test_on_ground_without_fine_texture_nothing_but_noise_is_left(smooth_ground: np.ndarray) -> None:
    noise = NOISE * np.random.default_rng(7).standard_normal(smooth_ground.shape)
    difference = (dipoles(smooth_ground, (0.2, -0.1)) + noise).astype(np.float32)
    left = without_edges(difference, edges_of([smooth_ground], whole()).astype(np.float32), whole())
    inner = (slice(3, -3), slice(3, -3))
    assert difference[inner].std() > 2 * NOISE and left[inner].std() < 1.02 * NOISE


def test_a_difference_in_sharpness_is_taken_out(ground: np.ndarray) -> None:
    valid = whole()
    difference = (ndimage.gaussian_filter(ground, 0.5) - ground).astype(np.float32)
    left = without_edges(difference, edges_of([ground], valid).astype(np.float32), valid)
    inner = (slice(3, -3), slice(3, -3))
    assert left[inner].std() < 0.6 * difference[inner].std()


def test_a_plume_is_not_taken_out_with_the_edges(ground: np.ndarray) -> None:
    valid = whole()
    rows, cols = np.indices(ground.shape)
    plume = 0.02 * np.exp(-((rows - 75) ** 2) / 50 - (cols - 80) ** 2 / 800)
    noise = NOISE * np.random.default_rng(8).standard_normal(ground.shape)
    edges = edges_of([ground], valid).astype(np.float32)
    difference = (dipoles(ground, (0.2, 0.0)) - plume + noise).astype(np.float32)
    inside = plume > 0.004
    assert -without_edges(difference, edges, valid)[inside].mean() == pytest.approx(plume[inside].mean(), rel=0.05)


def test_what_is_not_valid_stays_as_it_is(ground: np.ndarray) -> None:
    valid = whole()
    valid[40:80, 40:80] = False
    difference = np.where(valid, dipoles(ground, (0.2, 0.0)), 0.0).astype(np.float32)
    left = without_edges(difference, edges_of([ground], valid).astype(np.float32), valid)
    assert not left[~valid].any()
    few = np.zeros(ground.shape, bool)
    few[:20, :20] = True
    np.testing.assert_array_equal(without_edges(difference, edges_of([ground], few), few), difference)
