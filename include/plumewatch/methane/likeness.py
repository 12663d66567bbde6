"""Whether another band changed in the shape of a candidate: soil, fields and thin cloud do that, methane doesn't."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plumewatch.methane.mask_window import window_around
from plumewatch.methane.smoothing import Array, Mask, smooth

MARGIN_PX = 5  # width of the surroundings that belong to the shape
MIN_PIXELS = 10  # fewer tell no correlation


@dataclass(frozen=True)
class Likeness:
    """How much alike two fields are over a region and its surroundings."""

    correlation: float
    """Pearson's; 0 where there is too little to tell."""
    slope: float
    """Change of the other field per change of the first (least squares)."""


def compare_shapes(mask: Mask, absorption: Array, other: Array, valid: Mask, scale_px: float) -> Likeness:
    """Return how `other` (the logarithm of a band against its references) follows the absorption over `mask`.

    Both are averaged by a Gaussian of `scale_px`. Methane's own slope in band 11 is -0.2; noise of band 11, which is in
    both fields, gives at most 0.5.
    """
    box = window_around(mask, MARGIN_PX + int(np.ceil(3 * scale_px)))
    near = ndimage.binary_dilation(mask[box], iterations=MARGIN_PX) & valid[box]
    if near.sum() < MIN_PIXELS:
        return Likeness(0.0, 0.0)
    a, b = (smooth(field[box], valid[box], scale_px)[near].astype(float) for field in (absorption, other))
    a, b = a - a.mean(), b - b.mean()
    tiny = np.finfo(float).tiny
    covariance, variance = float((a * b).mean()), max(float((a * a).mean()), tiny)
    return Likeness(covariance / np.sqrt(max(variance * float((b * b).mean()), tiny)), covariance / variance)
