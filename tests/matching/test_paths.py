"""The way that the air came: a source on a bent way is found by the field; an even field says what one wind does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from detections_and_sources import KT_H, detection, pairs, peak, source
from plumewatch import storage
from plumewatch.gases import CO2
from plumewatch.geodesy import destination, local_offset_km
from plumewatch.matching.match import match_detections
from plumewatch.matching.periods.inputs import with_wind_files
from plumewatch.tables import PEAKS, SOURCES, WIND

AT = datetime(2025, 8, 31, 12, tzinfo=UTC)
CENTRE, RADIUS_KM = (10.0, 5.0), 60.0  # of the vortex; the detection lies to its east
PLACE = tuple(float(a) for a in destination(*CENTRE, 90.0, RADIUS_KM))
UPWIND_KM = 70.0  # along the circle to the source: 67 degrees of it

FRESH, HOURS = {"u": 0.0, "v": 8.0}, range(-7, 2)


def vortex(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """8 m/s around the centre, against the clock."""
    east, north = local_offset_km(*CENTRE, lon, lat)
    far = np.maximum(np.hypot(east, north), 1.0)
    return -8.0 * north / far, 8.0 * east / far


def wind(root: str, field, hours=HOURS, centre: tuple[float, float] = CENTRE) -> str:
    """A field on nodes within 2.5 degrees of the centre, the same at all hours, at plume height."""
    axis = np.arange(-2.5, 2.6, 0.25)
    lon, lat = (a.ravel() for a in np.meshgrid(centre[0] + axis, centre[1] + axis))
    u, v = (np.broadcast_to(component, lon.shape) for component in field(lon, lat))
    rows = []
    for hour in hours:
        columns = {"longitude": lon, "latitude": lat, "wind_u_m_s": u, "wind_v_m_s": v}
        times = pa.array([AT + timedelta(hours=hour)] * len(lon), WIND.schema.field("observed_at_utc").type)
        rows.append(WIND.from_columns({**columns, "observed_at_utc": times, "height_m": np.full(len(lon), 250.0)}))
    storage.write_partition(WIND, f"{root}/wind", {"product": "era5", "date": "2025-08-31"}, pa.concat_tables(rows))
    return f"{root}/wind"


def on_the_circle(km: float) -> tuple[float, float]:
    """A place so far upwind of the detection along its circle, which the air runs against the clock."""
    turned = 90.0 + np.degrees(km / RADIUS_KM)
    return tuple(float(a) for a in destination(*CENTRE, turned, RADIUS_KM))


def straight_on(km: float) -> tuple[float, float]:
    return tuple(float(a) for a in destination(*PLACE, 180.0, km))


def near() -> pa.Table:
    return pairs(("true", *on_the_circle(UPWIND_KM), KT_H), ("straight", *straight_on(UPWIND_KM), KT_H))


def test_in_a_vortex_the_field_finds_the_source_that_one_wind_misses(tmp_path: Path) -> None:
    alone = detection(*PLACE, **FRESH, observed_at_utc=AT)
    assert match_detections(alone, near(), "co2").to_pylist()[0]["source_id"] == "straight"
    failures: list = []
    with_field = with_wind_files(CO2, alone, wind(str(tmp_path), vortex), failures)
    rows = {r["source_id"]: r for r in match_detections(with_field, near(), "co2").to_pylist()}
    true = rows["true"]
    assert (failures, true["rank"], true["status"]) == ([], 1, "confirmed")
    assert true["along_wind_km"] == pytest.approx(UPWIND_KM, abs=1.0) and abs(true["across_wind_km"]) < 1.0
    chord = 2 * RADIUS_KM * np.sin(UPWIND_KM / RADIUS_KM / 2)
    assert true["distance_km"] == pytest.approx(chord, abs=0.2)  # the shortest, as without a field
    assert true["probability"] > 2 * rows["straight"]["probability"] and rows["straight"]["across_wind_km"] < -25.0


@pytest.mark.parametrize("latitude", [0.0, 45.0])
def test_an_even_field_says_what_one_wind_says(tmp_path: Path, latitude: float) -> None:
    even = detection(10.1, latitude, u=4.0, v=-3.0, observed_at_utc=AT)
    rng = np.random.default_rng(2)
    lon, lat = destination(10.1, latitude, rng.uniform(0, 360, 60), 100.0 * np.sqrt(rng.uniform(size=60)))
    some = pairs(*((f"s{n:02}", float(x), float(y), KT_H) for n, (x, y) in enumerate(zip(lon, lat, strict=True))))
    path = wind(str(tmp_path), lambda x, y: (np.float64(4.0), np.float64(-3.0)), centre=(10.0, latitude))
    with_field = with_wind_files(CO2, even, path, [])
    assert "path_reach_km" in with_field.column_names
    one, other = (match_detections(seen, some, "co2").to_pylist() for seen in (even, with_field))
    assert [r["source_id"] for r in one] == [r["source_id"] for r in other] and len(one) > 5
    for before, after in zip(one, other, strict=True):
        numbers = {name: value for name, value in before.items() if isinstance(value, float)}
        assert {name: after[name] for name in numbers} == pytest.approx(numbers, rel=1e-6, abs=1e-6)
        assert after["status"] == before["status"]


def test_where_no_earlier_hour_is_stored_the_field_of_the_hour_stands_for_it(tmp_path: Path) -> None:
    alone = detection(*PLACE, **FRESH, observed_at_utc=AT)
    paths = [
        with_wind_files(CO2, alone, wind(f"{tmp_path}/{n}", vortex, hours), []).to_pylist()[0]
        for n, hours in enumerate((HOURS, (0,)))
    ]
    for name in ("path_east_km", "path_north_km"):
        assert paths[0][name] == pytest.approx(paths[1][name], abs=1e-6)


def test_beyond_the_field_the_air_came_straight_on_and_in_a_weak_wind_not_as_far(tmp_path: Path) -> None:
    def west_of_the_place(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.where(lon < CENTRE[0], np.nan, 3.0), np.zeros(len(lon))

    seen = detection(CENTRE[0] + 0.3, CENTRE[1], u=3.0, v=0.0, observed_at_utc=AT)
    [row] = with_wind_files(CO2, seen, wind(str(tmp_path), west_of_the_place), []).to_pylist()
    assert row["path_east_km"] == pytest.approx(-np.arange(0.0, 101.0, 10.0), abs=1e-6)
    assert row["path_north_km"] == pytest.approx(np.zeros(11), abs=1e-6)
    assert row["path_reach_km"] == pytest.approx(3.0 * 3.6 * 6.0)


def test_who_has_no_wind_or_no_time_has_no_way_and_is_matched_as_before(tmp_path: Path) -> None:
    rows = [detection(*PLACE, **FRESH, observed_at_utc=AT, name="a"), detection(*PLACE, **FRESH, name="b"),
            detection(100.0, 5.0, u=8.0, v=0.0, observed_at_utc=AT, name="c")]  # fmt: skip
    seen = pa.concat_tables(rows)
    with_field = with_wind_files(CO2, seen, wind(str(tmp_path), vortex), [])
    assert [np.isfinite(r["path_reach_km"]) for r in with_field.to_pylist()] == [True, False, False]
    both = pa.concat_tables([near().set_column(0, "detection_id", pa.array([name] * 2)) for name in "ab"])
    first = {r["detection_id"]: r["source_id"] for r in match_detections(with_field, both, "co2").to_pylist()
             if r["rank"] == 1}  # fmt: skip
    assert first == {"a": "true", "b": "straight", "c": None}


def test_the_job_follows_the_field(job, spark, world) -> None:
    world.write(PEAKS, {"method": "scan", "month": "2025-08"}, [peak(2025083112000011, *PLACE, 0.0, 8.0)])
    plants = [source("true", *on_the_circle(UPWIND_KM), 2e7), source("straight", *straight_on(UPWIND_KM), 2e7)]
    world.write(SOURCES, {"inventory": "combined"}, plants)
    wind(world.root, vortex)
    for more, wanted in (([], "straight"), (["--wind-path", world.path("wind")], "true")):
        world.run(job, "co2", "peaks", *more)
        assert [r["source_id"] for r in world.matches("co2", "2025-08") if r["rank"] == 1] == [wanted]
