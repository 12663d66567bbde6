"""Areas whose catalogue gave no answer are searched again, and what had one is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from plumewatch import http
from plumewatch.errors import InputError, ServiceError
from plumewatch.failures import FailureBook, NothingDone
from plumewatch.models import FailedScene
from plumewatch.sentinel2 import day_search
from plumewatch.sentinel2.day_search import DaySearch, FoundScene
from plumewatch.settings import Settings
from shapely.geometry import box, mapping

DAY = "2025-08-21"
BUSY, REFUSED = ServiceError("busy", 503), ServiceError("refused", 404)
Search = Callable[[Sequence[str]], DaySearch]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(day_search.time, "sleep", slept.append)
    return slept


def failed(area: str, error: Exception, scene_id: str = "search") -> tuple[str, FailedScene]:
    return DAY, FailedScene.from_exception(error, scene_id=scene_id, stage="search", area=area)


def catalogue(asked: list[list[str]], **answers: list[Exception | None]) -> Search:
    """A search in which each area fails by the errors of its list, one a time, and has a scene where it says None."""

    def search(names: Sequence[str]) -> DaySearch:
        asked.append(list(names))
        found = DaySearch()
        for name in names:
            if error := answers[name].pop(0):
                found.failed.append(failed(name, error))
            else:
                found.searched.add((DAY, name))
                found.scenes.append(FoundScene(DAY, name, f"S2A_{name}", "item.json"))
        return found

    return search


def test_each_is_asked_until_it_answers_or_refuses_and_at_most_twice(pauses: list[float]) -> None:
    asked: list[list[str]] = []
    search = catalogue(asked, a=[None], b=[BUSY, None], c=[BUSY, BUSY], d=[REFUSED])
    found = day_search.search_until_answered(search, ["a", "b", "c", "d"])
    assert asked == [["a", "b", "c", "d"], ["b", "c"]] and pauses == [30.0, 60.0]
    assert [scene.area for scene in found.scenes] == ["a", "b"]
    assert sorted((f.area, f.message) for _, f in found.failed) == [("c", "busy"), ("d", "refused")]
    assert found.searched == {(DAY, "a"), (DAY, "b")}


def test_nobody_waits_where_all_have_answered(pauses: list[float]) -> None:
    assert day_search.search_until_answered(catalogue([]), []) == DaySearch() and pauses == []


def test_the_failed_search_of_an_area_that_was_removed_is_over(
    storage_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    book = FailureBook(storage_root, "dag", "run1")
    DaySearch(failed=[failed("gone", REFUSED), failed("there", REFUSED)]).record(book)
    area = {"type": "Feature", "properties": {"name": "there"}, "geometry": mapping(box(5.0, 31.0, 5.1, 31.1))}
    folder = tmp_path / "areas"
    folder.mkdir()
    (folder / "there.geojson").write_text(json.dumps(area))
    settings = Settings(storage_root, areas=str(folder), stac_api="http://127.0.0.1:9/stac")
    for names, left in ((["there"], ["gone", "there"]), ([], ["there"])):
        day_search.search_day(settings, DAY, names).record(book)
        assert sorted(row["area"] for row in book.open_rows(DAY)) == left
    (folder / "odd.geojson").write_text("{")  # whose areas nobody knows
    assert day_search.search_day(settings, DAY, []).all_areas is None


def test_what_is_open_of_this_run_and_may_heal_is_asked_again(storage_root: str) -> None:
    book = FailureBook(storage_root, "dag", "run1")
    FailureBook(storage_root, "dag", "run0").settle(DAY, [failed("of_yesterday", BUSY)[1]])
    no_item = failed("has_answered", ServiceError("no item", 503), "S2A_X")
    final = failed("bad", InputError("bad.geojson", "no polygon", "one"))
    DaySearch(failed=[failed("late", BUSY), failed("refuses", REFUSED), no_item, final]).record(book)
    assert day_search.unanswered_areas(book, DAY) == ["late"]
    assert day_search.areas_to_search(book, DAY, ["late", "other"]) == ["late", "other"]  # scenes of others are wanted
    nothing = FailedScene.from_exception(
        NothingDone([failed("late", BUSY)[1]]), scene_id="search", stage="search_scenes"
    )
    book.settle(DAY, [nothing])
    assert day_search.areas_to_search(book, DAY, []) == ["late"]
    DaySearch(searched={(DAY, "late")}).record(book)
    assert day_search.unanswered_areas(book, DAY) == [] and day_search.areas_to_search(book, DAY, ["x"]) == ["x"]
