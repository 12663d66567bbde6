"""Methane plumes as a satellite would see them: puffs carried by a gusty wind, and what they do to B11 and B12.

Written apart from `plumewatch.methane` on purpose: what the pipeline finds is judged by what is planted here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.special import erf

from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL, SECONDS_PER_HOUR
from plumewatch.reference.loading import read_reference
from plumewatch.simulation.random_streams import correlated_series, gaussian_field

TRANSMITTANCE_FILE = "sentinel2_ch4_transmittance.json"
PUFF_INTERVAL_S = 4.0  # at 5 m/s puffs are one cell of 20 m apart
REACH_M = 9000.0  # puffs are followed so far: beyond the scene
TURBULENCE_INTENSITY = 0.18  # standard deviation of a wind component over its mean, day, flat ground
EDDY_TIME_S = 60.0  # smoothing scale of the gusts, a few minutes of correlation as in a convective boundary layer
STACK_WIDTH_M = 12.0  # standard deviation of a puff at the source
PUFF_GROWTH = 0.08  # metres of puff width per metre travelled; with the gusts, about Pasquill class B at 1 km (156 m)
PUFFING = 0.25  # relative standard deviation of the release rate
PUFFING_TIME_S = 40.0
MIN_PUFF = 0.4  # of the mean: a release weakens but never stops, so that a plume begins at its source

Floats = NDArray[np.float64]


def plume_column_mol_m2(
    x_edges_m: ArrayLike,
    y_edges_m: ArrayLike,
    source_xy_m: tuple[float, float],
    emission_kg_h: float,
    wind_xy_m_s: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:
    """Return the methane column of a plume in mol/m2, averaged over each cell, shape (rows, columns).

    Mass is conserved: each puff holds emission x interval, and its Gaussian is integrated over the cells, so that
    sum(column) x cell area x molar mass is the mass released over the time that the scene holds.
    `x_edges_m` ascend from west to east (columns + 1 values), `y_edges_m` from south to north (rows + 1); row 0 of the
    result is the southernmost. `wind_xy_m_s` is the 10-m wind along x and y.
    """
    x_edges, y_edges = np.asarray(x_edges_m, float), np.asarray(y_edges_m, float)
    x, y, width, mass = _puffs(source_xy_m, emission_kg_h, wind_xy_m_s, rng)
    in_columns = np.diff(_gaussian_below(x_edges, x, width), axis=1)
    in_rows = np.diff(_gaussian_below(y_edges, y, width), axis=1)
    cell_area = np.diff(y_edges)[:, None] * np.diff(x_edges)[None, :]
    return (in_rows * mass[:, None]).T @ in_columns / cell_area / MOLAR_MASS_CH4_KG_MOL


def _gaussian_below(edges: Floats, centre: Floats, width: Floats) -> Floats:
    """Return the fraction of each puff (rows) below each edge (columns)."""
    return 0.5 * (1.0 + erf((edges[None, :] - centre[:, None]) / (np.sqrt(2.0) * width[:, None])))


def _puffs(
    source: tuple[float, float], emission_kg_h: float, wind: tuple[float, float], rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return x, y, standard deviation (m) and mass (kg) of the puffs at the moment of the image, youngest first."""
    # At the speed of the 10-m wind Q = (0.33 U10 + 0.45) IME / L (Varon et al. 2021), which was fitted to large-eddy
    # simulations, is right to some 20 % for masks from 0.05 mol/m2 on.
    speed = float(np.hypot(*wind))
    along = np.asarray(wind, float) / speed
    count = int(np.ceil(REACH_M / speed / PUFF_INTERVAL_S))
    age = (np.arange(count) + 0.5) * PUFF_INTERVAL_S
    # Gusts by moment of release (rows) and time since (columns): neighbours in either share their eddies.
    alive = np.tri(count)
    scale = EDDY_TIME_S / PUFF_INTERVAL_S
    gust = [TURBULENCE_INTENSITY * speed * gaussian_field(rng, (count, count), scale) for _ in range(2)]
    drift, aside = ((g * alive).sum(axis=1) * PUFF_INTERVAL_S for g in gust)
    distance = np.asarray(speed * age, dtype=np.float64)
    x = source[0] + along[0] * (distance + drift) - along[1] * aside
    y = source[1] + along[1] * (distance + drift) + along[0] * aside
    puffing = 1.0 + PUFFING * correlated_series(rng, count, PUFFING_TIME_S / PUFF_INTERVAL_S)
    puffing = np.maximum(puffing, MIN_PUFF)
    mass = emission_kg_h / SECONDS_PER_HOUR * PUFF_INTERVAL_S * puffing / puffing.mean()
    return x, y, np.asarray(STACK_WIDTH_M + PUFF_GROWTH * distance, dtype=np.float64), mass


@cache
def _transmittance(unit: str, band: str) -> RegularGridInterpolator:
    table = read_reference(TRANSMITTANCE_FILE)
    return RegularGridInterpolator((table["amf"], table["omega_mol_m2"]), np.log(table[f"{unit}_{band}"]))


def transmittance(unit: str, band: str, column_mol_m2: ArrayLike, air_mass_factor: float) -> Floats:
    """Return the factor on the reflectance of a band (B11, B12) that a unit (S2A, S2B, S2C) sees through methane.

    Bilinear in the logarithm of the tabulated transmittance. Raises ValueError outside the table (0 to 10 mol/m2, air
    mass factor 2 to 5). S2A, B12, 1 mol/m2 at air mass factor 2: 0.9444.
    """
    column = np.asarray(column_mol_m2, dtype=float)
    points = np.stack([np.full(column.shape, float(air_mass_factor)), column], axis=-1)
    return np.exp(_transmittance(unit, band)(points)).reshape(column.shape)


def air_mass_factor(solar_zenith_deg: float, view_zenith_deg: float) -> float:
    """Return 1 / cos(solar zenith) + 1 / cos(view zenith) of a plane atmosphere."""
    return float(1.0 / np.cos(np.radians(solar_zenith_deg)) + 1.0 / np.cos(np.radians(view_zenith_deg)))
