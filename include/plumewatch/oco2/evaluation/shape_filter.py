"""The filter that is told the shape of the plume, the covariance of noise and background, and where the coasts are.

Errors are C = D + R K R': each sounding's own, D, and what the soundings of a row share, K between rows (R says which
row a sounding is of). With a level, a slope and the step at coasts, B, profiled out, a plume of known shape t has

    P = C^-1 - C^-1 B (B' C^-1 B)^-1 B' C^-1,   z = t' P y / sqrt(t' P t),

and C^-1 = D^-1 - D^-1 R S R' D^-1 with S = K (1 + R' D^-1 R K)^-1 needs matrices of the size of the rows alone. Its
threshold is what the largest z of a true shape, moved along strips without a plume, exceeds as often as the finder
alarms on the same strips. No finder knows the shape: this is what one could reach at best.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from plumewatch.oco2.evaluation.judged_strips import JudgedStrip
from plumewatch.oco2.evaluation.strip import FOOTPRINTS
from plumewatch.oco2.evaluation.strip_truth import TruePlume

Floats = NDArray[np.float64]

SMALLEST = 0.02  # of a shape's largest value: rows with less aren't moved along
MIN_INFORMATION = 1e-6  # ppm^-2: less is a shape that no sounding tells of
SINGULAR = 1e-9  # relative: a coast that no gap leaves visible can't be told from the level


class StripFilter:
    """The filter for one strip."""

    def __init__(self, judged: JudgedStrip) -> None:
        self._is_seen, covariance = judged.is_seen, judged.covariance
        self._xco2 = np.zeros(judged.is_seen.shape)
        self._xco2[judged.is_seen] = judged.track.xco2_ppm - np.median(judged.track.xco2_ppm)
        self._weight = np.where(judged.is_seen, covariance.single_ppm**-2.0, 0.0)
        shared = covariance.of_rows(judged.strip.row_km)
        of_rows = self._weight.sum(axis=1)
        self._shared = np.linalg.solve(np.eye(len(shared)) + shared * of_rows, shared)
        level = np.ones(judged.is_seen.shape)
        slope = np.broadcast_to(np.linspace(-1.0, 1.0, len(level))[:, None], level.shape)
        self._basis = np.stack([level, slope, covariance.is_water.astype(float)])
        gram = self._products(self._basis, self._basis)
        self._inverse = np.linalg.pinv(gram, rcond=SINGULAR, hermitian=True)

    def _products(self, a: Floats, b: Floats) -> Floats:
        """a' C^-1 b of two stacks of values on the footprints, shapes (n, rows, 8) and (m, rows, 8) to (n, m)."""
        weighted_a, weighted_b = a * self._weight, b * self._weight
        own = np.tensordot(weighted_a, b, axes=([1, 2], [1, 2]))
        return np.asarray(own - weighted_a.sum(axis=2) @ self._shared @ weighted_b.sum(axis=2).T)

    def _z(self, shapes: Floats, xco2_ppm: Floats) -> Floats:
        """z of each shape (n, rows, 8); 0 where nothing tells of it."""
        weighted = shapes * self._weight
        of_rows = weighted.sum(axis=2)
        information = np.einsum("nrf,nrf->n", weighted, shapes) - np.sum((of_rows @ self._shared) * of_rows, axis=1)
        of_background = self._products(shapes, self._basis)
        information -= np.sum((of_background @ self._inverse) * of_background, axis=1)
        seen = self._products(shapes, xco2_ppm[None])[:, 0]
        seen -= of_background @ self._inverse @ self._products(self._basis, xco2_ppm[None])[:, 0]
        is_told = information > MIN_INFORMATION
        return np.where(is_told, seen / np.sqrt(np.where(is_told, information, 1.0)), 0.0)

    def at(self, plume: TruePlume, others: Sequence[TruePlume]) -> float:
        """Return z of a plume at its place, with the strip's other plumes taken away."""
        rest = sum((other.enhancement_ppm for other in others), np.zeros_like(self._xco2))
        xco2 = self._xco2 - np.where(self._is_seen, rest, 0.0)
        return float(self._z(plume.enhancement_ppm[None], xco2)[0])

    def strongest(self, shape_ppm: Floats) -> float:
        """Return the largest z of a shape (rows, 8) that is moved along the strip row by row."""
        profile = shape_ppm.max(axis=1)
        first, last = np.flatnonzero(profile >= SMALLEST * profile.max())[[0, -1]]
        shape, n_rows = shape_ppm[first : last + 1], len(self._xco2)
        padded = np.zeros((2 * n_rows + len(shape) - 2, FOOTPRINTS))
        padded[n_rows - 1 : n_rows - 1 + len(shape)] = shape
        # windows of the padded shape: the shape from its last row at the strip's first, to its first at the last
        windows = sliding_window_view(padded, n_rows, axis=0).transpose(0, 2, 1)
        return float(self._z(windows, self._xco2).max())


def threshold_of(empty: Iterable[JudgedStrip], shapes: Sequence[Floats], false_alarms: float) -> float:
    """Return the z that true shapes, in turn, exceed on this share of strips without a plume."""
    largest = [StripFilter(judged).strongest(shapes[k % len(shapes)]) for k, judged in enumerate(empty)]
    return float(np.quantile(largest, 1.0 - false_alarms))
