"""Where a large pass is cut: every cell is one core's, every window begins where its blocks do."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.blocks.windows import ALIGNED_PX, BLOCK_PX, MARGIN_PX, RIM_PX, around, cut, is_in_rim


@pytest.mark.parametrize(("height", "width"), [(5490, 5490), (1081, 1500), (10_000, 130), (840, 840), (1, 3000)])
@pytest.mark.parametrize("block_px", [240, BLOCK_PX])
def test_every_cell_is_in_one_core_and_no_window_is_larger_than_a_block_and_its_margin(
    height: int, width: int, block_px: int
) -> None:
    cores = np.zeros((height, width), np.uint8)
    for window in cut(height, width, block_px):
        (top, bottom), (left, right) = window.core_rows, window.core_cols
        cores[top:bottom, left:right] += 1
        on_window = np.zeros([end - first for first, end in (window.rows, window.cols)], bool)
        on_window[window.core] = True
        assert on_window.sum() == (bottom - top) * (right - left)
        for (first, end), length in ((window.rows, height), (window.cols, width)):
            assert 0 <= first < end <= length and first % ALIGNED_PX == 0
            assert end - first <= block_px + 2 * MARGIN_PX
    assert (cores == 1).all()


def test_a_window_around_a_plume_is_told_by_the_plume_and_not_by_how_the_pass_is_cut() -> None:
    window = around((2000, 2300), (10, 90), 5490, 5490, 840)
    assert (window.rows, window.cols) == ((1800, 2520), (0, 300))
    assert not is_in_rim((2000, 2300), (10, 90), window, 5490, 5490)
    assert window == around((2000, 2300), (10, 90), 5490, 5490, 600)
    last = around((5400, 5490), (5400, 5490), 5490, 5490, 840)
    assert last.rows == last.cols == (5220, 5490)
    assert around((0, 10), (0, 10), 100, 2000, 840).rows == (0, 100)


def test_a_window_around_a_long_plume_is_no_larger_than_others_and_has_it_in_its_middle() -> None:
    window = around((2000, 3000), (10, 90), 5490, 5490, 840)
    assert window.rows == (1920, 3120) and window.core_rows == window.rows


def test_the_rim_is_beside_other_windows_and_not_at_the_end_of_the_pass() -> None:
    first, second = cut(800, 1600, 840)
    assert first.rows == (0, 800) and first.cols == (0, 1020) and second.cols == (660, 1600)
    assert not is_in_rim((0, 5), (0, 5), first, 800, 1600)
    assert is_in_rim((0, 5), (1020 - RIM_PX, 1021 - RIM_PX), first, 800, 1600)
    assert not is_in_rim((0, 5), (800, 1020 - RIM_PX), first, 800, 1600)
    assert is_in_rim((0, 5), (660, 660 + RIM_PX), second, 800, 1600)


def test_an_origin_beside_a_core_is_told() -> None:
    window = cut(1000, 1700, 840)[0]
    (_, bottom), (_, right) = window.core_rows, window.core_cols
    assert window.holds(0, right - 1) and not window.holds(0, right)
    assert window.holds(0, right, 6) and not window.holds(0, right + 6, 6)
    assert window.holds(bottom - 1, 0)
