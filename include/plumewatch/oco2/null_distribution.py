"""How strong the scan's strongest template gets where there is no source.

The statistic would be normal if the covariance were right; it is estimated, errors have tails, and retrievals leave
rough stretches over slopes and beside clouds. So the largest value in 600 km is compared with what it is on simulated
strips without a source, with clouds, coasts and backgrounds, by a Gumbel law, once straight and slanted templates are
made alike:

    P(z in 600 km without a source > z) = 1 - exp(-exp(-(z - location) / scale)).

`python -m plumewatch.oco2.evaluation.calibration` makes the file that is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.reference.loading import load_values

Floats = NDArray[np.float64]

FILE = "oco2_null_distribution.yaml"
REFERENCE_KM = 600.0  # length of track that a false alarm probability speaks of


@dataclass(frozen=True)
class NullDistribution:
    """The calibrated law of the largest statistic in 600 km without a source."""

    version: str
    """What manifests state as calibration, together with the version of the thresholds."""
    slanted_scale: float
    """What slanted templates reach over what straight ones reach."""
    location: float
    """Of the Gumbel law."""
    scale: float
    """Of the Gumbel law."""

    def expected(self, z: ArrayLike) -> Floats:
        """Return how many as large as `z` are to be expected in 600 km without a source."""
        return np.exp(-(np.asarray(z, dtype=float) - self.location) / self.scale)

    def false_alarm_probability(self, z: ArrayLike) -> Floats:
        """Return the probability of at least one value as large as `z` in 600 km without a source."""
        return -np.expm1(-self.expected(z))

    def threshold(self, false_alarm_probability: float) -> float:
        """Return the z that noise exceeds with this probability in 600 km."""
        return float(self.location - self.scale * np.log(-np.log1p(-false_alarm_probability)))


@lru_cache(maxsize=1)
def null_distribution() -> NullDistribution:
    """Return the calibration that ships with the library."""
    return load_values(NullDistribution, FILE)
