"""What the view reads: keys, content of a range of them, details, and the history of a source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from map_rows import DAY, NASTY
from plumewatch import storage

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
    assert {d["id"]: (d["key"], d["state"]) for d in content["detections"]} == {
        "a1": (DAY, "confirmed"), "a3": (DAY, "unknown_source"), "a2 too_small": (DAY, "refused"),
    }  # fmt: skip
    assert content["summary"] == "2 plumes accepted in 1 area searched, the largest 5.2 t/h."
    [oman] = content["looked_at"]
    assert oman["outcome"] == "searched on 2 of 2 days" and "detection limit 2,100 kg/h" in oman["lines"]
    assert not {"facts", "matches"} & content["detections"][0].keys()
    one = get("/data/ch4/content", first=LATER, last=LATER)
    assert one["detections"] == [] and one["title"] == f"Methane plumes {LATER}"
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


def test_a_source_is_told_how_often_it_was_looked_at_and_seen(get: Callable[..., Any]) -> None:
    history = get("/data/ch4/history", source_id="well")
    assert history["lines"] == [
        f"Looked at 2 times, {DAY} to {LATER}.",
        f"Seen on 1 of 2, {DAY}; 5.2 t/h on average when it was seen.",
        "Detection limit when it was looked at and not seen: 2,100 kg/h.",
    ]
    assert history["seen"] == [[DAY, "5.2 t/h", "0.90"]]


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
