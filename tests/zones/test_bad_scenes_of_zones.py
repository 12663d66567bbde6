"""Scenes of a month that can't be used: the other areas go on, and what is stored isn't replaced by nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from known_zones import rectangle, write_zones
from plumewatch.errors import InputError
from plumewatch.failures import NothingDone
from sentinel2_scenes import SCENE_ID

Count = Callable[..., Any]


def test_an_area_whose_scenes_are_all_unreadable_takes_no_other_along(
    count: Count, scene: Callable[..., Any], stored: Callable[[], Any], tmp_path: Path
) -> None:
    scene()
    scene(area="broken")
    bad = tmp_path / "scenes" / "area=broken" / "date=2025-08-21" / f"{SCENE_ID}.tif"
    bad.write_bytes(b"II*\0")
    zones = write_zones(tmp_path / "zones.gpkg", {1: rectangle(0, 0, 5, 5)})
    result = count("--zones-path", zones, "--index", "b08", "--statistics", "count")
    assert result.failed == 1 and stored().count_total.max() == 25


def test_where_no_scene_can_be_read_the_stored_rows_stay(
    count: Count, scene: Callable[..., Any], stored: Callable[[], Any], tmp_path: Path
) -> None:
    scene()
    zones = write_zones(tmp_path / "zones.gpkg", {1: rectangle(0, 0, 5, 5)})
    count("--zones-path", zones, "--index", "b08")
    first = stored()
    bad = tmp_path / "scenes" / "area=dune" / "date=2025-08-21" / f"{SCENE_ID}.tif"
    content = bytearray(bad.read_bytes())
    content[-3000:] = b"\0" * 3000
    bad.write_bytes(content)
    with pytest.raises(NothingDone, match=SCENE_ID):
        count("--zones-path", zones, "--index", "b08")
    assert stored().equals(first)


def test_a_damaged_partition_is_replaced_by_a_run_over_all_zones(
    count: Count, scene: Callable[..., Any], stored: Callable[[], Any], tmp_path: Path
) -> None:
    scene()
    options = ("--zones-path", write_zones(tmp_path / "zones.gpkg", {1: rectangle(0, 0, 5, 5)}), "--index", "b08")
    count(*options)
    first = stored()
    damaged = tmp_path / "zonal_statistics" / "zones=zones" / "month=2025-08" / "data.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"data\.parquet"):
        stored()
    count(*options)
    assert stored().equals(first)
