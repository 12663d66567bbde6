"""The wind of one simulated day: a smooth global field with wanted winds at wanted places.

The field is defined by its values at the nodes, 10 m above ground, and is linear between them; above, it grows with
height by the power law of `wind.profile`. The files hold the nodes at several heights, so that they say all about the
wind by which plumes were blown: methane at 10 m, CO2 at plume height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from plumewatch import storage
from plumewatch.constants import SECONDS_PER_HOUR
from plumewatch.geodesy import great_circle_distance_km, wrap_longitude
from plumewatch.simulation.random_streams import random_stream
from plumewatch.tables import TIME, WIND
from plumewatch.wind.profile import height_factor

PRODUCT = "simulated"
HEIGHT_M = 10.0
FILE_HEIGHTS_M = (10.0, 100.0, 250.0, 500.0)
STEP_DEG = 1.0
LATITUDES = np.arange(-60.0, 75.0 + STEP_DEG, STEP_DEG)
LONGITUDES = np.arange(-180.0, 180.0, STEP_DEG)
HOURS = np.arange(0.0, 24.0, 3.0)  # as GEOS-FP inst3
FILE_HALF_WIDTH_DEG = 4.0  # the files hold the nodes within so many degrees of the places of interest
WAVES = 6
SPEED_SCALE_M_S = 3.0  # of each component, before the wanted winds are imposed
DIURNAL_AMPLITUDE = 0.1
REACH_KM = 1200.0  # e-folding scale of the correction around a wanted wind
LOWEST_HARMONIC, HIGHEST_HARMONIC = 1, 4  # waves around the globe

Floats = NDArray[np.float64]


class WantedWind(NamedTuple):
    """A 10-m wind that the field must have at one place and time."""

    longitude: float
    """Degrees."""
    latitude: float
    """Degrees."""
    hour: float
    """Of the field's day, UTC."""
    wind_u_m_s: float
    """Towards east."""
    wind_v_m_s: float
    """Towards north."""


@dataclass(frozen=True)
class WindField:
    """10-m wind of one UTC day at the nodes (HOURS, LATITUDES, LONGITUDES)."""

    date: str
    """YYYY-MM-DD."""
    wind_u_m_s: Floats
    """Towards east, (hours, latitudes, longitudes)."""
    wind_v_m_s: Floats
    """Towards north, same shape."""

    def at(self, longitude: ArrayLike, latitude: ArrayLike, hour: ArrayLike) -> tuple[Floats, Floats]:
        """Return (u, v) in m/s, linear in longitude, latitude and hour of day (UTC); after the last node as there."""
        lon, lat, hour = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (longitude, latitude, hour)))
        corners = list(_corners(lon, lat, hour))
        u = sum(weight * self.wind_u_m_s[node] for weight, node in corners)
        v = sum(weight * self.wind_v_m_s[node] for weight, node in corners)
        return np.asarray(u), np.asarray(v)


def _corners(lon: Floats, lat: Floats, hour: Floats):  # type: ignore[no-untyped-def]
    """Yield weight and index of the eight nodes around each point."""
    x = (lon - LONGITUDES[0]) % 360.0 / STEP_DEG
    y = np.clip((lat - LATITUDES[0]) / STEP_DEG, 0.0, len(LATITUDES) - 1.0)
    t = np.clip(hour / (HOURS[1] - HOURS[0]), 0.0, len(HOURS) - 1.0)
    x0 = np.floor(x).astype(int)
    y0 = np.minimum(np.floor(y).astype(int), len(LATITUDES) - 2)
    t0 = np.minimum(np.floor(t).astype(int), len(HOURS) - 2)
    for dt, dy, dx in np.ndindex(2, 2, 2):
        weight = np.abs(1 - dt - (t - t0)) * np.abs(1 - dy - (y - y0)) * np.abs(1 - dx - (x - x0))
        yield weight, (t0 + dt, y0 + dy, (x0 + dx) % len(LONGITUDES))


def make_wind_field(seed: int, date: str, wanted: Sequence[WantedWind]) -> WindField:
    """Return the field of a day: planetary waves of the day's own phase, corrected so that every wanted wind is met.

    The correction is a sum of Gaussians of `REACH_KM` around the wanted places, the same at all hours.
    """
    rng = random_stream(seed, "wind", date)
    u, v = (_waves(rng) for _ in range(2))
    field = WindField(date, u, v)
    if not wanted:
        return field
    lon, lat, hour, wanted_u, wanted_v = np.array(wanted).T
    bump = _bumps(lon, lat)
    zero = np.zeros_like(u)
    # Interpolated like the field itself, so that the corrected field meets the wanted wind exactly.
    influence = np.stack([WindField(date, zero + b, zero).at(lon, lat, hour)[0] for b in bump], axis=1)
    was_u, was_v = field.at(lon, lat, hour)
    add_u = np.linalg.solve(influence, wanted_u - was_u)
    add_v = np.linalg.solve(influence, wanted_v - was_v)
    return WindField(date, u + np.tensordot(add_u, bump, 1), v + np.tensordot(add_v, bump, 1))


def hour_of_day(time: datetime) -> float:
    """Return the hours since midnight."""
    return time.hour + time.minute / 60.0 + time.second / SECONDS_PER_HOUR


def _waves(rng: np.random.Generator) -> Floats:
    lon, lat = np.radians(LONGITUDES)[None, :], np.radians(LATITUDES)[:, None]
    field = np.zeros((len(LATITUDES), len(LONGITUDES)))
    for _ in range(WAVES):
        east, north = rng.integers(LOWEST_HARMONIC, HIGHEST_HARMONIC + 1, size=2)
        phase = rng.uniform(0.0, 2.0 * np.pi, size=2)
        field += np.cos(east * lon + phase[0]) * np.cos(north * lat + phase[1])
    field *= SPEED_SCALE_M_S / field.std()
    local_time = HOURS[:, None, None] + (LONGITUDES / 15.0)[None, None, :]
    return field[None] * (1.0 + DIURNAL_AMPLITUDE * np.cos(2.0 * np.pi * (local_time - 14.0) / 24.0))


def _bumps(lon: Floats, lat: Floats) -> Floats:
    grid_lon, grid_lat = np.meshgrid(LONGITUDES, LATITUDES)
    distance = great_circle_distance_km(lon[:, None, None], lat[:, None, None], grid_lon, grid_lat)
    return np.exp(-0.5 * (distance / REACH_KM) ** 2)


def write_wind_field(folder: str, field: WindField, places: Sequence[tuple[float, float]]) -> str:
    """Write the nodes around the places (longitude, latitude) as one day of the table `wind`; return its folder."""
    lon, lat = np.meshgrid(LONGITUDES, LATITUDES)
    near = np.zeros(lon.shape, dtype=bool)
    for place_lon, place_lat in places:
        east = np.abs(wrap_longitude(lon - place_lon))
        near |= (east <= FILE_HALF_WIDTH_DEG) & (np.abs(lat - place_lat) <= FILE_HALF_WIDTH_DEG)
    start = datetime.fromisoformat(field.date).replace(tzinfo=UTC)
    times = np.array([start.replace(tzinfo=None) + timedelta(hours=float(h)) for h in HOURS], dtype="datetime64[us]")
    n_nodes, n_heights = len(HOURS) * int(near.sum()), len(FILE_HEIGHTS_M)
    factors = np.repeat([float(height_factor(HEIGHT_M, height)) for height in FILE_HEIGHTS_M], n_nodes)
    rows = WIND.from_columns(
        {
            "observed_at_utc": pa.array(np.tile(np.repeat(times, near.sum()), n_heights)).cast(TIME),
            "longitude": np.tile(lon[near], n_heights * len(HOURS)),
            "latitude": np.tile(lat[near], n_heights * len(HOURS)),
            "wind_u_m_s": factors * np.tile(field.wind_u_m_s[:, near].ravel(), n_heights),
            "wind_v_m_s": factors * np.tile(field.wind_v_m_s[:, near].ravel(), n_heights),
            "height_m": np.repeat(FILE_HEIGHTS_M, n_nodes),
        }
    )
    return storage.write_partition(WIND, folder, {"product": PRODUCT, "date": field.date}, rows)
