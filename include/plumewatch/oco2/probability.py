"""How probable it is that a candidate is a source's plume, among all candidates of a key's orbits.

Noise makes L / 600 km x expected(z) candidates of at least z on L km that were looked at (`null_distribution.py`), so
that their density is known. Plumes make N, with density p(z) = (a / z0) (z / z0)^-(a + 1) above the weakest
candidate's z0: the strengths of plumes, as of emissions, have a power law. N, and a factor by which a key is noisier
than the law has it, are what fits the candidates best (maximum likelihood, by expectation and maximisation, with
priors), and

    probability = 1 - local false discovery rate = N p(z) / (N p(z) + factor x density of noise).

Efron, Large-Scale Inference, Cambridge 2010, chapter 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.null_distribution import REFERENCE_KM, NullDistribution, null_distribution
from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]

ITERATIONS = 200


def plume_probabilities(
    false_alarm_probability: Floats, looked_at_km: float, distribution: NullDistribution | None = None
) -> Floats:
    """Return the probability that each candidate is a plume, shape (candidates,).

    The candidates are all those, accepted or not, whose `false_alarm_probability` is at most the one with which a row
    is kept; `looked_at_km` is how long the tracks are on which they were looked for.
    """
    law, rule = distribution or null_distribution(), peak_thresholds().probability
    expected = -np.log1p(-np.asarray(false_alarm_probability, dtype=float))
    weakest = law.threshold(peak_thresholds().candidates.false_alarm_probability)
    z = law.location - law.scale * np.log(np.maximum(expected, np.finfo(float).tiny))
    looked_at_km = max(looked_at_km, REFERENCE_KM)  # where candidates come from so much was looked at
    of_noise = looked_at_km / REFERENCE_KM * expected / law.scale
    of_plume = rule.exponent / weakest * (np.maximum(z, weakest) / weakest) ** -(rule.exponent + 1.0)
    prior = rule.plumes_per_1000_km * looked_at_km / 1000.0
    weight = rule.prior_plumes
    n_noise = looked_at_km / REFERENCE_KM * float(law.expected(weakest))
    n_plumes, factor = prior, 1.0
    for _ in range(ITERATIONS):
        share = n_plumes * of_plume / (n_plumes * of_plume + factor * of_noise)
        # gamma priors: of plumes around `prior`, as if so many were known, and of the factor around 1
        n_plumes = (share.sum() + weight) / (1.0 + weight / prior)
        factor = ((1.0 - share).sum() + rule.prior_noise) / (n_noise + rule.prior_noise)
    return np.asarray(n_plumes * of_plume / (n_plumes * of_plume + factor * of_noise), dtype=float)
