"""The line of an orbit's soundings: where they are, broken where none is, of few corners."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from planted import Planted, planted_columns, soundings_of
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.oco2.detection import detect_peaks
from plumewatch.oco2.track_line import MAX_CORNERS, compute_track_line

MOST_BESIDE_KM = 8.0  # half the swath and the tolerance


def flight(n_s: int = 2700, per_s: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An orbit from pole to pole over the antimeridian: seconds and places of footprints 5 km to both sides."""
    time_s = np.arange(n_s * per_s) / per_s
    latitude = -80.0 + 160.0 * time_s / n_s
    longitude = 176.0 - 9.0 * np.tan(np.radians(latitude * 0.9)) / 2 - 11.0 * time_s / n_s
    side = np.random.default_rng(1).uniform(-0.045, 0.045, len(time_s)) / np.cos(np.radians(latitude))
    return time_s, (longitude + side + 180.0) % 360.0 - 180.0, latitude


def test_the_line_is_where_the_soundings_are_and_short() -> None:
    time_s, longitude, latitude = flight()
    line = compute_track_line(time_s, longitude, latitude)
    assert shapely.get_num_coordinates(line) <= MAX_CORNERS and line.is_valid
    west, south, east, north = line.bounds
    assert west >= -180.0 and east < 180.0 and (south, north) == pytest.approx((-80.0, 80.0), abs=0.1)
    assert len(line.geoms) == 2  # it crosses the antimeridian once, and no piece runs back across the map
    assert all(part.bounds[2] - part.bounds[0] < 60 for part in line.geoms)
    at = np.arange(0, len(time_s), 997)
    near = shapely.get_coordinates(shapely.shortest_line(line, shapely.points(longitude[at], latitude[at])))
    beside = great_circle_distance_km(near[::2, 0], near[::2, 1], longitude[at], latitude[at])
    assert beside.max() < MOST_BESIDE_KM + 20.0 * (np.abs(longitude[at]) > 178).max()


def test_where_nothing_was_measured_there_is_no_line() -> None:
    time_s, longitude, latitude = flight()
    since_s = time_s - 1500
    is_clear = ((since_s > 0) & (since_s < 100)) | ((since_s > 200) & (since_s < 202)) | (since_s > 210)
    line = compute_track_line(*(values[is_clear] for values in (time_s, longitude, latitude)))
    starts = [part.coords[0][1] for part in line.geoms]
    ends = [part.coords[-1][1] for part in line.geoms]
    assert starts[1] - ends[0] == pytest.approx(100 * 160.0 / 2700, abs=0.1)
    assert len(line.geoms) == 2  # 8 s without a sounding are no gap


def test_specks_of_clear_sky_don_t_make_it_long() -> None:
    time_s, longitude, latitude = flight()
    is_clear = time_s % 40 < 2
    line = compute_track_line(*(values[is_clear] for values in (time_s, longitude, latitude)))
    assert 0 < shapely.get_num_coordinates(line) <= MAX_CORNERS
    assert line.bounds[1] == pytest.approx(-80, abs=0.1) and line.bounds[3] == pytest.approx(80, abs=2.5)


def test_an_orbit_s_observation_says_where_it_is() -> None:
    table = soundings_of(planted_columns(np.random.default_rng(7), 1000, [Planted(505, 3.0, 8.0)]))
    [observation] = json.loads(json.dumps(detect_peaks(table).observations))
    line = shapely.from_wkb(observation["track"])
    assert line.geom_type == "MultiLineString"
    middle = shapely.Point(np.median(table["longitude"]), np.median(table["latitude"]))
    assert line.distance(middle) < 0.2
