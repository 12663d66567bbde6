"""The bundle loads: exact DAG ids, schedules, params, docs, retries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

DAG_IDS = {
    "sentinel2_daily_ingest", "oco2_monthly_extraction", "methane_detection_and_matching", "co2_detection_and_matching",
    "redetect", "inventory_refresh", "published_cases_validation",
}  # fmt: skip


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


def test_work_is_retried_with_backoff(dagbag: Any) -> None:
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            if task.task_id != "report_failures":
                assert task.retries >= 2 and task.retry_exponential_backoff


def test_the_assets_hand_on(dagbag: Any) -> None:
    assert "pixels" in str(dagbag.dags["methane_detection_and_matching"].timetable.asset_condition)
    assert "peaks" in str(dagbag.dags["co2_detection_and_matching"].timetable.asset_condition)


def test_params_of_the_trigger_form(dagbag: Any) -> None:
    assert set(dagbag.dags["sentinel2_daily_ingest"].params) == {"areas", "newest", "look_back_days"}
    assert set(dagbag.dags["redetect"].params) == {"from", "to", "gas", "methods"}


def test_every_param_has_a_title_and_says_what_it_does(dagbag: Any) -> None:
    schemas = {
        (dag_id, name): dag.params.get_param(name).schema for dag_id, dag in dagbag.dags.items() for name in dag.params
    }
    assert len(schemas) > 10
    assert [at for at, schema in schemas.items() if not (schema.get("title") and schema.get("description_md"))] == []
