"""Extraction, detection, matching, maps, redetection and inventories, run whole on the simulated world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.gases import CH4, Gas
from plumewatch.gases import CO2 as CO2_GAS
from plumewatch.hand_offs import waiting_hand_offs
from plumewatch.tables import MATCHES, OBSERVATIONS, PEAKS, PIXELS, PLUMES, SOURCE_ESTIMATES, SOURCES, WIND

pytestmark = pytest.mark.airflow
INGEST, EXTRACTION = "sentinel2_daily_ingest", "oco2_monthly_extraction"
METHANE, CO2 = "methane_detection_and_matching", "co2_detection_and_matching"


@pytest.fixture(scope="module")
def month(world: Any) -> str:
    return str(world.truth["months"][0])


def read(world: Any, table: Any, **where: str) -> list[dict[str, Any]]:
    return storage.read_table(table, f"{world.storage_root}/{table.name}", where=where).to_pylist()


def waiting(world: Any, gas: Gas) -> set[str]:
    return {hand_off.key for hand_off in waiting_hand_offs(world.storage_root, gas)}


def first_source(world: Any, gas: str, detection_id: str) -> str | None:
    names = {row["source_id"]: row["name"] for row in read(world, SOURCES, inventory="combined")}
    [best] = [m for m in read(world, MATCHES, gas=gas) if m["detection_id"] == detection_id and m["rank"] == 1]
    return names.get(best["source_id"])


def test_inventories_are_combined(world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any]) -> None:
    run = run_dag("inventory_refresh")
    assert run.state == "success" and {asset for asset, _ in keys_handed_on(run)} == {"plumewatch_sources"}
    inventories = {row["inventory"] for row in read(world, SOURCES)}
    assert inventories == {"coco2", "gppd", "own_sources", "combined"}


def test_peaks_are_detected_after_the_soundings_even_where_their_wind_fails(dagbag: Any) -> None:
    detect = dagbag.dags[EXTRACTION].get_task("detect_peaks")
    assert detect.upstream_task_ids == {"extract_soundings", "fetch_wind"}
    assert detect.trigger_rule == "all_done_min_one_success"


def test_a_month_of_granules_becomes_peaks_and_the_page_that_is_no_granule_turns_it_red(
    world: Any,
    month: str,
    run_dag: Callable[..., Any],
    keys_handed_on: Callable[..., Any],
    states_of: Callable[..., Any],
) -> None:
    run = run_dag(EXTRACTION, month)
    states = states_of(run)
    assert run.state == "failed" and states["detect_peaks"] == ["success"]
    assert sorted(states["fetch_granule"]) == ["failed"] + ["success"] * (len(states["fetch_granule"]) - 1)
    assert keys_handed_on(run) == {("plumewatch_peaks", month)} and waiting(world, CO2_GAS) == {month}
    [page] = world.truth["bad_files"]["html_granules"]
    [row] = FailureBook(world.storage_root, EXTRACTION, "any run").rows(month)
    assert row["scene_id"] == page["granule"] and "HTML" in row["message"]
    assert not storage.list_files(f"{world.storage_root}/granules")
    assert not storage.list_files(f"{world.storage_root}/.candidates")
    found = [p for p in read(world, PEAKS, month=month) if p["status"] == "accepted"]
    for planted in (p for p in world.truth["peaks"] if p["must_be_found"]):
        near = [p for p in found if p["orbit"] == planted["orbit"] and abs(p["latitude"] - planted["latitude"]) < 0.15]
        assert len(near) == 1, planted["source_name"]
        assert near[0]["wind_source"] == f"{world.truth['wind_product']} at {planted['wind_height_m']:g} m"
        assert near[0]["wind_across_track_m_s"] == pytest.approx(planted["wind_across_track_m_s"], rel=0.03)
    days = {peak["observed_at_utc"][:10] for peak in world.truth["peaks"] if peak["must_be_found"]}
    assert states["fetch_wind"] == ["success"] and days <= {row["date"] for row in read(world, WIND)}


def test_peaks_are_matched_and_drawn(world: Any, month: str, run_dag: Callable[..., Any]) -> None:
    assert run_dag(CO2, month).state == "success" and waiting(world, CO2_GAS) == set()
    html = storage.read_bytes(f"{world.storage_root}/maps/co2/{month}.html").decode()
    assert "<html" in html and "http-equiv" in html
    looked = [row for row in read(world, OBSERVATIONS, gas="co2", key=month) if row["stage"] == "detection"]
    orbits = {row["orbit"] for row in looked}
    assert all(row["track"] for row in looked) and '"state":"nothing_seen"' in html
    assert {peak["orbit"] for peak in world.truth["peaks"]} <= orbits
    planted = next(p for p in world.truth["peaks"] if p["must_be_found"])
    [peak] = [
        p
        for p in read(world, PEAKS, month=month)
        if p["status"] == "accepted"
        and p["orbit"] == planted["orbit"]
        and abs(p["latitude"] - planted["latitude"]) < 0.15
    ]
    source = first_source(world, "co2", str(peak["peak_id"]))
    assert source is not None and source in {plant["name"] for plant in planted["plants"]}
    seen = {row["source_id"]: row for row in read(world, SOURCE_ESTIMATES, gas="co2") if row["times_seen"]}
    of_name = {row["name"]: row["source_id"] for row in read(world, SOURCES, inventory="combined")}
    estimate = seen[of_name[source]]
    assert estimate["times_observed"] >= 1 and 0.3 < estimate["ratio"] < 3.0
    assert read(world, PEAKS, method="curve_fit_seed") == []
    assert run_dag(CO2, month, methods=["curve_fit_seed"]).state == "success"
    assert {row["month"] for row in read(world, PEAKS, method="curve_fit_seed")} == {month}


def test_a_month_without_granules_has_a_map_that_says_so(
    world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any]
) -> None:
    run = run_dag(EXTRACTION, "2025-07")
    assert run.state == "success" and keys_handed_on(run) == set()
    html = storage.read_bytes(f"{world.storage_root}/maps/co2/2025-07.html").decode()
    assert "Nothing was searched: no granules." in html


def test_a_plume_is_found_rated_matched_and_drawn(world: Any, run_dag: Callable[..., Any]) -> None:
    planted = next(p for p in world.truth["plumes"] if p["must_be_found"])
    days = [day for day in world.truth["dates"] if day <= planted["date"]]
    for day in days:
        run_dag(INGEST, day, areas=[planted["area"]])
    assert run_dag(METHANE, planted["date"], methods=["single_pass"]).state == "success"
    methods = {row["method"] for row in read(world, PLUMES, area=planted["area"], date=planted["date"])}
    assert methods == {"multi_pass", "single_pass"}
    rows = read(world, PLUMES, method="multi_pass", area=planted["area"], date=planted["date"])
    [plume] = [p for p in rows if p["status"] == "accepted"]
    assert plume["emission_kg_h_low"] < plume["emission_kg_h"] < plume["emission_kg_h_high"]
    assert 0.4 < plume["emission_kg_h"] / planted["emission_kg_h"] < 2.5
    assert first_source(world, "ch4", plume["plume_id"]) == planted["source_name"]
    estimates = {row["source_id"]: row for row in read(world, SOURCE_ESTIMATES, gas="ch4")}
    of_name = {row["name"]: row["source_id"] for row in read(world, SOURCES, inventory="combined")}
    estimate = estimates[of_name[planted["source_name"]]]
    assert estimate["times_seen"] == 1 and estimate["emission_low"] < estimate["emission_high"]
    assert storage.exists(f"{world.storage_root}/maps/ch4/{planted['date']}.html")
    seen = [r for r in read(world, OBSERVATIONS, gas="ch4", key=planted["date"]) if r["area"] == planted["area"]]
    assert [(r["outcome"], r["detected"]) for r in seen if r["stage"] == "detection"] == [("searched", True)]


def test_redetection_hands_on_what_is_stored(
    world: Any, month: str, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any]
) -> None:
    partitions = storage.list_partitions(PIXELS, f"{world.storage_root}/pixels")
    stored = {("plumewatch_pixels", p.keys["date"]) for p in partitions if p.keys["date"] < "2025-09"}
    run = run_dag("redetect", None, **{"from": "2025-08-01", "to": "2025-08-31", "gas": "both", "methods": []})
    assert run.state == "success" and stored
    assert keys_handed_on(run) == stored | {("plumewatch_peaks", month)}
    assert waiting(world, CO2_GAS) == {month} and {("plumewatch_pixels", day) for day in waiting(world, CH4)} == stored
    nothing = run_dag("redetect", None, **{"from": "1999-01-01", "to": "1999-01-02", "gas": "ch4", "methods": []})
    assert nothing.state == "success" and keys_handed_on(nothing) == set()
