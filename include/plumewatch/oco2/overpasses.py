"""The overpasses of an orbit: its line over nadir and glint, and each place that the satellite was turned to.

In target and area-map mode the footprints sweep back and forth over one place. Taken for a line, each sweep would
give a peak of its own; laid on one axis, they are one overpass, in which a plume is one peak. The axis of a map lies
across the wind, which every plume crosses then, whichever way the sweeps run. It is that of the sweeps where no wind
is known or hardly any blows, and of a target whose sweeps lie one on the other.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch.constants import EARTH_RADIUS_KM
from plumewatch.geodesy import distance_to_chord, unit_vectors
from plumewatch.oco2.plume_wind import surface_to_plume_height
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Floats, Track, compute_track, east_and_north, normalised, usable_soundings
from plumewatch.table import floats

MODE = "operation_mode"
LINE_MODES = (0, 1, 3)  # nadir, glint, and the transition between them; 2 is target, others sweep too
STEP_S = 1.0  # three rows of footprints, whose mean is the swath's middle


def compute_overpasses(soundings: pa.Table) -> list[Track]:
    """Return the tracks of one orbit: that of its line, and one for each place that it swept over, in their order.

    An orbit without sweeps has the one track of `compute_track`. A sounding without a mode counts to the line.
    """
    if MODE not in soundings.column_names:
        return [compute_track(soundings)]
    usable = usable_soundings(soundings)
    if not usable.num_rows:
        return [compute_track(soundings)]
    soundings = usable  # a line of odd values takes no place along
    is_line = pc.or_(pc.is_in(soundings[MODE], pa.array(LINE_MODES, pa.int8())), pc.is_null(soundings[MODE]))
    if pc.all(is_line).as_py() is not False:
        return [compute_track(soundings)]
    line = soundings.filter(is_line)
    places = [_track_of_place(place) for place in _places(soundings.filter(pc.invert(is_line)))]
    tracks = [compute_track(line), *places]
    return [track for track in tracks if len(track)] or tracks[:1]


def _places(soundings: pa.Table) -> list[pa.Table]:
    """Soundings by place, in the order of time: the next place is where the footprints jump far away."""
    rows = soundings.sort_by([("observed_at_utc", "ascending"), ("sounding_id", "ascending")])
    points = unit_vectors(floats(rows["longitude"]), floats(rows["latitude"]))
    jump = np.linalg.norm(np.diff(points, axis=0), axis=-1) > distance_to_chord(peak_thresholds().place.reach_km)
    place = np.concatenate([[0], np.cumsum(jump)])
    return [rows.filter(pa.array(place == number)) for number in np.unique(place)]


def _track_of_place(soundings: pa.Table) -> Track:
    by_sweeps = compute_track(soundings, along_axis)
    is_known = np.isfinite(by_sweeps.wind_u_m_s) & np.isfinite(by_sweeps.wind_v_m_s)
    narrower_km = min(np.ptp(by_sweeps.distance_km), np.ptp(by_sweeps.across_km)) if len(by_sweeps) else 0.0
    if not is_known.any() or narrower_km < peak_thresholds().place.least_side_km:
        return by_sweeps
    u, v = (float(wind[is_known].mean()) for wind in (by_sweeps.wind_u_m_s, by_sweeps.wind_v_m_s))
    if surface_to_plume_height() * np.hypot(u, v) < peak_thresholds().flux.min_wind_m_s:
        return by_sweeps
    return compute_track(soundings, partial(along_axis, wind_m_s=(u, v)), is_across_wind=True)


def along_axis(
    time_s: Floats, points: Floats, wind_m_s: tuple[float, float] | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return distance along the axis of the sweeps and to its right (km), and the axis' bearing, of soundings in order.

    The axis goes through the middle, in the direction in which the sweeps run, back or forth: the mean of doubled
    angles, (dx + i dy)^2 summed over steps of a second; with a wind (towards east and north) it lies across that. It is
    told as northward. Distances are from the first sounding along it.
    """
    if not len(time_s):
        return np.empty(0), np.empty(0), np.empty(0)
    centre = normalised(points.mean(axis=0))
    east, north = east_and_north(centre)
    offset = points - centre
    x, y = EARTH_RADIUS_KM * (offset @ east), EARTH_RADIUS_KM * (offset @ north)
    angle = _axis_angle(time_s, x, y) if wind_m_s is None else _northward(np.arctan2(wind_m_s[0], -wind_m_s[1]))
    along, across = x * np.cos(angle) + y * np.sin(angle), x * np.sin(angle) - y * np.cos(angle)
    bearing = float(np.degrees(np.pi / 2 - angle)) % 360.0
    return along - along.min(), across, np.full(len(time_s), bearing)


def _axis_angle(time_s: Floats, x: Floats, y: Floats) -> float:
    """Direction of the axis from east, in (0, pi]: northwards, or due west."""
    second, step = np.unique(np.floor((time_s - time_s[0]) / STEP_S), return_inverse=True)
    count, is_next = np.bincount(step), np.diff(second) == 1  # a longer step may be the turn to the next sweep
    dx, dy = (np.diff(np.bincount(step, value) / count)[is_next] for value in (x, y))
    doubled = complex((dx**2 - dy**2).sum(), 2 * (dx * dy).sum())
    return _northward(float(np.angle(doubled)) / 2 if doubled else np.pi / 2)


def _northward(angle: float) -> float:
    """The same line's angle from east, in (0, pi]."""
    return np.pi - float(-angle % np.pi)
