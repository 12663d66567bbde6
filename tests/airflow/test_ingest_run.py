"""The daily ingest, run whole: good scenes go through, bad ones are recorded and turn the run red."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.rasters.scene_store import ScenePaths, scene_paths
from plumewatch.sentinel2 import ingest
from plumewatch.tables import MATCHES, OBSERVATIONS, PIXELS, PLUMES, WIND

INGEST = "sentinel2_daily_ingest"
pytestmark = pytest.mark.airflow


def areas_of(world: Any) -> list[str]:
    return sorted(area["name"] for area in world.truth["areas"])


def scenes_on(world: Any, day: str) -> list[dict[str, Any]]:
    return [scene for scene in world.truth["scenes"] if scene["date"] == day]


def pixels(world: Any, day: str) -> dict[str, set[str]]:
    rows = storage.read_table(PIXELS, f"{world.storage_root}/pixels", ["area", "scene_id"], where={"date": day})
    pairs = rows.group_by(["area", "scene_id"]).aggregate([]).to_pylist()
    return {area: {p["scene_id"] for p in pairs if p["area"] == area} for area in {p["area"] for p in pairs}}


def observations(world: Any, key: str) -> list[tuple[str, str, str | None]]:
    rows = storage.read_table(OBSERVATIONS, f"{world.storage_root}/observations", where={"gas": "ch4", "key": key})
    return sorted((r["area"], r["outcome"], r["scene_id"]) for r in rows.to_pylist())


def map_of(world: Any, key: str) -> str:
    return storage.read_bytes(f"{world.storage_root}/maps/ch4/{key}.html").decode()


def test_a_good_day_is_handed_on(
    world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    day = world.truth["dates"][0]
    run = run_dag(INGEST, day, areas=areas_of(world))
    assert run.state == "success", states_of(run)
    assert keys_handed_on(run) == {("plumewatch_pixels", day)}
    assert {scene for ids in pixels(world, day).values() for scene in ids} <= {
        s["scene_id"] for s in scenes_on(world, day)
    }
    assert set(pixels(world, day)) == {s["area"] for s in scenes_on(world, day)}
    for scene in scenes_on(world, day):
        index = storage.read_bytes(f"{world.storage_root}/scenes/area={scene['area']}/items.parquet")
        assert scene["scene_id"] in pq.read_table(pa.BufferReader(index))["id"].to_pylist()
    wind = storage.read_table(WIND, f"{world.storage_root}/wind", where={"date": day})
    assert wind.num_rows and set(wind["product"].to_pylist()) == {world.truth["wind_product"]}


def test_a_truncated_scene_turns_the_run_red_and_stops_nothing(
    world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    [bad] = world.truth["bad_files"]["truncated_scenes"]
    run = run_dag(INGEST, bad["date"], areas=areas_of(world))
    states = states_of(run)
    assert run.state == "failed" and states["write_pixels"] == ["success"] and states["report_failures"] == ["failed"]
    assert sorted(states["fetch_scene"]) == ["failed"] + ["success"] * (len(scenes_on(world, bad["date"])) - 1)
    assert keys_handed_on(run) == {("plumewatch_pixels", bad["date"])}
    [row] = FailureBook(world.storage_root, INGEST, "any run").rows(bad["date"])
    assert (row["scene_id"], row["area"], row["stage"]) == (bad["scene_id"], bad["area"], "fetch_scene")
    assert row["attempts"] == 1 and row["is_retryable"] is False and "cut off" in row["message"]
    assert (bad["area"], "failed", bad["scene_id"]) in observations(world, bad["date"])
    assert set(pixels(world, bad["date"])) == {s["area"] for s in scenes_on(world, bad["date"])} - {bad["area"]}


def test_a_scene_that_is_all_cloud_is_an_observation(world: Any, run_dag: Callable[..., Any]) -> None:
    [cloudy] = world.truth["all_cloud_scenes"]
    assert run_dag(INGEST, cloudy["date"], areas=[cloudy["area"]]).state == "success"
    assert observations(world, cloudy["date"]) == [(cloudy["area"], "skipped_cloud", cloudy["scene_id"])]
    assert cloudy["area"] not in pixels(world, cloudy["date"])
    assert "Nothing was searched: too cloudy (1 area)" in map_of(world, cloudy["date"])


def test_a_day_whose_scenes_all_fail_has_a_map_that_says_so(
    world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any]
) -> None:
    [bad] = world.truth["bad_files"]["truncated_scenes"]
    for table in ("scenes", "pixels", "observations"):  # of other tests
        for path in storage.list_files(f"{world.storage_root}/{table}"):
            if bad["date"] in path:
                storage.delete(path)
    run = run_dag(INGEST, bad["date"], areas=[bad["area"]])
    assert run.state == "failed" and keys_handed_on(run) == set()
    assert "Nothing was searched: failed (1 area)" in map_of(world, bad["date"])


def test_a_day_without_scenes_is_one_task_recorded_and_no_event(
    world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    run = run_dag(INGEST, "2025-08-21", areas=areas_of(world))
    states = states_of(run)
    assert run.state == "success" and keys_handed_on(run) == set()
    assert states.pop("search_scenes") == ["success"] and {s for of in states.values() for s in of} == {"skipped"}
    assert observations(world, "2025-08-21") == [(area, "no_input", None) for area in areas_of(world)]
    assert f"Nothing was searched: no scene ({len(areas_of(world))} areas)" in map_of(world, "2025-08-21")


def test_a_table_that_stops_a_map_is_no_failed_search(
    world: Any, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    keys = {"gas": "ch4", "period": "2025-08-21"}
    matches = f"{storage.write_partition(MATCHES, f'{world.storage_root}/matches', keys, MATCHES.empty())}/data.parquet"
    storage.write_bytes(matches, b"PAR1 and no more")
    try:
        run = run_dag(INGEST, "2025-08-21", areas=areas_of(world))
    finally:
        storage.delete(storage.parent(matches))
    assert run.state == "failed" and states_of(run)["search_scenes"] == ["failed"]
    assert FailureBook(world.storage_root, INGEST, "any run").rows("2025-08-21") == []


def test_the_newest_scene_lands_under_its_own_day(
    world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any]
) -> None:
    newest = world.truth["dates"][-1]
    run = run_dag(INGEST, "2025-09-08", newest=True, areas=areas_of(world))
    assert run.state == "success" and keys_handed_on(run) == {("plumewatch_pixels", newest)}
    assert set(pixels(world, newest)) == {s["area"] for s in scenes_on(world, newest)}


def test_a_day_that_comes_late_hands_on_the_days_that_refer_to_it(
    world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any]
) -> None:
    late = world.truth["dates"][2]
    first = run_dag(INGEST, late, areas=areas_of(world))
    later = {day for day in world.truth["dates"][3:] if pixels(world, day)}
    assert later and keys_handed_on(first) == {("plumewatch_pixels", day) for day in {late, *later}}
    for day in later:  # as the detection of these days would
        for area in areas_of(world):
            keys = {"method": "multi_pass", "area": area, "date": day}
            storage.write_partition(PLUMES, f"{world.storage_root}/plumes", keys, PLUMES.empty())
    again = run_dag(INGEST, late, areas=areas_of(world))
    assert keys_handed_on(again) == {("plumewatch_pixels", late)}


def test_a_day_that_lost_a_scene_over_midnight_is_made_and_handed_on_again(
    world: Any, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    day, area = world.truth["dates"][0], areas_of(world)[0]
    before = str(date.fromisoformat(day) - timedelta(days=1))

    def withdraw(settings: Any, scenes: Any) -> list[ScenePaths]:
        storage.write_partition(PIXELS, settings.table_root("pixels"), {"area": area, "date": before}, PIXELS.empty())
        return [scene_paths(settings.table_root("scenes"), area, before, "older")]

    monkeypatch.setattr(ingest, "settle_scenes", withdraw)
    run = run_dag(INGEST, day, areas=areas_of(world))
    assert run.state == "success"
    assert {("plumewatch_pixels", before), ("plumewatch_pixels", day)} <= keys_handed_on(run)


def test_an_unknown_area_is_answered_with_the_known_ones(world: Any, run_dag: Callable[..., Any]) -> None:
    run = run_dag(INGEST, "2025-08-22", areas=["atlantis"])
    assert run.state == "failed"
    [row] = FailureBook(world.storage_root, INGEST, "any run").rows("2025-08-22")
    assert "unknown area atlantis" in row["message"] and all(area in row["message"] for area in areas_of(world))


def test_a_key_of_another_form_fails_at_once(
    world: Any, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    run = run_dag(INGEST, "2025-8-1", areas=areas_of(world))
    assert run.state == "failed" and states_of(run)["search_scenes"] == ["failed"]


def test_a_second_run_writes_the_same_pixels(world: Any, run_dag: Callable[..., Any]) -> None:
    day = world.truth["dates"][0]
    run_dag(INGEST, day, areas=areas_of(world))
    path = f"{world.storage_root}/pixels"
    before = storage.read_table(PIXELS, path, where={"date": day})
    run_dag(INGEST, day, areas=areas_of(world))
    assert storage.read_table(PIXELS, path, where={"date": day}).equals(before) and pc.count(before["row"]).as_py()
