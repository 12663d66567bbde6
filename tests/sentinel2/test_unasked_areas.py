"""Areas of Sentinel Hub that can't be asked: for want of an account, or as the service's month is used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.areas import read_areas
from plumewatch.failures import FailureBook
from plumewatch.observations import note_waiting, waiting_scenes
from plumewatch.sentinel2.day_search import search_day
from plumewatch.sentinel2.ingest import record_missing_scenes
from plumewatch.tables import OBSERVATIONS
from shapely.geometry import mapping

DAY, AREA = "2025-08-30", "hassi_messaoud"


@pytest.fixture
def served(serve_hub: Callable[..., Any], served_world: tuple[Path, dict[str, Any], str]) -> Any:
    return serve_hub(served_world[0])


@pytest.fixture
def settings(served: Any, storage_root: str, tmp_path: Path) -> Any:
    """Settings with one area, of Sentinel Hub."""
    [area] = [area for area in read_areas(str(served.hub.folder / "areas")) if area.name == AREA]
    feature = {"type": "Feature", "properties": {"name": AREA, "catalogue": "sentinel_hub"}}
    storage.write_json(str(tmp_path / "areas" / "a.geojson"), feature | {"geometry": mapping(area.geometry)})
    return served.settings(storage_root, areas=str(tmp_path / "areas"))


def rows_of(settings: Any) -> list[tuple[Any, ...]]:
    root = settings.table_root(OBSERVATIONS.name)
    rows = storage.read_table(OBSERVATIONS, root, where={"gas": "ch4", "key": DAY}).to_pylist()
    return [(r["outcome"], r["scene_id"], r["stage"], r["missing_setting"]) for r in rows]


def search(settings: Any) -> Any:
    found = search_day(settings, DAY, [])
    found.record(FailureBook(settings.storage_root, "sentinel2_daily_ingest", "run"))
    return found


def test_an_area_without_an_account_is_no_input_for_want_of_a_setting(settings: Any, served: Any) -> None:
    found = search(replace(settings, sh_client_secret=None))
    assert found.without_account == [AREA] and not found.failed and not found.scenes and not served.hub.seen
    assert rows_of(settings) == [("no_input", None, "search", "SH_CLIENT_ID")]


def test_a_search_that_the_month_refuses_waits_and_one_that_goes_well_forgets_it(settings: Any, served: Any) -> None:
    served.hub.units_left = 0.0
    found = search(settings)
    assert not found.failed and not found.scenes
    assert rows_of(settings) == [("waiting_for_quota", None, "search", None)]
    served.hub.units_left = 10.0
    refused = search(replace(settings, sh_client_secret="wrong"))
    assert [failure.http_status for _, failure in refused.failed] == [401]
    assert rows_of(settings) == [("failed", None, "search", None)]
    assert len(search(settings).scenes) == 1 and rows_of(settings) == []
    served.hub.units_left = 0.0
    search(settings)
    assert FailureBook(settings.storage_root, "sentinel2_daily_ingest", "run").open_rows_of_run(DAY) == []


def test_a_scene_that_waits_goes_on_to_wait_until_it_is_had_or_fails(settings: Any) -> None:
    [scene] = search(settings).scenes
    place = settings.storage_root, "ch4", DAY, AREA, scene.scene_id
    scenes = [{"area": AREA, "scene_id": scene.scene_id}, {"area": AREA, "scene_id": "other"}]
    note_waiting(*place, is_waiting=True)
    assert waiting_scenes(*place[:3]) == {(AREA, scene.scene_id)}
    assert record_missing_scenes(settings, DAY, scenes) == 1
    waiting, failed = (scene.scene_id, "waiting_for_quota"), ("other", "failed")
    assert {(row[1], row[0]) for row in rows_of(settings)} == {waiting, failed}
    note_waiting(*place, is_waiting=False)
    assert {(row[1], row[0]) for row in rows_of(settings)} == {failed}
    assert record_missing_scenes(settings, DAY, scenes) == 2
