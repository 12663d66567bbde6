"""Dates that lie a fraction of a pixel off each other: how far, and what they would be in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plumewatch.methane.smoothing import OWN, WINSOR_SIGMA, Array, Mask, SceneNumbers, robust_sigma, sampled

ITERATIONS = 4  # each pulls in what stands out of the fit so far
SAMPLED_PIXELS = 30_000  # evenly taken pixels tell a shift of two thousandths of a pixel
MIN_PIXELS = 1000  # fewer don't tell a shift of a few hundredths of a pixel
MAX_SHIFT_PX = 1.0  # a first-order correction holds for less than a pixel


Shift = tuple[float, float]
"""How far a date lies off another: rows and columns, in pixels."""


def gradient_of(field: Array, valid: Mask) -> Array:
    """Return central differences per row and per column (2 x height x width); 0 beside pixels that are not valid."""
    if min(field.shape) < 2:  # no neighbours
        return np.zeros((2, *field.shape), field.dtype)
    return np.where(_inner(valid), np.gradient(np.where(valid, field, np.float32(0.0))), np.float32(0.0))


def _inner(valid: Mask) -> Mask:
    """Return the pixels whose four neighbours are valid too."""
    inside = np.zeros_like(valid)
    inside[1:-1, 1:-1] = valid[1:-1, 1:-1] & valid[:-2, 1:-1] & valid[2:, 1:-1] & valid[1:-1, :-2] & valid[1:-1, 2:]
    return inside


def estimate_shift(moved: Array, fixed: Array, gradient: Array, valid: Mask, numbers: SceneNumbers = OWN) -> Shift:
    """Return the shift s of `moved` against `fixed`, the least-squares solution of moved - fixed = -s . grad(fixed).

    `gradient` is that of `fixed`. Both fields are the logarithm of a band in which nothing but illumination changes.
    Too little ground, or more than a pixel, which is no error of registration: no shift.
    """
    fit = numbers.of("shift", lambda: _robust_fit(gradient, moved - fixed, valid))
    if fit is None or not np.hypot(*fit) <= MAX_SHIFT_PX:
        return 0.0, 0.0
    return float(-fit[0]), float(-fit[1])


def edges_of(fields: Sequence[Array], valid: Mask) -> Array:
    """Return the first and second derivatives (terms x height x width) of fields of the ground."""
    terms = []
    for field in fields:
        first, inside = gradient_of(field, valid), _inner(_inner(valid))
        by_row, by_col = (gradient_of(derivative, inside) for derivative in first)
        terms += [*first, *by_row, by_col[1]]
    return np.stack(terms)


def without_edges(difference: Array, edges: Array, valid: Mask, numbers: SceneNumbers = OWN) -> Array:
    """Return the difference of two dates without what looks like an edge of the ground.

    The part that is proportional to the `edges` of the ground's own fields: what is left of the registration, the
    bands' own offset from each other, which a shift of both leaves in their ratio, and a difference in sharpness.
    """
    fit = numbers.of("edges", lambda: _robust_fit(edges, difference, valid))
    if fit is None:
        return difference
    return np.where(valid, difference - np.tensordot(fit.astype(np.float32), edges, 1), np.float32(0.0))


def _robust_fit(slopes: Array, difference: Array, valid: Mask) -> NDArray[np.float64] | None:
    """Return the factors of `slopes` (terms x height x width) whose sum is the difference, but for a constant.

    None where too few of the sampled pixels have slopes.
    """
    pixels = np.flatnonzero(valid)
    pixels = pixels[:: 1 + pixels.size // SAMPLED_PIXELS]
    slopes = slopes.reshape(len(slopes), -1)[:, pixels]
    has_slope = slopes.any(axis=0)
    if has_slope.sum() < MIN_PIXELS:
        return None
    slopes, difference = slopes[:, has_slope].astype(float), difference.ravel()[pixels[has_slope]].astype(float)
    normal, factors = slopes @ slopes.T, np.zeros(len(slopes))
    for _ in range(ITERATIONS):
        residual = difference - factors @ slopes
        residual -= np.median(sampled(residual))
        limit = WINSOR_SIGMA * robust_sigma(residual)
        factors += np.linalg.lstsq(normal, slopes @ np.clip(residual, -limit, limit), rcond=None)[0]
    return factors


def moved_back(field: Array, valid: Mask, shift: Shift) -> Array:
    """Return `field` as it would be without the shift, to first order."""
    by_row, by_col = gradient_of(field, valid)
    return field + np.float32(shift[0]) * by_row + np.float32(shift[1]) * by_col
