"""Sentinel Hub's Batch Statistical API as the engine of zones: real HTTP, a real bucket, answers as recorded."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
from hub_order_service import STATISTICS, OrderService
from plumewatch import storage
from plumewatch.hub_orders.asking import PlanLacks
from plumewatch.tables import PROCESSING_UNITS, ZONAL_STATISTICS
from plumewatch.zones.hub_batch import count_by_batch

MONTH, DAYS = "2020-06", ("2020-06-09", "2020-06-11")
NAMES = ["mean", "median", "min", "max", "std", "count"]


@pytest.fixture
def recorded(real_data: Path) -> dict[str, Any]:
    """Answers of the service for two fields, on one of two days nothing but NaN, by identifier."""
    answers = json.loads((real_data / "sentinel_hub" / "batch_stat_results.json").read_text())
    return {one["identifier"]: {"response": one["response"]} for one in answers}


@pytest.fixture
def service(order_service: OrderService, recorded: dict[str, Any]) -> OrderService:
    """Delivers what was recorded, and that all cells which were ever clear were seen on both days."""

    def seen(identifier: str) -> dict[str, Any]:
        found = deepcopy(recorded[identifier])
        counted = found["response"]["data"][1]["outputs"]["ndvi"]["bands"]["B0"]["stats"]
        for day in found["response"]["data"]:
            stats = {
                "min": 1,
                "max": 1,
                "mean": 1,
                "stDev": 0,
                **{k: counted[k] for k in ("sampleCount", "noDataCount")},
            }
            day["outputs"] = {"seen": {"bands": {"B0": {"stats": stats}}}}
        return found

    order_service.results = {"ndvi": recorded.__getitem__, "seen": seen}
    return order_service


@pytest.fixture
def zones_path(tmp_path: Path, recorded: dict[str, Any]) -> str:
    """Fields in degrees, one of them over the edge of a UTM zone, and a point."""
    path = tmp_path / "fields.gpkg"
    shapes = [shapely.box(14.0 + i, 46.0, 14.002 + i, 46.002) for i in range(len(recorded))]
    ids = [*recorded, "a point"]
    geopandas.GeoDataFrame({"id": ids}, geometry=[*shapes, shapely.Point(14, 46)], crs=4326).to_file(path)
    return str(path)


def until_counted(settings: Any, zones_path: str) -> tuple[Any, int]:
    for look in range(1, 10):
        found = count_by_batch(settings, zones_path, MONTH, ["ndvi"], NAMES)
        if not found.waiting:
            found.forget()
            return found, look
    raise AssertionError("never done")


def rows(settings: Any) -> dict[tuple[str, str | None, str], Any]:
    table = storage.read_table(ZONAL_STATISTICS, settings.table_root("zonal_statistics"))
    return {(row["zone_id"], row["scene_id"], row["statistic"]): row for row in table.to_pylist()}


def test_recorded_answers_become_rows_and_days_of_nan_rows_without_value(
    service: OrderService, recorded: dict[str, Any], zones_path: str, s3_root: str
) -> None:
    settings = service.settings(s3_root)
    found, looks = until_counted(settings, zones_path)
    assert looks >= 2 and found.zones == 2 and [one.scene_id for one in found.failed] == ["zones=fields/a point"]
    got = rows(settings)
    assert len(got) == found.rows == 2 * 3 * len(NAMES)
    for zone_id, one in recorded.items():
        stats = one["response"]["data"][1]["outputs"]["ndvi"]["bands"]["B0"]["stats"]
        n = stats["sampleCount"] - stats["noDataCount"]
        for statistic in NAMES:
            nothing = got[zone_id, f"sentinel_hub_{DAYS[0]}", statistic]
            assert nothing["value"] is None and (nothing["count_clear"], nothing["count_total"]) == (0, n)
        clear = {name: got[zone_id, f"sentinel_hub_{DAYS[1]}", name]["value"] for name in NAMES}
        named = {"mean": "mean", "min": "min", "max": "max", "std": "stDev"}
        assert {name: clear[name] for name in named} == {name: stats[key] for name, key in named.items()}
        assert (clear["median"], clear["count"]) == (stats["percentiles"]["50.0"], n)
        month = got[zone_id, None, "mean"]
        assert month["value"] == pytest.approx(stats["mean"]) and month["count_total"] == 2 * n
        assert month["clear_fraction"] == pytest.approx(0.5)
    ledger = storage.read_table(PROCESSING_UNITS, settings.table_root("processing_units")).to_pylist()
    assert [row["area"] for row in ledger] == ["fields", "fields"] and all(row["spent_units"] for row in ledger)


def test_a_wait_that_is_killed_finds_the_running_requests_and_a_later_run_counts_anew(
    service: OrderService, zones_path: str, s3_root: str
) -> None:
    service.looks = 4
    settings = service.settings(s3_root)
    assert count_by_batch(settings, zones_path, MONTH, ["ndvi"], NAMES).waiting
    while (found := count_by_batch(settings, zones_path, MONTH, ["ndvi"], NAMES)).waiting:
        pass  # killed before its failures are settled, it counts what was delivered once more
    again, looks = until_counted(service.settings(s3_root), zones_path)
    assert (looks, again.zones, again.failed) == (1, 2, found.failed) and len(service.requests) == 2
    assert count_by_batch(settings, zones_path, MONTH, ["ndvi"], NAMES).waiting and len(service.requests) == 4


def test_what_cannot_be_computed_of_a_zone_is_named_and_the_rest_counts(
    service: OrderService, recorded: dict[str, Any], zones_path: str, s3_root: str, real_data: Path
) -> None:
    failed, error, mixed = json.loads(
        (real_data / "sentinel_hub" / "recorded" / "batch_stat_failed_results.json").read_text()
    )
    settings, names = service.settings(s3_root), list(recorded)
    recorded[names[1]] = {"response": mixed["response"]}
    found, _ = until_counted(settings, zones_path)
    assert [one.scene_id for one in found.failed][1:] == [f"zones=fields/{names[1]}/{DAYS[0]}"]
    assert rows(settings)[names[1], None, "count"]["value"] == 48 and found.zones == 2
    for odd, told in ((failed, "FAILED"), (error, "EXECUTION_ERROR")):
        recorded[names[1]] = {key: value for key, value in odd.items() if key not in ("id", "identifier")}
        found, _ = until_counted(settings, zones_path)
        assert found.zones == 1 and found.failed[1].scene_id == f"zones=fields/{names[1]}"
        assert told in found.failed[1].message
        assert rows(settings)[names[1], None, "count"]["value"] == 48  # its stored rows stay
    over = [name for name in names if found.is_over({"area": None, "scene_id": f"zones=fields/{name}"})]
    assert over == names[:1]


def test_a_result_that_cannot_be_read_costs_its_zone_alone(
    service: OrderService, recorded: dict[str, Any], zones_path: str, s3_root: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings, (good, bad) = service.settings(s3_root), list(recorded)
    service.looks = 1
    assert count_by_batch(settings, zones_path, MONTH, ["ndvi"], NAMES).waiting
    for request in service.requests:  # delivered before they are looked at
        service.look(request)
    folder = f"{s3_root}/sentinel_hub/batch_statistics"
    for file in storage.list_files(folder):
        if file.endswith("/2.json"):
            storage.write_bytes(file, b"half a fi")
    found = count_by_batch(settings, zones_path, MONTH, ["ndvi"], NAMES)
    assert [one.scene_id for one in found.failed][1:] == [f"zones=fields/{bad}"] and found.zones == 1
    assert "no result among the 1 that were delivered" in found.failed[1].message and "2.json" in caplog.text
    assert {zone for zone, _, _ in rows(settings)} == {good}


def test_a_plan_without_it_is_a_clear_refusal(service: OrderService, zones_path: str, s3_root: str) -> None:
    service.refused = {STATISTICS: (403, "Batch Statistical API is available to enterprise users only.")}
    with pytest.raises(PlanLacks, match=r"no Batch Statistical API: .*HTTP 403: Batch.*enterprise users only"):
        count_by_batch(service.settings(s3_root), zones_path, MONTH, ["ndvi"], NAMES)
