"""Which pixels show the ground: the scene classification, and a margin around cloud and its shadow."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from plumewatch.sentinel2.bands import DILATED_CLASSES


def compute_clear_mask(
    scl: NDArray[np.uint8], valid: NDArray[np.bool_], clear_classes: Collection[int], dilation_px: float
) -> NDArray[np.bool_]:
    """Return True where a pixel is valid, of a clear class, and further than `dilation_px` from cloud and shadow.

    clear = valid & (scl in clear_classes) & (d > dilation_px), where d is the distance in pixels between the centres of
    the pixel and of the nearest one of cloud or cloud shadow (classes 3, 8, 9, 10, but for those declared clear).

    Arguments: `scl` (rows x columns) Sentinel-2's scene classification; `valid` (the same shape) False where a band
    has no data; `dilation_px` 0 or more. Give a margin of `dilation_px` around the pixels that matter: cloud outside
    the array isn't seen.

    With a cloud in column 0 and a dilation of 2 pixels, columns 0 to 2 are not clear and column 3 is.
    """
    of_class = np.arange(1 + np.iinfo(np.uint8).max)  # looked up: comparing a pixel with each class takes longer
    clear = valid & np.isin(of_class, list(clear_classes))[scl]
    cloud = np.isin(of_class, [c for c in DILATED_CLASSES if c not in clear_classes])[scl]
    if dilation_px > 0 and cloud.any():
        clear &= ~_within(cloud, dilation_px)
    return clear


def _within(seeds: NDArray[np.bool_], distance_px: float) -> NDArray[np.bool_]:
    """Return where a seed is at most `distance_px` away: the seeds, moved to each place of a disc around them.

    For the few pixels of a margin this is many times faster than a distance transform.
    """
    reach = int(min(distance_px, max(seeds.shape) - 1))
    steps = np.arange(reach + 1)
    # By rows up or down, how many columns to either side are still within the distance.
    widths = np.count_nonzero(np.sqrt(np.add.outer(steps**2, steps**2)) <= distance_px, axis=1) - 1
    found, wide = np.zeros_like(seeds), seeds.copy()
    for width in steps:
        if width:
            wide[:, width:] |= seeds[:, :-width]
            wide[:, :-width] |= seeds[:, width:]
        for up in np.flatnonzero(widths[: len(seeds)] == width):
            found[up:] |= wide[: len(wide) - up]
            found[: len(wide) - up] |= wide[up:]
    return found
