"""The emission behind a peak: the flux of CO2 through the vertical section that the orbit cuts through the plume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.constants import (
    KT_H_PER_KG_S,
    METRES_PER_KM,
    MOLAR_MASS_CO2_KG_MOL,
    MOLAR_MASS_DRY_AIR_KG_MOL,
    PA_PER_HPA,
    STANDARD_GRAVITY_M_S2,
)
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.statuses import NO_WIND, RATED, WIND_ALONG_TRACK, WIND_TOO_WEAK

Floats = NDArray[np.float64]

PPM_KM_TO_M = 1e-6 * METRES_PER_KM  # mole fraction times metres of track


@dataclass(frozen=True)
class Section:
    """The air that an orbit's section cuts, at the peak."""

    wind_u_m_s: float
    """At plume height, towards east, NaN where unknown."""
    wind_v_m_s: float
    """Towards north, NaN where unknown."""
    surface_pressure_hpa: float
    """NaN where unknown."""
    tcwv_kg_m2: float
    """Total column water vapour, NaN where unknown."""
    bearing_deg: float
    """Direction of flight, degrees clockwise from north."""
    wind_spread_m_s: float = 0.0
    """How far wind products disagree across the track (standard deviation); 0 where there is but one."""
    height_factor_error: float = 0.0
    """Relative error of the factor that carried the wind to plume height; 0 where products state the wind there."""

    @property
    def wind_speed_m_s(self) -> float:
        """Length of the wind vector."""
        return float(np.hypot(self.wind_u_m_s, self.wind_v_m_s))

    @property
    def wind_across_track_m_s(self) -> float:
        """Size of the wind's component across the track; not negative."""
        return float(compute_wind_across_track(self.wind_u_m_s, self.wind_v_m_s, self.bearing_deg))


@dataclass(frozen=True)
class PeakEmission:
    """What a source upwind emits, with its 68 % interval; None unless the status is ok."""

    status: str
    """ok; no_wind (no wind, or no pressure and water vapour that leave dry air); wind_too_weak; wind_along_track."""
    emission_kt_h: float | None = None
    """CO2."""
    emission_kt_h_low: float | None = None
    """Lower end, not negative."""
    emission_kt_h_high: float | None = None
    """Upper end."""


def compute_wind_to_the_right(wind_u_m_s: ArrayLike, wind_v_m_s: ArrayLike, bearing_deg: ArrayLike) -> Floats:
    """Return the wind's component to the right of a track that runs at `bearing_deg` clockwise from north, in m/s.

    Both are vectors in metres: a bearing, not a difference of degrees, which would be off by cos(latitude).

    >>> float(compute_wind_to_the_right(-3.0, 4.0, 0.0))
    -3.0
    """
    angle = np.radians(np.asarray(bearing_deg, dtype=float))
    return np.asarray(np.asarray(wind_u_m_s) * np.cos(angle) - np.asarray(wind_v_m_s) * np.sin(angle))


def compute_wind_across_track(wind_u_m_s: ArrayLike, wind_v_m_s: ArrayLike, bearing_deg: ArrayLike) -> Floats:
    """Return the size of the wind's component across a track that runs at `bearing_deg` clockwise from north, in m/s.

    >>> float(compute_wind_across_track(-3.0, 4.0, 0.0))
    3.0
    """
    return np.abs(compute_wind_to_the_right(wind_u_m_s, wind_v_m_s, bearing_deg))


def compute_dry_air_kg_m2(surface_pressure_hpa: ArrayLike, tcwv_kg_m2: ArrayLike) -> Floats:
    """Return the mass of dry air in a column in kg/m2: p / g - TCWV.

    >>> round(float(compute_dry_air_kg_m2(1000.0, 20.0)), 1)
    10177.2
    """
    air_kg_m2 = np.asarray(surface_pressure_hpa, dtype=float) * PA_PER_HPA / STANDARD_GRAVITY_M_S2
    return np.asarray(air_kg_m2 - np.asarray(tcwv_kg_m2, dtype=float))


def compute_cross_sectional_flux_kt_h(
    amplitude_ppm_km: ArrayLike,
    surface_pressure_hpa: ArrayLike,
    tcwv_kg_m2: ArrayLike,
    wind_across_track_m_s: ArrayLike,
) -> Floats:
    """Return the flux of CO2 in kt/h through a section; the arguments broadcast.

    F = A 1e-3 (M_CO2 / M_air) (p / g - TCWV) U: amplitude (as mole fraction times m) x mass of dry air a m2 x ratio of
    molar masses x wind. Zheng et al. 2020, doi:10.5194/acp-20-8501-2020.

    >>> round(float(compute_cross_sectional_flux_kt_h(137.96, 848.3, 6.14, 2.035)), 2)
    13.27
    """
    dry_air_kg_m2 = compute_dry_air_kg_m2(surface_pressure_hpa, tcwv_kg_m2)
    mass_ratio = MOLAR_MASS_CO2_KG_MOL / MOLAR_MASS_DRY_AIR_KG_MOL
    kg_s = np.asarray(amplitude_ppm_km) * PPM_KM_TO_M * mass_ratio * dry_air_kg_m2 * np.asarray(wind_across_track_m_s)
    return np.asarray(kg_s * KT_H_PER_KG_S, dtype=float)


def estimate_peak_emission(amplitude_ppm_km: float, low: float, high: float, section: Section) -> PeakEmission:
    """Return the emission of a peak of an amplitude and its 68 % interval (ppm km), or why there is none.

    The interval adds in quadrature what the amplitude's interval and the errors of wind, plume height and pressure
    make of the flux. The wind's error is 1 m/s or a fifth of the wind, where that is more, and no less than the spread
    of the products. The error of water vapour is below 0.1 % of the flux and left out.
    """
    settings = peak_thresholds().flux
    speed, across = section.wind_speed_m_s, section.wind_across_track_m_s
    dry_air = float(compute_dry_air_kg_m2(section.surface_pressure_hpa, section.tcwv_kg_m2))
    if not np.isfinite([across, dry_air]).all() or min(dry_air, section.surface_pressure_hpa) <= 0:
        return PeakEmission(NO_WIND)
    if speed < settings.min_wind_m_s:
        return PeakEmission(WIND_TOO_WEAK)
    if across < speed * np.sin(np.radians(settings.min_angle_deg)):
        return PeakEmission(WIND_ALONG_TRACK)

    air = section.surface_pressure_hpa, section.tcwv_kg_m2, across
    emission, at_low, at_high = compute_cross_sectional_flux_kt_h([amplitude_ppm_km, low, high], *air).tolist()
    by_air = emission * relative_error_of_air(section)
    down, up = (float(np.hypot(reach, by_air)) for reach in (emission - at_low, at_high - emission))
    return PeakEmission(RATED, emission, max(0.0, emission - down), emission + up)


def relative_error_of_air(section: Section) -> float:
    """Return the relative 68 % error that wind, plume height and pressure give a flux through the section.

    A wind of 4 m/s across the track, known at its height, and 1000 hPa: hypot(1 / 4, 4 / 1000) = 0.25.
    """
    wind_error = max(usual_wind_error_m_s(section.wind_speed_m_s), section.wind_spread_m_s)
    pressure_error = peak_thresholds().flux.pressure_error_hpa / section.surface_pressure_hpa
    of_wind = wind_error / section.wind_across_track_m_s
    return float(np.linalg.norm([of_wind, section.height_factor_error, pressure_error]))


def usual_wind_error_m_s(wind_speed_m_s: float) -> float:
    """Return the 68 % error of a wind speed of which nothing else is known: 1 m/s, a fifth where that is more."""
    flux = peak_thresholds().flux
    return max(float(flux.wind_error_m_s), flux.wind_error_fraction * wind_speed_m_s)
