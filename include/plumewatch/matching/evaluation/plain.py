"""Plain worlds: sources that are all alike, seen at any distance, and nothing reported but a place and a wrong wind.

A fifth of the detections is of sources in no inventory, half of these within 90 km of a listed one, the others farther
from any. Nothing of physics is in it: neither rates nor widths tell sources apart, and what is seen doesn't depend on
wind or distance. So it asks for the crosswind law and for what is believed beforehand alone, and who knows both,

    p(source | place, wind) = share x N(angle; 0, 20 degrees) x p(distance) / distance / sum over all

is its Bayes bound: the integral over unlisted places is a sum over steps upwind and angles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.geodesy import (
    chord_to_distance_km,
    destination,
    distance_to_chord,
    great_circle_distance_km,
    index_pairs,
    initial_bearing_deg,
    unit_vectors,
    wrap_longitude,
)
from plumewatch.matching.evaluation.bound import Posterior
from plumewatch.matching.evaluation.worlds import FAR_KM, NEAR_KM, Detections, Plants, near_pairs

Floats = NDArray[np.float64]

LISTED, NEAR, FAR = 0.8, 0.1, 0.1  # shares of the detections
DIRECTION_DEG, SPEED_ERROR, RATE_ERROR = 20.0, 0.2, 0.3
WIND_M_S, WIND_SPREAD, LEAST_WIND_M_S = 5.0, 0.4, 2.0
STEPS = 12  # upwind, of the integral over unlisted places
ANGLES_DEG = np.array([-30.0, -15.0, 0.0, 15.0, 30.0])
DRAWN = 4_000  # at once


@dataclass(frozen=True)
class PlainWorld:
    """How far away detections are seen, and what all sources emit."""

    name: str
    nearest_km: float = 5.0
    farthest_km: float = 60.0
    kt_h: float = 1.0
    least_listed_kt_h: float = 0.0
    """Plants of the list that emit less are left out, so that fewer lie together."""


PLAIN = (PlainWorld("all plants, up to 60 km"), PlainWorld("large plants, up to 60 km", least_listed_kt_h=0.3))


def plants_of(world: PlainWorld, plants: Plants) -> Plants:
    """Return the plants of a list as a plain world has them, all alike."""
    kept = plants.emission_kt_h >= world.least_listed_kt_h
    return Plants(plants.longitude[kept], plants.latitude[kept], np.full(int(kept.sum()), world.kt_h))


def make_plain_detections(world: PlainWorld, plants: Plants, n: int, seed: int) -> Detections:
    """Return detections of a plain world on its plants (`plants_of`), whose order says nothing."""
    rng = np.random.default_rng(seed)
    n_near, n_far = round(NEAR * n), round(FAR * n)
    at = rng.integers(0, len(plants), n - n_near - n_far)
    beside = rng.integers(0, len(plants), n_near)
    near = destination(
        plants.longitude[beside], plants.latitude[beside], rng.uniform(0, 360, n_near),
        NEAR_KM * np.sqrt(rng.uniform(size=n_near)),
    )  # fmt: skip
    far = _far_places(plants, n_far, rng)
    lon, lat = (
        np.concatenate(parts) for parts in zip((plants.longitude[at], plants.latitude[at]), near, far, strict=True)
    )
    towards = rng.uniform(0, 360, n)
    lon, lat = destination(lon, lat, towards, rng.uniform(world.nearest_km, world.farthest_km, n))
    said = np.radians(towards + rng.normal(0, DIRECTION_DEG, n))
    speed = np.maximum(WIND_M_S * np.exp(WIND_SPREAD * rng.standard_normal(n)), LEAST_WIND_M_S)
    speed = speed * np.maximum(1 + SPEED_ERROR * rng.standard_normal(n), 0.2)
    rate = world.kt_h * np.exp(RATE_ERROR * rng.standard_normal(n))
    source = np.concatenate([at, np.full(n_near + n_far, -1)])
    is_near = (np.arange(n) >= len(at)) & (np.arange(n) < len(at) + n_near)
    order = rng.permutation(n)
    u, v, width = speed * np.sin(said), speed * np.cos(said), np.full(n, np.nan)
    lon, lat, u, v, rate, width = (column[order] for column in (lon, lat, u, v, rate, width))
    return Detections(lon, lat, u, v, rate, width, source[order], is_near[order], (1.0, 1.0, 1.0))


def _far_places(plants: Plants, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Places 90 to 600 km from a plant and at least 90 km from any."""
    lon, lat = np.empty(0), np.empty(0)
    while len(lon) < n:
        beside = rng.integers(0, len(plants), DRAWN)
        x, y = destination(plants.longitude[beside], plants.latitude[beside], rng.uniform(0, 360, DRAWN),
                           rng.uniform(NEAR_KM, FAR_KM, DRAWN))  # fmt: skip
        is_far = _to_nearest_km(plants, x, y) > NEAR_KM
        lon, lat = np.append(lon, x[is_far]), np.append(lat, y[is_far])
    return lon[:n], lat[:n]


def _to_nearest_km(plants: Plants, lon: Floats, lat: Floats) -> Floats:
    return np.asarray(chord_to_distance_km(plants.tree().query(unit_vectors(lon, lat))[0]))


def plain_posterior(world: PlainWorld, detections: Detections, plants: Plants) -> Posterior:
    """Return who a detection is from, as who knows how the world is made would say."""
    at, plant = near_pairs(detections, plants, world.farthest_km)
    place = detections.longitude[at], detections.latitude[at]
    source = plants.longitude[plant], plants.latitude[plant]
    away = great_circle_distance_km(*place, *source)
    said = np.degrees(np.arctan2(detections.wind_u_m_s, detections.wind_v_m_s))
    off = wrap_longitude(initial_bearing_deg(*place, *source) + 180.0 - said[at])
    angle = np.exp(-0.5 * (off / DIRECTION_DEG) ** 2) / (np.sqrt(2 * np.pi) * np.radians(DIRECTION_DEG))
    extent = world.farthest_km - world.nearest_km
    weight = LISTED / len(plants) * angle * (away >= world.nearest_km) / extent / np.maximum(away, 1.0)
    unlisted = _unlisted_density(world, detections, plants, said)
    total = unlisted + np.bincount(at, weight, len(detections))
    return Posterior(at, plant, weight / total[at], unlisted / total)


def _unlisted_density(world: PlainWorld, detections: Detections, plants: Plants, said_deg: Floats) -> Floats:
    """Density of unlisted sources, averaged over the places upwind."""
    shares = np.exp(-0.5 * (ANGLES_DEG / DIRECTION_DEG) ** 2)
    shares /= shares.sum()
    edges = np.linspace(world.nearest_km, world.farthest_km, STEPS + 1)
    tree, n = plants.tree(), len(plants)
    # What of the draws lies within 90 km of some plant is drawn again: the others are so many more.
    rng = np.random.default_rng(0)
    beside = rng.integers(0, n, DRAWN)
    drawn = destination(plants.longitude[beside], plants.latitude[beside], rng.uniform(0, 360, DRAWN),
                        rng.uniform(NEAR_KM, FAR_KM, DRAWN))  # fmt: skip
    kept = float((_to_nearest_km(plants, *drawn) > NEAR_KM).mean())
    density = np.zeros(len(detections))
    for away in (edges[1:] + edges[:-1]) / 2:
        for turn, share in zip(ANGLES_DEG, shares, strict=True):
            points = unit_vectors(*destination(detections.longitude, detections.latitude, said_deg + 180 + turn, away))
            count = tree.query_ball_point(points, distance_to_chord(NEAR_KM), return_length=True)
            here = NEAR * count / (n * np.pi * NEAR_KM**2)
            alone = np.flatnonzero(count == 0)
            one, other = index_pairs(tree.query_ball_point(points[alone], distance_to_chord(FAR_KM)))
            km = chord_to_distance_km(np.linalg.norm(tree.data[other] - points[alone][one], axis=1))
            rings = 1.0 / (2 * np.pi * np.maximum(km, NEAR_KM) * (FAR_KM - NEAR_KM))
            here[alone] += FAR / kept / n * np.bincount(one, rings, len(alone))
            density += share / STEPS * here
    return density
