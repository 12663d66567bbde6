"""The copies of DAGs with empty tasks, against which `make bench ONLY=airflow` measures: same tasks, nothing done."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.checkout import CHECKOUT

INGEST = "sentinel2_daily_ingest"
TUPLE = {"__classname__": "builtins.tuple", "__version__": 1, "__data__": ["older"]}
SCENES = [{"key": "2025-08-20", "area": area, "scene_id": f"S2_{area}", "older": TUPLE} for area in ("a", "b")]
DID = (
    "CREATE TABLE dag_run (dag_id, run_id, partition_key)",
    f"INSERT INTO dag_run VALUES ('{INGEST}', 'r1', '2025-08-20')",
    "CREATE TABLE task_instance (dag_id, run_id, task_id, map_index, state, try_number)",
    *(
        f"INSERT INTO task_instance VALUES ('{INGEST}', 'r1', '{task}', {index}, '{state}', 1)"
        for task, index, state in (
            ("search_scenes", -1, "success"), ("fetch_scene", 0, "success"), ("fetch_scene", 1, "failed"),
            ("write_pixels", -1, "success"), ("report_failures", -1, "failed"),
        )
    ),
    "CREATE TABLE asset (id, name)",
    "INSERT INTO asset VALUES (1, 'plumewatch_pixels')",
    "CREATE TABLE asset_event (asset_id, source_dag_id, source_run_id, source_task_id, partition_key)",
    f"INSERT INTO asset_event VALUES (1, '{INGEST}', 'r1', 'write_pixels', '2025-08-20')",
    "CREATE TABLE xcom (dag_id, run_id, task_id, map_index, key, value)",
)  # fmt: skip


@pytest.fixture(scope="module")
def empty_dags(tmp_path_factory: pytest.TempPathFactory, dagbag: Any) -> Any:
    """The DagBag of the ingest with empty tasks, of a database in which one of two scenes failed."""
    sys.path.insert(0, str(CHECKOUT / "tests" / "benchmarks"))
    import json

    from airflow.dag_processing.dagbag import DagBag
    from empty_tasks import write_empty_dags

    folder = tmp_path_factory.mktemp("empty")
    with sqlite3.connect(folder / "airflow.db") as connection:
        for statement in DID:
            connection.execute(statement)
        for task, found in (("search_scenes", SCENES), ("search_again", [])):
            row = [INGEST, task, json.dumps(found)]
            connection.execute("INSERT INTO xcom VALUES (?, 'r1', ?, -1, 'return_value', ?)", row)
    write_empty_dags(CHECKOUT / "dags", (INGEST,), folder / "airflow.db", folder / "dags")
    return DagBag(dag_folder=str(folder / "dags"), bundle_path=folder / "dags", bundle_name="dags-folder")


def test_tasks_and_what_connects_them_stay(dagbag: Any, empty_dags: Any) -> None:
    assert empty_dags.import_errors == {}
    real, empty = (bag.dags[INGEST] for bag in (dagbag, empty_dags))

    def structure(dag: Any) -> Any:
        return {
            t.task_id: (
                sorted(t.downstream_task_ids),
                t.trigger_rule,
                t.is_mapped,
                t.retries,
                [o.name for o in t.outlets],
            )
            for t in dag.tasks
        }

    assert structure(real) == structure(empty) and type(real.timetable) is type(empty.timetable)


def test_they_end_as_they_did_and_do_nothing(
    empty_dags: Any, dagbag: Any, run_dag: Callable[..., Any], states_of: Any, keys_handed_on: Any,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", f"file://{tmp_path}/store")
    monkeypatch.setitem(dagbag.dags, INGEST, empty_dags.dags[INGEST])
    run = run_dag(INGEST, "2025-08-20")
    states = states_of(run)
    assert states["fetch_scene"] == ["success", "failed"] and states["report_failures"] == ["failed"]
    assert states["write_pixels"] == ["success"] and states["fetch_scene_again"] == ["skipped"]
    assert keys_handed_on(run) == {("plumewatch_pixels", "2025-08-20")}
    assert not (tmp_path / "store").exists()
