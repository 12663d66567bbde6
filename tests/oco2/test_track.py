from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lite_granules import NAME, along_km, northward_track, write_lite
from plumewatch.errors import InputError
from plumewatch.geodesy import destination, wrap_longitude
from plumewatch.oco2.granules.granule import read_granule
from plumewatch.oco2.track import Track, compute_track
from plumewatch.tables import SOUNDINGS


def soundings(longitude: Any, latitude: Any, time_s: Any, **columns: Any) -> pa.Table:
    n = len(time_s)
    times = pa.array(np.rint(np.asarray(time_s) * 1e6).astype("i8")).cast(pa.timestamp("us", tz="UTC"))
    values: dict[str, Any] = {f.name: pa.nulls(n, f.type) for f in SOUNDINGS.schema}
    values |= {
        "sounding_id": np.arange(n), "observed_at_utc": times, "orbit": np.full(n, 7, "i4"),
        "longitude": wrap_longitude(longitude), "latitude": np.asarray(latitude, float),
        "xco2_ppm": np.full(n, 400.0, "f4"), "xco2_uncertainty_ppm": np.full(n, 0.5, "f4"),
    } | columns  # fmt: skip
    return SOUNDINGS.from_columns(values)


def great_circle(lon: float, lat: float, bearing: float, length_km: float, aside_km: Any = 0.0) -> tuple[Track, Any]:
    """A track along a great circle, one sounding every 2 km, and the true distances."""
    true = np.arange(0.0, length_km, 2.0)
    middle = destination(lon, lat, bearing, true)
    ahead = destination(lon, lat, bearing, true + 1.0)
    from plumewatch.geodesy import initial_bearing_deg

    right = initial_bearing_deg(*middle, *ahead) + 90.0
    return compute_track(soundings(*destination(*middle, right, aside_km), true / 6.75)), true


@pytest.mark.parametrize(
    ("lon", "lat", "bearing"), [(20, -30, 350), (179, -80, 10), (-30, 60, 5), (0, 70, 0), (90, 0, 90)], ids=str
)
def test_distance_runs_on_over_antimeridian_pole_and_antipode(lon: float, lat: float, bearing: float) -> None:
    track, true = great_circle(lon, lat, bearing, 24_000.0)
    assert np.abs(track.distance_km - true).max() < 1.0


def test_footprints_aside_neither_bend_nor_lengthen_the_track() -> None:
    rng = np.random.default_rng(3)
    aside = rng.choice([-5.0, 5.0], 3000)  # of each frame only a footprint at one end of the row is left
    track, true = great_circle(30.0, -40.0, 348.0, 6000.0, aside)
    assert np.abs((track.distance_km - true) - np.median(track.distance_km - true)).max() < 25.0  # 0.4 %
    assert np.corrcoef(track.across_km, aside)[0, 1] > 0.95


def test_gaps_are_crossed_at_their_true_length() -> None:
    middle = destination(10.0, -40.0, 345.0, np.concatenate([np.arange(0, 600, 2.0), np.arange(5000, 5600, 2.0)]))
    true = np.concatenate([np.arange(0, 600, 2.0), np.arange(5000, 5600, 2.0)])
    track = compute_track(soundings(*middle, true / 6.75))
    assert np.abs(track.distance_km - true).max() < 1.0


@pytest.mark.parametrize("bearing", [0.0, 12.0, 167.0, 193.0, 270.0, 348.0])
def test_bearing_is_in_metres_at_high_latitude(bearing: float) -> None:
    track, true = great_circle(10.0, 65.0, bearing, 400.0)
    from plumewatch.geodesy import initial_bearing_deg

    here, ahead = (destination(10.0, 65.0, bearing, d) for d in (200.0, 201.0))
    expected = float(initial_bearing_deg(*here, *ahead))
    assert abs((track.bearing_deg(200.0) - expected + 180) % 360 - 180) < 0.5
    middle = np.argmin(np.abs(true - 200.0))
    assert abs((track.heading_deg[middle] - expected + 180) % 360 - 180) < 1.0


def test_order_of_rows_does_not_matter() -> None:
    table = soundings(np.full(50, 3.0), np.linspace(0, 1, 50), np.arange(50) / 3)
    shuffled = table.take(np.random.default_rng(1).permutation(50))
    assert np.array_equal(compute_track(table).distance_km, compute_track(shuffled).distance_km)


def test_rows_of_a_frame_are_at_their_own_distance(tmp_path: Path) -> None:
    columns: Mapping[str, Any] = northward_track(300)
    track = compute_track(read_granule(str(write_lite(tmp_path / NAME, columns))).soundings)
    assert np.abs(track.distance_km - along_km(columns)).max() < 0.2
    assert track.across_km.max() == pytest.approx(3.5 * 1.29, abs=0.1)


def test_missing_values() -> None:
    n = 30
    xco2, error = np.full(n, 400.0), np.full(n, 0.5)
    table = soundings(
        np.full(n, 3.0), np.linspace(0, 1, n), np.arange(n) / 3,
        xco2_ppm=pa.array(xco2, pa.float32(), mask=np.arange(n) < 4),
        xco2_uncertainty_ppm=pa.array(error, pa.float32(), mask=np.arange(n) > 20),
    )  # fmt: skip
    track = compute_track(table)
    assert len(track) == 26 and np.allclose(track.uncertainty_ppm, 0.5)  # without an uncertainty: the orbit's median
    assert np.isnan(track.wind_u_m_s).all()


def test_one_place_has_no_bearing_and_no_sounding_no_track() -> None:
    track = compute_track(soundings([3.0], [1.0], [5.0]))
    assert len(track) == 1 and np.isnan(track.bearing_deg(0.0))
    assert len(compute_track(SOUNDINGS.empty())) == 0


def test_times_are_kept() -> None:
    at = datetime(2016, 8, 31, 11, 50, 0, 300_000, UTC)
    assert compute_track(soundings([3.0], [1.0], [at.timestamp()])).time_s[0] == pytest.approx(at.timestamp(), abs=1e-4)


def test_water_is_known_by_the_indicator_and_unknown_without() -> None:
    n = 6
    table = soundings(
        np.full(n, 3.0), np.linspace(0, 1, n), np.arange(n) / 3,
        land_water_indicator=pa.array([0, 1, 2, 3, None, 9], pa.int8()),
    )  # fmt: skip
    assert np.array_equal(compute_track(table).is_water, [0.0, 1.0, 1.0, 0.5, np.nan, np.nan], equal_nan=True)
    assert np.isnan(compute_track(table.drop_columns("land_water_indicator")).is_water).all()


def test_what_cannot_be_is_left_out_or_unknown() -> None:
    n = 30
    good = soundings(np.full(n, 3.0), np.linspace(0, 1, n), np.arange(n) / 3, wind_u_m_s=np.full(n, 4.0, "f4"),
                     wind_v_m_s=np.full(n, 1.0, "f4"), surface_pressure_hpa=np.full(n, 990.0, "f4"),
                     tcwv_kg_m2=np.full(n, 20.0, "f4"))  # fmt: skip

    def with_value(name: str, value: Any) -> Track:
        values = good[name].to_pylist()
        values[5] = value
        kind = good.schema.field(name).type
        return compute_track(good.set_column(good.schema.get_field_index(name), name, pa.array(values, kind)))

    left_out = [("xco2_ppm", 1e30), ("xco2_ppm", -5.0), ("xco2_ppm", -999999.0), ("observed_at_utc", None),
                ("sounding_id", None), ("latitude", 91.0), ("longitude", None)]  # fmt: skip
    assert [len(with_value(*change)) for change in left_out] == [n - 1] * len(left_out)
    for name, value in [("wind_u_m_s", -999999.0), ("surface_pressure_hpa", 0.0), ("tcwv_kg_m2", -999999.0)]:
        track = with_value(name, value)
        assert len(track) == n and np.isnan(getattr(track, name)).sum() == 1
    assert np.allclose(with_value("xco2_uncertainty_ppm", -1.0).uncertainty_ppm, 0.5)


def test_longitudes_of_0_to_360_are_wrapped() -> None:
    table = soundings([0.0], [1.0], [5.0])
    track = compute_track(table.set_column(table.schema.get_field_index("longitude"), "longitude", pa.array([319.99])))
    assert track.longitude[0] == pytest.approx(-40.01)


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("xco2_ppm", np.full(50, 4.02e-4, "f4"), "xco2_ppm 0.000402 in the median"),
        ("xco2_ppm", np.full(50, 402_000.0, "f4"), "xco2_ppm 4.02e"),
        ("xco2_ppm", np.full(50, np.nan, "f4"), "xco2_ppm nan"),
        ("observed_at_utc", pa.nulls(50, pa.timestamp("us", tz="UTC")), "null in every observed_at_utc"),
        ("sounding_id", pa.nulls(50, pa.int64()), "null in every sounding_id"),
        ("latitude", np.full(50, np.nan), "none with id, time, place"),
    ],
)
def test_soundings_of_which_none_can_be_used_are_refused(name: str, values: Any, found: str) -> None:
    time_s = np.arange(50.0)
    with pytest.raises(InputError, match=rf"50 soundings.*{found}.*allowed: xco2 from 200 to 800 ppm"):
        compute_track(
            soundings(**{"longitude": np.zeros(50), "latitude": time_s / 16, "time_s": time_s} | {name: values})
        )
