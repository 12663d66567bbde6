"""Plumes of known rate: trains of puffs in a gusty wind, which are nobody's template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr

from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL, SECONDS_PER_HOUR

Floats = NDArray[np.float64]

PIXEL_M = 20.0  # of Sentinel-2

PUFF_INTERVAL_S = 5.0
SOURCE_WIDTH_M = 8.0
GROWTH, GROWTH_MEMORY_S = 0.2, 60.0  # puffs of a daytime boundary layer: 90 m at 1 km in 3 m/s, beside the meandering
GUST, GUST_MEMORY_S = 0.15, 120.0  # relative to the wind; displacement grows linearly before, as a root after
PUFFING, PUFFING_S = 0.35, 60.0  # relative standard deviation of the release, and its memory
MARGIN_MEMORIES = 4  # drawn before and after, so that the ends are like the rest
SCENES_LONG = 1.5  # puffs are followed over so many widths of the scene


@dataclass(frozen=True)
class PlantedPlume:
    """A plume of known rate in a simulated pass."""

    emission_kg_h: float
    """Mean rate of the source."""
    row: float
    """Row of the source."""
    col: float
    """Column of the source."""
    wind_u_m_s: float
    """Wind towards east at 10 m."""
    wind_v_m_s: float
    """Wind towards north at 10 m."""


def plume_column(rng: np.random.Generator, size: int, plume: PlantedPlume, pixel_m: float = PIXEL_M) -> Floats:
    """Return the column enhancement (mol/m2) of a meandering train of puffs, size x size cells of `pixel_m`.

    Puffs leave every few seconds with a mass that varies by a third, drift with the wind and with gusts that keep their
    direction for minutes, and grow by Taylor's law from a source of a few metres.
    """
    speed = float(np.hypot(plume.wind_u_m_s, plume.wind_v_m_s))
    age_s = np.arange(0.5, SCENES_LONG * size * pixel_m / speed / PUFF_INTERVAL_S) * PUFF_INTERVAL_S
    gust_east, gust_north = (GUST * speed * _slow_noise(rng, len(age_s), GUST_MEMORY_S) for _ in range(2))
    puffing = np.exp(PUFFING * _slow_noise(rng, len(age_s), PUFFING_S) - PUFFING**2 / 2)
    mass = plume.emission_kg_h / SECONDS_PER_HOUR * PUFF_INTERVAL_S * puffing
    reach = age_s / np.sqrt(1 + age_s / (2 * GUST_MEMORY_S))
    row = plume.row - (plume.wind_v_m_s * age_s + gust_north * reach) / pixel_m
    col = plume.col + (plume.wind_u_m_s * age_s + gust_east * reach) / pixel_m
    width = (SOURCE_WIDTH_M + GROWTH * speed * age_s / np.sqrt(1 + age_s / GROWTH_MEMORY_S)) / pixel_m
    in_rows, in_cols = (_cell_shares(size, centre, width) for centre in (row, col))
    return (in_rows * mass[:, None]).T @ in_cols / pixel_m**2 / MOLAR_MASS_CH4_KG_MOL


def _cell_shares(size: int, centre: Floats, sigma: Floats) -> Floats:
    """Return the part of each normal distribution (rows) that falls into each cell."""
    edges = np.arange(size + 1) - 0.5
    return np.diff(ndtr((edges[None, :] - centre[:, None]) / sigma[:, None]), axis=1)


def _slow_noise(rng: np.random.Generator, n: int, memory_s: float) -> Floats:
    """Return normal noise of standard deviation 1 over all plumes, correlated over the memory."""
    memory = memory_s / PUFF_INTERVAL_S
    margin = int(MARGIN_MEMORIES * memory)
    noise = ndimage.gaussian_filter1d(rng.standard_normal(n + 2 * margin), memory, truncate=MARGIN_MEMORIES)
    return noise[margin : margin + n] * np.sqrt(2 * np.sqrt(np.pi) * memory)
