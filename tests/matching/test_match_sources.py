"""The job: which detections meet which sources, and which partitions it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from detections_and_sources import JOB, peak, plume, source
from plumewatch import storage
from plumewatch.geodesy import destination, great_circle_distance_km
from plumewatch.matching.candidates import ListedSources, find_candidates
from plumewatch.reviews import append_review
from plumewatch.tables import MATCHES, PEAKS, PLUMES, SOURCES, WIND
from pyspark.sql.functions import expr


def test_the_tree_finds_the_pairs_that_sedona_and_the_formula_find_poles_and_antimeridian_included(spark) -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-180, 180, 400), np.degrees(np.arcsin(rng.uniform(-1, 1, 400)))
    lon[:60], lat[:60] = rng.uniform(179, 181, 60), rng.uniform(-5, 5, 60)
    lon = (lon + 180) % 360 - 180
    lat[60:110] = rng.choice([-1, 1], 50) * rng.uniform(88, 90, 50)
    at_lon, at_lat = destination(lon[:200], lat[:200], rng.uniform(0, 360, 200), rng.uniform(50, 150, 200))
    columns = {
        "source_id": [f"s{i}" for i in range(400)],
        "inventory": ["own"] * 400,
        "longitude": lon,
        "latitude": lat,
    }
    sources = pa.table(columns | {"emission_t_y": np.ones(400)})
    found = find_candidates(at_lon, at_lat, ListedSources.of(sources), 100.0)
    distance = great_circle_distance_km(at_lon[:, None], at_lat[:, None], lon[None], lat[None])
    truth = [tuple(pair) for pair in np.argwhere(distance <= 100.0).tolist()]
    assert len(truth) > 300
    assert sorted(zip(found.detection.tolist(), found.source.tolist(), strict=True)) == truth
    places = [pa.table({"id": np.arange(len(x)), "x": x, "y": y}) for x, y in ((at_lon, at_lat), (lon, lat))]
    seen, listed = (
        spark.createDataFrame(rows).selectExpr(f"id AS {name}", f"ST_Point(x, y) AS at_{name}")
        for rows, name in zip(places, ("detection", "source"), strict=True)
    )
    joined = listed.join(seen, on=expr("ST_DistanceSphere(at_source, at_detection) <= 100000.0")).toArrow()
    assert sorted(zip(joined["detection"].to_pylist(), joined["source"].to_pylist(), strict=True)) == truth


def test_a_peak_is_matched_with_the_plant_upwind_and_not_with_the_one_downwind(job, spark, world) -> None:
    world.write(PEAKS, {"method": "scan", "month": "2025-08"}, [peak(2025083112000011, 10.0, 50.0, 5.0, 0.0)])
    world.write(
        SOURCES,
        {"inventory": "combined"},
        [source("upwind", 9.7, 50.0, 2e7), source("downwind", 10.3, 50.0, 2e7), source("methane", 9.8, 50, 9e7, "ch4")],
    )
    result = world.run(job, "co2", "peaks")
    rows = world.matches("co2", "2025-08")
    assert (result.rows_read, result.rows_written, result.failed) == (3, 2, 0)
    assert [(r["source_id"], r["inventory"], r["rank"], r["status"]) for r in rows] == [
        ("upwind", "combined", 1, "confirmed"),
        (None, None, 2, "confirmed"),
    ]
    assert rows[0]["along_wind_km"] == pytest.approx(21.4, abs=0.1)
    assert rows[0]["expected_emission"] == pytest.approx(2e7 / 8760 / 1000)
    assert rows[0]["ratio"] == pytest.approx(2.0 / (2e7 / 8760 / 1000))
    manifest = storage.read_manifest(world.path("matches", "gas=co2", "period=2025-08"))
    assert manifest["counts"] == {"confirmed": 1}
    assert manifest["versions"]["calibration"] == "matching-5"


def test_a_date_is_rebuilt_from_all_its_areas_and_only_from_accepted_multi_pass_plumes(job, spark, world) -> None:
    for area, lon in (("a", 56.0), ("b", -103.0)):
        rows = [plume(f"{area}1", lon, 22.0), plume(f"{area}2", lon, 22.1, status="too_small")]
        world.write(PLUMES, {"method": "multi_pass", "area": area, "date": "2025-08-31"}, rows)
    world.write(PLUMES, {"method": "single_pass", "area": "a", "date": "2025-08-31"}, [plume("s1", 56.0, 22.0)])
    world.write(
        PLUMES,
        {"method": "multi_pass", "area": "a", "date": "2025-09-03"},
        [plume("a3", 56.0, 22.0, status="too_small")],
    )
    world.write(SOURCES, {"inventory": "own_sources"}, [source("well", 56.001, 22.0, 4e4, "ch4")])
    partition = "plumes/method=multi_pass/area=a/date=2025-08-31"
    world.run(job, "ch4", partition)
    rows = world.matches("ch4", "2025-08-31")
    assert [(r["detection_id"], r["source_id"], r["status"]) for r in rows] == [
        ("a1", "well", "confirmed"),
        ("a1", None, "confirmed"),
        ("b1", None, "unknown_source"),
    ]
    assert rows[0]["expected_emission"] == pytest.approx(4e4 * 1000 / 8760)
    assert storage.list_partitions(MATCHES, world.path("matches"), {"period": "2025-09-03"}) == []
    world.run(job, "ch4", "plumes", "--date", "2025-09-03")
    assert world.matches("ch4", "2025-09-03") == []
    assert storage.read_manifest(world.path("matches", "gas=ch4", "period=2025-09-03"))["rows"] == 0


def test_two_runs_write_the_same_bytes_in_the_order_of_ids_and_ranks(job, spark, world) -> None:
    peaks = [peak(2025083112000011 + 100 * i, 10.0 + i / 10, 50.0, 5.0, 1.0) for i in range(5)]
    world.write(PEAKS, {"method": "scan", "month": "2025-08"}, peaks)
    world.write(
        SOURCES,
        {"inventory": "combined"},
        [source(f"p{i:02}", 9.0 + i / 9, 49.8 + i % 5 / 10, 1e6 * (i + 1)) for i in range(20)],
    )
    data = []
    for _ in range(2):
        world.run(job, "co2", "peaks", "--month", "2025-08")
        data.append(storage.read_bytes(world.path("matches", "gas=co2", "period=2025-08", "data.parquet")))
    assert data[0] == data[1]
    rows = world.matches("co2", "2025-08")
    assert [(r["detection_id"], r["rank"]) for r in rows] == sorted((r["detection_id"], r["rank"]) for r in rows)
    assert len({r["detection_id"] for r in rows}) == 5


def test_wind_files_go_before_the_wind_of_the_detection_where_they_know_it(job, spark, world) -> None:
    world.write(
        PEAKS,
        {"method": "scan", "month": "2025-08"},
        [peak(2025083112000011, 10.0, 50.0, 5.0, 0.0), peak(2025083112000013, 30.0, 50.0, 5.0, 0.0)],
    )
    plants = [source("west", 9.7, 50.0, 2e7), source("east", 10.3, 50.0, 2e7), source("far", 29.7, 50.0, 2e7)]
    world.write(SOURCES, {"inventory": "combined"}, plants)
    wind = {
        "observed_at_utc": datetime(2025, 8, 31, 11, tzinfo=UTC),
        "longitude": 10.0,
        "latitude": 50.0,
        "wind_u_m_s": -5.0,
        "wind_v_m_s": 0.0,
        "height_m": 10.0,
    }
    world.write(WIND, {"product": "era5", "date": "2025-08-31"}, [wind])

    def first() -> list[str]:
        return [r["source_id"] for r in world.matches("co2", "2025-08") if r["rank"] == 1]

    world.run(job, "co2", "peaks", "--wind-path", world.path("wind"))
    assert first() == ["east", "far"]
    world.run(job, "co2", "peaks")
    assert first() == ["west", "far"]
    world.run(job, "co2", "peaks", "--wind-path", world.path("no_such_folder"))
    assert first() == ["west", "far"]


def test_without_any_wind_only_the_distance_counts(job, spark, world) -> None:
    world.write(
        PEAKS, {"method": "scan", "month": "2025-08"}, [peak(2025083112000011, 10.0, 50.0, None, None, kt_h=None)]
    )
    world.write(SOURCES, {"inventory": "combined"}, [source("near", 10.1, 50.0, 2e7), source("far", 10.7, 50.0, 2e7)])
    world.run(job, "co2", "peaks")
    rows = world.matches("co2", "2025-08")
    assert [r["source_id"] for r in rows] == ["near", "far", None]
    assert all(r["along_wind_km"] is None and r["detected_emission"] is None and r["ratio"] is None for r in rows)
    assert rows[0]["distance_km"] == pytest.approx(7.15, abs=0.01)


@pytest.mark.parametrize(
    "more",
    [
        ["--gas", "n2o"],
        ["--gas", "co2", "--date", "2025-08-31"],
        ["--gas", "ch4", "--date", "31.8.2025"],
        ["--gas", "ch4", "--max-distance-km", "-1"],
    ],
)
def test_bad_arguments_exit_2(job, more: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        job.parse_arguments(["--detections-path", "d", "--sources-path", "s", "--matches-path", "m", *more])
    assert stopped.value.code == 2


def test_the_command_line(world, tmp_path: Path) -> None:
    world.write(PLUMES, {"method": "multi_pass", "area": "a", "date": "2025-08-31"}, [plume("a1", 56.0, 22.0)])
    world.write(SOURCES, {"inventory": "combined"}, [source("well", 56.001, 22.0, 4e4, "ch4")])
    command = [
        sys.executable,
        JOB,
        "--detections-path",
        world.path("plumes"),
        "--gas",
        "ch4",
        "--sources-path",
        world.path("sources"),
        "--matches-path",
        world.path("matches"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["rows_read"], summary["rows_written"], summary["failed"]) == (2, 2, 0)
    assert [r["source_id"] for r in world.matches("ch4", "2025-08-31")] == ["well", None]


def test_a_first_date_without_detections_takes_none_from_the_later_ones(job, world, spark) -> None:
    world.write(SOURCES, {"inventory": "combined"}, [source("well", 54.0, 38.0, 40_000.0, gas="ch4")])
    for date, status in (("2025-08-20", "not_significant"), ("2025-08-30", "accepted")):
        keys = {"method": "multi_pass", "area": "a", "date": date}
        world.write(PLUMES, keys, [plume(f"p{date}", 54.001, 38.001, status=status)])
    world.run(job, "ch4", "plumes")
    [best] = [m for m in world.matches("ch4", "2025-08-30") if m["rank"] == 1]
    assert best["source_id"] == "well"


def test_what_people_say_of_detections_is_heeded_by_hand_too(job, world, spark) -> None:
    rows = [plume("no", 56.0, 22.0), plume("yes", 56.0, 22.1, status="not_significant"), plume("as it is", 56.0, 22.2)]
    world.write(PLUMES, {"method": "multi_pass", "area": "a", "date": "2025-08-31"}, rows)
    world.write(SOURCES, {"inventory": "combined"}, [source("well", 56.001, 22.0, 4e4, "ch4")])
    for name, latitude, verdict in (("no", 22.0, "reject"), ("yes", 22.1, "confirm")):
        place = {"longitude": 56.0, "latitude": latitude, "observed_at_utc": None}
        said = {"verdict": verdict, "by": "ann", "at": datetime(2025, 9, 1, tzinfo=UTC)}
        append_review(world.root, "ch4", name, **place, **said)
    world.run(job, "ch4", "plumes")
    rows = world.matches("ch4", "2025-08-31")
    assert {r["detection_id"]: r["false_detection_probability"] for r in rows} == {"as it is": None, "yes": 0.0}
    world.run(job, "ch4", "plumes", "--reviews-path", world.path("nobody has said anything"))
    assert {r["detection_id"] for r in world.matches("ch4", "2025-08-31")} == {"as it is", "no"}
