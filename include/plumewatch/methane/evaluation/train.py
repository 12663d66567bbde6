"""Fit the probability of a candidate: `python -m plumewatch.methane.evaluation --train 1500`.

Simulates scenes of the training seeds, half with a plume, searches them, and fits the coefficients of the logistic
model for `reference/methane_detection.yaml`, at the prior that stands there. Candidates that a test refuses outright
take no part; for them the share that lies on a plume is stated. `--train-landsat 300` fits the one number of Landsat,
what is added to the log odds of its candidates, on scenes as it sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from plumewatch.methane.evaluation.ground import DESERT, FIELDS
from plumewatch.methane.evaluation.measure import Setting, footprint, is_visible, lies_on, search, simulate_setting
from plumewatch.methane.evaluation.seeds import TRAINING
from plumewatch.methane.probability import features_of
from plumewatch.methane.retrieval import LANDSAT_PLATFORMS, PLATFORMS
from plumewatch.methane.thresholds import PlumeThresholds, plume_thresholds
from plumewatch.progress import followed
from plumewatch.statuses import MASKED_EDGE, SURFACE_CHANGE, TOO_SMALL

SIZE_PX = 200
RATES_KG_H = (500.0, 10_000.0)  # log-uniform
PLANTED_SHARE = 0.5
REFERENCES = (1, 2, 3, 4, 6, 8, 8, 8, 8, 12)  # drawn from
LANDSAT_REFERENCES = (1, 2, 2, 3, 3, 3)  # of at most three dates in 30 days
OFFSETS = (-4.0, 4.0)  # log odds
INVERSE_RIDGE = 30.0  # weak: some thousand candidates for a dozen coefficients
DIGITS = 3
REFUSED = (SURFACE_CHANGE, TOO_SMALL, MASKED_EDGE)  # whatever the model says


@dataclass(frozen=True)
class Example:
    """A candidate of a training scene."""

    features: dict[str, float]
    """As the model weighs them."""
    status: str
    """accepted, or the reason against it."""
    is_plume: bool
    """Whether it lies on the planted plume."""
    is_planted: bool
    """Whether its scene has a plume."""


def examples_of(number: int, units: tuple[str, ...], references: tuple[int, ...]) -> list[Example]:
    """Return the candidates of a training scene; none where its plume is hidden by cloud."""
    rng = np.random.default_rng([TRAINING.start + number, 2])
    is_planted = bool(rng.random() < PLANTED_SHARE)
    rate = float(np.exp(rng.uniform(*np.log(RATES_KG_H)))) if is_planted else 0.0
    setting = Setting(
        seed=TRAINING.start + number,
        ground=(DESERT, FIELDS)[number % 2],
        emission_kg_h=rate,
        size=SIZE_PX,
        n_references=int(rng.choice(references)),
        units=units,
    )
    area, wind = simulate_setting(setting)
    if not is_visible(area):
        return []
    inside = footprint(area.column_mol_m2)
    found = [plume.candidate for plume in search(area, wind, plume_thresholds()).plumes]
    return [
        Example(features_of(c.significance or 0.0, c.tests), c.status, lies_on(c.mask, inside), is_planted)
        for c in found
    ]


def fit_coefficients(examples: Sequence[Example], prior: float) -> dict[str, float]:
    """Return the coefficients and the intercept of the logistic model, scenes weighted to the prior."""
    from sklearn.linear_model import LogisticRegression

    names = list(examples[0].features)
    features = np.array([[example.features[name] for name in names] for example in examples])
    model = LogisticRegression(C=INVERSE_RIDGE, max_iter=10_000)
    model.fit(features, [example.is_plume for example in examples], _weights(examples, prior))
    values = [float(model.intercept_[0]), *(float(value) for value in model.coef_[0])]
    return dict(zip(["intercept", *names], (round(value, DIGITS) for value in values), strict=True))


def fit_offset(examples: Sequence[Example], limits: PlumeThresholds) -> float:
    """Return what added to the log odds of the multi-pass model fits best, scenes weighted to the prior."""
    model, prior = limits.probability.multi_pass, limits.probability.prior
    names = [name for name in model if name != "intercept"]
    odds = [model["intercept"] + sum(model[name] * one.features[name] for name in names) for one in examples]
    sign = np.where([one.is_plume for one in examples], -1.0, 1.0)
    weights = _weights(examples, prior)

    def loss(offset: float) -> float:
        return float(np.sum(weights * np.logaddexp(0.0, sign * (np.array(odds) + offset))))

    return round(float(minimize_scalar(loss, bounds=OFFSETS, method="bounded").x), DIGITS)


def plume_share(examples: Sequence[Example], prior: float) -> float:
    """Return the share of candidates that lie on a plume, scenes weighted to the prior."""
    return float(np.average([example.is_plume for example in examples], weights=_weights(examples, prior)))


def _weights(examples: Sequence[Example], prior: float) -> NDArray[np.float64]:
    is_planted = [example.is_planted for example in examples]
    return np.where(is_planted, prior / PLANTED_SHARE, (1 - prior) / (1 - PLANTED_SHARE))


def simulate_examples(
    scenes: int, processes: int, units: tuple[str, ...], references: tuple[int, ...]
) -> list[Example]:
    """Return the candidates of so many training scenes."""
    with ProcessPoolExecutor(processes) as pool:
        by_scene = pool.map(partial(examples_of, units=units, references=references), range(scenes), chunksize=4)
        return [example for scene in followed(by_scene, "methane", "trials", scenes) for example in scene]


def landsat_lines(scenes: int, processes: int) -> list[str]:
    """Return Landsat's offset as the line of the file, of so many training scenes."""
    examples = simulate_examples(scenes, processes, tuple(LANDSAT_PLATFORMS), LANDSAT_REFERENCES)
    judged = [example for example in examples if example.status not in REFUSED]
    return [
        f"{scenes} scenes, {len(judged)} candidates, {sum(e.is_plume for e in judged)} of them plumes",
        f"landsat: {fit_offset(judged, plume_thresholds())}",
    ]


def training_lines(scenes: int, processes: int) -> list[str]:
    """Return the model as the lines of the file, of so many training scenes."""
    examples = simulate_examples(scenes, processes, tuple(PLATFORMS), REFERENCES)
    prior = plume_thresholds().probability.prior
    judged = [example for example in examples if example.status not in REFUSED]
    refused = {status: [e for e in examples if e.status == status] for status in REFUSED}
    return [
        f"{scenes} scenes, {len(judged)} candidates, {sum(e.is_plume for e in judged)} of them plumes, prior {prior}",
        *(f"{name}: {value}" for name, value in fit_coefficients(judged, prior).items()),
        *(
            f"refused as {status}: {len(some)}, on a plume {sum(e.is_plume for e in some)}, at the prior a share of"
            f" {plume_share(some, prior):.3f}"
            for status, some in refused.items()
            if some
        ),
    ]
