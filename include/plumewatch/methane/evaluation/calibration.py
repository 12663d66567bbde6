"""Whether stated probabilities come true, and whether half of the plumes at the stated limit are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from plumewatch.methane.evaluation.measure import Trial

N_BINS = 5
RIDGE = 1e-3  # keeps the slope finite where all above some rate are found and none below


@dataclass(frozen=True)
class Bin:
    """Candidates of about one probability."""

    n_candidates: int
    """How many."""
    low: float
    """Least probability."""
    high: float
    """Highest."""
    stated: float
    """Mean of the stated probabilities, as at the prior."""
    observed: float
    """Share that are plumes, as at the prior."""


def calibration_bins(trials: Sequence[Trial], prior: float) -> list[Bin]:
    """Return five bins with as many candidates each, of scenes with and without a plume weighted to the prior."""
    seen = [trial for trial in trials if trial.is_visible]
    is_planted = np.array([trial.setting.emission_kg_h > 0 for trial in seen])
    share = is_planted.mean()
    weight = np.where(is_planted, prior / share, (1 - prior) / (1 - share))
    rows = [(*c.rank, c.is_plume, w) for trial, w in zip(seen, weight, strict=True) for c in trial.candidates]
    rows.sort(key=lambda row: row[:2])  # not by the truth: equal probabilities must not sort themselves
    bins = []
    for part in np.array_split(np.array(rows, float).reshape(-1, 4), N_BINS):
        if len(part):
            stated, observed = (np.average(part[:, column], weights=part[:, 3]) for column in (0, 2))
            bins.append(Bin(len(part), float(part[0, 0]), float(part[-1, 0]), float(stated), float(observed)))
    return bins


def calibration_lines(bins: Sequence[Bin], prior: float) -> list[str]:
    """Return a table of them."""
    lines = [f"probability, at a prior of {prior:.3f}", "candidates     from       to   stated  observed"]
    lines += [f"{b.n_candidates:10} {b.low:8.3f} {b.high:8.3f} {b.stated:8.3f} {b.observed:9.3f}" for b in bins]
    return lines


def rate_at_half(trials: Sequence[Trial]) -> float:
    """Return the planted rate over the stated detection limit at which half of the visible plumes are found.

    By a logistic curve in the logarithm of that ratio; NaN where no limit was stated.
    """
    seen = [t for t in trials if t.is_visible and t.setting.emission_kg_h and np.isfinite(t.detection_limit_kg_h)]
    if not seen:
        return float("nan")
    x = np.log([t.setting.emission_kg_h / t.detection_limit_kg_h for t in seen])
    found = np.array([bool(t.hits) for t in seen])

    def loss(curve: np.ndarray) -> float:
        z = curve[1] * (x - curve[0])
        return float(np.sum(np.logaddexp(0.0, np.where(found, -z, z))) + RIDGE * curve[1] ** 2)

    return float(np.exp(minimize(loss, np.array([np.median(x), 2.0]), method="Nelder-Mead").x[0]))
