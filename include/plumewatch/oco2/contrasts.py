"""What the quarters of the strip's width tell of a plume that lies ahead on one side, besides the rows' means.

Quarters v of a row, of weights w, tell of a template t by what they differ by from the row's own level, which is free:

    t' S d = sum_c t_c u_c,   u = w (v - mean of v),
    t' S t = sum_cc' t_c t_c' H_cc',   H_cc' = w_c [c = c'] - w_c w_c' / sum w,

and as two Gaussians of width sigma whose middles are a apart have the product exp(-a^2 / 4 sigma^2) times a Gaussian of
sigma / sqrt(2) in their midst, both are sums of a few convolutions of u and H, however far ahead it lies in each.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.rows import QUARTERS, compute_row_means
from plumewatch.oco2.templates import AHEAD, CORE, HALF, MARGIN, SlantedTemplate, gaussian

Floats = NDArray[np.float64]

BEYOND = max(AHEAD) * (QUARTERS - 1)  # half rows before and after the core
PAIRS = [(a, b) for a in range(QUARTERS) for b in range(a, QUARTERS)]


class Contrasts:
    """The quarters of some windows, tested against templates."""

    def __init__(self, quarter_ppm: Floats, weight: Floats, km_per_row: float) -> None:
        """Take shapes (windows, quarters, rows)."""
        total = weight.sum(axis=1)
        share = weight / np.where(total > 0, total, 1.0)[:, None]
        self._u = weight * (quarter_ppm - compute_row_means(quarter_ppm, weight))
        self._h = np.stack([(weight[:, a] if a == b else 0.0) - weight[:, a] * share[:, b] for a, b in PAIRS], axis=1)
        self._km_per_row = km_per_row
        self._of_width: tuple[float, Floats, Floats] = (np.nan, self._u, self._h)

    def test(self, template: SlantedTemplate) -> tuple[Floats, Floats]:
        """Return t' S d and t' S t at every half row of the core, each of shape (windows, half rows)."""
        sigma = template.sigma_km
        if self._of_width[0] != sigma:
            self._of_width = (
                sigma,
                self._u @ _gaussians(sigma, self._km_per_row),
                self._h @ _gaussians(sigma / np.sqrt(2.0), self._km_per_row),
            )
        _, overlap, information = self._of_width
        found = told = np.zeros((len(self._u), HALF * CORE))
        for a, ahead in enumerate(template.ahead):
            found = found + overlap[:, a, _shifted(ahead)]
        for pair, (a, b) in enumerate(PAIRS):
            first, second = template.ahead[a], template.ahead[b]
            apart_km = (first - second) / HALF * self._km_per_row
            times = (1.0 if a == b else 2.0) * float(np.exp(-0.25 * (apart_km / sigma) ** 2))
            told = told + times * information[:, pair, _shifted((first + second) // 2)]
        return found, told


def _shifted(half_rows: int) -> slice:
    return slice(BEYOND + half_rows, BEYOND + half_rows + HALF * CORE)


@lru_cache(maxsize=64)
def _gaussians(sigma_km: float, km_per_row: float) -> Floats:
    """Gaussians at every half row of a window's core and beyond, shape (rows, half rows)."""
    middle = MARGIN + np.arange(-BEYOND, HALF * CORE + BEYOND) / HALF
    apart_km = (np.arange(CORE + 2 * MARGIN)[:, None] - middle) * km_per_row
    return gaussian(apart_km, sigma_km)
