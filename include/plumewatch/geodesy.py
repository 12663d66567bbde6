"""Distances and directions on the mean sphere; all functions take scalars or arrays of degrees and broadcast."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.constants import EARTH_RADIUS_KM

Floats = NDArray[np.float64]


def wrap_longitude(longitude: ArrayLike) -> Floats:
    """Return the longitude in [-180, 180) degrees.

    >>> float(wrap_longitude(190.0))
    -170.0
    """
    return (np.asarray(longitude, dtype=float) + 180.0) % 360.0 - 180.0


def great_circle_distance_km(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Return the distance in km by the haversine formula, exact also for near and antipodal points.

    >>> round(float(great_circle_distance_km(0, 0, 0, 1)), 3)
    111.195
    """
    lon1, lat1, lon2, lat2 = (np.radians(np.asarray(a, dtype=float)) for a in (lon1, lat1, lon2, lat2))
    h = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arctan2(np.sqrt(h), np.sqrt(np.maximum(0.0, 1.0 - h)))


def initial_bearing_deg(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Return the direction from point 1 to point 2 in degrees from north, clockwise, in [0, 360)."""
    lon1, lat1, lon2, lat2 = (np.radians(np.asarray(a, dtype=float)) for a in (lon1, lat1, lon2, lat2))
    east = np.sin(lon2 - lon1) * np.cos(lat2)
    north = np.cos(lat1) * np.sin(lat2) - np.sin(lat1) * np.cos(lat2) * np.cos(lon2 - lon1)
    return np.degrees(np.arctan2(east, north)) % 360.0


def destination(
    lon: ArrayLike, lat: ArrayLike, bearing_deg: ArrayLike, distance_km: ArrayLike
) -> tuple[Floats, Floats]:
    """Return longitude and latitude in degrees after `distance_km` along the great circle that starts at `bearing_deg`."""
    lon, lat, bearing = (np.radians(np.asarray(a, dtype=float)) for a in (lon, lat, bearing_deg))
    angle = np.asarray(distance_km, dtype=float) / EARTH_RADIUS_KM
    sin_lat = np.sin(lat) * np.cos(angle) + np.cos(lat) * np.sin(angle) * np.cos(bearing)
    lat2 = np.arcsin(np.clip(sin_lat, -1.0, 1.0))
    lon2 = lon + np.arctan2(np.sin(bearing) * np.sin(angle) * np.cos(lat), np.cos(angle) - np.sin(lat) * sin_lat)
    return wrap_longitude(np.degrees(lon2)), np.degrees(lat2)


def local_offset_km(lon0: ArrayLike, lat0: ArrayLike, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """Return how far east and north (km) a point lies of an origin, on the azimuthal equidistant plane of the origin."""
    distance = great_circle_distance_km(lon0, lat0, lon, lat)
    bearing = np.radians(initial_bearing_deg(lon0, lat0, lon, lat))
    return distance * np.sin(bearing), distance * np.cos(bearing)
