"""The templates that are moved along the rows of a track: Gaussians of many widths, straight across or slanted.

A plume straight across the strip is a Gaussian along the track, the same in every quarter of its width. One that the
strip cuts at an angle lies in each quarter farther ahead than in the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.rows import QUARTERS
from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

HALF = 2  # places a row at which the statistic is kept
CORE, MARGIN = 56, 28  # rows of a window that are searched, and on both sides those that tell the background
WINDOW = CORE + 2 * MARGIN
SEGMENT, SEGMENT_MARGIN = 14, 6  # of a window's core, for narrow templates, whose matrices are so small
REACH_SIGMAS = 3.0  # a narrow template ends there
NEAR_SIGMAS = 1.5  # so near the middle a template needs a row with soundings
WIDE_STEP = 3.0  # wide templates are so many a sigma
AHEAD = (1, 2, 3, 4)  # half rows that a plume lies ahead of the middle, or behind, at 1/8 of the strip's width from it
SLANTED = (2.0, 14.0)  # edge to edge in sigma: less is no other template, more fades within a quarter


@dataclass(frozen=True)
class Bank:
    """Templates of some widths on the rows of a window or segment."""

    centre: Floats
    """Middle of each template in rows from the first row of the core, shape (templates,)."""
    sigma_km: Floats
    """Width, same shape."""
    shape: Floats
    """Shape (templates, rows)."""
    is_near: Floats
    """1 where a row is near the middle, same shape."""
    before: Indices
    """The last template of each width that isn't behind each half row of the core, shape (widths, half rows)."""
    after: Indices
    """The first that isn't before it, where there is one."""
    share: Floats
    """Of the latter, linear between the two."""

    @classmethod
    def of(cls, sigmas_km: Floats, km_per_row: float, size: tuple[int, int], step: float) -> Bank:
        """Make templates at every `step` rows; a step of 0 is a third of the width. `size`: core and margin in rows."""
        core, margin = size
        centres, widths, befores, afters, shares = [], [], [], [], []
        half_rows, first = np.arange(HALF * core) / HALF, 0
        for sigma in sigmas_km:
            each = step or max(1.0, np.floor(sigma / km_per_row / WIDE_STEP))
            at = np.arange(0, core, each)
            centres.append(at)
            widths.append(np.full(len(at), sigma))
            place = np.minimum(half_rows / each, len(at) - 1)
            befores.append(first + np.floor(place).astype(np.intp))
            afters.append(first + np.ceil(place).astype(np.intp))
            shares.append(place % 1.0)
            first += len(at)
        centre, sigma_km = np.concatenate(centres), np.concatenate(widths)
        apart_km = (np.arange(-margin, core + margin) - centre[:, None]) * km_per_row
        return cls(
            centre,
            sigma_km,
            gaussian(apart_km, sigma_km[:, None]),
            (np.abs(apart_km) <= NEAR_SIGMAS * sigma_km[:, None]).astype(float),
            np.array(befores),
            np.array(afters),
            np.array(shares),
        )

    def at_half_rows(self, values: Floats) -> Floats:
        """Values of the templates, shape (windows, templates), at half rows: shape (windows, widths, half rows)."""
        return np.asarray((1.0 - self.share) * values[:, self.before] + self.share * values[:, self.after])


def gaussian(apart: Floats, sigma: Floats | float) -> Floats:
    """Return a Gaussian of height 1 so far from its middle."""
    return np.asarray(np.exp(-0.5 * (apart / sigma) ** 2), dtype=float)


@lru_cache(maxsize=1)
def scan_widths() -> Floats:
    """Return the widths (sigma, km) that are scanned, log-spaced."""
    rule = peak_thresholds().templates
    return np.geomspace(rule.min_sigma_km, rule.max_sigma_km, rule.n_sigmas)


@lru_cache(maxsize=8)
def banks(km_per_row: float) -> tuple[Bank, Bank, Bank]:
    """Return the narrow templates (on segments), the middle and the wide ones (on windows), in order of width."""
    rule, widths = peak_thresholds().templates, scan_widths()
    is_narrow = REACH_SIGMAS * widths <= SEGMENT_MARGIN * km_per_row
    is_middle = ~is_narrow & (widths <= rule.widest_slanted_km)
    return (
        Bank.of(widths[is_narrow], km_per_row, (SEGMENT, SEGMENT_MARGIN), 1.0 / HALF),
        Bank.of(widths[is_middle], km_per_row, (CORE, MARGIN), 1.0),
        Bank.of(widths[~is_narrow & ~is_middle], km_per_row, (CORE, MARGIN), 0.0),
    )


@dataclass(frozen=True)
class SlantedTemplate:
    """A plume that the strip cuts at an angle: a Gaussian in each quarter, ahead in one of the next."""

    sigma_km: float
    """Width in a quarter."""
    ahead: tuple[int, ...]
    """Half rows that it lies ahead in each quarter, from the left on; 0 in the mean."""
    width: int
    """Which of `scan_widths` its mean over the quarters has."""

    @property
    def height(self) -> float:
        """Height of that mean over the height in a quarter: as much lower, as it is wider."""
        return float(self.sigma_km / scan_widths()[self.width])


@lru_cache(maxsize=8)
def slanted_templates(km_per_row: float) -> tuple[SlantedTemplate, ...]:
    """Return all of them, those of a width together."""
    widths, found = scan_widths(), []
    for sigma in widths[widths <= peak_thresholds().templates.widest_slanted_km]:
        for half_rows in AHEAD:
            edge_to_edge_km = 2 * QUARTERS * half_rows / HALF * km_per_row
            if not SLANTED[0] <= edge_to_edge_km / sigma <= SLANTED[1]:
                continue
            for step in (half_rows, -half_rows):
                ahead = tuple(step * (2 * quarter + 1 - QUARTERS) for quarter in range(QUARTERS))
                wide = np.hypot(sigma, np.std(ahead) / HALF * km_per_row)
                found.append(SlantedTemplate(float(sigma), ahead, int(np.argmin(np.abs(np.log(widths / wide))))))
    return tuple(found)
