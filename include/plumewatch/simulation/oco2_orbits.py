"""Ground tracks of OCO-2: a circular sun-synchronous orbit, its day side flown northwards at about 13:30 local time.

The longitude of a track is free, so that it can pass by a chosen place on a chosen day: the 16-day repeat isn't kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.constants import SECONDS_PER_DAY, SECONDS_PER_HOUR
from plumewatch.geodesy import destination, great_circle_distance_km, initial_bearing_deg, wrap_longitude

INCLINATION = np.radians(98.2)
PERIOD_S = 16.0 * SECONDS_PER_DAY / 233.0  # 233 orbits in 16 days
DAY_S = float(SECONDS_PER_DAY)  # a sun-synchronous orbit sees the Earth turn once a solar day
NODE_LOCAL_TIME_H = 13.6  # of the ascending node
FRAMES_PER_S = 3
FOOTPRINTS = 8
FOOTPRINT_KM = 1.29  # across track; eight of them are the 10.3 km swath
REFERENCE_ORBIT, REFERENCE_NODE = 11522, datetime(2016, 8, 31, 11, 42, tzinfo=UTC)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Arc:
    """A piece of one orbit's day side, frame by frame (a frame is a row of eight footprints)."""

    orbit: int
    """Orbit number."""
    thirds: NDArray[np.int64]
    """Time of each frame: thirds of a second since 1970."""
    longitude: Floats
    """Of the swath's middle, degrees."""
    latitude: Floats
    """Degrees."""
    heading_deg: Floats
    """Direction of flight over ground, from north, clockwise."""
    along_km: Floats
    """Distance along the track from the anchor, growing with time."""


def track_angle_rad(latitude: ArrayLike) -> Floats:
    """Return the orbit's angle from the ascending node at which it crosses a latitude northwards."""
    return np.arcsin(np.sin(np.radians(latitude)) / np.sin(INCLINATION))


def _east_of_node_deg(angle: Floats) -> Floats:
    """Longitude relative to that of the ascending node, the Earth turning below."""
    turned = np.degrees(angle) * PERIOD_S / DAY_S
    return np.degrees(np.arctan2(np.cos(INCLINATION) * np.sin(angle), np.cos(angle))) - turned


def node_longitude(longitude: float, latitude: float) -> float:
    """Return where the orbit that passes northwards over a place has crossed the equator, degrees."""
    return float(wrap_longitude(longitude - _east_of_node_deg(track_angle_rad(latitude))))


def heading_at(latitude: float) -> float:
    """Return the direction of flight at a latitude, degrees from north, clockwise."""
    angle = track_angle_rad(latitude) + np.array([-1e-5, 1e-5])
    lat = np.degrees(np.arcsin(np.sin(INCLINATION) * np.sin(angle)))
    lon = _east_of_node_deg(angle)
    return float(initial_bearing_deg(lon[0], lat[0], lon[1], lat[1]))


def passing_time(longitude: float, latitude: float, date: str) -> datetime:
    """Return when on a UTC date the orbit that passes northwards over a place does so."""
    angle = track_angle_rad(latitude)
    since_node_h = float(angle) / (2 * np.pi) * PERIOD_S / SECONDS_PER_HOUR
    hours = NODE_LOCAL_TIME_H - node_longitude(longitude, latitude) / 15.0 + since_node_h
    return datetime.fromisoformat(date).replace(tzinfo=UTC) + timedelta(hours=hours % 24.0)


def longitude_at_midnight(latitude: float) -> float:
    """Return the longitude at which an orbit crosses the latitude at 00:00 UTC."""
    angle = track_angle_rad(latitude)
    node_hours = NODE_LOCAL_TIME_H + float(angle) / (2 * np.pi) * PERIOD_S / SECONDS_PER_HOUR
    return float(wrap_longitude(15.0 * node_hours + float(_east_of_node_deg(angle))))


def make_arc(longitude: float, latitude: float, time: datetime, half_length_km: float) -> Arc:
    """Return the arc that passes over a place at a time, so many km before and after it."""
    angle = float(track_angle_rad(latitude))
    rate = 2.0 * np.pi / PERIOD_S
    node_time = time.timestamp() - angle / rate
    node = node_longitude(longitude, latitude)
    speed = 2.0 * np.pi * 6371.0 / PERIOD_S  # km/s over ground, near enough to choose the length
    reach = int(half_length_km / speed * FRAMES_PER_S)
    middle = round(time.timestamp() * FRAMES_PER_S)
    thirds = np.arange(middle - reach, middle + reach + 1)
    angles = rate * (thirds / FRAMES_PER_S - node_time)
    lat = np.degrees(np.arcsin(np.sin(INCLINATION) * np.sin(angles)))
    lon = wrap_longitude(node + _east_of_node_deg(angles))
    heading = initial_bearing_deg(lon[:-1], lat[:-1], lon[1:], lat[1:])
    steps = great_circle_distance_km(lon[:-1], lat[:-1], lon[1:], lat[1:])
    along = np.concatenate([[0.0], np.cumsum(steps)])
    orbit = REFERENCE_ORBIT + round((node_time - REFERENCE_NODE.timestamp()) / PERIOD_S)
    return Arc(orbit, thirds, lon, lat, np.append(heading, heading[-1]), along - along[reach])


def swath(arc: Arc) -> tuple[Floats, Floats]:
    """Return longitude and latitude of all footprints, (frames, 8), the first on the left of the flight."""
    aside = (np.arange(FOOTPRINTS) - (FOOTPRINTS - 1) / 2) * FOOTPRINT_KM
    return destination(arc.longitude[:, None], arc.latitude[:, None], arc.heading_deg[:, None] + 90.0, aside[None, :])
