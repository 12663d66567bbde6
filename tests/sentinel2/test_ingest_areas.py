"""The search of a day with area files of which some cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import shapely
from plumewatch import http, storage
from plumewatch.catalogues import stac
from plumewatch.errors import ConfigurationError, InputError, ServiceError
from plumewatch.failures import FailureBook, NothingDone
from plumewatch.models import FailedScene
from plumewatch.sentinel2 import day_search, ingest
from plumewatch.sentinel2.search import FoundScenes
from plumewatch.settings import Settings
from plumewatch.tables import OBSERVATIONS

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
    monkeypatch.setattr(day_search, "search_scenes", lambda *_: FoundScenes(()))
    monkeypatch.setattr(Settings, "area_folders", (str(folder),))
    return Settings(storage_root=str(tmp_path))


def failed(found: ingest.DaySearch) -> list[tuple[str | None, str]]:
    return [(failure.area, failure.scene_id) for _, failure in found.failed]


def test_the_others_are_searched_and_the_bad_are_failures_by_name(settings: Settings) -> None:
    found = day_search.search_day(settings, DAY, ())
    assert found.searched == {(DAY, "good")} and found.n_items == 0
    assert failed(found) == [(None, "broken.geojson"), ("flat", "search")]
    assert all("allowed: " in failure.message for _, failure in found.failed)


@pytest.mark.parametrize("names, areas", [(["good"], {"good"}), (["flat"], set()), (["good", "flat"], {"good"})])
def test_of_areas_asked_for_by_name_the_same(settings: Settings, names: list[str], areas: set[str]) -> None:
    found = day_search.search_day(settings, DAY, names)
    assert {area for _, area in found.searched} == areas
    assert (("flat", "search") in failed(found)) is ("flat" in names)


def test_an_unknown_name_tells_of_files_that_cannot_be_read(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown area mars; known: good; not read: .*broken\.geojson"):
        day_search.search_day(settings, DAY, ["mars"])


def test_a_scene_of_an_area_that_cannot_be_used_says_why(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"area flat: .*lengths"):
        ingest.fetch_area_scene(settings, "flat", "item.json")


@pytest.fixture
def fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Fifty areas of a catalogue that isn't there, one of another that answers."""
    folder = tmp_path / "areas"
    folder.mkdir()
    for n in range(51):
        properties = {"name": f"field{n:02d}", **({"stac_api": "http://127.0.0.1:7/v1"} if n == 50 else {})}
        feature: dict[str, Any] = {"type": "Feature", "properties": properties}
        feature["geometry"] = shapely.geometry.mapping(shapely.box(54, 20 + n / 2, 54.1, 20.1 + n / 2))
        (folder / f"{n}.geojson").write_text(json.dumps(feature))
    monkeypatch.setattr(Settings, "area_folders", (str(folder),))
    monkeypatch.setattr(http, "BACKOFF_S", 0.1)
    monkeypatch.setattr(http, "PATIENCE_S", 1.0)
    return Settings(storage_root=str(tmp_path), stac_api="http://127.0.0.1:9/v1")


def observed(settings: Settings, key: str = DAY) -> dict[str, list[str]]:
    where = {"gas": "ch4", "key": key}
    rows = storage.read_table(OBSERVATIONS, settings.table_root("observations"), where=where).to_pylist()
    assert {row["stage"] for row in rows} <= {"search"}
    areas = {row["area"] for row in rows}
    return {area: sorted(row["outcome"] for row in rows if row["area"] == area) for area in areas}


@pytest.mark.parametrize("search", [day_search.search_day, lambda *a: day_search.search_newest(*a, look_back_days=5)])
def test_a_dead_host_fails_its_areas_once_and_each_is_recorded(
    fields: Settings, monkeypatch: pytest.MonkeyPatch, search: Any
) -> None:
    asked: list[str] = []
    send = http.PatientAdapter.send

    def count(self: Any, request: Any, **named: Any) -> Any:
        asked.append(request.url)
        return send(self, request, **named)

    monkeypatch.setattr(http.PatientAdapter, "send", count)
    monkeypatch.setattr(http.HTTPAdapter, "send", _counted(http.HTTPAdapter.send, sent := []))
    found = search(fields, DAY, ())
    assert len(found.failed) == 51 and len(asked) == 51 and len(sent) == 2  # of two hosts
    messages = {failure.message for _, failure in found.failed}
    assert len(messages) == 2 and all("127.0.0.1" in m and "refused" in m for m in messages)
    book = FailureBook(fields.storage_root, "dag", "run1", attempts=2)
    found.record(book)
    assert observed(fields) == {f"field{n:02d}": ["failed"] for n in range(51)}
    assert {(row["scene_id"], row["stage"], row["attempts"]) for row in book.open_rows(DAY)} == {
        ("search", "search", 2)
    }
    with pytest.raises(NothingDone) as caught:
        found.raise_if_all_failed()
    assert caught.value.is_retryable


def _counted(send: Any, sent: list[Any]) -> Any:
    def counted(*arguments: Any, **named: Any) -> Any:
        sent.append(arguments)
        return send(*arguments, **named)

    return counted


def test_a_later_failure_leaves_what_is_known_of_a_day(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    book = FailureBook(settings.storage_root, "dag", "run1")
    day_search.search_day(settings, DAY, ()).record(book)
    assert observed(settings) == {"good": ["no_input"], "flat": ["failed"]}

    def fail(*_: object) -> FoundScenes:
        raise ServiceError("no answer")

    monkeypatch.setattr(day_search, "search_scenes", fail)
    day_search.search_day(settings, DAY, ()).record(book)
    assert observed(settings) == {"good": ["no_input"], "flat": ["failed"]}
    day_search.search_day(settings, "2025-08-22", ()).record(book)
    assert observed(settings, "2025-08-22") == {"good": ["failed"], "flat": ["failed"]}
    monkeypatch.setattr(day_search, "search_scenes", lambda *_: FoundScenes(()))
    day_search.search_day(settings, "2025-08-22", ()).record(book)
    assert observed(settings, "2025-08-22") == {"good": ["no_input"], "flat": ["failed"]}


def test_an_item_that_cannot_be_used_is_an_observation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = FailedScene.from_exception(InputError("i", "no id", "one"), scene_id="S2A_X", stage="search", area="good")
    monkeypatch.setattr(day_search, "search_scenes", lambda *_: FoundScenes((), failed=(bad,)))
    day_search.search_day(settings, DAY, ["good"]).record(FailureBook(settings.storage_root, "dag", "run1"))
    assert observed(settings) == {"good": ["failed"]}


def test_no_area_at_all_says_where_to_put_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "area_folders", (str(tmp_path / "here"), str(tmp_path / "there")))
    found = day_search.search_day(Settings(storage_root=str(tmp_path)), DAY, ())
    assert found.no_areas and "here or " in found.no_areas and found.no_areas.endswith("there")


def test_a_catalogue_is_waited_for_as_long_as_a_page_takes() -> None:
    assert stac.SEARCH_TIMEOUT_S[1] <= http.PATIENCE_S
