"""The month of zones and composites, run whole on scenes that are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from plumewatch import storage
from plumewatch.tables import ZONAL_STATISTICS
from sentinel2_scenes import EPSG, NORTH, WEST, write_stacked

pytestmark = pytest.mark.airflow
DAG = "zonal_statistics_monthly"


def test_a_month_of_scenes_is_composed_and_counted(
    world: Any, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    root = Path(world.storage_root.removeprefix("file://"))
    assert run_dag(DAG, "2019-01").state == "success"  # neither scenes nor zones: nothing to do
    clear = np.full((20, 20), 4, np.uint8)
    band = np.full((20, 20), 2500, np.uint16)
    write_stacked(root / "scenes", band, band, clear, area="fields", date="2019-01-06")
    box = shapely.box(WEST, NORTH - 200, WEST + 200, NORTH)
    (root / "zones").mkdir()
    geopandas.GeoDataFrame({"id": ["north"]}, geometry=[box], crs=EPSG).to_file(root / "zones" / "fields.gpkg")
    run = run_dag(DAG, "2019-01", h3_resolution=9, statistics=["mean", "count"])
    assert run.state == "success" and {s for of_task in states_of(run).values() for s in of_task} == {"success"}
    of_service = run_dag(DAG, "2019-01", engine="sentinel_hub", index=["ndvi"])
    assert of_service.state == "success" and states_of(of_service)["count_zones"] == ["skipped"]  # there is no account
    other = geopandas.GeoDataFrame({"own": ["second"]}, geometry=[box], crs=EPSG)
    other.to_file(root / "zones" / "fields.gpkg", layer="other")
    of_layer = run_dag(DAG, "2019-01", layer="fields:other", zone_id_column="fields:own", statistics=["count"])
    assert of_layer.state == "success"
    rows = storage.read_table(ZONAL_STATISTICS, str(root / "zonal_statistics")).to_pylist()
    [mean] = [
        r for r in rows
        if (r["zones"], r["zone_id"], r["scene_id"], r["statistic"], r["band_or_index"])
        == ("fields", "north", None, "mean", "b11")
    ]  # fmt: skip
    assert mean["value"] == pytest.approx(0.25) and mean["count_clear"] == mean["count_total"] == 100
    assert {r["zones"] for r in rows} == {"fields", "fields_other", "h3_9"}
    assert {r["zone_id"] for r in rows if r["zones"] == "fields_other"} == {"second"}
    assert (root / "composites" / "area=fields" / "month=2019-01" / "median.tif").exists()
