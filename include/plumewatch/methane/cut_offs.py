"""What a plume's outline runs into: the end of the searched area, or ground that was not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plumewatch.methane.alignment import DERIVATIVES_PX
from plumewatch.methane.smoothing import Mask

MIN_GAP_SHARE = 0.05  # of the outline: a single masked pixel beside a plume takes nothing of it away


@dataclass(frozen=True)
class CutOff:
    """How much of a plume's outline lies beside pixels without a measurement."""

    at_edge: float
    """Share beside the end of the area: no pixel there at all."""
    at_gap: float
    """Share beside pixels that were not searched: cloud, shadow, water, no clear reference."""

    @property
    def is_at_edge(self) -> bool:
        """Whether the plume reaches the end of the area and may go on beyond."""
        return self.at_edge > 0.0

    @property
    def is_at_gap(self) -> bool:
        """Whether a notable part of the outline is that of a gap."""
        return self.at_gap >= MIN_GAP_SHARE

    @property
    def text(self) -> str:
        """What a reader must know of it; empty where the plume lies free."""
        holds = {"the edge of the area": self.is_at_edge, "pixels that were not seen": self.is_at_gap}
        reasons = [text for text, is_so in holds.items() if is_so]
        return f"Cut off by {' and '.join(reasons)}: mass and rate are of the part that was seen." if reasons else ""


def compute_cut_off(mask: Mask, has_pixel: Mask, searched: Mask) -> CutOff:
    """Return what lies around `mask`; all are height x width, outside of them is no pixel.

    Pixels at the very end of the area are not searched, as they can't be registered: they count as the end. A plume of
    3 x 3 pixels in the corner of the area has 12 neighbours (by side), 6 of them outside: at_edge 0.5.
    """
    mask, has_pixel, searched = (np.pad(field, 1) for field in (mask, has_pixel, searched))
    has_pixel = searched | ndimage.binary_erosion(has_pixel, iterations=DERIVATIVES_PX)
    around = ndimage.binary_dilation(mask) & ~mask
    n = max(1, int(around.sum()))
    return CutOff(
        at_edge=float((around & ~has_pixel).sum() / n), at_gap=float((around & has_pixel & ~searched).sum() / n)
    )
