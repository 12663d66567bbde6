"""The numbers of matching, and the weights of places, rates and widths that follow from them (equations: match.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from plumewatch.gases import CH4, CO2
from plumewatch.reference.loading import load_values

Floats = NDArray[np.float64]

FILE = "matching.yaml"
KM_PER_M_S_HOUR = 3.6  # a wind of 1 m/s carries air 3.6 km in an hour
DISTANCE_STEP_KM = 5.0  # of the integrals over what isn't listed
SIGMAS_OF_WIDTH = np.sqrt(12.0)  # of an evenly filled area: its width over its standard deviation


@dataclass(frozen=True)
class Positions:
    """Where the sources of the pairs lie, seen from their detections; one value a pair."""

    distance_km: Floats
    """The shortest."""
    along_km: Floats
    """Upwind positive, along the way that the air came where that is known; NaN without wind."""
    across_km: Floats
    speed_m_s: Floats
    """NaN without wind."""
    width_km: Floats
    """Extent of an area source: a cell, a city; 0 of others."""
    reach_km: Floats
    """How far the air came in the rule's hours; infinite without wind."""

    @cached_property
    def travelled_km(self) -> Floats:
        """How far a plume came: along the air's way and across it; the shortest distance without wind."""
        travelled = np.hypot(self.along_km, self.across_km)
        return np.where(np.isfinite(travelled), travelled, self.distance_km)


@dataclass(frozen=True)
class Reported:
    """What is known of detections or of their pairs beside the place; one value each, NaN where it isn't known."""

    rate: Floats
    rate_sigma: Floats
    """Of its logarithm."""
    sigma_km: Floats
    """Width of the peak along the track."""
    crossing: Floats
    """Sine of the angle between wind and track: a plume that is crossed aslant looks wider."""

    def take(self, at: NDArray[np.intp]) -> Reported:
        """Return those of some detections."""
        return Reported(self.rate[at], self.rate_sigma[at], self.sigma_km[at], self.crossing[at])


@dataclass(frozen=True)
class PeakRule:
    """Numbers for CO2 peaks; units and sources in `reference/matching.yaml`."""

    max_distance_km: float
    max_travel_hours: float
    min_travel_speed_m_s: float
    travel_error: float
    decay_km: float
    position_sigma_km: float
    plume_sigma_km: float
    plume_exponent: float
    direction_sigma_deg: float
    wind_component_sigma_m_s: float
    emission_power: float
    rated_emission_power: float
    rate_sigma: float
    source_sigma: float
    hour_sigma: float
    odd_rate_share: float
    odd_rate_sigma: float
    together_share: float
    seen_width_km: float
    narrower_sigma: float
    wider_sigma: float
    unlisted_density: float
    unlisted_rate: float
    unlisted_rate_sigma: float
    unlisted_share: float
    listed_density: float
    rate_factor: float
    passes_worth: float

    def reach_km(self, speed_m_s: Floats) -> Floats:
        """How far upwind a source may lie: what the air travels in the stated hours; without wind there is no end."""
        travel = np.maximum(speed_m_s, self.min_travel_speed_m_s) * self.max_travel_hours * KM_PER_M_S_HOUR
        return np.where(np.isfinite(speed_m_s), travel, np.inf)

    def in_reach(self, distance_km: Floats, reach_km: Floats) -> Floats:
        """How probable a source so far away lies in reach, as the speed of the wind is known to some percent only."""
        return np.asarray(ndtr((1.0 - distance_km / reach_km) / self.travel_error))

    def across_sigma_km(self, distance_km: Floats, speed_m_s: Floats, width_km: ArrayLike = 0.0) -> Floats:
        """Standard deviation, across the wind, of where the source of a plume lies at a distance."""
        turn = np.radians(self.direction_sigma_deg) ** 2 + (self.wind_component_sigma_m_s / speed_m_s) ** 2
        area = np.asarray(width_km, dtype=float) / SIGMAS_OF_WIDTH
        return np.sqrt(self.position_sigma_km**2 + self.plume_km(distance_km) ** 2 + distance_km**2 * turn + area**2)

    def plume_km(self, distance_km: Floats) -> Floats:
        """Standard deviation of a plume across the wind."""
        return np.asarray(self.plume_sigma_km * distance_km**self.plume_exponent)

    def densities(self, at: Positions) -> tuple[Floats, Floats]:
        """Position density of each pair (per km), and its share of the density on the plume's axis.

        The distance across the wind is the arc from the axis, so that a wind that is off by some degrees puts a source
        off by as many, near and far; within the error of the place itself every side is as good.
        """
        travelled = at.travelled_km
        sigma = self.across_sigma_km(travelled, at.speed_m_s, at.width_km)
        arc_km = travelled * np.abs(np.arctan2(at.across_km, at.along_km))
        decay = np.exp(-travelled / self.decay_km)
        closeness = np.exp(-0.5 * (arc_km / sigma) ** 2) * self.in_reach(travelled, at.reach_km)
        density = closeness * decay / (np.sqrt(2 * np.pi) * sigma)
        # Without wind every direction is as likely: the same plume, spread over the circle.
        ring_km = 2 * np.pi * np.hypot(travelled, self.position_sigma_km)
        has_wind = np.isfinite(at.speed_m_s)
        return np.where(has_wind, density, decay / ring_km), np.where(has_wind, closeness, decay)

    def width_likelihood(self, sigma_km: Floats, crossing: Floats, distance_km: Floats, width_km: Floats) -> Floats:
        """How well a peak's width agrees with a source so far away; 1 at best, and where no width is known."""
        expected = np.hypot(self.plume_km(distance_km), np.hypot(self.seen_width_km, width_km / SIGMAS_OF_WIDTH))
        off = np.log(sigma_km * crossing / expected)
        spread = np.where(off < 0, self.narrower_sigma, self.wider_sigma)
        return np.where(np.isfinite(off), np.exp(-0.5 * (off / spread) ** 2), 1.0)

    def rate_likelihood(self, rate: Floats, rate_sigma: Floats, expected: Floats, source_sigma: Floats) -> Floats:
        """Density of the logarithm of a detected rate, of a source of that expected rate; NaN where one is missing."""
        off = np.log(rate) - np.log(expected)
        sigma = np.sqrt(rate_sigma**2 + source_sigma**2 + self.hour_sigma**2)
        odd = self.odd_rate_share
        return (1.0 - odd) * _gauss(off, sigma) + odd * _gauss(off, self.odd_rate_sigma)

    def unlisted_weights(self, reach_km: Floats, of: Reported, listed_around: Floats) -> tuple[Floats, Floats]:
        """Weight of what no inventory lists, and of all there is on average over the land.

        The integral, over all places upwind, of what sources weigh: as many a km2 as stated, their rates log-normal;
        and, for each source that is listed around, so many like it as stated, anywhere around. Where much is listed,
        more isn't, and it emits about as much. `listed_around` is the sum of what the sources within the rule's
        distance weigh, wherever they lie.
        """
        distance = np.arange(DISTANCE_STEP_KM / 2, self.max_distance_km, DISTANCE_STEP_KM)[None]
        along = np.exp(-distance / self.decay_km) * self.in_reach(distance, reach_km[:, None])
        along = along * self.width_likelihood(of.sigma_km[:, None], of.crossing[:, None], distance, np.zeros(1))
        sigma = np.hypot(self.unlisted_rate_sigma, of.rate_sigma)
        rated = of.rate**self.rated_emission_power * _gauss(np.log(of.rate / self.unlisted_rate), sigma)
        rated = np.where(np.isfinite(rated), rated, self.unlisted_rate**self.emission_power)
        integral = along.sum(axis=1) * DISTANCE_STEP_KM
        around_km2 = np.pi * self.max_distance_km**2
        unlisted = self.unlisted_density * rated + self.unlisted_share * listed_around / around_km2
        usual = (self.unlisted_density + (1.0 + self.unlisted_share) * self.listed_density) * rated
        return unlisted * integral, usual * integral


@dataclass(frozen=True)
class KindOfSource:
    """What a kind of source is to a methane plume."""

    weight: float
    """How often such sources make plumes that are seen, over that of oil and gas sites of the same emission."""
    spread_km: float
    """How far from the stated place their vents lie."""


@dataclass(frozen=True)
class PlumeRule:
    """Numbers for CH4 plumes; units and sources in `reference/matching.yaml`."""

    max_distance_km: float
    position_sigma_km: float
    emission_power: float
    kinds: Mapping[str, KindOfSource]
    unlisted_density: float
    listed_density: float
    rate_factor: float
    passes_worth: float

    def of_kinds(self, kinds: NDArray[np.str_]) -> tuple[Floats, Floats]:
        """Return weight and spread (km) of sources by their kinds; 1 and 0 of others."""
        weight, spread = np.ones(len(kinds)), np.zeros(len(kinds))
        for kind, numbers in self.kinds.items():
            is_kind = kinds == kind
            weight[is_kind], spread[is_kind] = numbers.weight, numbers.spread_km
        return weight, spread

    def densities(self, at: Positions, spread_km: Floats) -> tuple[Floats, Floats]:
        """Position density of each pair (per km2), and its share of the density at the origin."""
        variance = self.position_sigma_km**2 + spread_km**2 + (at.width_km / SIGMAS_OF_WIDTH) ** 2
        closeness = np.exp(-0.5 * at.distance_km**2 / variance)
        return closeness / (2 * np.pi * variance), closeness

    def unlisted_weights(self, n: int) -> tuple[Floats, Floats]:
        """Weight of what no inventory lists, and of all there is on average over the land, of so many plumes.

        They are densities, as that of the position integrates to 1.
        """
        return np.full(n, self.unlisted_density), np.full(n, self.unlisted_density + self.listed_density)


@dataclass(frozen=True)
class _Status:
    confirmed_probability: float
    confirmed_lead: float


@dataclass(frozen=True)
class _Rows:
    min_probability: float
    min_shared_probability: float


@dataclass(frozen=True)
class _Areas:
    city_width_km: float
    cell_width_km: float


@dataclass(frozen=True)
class _MatchingValues:
    version: str
    co2: PeakRule
    ch4: PlumeRule
    areas: _Areas
    status: _Status
    rows: _Rows


@dataclass(frozen=True)
class MatchingRule:
    """All numbers of matching for one gas."""

    version: str
    """What manifests state as calibration."""
    position: PeakRule | PlumeRule
    """Weights by position and emission."""
    city_width_km: float
    """Extent of a city."""
    cell_width_km: float
    """Extent of a grid cell whose own isn't known."""
    confirmed_probability: float
    """From here on the first source is taken for the one."""
    confirmed_lead: float
    """If it is also so many times as probable as the second."""
    min_probability: float
    """Sources below have no row."""
    min_shared_probability: float
    """Sources from here on take part in the sharing of a plume."""


@lru_cache(maxsize=2)
def matching_rule(gas: str) -> MatchingRule:
    """Return the numbers for `co2` or `ch4` that ship with the library."""
    file = load_values(_MatchingValues, FILE)
    by_gas: dict[str, PeakRule | PlumeRule] = {CO2.name: file.co2, CH4.name: file.ch4}
    return MatchingRule(
        file.version,
        by_gas[gas],
        file.areas.city_width_km,
        file.areas.cell_width_km,
        file.status.confirmed_probability,
        file.status.confirmed_lead,
        file.rows.min_probability,
        file.rows.min_shared_probability,
    )


def _gauss(value: Floats, sigma: Floats | float) -> Floats:
    return np.asarray(np.exp(-0.5 * (value / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma))
