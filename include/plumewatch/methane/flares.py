"""Gas flares: pixels whose band 12 shines far above their surroundings."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from plumewatch.methane.retrieval import compute_log_ratio
from plumewatch.methane.smoothing import Array, Mask, smooth

SURROUNDINGS_PX = 3.0
EXCESS = 0.25  # ln: a flare of a hundred square metres at 1,500 K adds more to band 12 of its pixel than a third


def find_flares(b11: Array, b12: Array, usable: Mask) -> Mask:
    """Return the usable pixels (height x width) that shine as flares do, and their neighbours."""
    log_ratio = compute_log_ratio(b11, b12, usable)
    around = smooth(log_ratio, usable, SURROUNDINGS_PX)
    hot = usable & (log_ratio - around > EXCESS)
    return ndimage.binary_dilation(hot, structure=np.ones((3, 3))) if hot.any() else hot
