"""What arrives while a detection DAG is paused is detected once it is unpaused, and nothing is detected twice."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.gases import CH4, CO2
from plumewatch.hand_offs import begin_hand_offs, record_hand_offs, waiting_hand_offs

pytestmark = pytest.mark.airflow
METHANE = "methane_detection_and_matching"
DAY = "2025-08-20"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty storage root, where the tasks look; and no patience with what was handed on just now."""
    import plumewatch_airflow.hand_offs as hand_offs

    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", str(tmp_path / "store"))
    monkeypatch.setattr(hand_offs, "GRACE", timedelta(0))
    return str(tmp_path / "store")


@pytest.fixture
def paused(dagbag: Any) -> Iterator[Callable[[bool], None]]:
    """A function that pauses or unpauses the two detection DAGs."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from plumewatch_airflow.hand_offs import DETECTION
    from sqlalchemy import update

    def pause(is_paused: bool) -> None:
        with create_session() as session:
            detection = DagModel.dag_id.in_(DETECTION.values())
            session.execute(update(DagModel).where(detection).values(is_paused=is_paused))

    yield pause
    pause(True)


@pytest.fixture
def queued_run(dagbag: Any) -> Iterator[Callable[[str], None]]:
    """A function that queues a run of a DAG; it goes when the test ends."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import delete

    made = []

    def queue(dag_id: str) -> None:
        made.append(f"manual__{uuid.uuid4()}")
        run = DagRun(
            dag_id=dag_id,
            run_id=made[-1],
            run_after=datetime.now(UTC),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.QUEUED,
        )
        with create_session() as session:
            session.add(run)

    yield queue
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.run_id.in_(made)))


@pytest.fixture
def handed_on(
    run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any], dagbag: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], set[tuple[str, str]]]:
    """A function that lets the check run and returns what it handed on; it doesn't wait for a detection at work."""
    for name in ("methane_idle", "co2_idle"):
        sensor = dagbag.dags["waiting_detections"].get_task(name)
        for option, value in {"mode": "poke", "timeout": 0.0, "poke_interval": 0.01}.items():
            monkeypatch.setattr(sensor, option, value)

    def check() -> set[tuple[str, str]]:
        run = run_dag("waiting_detections")
        assert run.state == "success"
        return keys_handed_on(run)

    return check


def note_of(run: Any) -> str | None:
    """What the UI shows as the note of a run."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        return session.get(DagRun, run.id).note


def test_what_waits_for_a_paused_detection_is_named_and_handed_on_once_it_is_unpaused(
    root: str,
    handed_on: Callable[[], Any],
    paused: Callable[[bool], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    record_hand_offs(root, CH4, [DAY, "2025-08-23"], "sentinel2_daily_ingest")
    record_hand_offs(root, CO2, ["2025-08"], "redetect", ["curve_fit_seed"])
    paused(True)
    with caplog.at_level(logging.WARNING, "plumewatch.hand_offs"):
        assert handed_on() == set()
    assert f"{METHANE} is paused; once it is unpaused, these are detected: {DAY}, 2025-08-23" in caplog.messages
    paused(False)
    expected = {("plumewatch_pixels", DAY), ("plumewatch_pixels", "2025-08-23"), ("plumewatch_peaks", "2025-08")}
    assert handed_on() == expected
    assert handed_on() == expected  # until a run of the key takes it away: this one may be lost as well


def test_what_was_just_handed_on_is_left_to_the_scheduler(
    root: str, handed_on: Callable[[], Any], paused: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import plumewatch_airflow.hand_offs as hand_offs

    record_hand_offs(root, CH4, [DAY], "sentinel2_daily_ingest")
    paused(False)
    assert handed_on() == {("plumewatch_pixels", DAY)}
    monkeypatch.setattr(hand_offs, "GRACE", timedelta(minutes=1))
    assert handed_on() == set() and len(waiting_hand_offs(root, CH4)) == 1


def test_nothing_is_handed_on_again_while_runs_are_queued(
    root: str,
    handed_on: Callable[[], Any],
    paused: Callable[[bool], None],
    queued_run: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    record_hand_offs(root, CH4, [DAY], "sentinel2_daily_ingest")
    record_hand_offs(root, CO2, ["2025-08"], "oco2_monthly_extraction")
    paused(False)
    queued_run(METHANE)
    with caplog.at_level(logging.INFO, "plumewatch.hand_offs"):
        assert handed_on() == {("plumewatch_peaks", "2025-08")}
    assert f"{METHANE} is at work; what waits until it is idle: {DAY}" in caplog.messages


def test_whoever_hands_on_to_a_paused_detection_is_told(
    root: str, run_dag: Callable[..., Any], paused: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from plumewatch_airflow import notes

    storage.write_bytes(f"{root}/pixels/area=hassi/date={DAY}/_manifest.json", b'{"files": []}')
    paused(True)
    with caplog.at_level(logging.INFO, "plumewatch"):
        run = run_dag("redetect", None, **{"from": DAY, "to": DAY, "gas": "ch4", "methods": ["single_pass"]})
    assert f"{METHANE} is paused; once it is unpaused, these are detected: {DAY}" in caplog.messages
    assert any(line.endswith(f", -; detection of {DAY} waits: DAG {METHANE} is paused") for line in caplog.messages)
    assert [hand_off.methods for hand_off in waiting_hand_offs(root, CH4)] == [("single_pass",)]
    assert note_of(run) == f"Detection waits until it is unpaused: {METHANE} (paused when this run ended)."
    with create_session() as session:  # as in the scheduler
        attached = session.get(DagRun, run.id)
        attached.dag_run_note = None
        [hooks] = notes.PlumewatchNotes.listeners
        hooks.on_dag_run_failed(attached, "")
        assert attached.note and METHANE in attached.note
        attached.note = "a person's"
        hooks.on_dag_run_failed(attached, "")
        assert attached.note == "a person's"
    paused(False)
    assert note_of(run_dag("redetect", None, **{"from": DAY, "to": DAY, "gas": "ch4"})) is None


def test_the_map_of_a_key_that_waits_says_so_until_its_detection_begins(
    root: str, handed_on: Callable[[], Any], paused: Callable[[bool], None]
) -> None:
    from plumewatch_airflow.detection import draw_maps

    def page() -> str:
        return storage.read_bytes(f"{root}/maps/ch4/{DAY}.html").decode()

    record_hand_offs(root, CH4, [DAY], "sentinel2_daily_ingest")
    paused(True)
    handed_on()
    told = f"(what follows is older): if the DAG {METHANE} is paused, unpause it. Nothing was searched: not looked at"
    assert "Detection waits since 20" in page() and told in page()
    storage.write_bytes(f"{root}/maps/ch4/{DAY}.html", b"drawn since")
    handed_on()
    assert page() == "drawn since"  # not once more each half hour
    record_hand_offs(root, CH4, [DAY], "redetect")
    handed_on()
    assert told in page()
    begin_hand_offs(root, CH4, DAY)
    draw_maps(CH4, [DAY])
    assert told not in page() and "Nothing was searched: not looked at" in page()


def test_keys_wait_for_a_detection_that_isnt_there(
    root: str, handed_on: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import plumewatch_airflow.hand_offs as hand_offs

    record_hand_offs(root, CH4, [DAY], "sentinel2_daily_ingest")
    monkeypatch.setitem(hand_offs.DETECTION, CH4.name, "not_parsed_yet")
    assert handed_on() == set() and len(waiting_hand_offs(root, CH4)) == 1


def test_commands_know_the_same_detections() -> None:
    from plumewatch_airflow.hand_offs import DETECTION

    from tools.backfill import DETECTIONS

    assert sorted(DETECTION.values()) == sorted(DETECTIONS.values())


def test_nothing_waits(root: str, run_dag: Callable[..., Any], states_of: Callable[..., Any]) -> None:
    states = states_of(run_dag("waiting_detections"))
    assert states.pop("methane_idle") == states.pop("co2_idle") == ["success"]
    assert states == {"hand_on_pixels": ["skipped"], "hand_on_peaks": ["skipped"], "report_failures": ["success"]}
