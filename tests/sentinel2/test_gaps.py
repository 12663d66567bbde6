"""What is missing of the scenes that a catalogue has, why, and what of it is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.failures import FailureBook, NothingDone
from plumewatch.gases import CH4
from plumewatch.models import FailedScene
from plumewatch.observations import note_waiting, read_observations, write_observations
from plumewatch.rasters.scene_store import scene_paths
from plumewatch.sentinel2.completeness.gap_report import close_gaps, report_gaps
from plumewatch.sentinel2.day_search import observation_of
from plumewatch.sentinel2.ingest import fetch_area_scene, record_missing_scenes
from plumewatch.sentinel2.presence import find_flaw
from plumewatch.settings import Settings
from plumewatch.statuses import FAILED, FETCH_STAGE, NO_INPUT, SEARCH_STAGE, SKIPPED_CLOUD, SKIPPED_DUPLICATE
from plumewatch.tables import PIXELS, SCENE_GAPS
from scene_catalogue import AREA, PAGE, SceneCatalogue, scene_catalogue, write_area

FIRST, LAST = date(2025, 8, 1), date(2025, 8, 3)
DAY, EMPTY_DAY, OTHER_DAY = "2025-08-01", "2025-08-02", "2025-08-03"
KEY = "2025-08-10"
INGEST = "sentinel2_daily_ingest"


@pytest.fixture
def catalogue() -> Iterator[SceneCatalogue]:
    """Three scenes of one day, none of the next, one of the third."""
    with scene_catalogue() as served:
        for number in range(3):
            served.add(DAY, number)
        served.add(OTHER_DAY, 3)
        yield served


@pytest.fixture
def settings(tmp_path: Path, catalogue: SceneCatalogue) -> Settings:
    write_area(tmp_path / "areas", bands="B11")  # no methane, so no pixel table
    return Settings(storage_root=str(tmp_path), stac_api=catalogue.url)


def look(settings: Settings, run_id: str = "run1", *, is_asked: bool = True) -> Any:
    book = FailureBook(settings.storage_root, INGEST, run_id)
    return report_gaps(settings, FIRST, LAST, [AREA], book, KEY, are_days_asked_for=is_asked)


def fetch(settings: Settings, scenes: Any) -> None:
    for scene in scenes:
        fetch_area_scene(settings, scene.area, scene.item_href, scene.older)


def reasons(report: Any) -> list[tuple[str, str | None, str, bool]]:
    return [(gap.key, gap.scene_id, gap.reason, gap.is_due) for gap in report.gaps]


def table(settings: Settings, day: str) -> list[dict[str, Any]]:
    path = storage.join(settings.storage_root, SCENE_GAPS.name)
    return storage.read_table(SCENE_GAPS, path, where={"date": day}).to_pylist()


def fail(settings: Settings, scene_id: str, day: str = DAY, *, may_heal: bool, stage: str = "fetch_scene") -> None:
    failure = FailedScene(scene_id, stage, "ServiceError", "no", area=AREA, is_retryable=may_heal)
    FailureBook(settings.storage_root, INGEST, "run0").settle(day, [failure])


def test_days_that_nobody_looked_at_are_missing_whole_until_they_are_filled(
    catalogue: SceneCatalogue, settings: Settings
) -> None:
    ids = sorted(catalogue.scenes)
    first = look(settings)
    assert [row for row in reasons(first) if row[1] is None] == [
        (DAY, None, "not_searched", True),
        (EMPTY_DAY, None, "not_searched", False),
        (OTHER_DAY, None, "not_searched", True),
    ]
    assert sorted(scene.scene_id for scene in first.due) == ids and first.days_without_scenes == {EMPTY_DAY}
    [nothing] = read_observations(settings.storage_root, CH4.name, [EMPTY_DAY])[EMPTY_DAY]
    assert (nothing["area"], nothing["outcome"]) == (AREA, "no_input")
    assert [row["filled_at_utc"] is None for row in table(settings, EMPTY_DAY)] == [False]
    fetch(settings, first.due[:-1])  # newest first: one of the first day is left
    [left] = [row for row in close_gaps(settings, {DAY, OTHER_DAY}, "run1") if row["scene_id"]]
    assert left["scene_id"] == first.due[-1].scene_id
    assert [row["scene_id"] for row in table(settings, DAY) if not row["filled_at_utc"]] == [left["scene_id"], None]
    second = look(settings, "run2")
    assert reasons(second) == [(DAY, left["scene_id"], "not_fetched", True)]
    fetch(settings, second.due)
    assert close_gaps(settings, {DAY}, "run2") == [] and look(settings, "run3").gaps == []
    assert table(settings, DAY) == []


def test_what_may_heal_is_fetched_and_what_cannot_is_not(catalogue: SceneCatalogue, settings: Settings) -> None:
    one, other, third = sorted(s for s in catalogue.scenes if "20250801" in s)
    fail(settings, one, may_heal=True)
    fail(settings, other, may_heal=False)
    fail(settings, "replaced since", may_heal=False)
    report = look(settings)
    assert [row[1:] for row in reasons(report) if row[0] == DAY] == [
        (one, "may_heal", True), (other, "cannot_heal", False), (third, "not_fetched", True),
    ]  # fmt: skip
    assert [s.scene_id for s in report.due if s.key == DAY] == [one, third]
    open_rows = FailureBook(settings.storage_root, INGEST, "").open_rows(DAY)
    assert [row["scene_id"] for row in open_rows] == [one, other]
    assert report.told == []


def test_a_page_that_was_saved_as_a_raster_is_named_and_fetched_again(
    catalogue: SceneCatalogue, settings: Settings
) -> None:
    fetch(settings, look(settings).due)
    whole, page, cut_off, foreign = sorted(catalogue.scenes)
    paths = {s: scene_paths(settings.table_root("scenes"), AREA, look_day(s), s) for s in catalogue.scenes}
    Path(paths[page].raster("data")).write_bytes(PAGE)
    cut = Path(paths[cut_off].raster("scl"))
    cut.write_bytes(cut.read_bytes()[:-20])
    storage.write_json(paths[foreign].item, {"type": "Feature", "properties": {}})  # of another tool: no checksums
    assert look(settings).gaps and find_flaw(paths[whole]) is None and find_flaw(paths[foreign]) is None
    Path(paths[foreign].raster("data")).write_bytes(b"\n<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>")
    report = look(settings)
    said = {gap.scene_id: gap.message for gap in report.gaps}
    assert {(gap.reason, gap.is_due) for gap in report.gaps} == {("broken", True)} and said.keys() == {
        page, cut_off, foreign,
    }  # fmt: skip
    assert f"{page}.tif: a page (HTML, XML or JSON) of {len(PAGE)} bytes in place of a raster" in said[page]
    assert f"{foreign}.tif: a page" in said[foreign] and f"{cut_off}_scl.tif: " in said[cut_off]
    catalogue.asked.clear()
    fetch(settings, report.due)
    assert look(settings).gaps == [] and whole not in catalogue.asked


def look_day(scene_id: str) -> str:
    return OTHER_DAY if OTHER_DAY.replace("-", "") in scene_id else DAY


def wait(settings: Settings, scene: str, day: str) -> None:
    note_waiting(settings.storage_root, CH4.name, day, AREA, scene, is_waiting=True)


def test_scenes_that_wait_for_a_quota_are_always_due(catalogue: SceneCatalogue, settings: Settings) -> None:
    """In the month of their note too: its ledger is what refuses them."""
    [scene] = [s for s in catalogue.scenes if look_day(s) == OTHER_DAY]
    wait(settings, scene, OTHER_DAY)
    assert (OTHER_DAY, scene, "waiting_for_quota", True) in reasons(look(settings))


def test_days_on_which_a_scene_waits_join_the_days_of_a_year(catalogue: SceneCatalogue, settings: Settings) -> None:
    """What else those days lack is reported, and the days between them aren't looked at."""
    early = "2025-06-20"
    waiting, other = catalogue.add(early, 7), catalogue.add("2025-06-21", 8)
    catalogue.add("2024-07-31", 9)
    wait(settings, waiting, early)
    wait(settings, "too long ago", "2024-07-31")
    report = look(settings, is_asked=False)
    found = [row for row in reasons(report) if row[0] < DAY]
    assert found == [(early, waiting, "waiting_for_quota", True)] and report.due[-1].scene_id == waiting
    assert {day for day, _ in report.found.searched if day < DAY} == {early}
    assert len(report.found.scenes) == 5 and other not in {scene.scene_id for scene in report.found.scenes}
    assert not [row for row in reasons(look(settings, "run2")) if row[0] < DAY]  # days that were asked for
    fetch(settings, [scene for scene in report.due if scene.key == early])
    note_waiting(settings.storage_root, CH4.name, early, AREA, waiting, is_waiting=False)
    assert early not in {day for day, _ in look(settings, "run3", is_asked=False).found.searched}


def test_days_before_the_first_of_an_area_are_reported_and_left_alone(
    catalogue: SceneCatalogue, settings: Settings
) -> None:
    """A fresh install fetches nothing old, however often it looks, until somebody asks for those days."""
    nameless = catalogue.scenes[catalogue.add(DAY, 5)]
    del nameless["properties"]["platform"], nameless["properties"]["grid:code"]
    catalogue.scenes["nameless"] = {**catalogue.scenes.pop(nameless["id"]), "id": "nameless"}
    for run in ("run1", "run2"):
        report = look(settings, run, is_asked=False)
        assert {gap.reason for gap in report.gaps if not gap.scene_id} == {"not_searched"} and len(report.gaps) == 7
        assert not report.due and not report.told and not report.days_without_scenes
        assert [row["filled_at_utc"] for row in table(settings, EMPTY_DAY)] == [None]
        assert not any(read_observations(settings.storage_root, CH4.name, [DAY, EMPTY_DAY, OTHER_DAY]).values())
    row = observation_of(AREA, NO_INPUT)
    write_observations(settings.storage_root, CH4.name, EMPTY_DAY, SEARCH_STAGE, [row], areas={AREA})
    assert {scene.key for scene in look(settings, "run3", is_asked=False).due} == {OTHER_DAY}
    assert {scene.key for scene in look(settings, "run4").due} == {DAY, OTHER_DAY}


@pytest.mark.parametrize("outcome", [SKIPPED_CLOUD, SKIPPED_DUPLICATE])
def test_what_was_left_on_purpose_is_not_missing(catalogue: SceneCatalogue, settings: Settings, outcome: str) -> None:
    [scene] = [s for s in catalogue.scenes if look_day(s) == OTHER_DAY]
    assert scene in {found.scene_id for found in look(settings).due}
    row = {**observation_of(AREA, outcome), "scene_id": scene}
    write_observations(settings.storage_root, CH4.name, OTHER_DAY, FETCH_STAGE, [row], areas={AREA})
    assert close_gaps(settings, {OTHER_DAY}, "run1") == []
    assert [gap for gap in look(settings, "run2").gaps if gap.key == OTHER_DAY] == []


def test_a_scene_without_pixels_is_missing_where_methane_is_looked_for(
    catalogue: SceneCatalogue, settings: Settings
) -> None:
    write_area(Path(settings.storage_root) / "areas")
    fetch(settings, look(settings).due)
    ids = sorted(s for s in catalogue.scenes if look_day(s) == DAY)
    inputs = [scene_paths("elsewhere", AREA, DAY, ids[0]).item]
    storage.publish_partition(
        PIXELS, settings.table_root("pixels"), {"area": AREA, "date": DAY}, [], 0, inputs=inputs
    )  # fmt: skip
    fail(settings, ids[1], may_heal=False, stage="pixels")
    assert [row[1:] for row in reasons(look(settings)) if row[0] == DAY] == [
        (ids[1], "cannot_heal", False), (ids[2], "no_pixels", True),
    ]  # fmt: skip


def test_a_search_without_answer_leaves_what_is_known_and_one_that_failed_for_good_is_told_once(
    catalogue: SceneCatalogue, settings: Settings
) -> None:
    look(settings)
    before = table(settings, DAY)
    broken = catalogue.add(OTHER_DAY, 5)
    del catalogue.scenes[broken]["properties"]["platform"], catalogue.scenes[broken]["properties"]["grid:code"]
    catalogue.scenes["nameless"] = {**catalogue.scenes.pop(broken), "id": "nameless"}
    report = look(settings, "run2")
    assert [(failure.scene_id, failure.stage) for failure in report.told] == [("nameless", SEARCH_STAGE)]
    [row] = FailureBook(settings.storage_root, INGEST, "").open_rows(OTHER_DAY)
    assert (row["run_id"], row["is_retryable"]) == ("run2", False)
    observed = read_observations(settings.storage_root, CH4.name, [OTHER_DAY])[OTHER_DAY]
    assert [(row["scene_id"], row["outcome"]) for row in observed] == [("nameless", FAILED)]
    assert [failure.scene_id for failure in look(settings, "run2").told] == ["nameless"]  # another try of the task
    again = look(settings, "run3")
    assert again.told == []
    again.raise_if_only_failed()
    del catalogue.scenes["nameless"]
    look(settings, "run4")
    assert FailureBook(settings.storage_root, INGEST, "").open_rows(OTHER_DAY) == []
    write_area(Path(settings.storage_root) / "areas", bands="B11", crs="EPSG:3857")
    silent = look(settings, "run5")
    assert [failure.scene_id for failure in silent.told] == ["search"] and not silent.found.searched
    with pytest.raises(NothingDone):
        silent.raise_if_only_failed()
    [row] = FailureBook(settings.storage_root, INGEST, "").open_rows(KEY)
    assert (row["area"], row["stage"]) == (AREA, SEARCH_STAGE)
    since = {row["scene_id"]: row["first_missed_at_utc"] for row in before if row["scene_id"]}
    assert {row["scene_id"]: row["first_missed_at_utc"] for row in table(settings, DAY)} == since


def test_filling_a_part_of_a_day_keeps_what_is_known_of_its_other_scenes(settings: Settings) -> None:
    rows = [{**observation_of(AREA, FAILED), "scene_id": scene} for scene in ("one", "other")]
    write_observations(settings.storage_root, CH4.name, DAY, FETCH_STAGE, rows, areas={AREA})
    scenes = [{"key": DAY, "area": AREA, "scene_id": scene} for scene in ("one", "third")]

    def of_day() -> list[tuple[str, str]]:
        rows = read_observations(settings.storage_root, CH4.name, [DAY])[DAY]
        return [(row["scene_id"], row["outcome"]) for row in rows]

    assert record_missing_scenes(settings, DAY, scenes, are_all_of_day=False) == 2
    assert of_day() == [("one", FAILED), ("other", FAILED), ("third", FAILED)]
    assert record_missing_scenes(settings, DAY, scenes) == 2
    assert of_day() == [("one", FAILED), ("third", FAILED)]
