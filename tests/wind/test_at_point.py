"""The wind at a point: a linear field is recovered exactly, and nothing is invented where no row is near."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.tables import WIND
from plumewatch.wind.at_point import components_m_s, direction_from_deg, wind_at, wind_of_each_product, winds_at

NOON = datetime(2025, 8, 31, 12, tzinfo=UTC)


def wind_table(lon, lat, u, v, times=(NOON,), height_m=10.0, product=None) -> pa.Table:
    """Rows of every place at every time; u and v take the hours since noon as their third argument where callable."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    parts = []
    for time in times:
        hours = (time - NOON) / timedelta(hours=1)
        columns = {
            "observed_at_utc": [time] * len(lon),
            "longitude": lon,
            "latitude": lat,
            "wind_u_m_s": u(lon, lat, hours) if callable(u) else np.full(len(lon), float(u)),
            "wind_v_m_s": v(lon, lat, hours) if callable(v) else np.full(len(lon), float(v)),
            "height_m": np.full(len(lon), height_m),
        }
        parts.append(WIND.from_columns(columns))
    table = pa.concat_tables(parts)
    return table if product is None else table.append_column("product", pa.repeat(pa.scalar(product), table.num_rows))


def grid(west, south, east, north, step_lon=0.3125, step_lat=0.25):
    lon, lat = np.meshgrid(np.arange(west, east + 1e-9, step_lon), np.arange(south, north + 1e-9, step_lat))
    return lon.ravel(), lat.ravel()


def test_a_field_linear_in_space_and_time_is_recovered_exactly() -> None:
    lon, lat = grid(54, 23, 57, 25)
    wind = wind_table(
        lon,
        lat,
        lambda x, y, h: 1 + 0.5 * x - 0.2 * y + h,
        lambda x, y, h: 3 - 0.1 * x + 0.3 * y - 2 * h,
        (NOON, NOON + timedelta(hours=1)),
    )
    found = wind_at(wind, 55.123, 24.049, NOON + timedelta(minutes=15))
    assert found is not None
    assert found.wind_u_m_s == pytest.approx(1 + 0.5 * 55.123 - 0.2 * 24.049 + 0.25, abs=1e-9)
    assert found.wind_v_m_s == pytest.approx(3 - 0.1 * 55.123 + 0.3 * 24.049 - 0.5, abs=1e-9)
    assert found.height_m == 10.0


def test_two_cut_outs_of_one_grid_are_bilinear_in_each() -> None:
    first, second = grid(10, 10, 11.25, 11), grid(40, 30, 41.25, 31)
    wind = wind_table(np.r_[first[0], second[0]], np.r_[first[1], second[1]], lambda x, y, h: x + y, 0)
    assert wind_at(wind, 10.7, 10.6, NOON).wind_u_m_s == pytest.approx(21.3)
    assert wind_at(wind, 40.7, 30.6, NOON).wind_u_m_s == pytest.approx(71.3)


@pytest.mark.parametrize("longitude", [179.95, -179.95, -180.0])
def test_the_grid_is_joined_over_the_antimeridian(longitude: float) -> None:
    lon = np.repeat([179.0, 179.5, -180.0, -179.5], 3)
    lat = np.tile([0.0, 0.5, 1.0], 4)
    wind = wind_table(lon, lat, lambda x, y, h: (x % 360 + y) / 10, 0)
    assert wind_at(wind, longitude, 0.2, NOON).wind_u_m_s == pytest.approx((longitude % 360 + 0.2) / 10)


def test_stations_count_by_inverse_squared_distance_and_the_nearest_wins() -> None:
    wind = wind_table([10.0, 10.37], [50.0, 50.03], lambda x, y, h: np.where(x < 10.1, 2.0, 6.0), 0)
    assert wind_at(wind, 10.0, 50.0, NOON).wind_u_m_s == pytest.approx(2.0)
    middle = wind_at(wind, 10.185, 50.015, NOON).wind_u_m_s
    assert middle == pytest.approx(4.0, abs=0.01)
    assert 2.0 < wind_at(wind, 10.05, 50.0, NOON).wind_u_m_s < middle


def test_no_row_within_80_km_or_3_hours_is_none() -> None:
    wind = wind_table([10.0], [50.0], 1, 2)
    assert wind_at(wind, 10.0, 50.71, NOON) is not None  # 78.9 km
    assert wind_at(wind, 10.0, 50.73, NOON) is None  # 81.2 km
    assert wind_at(wind, 10.0, 50.0, NOON + timedelta(hours=3)) is not None
    assert wind_at(wind, 10.0, 50.0, NOON - timedelta(hours=3, minutes=1)) is None
    assert wind_at(WIND.empty(), 10.0, 50.0, NOON) is None


def test_six_hours_are_bridged_and_twelve_are_not() -> None:
    def rise(x, y, h):
        return np.full(len(x), h)

    six = wind_table([10.0], [50.0], rise, 0, (NOON, NOON + timedelta(hours=6)))
    assert wind_at(six, 10.0, 50.0, NOON + timedelta(hours=5)).wind_u_m_s == pytest.approx(5.0)
    twelve = wind_table([10.0], [50.0], rise, 0, (NOON, NOON + timedelta(hours=12)))
    assert wind_at(twelve, 10.0, 50.0, NOON + timedelta(hours=2)).wind_u_m_s == pytest.approx(0.0)
    assert wind_at(twelve, 10.0, 50.0, NOON + timedelta(hours=5)) is None
    assert wind_at(twelve, 10.0, 50.0, NOON + timedelta(hours=10)).wind_u_m_s == pytest.approx(12.0)


def test_each_product_has_its_own_heights() -> None:
    wind = pa.concat_tables(
        [
            wind_table([10.0], [50.0], 1, 0, product="era5"),
            wind_table([10.0], [50.0], 9, 0, height_m=100.0, product="era5"),
            wind_table([10.0, 20.0], [50.0, 50.0], 5, 0, product="geos_fp"),
        ]
    )
    found = winds_at(wind, [10.0, 20.0], [50.0, 50.0], [NOON, NOON])
    assert found.wind_u_m_s.tolist() == [1.0, 5.0]  # rows at the wanted height, as they are
    at_100 = winds_at(wind, [10.0, 20.0], [50.0, 50.0], [NOON, NOON], height_m=100.0)
    assert at_100.wind_u_m_s == pytest.approx([9.0, 5.0 * 10**0.08])
    each = wind_of_each_product(wind, 10.0, 50.0, NOON, height_m=100.0)
    assert [(w.product, w.from_heights_m) for w in each] == [("era5", (100.0,)), ("geos_fp", (10.0,))]
    assert [w.wind_u_m_s for w in each] == pytest.approx([9.0, 5.0 * 10**0.08])
    assert [w.product for w in wind_of_each_product(wind, 20.0, 50.0, NOON)] == ["geos_fp"]


def test_between_two_heights_the_wind_is_linear_in_the_logarithm() -> None:
    wind = pa.concat_tables(
        [wind_table([10.0], [50.0], u, -u, height_m=h) for h, u in ((10.0, 2.0), (50.0, 4.0), (200.0, 8.0))]
    )
    found = wind_at(wind, 10.0, 50.0, NOON, height_m=100.0)
    assert found is not None
    assert found.wind_u_m_s == pytest.approx(6.0) and found.wind_v_m_s == pytest.approx(-6.0)  # half way from 50 to 200
    assert found.height_m == 100.0 and found.from_heights_m == (50.0, 200.0)


@pytest.mark.parametrize(("stored_m", "wanted_m", "factor"), [(10, 250, 1.2937), (100, 250, 1.0760), (50, 10, 0.8792)])
def test_beyond_the_stored_heights_a_power_law_carries_on(stored_m: float, wanted_m: float, factor: float) -> None:
    wind = wind_table([10.0], [50.0], 3, 4, height_m=float(stored_m))
    found = wind_at(wind, 10.0, 50.0, NOON, height_m=float(wanted_m))
    assert found is not None and found.from_heights_m == (stored_m,)
    assert (found.wind_u_m_s, found.wind_v_m_s) == pytest.approx((3 * factor, 4 * factor), rel=1e-4)


def test_a_height_that_is_missing_at_a_place_is_bridged_from_the_other() -> None:
    wind = pa.concat_tables(
        [
            wind_table([10.0, 20.0], [50.0, 50.0], 3, 0, height_m=100.0),
            wind_table([10.0], [50.0], 5, 0, height_m=500.0),
        ]
    )
    found = winds_at(wind, [10.0, 20.0], [50.0, 50.0], [NOON, NOON], height_m=250.0)
    assert found.wind_u_m_s == pytest.approx([3 + 2 * np.log(2.5) / np.log(5), 3 * 2.5**0.08])


def test_rows_without_a_wind_and_points_without_a_time_are_left_out() -> None:
    wind = wind_table([10.0, 10.01], [50.0, 50.0], lambda x, y, h: np.where(x == 10.0, np.nan, 3.0), 0)
    assert wind_at(wind, 10.0, 50.0, NOON).wind_u_m_s == pytest.approx(3.0)
    assert np.isnan(winds_at(wind, [10.0], [50.0], [None]).wind_u_m_s).all()


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-180, 179.999),
    st.floats(-90, 90),
    st.integers(0, 3600),
    st.floats(-30, 30),
    st.floats(-30, 30),
    st.sampled_from([0.5, 0.625, 1.0]),
)
def test_a_uniform_wind_is_the_same_everywhere_poles_and_antimeridian_included(lon, lat, second, u, v, step) -> None:
    every_lon, every_lat = np.meshgrid(
        np.arange(-180, 180, step), np.arange(max(-90, np.floor(lat) - 1), min(90, np.floor(lat) + 2) + 0.01, step)
    )
    wind = wind_table(every_lon.ravel(), every_lat.ravel(), u, v, (NOON, NOON + timedelta(hours=1)))
    found = wind_at(wind, lon, lat, NOON + timedelta(seconds=second))
    assert found is not None
    assert (found.wind_u_m_s, found.wind_v_m_s) == pytest.approx((u, v), abs=1e-9)


@given(st.floats(0.1, 60), st.floats(0, 359.99))
def test_speed_and_direction_come_back_from_the_components(speed: float, from_deg: float) -> None:
    u, v = components_m_s(speed, from_deg)
    assert np.hypot(u, v) == pytest.approx(speed)
    assert (direction_from_deg(u, v) - from_deg + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


def test_a_west_wind_blows_from_270_towards_east() -> None:
    u, v = components_m_s(5.0, 270.0)
    assert (float(u), float(v)) == pytest.approx((5.0, 0.0), abs=1e-12)
    found = wind_at(wind_table([0.0], [0.0], 5, 0), 0.0, 0.0, NOON)
    assert (found.speed_m_s, found.from_deg) == pytest.approx((5.0, 270.0))


@pytest.mark.parametrize(
    ("column", "value"),
    [("wind_u_m_s", -999999.0), ("wind_v_m_s", 1e15), ("wind_u_m_s", np.inf), ("height_m", 0.0), ("height_m", np.nan),
     ("height_m", -5.0), ("longitude", np.nan), ("latitude", 99.0)],
)  # fmt: skip
def test_a_row_that_says_no_wind_counts_for_nothing(column: str, value: float) -> None:
    lon, lat = grid(10, 10, 12, 12)
    good = wind_table(lon, lat, 4.0, 1.0)
    row = good.slice(3, 1)
    bad = row.set_column(row.schema.get_field_index(column), column, pa.array([value]))
    found = wind_at(pa.concat_tables([good, bad]), 11.1, 11.1, NOON, 250.0)
    assert found is not None and found == wind_at(good, 11.1, 11.1, NOON, 250.0)
    assert wind_at(bad, 11.1, 11.1, NOON, 250.0) is None


def test_the_levels_are_those_that_are_known_at_the_point() -> None:
    here, there = grid(10, 10, 12, 12), grid(40, 10, 42, 12)
    wind = pa.concat_tables([
        wind_table(*here, 4.0, 0, height_m=100.0), wind_table(*there, 4.0, 0, height_m=100.0),
        wind_table(*there, 6.0, 0, height_m=500.0),
    ])  # fmt: skip
    levels = [wind_of_each_product(wind, lon, 11.0, NOON, 250.0)[0].from_heights_m for lon in (11.0, 41.0)]
    assert levels == [(100.0,), (100.0, 500.0)]


def hour(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


FAR, HERE = grid(10, 50, 10.25, 50.25, 0.25), grid(11, 50, 11.3125, 50.25)
NEARER = {
    # name: (the nearer product's places and hours), (those of the other, which the alphabet puts first)
    "between its hours": ((HERE, (-0.5, 0.5)), (HERE, (-3, -2))),
    "inside its cell": ((HERE, (-0.5, 0.5)), (FAR, (-1, 0))),
    "the hour itself, not half a day": ((HERE, (0,)), (HERE, (-6, 6))),
    "hourly before six-hourly": ((HERE, (-0.5, 0.5)), (HERE, (-3, 3))),
    "a station here before one 40 km away": ((([11.1], [50.1]), (0,)), (([11.1], [50.46]), (0,))),
    "inside an hour ago before 70 km away now": ((HERE, (-1,)), (([11.1], [50.73]), (0,))),
    "an hour old before two hours early": ((HERE, (-1,)), (HERE, (2,))),
    "a cell before its own edge": ((HERE, (0,)), (grid(10, 50, 11, 50.25), (0,))),
    "it alone knows": ((HERE, (0,)), (HERE, (5,))),
}


@pytest.mark.parametrize("case", NEARER)
def test_of_two_products_the_nearest_wins_and_not_the_alphabet(case: str) -> None:
    nearer, other = NEARER[case]
    for first, second in (("b", "a"), ("a", "b")):
        wind = pa.concat_tables(
            wind_table(*place, u, 0, [hour(h) for h in hours], product=product)
            for (place, hours), u, product in ((nearer, 4.0, first), (other, 12.0, second))
        )
        found = wind_at(wind, 11.1, 50.1, NOON)
        assert found is not None and (found.wind_u_m_s, found.product) == (pytest.approx(4.0), first)
        assert winds_at(wind, [11.1, 11.1], [50.1, 50.1], [NOON, None]).wind_u_m_s[0] == pytest.approx(4.0)
        assert wind_of_each_product(wind, 11.1, 50.1, NOON)[0].product == first


def test_two_products_as_near_are_told_by_name() -> None:
    wind = pa.concat_tables(wind_table(*HERE, u, 0, product=name) for u, name in ((2.0, "b"), (1.0, "a")))
    assert winds_at(wind, [11.1], [50.1], [NOON]).wind_u_m_s.tolist() == [pytest.approx(1.0)]
    assert [w.product for w in wind_of_each_product(wind, 11.1, 50.1, NOON)] == ["a", "b"]
