"""The bundle loads: exact DAG ids, schedules, params, docs, retries."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plumewatch.keys import DAY, MONTH

from tools.checkout import CHECKOUT

DAG_IDS = {
    "sentinel2_daily_ingest", "oco2_monthly_extraction", "methane_detection_and_matching", "co2_detection_and_matching",
    "redetect", "inventory_refresh", "published_cases_validation", "waiting_detections", "sentinel2_late_scenes",
    "sentinel2_gap_fill", "zonal_statistics_monthly", "silence", "source_model_training",
    "multi_sensor_collection", "sentinel_hub_orders",
}  # fmt: skip
TIMED = (
    "sentinel2_daily_ingest", "sentinel2_late_scenes", "oco2_monthly_extraction", "inventory_refresh",
    "waiting_detections", "sentinel2_gap_fill", "zonal_statistics_monthly", "silence",
)  # fmt: skip


def test_every_file_is_one_dag_of_its_name(dagbag: Any) -> None:
    assert dagbag.import_errors == {}
    assert set(dagbag.dags) == DAG_IDS
    assert all(Path(dag.fileloc).stem == dag_id for dag_id, dag in dagbag.dags.items())


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_every_dag_explains_itself_and_ends_with_a_report(dagbag: Any, dag_id: str) -> None:
    dag = dagbag.dags[dag_id]
    assert {"Schedule", "Reads", "Writes"} <= {
        word.strip("*") for word in dag.doc_md.replace(":", "").split() if word.startswith("**")
    }
    assert dag.catchup is False and "plumewatch" in dag.tags
    assert all(task.doc_md or task.python_callable.__doc__ for task in dag.tasks)
    assert [t.task_id for t in dag.leaves] == ["report_failures"]
    assert dag.task_dict["report_failures"].trigger_rule == "all_done"


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_every_dag_is_described_by_the_first_sentence_of_its_docs(dagbag: Any, dag_id: str) -> None:
    dag = dagbag.dags[dag_id]
    docs = " ".join(dag.doc_md.partition("\n")[2].split())
    assert docs.startswith(dag.description) and 30 < len(dag.description) < 250
    assert dag.description.endswith(".") and ". " not in dag.description


def test_work_is_retried_with_backoff(dagbag: Any) -> None:
    """The report too: it may be killed as any other, and says for good what failed by itself."""
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            assert task.retries >= 2 and task.retry_exponential_backoff and task.retry_policy


def test_the_assets_hand_on(dagbag: Any) -> None:
    assert "plumewatch_pixels" in str(dagbag.dags["methane_detection_and_matching"].timetable.asset_condition)
    assert "plumewatch_peaks" in str(dagbag.dags["co2_detection_and_matching"].timetable.asset_condition)


def test_assets_have_names_and_addresses_that_are_ours_alone(dagbag: Any) -> None:
    from plumewatch_airflow import assets

    ours = [assets.PIXELS, assets.PEAKS, assets.SOURCES]
    handed_on = {o.name for dag in dagbag.dags.values() for task in dag.tasks for o in task.outlets}
    assert handed_on == {asset.name for asset in ours}
    assert all(a.name.startswith("plumewatch_") and a.uri.startswith("plumewatch://") for a in ours)


def test_the_docs_say_of_every_task_how_it_tells_its_progress(dagbag: Any) -> None:
    told = set(re.findall(r"`(\w+)`", (CHECKOUT / "docs" / "progress.md").read_text()))
    assert {task_id for dag in dagbag.dags.values() for task_id in dag.task_ids} - told == set()


def test_params_of_the_trigger_form(dagbag: Any) -> None:
    assert set(dagbag.dags["sentinel2_daily_ingest"].params) == {"areas", "newest", "look_back_days"}
    assert set(dagbag.dags["redetect"].params) == {"from", "to", "gas", "methods"}
    assert set(dagbag.dags["sentinel2_gap_fill"].params) == {"from", "to", "areas"}


def test_every_param_has_a_title_and_says_what_it_does(dagbag: Any) -> None:
    schemas = {
        (dag_id, name): dag.params.get_param(name).schema for dag_id, dag in dagbag.dags.items() for name in dag.params
    }
    assert len(schemas) > 10
    assert [at for at, schema in schemas.items() if not (schema.get("title") and schema.get("description_md"))] == []


def test_every_schedule_is_utc_whatever_the_default_timezone_is(dagbag: Any) -> None:
    zones = {dag_id: getattr(dag.timetable, "timezone", None) for dag_id, dag in dagbag.dags.items()}
    assert [dag_id for dag_id, dag in dagbag.dags.items() if isinstance(dag.schedule, str)] == []
    assert {dag_id: str(zone) for dag_id, zone in zones.items() if zone is not None} == dict.fromkeys(TIMED, "UTC")


@pytest.mark.parametrize(
    ("key", "logical_date", "day", "month"),
    [
        (None, "2025-08-24T00:00:00+00:00", "2025-08-24", "2025-08"),
        (None, "2025-08-24T23:59:59+00:00", "2025-08-24", "2025-08"),
        (None, "2025-09-01T01:00:00+02:00", "2025-08-31", "2025-08"),
        (None, "2024-12-31T20:00:00-05:00", "2025-01-01", "2025-01"),
        (None, "2024-02-29T12:00:00+00:00", "2024-02-29", "2024-02"),
        (None, None, "2026-07-01", "2026-07"),
    ],
)
def test_the_key_of_a_run_is_that_of_its_logical_date(
    key: str | None, logical_date: str | None, day: str, month: str
) -> None:
    from plumewatch_airflow.assets import partition_key

    at = datetime.fromisoformat(logical_date) if logical_date else None
    run = SimpleNamespace(logical_date=at, run_after=datetime(2026, 7, 1, tzinfo=UTC))
    context = {"partition_key": key, "dag_run": run}
    assert (partition_key(context, DAY), partition_key(context, MONTH)) == (day, month)
    assert partition_key({**context, "partition_key": "2020-01-02"}, DAY) == "2020-01-02"
