"""What neighbouring rows of a track share: errors of the retrieval and the background, by their covariance.

Four kinds are told apart by how far they reach: retrieval errors alike over some kilometres and over some tens of
them, background over 40 and over 100 km. How strong each is on a stretch of track tell the differences of rows so far
apart (the variogram), by their medians, so that plumes and coasts don't count:

    median (y(x) - y(x + d))^2 / 0.455 = 2 (own + sum_k a_k (1 - k(d))),   a_k >= 0.

Errors that rows share are as much larger where soundings' own errors are, over land beside water for one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from plumewatch.oco2.rows import MEDIANS, Rows
from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]

LAGS = (1, 2, 3, 5, 8, 12, 18, 27, 40)  # rows
LAGS_ALIKE = 0.7  # pairs of rows a lag apart count as so many fewer independent ones, as lags grow
MIN_PAIRS = 20
RELATIVE_ERROR = 1e-3  # ppm^2, of a variogram's value: keeps weights finite


def kernels(apart_km: Floats) -> Floats:
    """Correlation of rows so far apart, shape (kinds, ...): exponential for errors, Gaussian for background."""
    rule = peak_thresholds().noise
    errors = [np.exp(-apart_km / length) for length in rule.errors_km]
    return np.stack([*errors, *(np.exp(-0.5 * (apart_km / length) ** 2) for length in rule.backgrounds_km)])


def estimate_strengths(rows: Rows, starts: NDArray[np.intp], length: int) -> Floats:
    """Return the variance (ppm^2) of each kind on stretches of `length` rows from `starts`, shape (stretches, kinds).

    Stretches with few soundings lean on `usual_ppm2`, none is below `least_ppm2`.
    """
    rule = peak_thresholds().noise
    usual = np.asarray(rule.usual_ppm2)
    own = np.where(rows.is_seen, rows.variance_ppm2, 0.0)
    lags = [lag for lag in LAGS if lag < len(rows)]
    shares = 1.0 - kernels(rows.km_per_row * np.asarray(lags, dtype=float)).T
    is_error = np.arange(len(usual)) < len(rule.errors_km)
    strengths = np.empty((len(starts), len(usual)))
    pairs = []
    for lag in lags:
        at = np.flatnonzero(rows.is_seen[lag:] & rows.is_seen[:-lag])
        half_square = 0.5 * (rows.value_ppm[at + lag] - rows.value_ppm[at]) ** 2 / MEDIANS[1]
        scale = rows.error_scale[at] * rows.error_scale[at + lag]
        pairs.append((at, half_square, 0.5 * (own[at] + own[at + lag]), scale))
    for k, start in enumerate(starts):
        matrix, right = [np.diag(1.0 / usual)], [np.ones(len(usual))]
        for (at, half_square, of_own, scale), lag, share in zip(pairs, lags, shares, strict=True):
            here = slice(*np.searchsorted(at, (start, start + length - lag)))
            n_pairs = here.stop - here.start
            if n_pairs < MIN_PAIRS:
                continue
            value = float(np.median(half_square[here]))
            independent = n_pairs / max(1.0, LAGS_ALIKE * lag)
            weight = 1.0 / (value * np.sqrt(2.0 / independent) + RELATIVE_ERROR)
            scales = np.where(is_error, np.median(scale[here]), 1.0)
            matrix.append(weight * (share * scales)[None])
            right.append(np.array([weight * (value - np.median(of_own[here]))]))
        strengths[k] = nnls(np.concatenate(matrix), np.concatenate(right))[0]
    return np.maximum(strengths, rule.least_ppm2)
