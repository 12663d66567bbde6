"""How much the source of a peak emits, learnt from peaks whose source is known. Pure.

A ridge regression of the log of the known emission on the features of `features.py`, its penalty chosen within the
training folds. Judged by cross-validation grouped by cells of 2 degrees, so that no place is both learnt and judged:
R2 = 1 - sum of squared errors over that about the mean of the training folds. The same is said of the flux alone, of
a line through the log of the flux, and of the peak's own features. A model is numbers in JSON: nothing runs when it is
read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from plumewatch.errors import InputError, reading
from plumewatch.learning.features import Examples

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

PENALTIES = tuple(float(p) for p in np.logspace(-1, 4, 11))
FOLDS = 5
SHARES, DRAWS = (0.2, 0.4, 0.6, 0.8, 1.0), 5
"""Of the examples that a point of the learning curve learns from, and how often they are drawn."""
LEAST_EXAMPLES = 30
LEAST_KNOWN_KT_H = 0.1  # a tenth of what a pass shows: below, the peak has another source
FLUX_ALONE, A_LINE, OWN_FEATURES, ALL_FEATURES = "flux alone", "line through the flux", "own features", "all features"
OWN = 10  # of the features: those of the peak itself stand first
PUBLISHED_R2 = 1 / 3
"""Chevallier et al. 2022, doi:10.1029/2021GL097540: cross-sectional fluxes explain about a third of the variance."""


class NothingToLearnFrom(InputError):
    """What is stored is readable, but too little to learn from."""


@dataclass(frozen=True)
class EmissionModel:
    """log(emission / (kt/h)) = intercept + sum of coefficient x (feature - mean) / scale."""

    names: tuple[str, ...]
    """Of the features, in their order."""
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficient: tuple[float, ...]
    intercept: float
    sigma: float
    """Of the log of an emission: the root mean square error in cross-validation."""

    def predict(self, examples: Examples) -> Floats:
        """Return the natural log of the emission in kt/h, NaN where a feature isn't known."""
        if examples.names != self.names:
            found = sorted(set(examples.names) ^ set(self.names))
            raise InputError("the model of emissions", f"other features ({', '.join(found[:4])})", "those it learnt")
        scaled = (examples.values - np.array(self.mean)) / np.array(self.scale)
        log_emission: Floats = self.intercept + scaled @ np.array(self.coefficient)
        return log_emission


@dataclass(frozen=True)
class Judged:
    """What cross-validation says."""

    n_examples: int
    n_cells: int
    r2: Mapping[str, float]
    """By what was given: the flux alone, a line through it, the peak's own features, all."""
    learning_curve: Sequence[tuple[int, float, float]]
    """Number of examples learnt from, and R2 of the peak's own features and of all; the mean of draws."""

    @property
    def is_better(self) -> bool:
        """Whether the features tell more than nothing and than the flux does."""
        others = max(self.r2[FLUX_ALONE], self.r2[A_LINE], 0.0)
        return self.r2[ALL_FEATURES] > others


def usable(examples: Examples) -> Indices:
    """Return which examples can be learnt from: all features and the emission are known, at least 0.1 kt/h."""
    is_known = np.isfinite(examples.values).all(axis=1) & np.isfinite(examples.log_known)
    return np.flatnonzero(is_known & (examples.log_known >= np.log(LEAST_KNOWN_KT_H)))


def judge_model(examples: Examples, seed: int = 0) -> Judged:
    """Return R2 in cross-validation grouped by cells, and how it grows with the number of examples.

    Raises NothingToLearnFrom with fewer than 30 usable examples, or in fewer than 5 cells.
    """
    at = usable(examples)
    n_cells = len(np.unique(examples.cell[at]))
    if len(at) < LEAST_EXAMPLES or n_cells < FOLDS:
        found = f"{len(at)} peaks with a known emission in {n_cells} cells of 2 degrees"
        raise NothingToLearnFrom("the training", found, f"at least {LEAST_EXAMPLES} in {FOLDS}")
    x, y, cell = examples.values[at], examples.log_known[at], examples.cell[at]
    folds = list(GroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, y, cell))
    base = sum(float(((y[test] - y[train].mean()) ** 2).sum()) for train, test in folds)

    def r2(columns: slice) -> float:
        return 1.0 - sum(_squares(x[:, columns], y, train, test) for train, test in folds) / base

    own = min(OWN, x.shape[1])
    scores = {
        FLUX_ALONE: 1.0 - float(((y - examples.log_flux[at]) ** 2).sum()) / base,
        A_LINE: r2(slice(0, 1)), OWN_FEATURES: r2(slice(0, own)), ALL_FEATURES: r2(slice(None)),
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    curve = []
    for share in SHARES:
        drawn = []
        for _ in range(1 if share == 1.0 else DRAWS):
            parts = [rng.permutation(train)[: max(10, round(share * len(train)))] for train, _ in folds]
            errors = [
                [_squares(x[:, :n], y, part, test) for n in (own, x.shape[1])]
                for part, (_, test) in zip(parts, folds, strict=True)
            ]
            drawn.append(1.0 - np.sum(errors, axis=0) / base)
        of_own, of_all = (float(r2) for r2 in np.mean(drawn, axis=0))
        curve.append((round(share * len(at) * (FOLDS - 1) / FOLDS), of_own, of_all))
    return Judged(len(at), n_cells, scores, curve)


def train_model(examples: Examples, judged: Judged) -> EmissionModel:
    """Return the model that all usable examples give; its error is that of cross-validation."""
    at = usable(examples)
    x, y = examples.values[at], examples.log_known[at]
    scaler, ridge = _fitted(x, y).named_steps.values()
    spread = float(np.std(y)) * np.sqrt(max(0.0, 1.0 - judged.r2[ALL_FEATURES]))
    mean, scale, coefficient = (tuple(map(float, part)) for part in (scaler.mean_, scaler.scale_, ridge.coef_))
    return EmissionModel(examples.names, mean, scale, coefficient, float(ridge.intercept_), float(spread))


def to_json(model: EmissionModel) -> dict[str, Any]:
    """Return the model as JSON can hold it."""
    return asdict(model)


def from_json(file: str, content: Any) -> EmissionModel:
    """Return the model of a file's content; InputError names the file where it is another form."""
    with reading(file, "a model of emissions as source_model_training writes it"):
        lists = {name: tuple(content[name]) for name in ("names", "mean", "scale", "coefficient")}
        if len({len(part) for part in lists.values()}) != 1:
            raise InputError(file, "lists of different lengths", "a number for each feature")
        numbers = {name: tuple(map(float, lists[name])) for name in ("mean", "scale", "coefficient")}
        return EmissionModel(
            tuple(map(str, lists["names"])), numbers["mean"], numbers["scale"], numbers["coefficient"],
            float(content["intercept"]), float(content["sigma"]),
        )  # fmt: skip


def judged_lines(judged: Judged) -> list[str]:
    """Return the figures for people."""
    lines = [f"{judged.n_examples} peaks with a known emission upwind, in {judged.n_cells} cells of 2 degrees"]
    lines += [f"  R2 of log emission, {name}: {r2:+.2f}" for name, r2 in judged.r2.items()]
    lines.append(f"  published, of fluxes: {PUBLISHED_R2:.2f} (Chevallier et al. 2022)")
    curve = ", ".join(f"{n}: {of_own:+.2f}, {of_all:+.2f}" for n, of_own, of_all in judged.learning_curve)
    return [*lines, f"  learning curve, own and all features, by number of peaks: {curve}"]


def _fitted(x: Floats, y: Floats) -> Any:
    return make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(x, y)


def _squares(x: Floats, y: Floats, train: Indices, test: Indices) -> float:
    return float(((y[test] - _fitted(x[train], y[train]).predict(x[test])) ** 2).sum())
