"""The wind at a place and time, from rows of the table `wind`.

In space bilinear where the rows lie on a regular grid of longitudes and latitudes (a cut-out of one will do), else by
inverse squared distance; in time linear between the two times around; in height linear in its logarithm between the two
heights around, and by a power law beyond the lowest or highest (`profile`). In space and time nothing is extrapolated
further than the limits of `interpolation`: a wind that is not known is None or NaN, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from plumewatch.wind.interpolation import in_space_and_time
from plumewatch.wind.profile import height_factor, levels_around, share_of_upper
from plumewatch.wind.rows import WindRows, hours_since_1970

Floats = NDArray[np.float64]

SURFACE_WIND_HEIGHT_M = 10.0  # height of the near-surface wind of weather models (WMO-No. 8)


@dataclass(frozen=True)
class WindAtPoint:
    """The wind at one place and time."""

    wind_u_m_s: float
    """Towards east."""
    wind_v_m_s: float
    """Towards north."""
    height_m: float
    """Above ground: the height that was asked for."""
    product: str = ""
    """The product that knew it; empty where the rows name none."""
    from_heights_m: tuple[float, ...] = ()
    """The stored heights that it was made from: the same height, the two around it, or the nearest one."""

    @property
    def speed_m_s(self) -> float:
        """Length of the wind vector."""
        return math.hypot(self.wind_u_m_s, self.wind_v_m_s)

    @property
    def from_deg(self) -> float:
        """Where the wind blows from, degrees clockwise from north in [0, 360): 270 is a west wind."""
        return float(direction_from_deg(self.wind_u_m_s, self.wind_v_m_s))


@dataclass(frozen=True)
class WindAtPoints:
    """The wind at many places and times; NaN where it is not known."""

    wind_u_m_s: Floats
    """Towards east, one value a point."""
    wind_v_m_s: Floats
    """Towards north, one value a point."""
    height_m: float
    """Above ground: the height that was asked for; NaN where there are no rows."""


def direction_from_deg(wind_u_m_s: ArrayLike, wind_v_m_s: ArrayLike) -> Floats:
    """Return where the wind blows from, degrees clockwise from north in [0, 360).

    >>> float(direction_from_deg(5.0, 0.0))
    270.0
    """
    u, v = np.asarray(wind_u_m_s, dtype=float), np.asarray(wind_v_m_s, dtype=float)
    return np.degrees(np.arctan2(-u, -v)) % 360.0


def components_m_s(speed_m_s: ArrayLike, from_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Return u (towards east) and v (towards north) of a wind given by speed and the direction it blows from."""
    speed, angle = np.asarray(speed_m_s, dtype=float), np.radians(np.asarray(from_deg, dtype=float))
    return -speed * np.sin(angle), -speed * np.cos(angle)


@dataclass(frozen=True, eq=False)
class WindLookup:
    """Rows of the table `wind`, ready to be asked at many places one by one."""

    products: tuple[tuple[str, WindRows], ...]
    """Name and rows of each product, by name."""

    @classmethod
    def of(cls, wind: pa.Table) -> WindLookup:
        """Take the usable rows."""
        rows = WindRows.from_table(wind)
        return cls(tuple((str(name), rows.take(rows.product == name)) for name in np.unique(rows.product)))


def wind_at(
    wind: pa.Table | WindLookup,
    longitude: float,
    latitude: float,
    observed_at_utc: datetime,
    height_m: float = SURFACE_WIND_HEIGHT_M,
) -> WindAtPoint | None:
    """Return the wind at a place (degrees), time and height, None where no row is within 80 km and 3 hours.

    A row of (2, 0) m/s at 10:00 and one of (4, 0) m/s at 12:00, both at the place: the wind of 11:00 is (3, 0) m/s.
    """
    return next(iter(wind_of_each_product(wind, longitude, latitude, observed_at_utc, height_m)), None)


def wind_of_each_product(
    wind: pa.Table | WindLookup,
    longitude: float,
    latitude: float,
    observed_at_utc: datetime,
    height_m: float = SURFACE_WIND_HEIGHT_M,
) -> list[WindAtPoint]:
    """Return what each product that knows the wind at a place, time and height says.

    First the one whose wind is carried least in space and time (`interpolation.in_space_and_time`); by name of the
    product where they are as near.
    """
    lon, lat, time = np.array([longitude], float), np.array([latitude], float), hours_since_1970([observed_at_utc])
    found = []
    for product, rows in (wind if isinstance(wind, WindLookup) else WindLookup.of(wind)).products:
        levels = _levels(rows, lon, lat, time, height_m)
        u, v = _in_height(levels, height_m)
        if np.isfinite(u[0]):
            known = tuple(level for level, (of_level, *_) in levels.items() if np.isfinite(of_level[0]))
            found.append((_carried(levels)[0], WindAtPoint(float(u[0]), float(v[0]), height_m, product, known)))
    return [wind for _, wind in sorted(found, key=lambda pair: pair[0])]


def winds_at(
    wind: pa.Table | WindLookup,
    longitude: ArrayLike,
    latitude: ArrayLike,
    observed_at_utc: Sequence[datetime] | pa.Array | pa.ChunkedArray | NDArray[np.datetime64],
    height_m: float = SURFACE_WIND_HEIGHT_M,
) -> WindAtPoints:
    """Return the wind at many places (degrees) and times, as `wind_at` does for one.

    `wind` has the columns of the table `wind`, `product` where there are several: a point takes the nearest product in
    space and time that knows its wind. Rows at exactly `height_m` are used as they are. A point without a time
    gets NaN.
    """
    lon, lat, time = np.asarray(longitude, float), np.asarray(latitude, float), hours_since_1970(observed_at_utc)
    u, v = np.full(lon.shape, np.nan), np.full(lon.shape, np.nan)
    carried = np.full(lon.shape, np.inf)
    products = (wind if isinstance(wind, WindLookup) else WindLookup.of(wind)).products
    timed = np.flatnonzero(np.isfinite(time))
    for _, rows in products:
        levels = _levels(rows, lon[timed], lat[timed], time[timed], height_m)
        of_product, its_u_v = _carried(levels), _in_height(levels, height_m)
        nearer = of_product < carried[timed]
        carried[timed[nearer]] = of_product[nearer]
        u[timed[nearer]], v[timed[nearer]] = (component[nearer] for component in its_u_v)
    return WindAtPoints(u, v, height_m if products else math.nan)


def _levels(
    rows: WindRows, lon: Floats, lat: Floats, time: Floats, height_m: float
) -> dict[float, tuple[Floats, Floats, Floats]]:
    """Wind of one product at its heights around the one that is asked for, from below, and how far it was carried."""
    heights = levels_around(np.unique(rows.height).tolist(), height_m)
    return {height: in_space_and_time(rows.take(rows.height == height), lon, lat, time) for height in heights}


def _carried(levels: dict[float, tuple[Floats, Floats, Floats]]) -> Floats:
    """How far the wind of one product was carried: that of the nearer height; inf where it knows none."""
    return np.minimum.reduce([carried for _, _, carried in levels.values()])


def _in_height(levels: dict[float, tuple[Floats, Floats, Floats]], height_m: float) -> tuple[Floats, Floats]:
    """Wind of one product: at the height itself, between the two around it, or carried on from the nearest.

    Where one of the two around is not known at a point, the other one is carried on.
    """
    lower, upper = min(levels), max(levels)
    (u0, v0, _), (u1, v1, _) = levels[lower], levels[upper]
    factors = float(height_factor(lower, height_m)), float(height_factor(upper, height_m))
    if lower == upper:
        return factors[0] * u0, factors[0] * v0
    share = share_of_upper(lower, upper, height_m)
    return _between(u0, u1, share, factors), _between(v0, v1, share, factors)


def _between(first: Floats, second: Floats, share: float, factors: tuple[float, float]) -> Floats:
    mixed = (1 - share) * first + share * second
    alone = np.where(np.isfinite(first), factors[0] * first, factors[1] * second)
    return np.where(np.isfinite(mixed), mixed, alone)
