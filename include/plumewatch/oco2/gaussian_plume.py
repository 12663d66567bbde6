"""The Gaussian plume of CO2 seen from above: what sources of known place and strength add to the soundings downwind.

    V(x, y) = F / (sqrt(2 pi) sigma_y(x) u) exp(-y^2 / (2 sigma_y^2)),   sigma_y = a (x / x0)^0.894,   x0 = 1 km

with V the mass above a unit of ground, x downwind and y across the wind: whatever the distance, the integral of V u
across the wind is the emission F. Nassar et al. 2017, doi:10.1002/2017GL074702.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from plumewatch.constants import (
    KT_H_PER_KG_S,
    METRES_PER_KM,
    MOLAR_MASS_CO2_KG_MOL,
    MOLAR_MASS_DRY_AIR_KG_MOL,
)
from plumewatch.geodesy import local_offset_km
from plumewatch.oco2.flux import compute_dry_air_kg_m2
from plumewatch.reference.loading import load_values

Floats = NDArray[np.float64]

FILE = "oco2_gaussian_plume.yaml"
PPM_PER_FRACTION = 1e6
SQRT_2_PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True)
class PlumeSource:
    """An emitter of known place."""

    longitude: float
    """Degrees."""
    latitude: float
    """Degrees."""
    emission_kt_h: float = 0.0
    """CO2; what an inventory states. The inversion doesn't look at that of the source it is for."""
    width_km: float = 0.0
    """Extent across the wind; 0 is a stack."""


@dataclass(frozen=True)
class SpreadLaw:
    """How the plume widens."""

    reference_m: float
    exponent: float
    width_sigmas: float


@dataclass(frozen=True)
class PlumeSearch:
    """What is tried, and what a plume must have to be found."""

    rotation_deg: float
    rotation_step_deg: float
    n_stabilities: int
    max_downwind_km: float
    min_soundings: int
    min_plume_soundings: int
    min_leverage: float
    footprint_along_km: float
    footprint_across_km: float


@dataclass(frozen=True)
class BackgroundRule:
    """The background under the plume."""

    half_window_km: float
    degree: int
    alternatives: tuple[tuple[float, int], ...]
    """Half window (km) and degree of the other fits whose spread enters the interval."""
    noise_block_km: float


@dataclass(frozen=True)
class ErrorShares:
    """Errors that the soundings don't tell."""

    other_sources_fraction: float


@dataclass(frozen=True)
class PlumeConstants:
    """The values of `reference/oco2_gaussian_plume.yaml`; units and sources are there."""

    version: str
    spread: SpreadLaw
    stability: Mapping[str, float]
    """Spread a in m at 1 km by Pasquill-Gifford class."""
    search: PlumeSearch
    background: BackgroundRule
    errors: ErrorShares


@lru_cache(maxsize=1)
def plume_constants() -> PlumeConstants:
    """Return the values that ship with the library."""
    return load_values(PlumeConstants, FILE)


def stability_m(stability: str | float) -> float:
    """Return the spread a in m at 1 km of a Pasquill-Gifford class A to F; a number is returned as it is.

    >>> stability_m("C")
    104.0
    """
    if not isinstance(stability, str):
        if not 0 < stability < math.inf:
            raise ValueError(f"stability {stability}; allowed: a positive spread in m at 1 km, or a class A to F")
        return float(stability)
    classes = plume_constants().stability
    if stability not in classes:
        raise ValueError(f"stability {stability!r}; allowed: {', '.join(classes)}, or a spread in m at 1 km")
    return float(classes[stability])


def compute_spread_km(downwind_km: ArrayLike, stability: ArrayLike, width_km: ArrayLike = 0.0) -> Floats:
    """Return sigma_y in km at distances downwind; `stability` is a in m, all arguments broadcast.

    An area source of width w begins as a plume that has w = 4 sigma_y already: x becomes x + x0 (w / (4 a))^(1/0.894).

    >>> round(float(compute_spread_km(50.0, 104.0)), 3)
    3.435
    """
    spread = plume_constants().spread
    exponent, reference_km = spread.exponent, spread.reference_m / METRES_PER_KM
    a_km = np.asarray(stability, dtype=float) / METRES_PER_KM
    ratio = np.maximum(np.asarray(downwind_km, dtype=float), 0.0) / reference_km
    ratio = ratio + (np.asarray(width_km, dtype=float) / (spread.width_sigmas * a_km)) ** (1.0 / exponent)
    return np.asarray(a_km * ratio**exponent, dtype=float)


def compute_plume_kg_m2(
    downwind_km: ArrayLike,
    crosswind_km: ArrayLike,
    emission_kt_h: ArrayLike,
    wind_speed_m_s: ArrayLike,
    stability: ArrayLike,
    width_km: ArrayLike = 0.0,
    footprint_km: ArrayLike = 0.0,
) -> Floats:
    """Return V, the source's CO2 above a unit of ground; 0 upwind of the source. `stability` is a in m; all broadcast.

    With `footprint_km` it is the mean over so much across the wind: near its source a plume is narrower than what a
    sounding sees. 0, or positive everywhere.

    1 kt/h in a wind of 5 m/s, on the axis 50 km downwind in class C: 277.8 kg/s / (sqrt(2 pi) 3435 m 5 m/s).

    >>> round(float(compute_plume_kg_m2(50.0, 0.0, 1.0, 5.0, 104.0)), 6)
    0.006452
    """
    x = np.asarray(downwind_km, dtype=float)
    is_downwind = x > 0
    sigma_km = compute_spread_km(np.where(is_downwind, x, 1.0), stability, width_km)
    shape = _share_across(np.asarray(crosswind_km, dtype=float), sigma_km, np.asarray(footprint_km)) / METRES_PER_KM
    kg_s = np.asarray(emission_kt_h, dtype=float) / KT_H_PER_KG_S
    return np.where(is_downwind, kg_s / np.asarray(wind_speed_m_s, dtype=float) * shape, 0.0)


def _share_across(crosswind_km: Floats, sigma_km: Floats, footprint_km: Floats) -> Floats:
    """The share of a plume in a km across it: the density of a normal law, or its mean over a footprint."""
    if not np.any(footprint_km):
        return np.exp(-0.5 * (crosswind_km / sigma_km) ** 2) / (SQRT_2_PI * sigma_km)
    half = footprint_km / 2.0
    return (ndtr((crosswind_km + half) / sigma_km) - ndtr((crosswind_km - half) / sigma_km)) / footprint_km


def column_to_ppm(surface_pressure_hpa: ArrayLike, tcwv_kg_m2: ArrayLike) -> Floats:
    """Return how many ppm of XCO2 one kg of CO2 a m2 is: 1e6 (M_air / M_CO2) / (p / g - TCWV); both broadcast.

    >>> round(float(column_to_ppm(980.0, 20.0)), 2)
    65.99
    """
    mass_ratio = MOLAR_MASS_DRY_AIR_KG_MOL / MOLAR_MASS_CO2_KG_MOL
    return PPM_PER_FRACTION * mass_ratio / compute_dry_air_kg_m2(surface_pressure_hpa, tcwv_kg_m2)


def along_and_across_wind_km(
    source: PlumeSource, longitude: ArrayLike, latitude: ArrayLike, wind_towards_deg: ArrayLike
) -> tuple[Floats, Floats]:
    """Return how far places lie downwind of a source and to the right of the wind (km), shape (..., places).

    `wind_towards_deg` is where the wind goes, clockwise from north; its shape (...) leads.
    """
    east, north = local_offset_km(source.longitude, source.latitude, longitude, latitude)
    angle = np.radians(np.asarray(wind_towards_deg, dtype=float))[..., None]
    return east * np.sin(angle) + north * np.cos(angle), east * np.cos(angle) - north * np.sin(angle)


def wind_direction_deg(wind_u_m_s: float, wind_v_m_s: float) -> float:
    """Return where a wind goes, degrees clockwise from north in [0, 360)."""
    return math.degrees(math.atan2(wind_u_m_s, wind_v_m_s)) % 360.0


def compute_plume_ppm(
    longitude: ArrayLike,
    latitude: ArrayLike,
    sources: PlumeSource | Sequence[PlumeSource],
    wind_u_m_s: float,
    wind_v_m_s: float,
    surface_pressure_hpa: ArrayLike,
    tcwv_kg_m2: ArrayLike,
    stability: str | float,
    footprint_km: float = 0.0,
) -> Floats:
    """Return what sources add to XCO2 (ppm) at places, shape (places,): the sum of their plumes.

    Pressure and total column water vapour are one value or one a place; `stability` is a class A to F or a in m. The
    wind must blow: a ValueError says so where it doesn't. `footprint_km` as in `compute_plume_kg_m2`.
    """
    speed = math.hypot(wind_u_m_s, wind_v_m_s)
    if not 0 < speed < math.inf:
        raise ValueError(f"wind ({wind_u_m_s}, {wind_v_m_s}) m/s; allowed: a finite wind that isn't calm")
    towards, a = wind_direction_deg(wind_u_m_s, wind_v_m_s), stability_m(stability)
    total = np.zeros(np.broadcast(np.asarray(longitude), np.asarray(latitude)).shape)
    for source in [sources] if isinstance(sources, PlumeSource) else sources:
        x, y = along_and_across_wind_km(source, longitude, latitude, towards)
        total = total + compute_plume_kg_m2(x, y, source.emission_kt_h, speed, a, source.width_km, footprint_km)
    return total * column_to_ppm(surface_pressure_hpa, tcwv_kg_m2)
