"""Scenes that come late: found by what a catalogue showed before, each in its own day."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_pixels import lonlat_polygon, write_area
from plumewatch import http, storage
from plumewatch.failures import FailureBook
from plumewatch.models import FailedScene
from plumewatch.sentinel2.completeness.late_scenes import keep_found, remember_found, runs_of, search_late_scenes
from plumewatch.sentinel2.day_search import search_day
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.sentinel2.scene import updated_of
from plumewatch.settings import Settings
from slow_catalogue import SlowCatalogue

TODAY, DAY, FIRST, SECOND = "2025-08-23", "2025-08-21", "S2A_40RDN_20250821_0_L2A", "S2A_40RDN_20250821_1_L2A"
CLOUDY = "S2A_40RCN_20250821_0_L2A"
NEWER = "2025-08-22T18:00:00Z"
OUTLINE = lonlat_polygon((10, 10), (50, 10), (50, 50), (10, 50))


class Catalogue:
    """A STAC API whose items a test changes, and the ingest and the late look over it."""

    def __init__(self, source: Callable[..., dict[str, Any]], folder: Path) -> None:
        write_area(folder / "mine" / "dune.geojson", OUTLINE, max_cloud_cover=50)
        self.items: dict[str, dict[str, Any]] = {}
        self.source, self.folder, self.settings = source, folder, Settings(str(folder), areas=str(folder / "mine"))

    def has(self, scene_id: str = FIRST, **properties: Any) -> None:
        """Add an item, or change it."""
        shown = {b: np.full((60, 60), v, np.uint16) for b, v in (("B11", 4000), ("B12", 3600))}
        path = self.folder / "catalogue" / scene_id / "item.json"
        arrays = {**shown, "SCL": np.full((60, 60), 5, np.uint8)}
        link = {"rel": "self", "href": str(path)}
        self.items[scene_id] = self.source(arrays, scene_id=scene_id, links=(link,), **properties)
        path.write_text(json.dumps(self.items[scene_id]))

    def ingest(self, key: str = DAY) -> None:
        found = search_day(self.settings, key, [])
        found.record(FailureBook(self.settings.storage_root, "sentinel2_daily_ingest", "run"))
        for scene in found.scenes:
            fetch_area_scene(self.settings, "dune", scene.item_href, scene.older)

    def late(self, *, remember: bool = True, days: int = 30) -> dict[str, set[str]]:
        late = search_late_scenes(self.settings, TODAY, [], days)
        assert not late.search.failed, late.search.failed
        keep_found(self.settings, late)
        if remember:
            remember_found(self.settings)
        return late.days


@pytest.fixture
def catalogue(source: Callable[..., dict[str, Any]], tmp_path: Path) -> Iterator[Catalogue]:
    served = Catalogue(source, tmp_path)

    class Handler(SlowCatalogue):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer({"type": "FeatureCollection", "features": list(served.items.values()), "links": []})

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        served.settings = Settings(str(tmp_path), areas=str(tmp_path / "mine"), stac_api=url)
        yield served
        server.shutdown()


def test_a_fresh_install_fetches_nothing_and_what_the_ingest_saw_is_not_late(catalogue: Catalogue) -> None:
    catalogue.has()
    catalogue.has(CLOUDY, **{"eo:cloud_cover": 90.0, "grid:code": "MGRS-40RCN"})
    assert catalogue.late() == {}
    catalogue.ingest()
    assert catalogue.late() == {} and catalogue.late() == {}


def test_a_scene_that_comes_after_its_day_was_ingested_is_late_once(catalogue: Catalogue) -> None:
    catalogue.ingest()
    assert catalogue.late() == {}
    catalogue.has()
    assert catalogue.late() == {DAY: {"dune"}} and catalogue.late() == {}
    catalogue.ingest()
    assert catalogue.late() == {}


@pytest.mark.parametrize("looked", [False, True])
def test_a_product_made_again_or_an_item_that_changed_is_late(catalogue: Catalogue, looked: bool) -> None:
    catalogue.has()
    catalogue.ingest()
    assert not looked or catalogue.late() == {}
    catalogue.has(SECOND, **{"s2:sequence": "1", "s2:processing_baseline": "05.12"})
    assert catalogue.late() == {DAY: {"dune"}}
    catalogue.ingest()
    assert catalogue.late() == {}
    catalogue.has(SECOND, **{"s2:sequence": "1", "s2:processing_baseline": "05.12"}, created=NEWER)
    assert catalogue.late() == {DAY: {"dune"}} and catalogue.late() == {}


@pytest.mark.parametrize("looked", [False, True])
def test_an_item_of_which_updated_alone_moves_is_neither_late_nor_fetched_again(
    catalogue: Catalogue, looked: bool
) -> None:
    """As in a catalogue that states the time of the question, and signs addresses anew."""
    catalogue.has()
    catalogue.ingest()
    assert not looked or catalogue.late() == {}
    files = {path: path.stat().st_mtime_ns for path in (catalogue.folder / "scenes").rglob("*.*")}
    assert files
    for minute in range(3):
        catalogue.has(updated=f"2025-08-22T18:0{minute}:00Z")
        assert catalogue.late() == {}
        catalogue.ingest()
        assert {path: path.stat().st_mtime_ns for path in (catalogue.folder / "scenes").rglob("*.*")} == files


def changed(item: dict[str, Any], how: str) -> None:
    asset = item["assets"]["swir16"]
    if how == "checksum":
        asset["file:checksum"] = "1220ab"
    elif how == "file":
        asset["href"] = asset["href"].replace("B11", "B11_second")
    elif how == "another asset":
        item["assets"]["cloud"] = asset
    else:
        item["properties"][how] = "2025-08-22T09:00:00Z" if how == "created" else "05.12"


@pytest.mark.parametrize("how", ["checksum", "file", "another asset", "created", "s2:processing_baseline"])
def test_whatever_else_an_item_says_otherwise_makes_it_late(catalogue: Catalogue, how: str) -> None:
    catalogue.has()
    catalogue.ingest()
    assert catalogue.late() == {}
    changed(catalogue.items[FIRST], how)
    assert catalogue.late() == {DAY: {"dune"}} and catalogue.late() == {}


def test_what_older_looks_and_scenes_know_by_times_is_not_late(catalogue: Catalogue) -> None:
    catalogue.has()
    catalogue.ingest()
    [item] = (catalogue.folder / "scenes").rglob("*_L2A.json")
    stored = json.loads(item.read_text())
    del stored["properties"]["plumewatch:source_content"]
    item.write_text(json.dumps(stored))
    assert catalogue.late() == {}
    [memory] = (catalogue.folder / ".late_scenes").rglob("dune.json")
    memory.write_text(json.dumps({FIRST: [DAY, updated_of(stored["properties"])]}))
    assert catalogue.late() == {}


def test_a_scene_left_for_its_cloud_is_late_when_its_item_changes(catalogue: Catalogue) -> None:
    catalogue.has(CLOUDY, **{"eo:cloud_cover": 90.0, "grid:code": "MGRS-40RCN"})
    catalogue.ingest()
    assert catalogue.late() == {}
    catalogue.has(CLOUDY, **{"eo:cloud_cover": 20.0, "grid:code": "MGRS-40RCN"}, updated=NEWER)
    assert catalogue.late() == {DAY: {"dune"}}


def test_a_catalogue_without_times_shows_new_items(catalogue: Catalogue) -> None:
    catalogue.has(updated=None)
    catalogue.ingest()
    assert catalogue.late() == {}
    catalogue.has(CLOUDY, updated=None, **{"grid:code": "MGRS-40RCN"})
    assert catalogue.late() == {DAY: {"dune"}} and catalogue.late() == {}


def test_what_was_not_handed_over_is_found_again(catalogue: Catalogue) -> None:
    catalogue.ingest()
    catalogue.has()
    assert catalogue.late(remember=False) == catalogue.late() == {DAY: {"dune"}} and catalogue.late() == {}


def test_a_shorter_look_forgets_nothing_and_a_later_one_looks_further(catalogue: Catalogue) -> None:
    catalogue.has()
    catalogue.ingest()
    catalogue.has(CLOUDY, **{"grid:code": "MGRS-40RCN"})
    assert catalogue.late(days=1) == {}
    assert catalogue.late() == {DAY: {"dune"}}
    assert catalogue.late(days=1) == {} == catalogue.late()
    [path] = [p for p in storage.list_files(f"{catalogue.folder}/.late_scenes") if p.endswith("dune.json")]
    assert set(storage.read_json(path)) == {FIRST, CLOUDY}


def test_a_scene_beyond_max_items_is_not_late_at_the_first_look(catalogue: Catalogue) -> None:
    write_area(catalogue.folder / "mine" / "dune.geojson", OUTLINE, max_cloud_cover=50, max_items=1)
    catalogue.has()
    catalogue.has(CLOUDY, **{"eo:cloud_cover": 40.0, "grid:code": "MGRS-40RCN"})
    catalogue.ingest()
    assert catalogue.late() == {} and catalogue.late() == {}
    catalogue.has(CLOUDY, **{"eo:cloud_cover": 0.0, "grid:code": "MGRS-40RCN"}, updated=NEWER)
    assert catalogue.late() == {DAY: {"dune"}} and catalogue.late() == {}


def test_a_good_look_heals_all_that_earlier_ones_left(catalogue: Catalogue) -> None:
    """A task that failed, a file that can be read by now, an area that is there no more, another that wasn't asked."""
    book, key = FailureBook(str(catalogue.folder), "sentinel2_late_scenes", "run"), "2025-08-22"
    left = [("search", "search_late", None), ("gone.geojson", "search", None), ("search", "search", "gone")]
    rows = [FailedScene(scene, stage, "InputError", "no", area=area) for scene, stage, area in left]
    broken = catalogue.folder / "mine" / "broken.geojson"
    broken.write_text("{")
    book.settle(key, rows)
    search_late_scenes(catalogue.settings, key, [], 30).record(book, key)
    [of_file] = book.open_rows(key)
    assert of_file["scene_id"] == "broken.geojson"
    book.settle(key, rows[2:])
    broken.unlink()
    search_late_scenes(catalogue.settings, TODAY, ["dune"], 30).record(book, TODAY)
    assert [row["area"] for row in book.open_rows(key)] == ["gone"]  # narrowed: it wasn't looked for
    search_late_scenes(catalogue.settings, TODAY, [], 30).record(book, TODAY)
    assert book.open_rows(key) == []


def test_a_search_that_fails_is_recorded_and_healed_by_the_next(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    dead = Settings(str(catalogue.folder), areas=str(catalogue.folder / "mine"), stac_api="http://127.0.0.1:9/v1")
    book = FailureBook(str(catalogue.folder), "sentinel2_late_scenes", "run")
    search_late_scenes(dead, "2025-08-22", [], 30).record(book, "2025-08-22")
    [row] = book.open_rows("2025-08-22")
    assert (row["area"], row["scene_id"], row["is_retryable"]) == ("dune", "search", True)
    search_late_scenes(catalogue.settings, TODAY, [], 30).record(book, TODAY)
    assert book.open_rows("2025-08-22") == []


def test_a_run_lies_in_its_day_and_shares_its_date_with_no_other(catalogue: Catalogue) -> None:
    catalogue.ingest()
    catalogue.has()
    late = search_late_scenes(catalogue.settings, TODAY, [], 30)
    at = datetime(2025, 8, 23, 9, 0, 1, 250, tzinfo=UTC)
    assert runs_of(late, at) == [
        {
            "logical_date": "2025-08-21T09:00:01.000250+00:00",
            "trigger_run_id": "late__2025-08-21__20250823T090001",
            "conf": {"areas": ["dune"]},
        }
    ]


@pytest.mark.parametrize("content", ['{"half":', "", "[]", "null", '{"x": 5}', '{"x": [1]}'])
def test_a_broken_memory_is_named_and_written_anew(
    catalogue: Catalogue, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue.has()
    catalogue.ingest()
    assert catalogue.late() == {}
    [memory] = (catalogue.folder / ".late_scenes").rglob("dune.json")
    whole = memory.read_text()
    memory.write_text(content)
    assert catalogue.late() == {} and memory.read_text() == whole and "dune.json: not readable" in caplog.text
    (catalogue.folder / ".late_scenes" / "found.json").write_text(content)
    assert remember_found(catalogue.settings) == 0


def test_what_was_found_is_remembered_in_its_own_folder_alone(catalogue: Catalogue) -> None:
    outside = catalogue.folder / "outside.json"
    storage.write_json(f"{catalogue.folder}/.late_scenes/found.json", {str(outside): {"a": ["2025-08-21", ""]}})
    assert remember_found(catalogue.settings) == 0 and not outside.exists()
