"""Areas and scenes of published cases: where they are, and what a catalogue is asked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import shapely
from case_rows import AT, EHRENBERG, KORPEZHE
from plumewatch.areas import grid_of, read_areas
from plumewatch.catalogues import stac
from plumewatch.errors import ServiceError
from plumewatch.failures import FailureBook
from plumewatch.methane.cases import scenes as case_scenes
from plumewatch.methane.cases.published import (
    read_cases,
)
from plumewatch.methane.cases.scenes import CaseNote, case_area, search_cases, write_case_areas
from plumewatch.methane.cases.validation import validate_cases
from plumewatch.sentinel2.scene import SceneRef
from plumewatch.sentinel2.search import FoundScenes
from plumewatch.settings import Settings
from pyproj import Transformer
from pystac import Asset, Item


@pytest.mark.parametrize("name", sorted({case.area for case in read_cases()}))
def test_an_area_is_500_cells_a_side_around_its_site_in_the_zone_of_its_tile(name: str) -> None:
    area, first = case_area(name), next(case for case in read_cases() if case.area == name)
    grid = grid_of(area)
    to_utm = Transformer.from_crs("EPSG:4326", f"EPSG:{grid.epsg}", always_xy=True)
    outline = shapely.transform(area.geometry, to_utm.transform, interleaved=False)
    inside = [
        round(span / grid.resolution_m)
        for span in (outline.bounds[2] - outline.bounds[0], outline.bounds[3] - outline.bounds[1])
    ]
    assert (inside, grid.resolution_m) == (([500, 500], 20.0) if first.is_sentinel2 else ([334, 334], 30.0))
    tiles = {case.tile[:2] for case in read_cases() if case.area == name and case.is_sentinel2 and case.tile}
    assert not tiles or f"{grid.epsg - 32600:02d}" in tiles
    for case in (case for case in read_cases() if case.area == name):
        x, y = to_utm.transform(case.longitude, case.latitude)
        assert outline.buffer(-4000.0).contains(shapely.Point(x, y)), case.case_id
    assert area.geometry.contains(shapely.Point(first.longitude, first.latitude))


def test_areas_are_written_for_the_jobs_apart_from_the_areas_of_interest(storage_root: str) -> None:
    settings = Settings(storage_root)
    path = write_case_areas(settings, ["case_korpezhe", "case_ehrenberg", "case_korpezhe"])
    written = read_areas(path)
    assert [area.name for area in written] == ["case_ehrenberg", "case_korpezhe"]
    assert grid_of(written[1]) == grid_of(case_area("case_korpezhe"))
    assert not path.startswith(settings.area_folders[1])


def ref(scene_id: str, at: datetime, platform: str = "sentinel-2b", orbit: int | None = 84) -> SceneRef:
    outline = case_area("case_ehrenberg").geometry
    return SceneRef(scene_id, f"http://c/{scene_id}", at, platform, orbit, "11SQT", 1.0, (5, 0), 0, "", outline)


def test_scenes_of_the_pass_and_of_the_days_before_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    refs = (ref("before", AT - timedelta(days=5)), ref("other_orbit", AT, orbit=127), ref("the_pass", AT))

    def search(area: Any, first: Any, last: Any, catalogue: Any) -> FoundScenes:
        asked.append((area.name, str(first), str(last), catalogue.url))
        return FoundScenes(refs if str(last) == "2021-10-19" else refs[:2])

    monkeypatch.setattr(case_scenes, "search_scenes", search)
    settings = Settings("/nowhere", stac_api="http://catalogue")
    landsat = "ehrenberg_20211021T181037"
    found = search_cases(settings, [], [EHRENBERG, landsat, "ehrenberg_20211022T182419"], None, True)
    assert asked[0] == ("case_ehrenberg", "2021-09-19", "2021-10-19", "http://catalogue") and len(asked) == 3
    assert asked[1] == ("case_ehrenberg_landsat", "2021-09-21", "2021-10-21", "http://catalogue")
    assert {s.scene_id: bool(s.wind_at_utc) for s in found.scenes.values()} == {
        "before": False, "other_orbit": False, "the_pass": True,
    }  # fmt: skip
    assert found.notes[EHRENBERG] == CaseNote(("the_pass",))
    assert "no scene of landsat-8 on 2021-10-21" in str(found.notes[landsat].missing)
    assert "no scene of sentinel-2b on 2021-10-22 (it has none of that day)" in str(
        found.notes["ehrenberg_20211022T182419"].missing
    )


def test_a_catalogue_that_is_not_there_is_asked_once_and_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def search(*arguments: Any) -> FoundScenes:
        asked.append(arguments)
        raise ServiceError("http://catalogue: no answer")

    monkeypatch.setattr(case_scenes, "search_scenes", search)
    found = search_cases(Settings("/nowhere"), ["imeo"], [], None, True)
    assert len(asked) == 1 and not found.failed and not found.scenes
    assert {note.missing for note in found.notes.values()} == {
        "the catalogue doesn't answer (http://catalogue: no answer)"
    }


def test_a_catalogue_that_refuses_is_a_failure_of_each_case(monkeypatch: pytest.MonkeyPatch, storage_root: str) -> None:
    def search(*_: Any) -> FoundScenes:
        raise ServiceError("http://catalogue: 403", 403)

    monkeypatch.setattr(case_scenes, "search_scenes", search)
    found = search_cases(Settings(storage_root), [], [EHRENBERG, KORPEZHE], None, True)
    assert [failure.scene_id for failure in found.failed] == [EHRENBERG, KORPEZHE]
    book = FailureBook(storage_root, "dag", "run")
    found.record(book, "2026-01-01")
    rows = validate_cases(
        storage_root, {c: {"missing": None} for c in found.notes}, book.open_rows_of_run("2026-01-01")
    )
    assert {row["outcome"] for row in rows} == {"failed"} and "403" in rows[0]["missing"]


@pytest.mark.parametrize(
    ("assets", "bands"),
    [
        (("swir16", "swir22"), ("B11", "B12")),
        (("red", "nir08", "nir", "swir16", "swir22"), ("B04", "B8A", "B11", "B12")),
    ],
)
def test_bands_that_methane_leaves_are_fetched_where_the_catalogue_has_them(
    monkeypatch: pytest.MonkeyPatch, assets: tuple[str, ...], bands: tuple[str, ...]
) -> None:
    item = Item("a", None, None, AT, {}, assets={key: Asset(f"{key}.tif") for key in assets})
    stacked = []
    monkeypatch.setattr(stac, "read_item", lambda href: item)
    monkeypatch.setattr(case_scenes, "fetch_scene", lambda *arguments: stacked.append(arguments) or "path")
    assert case_scenes.fetch_case_scene(Settings("/storage"), "case_korpezhe", "http://c/a") == "path"
    [(_, area, scenes, _)] = stacked
    assert area.bands == bands and area.name == "case_korpezhe" and scenes == "/storage/scenes"


def test_a_run_fetches_no_more_scenes_than_airflow_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_scenes, "search_scenes", lambda *_: FoundScenes((ref("the_pass", AT), ref("next", AT))))
    monkeypatch.setattr(case_scenes, "MAX_SCENES", 1)
    found = search_cases(Settings("/nowhere"), [], [EHRENBERG], None, True)
    assert not found.scenes and "at most 1 scenes" in str(found.notes[EHRENBERG].missing)
