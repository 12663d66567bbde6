"""What the view reads: keys, content of a range of them, details, and the history of a source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from map_rows import DAY, NASTY
from plumewatch import storage
from plumewatch.maps.columns import rows_of
from plumewatch.reviews import append_review

LATER = "2025-09-02"
METHANE = "methane_detection_and_matching"


@pytest.fixture
def get(client: Callable[..., Any], view_storage: str) -> Callable[..., Any]:
    """What a viewer is answered, as JSON."""
    viewer = client("viewer")

    def answer(path: str, **params: str) -> Any:
        response = viewer.get(path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    return answer


def test_the_page_begins_with_the_keys_that_were_looked_at(get: Callable[..., Any]) -> None:
    start = get("/data/start")
    assert [(gas["name"], gas["keys"]) for gas in start["gases"]] == [("ch4", [DAY, LATER]), ("co2", [])]


def test_a_range_of_keys_is_told_as_one(get: Callable[..., Any]) -> None:
    content = get("/data/ch4/content", first=DAY, last=LATER)
    detections = rows_of(content["detections"])
    assert {d["id"]: (d["key"], d["state"]) for d in detections} == {
        "a1": (DAY, "confirmed"), "a3": (DAY, "unknown_source"), "a2 too_small": (DAY, "refused"),
    }  # fmt: skip
    assert content["summary"] == "2 plumes accepted in 1 area searched, the largest 5.2 t/h."
    [oman] = content["looked_at"]
    assert oman["outcome"] == "searched on 2 of 2 days" and "detection limit 2,100 kg/h" in oman["lines"]
    assert not {"facts", "matches"} & detections[0].keys()
    one = get("/data/ch4/content", first=LATER, last=LATER)
    assert rows_of(one["detections"]) == [] and one["title"] == f"Methane plumes {LATER}"
    assert one["looked_at"][0]["lines"] == ["80 % of what was seen is clear, detection limit 2,100 kg/h"]


def test_details_name_facts_sources_and_what_can_be_opened(
    get: Callable[..., Any], client: Callable[..., Any], view_storage: str
) -> None:
    told = get(f"/data/ch4/{DAY}/detection", id="a1")
    assert [m["name"] for m in told["matches"]] == [NASTY, "in no inventory"] and dict(told["facts"])["id"] == "a1"
    assert told["picture"] == f"data/ch4/{DAY}/picture?id=a1" and told["outline"]["type"] == "Polygon"
    picture = client("viewer").get("/" + told["picture"])
    assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    assert get(f"/data/ch4/{DAY}/detection", id="a3")["picture"] is None and told["links"] == []
    item = storage.join(view_storage, "scenes", "area=oman", f"date={DAY}", "S2A_40RKH_20250831_0_L2A.json")
    storage.write_bytes(item, b'{"type": "Feature"}')
    [link] = get(f"/data/ch4/{DAY}/detection", id="a1")["links"]
    assert get("/" + link["href"].partition("?")[0], id="a1") == {"type": "Feature"}


def test_a_source_is_told_how_often_it_was_looked_at_and_seen(get: Callable[..., Any], view_storage: str) -> None:
    history = get("/data/ch4/history", source_id="well")
    assert history["lines"] == [
        f"Looked at by 2 passes, {DAY} to {LATER}; the chance that it was not hidden: 80 %.",
        f"Seen by 1 of 2, {DAY}.",
        "All passes together: 2.6 t/h, 1.4 t/h to 4.7 t/h (68 %), 0.57 times the 4.6 t/h of the inventory "
        "(source confirmed).",
        "Detection limit when it was looked at and not seen: 2,100 kg/h.",
    ]
    assert history["seen"] == [[f"{DAY} 07:12 UTC", "5.2 t/h, 3.1 t/h to 7.8 t/h (68 %)", "0.90"]]
    assert get("/data/co2/history", source_id="plant")["lines"] == [
        "Passed, so that its plume would have been seen, by 2 orbits, 2025-08-12 to 2025-08-28; "
        "the chance that it was not hidden: 80 %.",
        "Not seen so far.",
        "Detection limit when it was looked at and not seen: 3.0 kt/h to 7.0 kt/h.",
    ]
    assert get("/data/ch4/history", source_id="new")["lines"] == ["No pass that was searched has looked at it."]
    said = {"verdict": "reject", "by": "ann", "at": datetime(2025, 9, 3, tzinfo=UTC)}
    append_review(view_storage, "ch4", "a1", longitude=56.0, latitude=22.0, observed_at_utc=None, **said)
    history = get("/data/ch4/history", source_id="well")
    assert history["lines"][1] == "Not seen so far." and history["seen"] == []
    storage.delete(storage.join(view_storage, "source_passes", "gas=co2"))
    [line] = get("/data/co2/history", source_id="plant")["lines"]
    assert line == "No pass is on record: co2_detection_and_matching hasn't written any yet."


def test_a_run_opens_at_its_key_and_a_key_knows_its_run(get: Callable[..., Any], dagbag: Any) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    with create_session() as session:
        run = DagRun(dag_id=METHANE, run_id="run+of:a~day", run_type=DagRunType.MANUAL, partition_key=DAY)
        session.add(run)
    try:
        opened = get("/data/run", dag_id=METHANE, run_id="run+of:a~day")
        links = get(f"/data/ch4/{DAY}/detection", id="a1")["links"]
    finally:
        with create_session() as session:
            session.delete(session.merge(run))
    assert opened == {"gas": "ch4", "key": DAY, "problem": None}
    assert [link["href"] for link in links] == [
        f"/dags/{METHANE}/runs/run%2Bof%3Aa~day", f"/dags/{METHANE}/runs/run%2Bof%3Aa~day/tasks/detect_plumes",
    ]  # fmt: skip
    assert get("/data/run", dag_id=METHANE, run_id="no such run")["problem"].startswith("This run has no key")
    assert get("/data/run", dag_id="inventory_refresh", run_id="any")["problem"].startswith("Runs of this DAG")
