"""Which pixels show the ground: the scene classification, and a margin around cloud and its shadow."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
    clear = valid & np.isin(scl, list(clear_classes))
    cloud = np.isin(scl, [c for c in DILATED_CLASSES if c not in clear_classes])
    if dilation_px > 0 and cloud.any():
        clear &= ndimage.distance_transform_edt(~cloud) > dilation_px
    return clear
