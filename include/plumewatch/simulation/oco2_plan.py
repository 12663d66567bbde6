"""Which orbits OCO-2 flies in the simulated month, past which real power plants, and which peaks it meets there."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

import numpy as np

from plumewatch.constants import (
    HOURS_PER_YEAR,
    KT_H_PER_KG_S,
    METRES_PER_KM,
    MOLAR_MASS_CO2_KG_MOL,
    MOLAR_MASS_DRY_AIR_KG_MOL,
    PA_PER_HPA,
    STANDARD_GRAVITY_M_S2,
)
from plumewatch.geodesy import destination, wrap_longitude
from plumewatch.simulation.oco2_orbits import heading_at, longitude_at_midnight, node_longitude, passing_time
from plumewatch.simulation.random_streams import random_stream
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M
from plumewatch.wind.profile import height_factor

PLANTS_FILE = "power_plants.csv"
TEXTS = ("place", "role", "name", "country", "iso3", "fuel", "gppd_id")  # its columns; the others are numbers
MONTH = "2025-08"
# Date, peaks of 2.5 ppm and more, far smaller peaks, arcs over empty land. The last two share an orbit over midnight.
GRANULES = (
    ("2025-08-05", 1, 1, 1),
    ("2025-08-12", 1, 1, 1),
    ("2025-08-17", 1, 1, 1),
    ("2025-08-23", 1, 0, 1),
    ("2025-08-24", 1, 0, 1),
)
MIDNIGHT_DATE, MIDNIGHT_LATITUDE = "2025-08-24", 6.0  # over the Pacific: nothing to be found there
HTML_DATE = "2025-08-29"  # its file is the login page that a server sends in place of data
EMPTY_LAND = ((5.0, 23.0), (134.0, -25.0), (45.0, 20.0), (-67.0, -34.0), (66.0, 46.0), (-104.0, 30.0), (95.0, 43.0))
HALF_ARC_KM, HALF_MIDNIGHT_ARC_KM = 950.0, 1500.0
APART_DEG = 26.0  # of longitude between the equator crossings of a day's arcs: more than one orbit (24.7 degrees)
DOWNWIND_KM, TILT_DEG = (12.0, 26.0), 25.0  # from the plants to the track; the wind's direction from the track's normal
PLUME_HEIGHT_M = 250.0  # of the wind that carries the smoke
# height (ppm), sigma (km), wind at plume height across the track (m/s), planted over listed emission
STRONG_RANGES = ((2.6, 3.4), (4.0, 8.0), (2.55, 4.0), (0.85, 1.22))
WEAK_RANGES = ((0.3, 0.4), (4.2, 8.0), (2.6, 5.0), (0.8, 1.25))
DRAWS = 20000
PPM = 1e-6
WATER_VAPOUR_KG_M2, WATER_SCALE_HEIGHT_M = 28.0, 2200.0
SEA_LEVEL_HPA = 1013.25


@dataclass(frozen=True)
class PowerPlant:
    """A real plant, as power_plants.csv lists it."""

    place: str
    """Plants of one place smoke as one."""
    role: str
    """strong, weak or unseen."""
    name: str
    """Its name."""
    country: str
    """Country in English."""
    iso3: str
    """Code as CoCO2 writes it; empty where CoCO2 lacks the plant."""
    fuel: str
    """coal, gas or oil."""
    longitude: float
    """Degrees."""
    latitude: float
    """Degrees."""
    altitude_m: float
    """Roughly."""
    co2_t_y: float
    """2018; 0 where CoCO2 lacks the plant."""
    coco2_units: int
    """Rows of CoCO2."""
    gppd_id: str
    """Key of GPPD, may be empty there."""
    gppd_longitude: float | None
    """Place as GPPD has it; None where GPPD lacks the plant."""
    gppd_latitude: float | None
    """Degrees."""
    capacity_mw: float | None
    """As GPPD has it."""
    generation_gwh_2017: float | None
    """Estimate of GPPD."""


@dataclass(frozen=True)
class PlannedPeak:
    """Smoke of one place that an orbit crosses."""

    plants: tuple[PowerPlant, ...]
    """All its plants, the greatest first."""
    height_ppm: float
    """At the centre."""
    sigma_km: float
    """Along the track."""
    wind_u_m_s: float
    """At plume height, towards east."""
    wind_v_m_s: float
    """Towards north."""

    @property
    def surface_wind_m_s(self) -> tuple[float, float]:
        """The wind at 10 m that goes with it: u, v."""
        factor = float(height_factor(PLUME_HEIGHT_M, SURFACE_WIND_HEIGHT_M))
        return factor * self.wind_u_m_s, factor * self.wind_v_m_s

    @property
    def inventory_kt_h(self) -> float:
        """What the inventory says of all plants of the place, as a mean over the year."""
        return sum(plant.co2_t_y for plant in self.plants) / HOURS_PER_YEAR / 1e3


@dataclass(frozen=True)
class PlannedArc:
    """A piece of an orbit, with a peak at its anchor or without."""

    longitude: float
    """Of the anchor, degrees."""
    latitude: float
    """Degrees."""
    observed_at_utc: datetime
    """When the anchor is passed."""
    half_length_km: float
    """Before and after the anchor."""
    is_water: bool
    """Over the ocean, in glint mode."""
    peak: PlannedPeak | None
    """Centred at the anchor."""


def read_power_plants() -> list[PowerPlant]:
    """Return the plants of the world, as listed."""
    text = resources.files("plumewatch.simulation").joinpath(PLANTS_FILE).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [_plant(row) for row in csv.DictReader(lines)]


def _plant(row: dict[str, str]) -> PowerPlant:
    del row["source"]
    number = {name: float(text) if text else None for name, text in row.items() if name not in TEXTS}
    values: dict[str, Any] = {
        **row,
        **number,
        "co2_t_y": number["co2_t_y"] or 0.0,
        "coco2_units": int(row["coco2_units"]),
    }
    return PowerPlant(**values)


def surface_pressure_hpa(altitude_m: np.ndarray | float) -> np.ndarray:
    """Return the pressure of the standard atmosphere (ICAO) at an altitude below 11 km."""
    return np.asarray(SEA_LEVEL_HPA * (1.0 - 2.25577e-5 * np.asarray(altitude_m)) ** 5.25588)


def water_vapour_kg_m2(altitude_m: np.ndarray | float) -> np.ndarray:
    """Return the water vapour column above an altitude."""
    return np.asarray(WATER_VAPOUR_KG_M2 * np.exp(-np.asarray(altitude_m) / WATER_SCALE_HEIGHT_M))


def emission_kt_h(amplitude_ppm_km: float, surface_pressure: float, tcwv_kg_m2: float, wind_across_m_s: float) -> float:
    """Return the flux through the track's cross-section in kt CO2 per hour.

    F = A M_CO2 / M_air (p_s / g - w) U_across, with A in ppm km (height x sigma x sqrt(2 pi)), p_s in hPa, w in kg/m2.
    A = 137.96 ppm km, 848.3 hPa, 6.14 kg/m2 and 2.035 m/s give 13.27 kt/h (Zheng et al., Atmos. Chem. Phys. 20, 8501).
    """
    dry_air = surface_pressure * PA_PER_HPA / STANDARD_GRAVITY_M_S2 - tcwv_kg_m2
    amplitude = amplitude_ppm_km * PPM * METRES_PER_KM
    return amplitude * MOLAR_MASS_CO2_KG_MOL / MOLAR_MASS_DRY_AIR_KG_MOL * dry_air * wind_across_m_s * KT_H_PER_KG_S


def plan_arcs(seed: int) -> list[PlannedArc]:
    """Return the arcs of the month in order of time; arcs of a day are more than an orbit apart."""
    plants = read_power_plants()
    rng = random_stream(seed, "oco2 plan")
    strong, weak = (list(rng.permutation(_places(plants, role))) for role in ("strong", "weak"))
    empty = [int(i) for i in rng.permutation(len(EMPTY_LAND))]
    midnight = longitude_at_midnight(MIDNIGHT_LATITUDE)
    midnight_node = node_longitude(midnight, MIDNIGHT_LATITUDE)
    at_midnight = datetime.fromisoformat(f"{MIDNIGHT_DATE}T00:00:00+00:00")
    arcs = [PlannedArc(midnight, MIDNIGHT_LATITUDE, at_midnight, HALF_MIDNIGHT_ARC_KM, True, None)]
    for date, n_strong, n_weak, n_empty in GRANULES:
        taken = [midnight_node]
        for pool, count, ranges in ((strong, n_strong, STRONG_RANGES), (weak, n_weak, WEAK_RANGES)):
            for _ in range(count):
                place = next(p for p in pool if _is_apart(_node(plants, p), taken))
                pool.remove(place)
                taken.append(_node(plants, place))
                arcs.append(_arc_with_peak(seed, plants, str(place), date, ranges))
        for _ in range(n_empty):
            land = next(i for i in empty if _is_apart(node_longitude(*EMPTY_LAND[i]), taken))
            empty.remove(land)
            empty.append(land)
            taken.append(node_longitude(*EMPTY_LAND[land]))
            arcs.append(PlannedArc(*EMPTY_LAND[land], passing_time(*EMPTY_LAND[land], date), HALF_ARC_KM, False, None))
    return sorted(arcs, key=lambda arc: arc.observed_at_utc)


def _places(plants: Iterable[PowerPlant], role: str) -> list[str]:
    return sorted({plant.place for plant in plants if plant.role == role})


def _node(plants: Iterable[PowerPlant], place: str) -> float:
    return next(node_longitude(plant.longitude, plant.latitude) for plant in plants if plant.place == place)


def _is_apart(longitude: float, taken: Iterable[float]) -> bool:
    return all(abs(wrap_longitude(longitude - other)) > APART_DEG for other in taken)


def _arc_with_peak(
    seed: int, plants: list[PowerPlant], place: str, date: str, ranges: tuple[tuple[float, float], ...]
) -> PlannedArc:
    """Lay the track so that it crosses the smoke of a place, with the wind that makes it as strong as listed."""
    rng = random_stream(seed, "peak", place)
    members = sorted((p for p in plants if p.place == place), key=lambda p: -p.co2_t_y)
    weight = np.array([p.co2_t_y for p in members]) / sum(p.co2_t_y for p in members)
    source_lon = float(weight @ [p.longitude for p in members])
    source_lat = float(weight @ [p.latitude for p in members])
    height, sigma, across, tilt = _peak_shape(rng, members, ranges)
    heading = heading_at(source_lat)
    towards = heading + rng.choice([-90.0, 90.0]) + tilt
    lon, lat = (float(v) for v in destination(source_lon, source_lat, towards, rng.uniform(*DOWNWIND_KM)))
    speed = across / abs(np.sin(np.radians(towards - heading)))
    peak = PlannedPeak(
        plants=tuple(members),
        height_ppm=height,
        sigma_km=sigma,
        wind_u_m_s=float(speed * np.sin(np.radians(towards))),
        wind_v_m_s=float(speed * np.cos(np.radians(towards))),
    )
    return PlannedArc(lon, lat, passing_time(lon, lat, date), HALF_ARC_KM, False, peak)


def _peak_shape(
    rng: np.random.Generator, members: list[PowerPlant], ranges: tuple[tuple[float, float], ...]
) -> tuple[float, float, float, float]:
    """Draw height (ppm), sigma (km), plume wind across the track (m/s) and tilt (degrees) that fit the emission."""
    heights, sigmas, winds, factors = ranges
    height, across = rng.uniform(*heights, DRAWS), rng.uniform(*winds, DRAWS)
    listed_kt_h = sum(p.co2_t_y for p in members) / HOURS_PER_YEAR / 1e3
    emission = rng.uniform(*factors, DRAWS) * listed_kt_h
    altitude = members[0].altitude_m
    per_sigma = emission_kt_h(1.0, float(surface_pressure_hpa(altitude)), float(water_vapour_kg_m2(altitude)), 1.0)
    sigma = emission / (per_sigma * height * np.sqrt(2.0 * np.pi) * across)
    fits = np.flatnonzero((sigma >= sigmas[0]) & (sigma <= sigmas[1]))
    if not fits.size:
        raise ValueError(f"{members[0].place}: no peak within {ranges} has an emission near {listed_kt_h:.2f} kt/h")
    first = fits[0]
    return float(height[first]), float(sigma[first]), float(across[first]), float(rng.uniform(-TILT_DEG, TILT_DEG))
