"""Scenes and wind that come late: the DAG has their days ingested again, and remembers what it saw once it has."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plumewatch import http, storage
from plumewatch.failures import FailureBook
from plumewatch.observations import write_observations
from plumewatch.sentinel2.day_search import observation_of

pytestmark = pytest.mark.airflow
LATE, INGEST = "sentinel2_late_scenes", "sentinel2_daily_ingest"


@pytest.fixture
def look(
    served_world: tuple[Path, dict[str, Any], str],
    run_dag: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], Any]:
    """Run the DAG over all dates of the simulated world, with an empty storage of the test's own."""
    folder, truth, url = served_world
    shutil.copytree(folder / "areas", tmp_path / "areas")
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", str(tmp_path))
    monkeypatch.setenv("PLUMEWATCH_STAC_API", url)
    days = sorted(datetime.fromisoformat(scene["date"]) for scene in truth["scenes"])
    span, names = days[-1] - days[0] + timedelta(days=1), [area["name"] for area in truth["areas"]]
    return lambda: run_dag(LATE, str(days[-1].date()), look_back_days=span.days, areas=names)


@pytest.fixture
def triggered(dagbag: Any) -> Iterator[Callable[[], list[tuple[str, str, list[str]]]]]:
    """A function that returns DAG, day and areas of the runs that were triggered; they go when the test ends."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select

    is_late = DagRun.run_id.startswith("late__")

    def runs() -> list[tuple[str, str, list[str]]]:
        with create_session() as session:
            found = session.scalars(select(DagRun).where(is_late).order_by(DagRun.logical_date))
            return [(run.dag_id, str(run.logical_date.date()), run.conf["areas"]) for run in found]

    yield runs
    with create_session() as session:
        session.execute(delete(DagRun).where(is_late))


def remembered(folder: Path) -> dict[str, bytes]:
    paths = storage.list_files(str(folder / ".late_scenes"))
    return {path.rsplit("/", 1)[-1]: storage.read_bytes(path) for path in paths}


def test_days_with_something_late_are_ingested_again_and_once(
    look: Callable[[], Any],
    served_world: tuple[Path, dict[str, Any], str],
    triggered: Callable[[], list[Any]],
    states_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    truth = served_world[1]
    assert look().state == "success" and triggered() == [], "days that the ingest hasn't looked at aren't late"
    ingested = sorted({(scene["date"], scene["area"]) for scene in truth["scenes"]})[:3]
    for day, area in ingested:  # as the ingest leaves a day of which the catalogue has nothing yet
        write_observations(str(tmp_path), "ch4", day, "search", [observation_of(area, "no_input")], areas=[area])
    run = look()
    assert run.state == "success", states_of(run)
    days = sorted({day for day, _ in ingested})
    assert triggered() == [(INGEST, day, sorted(a for d, a in ingested if d == day)) for day in days]
    assert states_of(run)["ingest_again"] == ["success"] * len(days)
    assert set(remembered(tmp_path)) == {f"{area['name']}.json" for area in truth["areas"]}
    assert look().state == "success" and len(triggered()) == len(days)


def test_a_day_whose_wind_has_come_is_ingested_again_and_once(
    look: Callable[[], Any],
    served_world: tuple[Path, dict[str, Any], str],
    triggered: Callable[[], list[Any]],
    states_of: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, truth, _ = served_world
    day, area = truth["scenes"][0]["date"], truth["scenes"][0]["area"]
    ids = [scene["scene_id"] for scene in truth["scenes"] if (scene["date"], scene["area"]) == (day, area)]
    rows = [{"area": area, "scene_id": i, "outcome": "searched", "detected": True} for i in ids]
    write_observations(str(tmp_path), "ch4", day, "detection", rows, areas=[area])
    assert look().state == "success" and triggered() == []  # no source of wind is set
    monkeypatch.setenv("PLUMEWATCH_WIND", str(folder / "wind"))
    run = look()
    assert run.state == "success", states_of(run)
    assert triggered() == [(INGEST, day, [area])] and storage.list_files(f"{tmp_path}/wind", ".parquet")
    assert look().state == "success" and len(triggered()) == 1


def test_a_catalogue_that_is_not_there_turns_the_run_red_and_forgets_nothing(
    look: Callable[[], Any],
    triggered: Callable[[], list[Any]],
    states_of: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert look().state == "success"
    before = remembered(tmp_path)
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    monkeypatch.setenv("PLUMEWATCH_STAC_API", "http://127.0.0.1:9/v1")
    run = look()
    assert run.state == "failed" and states_of(run)["report_failures"] == ["failed"] and triggered() == []
    [key] = {path.split("key=")[1].split("/")[0] for path in storage.list_files(f"{tmp_path}/failed_scenes")}
    rows = FailureBook(str(tmp_path), LATE, "any").open_rows(key)
    assert {(row["scene_id"], row["stage"], row["is_retryable"]) for row in rows} == {("search", "search", True)}
    assert before and remembered(tmp_path) == before
