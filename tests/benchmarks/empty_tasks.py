"""The DAGs of the bundle with nothing in their tasks, which return at once what they returned in a demonstration.

A copy of each DAG file is made whose last line, the call that makes the DAG, hands it to `emptied`: ids, order, trigger
rules, mapping, schedules, assets and callbacks stay what they are. What a task returned (so as many scenes are mapped),
whether it was skipped or failed, and which keys it handed on is read from the demonstration's database.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

NAME = "did.json"
LAST_CALL = "{dag_id}()\n"

Did = dict[str, Any]
"""By task, key of the run and map index: its state, what it returned, and the keys it handed on."""


def write_empty_dags(dags: Path, dag_ids: tuple[str, ...], database: Path, folder: Path) -> None:
    """Write the DAG files with empty tasks into a folder, and beside each what its tasks did in the demonstration."""
    folder.mkdir(parents=True)
    for dag_id in dag_ids:
        source, call = (dags / f"{dag_id}.py").read_text(encoding="utf-8"), LAST_CALL.format(dag_id=dag_id)
        if not source.endswith(f"\n{call}"):
            raise ValueError(f"{dag_id}.py doesn't end with {call!r}")
        did = folder / f"{dag_id}.{NAME}"
        did.write_text(json.dumps(what_tasks_did(database, dag_id)), encoding="utf-8")
        made = f"emptied({call.strip()}, {str(did)!r})"
        head = source.removesuffix(call)
        (folder / f"{dag_id}.py").write_text(f"{head}from empty_tasks import emptied  # noqa: E402\n\n{made}\n")


def what_tasks_did(database: Path, dag_id: str) -> Did:
    """Return what the tasks of a DAG did, by `task key map_index`."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        keys = dict(connection.execute("SELECT run_id, partition_key FROM dag_run WHERE dag_id = ?", [dag_id]))
        states = connection.execute(
            "SELECT run_id, task_id, map_index, state FROM task_instance WHERE dag_id = ? AND try_number > 0", [dag_id]
        )
        did: Did = {_at(task, keys[run], index): {"state": state} for run, task, index, state in states}
        returned = connection.execute(
            "SELECT run_id, task_id, map_index, value FROM xcom WHERE dag_id = ? AND key = 'return_value'", [dag_id]
        )
        for run, task, index, value in returned:
            did.setdefault(_at(task, keys[run], index), {})["value"] = json.loads(value)
        events = connection.execute(
            "SELECT e.source_run_id, e.source_task_id, a.name, e.partition_key FROM asset_event e "
            "JOIN asset a ON a.id = e.asset_id WHERE e.source_dag_id = ?", [dag_id],
        )  # fmt: skip
        for run, task, asset, key in events:
            if key:
                did[_at(task, keys[run], -1)].setdefault("handed_on", {}).setdefault(asset, []).append(key)
    return did


def _at(task_id: str, key: str | None, map_index: int) -> str:
    return f"{task_id} {key} {map_index}"


def emptied(dag: Any, did: str) -> Any:
    """Return the DAG with nothing in its tasks."""
    for task in dag.tasks:
        if hasattr(task, "python_callable"):
            getattr(task, "partial_kwargs", {}).pop("map_index_template", None)  # the labels come from the bodies
            task.python_callable = _body(task.task_id, Path(did), {outlet.name: outlet for outlet in task.outlets})
    return dag


def _body(task_id: str, did: Path, outlets: dict[str, Any]) -> Callable[..., Any]:
    def nothing(*_: Any, **__: Any) -> Any:
        from airflow.sdk import get_current_context
        from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

        context: Any = get_current_context()
        key, map_index = context.get("partition_key"), getattr(context["ti"], "map_index", -1)
        of_run = json.loads(did.read_text(encoding="utf-8")).get(_at(task_id, key, map_index), {})
        for asset, keys in of_run.get("handed_on", {}).items():
            context["outlet_events"][outlets[asset]].add_partitions(keys)
        if of_run.get("state") == "failed":
            raise AirflowFailException("as in the demonstration")
        if of_run.get("state") == "skipped" and "value" not in of_run:
            raise AirflowSkipException("as in the demonstration")
        return _plain(of_run.get("value"))

    return nothing


def _plain(value: Any) -> Any:
    """What an XCom holds, tuples as lists: it may not be stored as Airflow had written it."""
    if isinstance(value, dict):
        return _plain(value["__data__"]) if "__data__" in value else {k: _plain(v) for k, v in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
