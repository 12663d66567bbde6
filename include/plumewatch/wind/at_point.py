"""The wind at a place and time, from rows of the table `wind`.

In space bilinear where the rows lie on a regular grid of longitudes and latitudes (a cut-out of one will do), else by
inverse squared distance; in time linear between the two times around; in height linear in its logarithm between the two
heights around, and by a power law beyond the lowest or highest (`profile`). In space and time nothing is extrapolated
further than the limits below: a wind that is not known is None or NaN, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from plumewatch.geodesy import chord_to_distance_km, unit_vectors
from plumewatch.wind.profile import height_factor, is_plausible, levels_around, share_of_upper

Floats = NDArray[np.float64]

MAX_DISTANCE_KM = 80.0  # half the diagonal of a cell of 1 degree (78.6 km): beyond it a grid has a hole
MAX_AGE_HOURS = 3.0  # half the step of the coarsest reanalysis (6 hours): some time of any product is this near
SURFACE_WIND_HEIGHT_M = 10.0  # height of the near-surface wind of weather models (WMO-No. 8)
GRID_ROUNDING_DEG = 1e-4  # f32 coordinates are good to 1.5e-5 degrees; grids are coarser than 0.01
MIN_GRID_STEP_DEG = 0.01  # below 1 km rows are stations, not a weather model's grid
GRID_TOLERANCE = 0.05  # of a step
NEIGHBOURS = 4  # corners of a cell, and as many stations
MICROSECONDS_PER_HOUR = 3_600_000_000
NUMBERS = ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s", "height_m")
POLE_DEG = 90.0


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


def is_usable(wind: pa.Table) -> NDArray[np.bool_]:
    """Return which rows of the table `wind` say a wind: a time, a place, a height above ground, no fill value."""
    lon, lat, u, v, height = (wind[n].to_numpy().astype(float) for n in NUMBERS)
    has_place = np.isfinite(lon) & (np.abs(lat) <= POLE_DEG) & np.isfinite(height) & (height > 0)
    return has_place & is_plausible(u, v) & np.isfinite(_hours(wind["observed_at_utc"]))


@dataclass(frozen=True, eq=False)
class WindField:
    """Rows of the table `wind`, ready to be asked at many places one by one."""

    products: tuple[tuple[str, _Rows], ...]
    """Name and rows of each product, by name."""

    @classmethod
    def of(cls, wind: pa.Table) -> WindField:
        """Take the usable rows."""
        rows = _Rows.from_table(wind)
        return cls(tuple((str(name), rows.take(rows.product == name)) for name in np.unique(rows.product)))


def wind_at(
    wind: pa.Table | WindField,
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
    wind: pa.Table | WindField,
    longitude: float,
    latitude: float,
    observed_at_utc: datetime,
    height_m: float = SURFACE_WIND_HEIGHT_M,
) -> list[WindAtPoint]:
    """Return what each product that knows the wind at a place, time and height says, by name of the product."""
    lon, lat, time = np.array([longitude], float), np.array([latitude], float), _hours([observed_at_utc])
    found = []
    for product, rows in (wind if isinstance(wind, WindField) else WindField.of(wind)).products:
        levels = _levels(rows, lon, lat, time, height_m)
        u, v = _in_height(levels, height_m)
        if np.isfinite(u[0]):
            known = tuple(level for level, (of_level, _) in levels.items() if np.isfinite(of_level[0]))
            found.append(WindAtPoint(float(u[0]), float(v[0]), height_m, product, known))
    return found


def winds_at(
    wind: pa.Table,
    longitude: ArrayLike,
    latitude: ArrayLike,
    observed_at_utc: Sequence[datetime] | pa.Array | pa.ChunkedArray | NDArray[np.datetime64],
    height_m: float = SURFACE_WIND_HEIGHT_M,
) -> WindAtPoints:
    """Return the wind at many places (degrees) and times, as `wind_at` does for one.

    `wind` has the columns of the table `wind`, `product` where there are several: a point takes the first product (by
    name) that knows its wind. Rows at exactly `height_m` are used as they are. A point without a time gets NaN.
    """
    lon, lat, time = np.asarray(longitude, float), np.asarray(latitude, float), _hours(observed_at_utc)
    u, v = np.full(lon.shape, np.nan), np.full(lon.shape, np.nan)
    products = WindField.of(wind).products
    for _, rows in products:
        wanted = np.flatnonzero(np.isnan(u) & np.isfinite(time))
        u[wanted], v[wanted] = _in_height(_levels(rows, lon[wanted], lat[wanted], time[wanted], height_m), height_m)
    return WindAtPoints(u, v, height_m if products else math.nan)


def _levels(rows: _Rows, lon: Floats, lat: Floats, time: Floats, height_m: float) -> dict[float, tuple[Floats, Floats]]:
    """Wind of one product at its heights around the one that is asked for, from below."""
    heights = levels_around(np.unique(rows.height).tolist(), height_m)
    return {height: _in_time(rows.take(rows.height == height), lon, lat, time) for height in heights}


def _in_height(levels: dict[float, tuple[Floats, Floats]], height_m: float) -> tuple[Floats, Floats]:
    """Wind of one product: at the height itself, between the two around it, or carried on from the nearest.

    Where one of the two around is not known at a point, the other one is carried on.
    """
    lower, upper = min(levels), max(levels)
    (u0, v0), (u1, v1) = levels[lower], levels[upper]
    factors = float(height_factor(lower, height_m)), float(height_factor(upper, height_m))
    if lower == upper:
        return factors[0] * u0, factors[0] * v0
    share = share_of_upper(lower, upper, height_m)
    return _between(u0, u1, share, factors), _between(v0, v1, share, factors)


def _between(first: Floats, second: Floats, share: float, factors: tuple[float, float]) -> Floats:
    mixed = (1 - share) * first + share * second
    alone = np.where(np.isfinite(first), factors[0] * first, factors[1] * second)
    return np.where(np.isfinite(mixed), mixed, alone)


@dataclass(frozen=True)
class _Rows:
    time: Floats
    """Hours since 1970."""
    lon: Floats
    lat: Floats
    u: Floats
    v: Floats
    height: Floats
    product: NDArray[np.str_]

    @classmethod
    def from_table(cls, wind: pa.Table) -> _Rows:
        """Rows that say a wind, in an order of their own: what comes out doesn't depend on the order of the file."""
        number = {n: wind[n].to_numpy().astype(float) for n in NUMBERS}
        time = _hours(wind["observed_at_utc"])
        product = (
            np.asarray(wind["product"].to_pylist(), dtype=str)
            if "product" in wind.column_names
            else np.full(len(time), "")
        )
        rows = cls(
            time,
            number["longitude"],
            number["latitude"],
            number["wind_u_m_s"],
            number["wind_v_m_s"],
            number["height_m"],
            product,
        )
        order = np.lexsort((rows.v, rows.u, rows.lon, rows.lat, rows.time))
        return rows.take(order[is_usable(wind)[order]])

    def take(self, which: NDArray[np.generic] | slice) -> _Rows:
        return _Rows(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def _hours(times: Sequence[datetime] | pa.Array | pa.ChunkedArray | NDArray[np.datetime64]) -> Floats:
    """Hours since 1970, NaN for a null."""
    if isinstance(times, np.ndarray) and times.dtype.kind == "M":
        column = pa.array(times.astype("datetime64[us]"))
    else:
        column = (
            times
            if isinstance(times, pa.Array | pa.ChunkedArray)
            else pa.array(list(times), pa.timestamp("us", tz="UTC"))
        )
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / MICROSECONDS_PER_HOUR


def _in_time(rows: _Rows, lon: Floats, lat: Floats, time: Floats) -> tuple[Floats, Floats]:
    """Wind of one product and height: linear between the times before and after; where one is missing, the near one."""
    times = np.unique(rows.time)
    after = np.searchsorted(times, time)  # the first time not before the point's
    before = np.where(times[np.minimum(after, len(times) - 1)] == time, after, after - 1)
    age = np.where(before >= 0, time - times[np.maximum(before, 0)], np.inf)
    lead = np.where(after < len(times), times[np.minimum(after, len(times) - 1)] - time, np.inf)
    u0, v0 = _in_space(rows, np.where(age <= 2 * MAX_AGE_HOURS, times[np.maximum(before, 0)], np.nan), lon, lat)
    u1, v1 = _in_space(
        rows, np.where(lead <= 2 * MAX_AGE_HOURS, times[np.minimum(after, len(times) - 1)], np.nan), lon, lat
    )

    is_between = np.isfinite(u0) & np.isfinite(u1) & (age + lead <= 2 * MAX_AGE_HOURS)
    has_before, has_after = np.isfinite(u0) & (age <= MAX_AGE_HOURS), np.isfinite(u1) & (lead <= MAX_AGE_HOURS)
    takes_after = has_after & ~(has_before & (age <= lead))
    share = np.select(
        [is_between & (age > 0), is_between | (has_before & ~takes_after), takes_after],
        [_ratio(age, age + lead), 0.0, 1.0],
        np.nan,
    )
    return _mix(u0, u1, share), _mix(v0, v1, share)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=np.isfinite(whole) & (whole > 0))


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    """`first` and `second` in the stated share; the one that has no share may be NaN."""
    return np.where(share == 0, first, np.where(share == 1, second, (1 - share) * first + share * second))


def _in_space(rows: _Rows, slot: Floats, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Wind at the points, each at the time of the rows that its `slot` names; NaN where it names none."""
    u, v = np.full(lon.shape, np.nan), np.full(lon.shape, np.nan)
    grid = _Grid.of(rows.lon, rows.lat)
    for time in np.unique(slot[np.isfinite(slot)]):
        points = np.flatnonzero(slot == time)
        field = rows.take(slice(*np.searchsorted(rows.time, [time, np.nextafter(time, np.inf)])))
        index, weight = _nearest(field, lon[points], lat[points])
        if grid is not None:
            corner, share = grid.corners(field.lon, field.lat, lon[points], lat[points])
            has_cell = (corner >= 0).all(axis=1) & (weight.sum(axis=1) > 0)
            index[has_cell], weight[has_cell] = corner[has_cell], share[has_cell]
        total = weight.sum(axis=1)
        known = total > 0
        u[points[known]] = (weight * field.u[index]).sum(axis=1)[known] / total[known]
        v[points[known]] = (weight * field.v[index]).sum(axis=1)[known] / total[known]
    return u, v


def _nearest(field: _Rows, lon: Floats, lat: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The four nearest rows of each point and their inverse squared distances, 0 beyond the limit: (points, 4)."""
    chord, index = cKDTree(unit_vectors(field.lon, field.lat)).query(unit_vectors(lon, lat), k=NEIGHBOURS)
    distance_km = chord_to_distance_km(chord)  # the chord is inf where there are fewer rows
    weight = np.where(
        np.isfinite(chord) & (distance_km <= MAX_DISTANCE_KM), 1 / np.maximum(distance_km, 1e-6) ** 2, 0.0
    )
    return np.minimum(index, len(field.lon) - 1), weight


@dataclass(frozen=True)
class _Grid:
    """Longitudes and latitudes at whole multiples of a step, of which any part may be present."""

    west: float
    south: float
    step_lon: float
    step_lat: float
    columns: int
    """Columns around the globe, 0 where the step doesn't divide it: then nothing is joined over the antimeridian."""

    @classmethod
    def of(cls, lon: Floats, lat: Floats) -> _Grid | None:
        """The grid that all rows lie on, None where they lie on none."""
        step_lon, step_lat = _step(lon), _step(lat)
        if step_lon is None or step_lat is None:
            return None
        around = round(360.0 / step_lon)
        return cls(
            lon.min(),
            lat.min(),
            step_lon,
            step_lat,
            around if abs(around * step_lon - 360.0) < step_lon * GRID_TOLERANCE else 0,
        )

    def corners(self, lon: Floats, lat: Floats, at_lon: Floats, at_lat: Floats) -> tuple[NDArray[np.intp], Floats]:
        """Rows at the corners of each point's cell (-1 where absent) and their bilinear shares: (points, 4)."""
        code = self._code(np.rint((lon - self.west) / self.step_lon), np.rint((lat - self.south) / self.step_lat))
        order = np.argsort(code, kind="stable")
        x, y = (at_lon - self.west) / self.step_lon, (at_lat - self.south) / self.step_lat
        column, row = np.floor(x + GRID_ROUNDING_DEG), np.floor(y + GRID_ROUNDING_DEG)
        right, upper = np.clip(x - column, 0, 1), np.clip(y - row, 0, 1)
        found, share = [], []
        for east, north in ((0, 0), (1, 0), (0, 1), (1, 1)):
            part = (right if east else 1 - right) * (upper if north else 1 - upper)
            wanted = self._code(column + east, row + north)
            place = np.minimum(np.searchsorted(code[order], wanted), len(code) - 1)
            # A corner without a share isn't needed: a point on the last row or column of a cut-out is inside it.
            found.append(np.where(code[order][place] == wanted, order[place], np.where(part == 0, 0, -1)))
            share.append(part)
        return np.column_stack(found), np.column_stack(share)

    def _code(self, column: Floats, row: Floats) -> NDArray[np.int64]:
        column = np.mod(column, self.columns) if self.columns else column
        return (row * 2**31 + column).astype(np.int64)


def _step(degrees: Floats) -> float | None:
    """The step of which all values are whole multiples from the first, None where there is none."""
    values = np.unique(np.rint(degrees / GRID_ROUNDING_DEG)) * GRID_ROUNDING_DEG
    steps = np.diff(values)
    steps = steps[steps >= MIN_GRID_STEP_DEG]
    if not len(steps):
        return None
    # Over the whole extent, so that the rounding of single coordinates doesn't add up.
    step = (values[-1] - values[0]) / max(1, round((values[-1] - values[0]) / steps.min()))
    offset = (values - values[0]) / step
    return float(step) if np.abs(offset - np.rint(offset)).max() < GRID_TOLERANCE else None
