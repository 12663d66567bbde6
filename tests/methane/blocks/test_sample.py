"""The sample of a large pass: squares of clear ground all over it, and numbers that are told to its windows."""

from __future__ import annotations

import numpy as np
from plumewatch.methane.blocks.sample import GAP_PX, IN_A_ROW, PERIOD_PX, SQUARE_PX, SQUARES, Sample, choose_squares
from plumewatch.methane.smoothing import OWN, SceneNumbers

FULL = SQUARE_PX**2


def test_squares_are_taken_evenly_from_all_over_a_clear_pass() -> None:
    sample = choose_squares({(row, col): FULL for row in range(22) for col in range(22)})
    assert len(set(sample.squares)) == SQUARES and sample.shape == (4 * PERIOD_PX, 4 * PERIOD_PX)
    rows = sorted({row for row, _ in sample.squares})
    assert rows == [0, 7, 14, 21] and sorted({col for _, col in sample.squares}) == [0, 7, 14, 21]


def test_clouded_squares_are_left_out_while_there_are_clear_ones() -> None:
    usable = {(row, col): FULL if col >= 11 else FULL // 10 for row in range(22) for col in range(22)}
    assert min(col for _, col in choose_squares(usable).squares) >= 11
    few = {(3, 4): FULL, (3, 5): 10, (7, 1): 5}
    assert choose_squares(few).squares == ((3, 4), (3, 5), (7, 1))
    assert choose_squares({}).squares == () and choose_squares({(0, 0): 0}).squares == ()


def test_a_long_strip_has_as_many_squares() -> None:
    sample = choose_squares({(0, col): FULL for col in range(40)})
    assert len(sample.squares) == SQUARES and sample.shape == (4 * PERIOD_PX, IN_A_ROW * PERIOD_PX)


def test_cells_lie_in_their_square_with_a_gap_between() -> None:
    sample = Sample(((-1, 2), (5, 0)))
    row, col = np.array([-SQUARE_PX, -1, 5 * SQUARE_PX, 0]), np.array([2 * SQUARE_PX, 3 * SQUARE_PX - 1, 3, 0])
    assert sample.shape == (PERIOD_PX, 2 * PERIOD_PX)
    width = 2 * PERIOD_PX
    last = (SQUARE_PX - 1) * width + SQUARE_PX - 1
    assert sample.cells(row, col).tolist() == [0, last, PERIOD_PX + 3, -1]
    assert sample.pieces[1][1] == slice(PERIOD_PX, PERIOD_PX + SQUARE_PX) and PERIOD_PX == SQUARE_PX + GAP_PX


def test_numbers_of_a_sample_are_found_once_and_told_to_windows() -> None:
    sample = SceneNumbers({})
    assert sample.step("a").of("median", lambda: 3.0) == 3.0 and sample.of("spread", lambda: 1.0) == 1.0
    window = SceneNumbers(dict(sample.known or {}), is_told=True)
    assert window.step("a").of("median", lambda: 4.0) == 3.0
    assert window.step("b").of("median", lambda: 4.0) == 4.0, "what the sample can't tell"
    assert OWN.of("median", lambda: 5.0) == 5.0 and OWN.known is None and not OWN.is_large
