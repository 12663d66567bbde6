"""One plume seen by several windows is one; two plumes near each other stay two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from plumewatch.methane.blocks.merging import merge_found
from plumewatch.methane.blocks.window_search import Found, shared_pixels
from plumewatch.methane.blocks.windows import cut
from plumewatch.methane.detection import Detection
from plumewatch.methane.evaluation.scenes import simulate_area
from plumewatch.methane.plumes import describe_plumes
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.methane.verdicts import Candidate
from plumewatch.statuses import ACCEPTED

WINDOWS = cut(1000, 1700, 840)
SIZE = 60


@pytest.fixture(scope="module")
def found() -> Callable[..., Found]:
    """A plume that a window found: rows and columns of its mask on the pass, and its significance."""
    target = simulate_area(1, size=SIZE, n_references=0, clouds=False).passes[0]

    def make(number: int, rows: slice, cols: slice, significance: float, is_own: bool = True) -> Found:
        mask = np.zeros((SIZE, SIZE), bool)
        mask[rows, cols] = True
        candidate = Candidate(mask, significance, None, 0.9, ACCEPTED)
        enhancement = np.where(mask, np.float32(0.5), np.float32(0.0)).astype(np.float32)
        detection = Detection("multi_pass", enhancement, np.ones(mask.shape, bool), (candidate,))
        [plume] = describe_plumes("a", target, [], detection, lambda *_: None, plume_thresholds())
        return Found(WINDOWS[number], plume, is_own, target, detection)

    return make


def test_the_window_that_owns_the_origin_keeps_the_plume_whatever_the_order(found: Callable[..., Found]) -> None:
    own = found(0, np.s_[10:20], np.s_[10:30], 8.0)
    beside = found(1, np.s_[10:20], np.s_[11:31], 9.0, is_own=False)
    other = found(2, np.s_[40:50], np.s_[40:50], 12.0)
    for order in permutations([own, beside, other]):
        assert merge_found(order) == [other, own]


def test_one_that_nobody_owns_is_kept_once(found: Callable[..., Found]) -> None:
    seen = [found(number, np.s_[10:20], np.s_[10 + number : 30], 8.0 + number, is_own=False) for number in (0, 1)]
    assert merge_found(seen) == [seen[1]] == merge_found(seen[::-1])


def test_plumes_of_one_window_or_of_two_places_stay_apart(found: Callable[..., Found]) -> None:
    two = [found(0, np.s_[10:20], np.s_[10:30], 8.0), found(0, np.s_[10:20], np.s_[12:30], 7.0)]
    assert merge_found(two) == two
    far = [found(0, np.s_[10:20], np.s_[5:15], 8.0), found(1, np.s_[10:20], np.s_[15:58], 7.0)]
    assert merge_found(far) == far


def test_pixels_are_shared_on_the_area_s_grid(found: Callable[..., Found]) -> None:
    plume = found(0, np.s_[10:20], np.s_[10:30], 8.0)
    inner = plume.on(np.s_[5:25, 5:40])
    assert inner.plume.corner == (5, 5) and inner.plume.row == plume.plume.row - 5
    assert inner.target.shape == (20, 35) and inner.detection.valid.shape == (20, 35)
    assert shared_pixels(plume.plume, inner.plume) == 200 == shared_pixels(inner.plume, plume.plume)
    moved = replace(inner.plume, corner=(5, 30))
    assert shared_pixels(plume.plume, moved) == 0
    place = plume.target.place.longitude_latitude(12, 14), inner.target.place.longitude_latitude(7, 9)
    np.testing.assert_allclose(place[0], place[1], atol=1e-12)
