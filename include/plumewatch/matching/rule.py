"""The numbers of matching, and the weights of places that follow from them (the equation is in match.py)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from plumewatch.gases import CH4, CO2
from plumewatch.reference.loading import load_values

Floats = NDArray[np.float64]

FILE = "matching.yaml"
KM_PER_M_S_HOUR = 3.6  # a wind of 1 m/s carries air 3.6 km in an hour


@dataclass(frozen=True)
class Positions:
    """Where the sources of the pairs lie, seen from their detections; one value a pair."""

    distance_km: Floats
    along_km: Floats
    """Upwind positive; NaN without wind."""
    across_km: Floats
    speed_m_s: Floats
    """NaN without wind."""


@dataclass(frozen=True)
class PeakRule:
    """Numbers for CO2 peaks; units and sources in `reference/matching.yaml`."""

    max_distance_km: float
    max_travel_hours: float
    min_travel_speed_m_s: float
    decay_km: float
    position_sigma_km: float
    plume_sigma_km: float
    plume_exponent: float
    direction_sigma_deg: float
    wind_component_sigma_m_s: float
    emission_power: float
    unlisted_density: float
    listed_density: float
    rate_factor: float

    def reach_km(self, speed_m_s: Floats) -> Floats:
        """How far upwind a source may lie: what the air travels in the stated hours; all round without wind."""
        travel = np.maximum(speed_m_s, self.min_travel_speed_m_s) * self.max_travel_hours * KM_PER_M_S_HOUR
        return np.where(np.isfinite(speed_m_s), np.minimum(travel, self.max_distance_km), self.max_distance_km)

    def across_sigma_km(self, along_km: Floats, speed_m_s: Floats) -> Floats:
        """Standard deviation of the across-wind distance of a source at an along-wind distance."""
        along = np.maximum(along_km, 0.0)
        turn = np.tan(np.radians(self.direction_sigma_deg)) ** 2 + (self.wind_component_sigma_m_s / speed_m_s) ** 2
        plume = self.plume_sigma_km * along**self.plume_exponent
        return np.sqrt(self.position_sigma_km**2 + plume**2 + along**2 * turn)

    def densities(self, at: Positions) -> tuple[Floats, Floats]:
        """Position density of each pair (per km), and its share of the density on the plume's axis."""
        sigma = self.across_sigma_km(at.along_km, at.speed_m_s)
        upwind = ndtr(at.along_km / self.position_sigma_km) * (at.along_km <= self.reach_km(at.speed_m_s))
        closeness = upwind * np.exp(-0.5 * (at.across_km / sigma) ** 2)
        density = closeness / (np.sqrt(2 * np.pi) * sigma) * np.exp(-np.maximum(at.along_km, 0.0) / self.decay_km)
        # Without wind every direction is as likely: the same plume, spread over the circle.
        ring_km = 2 * np.pi * np.hypot(at.distance_km, self.position_sigma_km)
        decay = np.exp(-at.distance_km / self.decay_km)
        has_wind = np.isfinite(at.speed_m_s)
        return np.where(has_wind, density, decay / ring_km), np.where(has_wind, closeness, decay)

    def unlisted_weights(self, speed_m_s: Floats) -> Floats:
        """Weight of what no inventory lists: its density x the integral of the position's density upwind."""
        return self.unlisted_density * self.decay_km * -np.expm1(-self.reach_km(speed_m_s) / self.decay_km)


@dataclass(frozen=True)
class PlumeRule:
    """Numbers for CH4 plumes; units and sources in `reference/matching.yaml`."""

    max_distance_km: float
    position_sigma_km: float
    emission_power: float
    unlisted_density: float
    listed_density: float
    rate_factor: float

    def densities(self, at: Positions) -> tuple[Floats, Floats]:
        """Position density of each pair (per km2), and its share of the density at the origin."""
        closeness = np.exp(-0.5 * (at.distance_km / self.position_sigma_km) ** 2)
        return closeness / (2 * np.pi * self.position_sigma_km**2), closeness

    def unlisted_weights(self, speed_m_s: Floats) -> Floats:
        """Weight of what no inventory lists: its density, as the position's density integrates to 1."""
        return np.full(speed_m_s.shape, self.unlisted_density)


@dataclass(frozen=True)
class _Status:
    confirmed_probability: float
    confirmed_lead: float


@dataclass(frozen=True)
class _Rows:
    min_probability: float


@dataclass(frozen=True)
class _MatchingValues:
    version: str
    co2: PeakRule
    ch4: PlumeRule
    status: _Status
    rows: _Rows


@dataclass(frozen=True)
class MatchingRule:
    """All numbers of matching for one gas."""

    version: str
    """What manifests state as calibration."""
    position: PeakRule | PlumeRule
    """Weights by position and emission."""
    confirmed_probability: float
    """From here on the first source is taken for the one."""
    confirmed_lead: float
    """If it is also so many times as probable as the second."""
    min_probability: float
    """Sources below have no row."""


@lru_cache(maxsize=2)
def matching_rule(gas: str) -> MatchingRule:
    """Return the numbers for `co2` or `ch4` that ship with the library."""
    file = load_values(_MatchingValues, FILE)
    by_gas: dict[str, PeakRule | PlumeRule] = {CO2.name: file.co2, CH4.name: file.ch4}
    status = file.status
    return MatchingRule(
        file.version, by_gas[gas], status.confirmed_probability, status.confirmed_lead, file.rows.min_probability
    )
