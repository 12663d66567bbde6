"""An area whose catalogue gives no answer at first is searched again, while the day of the others goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.errors import ServiceError
from plumewatch.failures import FailureBook
from plumewatch.sentinel2 import day_search
from plumewatch.tables import PIXELS

INGEST = "sentinel2_daily_ingest"
LATE, OTHER = "hassi_messaoud", "qarn_alam"
pytestmark = pytest.mark.airflow


@pytest.fixture
def searched(world: Any, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each area is searched, in an empty storage; the catalogue is `busy` so often when asked for LATE."""
    for table in ("scenes", "pixels", "failed_scenes"):
        for path in storage.list_files(f"{world.storage_root}/{table}"):
            storage.delete(path)
    count: Counter[str] = Counter()
    search = day_search.search_scenes

    def busy(area: Any, *arguments: Any) -> Any:
        count[area.name] += 1
        if area.name == LATE and count[LATE] <= count["busy"]:
            raise ServiceError("busy", 503)
        return search(area, *arguments)

    monkeypatch.setattr(day_search, "search_scenes", busy)
    monkeypatch.setattr(day_search, "PAUSES_S", (0.0, 0.0))
    return count


def stored(world: Any, day: str) -> set[str]:
    rows = storage.read_table(PIXELS, f"{world.storage_root}/pixels", ["area", "scene_id"], where={"date": day})
    return set(rows["area"].to_pylist())


def day_of_both(world: Any) -> str:
    """The first day with scenes of both areas."""
    areas: dict[str, set[str]] = {}
    for scene in world.truth["scenes"]:
        areas.setdefault(scene["date"], set()).add(scene["area"])
    return min(day for day, of_day in areas.items() if of_day == {LATE, OTHER})


@pytest.mark.parametrize("busy", [1, 2])
def test_it_is_searched_again_alone_and_its_scenes_are_of_the_day(
    world: Any, run_dag: Callable[..., Any], states_of: Callable[..., Any], searched: Counter[str], busy: int
) -> None:
    day = day_of_both(world)
    searched["busy"] = busy
    run = run_dag(INGEST, day, areas=[LATE, OTHER])
    states = states_of(run)
    n_late = sum(scene["date"] == day and scene["area"] == LATE for scene in world.truth["scenes"])
    assert run.state == "success" and states["fetch_scene_again"] == ["success"] * n_late, states
    assert (searched[LATE], searched[OTHER]) == (1 + busy, 1)
    assert stored(world, day) == {LATE, OTHER}
    [row] = FailureBook(world.storage_root, INGEST, "any run").rows(day)
    assert (row["area"], row["stage"]) == (LATE, "search") and row["healed_at_utc"]


def test_where_it_stays_silent_the_others_are_handed_on_and_the_run_is_red(
    world: Any,
    run_dag: Callable[..., Any],
    states_of: Callable[..., Any],
    keys_handed_on: Callable[..., Any],
    searched: Counter[str],
) -> None:
    day = day_of_both(world)
    searched["busy"] = 9
    run = run_dag(INGEST, day, areas=[LATE, OTHER])
    states = states_of(run)
    assert run.state == "failed" and states["report_failures"] == ["failed"]
    assert states["search_again"] == states["write_pixels"] == ["success"]
    assert ("plumewatch_pixels", day) in keys_handed_on(run) and stored(world, day) == {OTHER}
    assert (searched[LATE], searched[OTHER]) == (3, 1)
    [row] = FailureBook(world.storage_root, INGEST, "any run").open_rows(day)
    assert (row["area"], row["attempts"], row["is_retryable"]) == (LATE, 3, True)
