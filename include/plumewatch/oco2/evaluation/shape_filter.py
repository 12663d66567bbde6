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
from numpy.lib.stride_tricks import as_strided, sliding_window_view
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
        return float(self._z(plume.enhancement_ppm[None], self._without(others))[0])

    def _without(self, others: Sequence[TruePlume]) -> Floats:
        """xco2 without some plumes, shape (rows, 8)."""
        rest = sum((other.enhancement_ppm for other in others), np.zeros_like(self._xco2))
        return np.asarray(self._xco2 - np.where(self._is_seen, rest, 0.0))

    def strongest(self, shape_ppm: Floats) -> float:
        """Return the largest z of a shape (rows, 8) that is moved along the strip row by row."""
        profile = shape_ppm.max(axis=1)
        first, last = np.flatnonzero(profile >= SMALLEST * profile.max())[[0, -1]]
        overlap, information = self.moved(shape_ppm[first : last + 1][None])
        is_told = information > MIN_INFORMATION
        return float(np.where(is_told, overlap / np.sqrt(np.where(is_told, information, 1.0)), 0.0).max())

    def moved(self, shapes: Floats, others: Sequence[TruePlume] = ()) -> tuple[Floats, Floats]:
        """Return t' P y and t' P t of shapes t (n, length, 8), from their last row at the strip's first row on, until
        their first is at its last: shape (n, rows + length - 1) each. The strip's `others` are taken away."""
        length, xco2 = shapes.shape[1], self._without(others)
        flat = np.ascontiguousarray(shapes.transpose(2, 1, 0)).reshape(-1, len(shapes))  # footprints, rows; shapes
        weighted = self._basis * self._weight
        of_basis = weighted - self._weight * (weighted.sum(axis=2) @ self._shared)[:, :, None]
        known = self._products(self._basis, xco2[None])[:, 0] @ self._inverse
        rest = (xco2 - np.tensordot(known, self._basis, axes=1)) * self._weight
        rest = rest - self._weight * (self._shared @ rest.sum(axis=1))[:, None]
        overlap, own, *products = (
            _windows(values, length).reshape(-1, FOOTPRINTS * length) @ t
            for values, t in [(rest, flat), (self._weight, flat**2), *((one, flat) for one in of_basis)]
        )
        of_rows = np.einsum("xfl,nlf->xnl", _windows(self._weight, length), shapes, optimize=True)
        padded = np.pad(self._shared, length - 1)
        down, right = padded.strides
        shared = as_strided(padded, (len(overlap), length, length), (down + right, down, right), writeable=False)
        information = own - np.einsum("xnl,xnl->xn", of_rows @ shared, of_rows)
        of_background = np.stack(products)
        information -= np.einsum("ixn,ij,jxn->xn", of_background, self._inverse, of_background, optimize=True)
        return overlap.T, information.T


def _windows(values: Floats, length: int) -> Floats:
    """All stretches of so many rows (rows, 8), with nothing beyond the ends: shape (places, 8, length)."""
    return sliding_window_view(np.pad(values, ((length - 1, length - 1), (0, 0))), length, axis=0)


def threshold_of(empty: Iterable[JudgedStrip], shapes: Sequence[Floats], false_alarms: float) -> float:
    """Return the z that true shapes, in turn, exceed on this share of strips without a plume."""
    largest = [StripFilter(judged).strongest(shapes[k % len(shapes)]) for k, judged in enumerate(empty)]
    return float(np.quantile(largest, 1.0 - false_alarms))
