"""Probabilities of plumes among candidates whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.oco2.evaluation.judged_months import classes_of, judge_months, month_checks, month_lines
from plumewatch.oco2.evaluation.judged_strips import World
from plumewatch.oco2.evaluation.surroundings import SimulatedStripNoise
from plumewatch.oco2.null_distribution import null_distribution
from plumewatch.oco2.probability import plume_probabilities
from plumewatch.oco2.thresholds import peak_thresholds

LAW = null_distribution()
WEAKEST = LAW.threshold(peak_thresholds().candidates.false_alarm_probability)
MONTH_KM = 300_000.0
OTHER = 103  # neither trained on nor judged by


def draw(rng: np.random.Generator, n_plumes: int, length_km: float = MONTH_KM) -> tuple[np.ndarray, np.ndarray]:
    """False alarm probabilities of the candidates of tracks with so many plumes, and which are plumes."""
    n_noise = rng.poisson(length_km / 600.0 * float(LAW.expected(WEAKEST)))
    of_noise = WEAKEST + rng.exponential(LAW.scale, n_noise)
    of_plumes = WEAKEST * (1.0 - rng.random(n_plumes)) ** (-1.0 / peak_thresholds().probability.exponent)
    z = np.concatenate([of_noise, of_plumes])
    return LAW.false_alarm_probability(z), np.arange(len(z)) >= n_noise


@pytest.mark.parametrize("n_plumes", [0, 5, 30, 300])
def test_probabilities_are_shares(n_plumes: int) -> None:
    """Of what has a probability of p, a share of p is a plume: in five classes of equal number, over many months."""
    rng = np.random.default_rng(n_plumes)
    months = [draw(rng, n_plumes) for _ in range(40)]
    stated = np.concatenate([plume_probabilities(p, MONTH_KM) for p, _ in months])
    truth = np.concatenate([is_plume for _, is_plume in months])
    for some in np.array_split(np.argsort(stated), 5):
        assert stated[some].mean() == pytest.approx(truth[some].mean(), abs=0.08)


def test_the_strong_are_sure_and_the_weak_depend_on_how_much_was_searched() -> None:
    p = np.array([0.0, 1e-12, 0.02, 0.1])
    few, many = plume_probabilities(p, 3_000.0), plume_probabilities(p, 3e6)
    assert few[0] == many[0] == 1.0 and (np.diff(few) <= 0).all() and (np.diff(many) <= 0).all()
    assert many[3] < few[3] < 0.9


def test_nothing_and_nothing_searched() -> None:
    assert plume_probabilities(np.empty(0), 1e5).shape == (0,)
    assert np.isfinite(plume_probabilities(np.array([0.01]), 0.0)).all()


def test_months_are_judged_by_what_was_planted() -> None:
    world = World.make(OTHER, 3, [SimulatedStripNoise()])
    months = judge_months(world, 1, 6)
    assert [month.n_plumes for month in months] == [0, 5, 30]
    assert not months[0].is_plume.any() and months[2].is_plume.sum() >= 3
    stated = [month.probability[month.is_plume].mean() for month in months[2:]]
    assert stated[0] > 0.5 > np.concatenate([month.probability[~month.is_plume] for month in months]).mean()
    assert sum(n for _, _, n in classes_of(months)) == sum(len(month.probability) for month in months)
    assert len(month_lines(months)) == 1 + 5 + 1 + 3 and len(list(month_checks(months))) == 5
