"""The search of a day with area files of which some cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import shapely
from plumewatch.errors import ConfigurationError
from plumewatch.sentinel2 import ingest
from plumewatch.sentinel2.search import FoundScenes
from plumewatch.settings import Settings

DAY = "2025-08-21"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Areas: one good, one that names a CRS that isn't true, one file that is no JSON."""
    folder = tmp_path / "areas"
    folder.mkdir()
    for name, crs in (("good", None), ("flat", "EPSG:3857")):
        feature: dict[str, Any] = {"type": "Feature", "properties": {"name": name, "crs": crs}}
        feature["geometry"] = shapely.geometry.mapping(shapely.box(54, 38, 54.1, 38.1))
        (folder / f"{name}.geojson").write_text(json.dumps(feature))
    (folder / "broken.geojson").write_text("{")
    monkeypatch.setattr(ingest, "search_scenes", lambda *_: FoundScenes(()))
    monkeypatch.setattr(Settings, "area_folders", (str(folder),))
    return Settings(storage_root=str(tmp_path))


def failed(found: ingest.DaySearch) -> list[tuple[str | None, str]]:
    return [(failure.area, failure.scene_id) for _, failure in found.failed]


def test_the_others_are_searched_and_the_bad_are_failures_by_name(settings: Settings) -> None:
    found = ingest.search_day(settings, DAY, ())
    assert found.searched == {(DAY, "good")} and found.n_items == 0
    assert failed(found) == [(None, "broken.geojson"), ("flat", "search")]
    assert all("allowed: " in failure.message for _, failure in found.failed)


@pytest.mark.parametrize("names, areas", [(["good"], {"good"}), (["flat"], set()), (["good", "flat"], {"good"})])
def test_of_areas_asked_for_by_name_the_same(settings: Settings, names: list[str], areas: set[str]) -> None:
    found = ingest.search_day(settings, DAY, names)
    assert {area for _, area in found.searched} == areas
    assert (("flat", "search") in failed(found)) is ("flat" in names)


def test_an_unknown_name_tells_of_files_that_cannot_be_read(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown area mars; known: good; not read: .*broken\.geojson"):
        ingest.search_day(settings, DAY, ["mars"])


def test_a_scene_of_an_area_that_cannot_be_used_says_why(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"area flat: .*lengths"):
        ingest.fetch_area_scene(settings, "flat", "item.json")
