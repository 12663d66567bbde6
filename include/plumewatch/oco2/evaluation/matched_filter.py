"""The matched filter that is told the covariance of the noise: what a linear detector can reach at best.

With the covariance C of the noise and a smooth background B profiled out, the height of a template g is estimated with
the least variance by generalised least squares,

    P = C^-1 - C^-1 B (B' C^-1 B)^-1 B' C^-1,   z = g' P y / sqrt(g' P g),

and the largest z over centres and widths is compared with what it reaches on tracks without a source. No real detector
knows C; this one is told it, and its threshold is set on the very tracks on which false alarms are counted.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from plumewatch.oco2.evaluation.noise import TRACK_KM
from plumewatch.oco2.evaluation.planted import PlantedPeak
from plumewatch.oco2.track import Track

Floats = NDArray[np.float64]

BIN_KM = 2.5  # somewhat above the distance of rows of footprints, so that few bins are empty
N_BINS = round(TRACK_KM / BIN_KM)
CENTRES_KM: Floats = np.asarray((np.arange(N_BINS) + 0.5) * BIN_KM, dtype=float)
BACKGROUND_DEGREE, HALF_WINDOW_KM = 2, 120.0
SIGMA_KM, N_SIGMAS = (2.0, 33.0), 18
CORRELATED_BINS = 8  # 20 km; the covariance of blocks of 10 km ends there
MIN_EIGENVALUE_PPM2 = 1e-4  # an estimated covariance may miss being positive by so much
MIN_LEVERAGE = 0.15  # of the template's own: at the ends the background takes the rest


class MatchedFilter:
    """Kernels for every centre and width, from the noise's covariance."""

    def __init__(self, noise: Iterable[Floats]) -> None:
        """Learn the covariance from `noise`: tracks without background and source, in bins."""
        values = np.stack(list(noise))
        values = values - values.mean()
        lags = [np.mean(values[:, : N_BINS - k] * values[:, k:]) for k in range(CORRELATED_BINS)]
        eigenvalues, vectors = np.linalg.eigh(toeplitz(np.r_[lags, np.zeros(N_BINS - CORRELATED_BINS)]))
        covariance = vectors * np.maximum(eigenvalues, MIN_EIGENVALUE_PPM2) @ vectors.T
        self._sigma_km = np.geomspace(*SIGMA_KM, N_SIGMAS)
        self._kernels = np.concatenate([self._kernels_at(covariance, centre) for centre in CENTRES_KM])
        self._threshold = np.inf

    def _kernels_at(self, covariance: Floats, centre_km: float) -> Floats:
        """Kernels of one centre, shape (widths, bins)."""
        x = CENTRES_KM - centre_km
        at = np.flatnonzero(np.abs(x) <= HALF_WINDOW_KM)
        background = (x[at, None] / HALF_WINDOW_KM) ** np.arange(BACKGROUND_DEGREE + 1)
        template = np.exp(-0.5 * (x[at, None] / self._sigma_km) ** 2)
        whitened = np.linalg.solve(covariance[np.ix_(at, at)], np.hstack([template, background]))
        g, b = whitened[:, : len(self._sigma_km)], whitened[:, len(self._sigma_km) :]
        projected = g - b @ np.linalg.solve(background.T @ b, background.T @ g)
        leverage, own = np.sum(template * projected, axis=0), np.sum(template * g, axis=0)
        kernels = np.zeros((len(self._sigma_km), N_BINS))
        kernels[:, at] = np.where(leverage > MIN_LEVERAGE * own, projected / np.sqrt(leverage), 0.0).T
        return kernels

    def strongest(self, track: Track) -> Floats:
        """Return the largest z over the widths at every centre, shape (bins,)."""
        return np.asarray((self._kernels @ binned(track)).reshape(N_BINS, -1).max(axis=1))

    def set_threshold(self, empty: Iterable[Track], false_alarms: float) -> None:
        """Accept what only this share of tracks without a source reaches."""
        self._threshold = float(np.quantile([self.strongest(track).max() for track in empty], 1.0 - false_alarms))

    def finds(self, planted: PlantedPeak, track: Track) -> bool:
        """Whether the planted peak is accepted."""
        return bool(self.strongest(track)[planted.is_near(CENTRES_KM)].max() > self._threshold)


def binned(track: Track) -> Floats:
    """Return the mean xco2 of every bin, interpolated where one is empty."""
    index = np.clip((track.distance_km / BIN_KM).astype(int), 0, N_BINS - 1)
    count = np.bincount(index, minlength=N_BINS)
    mean = np.bincount(index, track.xco2_ppm, minlength=N_BINS) / np.maximum(count, 1)
    return np.interp(CENTRES_KM, CENTRES_KM[count > 0], mean[count > 0])
