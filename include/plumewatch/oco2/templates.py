"""The templates that are moved along the rows of a track: Gaussians of many widths, for all of the strip or a part.

A plume across the strip is a Gaussian along the track, the same in every footprint. One that only the left or right
part sees is that in the part. One that the strip cuts at an angle lies ahead on one side and behind on the other: half
of two Gaussians whose middles are `SHIFTS` rows from the template's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

CORE, MARGIN = 56, 28  # rows of a window that are searched, and on both sides those that tell the background
WINDOW = CORE + 2 * MARGIN
SEGMENT, SEGMENT_MARGIN = 14, 8  # of a window's core, for narrow templates, whose matrices are so small
SHIFTS = (1, 2)  # rows: of 2.25 km
REACH_SIGMAS = 3.0  # a narrow template ends there
NEAR_SIGMAS = 1.5  # so near the middle a template needs a row with soundings
WIDE_STEP = 3.0  # wide templates are so many a sigma


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
    pairs: tuple[tuple[Indices, Indices, Indices], ...]
    """For each shift: templates of which the left part lies that much ahead, behind, and the one in their middle."""
    is_core: NDArray[np.bool_]
    """Which have their middle in the core."""
    is_parted: bool
    """Whether parts of the strip are tested."""

    @classmethod
    def of(cls, sigmas_km: Floats, km_per_row: float, size: tuple[int, int], step: float, *, is_parted: bool) -> Bank:
        """Make templates at every `step` rows; a step of 0 is a third of the width. `size`: core and margin in rows."""
        core, margin = size
        beyond = max(SHIFTS) if is_parted else 0
        centres, widths, first = [], [], [0]
        for sigma in sigmas_km:
            each = step or max(1.0, np.floor(sigma / km_per_row / WIDE_STEP))
            at = np.arange(-beyond, core + beyond, each)
            centres.append(at)
            widths.append(np.full(len(at), sigma))
            first.append(first[-1] + len(at))
        centre, sigma_km = np.concatenate(centres), np.concatenate(widths)
        apart_km = (np.arange(-margin, core + margin) - centre[:, None]) * km_per_row
        is_core = (centre >= 0) & (centre < core)
        pairs = []
        for shift in SHIFTS if is_parted else ():
            by = round(shift / step)
            middle = np.concatenate([np.arange(a + by, b - by) for a, b in pairwise(first)])
            pairs.append((middle + by, middle - by, middle))
        return cls(
            centre,
            sigma_km,
            np.exp(-0.5 * (apart_km / sigma_km[:, None]) ** 2),
            (np.abs(apart_km) <= NEAR_SIGMAS * sigma_km[:, None]).astype(float),
            tuple(pairs),
            is_core,
            is_parted,
        )


@lru_cache(maxsize=1)
def scan_widths() -> Floats:
    """Return the widths (sigma, km) that are scanned, log-spaced."""
    rule = peak_thresholds().templates
    return np.geomspace(rule.min_sigma_km, rule.max_sigma_km, rule.n_sigmas)


@lru_cache(maxsize=8)
def banks(km_per_row: float) -> tuple[Bank, Bank, Bank]:
    """Return the narrow templates (on segments), the middle and the wide ones (on windows)."""
    rule, widths = peak_thresholds().templates, scan_widths()
    is_narrow = REACH_SIGMAS * widths <= (SEGMENT_MARGIN - max(SHIFTS)) * km_per_row
    is_middle = ~is_narrow & (widths <= rule.widest_parted_km)
    return (
        Bank.of(widths[is_narrow], km_per_row, (SEGMENT, SEGMENT_MARGIN), 0.5, is_parted=True),
        Bank.of(widths[is_middle], km_per_row, (CORE, MARGIN), 1.0, is_parted=True),
        Bank.of(widths[~is_narrow & ~is_middle], km_per_row, (CORE, MARGIN), 0.0, is_parted=False),
    )
