"""What anybody could know of a world's detections who knew all distributions that it was made by: the Bayes bound.

    p(source | reported) = p(source) p(seen, reported | source) / sum over sources and over what no inventory lists

with the integrals over the hour's emission and the true wind speed as sums over a grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.geodesy import great_circle_distance_km, initial_bearing_deg, wrap_longitude
from plumewatch.matching.evaluation.worlds import (
    FAR_KM,
    NEAR_KM,
    Detections,
    Plants,
    World,
    chance_seen,
    near_pairs,
    seen_width_km,
)

Floats = NDArray[np.float64]

SPEED_NODES, EMISSION_NODES, DISTANCE_NODES, PLANT_NODES = 7, 7, 16, 24
LEAST_KT_H = 0.05  # plants below make no peak that is seen
CHUNK = 20_000  # pairs at once


@dataclass(frozen=True)
class Posterior:
    """Who a detection is from, all distributions known; one value a pair, or a detection."""

    detection: NDArray[np.intp]
    plant: NDArray[np.intp]
    probability: Floats
    unlisted: Floats


def bayes_posterior(world: World, detections: Detections, plants: Plants) -> Posterior:
    """Return the posterior of each detection over the plants within the world's reach and what isn't listed."""
    detection, plant = near_pairs(detections, plants, world.longest_km + 10.0)
    place = detections.longitude[detection], detections.latitude[detection]
    source = plants.longitude[plant], plants.latitude[plant]
    away = great_circle_distance_km(*place, *source)
    said = np.degrees(np.arctan2(detections.wind_u_m_s, detections.wind_v_m_s))
    off = wrap_longitude(initial_bearing_deg(*place, *source) + 180.0 - said[detection])
    turn = np.hypot(world.direction_sigma_deg, np.degrees(world.place_error_km / np.maximum(away, 1.0)))
    # Over the plane: the density along the distance, over the circle at that distance, by the direction.
    density = _gauss(off, turn) * (180.0 / np.pi) / np.maximum(away, 1.0)
    weight = np.zeros(len(plant))
    for start in range(0, len(plant), CHUNK):
        part = slice(start, start + CHUNK)
        d, p = detection[part], plant[part]
        weight[part] = density[part] * _of_report(world, detections, d, away[part], plants.emission_kt_h[p])
    shares = np.array([1.0 - world.unlisted_share, world.unlisted_share / 2.0, world.unlisted_share / 2.0])
    listed, near, far = shares / detections.seen_share
    weight *= listed / len(plants)
    unlisted = _unlisted(world, detections, plants) * (
        near * _anchors_km2(detections, plants) + far / (np.pi * FAR_KM**2)
    )
    total = unlisted + np.bincount(detection, weights=weight, minlength=len(detections))
    return Posterior(detection, plant, weight / total[detection], unlisted / total)


def _of_report(world: World, detections: Detections, at: NDArray[np.intp], away: Floats, kt_h: Floats) -> Floats:
    """Density of rate and width, seen at that distance from a source of that mean emission."""
    ratio, of_speed = _nodes(world.speed_error, SPEED_NODES)  # reported over true speed
    speed = np.hypot(detections.wind_u_m_s, detections.wind_v_m_s)[at][:, None] / np.maximum(1.0 + ratio, 0.2)
    spread = world.wind_spread
    blows = _gauss(np.log(np.maximum(speed, 0.5) / world.wind_median_m_s), spread) / speed * (speed >= 2.0)
    error = np.hypot(world.hour_error, world.listed_error)
    hours, of_hour = _nodes(error, EMISSION_NODES)
    true = kt_h[:, None, None] * np.exp(hours)
    rate = detections.rate_kt_h[at]
    said = np.log(rate[:, None, None] / true * (speed / (speed * np.maximum(1.0 + ratio, 0.2)))[..., None])
    tail = world.rate_tail
    density = (1 - tail) * _gauss(said, world.rate_error) + tail * _gauss(said, 3.0 * world.rate_error)
    density = np.where(np.isfinite(rate)[:, None, None], density, 1.0)
    seen = chance_seen(world, away[:, None, None], true, speed[..., None])
    found = np.einsum("psh,ps,s,h->p", density * seen, blows, of_speed, of_hour)
    if world.decay_km is not None:
        found = found * np.exp(-away / world.decay_km)
    is_crossed = (away > 3.0 - 3 * world.place_error_km) & (away < world.longest_km + 3 * world.place_error_km)
    width = _gauss(np.log(detections.sigma_km[at] / seen_width_km(world, away)), world.width_error)
    return found * width * is_crossed


def _unlisted(world: World, detections: Detections, plants: Plants) -> Floats:
    """The same of a source of whatever emission anywhere upwind."""
    away = np.linspace(3.0, world.longest_km, DISTANCE_NODES)
    logs = np.log(plants.emission_kt_h[plants.emission_kt_h > LEAST_KT_H])
    counts, edges = np.histogram(logs, PLANT_NODES)
    every = np.arange(len(detections))
    total = np.zeros(len(detections))
    for distance in away:
        for n, kt_h in zip(counts, np.exp((edges[1:] + edges[:-1]) / 2.0), strict=True):
            if n:
                at = np.full(len(every), distance)
                total += n * _of_report(world, detections, every, at, np.full(len(every), kt_h))
    return total * (away[1] - away[0]) / len(plants)


def _anchors_km2(detections: Detections, plants: Plants) -> Floats:
    """How densely unlisted sources lie around each place, of one that is near a plant."""
    at, _ = near_pairs(detections, plants, NEAR_KM)
    return np.bincount(at, minlength=len(detections)) / (len(plants) * np.pi * NEAR_KM**2)


def _nodes(sigma: float, n: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the integral over a normal law."""
    at, weight = np.polynomial.hermite_e.hermegauss(n)
    return sigma * at, weight / weight.sum()


def _gauss(value: Floats, sigma: Floats | float) -> Floats:
    return np.asarray(np.exp(-0.5 * (value / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma))
