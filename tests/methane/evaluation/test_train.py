"""The model of the probability is what the candidates' outcomes follow, at the prior that is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plumewatch.methane.evaluation.train import Example, examples_of, fit_coefficients, fit_offset, plume_share
from plumewatch.methane.retrieval import PLATFORMS
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.statuses import NOT_SIGNIFICANT

SLOPE, INTERCEPT = 2.0, -1.0


def examples(n: int = 20_000) -> list[Example]:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(n)
    is_plume = rng.random(n) < 1.0 / (1.0 + np.exp(-(SLOPE * x + INTERCEPT)))
    return [
        Example({"x": float(a), "chance": float(b)}, NOT_SIGNIFICANT, bool(y), bool(y))
        for a, b, y in zip(x, rng.standard_normal(n), is_plume, strict=True)
    ]


def test_the_planted_model_comes_back() -> None:
    found = fit_coefficients(examples(), prior=0.5)
    assert found == pytest.approx({"intercept": INTERCEPT, "x": SLOPE, "chance": 0.0}, abs=0.08)


def test_a_prior_moves_the_intercept_by_its_odds() -> None:
    rarer = fit_coefficients(examples(), prior=0.05)
    assert rarer["intercept"] == pytest.approx(INTERCEPT + np.log(0.05 / 0.95), abs=0.15)
    assert rarer["x"] == pytest.approx(SLOPE, abs=0.15)


def test_the_planted_offset_comes_back() -> None:
    """Of candidates whose odds are 0.7 above those of the model."""
    limits = plume_thresholds()
    model = {"intercept": INTERCEPT - 0.7, "x": SLOPE}
    with_model = replace(limits, probability=replace(limits.probability, multi_pass=model, prior=0.5))
    assert fit_offset(examples(), with_model) == pytest.approx(0.7, abs=0.08)


def test_share_at_a_prior() -> None:
    planted, empty = (Example({}, "", is_plume, is_plume) for is_plume in (True, False))
    assert plume_share([planted, empty], 0.67) == pytest.approx(0.67)
    assert plume_share([planted, empty, empty], 0.5) == pytest.approx(1 / 3)


def test_features_of_a_training_scene_are_those_of_the_model() -> None:
    found = next(filter(None, (examples_of(number, tuple(PLATFORMS), (2,)) for number in range(6))))
    model = plume_thresholds().probability.multi_pass
    assert {"intercept", *found[0].features} == set(model)
