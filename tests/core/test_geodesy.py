"""Directions, chords and UTM zones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.geodesy import (
    angle_between_deg,
    chord_to_distance_km,
    distance_to_chord,
    great_circle_distance_km,
    unit_vectors,
    utm_epsg,
)
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info

LONGITUDES, LATITUDES = st.floats(-180.0, 180.0), st.floats(-90.0, 90.0)


@pytest.mark.parametrize(
    ("place", "epsg"),
    [
        ((-180.0, 10.0), 32601), ((180.0, 10.0), 32601), ((179.9, 10.0), 32660), ((190.0, 10.0), 32602),
        ((-190.0, -10.0), 32759), ((0.0, 0.0), 32631), ((-0.1, -0.1), 32730), ((6.0, 60.0), 32632),
        ((5.9, 60.0), 32631),
    ],
)  # fmt: skip
def test_zones_begin_at_180_and_are_six_degrees_wide(place: tuple[float, float], epsg: int) -> None:
    assert utm_epsg(*place) == epsg


@settings(max_examples=25, deadline=None)  # a look-up takes some hundredths of a second
@given(st.integers(-17_999, 17_999), st.integers(-7_990, 5_590).filter(bool))
def test_zones_are_those_of_the_epsg_register(east: int, north: int) -> None:
    """South of Norway's and Svalbard's exceptions; on a boundary the register names both zones."""
    longitude, latitude = east / 100, north / 100
    at = AreaOfInterest(longitude, latitude, longitude, latitude)
    known = {int(crs.code) for crs in query_utm_crs_info("WGS 84", at)}
    assert utm_epsg(longitude, latitude) in known


def test_a_stated_zone_counts_on_either_side_of_the_equator() -> None:
    assert utm_epsg(54.2, 38.5, zone=39) == 32639 and utm_epsg(54.2, -38.5, 41) == 32741


@given(LONGITUDES, LATITUDES, LONGITUDES, LATITUDES)
def test_chords_are_great_circle_distances(lon1: float, lat1: float, lon2: float, lat2: float) -> None:
    first, second = unit_vectors([lon1, lon2], [lat1, lat2])
    distance_km = chord_to_distance_km(float(np.linalg.norm(first - second)))
    assert distance_km == pytest.approx(float(great_circle_distance_km(lon1, lat1, lon2, lat2)), rel=1e-6, abs=1e-6)


@given(st.floats(0.0, 20_000.0))
def test_a_distance_and_its_chord_are_inverse(distance_km: float) -> None:
    assert float(chord_to_distance_km(distance_to_chord(distance_km))) == pytest.approx(distance_km, rel=1e-6)


def test_no_neighbour_is_farther_than_all_places() -> None:
    assert float(chord_to_distance_km(np.inf)) == pytest.approx(np.pi * 6371.0088)


def test_angles_have_no_north() -> None:
    assert angle_between_deg([350.0, 10.0, 0.0, -90.0], [10.0, 350.0, 180.0, 90.0]).tolist() == [
        20.0,
        20.0,
        180.0,
        180.0,
    ]
