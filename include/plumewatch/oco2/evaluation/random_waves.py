"""A smooth random field of given lengths at any places: a sum of waves in random directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

WAVES = 64


def random_waves(rng: np.random.Generator, length_km: ArrayLike, *places_km: Floats) -> Floats:
    """Return a field of variance 1 whose covariance is exp(-d^2 / (2 length^2)).

    `length_km` is one, or one for each of the 64 waves: clouds and their parts. Places are one array for each
    coordinate; the field has their shape.
    """
    per_km = rng.standard_normal((len(places_km), WAVES)) / np.asarray(length_km, dtype=float)
    phase = rng.uniform(0.0, 2.0 * np.pi, WAVES)
    total = sum((place[..., None] * k for place, k in zip(places_km, per_km, strict=True)), phase)
    return np.asarray(np.cos(total).sum(axis=-1) * np.sqrt(2.0 / WAVES))
