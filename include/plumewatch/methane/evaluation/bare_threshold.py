"""The bare threshold: the ratio to one reference, a small median, a threshold, connected pixels. Nothing else.

What published baselines do, as the control of the simulated scenes. Ratio M of B12 / B11 to the nearest clear date;
3 x 3 median (Pandey et al. 2023, doi:10.1016/j.rse.2023.113746); M < 0.99 and at least 1 ha of connected pixels
(MARS-S2L, arXiv 2408.04745: 69 % of images of 2 km without a plume have one by this rule, which is 29 on 10 x 10 km if
they are spread evenly). Score of a scene after MARS: the highest threshold that still keeps that many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.methane.passes import Pass
from plumewatch.methane.retrieval import compute_log_ratio

THRESHOLD = 0.99  # of M
MEDIAN_PX = 3
MIN_PIXELS = 25  # 1 ha of 20 m pixels
MIN_SHARED_CLEAR = 0.8  # of the target's clear pixels; else the next date
TOUCHING = np.ones((3, 3), bool)  # corners count
HALVINGS = 20  # of the interval of thresholds: a millionth of it


def absorption_to_nearest(target: Pass, earlier: Sequence[Pass]) -> NDArray[np.float64]:
    """Return 1 - M after the median, -inf where a band is missing; `earlier` is nearest in time first.

    Where no date is clear enough, the clearest one is taken.
    """
    usable = target.is_usable

    def shared(one: Pass) -> float:
        return float((usable & one.is_usable).sum() / max(1, usable.sum()))

    nearest = next((one for one in earlier if shared(one) >= MIN_SHARED_CLEAR), None)
    reference = max(earlier, key=shared) if nearest is None else nearest
    valid = usable & reference.is_usable
    here, there = (compute_log_ratio(one.b11, one.b12, valid) for one in (target, reference))
    absorption = np.where(valid, -np.expm1(np.where(valid, here - there, 0.0)), 0.0)
    return np.where(valid, ndimage.median_filter(absorption, MEDIAN_PX), -np.inf)


def bare_plumes(absorption: NDArray[np.float64], threshold: float = THRESHOLD) -> NDArray[np.int64]:
    """Return the numbers, from 1, of the plumes that the threshold on M gives, 0 elsewhere."""
    labels, count = ndimage.label(absorption > 1.0 - threshold, structure=TOUCHING)
    large = np.bincount(labels.ravel(), minlength=count + 1) >= MIN_PIXELS
    large[0] = False
    return np.where(large, np.cumsum(large), 0)[labels]


def bare_score(absorption: NDArray[np.float64]) -> float:
    """Return the highest 1 - M that at least `MIN_PIXELS` connected pixels exceed."""
    finite = absorption[np.isfinite(absorption)]
    if not finite.size:
        return -np.inf
    low, high = float(finite.min()) - 1e-6, float(finite.max())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if bare_plumes(absorption, 1.0 - middle).any() else (low, middle)
    return low
