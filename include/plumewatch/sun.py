"""Where the sun stands: the low-precision formulas of the Astronomical Almanac, good to 0.1 degree for 1950 to 2050."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.constants import SECONDS_PER_DAY

J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)

Floats = NDArray[np.float64]


def solar_angles_deg(longitude: ArrayLike, latitude: ArrayLike, unix_seconds: ArrayLike) -> tuple[Floats, Floats]:
    """Return zenith angle and azimuth (from north, clockwise) of the sun in degrees.

    At 0 E 0 N on 2025-03-20 12:07 UTC the sun stands overhead to a fraction of a degree.
    """
    lon, lat = np.asarray(longitude, float), np.radians(np.asarray(latitude, float))
    days = (np.asarray(unix_seconds, float) - J2000.timestamp()) / SECONDS_PER_DAY
    mean_longitude, anomaly = 280.460 + 0.9856474 * days, np.radians(357.528 + 0.9856003 * days)
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2.0 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    ascension = np.degrees(np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic)))
    sidereal = 280.46062 + 360.98564737 * days
    hour_angle = np.radians(sidereal + lon - ascension)
    cos_zenith = np.sin(lat) * np.sin(declination) + np.cos(lat) * np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(lat) * np.sin(declination) - np.sin(lat) * np.cos(declination) * np.cos(hour_angle)
    return np.degrees(np.arccos(np.clip(cos_zenith, -1.0, 1.0))), np.degrees(np.arctan2(east, north)) % 360.0
