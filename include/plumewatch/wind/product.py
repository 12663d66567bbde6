"""What a wind product of a weather service is, and which wind is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import requests
from numpy.typing import NDArray

from plumewatch.errors import ServiceError
from plumewatch.settings import Settings
from plumewatch.tables import TIME, WIND
from plumewatch.wind.grids import Bounds, CutOut, GlobalGrid

HOUR = timedelta(hours=1)
NOT_A_NODE = -1

Integers = NDArray[np.int64]
TimesOf = Mapping[CutOut, Sequence[datetime]]
"""Which times of which block of a grid are wanted."""


class NoWindYet(ServiceError):
    """A product does not have the wind of a time, or not yet; asking again later may help."""


@dataclass(frozen=True)
class WindRequest:
    """The wind of a while around a place."""

    bounds: Bounds
    """The place; a margin is added."""
    start: datetime
    """UTC. The last time of a product before it is wanted too, as interpolation needs it."""
    end: datetime
    """UTC, and the first time of a product after it."""

    def __str__(self) -> str:
        west, south, east, north = self.bounds
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%H:%M} at {west:.2f} {south:.2f} to {east:.2f} {north:.2f}"


def requests_of_day(day: date, bounds: Sequence[Bounds]) -> list[WindRequest]:
    """Return requests for all hours of a UTC day."""
    start = datetime.combine(day, time(), UTC)
    return [WindRequest(one, start, start + 23 * HOUR) for one in bounds]


def requests_at(
    longitude: Sequence[float], latitude: Sequence[float], observed_at_utc: Sequence[datetime]
) -> list[WindRequest]:
    """Return a request for each place (degrees) and time."""
    rows = zip(longitude, latitude, observed_at_utc, strict=True)
    return [WindRequest((lon, lat, lon, lat), at, at) for lon, lat, at in rows]


@dataclass(frozen=True)
class Product:
    """An hourly wind product on a global grid."""

    name: str
    """In PLUMEWATCH_WIND, and the partition `product` of the table `wind`."""
    grid: GlobalGrid
    """Where it has values."""
    first_minute: int
    """Minute of the hour that its values stand for: 30 for means over an hour."""
    heights_m: tuple[float, ...]
    """Above ground."""
    url: Callable[[Settings], str]
    """Where the service is."""
    read: Callable[[str, TimesOf], pa.Table]
    """From that address and what is wanted to rows of the table `wind`; what the service lacks is left out. Raises
    ServiceError where it doesn't answer as agreed, InputError where its data are not what the product is."""
    last_hour: Callable[[requests.Session, str], datetime]
    """From a session and that address to the last time that the service has, by a small question or two; raises as
    `read` does."""

    def times(self, request: WindRequest) -> list[datetime]:
        """Return the times of the product within the request and just around it."""
        start = request.start.replace(minute=self.first_minute, second=0, microsecond=0)
        first = start - HOUR if start > request.start else start
        count = -((first - request.end) // HOUR)  # the first time not before the end
        return [first + n * HOUR for n in range(count + 1)]

    def wanted(self, requests: Sequence[WindRequest]) -> TimesOf:
        """Return the blocks of the grid that requests need, each with its times in order."""
        times: dict[CutOut, set[datetime]] = {}
        for request in requests:
            for cut_out in self.grid.cut_outs(request.bounds):
                times.setdefault(cut_out, set()).update(self.times(request))
        return {cut_out: sorted(of_block) for cut_out, of_block in sorted(times.items())}

    def codes_of(self, request: WindRequest) -> Integers:
        """Return the numbers of all values (node, time and height) that a request needs."""
        parts = []
        for cut_out in self.grid.cut_outs(request.bounds):
            lon, lat = self.grid.nodes(cut_out)
            for at in self.times(request):
                hour = np.full(len(lon), at.timestamp() // HOUR.total_seconds())
                parts += [self._codes(hour, lon, lat, n) for n in range(len(self.heights_m))]
        return np.concatenate(parts)

    def codes_in(self, rows: pa.Table) -> Integers:
        """Return the numbers of the values that rows of the table `wind` hold; -1 for a row that is none of them."""
        second = rows["observed_at_utc"].cast(pa.int64()).to_numpy() // 1_000_000
        lon, lat, height = (rows[n].to_numpy() for n in ("longitude", "latitude", "height_m"))
        codes = np.full(len(lon), NOT_A_NODE, np.int64)
        for n, level in enumerate(self.heights_m):
            at = (height == level) & (second % 3600 == self.first_minute * 60)
            codes[at] = self._codes(second[at] // 3600, lon[at], lat[at], n)
        return codes

    def _codes(self, hour: NDArray[np.generic], lon: NDArray[np.float64], lat: NDArray[np.float64], n: int) -> Integers:
        column = np.rint((lon - self.grid.first_longitude) % 360.0 / self.grid.step_longitude) % self.grid.columns
        row = np.rint((lat - self.grid.first_latitude) / self.grid.step_latitude)
        node = (row * self.grid.columns + column).astype(np.int64)
        per_hour = self.grid.rows * self.grid.columns
        return (hour.astype(np.int64) * per_hour + node) * len(self.heights_m) + n


def wind_rows(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    at: datetime,
    height_m: float,
    components: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> pa.Table:
    """Return rows of the table `wind` of one time and height (u and v at each place); NaN are left out."""
    u, v = (np.asarray(c, dtype=float).ravel() for c in components)
    known = np.isfinite(u) & np.isfinite(v)
    n = int(known.sum())
    return WIND.from_columns(
        {
            "observed_at_utc": pa.array([at] * n, TIME),
            "longitude": longitude[known],
            "latitude": latitude[known],
            "wind_u_m_s": u[known],
            "wind_v_m_s": v[known],
            "height_m": np.full(n, height_m),
        }
    )
