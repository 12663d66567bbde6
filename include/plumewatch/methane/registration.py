"""Dates that lie a fraction of a pixel off each other: how far, and what they would be in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plumewatch.methane.significance import Array, Mask, robust_sigma

OUTLIER_SIGMA = 3.0  # changes of the ground beyond that are pulled in, so that they don't pull the fit
MIN_PIXELS = 1000  # fewer don't tell a shift of a few hundredths of a pixel
MAX_SHIFT_PX = 1.0  # a first-order correction holds for less than a pixel


@dataclass(frozen=True)
class Shift:
    """How far a date lies off another."""

    rows: float
    """Towards higher rows, in pixels."""
    cols: float
    """Towards higher columns, in pixels."""


@dataclass(frozen=True, eq=False)
class Gradient:
    """Change of a field from pixel to pixel; 0 beside pixels that are not valid."""

    by_row: Array
    """Per row."""
    by_col: Array
    """Per column."""


def gradient_of(field: Array, valid: Mask) -> Gradient:
    """Return central differences where all neighbours are valid."""
    inside = ndimage.binary_erosion(valid)
    by_row, by_col = np.gradient(np.where(valid, field, np.float32(0.0)))
    return Gradient(np.where(inside, by_row, np.float32(0.0)), np.where(inside, by_col, np.float32(0.0)))


def estimate_shift(moved: Array, fixed: Array, gradient: Gradient, valid: Mask) -> Shift:
    """Return the shift s of `moved` against `fixed`, the least-squares solution of moved - fixed = -s . grad(fixed).

    `gradient` is that of `fixed`. Both fields are the logarithm of a band in which nothing but illumination changes.
    Too little ground, or more than a pixel, which is no error of registration: no shift.
    """
    inside = valid & ((gradient.by_row != 0) | (gradient.by_col != 0))
    if inside.sum() < MIN_PIXELS:
        return Shift(0.0, 0.0)
    difference = (moved - fixed)[inside].astype(float)
    difference -= np.median(difference)
    limit = OUTLIER_SIGMA * robust_sigma(difference)
    slopes = np.stack([gradient.by_row[inside], gradient.by_col[inside]]).astype(float)
    solved = np.linalg.lstsq(slopes @ slopes.T, -slopes @ np.clip(difference, -limit, limit), rcond=None)[0]
    return Shift(float(solved[0]), float(solved[1])) if np.hypot(*solved) <= MAX_SHIFT_PX else Shift(0.0, 0.0)


def moved_back(field: Array, valid: Mask, shift: Shift) -> Array:
    """Return `field` as it would be without the shift, to first order."""
    gradient = gradient_of(field, valid)
    return field + np.float32(shift.rows) * gradient.by_row + np.float32(shift.cols) * gradient.by_col
