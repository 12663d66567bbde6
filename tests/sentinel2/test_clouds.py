from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from plumewatch.sentinel2.clouds import compute_clear_mask

CLEAR = (4, 5, 6, 7)
SCL = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 12))


def test_cloud_takes_a_disc_and_not_a_square() -> None:
    scl = np.full((7, 7), 5, np.uint8)
    scl[3, 3] = 9
    clear = compute_clear_mask(scl, np.ones_like(scl, bool), CLEAR, 2.0)
    row, col = np.indices(scl.shape)
    np.testing.assert_array_equal(clear, np.hypot(row - 3, col - 3) > 2)


@pytest.mark.parametrize(
    ("scl_class", "is_dilated"),
    [(0, False), (1, False), (2, False), (3, True), (8, True), (9, True), (10, True), (11, False)],
)
def test_cloud_and_its_shadow_are_dilated_and_nothing_else(scl_class: int, is_dilated: bool) -> None:
    scl = np.array([[scl_class, 5, 5, 5]], np.uint8)
    clear = compute_clear_mask(scl, np.ones_like(scl, bool), CLEAR, 2.0)
    assert clear.tolist() == [[False, not is_dilated, not is_dilated, True]]


def test_what_is_declared_clear_is_not_dilated() -> None:
    scl = np.array([[3, 5]], np.uint8)
    assert compute_clear_mask(scl, np.ones_like(scl, bool), (3, 5), 5.0).all()


@settings(max_examples=60, deadline=None)
@given(scl=SCL, seed=st.integers(0, 2**16), dilation=st.floats(0, 6))
def test_by_brute_force(scl: np.ndarray, seed: int, dilation: float) -> None:
    valid = np.random.default_rng(seed).random(scl.shape) > 0.2
    clear = compute_clear_mask(scl, valid, CLEAR, dilation)
    cloudy = np.argwhere(np.isin(scl, (3, 8, 9, 10)))
    for cell in np.argwhere(np.ones_like(valid)):
        is_far = all(np.hypot(*(cell - cloud)) > dilation for cloud in cloudy)
        row, col = cell
        assert clear[row, col] == (valid[row, col] and scl[row, col] in CLEAR and is_far)
