"""What the operations page reads: failures with their logs, the calendar, units, tables; each for who may see it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from map_rows import NASTY, observation
from operations_rows import INGEST, days_ago, fill_operations
from plumewatch import storage
from plumewatch.maps import operations
from plumewatch.tables import OBSERVATIONS

GAP_FILL = "sentinel2_gap_fill"


@pytest.fixture
def get(client: Callable[..., Any], view_storage: str) -> Callable[..., Any]:
    """What a role is answered, as JSON."""
    fill_operations(view_storage)

    def answer(path: str, role: str = "viewer", status: int = 200, **params: Any) -> Any:
        response = client(role).get(path, params=params)
        assert response.status_code == status, response.text
        return response.json()

    return answer


def test_failures_are_told_with_reason_tries_and_what_can_be_tried_again(get: Callable[..., Any]) -> None:
    told = get("/data/operations/failures")
    assert told["n"] == 3
    by_scene = {one["scene_id"]: one for one in told["failed"]}
    assert list(by_scene)[-1] == "granule.nc4" and by_scene.keys() == {"S2_1", "S2_3", "granule.nc4"}  # healed, old
    one = by_scene["S2_1"]
    assert (one["reason"], one["attempts"], one["area"], one["key"]) == ("HTTPError 503", 3, "oman", days_ago(3))
    assert [by_scene[name]["is_filled"] for name in ("S2_1", "S2_3", "granule.nc4")] == [True, False, False]
    assert by_scene["S2_3"]["message"] == NASTY and by_scene["S2_1"]["href"] is None
    assert [told["gap_fill"][name] for name in ("dag_id", "may_start")] == [GAP_FILL, False]
    assert get("/data/operations/failures", role="user", days=366)["n"] == 4
    assert get("/data/operations/failures", role="user")["gap_fill"]["may_start"] is True
    get("/data/operations/failures", days=5000, status=422)


def test_a_failure_leads_to_the_task_that_logged_it(get: Callable[..., Any], dagbag: Any) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    with create_session() as session:
        # as of the gap fill, whose failures are recorded under the name of the ingest
        run = DagRun(dag_id=GAP_FILL, run_id="scheduled__one", run_type=DagRunType.MANUAL)
        session.add(run)
    try:
        told = get("/data/operations/failures")["failed"]
    finally:
        with create_session() as session:
            session.delete(session.merge(run))
    links = {one["scene_id"]: one["href"] for one in told}
    assert links["S2_1"] == f"/dags/{GAP_FILL}/runs/scheduled__one" and links["granule.nc4"] is None


def test_who_may_not_read_a_dag_is_not_told_of_it(get: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi import HTTPException
    from plumewatch_airflow.view import access, operations

    def only_co2(method: str, entity: Any, dag_id: str) -> Callable[..., None]:
        def check(request: Any, user: Any) -> None:
            if not dag_id.startswith(("oco2", "co2")):
                raise HTTPException(403, "Forbidden")

        return check

    for module in (access, operations):
        monkeypatch.setattr(module, "requires_access_dag", only_co2)
    told = get("/data/operations/failures")
    assert [one["scene_id"] for one in told["failed"]] == ["granule.nc4"] and told["n"] == 1
    get("/data/operations/units", status=403)


def test_each_day_of_an_area_has_its_outcome_and_what_is_missing_of_it(get: Callable[..., Any]) -> None:
    told = get("/data/ch4/calendar", first=days_ago(6), last=days_ago(0))
    assert told["days"] == [days_ago(n) for n in range(6, -1, -1)]
    [oman] = [area for area in told["areas"] if area["name"] == "oman"]
    names = [name for name, _ in told["states"]]
    assert [(told["days"][n], names[state], n_missing) for n, state, n_missing in oman["cells"]] == [
        (days_ago(5), "searched", 1), (days_ago(4), "skipped_cloud", 0), (days_ago(3), "failed", 0),
        (days_ago(2), "missing", 2), (days_ago(1), "missing", 1),
    ]  # fmt: skip
    assert get("/data/co2/calendar", first="x", last="x")["months"] == [
        ["2016-08", "2 orbits searched", "failed (1 granule)"]
    ]
    for first, last in (("2025-1-1", days_ago(0)), (days_ago(0), days_ago(1)), ("2020-01-01", days_ago(0)), ("..", "")):
        get("/data/ch4/calendar", first=first, last=last, status=422)


def test_the_page_begins_where_the_days_on_record_end(get: Callable[..., Any], view_storage: str) -> None:
    assert get("/data/operations/start") == {"last": days_ago(1), "is_stored": True, "may_add": False}
    future = {"gas": "ch4", "key": days_ago(-3)}
    storage.write_partition(OBSERVATIONS, f"{view_storage}/observations", future, OBSERVATIONS.empty())
    assert get("/data/operations/start")["last"] == days_ago(1)  # a slip of a year isn't where the record ends
    for n in range(-3, 6):
        for folder in ("observations/gas=ch4", f"failed_scenes/dag_id={INGEST}", "scene_gaps"):
            column = "date" if folder == "scene_gaps" else "key"
            storage.delete(f"{view_storage}/{folder}/{column}={days_ago(n)}")
    old = {"dag_id": INGEST, "key": days_ago(200)}
    assert get("/data/operations/start")["last"] == old["key"]
    assert [one["scene_id"] for one in get("/data/operations/failures")["failed"]] == ["S2_old", "granule.nc4"]
    idle = OBSERVATIONS.from_pylist([observation("oman", "no_input", None)])
    storage.write_partition(OBSERVATIONS, f"{view_storage}/observations", {"gas": "ch4", "key": days_ago(1)}, idle)
    assert get("/data/operations/start")["last"] == old["key"]  # days without a scene don't hide it
    storage.delete(f"{view_storage}/failed_scenes/dag_id={INGEST}/key={days_ago(200)}")
    assert get("/data/operations/start")["last"] == "2025-09-02"  # which was searched
    storage.delete(f"{view_storage}/observations/gas=ch4")
    storage.write_partition(OBSERVATIONS, f"{view_storage}/observations", {"gas": "ch4", "key": days_ago(1)}, idle)
    assert get("/data/operations/start")["last"] == days_ago(1)
    for folder in ("observations/gas=ch4", f"failed_scenes/dag_id={INGEST}", "failed_scenes", "scene_gaps"):
        storage.delete(f"{view_storage}/{folder}")
    # the months of orbits alone
    assert get("/data/operations/start") == {"last": "2016-08-31", "is_stored": True, "may_add": False}
    storage.delete(f"{view_storage}/observations")
    empty = {"last": days_ago(0), "is_stored": False, "may_add": True}
    assert get("/data/operations/start", role="user") == empty


def test_units_say_what_is_spent_and_left(get: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMEWATCH_SH_MONTHLY_UNITS", "10")
    now, before = get("/data/operations/units")["units"]
    assert (now["month"], now["used"], now["left"], now["n_requests"]) == (f"{datetime.now(UTC):%Y-%m}", 7.53, 2.47, 2)
    assert before["left"] is None and before["was_refused"] and before["used"] == 3.53


def test_tables_say_how_new_they_are(get: Callable[..., Any]) -> None:
    tables = {one["name"]: one for one in get("/data/operations/tables")["tables"]}
    of_failures = tables["failed_scenes"]
    assert of_failures["n_partitions"] == 3 and of_failures["first"] == days_ago(200)
    written = datetime.fromisoformat(of_failures["written_at"])
    assert abs((datetime.now(UTC) - written).total_seconds()) < 300
    assert tables["plumes"]["last"] == "2025-09-02" and "soundings" not in tables and INGEST not in tables


def test_tables_are_listed_once_for_all_who_ask(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, release = [], threading.Event()

    def slow(root: str) -> list[str]:
        listed.append(root)
        release.wait(10)
        return [root]

    monkeypatch.setattr(operations, "_list_tables", slow)
    one, other = f"{tmp_path}/one", f"{tmp_path}/other"
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(operations.tables_written, one) for _ in range(4)]
        release.set()
        assert [done.result() for done in asked] == [[one]] * 4 and listed == [one]
    assert operations.tables_written(other) == [other] and listed == [one, other]
    monkeypatch.setattr(operations, "TABLES_TOLD_S", -1.0)
    operations.tables_written(one)
    assert listed == [one, other, one]


def test_a_storage_with_nothing_in_it_is_told_as_that(
    client: Callable[..., Any], tmp_path: Any, view_storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", f"file://{tmp_path / 'new'}")
    viewer = client("viewer")
    assert viewer.get("/data/operations/failures").json()["failed"] == []
    assert viewer.get("/data/operations/units").json() == {"units": []}
    assert viewer.get("/data/operations/tables").json() == {"tables": []}
    assert viewer.get("/data/ch4/calendar", params={"first": days_ago(1), "last": days_ago(0)}).json()["areas"] == []
    assert viewer.get("/data/co2/calendar", params={"first": "", "last": ""}).json() == {"months": []}
