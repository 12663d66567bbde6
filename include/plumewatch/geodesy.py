"""Distances and directions on the mean sphere, and UTM zones; angles in degrees, scalars or arrays that broadcast."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer

from plumewatch.constants import EARTH_RADIUS_KM

Floats = NDArray[np.float64]

UTM_NORTH, UTM_SOUTH = 32600, 32700  # EPSG codes before the zone's number
UTM_ZONES, UTM_ZONE_DEG = 60, 6.0  # zone 1 starts at 180 W


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


def angle_between_deg(first_deg: ArrayLike, second_deg: ArrayLike) -> Floats:
    """Return the angle between two directions, 0 to 180 degrees.

    >>> float(angle_between_deg(350.0, 20.0))
    30.0
    """
    return np.abs(wrap_longitude(np.asarray(first_deg, dtype=float) - np.asarray(second_deg, dtype=float)))


def unit_vectors(longitude: ArrayLike, latitude: ArrayLike) -> Floats:
    """Return points on the unit sphere, shape (..., 3): distances there have no antimeridian and no poles.

    >>> unit_vectors([0.0, 90.0], [0.0, 0.0]).round(6).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    lon, lat = _radians(longitude), _radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def distance_to_chord(distance_km: float) -> float:
    """Return the straight distance on the unit sphere of a great-circle distance."""
    return float(2 * np.sin(distance_km / (2 * EARTH_RADIUS_KM)))


def chord_to_distance_km(chord: ArrayLike) -> Floats:
    """Return the great-circle distance of a straight one on the unit sphere; of infinity, half the way around.

    >>> round(float(chord_to_distance_km(distance_to_chord(80.0))), 9)
    80.0
    """
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(np.asarray(chord, dtype=float) / 2, 1.0))


def utm_epsg(longitude: float, latitude: float, zone: int | None = None) -> int:
    """Return the EPSG code of the UTM zone (WGS 84) of a place; of a stated `zone`, that of the place's hemisphere.

    Zones are 6 degrees wide all over the globe (the exceptions around Norway and Svalbard are not made); a boundary
    belongs to the zone east of it, the equator to the north, longitude 180 to zone 1.

    >>> utm_epsg(54.2, 38.5), utm_epsg(-180.0, -0.1), utm_epsg(180.0, 0.0), utm_epsg(54.2, 38.5, zone=39)
    (32640, 32701, 32601, 32639)
    """
    own = int((longitude + 180.0) // UTM_ZONE_DEG) % UTM_ZONES + 1
    return (UTM_NORTH if latitude >= 0 else UTM_SOUTH) + (own if zone is None else zone)


def _radians(degrees: ArrayLike) -> Floats:
    return np.radians(np.asarray(degrees, dtype=float))


@lru_cache(maxsize=8)
def degrees_of(crs: str) -> Transformer:
    """Return the transform from a projected CRS (`EPSG:...`) to longitude and latitude."""
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
