"""The part of an image that holds a plume: what is computed of it needs no more."""

from __future__ import annotations

import numpy as np

from plumewatch.methane.smoothing import Mask

Window = tuple[slice, slice]
"""Rows and columns."""


def window_around(mask: Mask, margin_px: int = 0) -> Window:
    """Return rows and columns that hold the pixels of `mask` (at least one is set) and a margin, within the image.

    >>> window_around(np.array([[False, False, False], [True, False, False]]), 1)
    (slice(0, 2, None), slice(0, 2, None))
    """
    rows, cols = (
        slice(max(0, int(at[0]) - margin_px), min(size, int(at[-1]) + 1 + margin_px))
        for at, size in zip((np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)), mask.shape, strict=True)
    )
    return rows, cols
