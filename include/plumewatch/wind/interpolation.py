"""Between the rows of one product and height: bilinear or by distance in space, linear in time.

Nothing is extrapolated further than the limits below: a wind that is not known is NaN, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from plumewatch.geodesy import chord_to_distance_km, unit_vectors
from plumewatch.wind.rows import WindRows

Floats = NDArray[np.float64]

MAX_DISTANCE_KM = 80.0  # half the diagonal of a cell of 1 degree (78.6 km): beyond it a grid has a hole
MAX_AGE_HOURS = 3.0  # half the step of the coarsest reanalysis (6 hours): some time of any product is this near
GRID_ROUNDING_DEG = 1e-4  # f32 coordinates are good to 1.5e-5 degrees; grids are coarser than 0.01
MIN_GRID_STEP_DEG = 0.01  # below 1 km rows are stations, not a weather model's grid
GRID_TOLERANCE = 0.05  # of a step
NEIGHBOURS = 4  # corners of a cell, and as many stations


def in_space_and_time(rows: WindRows, lon: Floats, lat: Floats, time: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the wind at places (degrees) and times (hours since 1970), from rows of one product and height.

    Linear between the times before and after; where one is missing, the near one. Third comes how far the wind was
    carried, in shares of the limits: the root of (distance / 80 km)^2 + (age / 3 h)^2, inf where no wind is known. The
    distance is that of the nearest row, 0 inside of a grid's cell. The age is that of the one time taken; between two
    times a and b away it is a * b / (a + b), as the error of what is linear between them grows.
    """
    times = np.unique(rows.time)
    after = np.searchsorted(times, time)  # the first time not before the point's
    before = np.where(times[np.minimum(after, len(times) - 1)] == time, after, after - 1)
    age = np.where(before >= 0, time - times[np.maximum(before, 0)], np.inf)
    lead = np.where(after < len(times), times[np.minimum(after, len(times) - 1)] - time, np.inf)
    u0, v0, far0 = _in_space(rows, np.where(age <= 2 * MAX_AGE_HOURS, times[np.maximum(before, 0)], np.nan), lon, lat)
    u1, v1, far1 = _in_space(
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
    carried_h = np.select([is_between, share == 0, share == 1], [_ratio(age * lead, age + lead), age, lead], np.inf)
    carried = np.hypot(_mix(far0, far1, share) / MAX_DISTANCE_KM, carried_h / MAX_AGE_HOURS)
    return _mix(u0, u1, share), _mix(v0, v1, share), np.where(np.isnan(carried), np.inf, carried)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=np.isfinite(whole) & (whole > 0))


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    """`first` and `second` in the stated share; the one that has no share may be NaN."""
    return np.where(share == 0, first, np.where(share == 1, second, (1 - share) * first + share * second))


def _in_space(rows: WindRows, slot: Floats, lon: Floats, lat: Floats) -> tuple[Floats, Floats, Floats]:
    """Wind at the points, each at the time of the rows that its `slot` names, and its distance in km; NaN if none."""
    u, v, far_km = (np.full(lon.shape, np.nan) for _ in range(3))
    grid = _Grid.of(rows.lon, rows.lat)
    for time in np.unique(slot[np.isfinite(slot)]):
        points = np.flatnonzero(slot == time)
        field = rows.take(slice(*np.searchsorted(rows.time, [time, np.nextafter(time, np.inf)])))
        index, weight, distance_km = _nearest(field, lon[points], lat[points])
        if grid is not None:
            corner, share = grid.corners(field.lon, field.lat, lon[points], lat[points])
            has_cell = (corner >= 0).all(axis=1) & (weight.sum(axis=1) > 0)
            index[has_cell], weight[has_cell], distance_km[has_cell] = corner[has_cell], share[has_cell], 0.0
        total = weight.sum(axis=1)
        known = total > 0
        u[points[known]] = (weight * field.u[index]).sum(axis=1)[known] / total[known]
        v[points[known]] = (weight * field.v[index]).sum(axis=1)[known] / total[known]
        far_km[points[known]] = distance_km[known]
    return u, v, far_km


def _nearest(field: WindRows, lon: Floats, lat: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    """The four nearest rows of each point and their inverse squared distances, 0 beyond the limit: (points, 4).

    Third comes the distance of the nearest in km.
    """
    chord, index = cKDTree(unit_vectors(field.lon, field.lat)).query(unit_vectors(lon, lat), k=NEIGHBOURS)
    distance_km = chord_to_distance_km(chord)  # the chord is inf where there are fewer rows
    weight = np.where(
        np.isfinite(chord) & (distance_km <= MAX_DISTANCE_KM), 1 / np.maximum(distance_km, 1e-6) ** 2, 0.0
    )
    return np.minimum(index, len(field.lon) - 1), weight, distance_km[:, 0]


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
