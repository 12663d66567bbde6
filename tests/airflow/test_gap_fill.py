"""The gap fill, run whole: it writes down what is missing, fetches just that, and makes those days' detection run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.errors import ParameterError
from plumewatch.failures import FailureBook
from plumewatch.models import FailedScene
from plumewatch.rasters import reading
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.presence import find_pixels, known_areas
from plumewatch.settings import Settings
from plumewatch.tables import SCENE_GAPS
from scene_catalogue import AREA, KINDS, SceneCatalogue, scene_catalogue, write_area

FILL, INGEST = "sentinel2_gap_fill", "sentinel2_daily_ingest"
DAYS = FIRST, NO_SCENES, LAST = "2025-08-01", "2025-08-02", "2025-08-03"
pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def catalogue() -> Iterator[SceneCatalogue]:
    """20 scenes over two of three days, of which 9 are bad, each in its own way."""
    with pytest.MonkeyPatch.context() as patch, scene_catalogue() as served:
        for name, short in {"MAX_RETRY": 1, "RETRY_DELAY": 0.05, "LOW_SPEED_TIME": 1, "TIMEOUT": 1}.items():
            patch.setitem(reading.REMOTE_ENVIRONMENT, f"GDAL_HTTP_{name}", short)
        patch.setattr(reading, "PROBE_TIMEOUT_S", (1.0, 1.0))
        for number, kind in enumerate([*KINDS, *[None] * 11]):
            served.add((FIRST, LAST)[number % 2], number, kind)
        yield served


@pytest.fixture(scope="module")
def settings(catalogue: SceneCatalogue, spark_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The storage root; nothing waits between two tries."""
    root = tmp_path_factory.mktemp("storage")
    write_area(root / "areas")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLUMEWATCH_STORAGE_ROOT", f"file://{root}")
        patch.setenv("PLUMEWATCH_STAC_API", catalogue.url)
        patch.setenv("PLUMEWATCH_SPARK", spark_server)
        yield f"file://{root}"


@pytest.fixture
def fill(run_dag: Callable[..., Any], dagbag: Any, settings: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    for task in dagbag.dags[FILL].tasks:  # dag.test waits between tries as the scheduler does
        monkeypatch.setattr(task, "retries", 0)
    return lambda: run_dag(FILL, **{"from": FIRST, "to": LAST, "areas": [AREA]})


def rows(root: str) -> dict[str, dict[str, Any]]:
    book = FailureBook(root, INGEST, "any run")
    return {row["scene_id"]: row for day in (FIRST, LAST) for row in book.rows(day)}


def gaps(root: str) -> Counter[tuple[str, bool, bool]]:
    table = storage.read_table(SCENE_GAPS, storage.join(root, SCENE_GAPS.name), where={"date": DAYS}).to_pylist()
    return Counter((r["reason"], r["is_due"], r["filled_at_utc"] is not None) for r in table)


def pixel_scenes() -> set[str]:
    """Scenes that the pixel table was made of."""
    settings = Settings.load()
    made = find_pixels(settings, [FIRST, LAST], known_areas(settings))
    assert not made.outdated
    return {scene for scenes in made.scenes.values() for scene in scenes}


def test_on_a_fresh_install_nothing_old_is_fetched(
    catalogue: SceneCatalogue, settings: str, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    run = run_dag(FILL, "2025-08-05", areas=[AREA])
    states = states_of(run)
    assert run.state == "success" and states.pop("find_gaps") == ["success"]
    assert {state for of in states.values() for state in of} == {"skipped"} and not catalogue.asked
    assert gaps(settings) == {("not_searched", False, False): 3, ("not_fetched", False, False): 20}


def test_only_what_is_missing_is_fetched_and_what_heals_is_healed(
    catalogue: SceneCatalogue,
    settings: str,
    fill: Callable[[], Any],
    keys_handed_on: Callable[..., Any],
    states_of: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad, good = catalogue.faults, catalogue.scenes.keys() - catalogue.faults.keys()
    first = fill()
    states = states_of(first)
    assert first.state == "failed" and states["report_failures"] == ["failed"]
    assert Counter(states["fetch_scene"]) == {"success": 11, "failed": 9}
    assert states["write_pixels"] == states["close_gaps"] == ["success"]
    assert keys_handed_on(first) == {("plumewatch_pixels", day) for day in (FIRST, LAST)}
    found = {scene: (r["error_class"], r["http_status"], r["is_retryable"]) for scene, r in rows(settings).items()}
    assert found == {scene: KINDS[kind] for scene, kind in bad.items()}
    stored = {paths.scene_id for paths in list_scenes(storage.join(settings, "scenes"))}
    assert stored == pixel_scenes() == good
    # A day without scenes is filled by the look at it; one of which scenes are missing isn't.
    assert gaps(settings) == {
        ("not_searched", False, True): 1, ("not_searched", True, False): 2,
        ("not_fetched", True, True): 11, ("not_fetched", True, False): 9,
    }  # fmt: skip

    catalogue.is_mended = True
    nameless = catalogue.scenes[catalogue.add(NO_SCENES, 30)]
    del nameless["properties"]["platform"], nameless["properties"]["grid:code"]
    catalogue.scenes["nameless"] = {**catalogue.scenes.pop(nameless["id"]), "id": "nameless"}
    catalogue.asked.clear()
    second = fill()
    [told] = FailureBook(settings, INGEST, second.run_id).open_rows_of_run(NO_SCENES)
    assert (told["scene_id"], told["stage"]) == ("nameless", "search") and second.state == "failed"
    assert "nameless" in caplog.text.split("ALERT")[-1]
    mended = {scene for scene, kind in bad.items() if kind == "mended"}
    may_heal = {scene for scene, kind in bad.items() if KINDS[kind][2]}
    assert set(catalogue.asked) == may_heal
    assert Counter(states_of(second)["fetch_scene"]) == {"success": 1, "failed": 3}
    assert {scene for scene, row in rows(settings).items() if row["healed_at_utc"]} == mended
    assert {row["run_id"] for scene, row in rows(settings).items() if scene in may_heal - mended} == {second.run_id}
    assert pixel_scenes() == good | mended
    assert gaps(settings) == {
        ("may_heal", True, True): 1, ("may_heal", True, False): 3, ("cannot_heal", False, False): 5,
    }  # fmt: skip


def test_where_nothing_is_due_the_run_is_one_task_and_green(
    catalogue: SceneCatalogue, settings: str, fill: Callable[[], Any], states_of: Callable[..., Any]
) -> None:
    """What failed for good was told when it failed."""
    book = FailureBook(settings, INGEST, "another run")
    for day in (FIRST, LAST):
        failed = [r["scene_id"] for r in book.open_rows(day) if r["is_retryable"]]
        book.settle(day, [FailedScene(scene, "fetch_scene", "InputError", "gone", area=AREA) for scene in failed])
    catalogue.asked.clear()
    run = fill()
    states = states_of(run)
    assert run.state == "success" and states.pop("find_gaps") == ["success"]
    assert {state for of in states.values() for state in of} == {"skipped"} and not catalogue.asked


@pytest.mark.parametrize("first, last", [("2025-08-04", "2025-08-01"), ("2024-08-01", "2025-08-04"), (None, None)])
def test_the_days_are_those_asked_for_or_the_30_before(first: str | None, last: str | None) -> None:
    from plumewatch_airflow.params import gap_days

    if first is None:
        assert gap_days({"from": None, "to": None}, "2025-08-31") == (date(2025, 8, 1), date(2025, 8, 30))
        return
    with pytest.raises(ParameterError, match=f"from {first} to {last}; allowed: 1 to 366 days"):
        gap_days({"from": first, "to": last}, "2025-08-31")


def test_tries_of_scenes_that_failed_together_come_back_apart(dagbag: Any) -> None:
    policy = dagbag.dags[INGEST].task_dict["fetch_scene"].partial_kwargs["retry_policy"]
    for try_number, least_s in ((1, 30), (2, 60), (9, 600)):
        delays = {policy.evaluate(OSError("busy"), try_number, 2).retry_delay for _ in range(50)}
        assert min(delays) >= timedelta(seconds=least_s) and max(delays) <= timedelta(seconds=min(2 * least_s, 600))
        assert len(delays) > 40 or try_number == 9
