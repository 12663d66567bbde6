"""The index of an area's scenes: what it says, who can read it, and that nobody trips over it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import rustac
from known_source import AREA
from plumewatch import storage
from plumewatch.areas import grid_of
from plumewatch.failures import FailureBook
from plumewatch.rasters.regrid import lonlat_bounds
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.ingest import index_scenes
from plumewatch.sentinel2.scene_index import write_scene_index
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.settings import Settings

LATER, EARLIER = "S2B_40RDN_20250824_0_L2A", "S2A_40RDN_20250821_0_L2A"


@pytest.fixture
def root(source: Callable, arrays: dict, tmp_path: Path) -> Path:
    """Two scenes of other properties, the later one stacked first, one of them with a cloud probability."""
    cloud = {"CLD": np.zeros_like(arrays["SCL"])}
    later = source({**arrays, **cloud}, scene_id=LATER, platform="sentinel-2b", datetime="2025-08-24T06:48:12Z")
    earlier = source(arrays, scene_id=EARLIER, **{"s2:processing_baseline": 5.11, "view:incidence_angle": None})
    for item in (later, earlier):
        fetch_scene(pystac.Item.from_dict(item, migrate=False), AREA, str(tmp_path / "scenes"))
    return tmp_path / "scenes"


def test_one_row_a_scene_in_the_order_of_time(root: Path) -> None:
    path = write_scene_index(str(root), "dune")
    assert path == str(root / "area=dune" / "items.parquet")
    frame = geopandas.read_parquet(path)
    assert frame.crs == "OGC:CRS84" and list(frame["id"]) == [EARLIER, LATER]
    np.testing.assert_allclose(frame.total_bounds, lonlat_bounds(grid_of(AREA)), atol=1e-9)
    assert frame["datetime"].dt.strftime("%F %T %Z").tolist() == ["2025-08-21 06:48:12 UTC", "2025-08-24 06:48:12 UTC"]
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        item = json.loads((root / "area=dune" / row["links"][0]["href"]).read_text())
        assert row["eo:cloud_cover"] == item["properties"]["eo:cloud_cover"] and row["platform"] in (
            "sentinel-2a",
            "sentinel-2b",
        )
        for name, asset in item["assets"].items():
            assert row["assets"][name]["file:checksum"] == asset["file:checksum"]
            assert (root / "area=dune" / row["assets"][name]["href"]).stat().st_size == asset["file:size"]
    assert [row["assets"]["cloud"] is None for row in rows] == [True, False]
    assert [item["id"] for item in rustac.read_sync(path)["features"]] == [EARLIER, LATER]


def test_no_reader_of_scenes_trips_over_it(root: Path) -> None:
    before = list_scenes(str(root))
    write_scene_index(str(root), "dune")
    assert list_scenes(str(root)) == list_scenes(str(root / "area=dune")) == before and len(before) == 2


def test_an_item_that_cannot_be_used_is_named_and_an_empty_area_has_none(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "area=dune" / "date=2025-08-21" / f"{EARLIER}.json").write_text('{"properties": {}}')
    assert len(pq.read_table(write_scene_index(str(root), "dune"))) == 1
    assert f"{EARLIER}.json" in caplog.text
    for scene in list_scenes(str(root)):
        storage.delete(scene.folder)
    assert write_scene_index(str(root), "dune") is None and not list(root.rglob("*.parquet"))


def test_readers_never_see_half_of_it(root: Path) -> None:
    """While it is written over and over, by two at a time, every read finds both rows."""
    path = write_scene_index(str(root), "dune")
    writers = [threading.Thread(target=lambda: [write_scene_index(str(root), "dune") for _ in range(4)]) for _ in "ab"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert pq.read_table(path).num_rows == 2
    for writer in writers:
        writer.join()
    assert sorted(p.name for p in (root / "area=dune").iterdir() if p.is_file()) == ["items.parquet"]


def test_an_index_that_cannot_be_written_is_a_failure_by_name_and_heals(root: Path) -> None:
    settings = Settings(storage_root=str(root.parent))
    shutil.copytree(root / "area=dune", root / "area=rock")
    in_the_way = root / "area=dune" / "items.parquet"
    in_the_way.mkdir()
    (in_the_way / "a").touch()
    book = FailureBook(settings.storage_root, "sentinel2_daily_ingest", "a run")
    index_scenes(settings, book, "2025-08-21", ["rock", "dune"])
    [row] = book.open_rows("2025-08-21")
    assert (row["area"], row["scene_id"], row["stage"]) == ("dune", "items.parquet", "index")
    assert (root / "area=rock" / "items.parquet").is_file()
    shutil.rmtree(in_the_way)
    index_scenes(settings, book, "2025-08-21", ["dune"])
    assert book.open_rows("2025-08-21") == [] and in_the_way.is_file()
