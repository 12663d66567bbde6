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
    x1, y1, x2, y2 = map(_radians, (lon1, lat1, lon2, lat2))
    h = np.sin((y2 - y1) / 2) ** 2 + np.cos(y1) * np.cos(y2) * np.sin((x2 - x1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arctan2(np.sqrt(h), np.sqrt(np.maximum(0.0, 1.0 - h)))


def initial_bearing_deg(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Return the direction from point 1 to point 2 in degrees from north, clockwise, in [0, 360)."""
    x1, y1, x2, y2 = map(_radians, (lon1, lat1, lon2, lat2))
    east = np.sin(x2 - x1) * np.cos(y2)
    north = np.cos(y1) * np.sin(y2) - np.sin(y1) * np.cos(y2) * np.cos(x2 - x1)
    return np.degrees(np.arctan2(east, north)) % 360.0


def destination(
    lon: ArrayLike, lat: ArrayLike, bearing_deg: ArrayLike, distance_km: ArrayLike
) -> tuple[Floats, Floats]:
    """Return longitude and latitude in degrees after `distance_km` along the great circle from `bearing_deg`."""
    x, y, bearing = map(_radians, (lon, lat, bearing_deg))
    angle = np.asarray(distance_km, dtype=float) / EARTH_RADIUS_KM
    sin_y2 = np.sin(y) * np.cos(angle) + np.cos(y) * np.sin(angle) * np.cos(bearing)
    x2 = x + np.arctan2(np.sin(bearing) * np.sin(angle) * np.cos(y), np.cos(angle) - np.sin(y) * sin_y2)
    return wrap_longitude(np.degrees(x2)), np.degrees(np.arcsin(np.clip(sin_y2, -1.0, 1.0)))


def local_offset_km(lon0: ArrayLike, lat0: ArrayLike, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """Return how far east and north (km) of an origin a point lies, on its azimuthal equidistant plane."""
    distance = great_circle_distance_km(lon0, lat0, lon, lat)
    bearing = np.radians(initial_bearing_deg(lon0, lat0, lon, lat))
    return distance * np.sin(bearing), distance * np.cos(bearing)


def _radians(degrees: ArrayLike) -> Floats:
    return np.radians(np.asarray(degrees, dtype=float))
