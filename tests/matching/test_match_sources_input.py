"""The job: what it refuses, what it passes over and records, and what stays as it was then."""

from __future__ import annotations

import pytest
from detections_and_sources import peak, plume, source
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.tables import FAILED_SCENES, PEAKS, PLUMES, SOURCES


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


def test_sources_of_which_none_can_be_read_are_a_row_of_each_key(job, world, spark) -> None:
    from plumewatch.failures import NothingDone

    broken = world.write(SOURCES, {"inventory": "combined"}, [source("x", 1.0, 1.0, 1.0, gas="ch4")])
    storage.write_bytes(f"{broken}/data.parquet", b"PAR1")
    for day in ("2025-08-30", "2025-08-31"):
        world.write(PLUMES, {"method": "multi_pass", "area": "a", "date": day}, [plume(f"p{day}", 54.0, 38.0)])
    with pytest.raises(NothingDone, match="inventory=combined"):
        world.run(job, "ch4", "plumes")
    rows = storage.read_table(FAILED_SCENES, world.path("failed_scenes")).to_pylist()
    assert [(row["key"], row["stage"]) for row in rows] == [("2025-08-30", "matching"), ("2025-08-31", "matching")]
    assert all("inventory=combined" in row["scene_id"] for row in rows)


def test_rows_outside_of_partition_folders_and_files_are_refused(job, world, spark) -> None:
    storage.write_parquet(PEAKS, world.path("peaks", "data.parquet"), PEAKS.empty())
    with pytest.raises(InputError, match="rows outside of method="):
        world.run(job, "co2", "peaks")
    with pytest.raises(InputError, match="a file"):
        world.run(job, "co2", "peaks/data.parquet")
    with pytest.raises(InputError, match="no such folder"):
        world.run(job, "co2", "nowhere")


def test_sources_and_detections_in_other_spellings_or_twice_are_matched_once(job, spark, world) -> None:
    month = {"method": "scan", "month": "2025-08"}
    lons = {"round": -28.7, "capitals": 59.3, "twice": 69.3, "seen_twice": 79.3, "absurd_wind": 89.3}
    rows = [peak(2025083112000011 + 10 * i, lon, 50.0, 5.0, 0.0) for i, lon in enumerate(lons.values())]
    rows[4] |= {"wind_u_m_s": 9999.0}
    rows[0] |= {"longitude": 331.3}
    world.write(PEAKS, month, [*rows, rows[3]])
    world.write(PEAKS, month | {"month": "2025-09"}, [rows[3]])  # the orbit that crosses midnight, written by hand
    plants = [source(name, (lon - 0.3) % 360, 50.0, 2e7) for name, lon in lons.items()]
    plants[1]["gas"] = " CO2"
    world.write(SOURCES, {"inventory": "own_sources"}, [*plants, plants[2]])
    result = world.run(job, "co2", "peaks")
    found = world.matches("co2", "2025-08")
    assert [r["source_id"] for r in found if r["rank"] == 1] == list(lons)
    assert result.failed == 0 and len(found) == 10
    assert sum(r["probability"] for r in found) == pytest.approx(5.0)
    assert [r["along_wind_km"] is None for r in found if r["rank"] == 1] == [False] * 4 + [True]
    assert [r["source_id"] for r in world.matches("co2", "2025-09")] == ["seen_twice", None]


@pytest.mark.parametrize(
    "odd",
    [{"latitude": float("nan")}, {"latitude": 91.0}, {"latitude": None}, {"longitude": -400.0}, {"peak_id": None}],
    ids=str,
)
def test_a_row_without_a_place_is_named_and_the_others_are_matched(job, spark, world, odd: dict) -> None:
    good, other = peak(2025083112000011, 10.0, 50.0, 5.0, 0.0), peak(2025083112000021, 10.0, 50.0, 5.0, 0.0)
    world.write(PEAKS, {"method": "scan", "month": "2025-07"}, [good])
    world.write(PEAKS, {"method": "scan", "month": "2025-08"}, [good | {"peak_id": 2025083112000031}, other | odd])
    plants = [source("upwind", 9.7, 50.0, 2e7), source("nowhere", 9.7, 50.0, 2e7)]
    plants[1] |= {name: value for name, value in odd.items() if name != "peak_id"} or {"source_id": None}
    world.write(SOURCES, {"inventory": "own_sources"}, plants)
    assert world.run(job, "co2", "peaks").failed == 3  # the file of sources in both months
    for month in ("2025-07", "2025-08"):
        assert [r["source_id"] for r in world.matches("co2", month)] == ["upwind", None]
    failed = storage.read_table(FAILED_SCENES, world.path("failed_scenes")).to_pylist()
    assert all("1 row without id or place" in r["message"] and not r["is_retryable"] for r in failed)
    assert {r["scene_id"].split("/")[0] for r in failed} == {"peaks", "sources"}
