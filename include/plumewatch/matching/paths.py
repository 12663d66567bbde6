"""The way that the air of a detection came, back through a field of wind. Pure.

    dx/ds = -w(x, t) / |w(x, t)|,   dt/ds = -1 / |w(x, t)|

from the detection's place and time, s the length of the way, by Heun's steps of 10 km, all detections at once. A place
is known by how far east and north of the detection it lies (the azimuthal plane around it, in which the wind's
components are taken as they are: over 100 km at 50 degrees of latitude north turns by 1 degree). Where the field isn't
known at the time, that of the detection's time is taken, and where it isn't known at all, the air came straight on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.geodesy import destination
from plumewatch.matching.rule import KM_PER_M_S_HOUR, PeakRule
from plumewatch.table import floats
from plumewatch.wind.at_point import WindLookup, winds_at

Floats = NDArray[np.float64]

CALM_M_S = 0.05  # half the last digit that weather models are stored with: below, the direction is rounding
STEP_KM = 10.0  # a third of a cell of a reanalysis: a turn of 50 km radius is met to 0.1 km
EAST, NORTH, REACH = "path_east_km", "path_north_km", "path_reach_km"
MICROSECONDS_PER_HOUR = 3.6e9


@dataclass(frozen=True)
class Paths:
    """Ways of the air, one row a detection: points every so many kilometres, the first where it was seen."""

    east_km: Floats
    """Shape (detections, points); NaN where no field is known."""
    north_km: Floats
    reach_km: Floats
    """How far along it the air was after the rule's hours; NaN where no field is known."""

    @property
    def has_path(self) -> NDArray[np.bool_]:
        """Of which detections the way is known."""
        return np.isfinite(self.reach_km)

    def along_and_across(self, owner: NDArray[np.intp], east_km: Floats, north_km: Floats) -> tuple[Floats, Floats]:
        """Return how far along the way of its detection each place lies (upwind), and across, left looking downwind.

        The nearest point of the way counts; the way goes straight on at both of its ends.

        >>> straight = Paths(np.array([[0.0, -10.0, -20.0]]), np.zeros((1, 3)), np.array([20.0]))
        >>> straight.along_and_across(np.zeros(2, int), np.array([-25.0, 4.0]), np.array([1.0, 0.0]))
        (array([25., -4.]), array([1., 0.]))
        """
        points = np.stack([self.east_km[owner], self.north_km[owner]], axis=-1)
        ways = np.diff(points, axis=1)
        lengths = np.linalg.norm(ways, axis=-1)
        ways = ways / lengths[..., None]
        starts = np.cumsum(lengths, axis=1) - lengths
        off = np.stack([east_km, north_km], axis=-1)[:, None, :] - points[:, :-1]
        ahead = (off * ways).sum(axis=-1)
        least, most = np.zeros_like(lengths), lengths.copy()
        least[:, 0], most[:, -1] = -np.inf, np.inf
        ahead = np.clip(ahead, least, most)
        beside = off - ahead[..., None] * ways
        distance = np.linalg.norm(beside, axis=-1)
        row, nearest = np.arange(len(owner)), distance.argmin(axis=1)
        way, rest = ways[row, nearest], beside[row, nearest]
        side = np.sign(rest[:, 0] * way[:, 1] - rest[:, 1] * way[:, 0])  # left of where the air went, not came from
        return starts[row, nearest] + ahead[row, nearest], side * distance[row, nearest]


def find_paths(
    wind: WindLookup,
    longitude: Floats,
    latitude: Floats,
    observed_at_utc: NDArray[np.datetime64],
    blowing: tuple[Floats, Floats],
    rule: PeakRule,
    height_m: float,
) -> Paths:
    """Return the ways by which the air came to places (degrees) at times, in the wind at a height above ground.

    `blowing` is the wind at the places themselves, u and v in m/s; where it isn't known, or calm, there is no way.
    """
    known = np.flatnonzero((np.hypot(*blowing) >= CALM_M_S) & ~np.isnat(observed_at_utc))
    n_steps = round(rule.max_distance_km / STEP_KM)
    east, north = (np.full((len(longitude), n_steps + 1), np.nan) for _ in range(2))
    reach = np.full(len(longitude), np.nan)
    field = _Field(wind, longitude[known], latitude[known], observed_at_utc[known].astype("datetime64[us]"), height_m)
    x, y, age = (np.zeros(len(known)) for _ in range(3))
    ages = [age]
    here = blowing[0][known], blowing[1][known]
    east[known, 0] = north[known, 0] = 0.0
    for step in range(n_steps):
        way, pace = _way(rule, *here)
        there = field.at(x + STEP_KM * way[0], y + STEP_KM * way[1], age + STEP_KM * pace, here)
        next_way, next_pace = _way(rule, *there)
        both = way[0] + next_way[0], way[1] + next_way[1]
        length = np.hypot(*both)
        turns_back = length < 1e-6
        length = np.where(turns_back, 1.0, length)
        x = x + STEP_KM * np.where(turns_back, way[0], both[0] / length)
        y = y + STEP_KM * np.where(turns_back, way[1], both[1] / length)
        age = age + STEP_KM * (pace + next_pace) / 2.0
        here = field.at(x, y, age, there)
        east[known, step + 1], north[known, step + 1] = x, y
        ages.append(age)
    reach[known] = _reach(rule, np.stack(ages, axis=1))
    return Paths(east, north, reach)


def with_paths(detections: pa.Table, ways: Sequence[tuple[NDArray[np.intp], Paths]]) -> pa.Table:
    """Return DETECTIONS with the ways of their air, each with the rows that it is of; `paths_of` reads them."""
    n, points = detections.num_rows, ways[0][1].east_km.shape[1]
    east, north, reach = np.full((n, points), np.nan), np.full((n, points), np.nan), np.full(n, np.nan)
    for at, paths in ways:
        east[at], north[at], reach[at] = paths.east_km, paths.north_km, paths.reach_km
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * points)
    for name, values in ((EAST, east), (NORTH, north)):
        detections = detections.append_column(name, pa.ListArray.from_arrays(offsets, pa.array(values.ravel())))
    return detections.append_column(REACH, pa.array(reach))


def paths_of(detections: pa.Table) -> Paths | None:
    """Return the ways of the air that came with DETECTIONS; None where none did."""
    if REACH not in detections.column_names or not detections.num_rows:
        return None
    east, north = (
        detections[name].combine_chunks().flatten().to_numpy().reshape(detections.num_rows, -1)
        for name in (EAST, NORTH)
    )
    return Paths(east, north, floats(detections[REACH]))


@dataclass(frozen=True)
class _Field:
    """The wind around detections."""

    wind: WindLookup
    lon: Floats
    lat: Floats
    observed: NDArray[np.datetime64]
    height_m: float

    def at(
        self, east_km: Floats, north_km: Floats, age_h: Floats, before: tuple[Floats, Floats]
    ) -> tuple[Floats, Floats]:
        """The wind so far from each detection, so many hours before; that of the point `before` where it isn't known.

        A calm has no direction: there too the air came straight on.
        """
        place = destination(self.lon, self.lat, np.degrees(np.arctan2(east_km, north_km)), np.hypot(east_km, north_km))
        then = self.observed - np.rint(age_h * MICROSECONDS_PER_HOUR).astype("timedelta64[us]")
        found = winds_at(self.wind, *place, then, self.height_m)
        u, v = found.wind_u_m_s, found.wind_v_m_s
        rest = np.flatnonzero(~np.isfinite(u))
        if len(rest):
            frozen = winds_at(self.wind, place[0][rest], place[1][rest], self.observed[rest], self.height_m)
            u[rest], v[rest] = frozen.wind_u_m_s, frozen.wind_v_m_s
        is_known = np.hypot(u, v) >= CALM_M_S
        return np.where(is_known, u, before[0]), np.where(is_known, v, before[1])


def _way(rule: PeakRule, u: Floats, v: Floats) -> tuple[tuple[Floats, Floats], Floats]:
    """The direction that the air came from (east, north), and its hours a kilometre."""
    speed = np.hypot(u, v)
    return (-u / speed, -v / speed), 1.0 / (KM_PER_M_S_HOUR * np.maximum(speed, rule.min_travel_speed_m_s))


def _reach(rule: PeakRule, ages_h: Floats) -> Floats:
    """How far along its way the air was after the rule's hours; at the pace of the last step beyond its end."""
    late = ages_h >= rule.max_travel_hours
    after = np.where(late.any(axis=1), late.argmax(axis=1), ages_h.shape[1] - 1)
    row = np.arange(len(ages_h))
    before, then = ages_h[row, after - 1], ages_h[row, after]
    return np.asarray((after - 1 + (rule.max_travel_hours - before) / (then - before)) * STEP_KM)
