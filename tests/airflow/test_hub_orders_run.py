"""Orders at Sentinel Hub, run whole: each task waits outside of a worker, and is called again until all is there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
from hub_order_service import KEY, SECRET, OrderService, write_area
from plumewatch import storage
from plumewatch.tables import FAILED_SCENES, ZONAL_STATISTICS
from plumewatch_airflow import hub_orders

pytestmark = pytest.mark.airflow
DAG, DAY = "sentinel_hub_orders", "2025-08-01"


@pytest.fixture
def bucket(order_service: OrderService, s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A storage in a bucket, an area, an account, and a service that is let into the bucket."""
    monkeypatch.setattr(hub_orders, "POLL_S", 0.01)
    write_area(tmp_path / "areas")
    settings = {
        "PLUMEWATCH_STORAGE_ROOT": s3_root, "PLUMEWATCH_AREAS": str(tmp_path / "areas"), "SH_CLIENT_SECRET": "s",
        "SH_CLIENT_ID": f"c{order_service.url}", "SH_BASE_URL": order_service.url,
        "SH_TOKEN_URL": f"{order_service.url}/token", "PLUMEWATCH_SH_BUCKET_ACCESS_KEY": KEY,
        "PLUMEWATCH_SH_BUCKET_SECRET_KEY": SECRET,
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return s3_root


def test_an_image_and_tiles_are_ordered_once_and_delivered(
    order_service: OrderService, bucket: str, run_dag: Callable[..., Any], states_of: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    order_service.looks = 1
    with caplog.at_level(logging.INFO):
        run = run_dag(DAG, DAY, orders=["image", "tiles"], area="field", first_day=DAY)
    states = states_of(run)
    assert run.state == "success" and states["order_image"] == states["order_tiles"] == ["success"]
    assert states["register_composites"] == ["skipped"]
    assert "Sentinel Hub is at work: Batch Processing API, 2025-08-01 to 2025-08-01" in caplog.text
    assert SECRET not in caplog.text and len(order_service.requests) == 2
    delivered = storage.list_files(storage.join(bucket, "sentinel_hub"))
    assert sum(file.endswith("/bands.tif") for file in delivered) == 3


def test_a_plan_without_it_turns_the_run_red_by_its_own_words(
    order_service: OrderService, bucket: str, run_dag: Callable[..., Any], states_of: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    order_service.refused = {"/api/v2/batch": (403, "Batch is for enterprise accounts")}
    run = run_dag(DAG, DAY, orders=["tiles"], area="field", first_day=DAY)
    assert run.state == "failed" and states_of(run)["order_tiles"] == ["failed"]
    assert "the account's plan has no Batch Processing API" in caplog.text
    assert "Batch is for enterprise accounts" in caplog.text and "trigger sentinel_hub_orders" in caplog.text


def test_a_collection_of_nothing_but_damaged_composites_names_them(
    order_service: OrderService, bucket: str, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    storage.write_json(f"{bucket}/composites/area=field/month=2025-07/composite.json", {"a": 1})
    run = run_dag(DAG, DAY, orders=["collection"], area="field")
    assert states_of(run)["register_composites"] == ["success"] and not order_service.collections
    rows = storage.read_table(FAILED_SCENES, f"{bucket}/failed_scenes").to_pylist()
    assert [row["scene_id"] for row in rows] == ["composite 2025-07"]


def test_zones_of_a_month_are_counted_by_the_batch(
    order_service: OrderService, bucket: str, run_dag: Callable[..., Any], states_of: Callable[..., Any], tmp_path: Path
) -> None:
    field = geopandas.GeoDataFrame({"id": ["7"]}, geometry=[shapely.box(57.0, 24.4, 57.002, 24.402)], crs=4326)
    field.to_file(tmp_path / "fields.gpkg")
    storage.write_bytes(f"{bucket}/zones/fields.gpkg", (tmp_path / "fields.gpkg").read_bytes())
    stats = {"min": 0.2, "max": 0.4, "mean": 0.3, "stDev": 0.1, "sampleCount": 100, "noDataCount": 10}

    def answer(output: str) -> Any:
        day = {"interval": {"from": "2025-08-03T00:00:00Z"}, "outputs": {output: {"bands": {"B0": {"stats": stats}}}}}
        return lambda _: {"response": {"data": [day], "status": "OK"}}

    order_service.results = {output: answer(output) for output in ("ndvi", "seen")}
    run = run_dag(
        "zonal_statistics_monthly", "2025-08", engine="sentinel_hub_batch", index=["ndvi"], statistics=["mean", "count"]
    )
    assert states_of(run)["count_zones"] == ["success"]
    rows = storage.read_table(ZONAL_STATISTICS, f"{bucket}/zonal_statistics").to_pylist()
    assert {(row["scene_id"], row["statistic"]): row["value"] for row in rows} == {
        ("sentinel_hub_2025-08-03", "mean"): 0.3, ("sentinel_hub_2025-08-03", "count"): 90.0,
        (None, "mean"): pytest.approx(0.3), (None, "count"): 90.0,
    }  # fmt: skip
