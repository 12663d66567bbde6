"""Detections made on the places of plants, some of sources that no inventory lists: their truth is known.

An overpass crosses the plume of a source at a distance that is as likely anywhere as elsewhere, at an hour at which the
source emits more or less than in the mean of the year; the plume is seen where its peak stands out of the noise. What
is then reported of it is wrong by known errors: the wind's direction and speed, the place, the rate, the width. Nothing
of it is taken from the rule that is judged: no decay with distance is drawn, it follows from what can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtr

from plumewatch.geodesy import chord_to_distance_km, destination, distance_to_chord, index_pairs, unit_vectors
from plumewatch.oco2.gaussian_plume import column_to_ppm, compute_plume_kg_m2, compute_spread_km

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

PRESSURE_HPA, TCWV_KG_M2 = 980.0, 20.0
NEAR_KM = 90.0  # half of the unlisted sources lie so near to a listed one, the other half farther from any
FAR_KM = 600.0
CHUNK = 20_000  # overpasses drawn at once


@dataclass(frozen=True)
class World:
    """How detections come about, and how wrong what is reported of them is."""

    name: str
    unlisted_share: float = 0.2
    direction_sigma_deg: float = 20.0
    speed_error: float = 0.2
    """Standard deviation of reported over true wind speed."""
    hour_error: float = 0.35
    """Of the logarithm of an hour's emission over the year's mean."""
    rate_error: float = 0.3
    """Of the logarithm of the reported rate, beside the wind's."""
    rate_tail: float = 0.0
    """Share of rates with thrice that error."""
    no_rate_share: float = 0.0
    width_error: float = 0.4
    place_error_km: float = 1.5
    least_ppm: float = 0.8
    """Height of a peak that is seen as often as not."""
    ppm_error: float = 0.25
    longest_km: float = 90.0
    decay_km: float | None = None
    """Of the chance to be crossed so far off; None: the same everywhere."""
    wind_median_m_s: float = 5.0
    wind_spread: float = 0.45
    stability_m: float = 156.0
    """Spread of plumes at 1 km: class B, a clear noon."""
    listed_error: float = 0.0
    """Of the logarithm of an inventory's emission over the truth, as years pass."""


@dataclass(frozen=True)
class Detections:
    """What was made; arrays of one value a detection."""

    longitude: Floats
    latitude: Floats
    wind_u_m_s: Floats
    wind_v_m_s: Floats
    rate_kt_h: Floats
    """NaN where it isn't known."""
    sigma_km: Floats
    source: Ints
    """Index of the listed source it is from, -1 of one that no inventory lists."""
    is_near: NDArray[np.bool_]
    """Of an unlisted one, that it lies within 90 km of a listed one."""
    seen_share: tuple[float, float, float]
    """Of overpasses that were drawn, over listed, near and far sources: how many were seen."""

    def __len__(self) -> int:
        return len(self.longitude)


@dataclass(frozen=True)
class Plants:
    """What the inventory lists."""

    longitude: Floats
    latitude: Floats
    emission_kt_h: Floats
    """As stated."""

    def __len__(self) -> int:
        return len(self.longitude)

    def tree(self) -> cKDTree:
        """By place on the unit sphere."""
        return cKDTree(unit_vectors(self.longitude, self.latitude))


def peak_ppm(world: World, downwind_km: Floats, emission_kt_h: Floats, speed_m_s: Floats) -> Floats:
    """Return the height over the background of a plume where it is crossed."""
    kg_m2 = compute_plume_kg_m2(downwind_km, 0.0, emission_kt_h, speed_m_s, world.stability_m, footprint_km=4.0)
    return np.asarray(kg_m2 * column_to_ppm(PRESSURE_HPA, TCWV_KG_M2))


def seen_width_km(world: World, downwind_km: Floats) -> Floats:
    """Return sigma of a plume as it is seen, soundings and meanders included."""
    return np.hypot(compute_spread_km(downwind_km, world.stability_m), 1.3)


def chance_seen(world: World, downwind_km: Floats, emission_kt_h: Floats, speed_m_s: Floats) -> Floats:
    """Return how probable a plume is seen where it is crossed; none where the air has been under way over 6 hours."""
    height = peak_ppm(world, downwind_km, emission_kt_h, speed_m_s)
    return np.asarray(ndtr((height - world.least_ppm) / world.ppm_error)) * (downwind_km <= 21.6 * speed_m_s)


def make_detections(world: World, plants: Plants, n: int, seed: int) -> Detections:
    """Return detections of a world on these plants, whose order says nothing."""
    rng = np.random.default_rng(seed)
    n_unlisted = round(n * world.unlisted_share)
    n_near = n_unlisted // 2
    parts = [
        _seen(world, plants, kind, count, rng)
        for kind, count in (("listed", n - n_unlisted), ("near", n_near), ("far", n_unlisted - n_near))
    ]
    columns = [np.concatenate([part[0][i] for part in parts]) for i in range(7)]
    order = rng.permutation(n)
    is_near = np.concatenate([np.full(len(part[0][0]), kind) for part, kind in zip(parts, (0, 1, 0), strict=True)])
    source = columns[6][order].astype(np.intp)
    lon, lat, u, v, rate, sigma = (column[order] for column in columns[:6])
    listed, near, far = (part[1] for part in parts)
    return Detections(lon, lat, u, v, rate, sigma, source, is_near[order] > 0, (listed, near, far))


def _seen(
    world: World, plants: Plants, kind: str, n: int, rng: np.random.Generator
) -> tuple[tuple[Floats, ...], float]:
    """Draw overpasses until so many are seen; columns, and the share that was."""
    found: list[tuple[Floats, ...]] = []
    n_found = n_drawn = 0
    while n_found < n:
        lon, lat, kt_h, source = _sources(plants, kind, rng)
        size = len(lon)
        kt_h = kt_h * np.exp(world.listed_error * rng.standard_normal(size))
        kt_h = kt_h * np.exp(world.hour_error * rng.standard_normal(size))
        away = rng.uniform(3.0, world.longest_km, size)
        speed = np.maximum(world.wind_median_m_s * np.exp(world.wind_spread * rng.standard_normal(size)), 2.0)
        seen = rng.uniform(size=size) < chance_seen(world, away, kt_h, speed)
        if world.decay_km is not None:
            seen &= rng.uniform(size=size) < np.exp(-away / world.decay_km)
        n_drawn += size
        n_found += int(seen.sum())
        at = np.flatnonzero(seen)
        found.append(_reported(world, lon[at], lat[at], kt_h[at], away[at], speed[at], source[at], rng))
    columns = tuple(np.concatenate(values)[:n] for values in zip(*found, strict=True))
    return columns, n_found / n_drawn


def _sources(plants: Plants, kind: str, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    at = rng.integers(0, len(plants), CHUNK)
    lon, lat, kt_h = plants.longitude[at], plants.latitude[at], plants.emission_kt_h[at]
    if kind == "listed":
        return lon, lat, kt_h, at.astype(float)
    kt_h = plants.emission_kt_h[rng.integers(0, len(plants), CHUNK)]
    away = NEAR_KM * np.sqrt(rng.uniform(size=CHUNK)) if kind == "near" else rng.uniform(NEAR_KM, FAR_KM, CHUNK)
    lon, lat = destination(lon, lat, rng.uniform(0, 360, CHUNK), away)
    if kind == "far":
        nearest = chord_to_distance_km(plants.tree().query(unit_vectors(lon, lat))[0])
        lon, lat, kt_h = (values[nearest > NEAR_KM] for values in (lon, lat, kt_h))
    return lon, lat, kt_h, np.full(len(lon), -1.0)


def _reported(
    world: World,
    lon: Floats,
    lat: Floats,
    kt_h: Floats,
    away: Floats,
    speed: Floats,
    source: Floats,
    rng: np.random.Generator,
) -> tuple[Floats, ...]:
    size = len(lon)
    towards = rng.uniform(0, 360, size)
    lon, lat = destination(lon, lat, towards, away)
    off = np.abs(rng.normal(0.0, world.place_error_km * np.sqrt(2.0), size))
    lon, lat = destination(lon, lat, rng.uniform(0, 360, size), off)
    said = np.radians(towards + rng.normal(0.0, world.direction_sigma_deg, size))
    said_speed = speed * np.maximum(1.0 + world.speed_error * rng.standard_normal(size), 0.2)
    error = world.rate_error * np.where(rng.uniform(size=size) < world.rate_tail, 3.0, 1.0)
    rate = kt_h * said_speed / speed * np.exp(error * rng.standard_normal(size))
    rate = np.where(rng.uniform(size=size) < world.no_rate_share, np.nan, rate)
    width = seen_width_km(world, away) * np.exp(world.width_error * rng.standard_normal(size))
    return lon, lat, said_speed * np.sin(said), said_speed * np.cos(said), rate, width, source


def near_pairs(detections: Detections, plants: Plants, within_km: float) -> tuple[Ints, Ints]:
    """Return detection and plant of the pairs that are at most so far apart."""
    found = plants.tree().query_ball_point(
        unit_vectors(detections.longitude, detections.latitude), distance_to_chord(within_km)
    )
    return index_pairs(found)


JUDGED = World("a judged world")
STRANGER = World(
    "a stranger one (chance falls with 40 km, odd rates, a quarter without, lists three years old)",
    hour_error=0.6,
    rate_error=0.5,
    rate_tail=0.1,
    no_rate_share=0.25,
    width_error=0.6,
    listed_error=0.4,
    stability_m=104.0,
    wind_median_m_s=4.0,
    longest_km=95.0,
    decay_km=40.0,
)


def made_up_plants(seed: int, n: int = 3_000) -> Plants:
    """Return plants of a made-up list: half in clusters of 2 to 12 within 40 km, half alone."""
    rng = np.random.default_rng(seed)
    alone = n // 2
    lon, lat = rng.uniform(-180, 180, alone), np.degrees(np.arcsin(rng.uniform(-0.8, 0.85, alone)))
    sizes = rng.integers(2, 13, n)
    centre = np.repeat(np.arange(len(sizes)), sizes)[: n - alone]
    clon, clat = rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-0.8, 0.85, n)))
    away, bearing = 40.0 * np.sqrt(rng.uniform(size=len(centre))), rng.uniform(0, 360, len(centre))
    in_clusters = destination(clon[centre], clat[centre], bearing, away)
    kt_h = np.exp(rng.normal(np.log(0.3), 1.2, n))
    return Plants(np.append(lon, in_clusters[0]), np.append(lat, in_clusters[1]), np.minimum(kt_h, 5.0))
