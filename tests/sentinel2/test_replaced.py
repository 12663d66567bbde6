"""A newer product of an acquisition replaces an older one when it is stacked whole, and not before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from known_pixels import lonlat_polygon, write_area
from plumewatch.catalogues import stac
from plumewatch.errors import InputError, PlumewatchError, ServiceError
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2 import ingest
from plumewatch.sentinel2.day_search import search_day
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.sentinel2.replaced import withdraw_replaced
from plumewatch.settings import Settings
from sentinel2_scenes import SCENE_ID

NEW = "S2A_40RDN_20250821_1_L2A"
FOLDER = "scenes/area=dune/date=2025-08-21"
WEST_PART, EAST_PART = shapely.box(56.5, 24.0, 57.01, 25.0), shapely.box(57.0, 24.0, 57.5, 25.0)


@pytest.fixture
def fetch(source: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., list[str]]:
    """Fetch a product, of which one file may be broken, and return the ids of what is stored then."""
    write_area(tmp_path / "mine" / "dune.geojson", lonlat_polygon((10, 10), (50, 10), (50, 50), (10, 50)))
    settings = Settings(storage_root=str(tmp_path), areas=str(tmp_path / "mine"))

    def call(scene_id: str, breaks: Callable[[Path], object] | None = None, **item: Any) -> list[str]:
        shown = {b: np.full((60, 60), v, np.uint16) for b, v in (("B11", 4000), ("B12", 3600))}
        shutil.rmtree(tmp_path / "catalogue", ignore_errors=True)
        content = source({**shown, "SCL": np.full((60, 60), 5, np.uint8)}, scene_id=scene_id, **item)
        folder = tmp_path / "catalogue" / scene_id
        if breaks:
            breaks(folder)
        (folder / "item.json").write_text(json.dumps(content))
        try:
            fetch_area_scene(settings, "dune", str(folder / "item.json"))
        except PlumewatchError:
            if not breaks:
                raise
        return [s.scene_id for s in list_scenes(str(tmp_path / "scenes"))]

    return call


def test_a_newer_product_replaces_the_older_one(fetch: Callable, tmp_path: Path) -> None:
    assert fetch(SCENE_ID) == [SCENE_ID]
    assert fetch(NEW, **{"s2:sequence": "1"}) == [NEW]
    assert {p.name.removeprefix(NEW) for p in (tmp_path / FOLDER).iterdir()} >= {".tif", "_scl.tif", ".json"}
    assert all(p.name.startswith(NEW) for p in (tmp_path / FOLDER).iterdir())


@pytest.mark.parametrize(
    "breaks",
    [
        lambda folder: (folder / "B12.tif").unlink(),
        lambda folder: (folder / "B12.tif").write_text("<html>"),
        lambda folder: (folder / "SCL.tif").unlink(),
        lambda folder: (folder / "B11.tif").write_bytes((folder / "B11.tif").read_bytes()[:200]),
        lambda folder: (folder / "SCL.tif").write_bytes(b""),
    ],
)
def test_one_that_is_broken_costs_no_good_one(fetch: Callable, breaks: Callable[[Path], object]) -> None:
    fetch(SCENE_ID)
    assert fetch(NEW, breaks, **{"s2:sequence": "1"}) == [SCENE_ID]
    assert fetch(NEW, **{"s2:sequence": "1"}) == [NEW]  # it has healed


@pytest.mark.parametrize(
    "newer",
    [
        {"s2:processing_baseline": "05.12"},
        {"datetime": "2025-08-21T06:51:46Z", "s2:sequence": "1"},
        {"updated": "2026-01-01T00:00:00Z"},
        {"footprint": shapely.box(56.4, 23.9, 57.6, 25.1), "s2:sequence": "3"},
    ],
)
def test_whichever_comes_first_the_newest_stays(fetch: Callable, newer: dict[str, Any]) -> None:
    name = "S2A_40RDN_20250821_0_L2A_again"
    fetch(name, **newer)
    assert fetch(SCENE_ID) == [name]


@pytest.mark.parametrize(
    "other",
    [
        {"grid:code": "MGRS-40RCN"},
        {"platform": "sentinel-2b"},
        {"s2:product_uri": "S2A_MSIL2A_20250821T064621_N0511_R063_T40RDN_20250821T102030.SAFE"},
    ],
)
def test_other_acquisitions_stay(fetch: Callable, other: dict[str, Any]) -> None:
    fetch(SCENE_ID)
    assert fetch(NEW, **other) == [SCENE_ID, NEW]


def test_two_parts_replace_a_whole_when_both_are_there(fetch: Callable) -> None:
    parts = [f"S2A_40RDN_20250821_{n}_L2A" for n in (1, 2)]
    fetch(SCENE_ID)
    assert fetch(parts[0], footprint=WEST_PART, **{"s2:sequence": "1"}) == [SCENE_ID, parts[0]]
    assert fetch(parts[1], footprint=EAST_PART, **{"s2:sequence": "2"}) == parts


def test_what_is_not_whole_or_not_stacked_here_neither_replaces_nor_goes(fetch: Callable, tmp_path: Path) -> None:
    fetch(SCENE_ID)
    fetch(NEW, **{"grid:code": "MGRS-40RCN", "s2:sequence": "1"})
    for name, text in (("by_hand", "{}"), ("no_json", "<html>"), ("a_list", "[]")):
        (tmp_path / FOLDER / f"{name}.json").write_text(text)
    item = tmp_path / FOLDER / f"{NEW}.json"
    item.write_text(item.read_text().replace("MGRS-40RCN", "MGRS-40RDN"))
    (tmp_path / FOLDER / f"{NEW}_scl.tif").write_bytes(b"half")
    assert withdraw_replaced(str(tmp_path / "scenes"), str(tmp_path / FOLDER)) == []
    assert SCENE_ID in [s.scene_id for s in list_scenes(str(tmp_path / "scenes"))]


@pytest.fixture
def catalogue(
    source: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Settings]:
    """A catalogue of products of one acquisition (id, how it is broken), and settings to fetch from it."""
    write_area(tmp_path / "mine" / "dune.geojson", lonlat_polygon((10, 10), (50, 10), (50, 50), (10, 50)))

    def call(products: dict[str, Callable[[Path], object] | None]) -> Settings:
        items = []
        for number, (scene_id, breaks) in enumerate(products.items()):
            shown = {b: np.full((60, 60), v, np.uint16) for b, v in (("B11", 4000), ("B12", 3600))}
            folder = tmp_path / "catalogue" / scene_id
            link = {"rel": "self", "href": str(folder / "item.json")}
            arrays = {**shown, "SCL": np.full((60, 60), 5, np.uint8)}
            items.append(source(arrays, scene_id=scene_id, links=(link,), **{"s2:sequence": str(number)}))
            if breaks:
                breaks(folder)
            (folder / "item.json").write_text(json.dumps(items[-1]))
        monkeypatch.setattr(stac, "search_items", lambda *_: iter(items))
        return Settings(storage_root=str(tmp_path), areas=str(tmp_path / "mine"))

    return call


def without_b12(folder: Path) -> None:
    (folder / "B12.tif").unlink()


@pytest.mark.parametrize(
    "broken, kept",
    [((2,), [1]), ((2, 1), [0]), ((2, 1, 0), []), ((1,), [2]), ((0, 1), [2])],
    ids=["the newest", "the two newest", "all", "an older one", "all older ones"],
)
def test_where_the_newest_is_broken_for_good_an_older_one_serves(
    catalogue: Callable,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    broken: tuple[int, ...],
    kept: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = [f"S2A_40RDN_20250821_{number}_L2A" for number in range(3)]
    settings = catalogue({name: without_b12 if n in broken else None for n, name in enumerate(ids)})
    [scene] = search_day(settings, "2025-08-21", []).scenes
    assert scene.scene_id == ids[2]
    monkeypatch.delattr(stac, "search_items")  # a failure asks the catalogue no more
    with nullcontext() if 2 not in broken else pytest.raises(InputError, match=f"{ids[2]}.*B12"):
        fetch_area_scene(settings, "dune", scene.item_href, scene.older)
    assert [s.scene_id for s in list_scenes(str(tmp_path / "scenes"))] == [ids[n] for n in kept]
    if kept not in ([], [2]):
        assert f"{ids[kept[0]]}.json serves in place of {scene.item_href}" in caplog.text


def test_what_may_heal_is_not_replaced_by_an_older_one(
    catalogue: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = catalogue({SCENE_ID: None, NEW: None})
    [scene] = search_day(settings, "2025-08-21", []).scenes

    def busy(*_: object) -> None:
        raise ServiceError("busy", 503)

    monkeypatch.setattr(ingest, "fetch_scene", busy)
    with pytest.raises(ServiceError):
        fetch_area_scene(settings, "dune", scene.item_href, scene.older)
    assert list_scenes(str(tmp_path / "scenes")) == []
