"""The job: which detections meet which sources, which partitions it writes, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
import shapely
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.geodesy import destination, great_circle_distance_km
from plumewatch.tables import FAILED_SCENES, MATCHES, PEAKS, PLUMES, SOURCES, WIND

from tools.checkout import CHECKOUT

JOB = CHECKOUT / "spark_jobs" / "match_sources.py"


@pytest.fixture(scope="module")
def job() -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location("match_sources", JOB)
    module = importlib.util.module_from_spec(spec)
    sys.modules["match_sources"] = module
    spec.loader.exec_module(module)
    return module


def source(source_id: str, lon: float, lat: float, emission_t_y: float, gas: str = "co2") -> dict:
    return {
        "source_id": source_id,
        "name": source_id,
        "kind": "power_plant",
        "fuel": "coal",
        "gas": gas,
        "emission_t_y": emission_t_y,
        "emission_t_y_sigma": emission_t_y / 5,
        "year": 2018,
        "longitude": lon,
        "latitude": lat,
    }


def peak(
    peak_id: int,
    lon: float,
    lat: float,
    u: float | None,
    v: float | None,
    status: str = "accepted",
    kt_h: float | None = 2.0,
) -> dict:
    row = dict.fromkeys(PEAKS.schema.names)
    at = datetime.strptime(str(peak_id)[:12], "%Y%m%d%H%M").replace(tzinfo=UTC)
    row |= {"peak_id": peak_id, "orbit": 1, "observed_at_utc": at, "longitude": lon, "latitude": lat, "status": status}
    row |= {"wind_u_m_s": u, "wind_v_m_s": v, "emission_status": "ok" if kt_h else "no_wind"}
    return row | {
        "emission_kt_h": kt_h,
        "emission_kt_h_low": kt_h and kt_h / 2,
        "emission_kt_h_high": kt_h and kt_h * 2,
    }


def plume(
    plume_id: str,
    lon: float,
    lat: float,
    status: str = "accepted",
    speed: float | None = 4.0,
    when: datetime | None = None,
) -> dict:
    row = dict.fromkeys(PLUMES.schema.names)
    row |= {
        "plume_id": plume_id,
        "scene_id": "S2",
        "observed_at_utc": when,
        "reference_scene_ids": [],
        "status": status,
    }
    row |= {"longitude": lon, "latitude": lat, "wind_speed_10m_m_s": speed, "wind_from_deg": speed and 270.0}
    return row | {
        "emission_kg_h": 5000.0,
        "emission_kg_h_low": 3000.0,
        "emission_kg_h_high": 8000.0,
        "emission_status": "ok",
        "geometry": shapely.Point(lon, lat).buffer(0.01).wkb,
    }


@pytest.fixture
def world(storage_root: str):
    """Writes tables below a storage root and runs the job on them."""

    class World:
        root = storage_root

        def path(self, *parts: str) -> str:
            return storage.join(storage_root, *parts)

        def write(self, table, keys: dict, rows: list[dict]) -> str:
            return storage.write_partition(table, self.path(table.name), keys, table.from_pylist(rows))

        def matches(self, gas: str, period: str) -> list[dict]:
            return storage.read_table(MATCHES, self.path("matches"), where={"gas": gas, "period": period}).to_pylist()

        def run(self, job, gas: str, detections: str, *more: str):
            arguments = [
                "--detections-path",
                self.path(detections),
                "--gas",
                gas,
                "--matches-path",
                self.path("matches"),
            ]
            sources = [] if "--sources-path" in more else ["--sources-path", self.path("sources")]
            return job.run(job.parse_arguments([*arguments, *sources, *more]))

    return World()


def test_sedona_finds_the_pairs_that_the_formula_finds_poles_and_antimeridian_included(job, spark) -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-180, 180, 400), np.degrees(np.arcsin(rng.uniform(-1, 1, 400)))
    lon[:60], lat[:60] = rng.uniform(179, 181, 60), rng.uniform(-5, 5, 60)
    lon = (lon + 180) % 360 - 180
    lat[60:110] = rng.choice([-1, 1], 50) * rng.uniform(88, 90, 50)
    at_lon, at_lat = destination(lon[:200], lat[:200], rng.uniform(0, 360, 200), rng.uniform(50, 150, 200))
    seen = pa.table({"detection_id": [f"d{i}" for i in range(200)], "longitude": at_lon, "latitude": at_lat})
    sources = spark.createDataFrame(
        pa.table(
            {
                "source_id": [f"s{i}" for i in range(400)],
                "inventory": ["own_sources"] * 400,
                "longitude": lon,
                "latitude": lat,
                "emission_t_y": np.ones(400),
            }
        )
    )
    pairs = job.transform(spark, seen, sources, 100.0).toArrow()
    found = set(zip(pairs["detection_id"].to_pylist(), pairs["source_id"].to_pylist(), strict=True))
    distance = great_circle_distance_km(at_lon[:, None], at_lat[:, None], lon[None], lat[None])
    truth = {(f"d{i}", f"s{j}") for i, j in np.argwhere(distance <= 100.0)}
    assert len(truth) > 300
    assert found == truth


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
    assert manifest["versions"]["calibration"] == "matching-1"


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
    world.write(SOURCES, {"inventory": "combined"}, [source("near", 10.1, 50.0, 2e7), source("far", 10.9, 50.0, 2e7)])
    world.run(job, "co2", "peaks")
    rows = world.matches("co2", "2025-08")
    assert [r["source_id"] for r in rows] == ["near", "far", None]
    assert all(r["along_wind_km"] is None and r["detected_emission"] is None and r["ratio"] is None for r in rows)
    assert rows[0]["distance_km"] == pytest.approx(7.15, abs=0.01)


def test_combined_beside_others_is_refused_unless_one_is_named(job, spark, world) -> None:
    world.write(PEAKS, {"method": "scan", "month": "2025-08"}, [peak(2025083112000011, 10.0, 50.0, 5.0, 0.0)])
    for inventory in ("combined", "coco2", "gppd"):
        world.write(SOURCES, {"inventory": inventory}, [source("upwind", 9.7, 50.0, 2e7)])
    with pytest.raises(InputError, match=r"combined beside.*coco2, gppd.*inventory=combined"):
        world.run(job, "co2", "peaks")
    world.run(job, "co2", "peaks", "--sources-path", world.path("sources/inventory=gppd"))
    assert {r["inventory"] for r in world.matches("co2", "2025-08")} == {"gppd", None}
    with pytest.raises(InputError, match="no sources"):
        world.run(job, "co2", "peaks", "--sources-path", world.path("nowhere"))


def test_a_bad_partition_is_recorded_and_the_others_are_matched(job, spark, world) -> None:
    for area in ("a", "b"):
        world.write(
            PLUMES, {"method": "multi_pass", "area": area, "date": "2025-08-31"}, [plume(f"{area}1", 56.0, 22.0)]
        )
    world.write(SOURCES, {"inventory": "combined"}, [source("well", 56.001, 22.0, 4e4, "ch4")])
    storage.write_bytes(world.path("plumes/method=multi_pass/area=b/date=2025-08-31/data.parquet"), b"<html>")
    result = world.run(job, "ch4", "plumes")
    assert result.failed == 1
    assert {r["detection_id"] for r in world.matches("ch4", "2025-08-31")} == {"a1"}
    failed = storage.read_table(FAILED_SCENES, world.path("failed_scenes")).to_pylist()
    assert [(r["dag_id"], r["key"], r["area"], r["stage"]) for r in failed] == [
        ("manual", "2025-08-31", "b", "matching")
    ]


def test_nothing_that_fits_is_no_error(job, world) -> None:
    world.write(PEAKS, {"method": "scan", "month": "2025-07"}, [])
    result = world.run(job, "co2", "peaks", "--month", "2025-08")
    assert (result.rows_read, result.rows_written, result.failed) == (0, 0, 0)


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


def test_a_source_without_a_stated_emission_spoils_no_detection(job, world, spark) -> None:
    rows = [source("known", 54.0, 38.0, 40_000.0, gas="ch4"), source("unknown", 54.002, 38.0, 1.0, gas="ch4")]
    rows[1]["emission_t_y"] = None
    world.write(SOURCES, {"inventory": "combined"}, rows)
    world.write(PLUMES, {"method": "multi_pass", "area": "a", "date": "2025-08-30"}, [plume("p", 54.001, 38.001)])
    world.run(job, "ch4", "plumes")
    matches = world.matches("ch4", "2025-08-30")
    assert sum(m["probability"] for m in matches) == pytest.approx(1.0)
    assert "known" in {m["source_id"] for m in matches}


def test_what_was_matched_stays_where_nothing_of_a_period_can_be_read(job, world, spark) -> None:
    from plumewatch.failures import NothingDone

    world.write(SOURCES, {"inventory": "combined"}, [source("well", 54.0, 38.0, 40_000.0, gas="ch4")])
    folder = world.write(PLUMES, {"method": "multi_pass", "area": "a", "date": "2025-08-30"}, [plume("p", 54.0, 38.0)])
    world.run(job, "ch4", "plumes")
    before = world.matches("ch4", "2025-08-30")
    storage.write_bytes(f"{folder}/data.parquet", b"PAR1")
    with pytest.raises(NothingDone):
        world.run(job, "ch4", "plumes")
    assert before and world.matches("ch4", "2025-08-30") == before


def test_a_broken_file_of_sources_leaves_the_others(job, world, spark) -> None:
    world.write(SOURCES, {"inventory": "own_sources"}, [source("well", 54.0, 38.0, 40_000.0, gas="ch4")])
    broken = world.write(SOURCES, {"inventory": "gppd"}, [source("x", 1.0, 1.0, 1.0, gas="ch4")])
    storage.write_bytes(f"{broken}/data.parquet", b"PAR1")
    world.write(PLUMES, {"method": "multi_pass", "area": "a", "date": "2025-08-30"}, [plume("p", 54.0, 38.0)])
    assert world.run(job, "ch4", "plumes").failed == 1
    assert "well" in {m["source_id"] for m in world.matches("ch4", "2025-08-30")}
    [row] = storage.read_table(FAILED_SCENES, world.path("failed_scenes")).to_pylist()
    assert "inventory=gppd" in row["scene_id"]


def test_rows_outside_of_partition_folders_and_files_are_refused(job, world, spark) -> None:
    storage.write_parquet(PEAKS, world.path("peaks", "data.parquet"), PEAKS.empty())
    with pytest.raises(InputError, match="rows outside of method="):
        world.run(job, "co2", "peaks")
    with pytest.raises(InputError, match="a file"):
        world.run(job, "co2", "peaks/data.parquet")
    with pytest.raises(InputError, match="no such folder"):
        world.run(job, "co2", "nowhere")
