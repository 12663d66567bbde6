"""Directions, chords and UTM zones."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.geodesy import (
    angle_between_deg,
    chord_to_distance_km,
    distance_to_chord,
    great_circle_distance_km,
    split_at_180,
    unit_vectors,
    utm_epsg,
    wrap_longitude,
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


@pytest.mark.parametrize("longitude", [-180.00000000000003, np.nextafter(-180.0, -200.0), 180.0, 540.0, -540.0])
def test_a_longitude_is_below_180(longitude: float) -> None:
    for longitudes in (longitude, [longitude, 12.0]):
        wrapped = wrap_longitude(longitudes)
        assert (wrapped >= -180.0).all() and (wrapped < 180.0).all()


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


def ring(*longitudes: float) -> shapely.Polygon:
    """A strip of one degree of latitude, its corners at these longitudes and back."""
    return shapely.Polygon([*((x, -17.5) for x in longitudes), *((x, -16.5) for x in reversed(longitudes))])


@pytest.mark.parametrize(
    "outline",
    [
        ring(179.5, -179.5), ring(179.5, 180.5), ring(-180.5, -179.5), ring(539.5, 540.5), ring(-179.5, 179.5),
        ring(179.5, 180.0, -179.5), shapely.MultiPolygon([ring(179.5, 180.0), ring(-180.0, -179.5)]),
        shapely.MultiPolygon([ring(179.5, 180.0), ring(180.0, 180.5)]), shapely.force_3d(ring(179.5, 180.5), 9.0),
    ],
)  # fmt: skip
def test_outlines_over_180_degrees_are_cut_there_however_they_are_written(outline: shapely.Geometry) -> None:
    cut = split_at_180(outline)
    west, east = sorted(cut.geoms, key=lambda part: part.bounds[0])
    assert west.bounds == (-180.0, -17.5, -179.5, -16.5) and east.bounds == (179.5, -17.5, 180.0, -16.5)
    assert cut.is_valid and not cut.has_z and all(part.exterior.is_ccw for part in cut.geoms)


def test_an_outline_elsewhere_stays_as_it_is_and_holes_too() -> None:
    hole = shapely.Polygon(shapely.box(9, 40, 12, 42).exterior.coords, [shapely.box(10, 41, 11, 41.5).exterior.coords])
    assert split_at_180(hole).equals(hole)
    over = shapely.transform(hole, lambda places: places + np.array([169.5, 0.0]))
    assert split_at_180(over).area == pytest.approx(hole.area)
    twice = shapely.Polygon([(0, 0), (0, 0), (1, 0), (1, 1), (1, 1), (0, 0)])
    assert len(split_at_180(twice).exterior.coords) == 4


WORLD = shapely.box(-180, -90, 180, 90)


@pytest.mark.parametrize(
    "outline, area",
    [
        (WORLD, 64_800), (shapely.box(0, -90, 360, 90), 64_800), (shapely.box(0, 20, 360, 30), 3_600),
        (shapely.box(-360, 20, 360, 30), 3_600), (shapely.box(-180, 60, 180, 90), 10_800),
        (shapely.box(0, 20, 360, 30).difference(shapely.box(10, 22, 20, 24)), 3_580),
        (WORLD.difference(shapely.box(-180, 20, 180, 30)), 61_200),
        (shapely.Polygon([(-180, 20), (180, 20), (180, 30), (90, 40), (0, 30), (-90, 40), (-180, 30)]), 5_400),
        (shapely.Polygon([(-180, -80), (0, -70), (180, -80), (180, -90), (-180, -90)]), 5_400),
        (shapely.Polygon([(179, 0), (180, 0), (-180, 0), (-179, 0), (-179, 1), (-180, 1), (180, 1), (179, 1)]), 2),
    ],
)  # fmt: skip
def test_a_side_all_around_the_globe_is_told_from_one_place_in_two_notations(
    outline: shapely.Geometry, area: float
) -> None:
    cut = split_at_180(outline)
    assert cut.area == pytest.approx(area) and cut.is_valid and cut.bounds[0] == -180.0 and cut.bounds[2] == 180.0


def test_a_hole_stays_where_it_is_however_unevenly_the_corners_lie() -> None:
    outer = shapely.Polygon([*((x, 0) for x in range(90)), (170, 0), (260, 0), (260, 9), (170, 9), (90, 9), (0, 9)])
    hole = shapely.Polygon([(250, 4), *((251 + n / 99, 5) for n in range(99)), (252, 4)])
    assert split_at_180(shapely.Polygon(outer.exterior, [hole.exterior])).area == pytest.approx(outer.area - hole.area)


POLE = shapely.Polygon([(0, 80), (90, 80), (180, 80), (-90, 80), (0, 80)])


@pytest.mark.parametrize(
    "outline",
    [
        POLE, shapely.Point(1, 2), shapely.Polygon(), shapely.LineString([(0, 0), (1, 1)]),
        shapely.Polygon([(0, 38), (-180, 84), (180, 84), (-180, 84)]),
        shapely.Polygon([(180, 0), (-180, 1), (-180, 2)]),
    ],
)  # fmt: skip
def test_outlines_around_a_pole_or_without_a_polygon_or_area_are_refused(outline: shapely.Geometry) -> None:
    with pytest.raises(ValueError, match=r"a ring around a pole|without a polygon|without an area"):
        split_at_180(outline)
