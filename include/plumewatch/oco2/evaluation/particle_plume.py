"""Plumes of particles, unlike any curve that a finder may fit: they meander, are lumpy, and lean where the wind turns.

Particles leave a stack all the time. In kilometres that the mean wind has carried them, s, each is displaced by

* the meander, which all of them feel at one time: direction and speed are Ornstein-Uhlenbeck processes of time;
* eddies across the wind, which those feel that left one after the other: Ornstein-Uhlenbeck in the time of release
  and in s;
* turbulence of their own: Ornstein-Uhlenbeck velocities, hence (Taylor 1922) a spread that grows with s, later with
  its root, sigma^2 = 2 i^2 L^2 (s / L - 1 + exp(-s / L)), where i is the intensity and L the length of mixing;
* the wind's turning with height, through which they wander up and down: it pulls the plume aside and apart.

A particle is a puff that is a third as wide as what its own turbulence has come to.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.signal import lfilter

from plumewatch.constants import (
    KT_H_PER_KG_S,
    METRES_PER_KM,
    MOLAR_MASS_CO2_KG_MOL,
    MOLAR_MASS_DRY_AIR_KG_MOL,
    PA_PER_HPA,
    STANDARD_GRAVITY_M_S2,
)

Floats = NDArray[np.float64]

SURFACE_PRESSURE_HPA, TCWV_KG_M2 = 1000.0, 20.0  # of all judged tracks
PPM = 1e-6

CELL_KM = 0.5
DOWNWIND_KM, CROSSWIND_KM = (-5.0, 180.0), (-60.0, 60.0)  # what the grid spans
RELEASED_KM = 205.0  # the oldest particles: beyond the grid, whatever the meander does to the speed
RELEASE_KM, PER_RELEASE = 0.25, 70
EDDY_STEP_KM = 1.0
SOURCE_KM = 0.3  # spread of a plant's stacks and of the plume's rise
PUFF_SHARE, MIN_PUFF_KM = 0.35, 0.25
PUFF_EDGES_KM = (0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, RELEASED_KM)
HEIGHT_STEPS = 40
SLOWEST = 0.3  # of the mean wind, where the meander would stop it
MIN_PROFILE_PPM = 1e-9  # less is no plume to have a middle

# Ranges of what is drawn. Together they give the widths of a mesoscale model: within 20 km of a plant 4 to 7 km at half
# height, sigma up to 10 km at 80 km, 0.7 km at 2 to 5 km.
WIND_M_S = (2.0, 10.0)
INTENSITY = (0.12, 0.22)  # of turbulence and eddies together, over the mean wind
EDDY_SHARE = (0.2, 0.6)  # of the variance
MIXING_KM = (15.0, 30.0)
EDDY_KM = (2.0, 6.0)
MEANDER = (0.03, 0.25)  # standard deviation of the direction, rad; of the speed half as much
MEANDER_MINUTES = (10.0, 40.0)
TURNING_DEG = (0.0, 30.0)  # of the wind from the ground to the top of the mixed layer, either way
OVERTURNING_KM = (5.0, 40.0)
RELEASED_AT = (0.1, 0.4)  # of the mixed layer's height


@dataclass(frozen=True)
class Weather:
    """What a plume is carried and spread by."""

    wind_m_s: float
    """Mean speed."""
    intensity: float = 0.16
    """Of turbulence and eddies together, over the mean wind."""
    eddy_share: float = 0.4
    """Of the eddies, in its variance."""
    mixing_km: float = 20.0
    """L: how far a velocity lasts."""
    eddy_km: float = 4.0
    """Size of the eddies."""
    meander: float = 0.1
    """Standard deviation of the wind's direction, rad."""
    meander_minutes: float = 20.0
    """How long a direction lasts."""
    turning_deg: float = 0.0
    """How far the wind turns through the mixed layer."""
    overturning_km: float = 15.0
    """How far a particle is carried while it wanders through the mixed layer."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Weather:
        """Return the weather of some day."""
        low, high = np.log(OVERTURNING_KM)
        return cls(
            rng.uniform(*WIND_M_S),
            rng.uniform(*INTENSITY),
            rng.uniform(*EDDY_SHARE),
            rng.uniform(*MIXING_KM),
            rng.uniform(*EDDY_KM),
            rng.uniform(*MEANDER),
            rng.uniform(*MEANDER_MINUTES),
            rng.choice((-1.0, 1.0)) * rng.uniform(*TURNING_DEG),
            float(np.exp(rng.uniform(low, high))),
        )

    def spread_km(self, distance_km: Floats, share: float = 1.0) -> Floats:
        """Return the spread of particles that so large a share of the turbulence has displaced (Taylor 1922)."""
        x = np.asarray(distance_km) / self.mixing_km
        grown = 2.0 * np.maximum(x - 1.0 + np.exp(-x), 0.0)
        return np.asarray(np.sqrt(share * grown) * self.intensity * self.mixing_km)


@dataclass(frozen=True)
class PlumeField:
    """The column of a plume at one moment, downwind (x) and to the left of the wind (y) of its plant."""

    weather: Weather
    """What made it."""
    enhancement_ppm: Floats
    """For an emission of 1 kt/h, shape (downwind cells, crosswind cells)."""

    def at(self, downwind_km: Floats, crosswind_km: Floats) -> Floats:
        """Return the enhancement (ppm for 1 kt/h) at places of any shape, 0 beyond the grid."""
        cells = [
            (np.asarray(downwind_km) - DOWNWIND_KM[0]) / CELL_KM - 0.5,
            (np.asarray(crosswind_km) - CROSSWIND_KM[0]) / CELL_KM - 0.5,
        ]
        return np.asarray(map_coordinates(self.enhancement_ppm, cells, order=1, mode="constant"))

    def across(self, downwind_km: float) -> tuple[Floats, Floats]:
        """Return the places (km) and enhancements (ppm for 1 kt/h) of a section across the mean wind."""
        y = np.asarray(CROSSWIND_KM[0] + (np.arange(self.enhancement_ppm.shape[1]) + 0.5) * CELL_KM, dtype=float)
        return y, self.at(np.full_like(y, downwind_km), y)

    def middle_km(self, downwind_km: float) -> float:
        """Return where the middle of the plume is at a distance: the centroid of the section, in km to the left."""
        y, enhancement = self.across(downwind_km)
        return float(y @ enhancement / max(enhancement.sum(), MIN_PROFILE_PPM))


def line_integral_ppm_km(emission_kt_h: float, wind_m_s: float) -> float:
    """Return the integral across a straight plume: the emission over the wind and the mass of the air.

    >>> round(line_integral_ppm_km(1.0, 4.0), 2)  # 278 kg/s in 4 m/s of 10,177 kg/m2
    4.49
    """
    air_kg_m2 = SURFACE_PRESSURE_HPA * PA_PER_HPA / STANDARD_GRAVITY_M_S2 - TCWV_KG_M2
    kg_m2_per_ppm = air_kg_m2 * PPM * MOLAR_MASS_CO2_KG_MOL / MOLAR_MASS_DRY_AIR_KG_MOL
    return emission_kt_h / KT_H_PER_KG_S / wind_m_s / kg_m2_per_ppm / METRES_PER_KM


def simulate_plume(rng: np.random.Generator, weather: Weather) -> PlumeField:
    """Return the column of a plume of 1 kt/h as its particles lie at one moment."""
    n_releases = round(RELEASED_KM / RELEASE_KM)
    release = np.repeat(np.arange(n_releases), PER_RELEASE)
    carried_km = (release + rng.random(len(release))) * RELEASE_KM  # s, ascending but within a release
    meander = _meander(rng, weather, n_releases)
    steps = np.arange(n_releases + 1) * RELEASE_KM
    along, across = (np.interp(carried_km, steps, displaced) for displaced in meander)
    across = across + _eddies(rng, weather, release, carried_km) + _turned(rng, weather, carried_km)
    return PlumeField(weather, _puffs(rng, weather, carried_km, (along, across)))


def _lasting(rng: np.random.Generator, shape: tuple[int, ...], step: float, length: float, axis: int = -1) -> Floats:
    """An Ornstein-Uhlenbeck process of variance 1 in steps along an axis."""
    return _made_lasting(rng.standard_normal(shape), step, length, axis)


def _made_lasting(white: Floats, step: float, length: float, axis: int) -> Floats:
    a = np.exp(-step / length)
    new = np.moveaxis(white, axis, 0).copy()
    new[0] /= np.sqrt(1.0 - a**2)  # so that the first value has the variance of all
    return np.asarray(np.moveaxis(lfilter([np.sqrt(1.0 - a**2)], [1.0, -a], new, axis=0), 0, axis))


def _meander(rng: np.random.Generator, weather: Weather, n: int) -> tuple[Floats, Floats]:
    """Displacements along and across the mean wind of what has been carried for 0, 1, ... n steps, in km."""
    length_km = weather.wind_m_s * weather.meander_minutes * 60.0 / METRES_PER_KM
    speed, direction = _lasting(rng, (2, n), RELEASE_KM, length_km) * weather.meander * [[0.5], [1.0]]
    factor = np.maximum(1.0 + speed, SLOWEST)
    cumulated = np.cumsum([factor * np.cos(direction), factor * np.sin(direction)], axis=1) * RELEASE_KM
    return np.r_[0.0, cumulated[0]], np.r_[0.0, cumulated[1]]


def _eddies(rng: np.random.Generator, weather: Weather, release: NDArray[np.intp], carried_km: Floats) -> Floats:
    """Displacement of every particle across the wind by the eddies of its release, in km."""
    n_steps = int(np.ceil(RELEASED_KM / EDDY_STEP_KM))
    velocity = _lasting(rng, (release[-1] + 1, n_steps), RELEASE_KM, weather.eddy_km, axis=0)
    velocity = _made_lasting(velocity, EDDY_STEP_KM, weather.mixing_km, axis=1)
    displaced = np.cumsum(velocity, axis=1) * EDDY_STEP_KM * weather.intensity * np.sqrt(weather.eddy_share)
    displaced = np.pad(displaced, ((0, 0), (1, 0)))
    step = np.minimum((carried_km / EDDY_STEP_KM).astype(np.intp), n_steps - 1)
    part = carried_km / EDDY_STEP_KM - step
    return np.asarray(displaced[release, step] * (1.0 - part) + displaced[release, step + 1] * part)


def _turned(rng: np.random.Generator, weather: Weather, carried_km: Floats) -> Floats:
    """Displacement of every particle by the turning of the wind with height, in km."""
    displaced = np.zeros(len(carried_km))
    height = rng.uniform(*RELEASED_AT, len(carried_km))
    edges = np.concatenate([[0.0], np.geomspace(RELEASE_KM, RELEASED_KM, HEIGHT_STEPS)])
    for start, step in zip(edges, np.diff(edges), strict=False):
        flying = slice(int(np.searchsorted(carried_km, start)), None)  # to within one release
        moved = height[flying] + rng.standard_normal(len(height[flying])) * np.sqrt(step / weather.overturning_km)
        height[flying] = np.abs((moved + 1.0) % 2.0 - 1.0)  # reflected at the ground and at the top
        displaced[flying] += (height[flying] - 0.5) * np.clip(carried_km[flying] - start, 0.0, step)
    return displaced * np.tan(np.radians(weather.turning_deg))


def _puffs(rng: np.random.Generator, weather: Weather, carried_km: Floats, middle_km: tuple[Floats, Floats]) -> Floats:
    """Column (ppm) on the grid of particles around their middles, spread by their own turbulence."""
    shape = tuple(round((high - low) / CELL_KM) for low, high in (DOWNWIND_KM, CROSSWIND_KM))
    total = np.zeros(shape)
    own_km = np.hypot(weather.spread_km(carried_km, 1.0 - weather.eddy_share), SOURCE_KM)
    for low, high in pairwise(PUFF_EDGES_KM):
        at = slice(*np.searchsorted(carried_km, [low, high]))
        puff_km = max(PUFF_SHARE * float(own_km[at][0]), MIN_PUFF_KM)
        spread = np.sqrt(np.maximum(own_km[at] ** 2 - puff_km**2, 0.0))
        x, y = (part[at] + spread * rng.standard_normal(len(spread)) for part in middle_km)
        cell = [np.floor((p - low_km) / CELL_KM) for p, (low_km, _) in ((x, DOWNWIND_KM), (y, CROSSWIND_KM))]
        inside = np.all([(c >= 0) & (c < n) for c, n in zip(cell, shape, strict=True)], axis=0)
        index = (cell[0][inside] * shape[1] + cell[1][inside]).astype(np.intp)
        count = np.bincount(index, minlength=total.size).reshape(shape).astype(float)
        total += gaussian_filter(count, puff_km / CELL_KM, mode="constant")
    particles_per_km = PER_RELEASE / RELEASE_KM
    return np.asarray(total / particles_per_km / CELL_KM**2 * line_integral_ppm_km(1.0, weather.wind_m_s))
