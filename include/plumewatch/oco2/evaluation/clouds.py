"""Where soundings are missing: clouds as a random field in two dimensions, cut at a height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.evaluation.random_waves import WAVES, random_waves
from plumewatch.oco2.evaluation.strip import Strip

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FINEST = 0.25  # clouds have parts so small, by their own size
SINGLE_LOSS = (0.0, 0.1)  # soundings that fail one by one


@dataclass(frozen=True)
class GapClass:
    """A kind of cloud field."""

    name: str
    """For the tables."""
    missing: tuple[float, float]
    """Share of soundings in clouds."""
    size_km: tuple[float, float]
    """Correlation length of the field."""


FULL = GapClass("full", (0.0, 0.0), (1.0, 1.0))
GAP_CLASSES = (
    FULL,
    GapClass("small, 10-50 %", (0.1, 0.5), (1.0, 8.0)),
    GapClass("small, 50-90 %", (0.5, 0.9), (1.0, 8.0)),
    GapClass("large, 10-50 %", (0.1, 0.5), (8.0, 40.0)),
    GapClass("large, 50-90 %", (0.5, 0.9), (8.0, 40.0)),
)


def draw_seen(rng: np.random.Generator, kind: GapClass, strip: Strip) -> Bools:
    """Return which footprints of a strip are seen, shape (rows, 8): exactly the drawn share lies in clouds."""
    is_seen: Bools = rng.random(strip.along_km.shape) >= rng.uniform(*SINGLE_LOSS)
    if kind.missing[1] > 0.0:
        size_km = np.exp(rng.uniform(*np.log(kind.size_km)) + rng.uniform(np.log(FINEST), 0.0, WAVES))
        field = random_waves(rng, size_km, strip.along_km, strip.across_km)
        is_seen &= field > np.quantile(field, rng.uniform(*kind.missing))
    return is_seen


def gap_lengths_km(strip: Strip, is_seen: Bools) -> Floats:
    """Return how far along the track it is over each gap, from row to row that has a sounding."""
    row_km = strip.row_km[is_seen.any(axis=1)]
    step = np.diff(row_km)
    return np.asarray(step[step > 1.5 * (strip.row_km[1] - strip.row_km[0])])
