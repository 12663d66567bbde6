"""A newer product on the other side of midnight replaces an older one: its scene, pixels and detections."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_pixels import lonlat_polygon, write_area
from plumewatch import storage
from plumewatch.methane.dates.due import days_to_detect
from plumewatch.rasters.scene_store import ScenePaths, list_scenes
from plumewatch.sentinel2.ingest import fetch_area_scene, record_missing_scenes, settle_scenes
from plumewatch.settings import Settings
from plumewatch.tables import OBSERVATIONS, PIXELS
from sentinel2_scenes import SCENE_ID

NEW = "S2A_40RDN_20250821_1_L2A"
OTHER = "S2B_40RDN_20250820_0_L2A"
PLACE = {"grid:code": "MGRS-01KAB", "s2:product_uri": None}  # over the Pacific satellites come by at midnight UTC
BEFORE, AFTER = "2025-08-20T23:59:59.9Z", "2025-08-21T00:00:00.1Z"
DAYS = ("2025-08-20", "2025-08-21")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_area(tmp_path / "mine" / "dune.geojson", lonlat_polygon((10, 10), (50, 10), (50, 50), (10, 50)))
    return Settings(storage_root=str(tmp_path), areas=str(tmp_path / "mine"))


@pytest.fixture
def fetch(source: Callable[..., dict[str, Any]], tmp_path: Path, settings: Settings) -> Callable[..., dict[str, str]]:
    """Fetch a product of a time, and return it as the ingest knows it."""

    def call(scene_id: str, time: str, **item: Any) -> dict[str, str]:
        shown = {b: np.full((60, 60), v, np.uint16) for b, v in (("B11", 4000), ("B12", 3600))}
        shutil.rmtree(tmp_path / "catalogue", ignore_errors=True)
        arrays = {**shown, "SCL": np.full((60, 60), 5, np.uint8)}
        content = source(arrays, scene_id=scene_id, datetime=time, **{**PLACE, **item})
        path = tmp_path / "catalogue" / scene_id / "item.json"
        path.write_text(json.dumps(content))
        fetch_area_scene(settings, "dune", str(path))
        return {"area": "dune", "key": time[:10], "scene_id": scene_id}

    return call


def stored(settings: Settings) -> list[str]:
    return sorted(scene.scene_id for scene in list_scenes(settings.table_root("scenes")))


def names(withdrawn: list[ScenePaths]) -> list[tuple[str, str]]:
    return [(scene.date, scene.scene_id) for scene in withdrawn]


@pytest.mark.parametrize("comes_first", ["older", "newer"])
@pytest.mark.parametrize(
    ("older", "newer", "is_same"),
    [
        (BEFORE, AFTER, True), (AFTER, BEFORE, True), ("2025-08-20T23:58:00Z", "2025-08-21T00:01:30Z", True),
        ("2025-08-20T22:00:00Z", "2025-08-21T01:30:00Z", True),  # one orbit number a solar day, whatever the times
        ("2025-08-31T23:59:59Z", "2025-09-01T00:00:01Z", True), ("2025-12-31T23:59:59Z", "2026-01-01T00:00:01Z", True),
        ("2025-08-20T23:30:00Z", "2025-08-10T23:30:01Z", False),
        ("2025-08-20T12:00:00Z", "2025-08-21T12:00:00Z", False),
        ("2025-08-10T23:59:59Z", "2025-08-21T00:00:01Z", False),
        ("2025-08-20T12:10:00Z", "2025-08-21T12:00:00Z", False),
    ],
)  # fmt: skip
def test_a_product_that_a_newer_one_replaces_over_midnight_is_withdrawn(
    fetch: Callable, settings: Settings, older: str, newer: str, is_same: bool, comes_first: str
) -> None:
    products = [(SCENE_ID, older, {}), (NEW, newer, {"s2:sequence": "1"})]
    if comes_first == "newer":
        products.reverse()
    for scene_id, time, item in products:
        last = fetch(scene_id, time, **{"sat:relative_orbit": 20, **item})
    withdrawn = settle_scenes(settings, [last])
    assert names(withdrawn) == ([(older[:10], SCENE_ID)] if is_same else [])
    assert stored(settings) == ([NEW] if is_same else sorted([SCENE_ID, NEW]))
    assert settle_scenes(settings, [last]) == []


@pytest.mark.parametrize(
    "other",
    [
        {"grid:code": "MGRS-01KAC"}, {"platform": "sentinel-2b"}, {"sat:relative_orbit": 63},
        {"s2:processing_baseline": "05.00"}, {"s2:sequence": "0", "updated": "2020-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_another_acquisition_or_no_newer_product_withdraws_nothing_of_the_day_before(
    fetch: Callable, settings: Settings, other: dict[str, Any]
) -> None:
    fetch(SCENE_ID, BEFORE, **{"sat:relative_orbit": 20})
    last = fetch(NEW, AFTER, **{"sat:relative_orbit": 20, "s2:sequence": "1", **other})
    settle_scenes(settings, [last])
    assert SCENE_ID in stored(settings)


@pytest.mark.parametrize("broken", [".tif", "_scl.tif", ".json"])
def test_one_that_is_not_whole_withdraws_nothing(
    fetch: Callable, settings: Settings, broken: str, tmp_path: Path
) -> None:
    fetch(SCENE_ID, BEFORE)
    last = fetch(NEW, AFTER, **{"s2:sequence": "1"})
    (tmp_path / f"scenes/area=dune/date={DAYS[1]}" / f"{NEW}{broken}").write_bytes(b"{}")
    assert settle_scenes(settings, [last]) == [] and SCENE_ID in stored(settings)


@pytest.mark.parametrize("has_other", [False, True])
def test_pixels_of_a_withdrawn_scene_do_not_count_any_more(
    fetch: Callable, settings: Settings, run: Callable, tmp_path: Path, has_other: bool
) -> None:
    fetch(SCENE_ID, BEFORE)
    if has_other:
        fetch(OTHER, "2025-08-20T12:00:00Z", platform="sentinel-2b")
    run("--date", DAYS[0])
    last = fetch(NEW, AFTER, **{"s2:sequence": "1"})
    run("--date", DAYS[1])
    days = sorted({scene.date for scene in settle_scenes(settings, [last])})
    assert days == [DAYS[0]]
    for day in days:
        run("--date", day)
    rows = storage.read_table(PIXELS, str(tmp_path / "pixels"))
    shown = set(zip(rows["date"].to_pylist(), rows["scene_id"].to_pylist(), strict=True))
    assert shown == {(DAYS[1], NEW)} | ({(DAYS[0], OTHER)} if has_other else set())
    manifest = storage.read_manifest(str(tmp_path / f"pixels/area=dune/date={DAYS[0]}"))
    assert (manifest["rows"] > 0) is has_other and len(manifest["files"]) == 1
    assert DAYS[0] in days_to_detect(str(tmp_path), DAYS[0])  # so that what was found there goes too


def test_pixels_stay_where_scenes_were_removed_by_hand(
    fetch: Callable, settings: Settings, run: Callable, tmp_path: Path
) -> None:
    fetch(SCENE_ID, BEFORE)
    run("--date", DAYS[0])
    before = storage.read_table(PIXELS, str(tmp_path / "pixels"))
    shutil.rmtree(tmp_path / f"scenes/area=dune/date={DAYS[0]}")
    last = fetch(NEW, AFTER, **{"s2:sequence": "1"})
    assert settle_scenes(settings, [last]) == []
    assert storage.read_table(PIXELS, str(tmp_path / "pixels")).equals(before)


def test_a_withdrawn_scene_of_the_run_is_a_duplicate_and_no_failure(
    fetch: Callable, settings: Settings, tmp_path: Path
) -> None:
    fetch(NEW, AFTER, **{"s2:sequence": "1"})
    scenes = [fetch(SCENE_ID, BEFORE), {"area": "dune", "key": DAYS[0], "scene_id": "never came"}]
    withdrawn = settle_scenes(settings, scenes)
    assert record_missing_scenes(settings, DAYS[0], scenes, withdrawn=withdrawn) == 1
    rows = storage.read_table(OBSERVATIONS, str(tmp_path / "observations")).to_pylist()
    assert sorted((row["scene_id"], row["outcome"], row["stage"]) for row in rows) == [
        (SCENE_ID, "skipped_duplicate", "fetch"),
        ("never came", "failed", "fetch"),
    ]
