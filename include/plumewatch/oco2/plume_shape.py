"""Where a plume is along a track, how wide, high and slanted: what the search for others beside it has to allow for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.rows import QUARTERS
from plumewatch.oco2.scan import Disturbance
from plumewatch.oco2.templates import gaussian
from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]

FREE_HEIGHTS = 10.0  # standard deviation of a plume's height beside its neighbour, in heights: free
FROM_MIDDLE: Floats = np.arange(float(QUARTERS)) - (QUARTERS - 1) / 2  # quarters
SPREAD_OF_QUARTERS = float(FROM_MIDDLE.std())
QUARTERS_HEIGHT, QUARTERS_REACH = 3.0, 1.5  # heights, sigmas: beyond, quarters see nothing of a plume


@dataclass(frozen=True)
class PlumeShape(Disturbance):
    """Where a plume is in rows, how wide and high: what the search for others beside it has to allow for."""

    centre: float
    """Row."""
    sigma: float
    """Rows, of the Gaussian in a quarter of the strip's width."""
    height_ppm: float
    """Height of that."""
    slant: float = 0.0
    """Rows that it lies ahead in a quarter, over where it lies in the last one."""

    @property
    def wide(self) -> float:
        """Width of the mean of all quarters, rows."""
        return math.hypot(self.sigma, self.slant * SPREAD_OF_QUARTERS)

    def covariance(self, row: Floats, *, is_part: bool = False) -> Floats:
        """Return that of the plume with a free height (ppm^2) between rows of these numbers, shape (rows, rows)."""
        g = gaussians_of_quarters(row, self.centre, self.sigma, self.slant).mean(axis=-2)
        return (FREE_HEIGHTS * self.height_ppm) ** 2 * np.outer(g, g) + self.difference(row, is_part=is_part)

    def is_beside(self, other: PlumeShape) -> bool:
        """Whether the two may take parts of each other for their own."""
        return abs(self.centre - other.centre) <= peak_thresholds().fit.beside_sigmas * (self.wide + other.wide)

    def difference(self, row: Floats, *, is_part: bool = False) -> Floats:
        """Return that of what the plume differs by from a Gaussian (ppm^2), less where it is a part of one."""
        rule = peak_thresholds().fit
        share, reach = (
            (rule.parts_share, rule.parts_reach) if is_part else (rule.difference_share, rule.difference_reach)
        )
        g = gaussians_of_quarters(row, self.centre, reach * self.sigma, self.slant).mean(axis=-2)
        alike = gaussian(row[:, None] - row, rule.difference_length * self.wide)
        return np.asarray((share * self.height_ppm) ** 2 * np.outer(g, g) * alike)

    def of_quarters(self, row: Floats) -> Floats:
        """Return the variance (ppm^2) that leaves what quarters of the strip see of it free, shape (rows,)."""
        g = gaussians_of_quarters(row, self.centre, QUARTERS_REACH * self.sigma, self.slant).max(axis=-2)
        return np.asarray((QUARTERS_HEIGHT * self.height_ppm * g) ** 2)

    def differing_quarters(self, row: Floats) -> Floats:
        """Return the variance (ppm^2) of what they differ by from the Gaussian, shape (quarters, rows)."""
        rule = peak_thresholds().fit
        g = gaussians_of_quarters(row, self.centre, rule.difference_reach * self.sigma, self.slant)
        return np.asarray((rule.difference_share * self.height_ppm * g) ** 2)

    def reach(self) -> tuple[float, float]:
        """First and last row of it."""
        wide = peak_thresholds().fit.reach_sigmas * self.wide
        return self.centre - wide, self.centre + wide


def gaussians_of_quarters(row: Floats, centre: Floats | float, sigma: Floats | float, slant: Floats | float) -> Floats:
    """Return Gaussians of height 1 in each quarter of the strip's width, shape (..., quarters, rows)."""
    at = np.asarray(centre)[..., None] + np.asarray(slant)[..., None] * FROM_MIDDLE
    return gaussian(row - at[..., None], np.asarray(sigma)[..., None, None])
