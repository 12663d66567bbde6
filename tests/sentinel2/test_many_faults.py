"""500 scenes, 50 of them bad in nine ways: each good one lands once, each bad one is named, and what may heal comes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from plumewatch.errors import PlumewatchError
from plumewatch.failures import FailureBook, went_through
from plumewatch.keys import days_between
from plumewatch.models import FailedScene
from plumewatch.rasters import reading
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.completeness.gap_report import report_gaps
from plumewatch.sentinel2.day_search import FoundScene
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.settings import Settings
from scene_catalogue import AREA, KINDS, SceneCatalogue, scene_catalogue, write_area

FIRST, LAST = date(2025, 7, 1), date(2025, 8, 19)
DAYS = days_between(FIRST, LAST)
N_SCENES, N_BAD = 500, 50
FETCH, THREADS = "fetch_scene", 4


@pytest.fixture(scope="module")
def catalogue() -> Iterator[SceneCatalogue]:
    """10 scenes a day for 50 days; every tenth is bad. Five more are busy at first, five show nothing."""
    kinds = list(KINDS)
    with pytest.MonkeyPatch.context() as patch, scene_catalogue() as served:
        for name, short in {"MAX_RETRY": 1, "RETRY_DELAY": 0.05, "LOW_SPEED_TIME": 1, "TIMEOUT": 1}.items():
            patch.setitem(reading.REMOTE_ENVIRONMENT, f"GDAL_HTTP_{name}", short)
        patch.setattr(reading, "PROBE_TIMEOUT_S", (1.0, 1.0))
        for number in range(N_SCENES):
            odd = {7: "busy", 14: "no_data"}.get(number % 100)
            served.add(DAYS[number // 10], number % 20, kinds[number // 10 % len(kinds)] if number % 10 == 0 else odd)
        yield served


@pytest.fixture
def settings(tmp_path: Path, catalogue: SceneCatalogue) -> Settings:
    write_area(tmp_path / "areas", bands="B11")  # no methane, so no pixel table
    return Settings(storage_root=str(tmp_path), stac_api=catalogue.url)


def fetch_all(settings: Settings, book: FailureBook, scenes: list[FoundScene]) -> None:
    """What the mapped task does of each scene, four at a time, and what is recorded of it."""

    def fetch(scene: FoundScene) -> FailedScene | None:
        try:
            fetch_area_scene(settings, scene.area, scene.item_href, scene.older)
        except PlumewatchError as error:
            return FailedScene.from_exception(error, scene_id=scene.scene_id, stage=FETCH, area=scene.area)
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(zip(scenes, pool.map(fetch, scenes), strict=True))
    for day in sorted({scene.key for scene in scenes}):
        of_day = [(scene, failure) for scene, failure in outcomes if scene.key == day]
        good = [(scene.area, scene.scene_id) for scene, failure in of_day if failure is None]
        book.settle(day, [failure for _, failure in of_day if failure], went_through(FETCH, good))


def rows(book: FailureBook) -> list[dict[str, Any]]:
    return [row for day in DAYS for row in book.rows(day)]


def test_every_good_scene_lands_once_and_every_bad_one_is_named(
    catalogue: SceneCatalogue, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    bad = {scene: kind for scene, kind in catalogue.faults.items() if kind in KINDS}
    assert (len(catalogue.scenes), len(bad)) == (N_SCENES, N_BAD)

    def run(name: str) -> tuple[Any, FailureBook]:
        book = FailureBook(settings.storage_root, "sentinel2_daily_ingest", name)
        report = report_gaps(settings, FIRST, LAST, [AREA], book, "2025-09-01")
        catalogue.asked.clear()
        fetch_all(settings, book, report.due)
        return report, book

    first, book = run("run1")
    stored = Counter(paths.scene_id for paths in list_scenes(settings.table_root("scenes")))
    landed = len(stored)
    assert stored == Counter(catalogue.scenes.keys() - bad.keys()) and set(stored.values()) == {1}
    found = {r["scene_id"]: (r["error_class"], r["http_status"], r["is_retryable"]) for r in rows(book)}
    assert found == {scene: KINDS[kind] for scene, kind in bad.items()}
    by_kind = Counter(bad.values())

    catalogue.is_mended = True
    may_heal = {scene for scene, kind in bad.items() if KINDS[kind][2]}
    second, book = run("run2")
    assert {scene.scene_id for scene in second.due} == may_heal == set(catalogue.asked)
    healed = {r["scene_id"] for r in rows(book) if r["healed_at_utc"]}
    assert healed == {scene for scene, kind in bad.items() if kind == "mended"}
    reasons = Counter(gap.reason for gap in second.gaps)
    assert reasons == {"may_heal": len(may_heal), "cannot_heal": N_BAD - len(may_heal)}
    with capsys.disabled():
        print(f"\n{len(first.due)} scenes asked for, {landed} landed, each once; {len(bad)} bad, all named rightly:")
        print("  " + ", ".join(f"{kind} {n}" for kind, n in sorted(by_kind.items())))
        print(
            f"again: {len(second.due)} fetched that may heal, {len(healed)} healed, {time.monotonic() - started:.0f} s"
        )
