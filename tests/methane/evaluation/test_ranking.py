"""How well scenes are ranked: figures that are right where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judged_trials import NAN, judged, trial
from plumewatch.methane.evaluation.forest_score import SIZE, forest_scores
from plumewatch.methane.evaluation.limits import (
    ranking_checks,
)
from plumewatch.methane.evaluation.measure import Judged, Setting
from plumewatch.methane.evaluation.ranking import (
    BARE,
    DETECTOR,
    average_precision,
    rank_scenes,
    ranking_lines,
    rankings,
    scene_scores,
)
from plumewatch.methane.evaluation.scenes import simulate_area


def test_average_precision_of_the_perfect_the_random_and_the_silent() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(20_000) < 0.05
    assert average_precision(truth, truth) == 1.0
    assert average_precision(truth, rng.random(len(truth))) == pytest.approx(0.05, abs=0.01)
    assert average_precision(truth, np.zeros(len(truth))) == pytest.approx(truth.mean())
    assert average_precision([True, False, True, False], [4, 3, 2, 1]) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(average_precision([False], [1.0])) and np.isnan(average_precision([True], [1.0]))
    # scenes with a plume ten times as often, at the same base rate
    score = rng.normal(size=len(truth)) + 2 * truth
    more = np.concatenate([np.arange(len(truth)), *[np.flatnonzero(truth)] * 9])
    assert average_precision(truth[more], score[more], truth.mean()) == pytest.approx(average_precision(truth, score))
    assert average_precision(truth[more], score[more]) > average_precision(truth, score) + 0.2
    few = np.concatenate([np.flatnonzero(truth)[:100], np.flatnonzero(~truth)[:100]])
    one = rank_scenes("half of the scenes", truth[few], score[few])
    assert one.low < one.value < one.high
    one = rank_scenes("perfect", truth[:400], truth[:400])
    assert (one.low, one.value, one.high) == (1.0, 1.0, 1.0) and one.n_scenes == 400


def test_scenes_are_sorted_by_probability_then_significance() -> None:
    low, high = (Judged(0.9, z, "accepted", False, NAN, NAN, NAN) for z in (5.0, 6.0))
    scenes = [trial(Setting(0), low), trial(Setting(1), high), trial(Setting(2)), trial(Setting(3), judged(0.1))]
    assert list(np.argsort(-scene_scores(scenes))) == [1, 0, 3, 2]
    assert scene_scores(scenes)[2] == 0


def test_hidden_plumes_are_not_ranked() -> None:
    scenes = [trial(Setting(n, emission_kg_h=float(n == 0)), judged(0.9 if n == 0 else 0.1), bare=n) for n in range(20)]
    scenes.append(trial(Setting(20, emission_kg_h=1.0), visible=False))
    of = rankings(scenes)
    assert of[DETECTOR].value == 1.0 and of[DETECTOR].n_scenes == 20 and of[BARE].value == pytest.approx(0.05)
    assert [check.is_ok for check in ranking_checks(of)] == [True, True]
    assert len(ranking_lines(scenes, 20)) == 7


def test_forest_has_a_score_for_each_scene() -> None:
    target = simulate_area(23, size=60, n_references=1, clouds=False).passes[-1]
    assert 0 <= forest_scores(target)[SIZE] <= 36
    nothing = replace(target, is_usable=np.zeros(target.shape, bool))
    assert set(forest_scores(nothing).values()) == {0.0}
