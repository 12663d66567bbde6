"""Where an orbit's soundings lie, as a line of few corners: what a map draws of an orbit, with a peak or without."""

from __future__ import annotations

import numpy as np
import shapely

from plumewatch.geodesy import unit_vectors
from plumewatch.oco2.track import Floats, normalised

STEP_S = 3.0  # 20 km of ground track: its soundings are one corner, the middle of the swath
GAP_S = 15.0  # 100 km of ground track without a sounding break the line: there nothing was looked at
TOLERANCE_DEG = 0.05  # half the swath of 10 km: a corner that is no farther beside the line is left out
MAX_CORNERS = 100  # of a line: coarser, by steps of two, until it has no more
COARSER = 2.0
DIGITS = 4  # of degrees: 10 m
HALF_TURN_DEG = 180.0


def compute_track_line(time_s: Floats, longitude: Floats, latitude: Floats) -> shapely.MultiLineString:
    """Return the line of one orbit's soundings (n values each: s, degrees, any order), at most some 100 corners.

    It is broken where no sounding is for 100 km, and at the antimeridian. Where it would have more corners, gaps are
    bridged and corners left out until it hasn't. Empty without soundings.

    >>> time_s = np.arange(300.0)
    >>> compute_track_line(time_s, 20.0 - 0.01 * time_s, 10.0 + 0.06 * time_s).wkt
    'MULTILINESTRING ((20 10, 17.01 27.94))'
    """
    order = np.argsort(time_s, kind="stable")
    time_s, longitude, latitude = (values[order] for values in (time_s, longitude, latitude))
    gap_s, tolerance_deg = GAP_S, TOLERANCE_DEG
    while True:
        lines = shapely.simplify(_pieces(time_s, longitude, latitude, gap_s), tolerance_deg)
        if shapely.get_num_coordinates(lines).sum() <= MAX_CORNERS or gap_s > np.ptp(time_s):
            return shapely.transform(shapely.multilinestrings(lines), lambda places: np.round(places, DIGITS))
        gap_s, tolerance_deg = COARSER * gap_s, COARSER * tolerance_deg


def _pieces(time_s: Floats, longitude: Floats, latitude: Floats, gap_s: float) -> np.ndarray:
    """Lines between gaps: from the first sounding over the middles of all steps to the last."""
    if not len(time_s):
        return np.empty(0, object)
    is_first = np.append(True, np.diff(time_s) > gap_s)
    ends = np.flatnonzero(is_first | np.append(is_first[1:], True))
    _, step = np.unique(np.floor((time_s - time_s[0]) / STEP_S), return_inverse=True)
    count = np.bincount(step)
    x, y, z = normalised(np.stack([np.bincount(step, axis) for axis in unit_vectors(longitude, latitude).T], -1)).T
    middle = np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))
    corner_s = np.concatenate([time_s[ends], np.bincount(step, time_s) / count])
    lon = np.concatenate([longitude[ends], middle[0]])
    lat = np.concatenate([latitude[ends], middle[1]])
    order = np.argsort(corner_s, kind="stable")
    corner_s, lon, lat = corner_s[order], lon[order], lat[order]
    is_new = (np.diff(corner_s) > gap_s) | (np.abs(np.diff(lon)) > HALF_TURN_DEG)
    piece = np.concatenate([[0], np.cumsum(is_new)])
    is_line = np.bincount(piece)[piece] > 1
    if not is_line.any():
        return np.empty(0, object)
    _, own = np.unique(piece[is_line], return_inverse=True)
    return np.asarray(shapely.linestrings(np.column_stack([lon, lat])[is_line], indices=own))
