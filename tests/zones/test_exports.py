"""A month as tables for people: what GDAL, and so QGIS, reads of them is what was counted."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from known_zones import rectangle, write_zones
from numpy.typing import NDArray
from sentinel2_scenes import EPSG

ZONES = {"10": rectangle(2, 3, 10, 12), "9": rectangle(8, 9, 9, 9), "1": rectangle(200, 0, 5, 5)}


def test_a_month_is_a_row_a_zone_with_its_outline(
    count: Callable[..., Any], scene: Callable[..., Mapping[str, NDArray[Any]]], tmp_path: Path
) -> None:
    numbers = scene(scl=np.full((40, 40), 4, np.uint8))
    asked = ["--zones-path", write_zones(tmp_path / "fields.gpkg", ZONES), "--zone-id-column", "zone"]
    asked += ["--index", "b04", "--statistics", "mean,count"]
    count(*asked, "--geopackage-path", tmp_path / "month.gpkg", "--csv-path", tmp_path / "month.csv")
    cells = numbers["B04"][2:12, 3:15] / 10_000.0
    frame = pyogrio.read_dataframe(tmp_path / "month.gpkg")
    assert pyogrio.list_layers(tmp_path / "month.gpkg")[:, 0].tolist() == ["fields"] and frame.crs.to_epsg() == EPSG
    assert list(frame["zone_id"]) == ["1", "9", "10"]  # the order of their numbers
    assert all(shapely.equals(frame.geometry, [ZONES[zone] for zone in frame["zone_id"]]))
    last = frame.iloc[-1]
    assert last["b04_mean"] == pytest.approx(cells.mean(), rel=1e-6)
    assert (last["b04_count"], last["b04_count_clear"], last["b04_count_total"]) == (120, 120, 120)
    assert np.isnan(frame.iloc[0]["b04_mean"]) and frame.iloc[0]["b04_count_total"] == 0  # outside of the scenes
    rows = list(csv.DictReader((tmp_path / "month.csv").open(encoding="utf-8")))
    assert [row["zone_id"] for row in rows] == ["1", "9", "10"] and rows[0]["b04_mean"] == ""
    assert float(rows[-1]["b04_mean"]) == pytest.approx(cells.mean(), rel=1e-6)
