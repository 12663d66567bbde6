"""Failed scenes in a run: recorded where they fail, reconciled at its end, one digest, a red run.

Airflow calls no callback for a task instance that is killed on its last try, and a run is green when its leaf is; so
every DAG ends with `report_failures`, which asks for the states itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
from plumewatch.errors import PlumewatchError
from plumewatch.failed_scenes import heal_older, heal_scenes, read_failed_scenes, record_failed_scenes
from plumewatch.models import FailedScene

from plumewatch_airflow.alerts import Digest, DigestNotifier
from plumewatch_airflow.assets import partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.params import DEFAULT_ARGS
from plumewatch_airflow.summary import summarised

FAILED_STATES = ("failed", "upstream_failed")


@contextmanager
def failure_recorded(key: str, scene_id: str, stage: str, area: str | None = None) -> Iterator[None]:
    """Record an exception of the block as a row of failed_scenes; what cannot heal isn't retried.

    A block that goes well heals the row that an earlier try left.
    """
    try:
        yield
        dag_id = get_current_context()["dag"].dag_id
        heal_scenes(load_settings().storage_root, dag_id, key, [(area, scene_id)], stage)
    except Exception as error:
        context = get_current_context()
        failure = FailedScene.from_exception(
            error, scene_id=scene_id, stage=stage, area=area, attempts=context["ti"].try_number
        )
        root = load_settings().storage_root
        record_failed_scenes(root, context["dag"].dag_id, key, context["run_id"], [failure])
        if isinstance(error, PlumewatchError) and not error.is_retryable:
            raise AirflowFailException(f"{type(error).__name__}: {failure.message}") from error
        raise


@task(trigger_rule="all_done", retries=0)
def report_failures(
    key_format: str, scenes: Sequence[dict[str, Any]] | None = None, mapped_task: str | None = None
) -> None:
    """Reconcile the states of the run with failed_scenes, send one digest, and turn the run red where anything failed.

    `scenes` are what `mapped_task` was expanded over: dicts with `key`, `scene_id` and `area`.
    """
    context = get_current_context()
    ti, run_id, dag_id = context["ti"], context["run_id"], context["dag"].dag_id
    root = load_settings().storage_root
    scenes = scenes or []
    with summarised() as summary:
        states = ti.get_task_states(dag_id=dag_id, run_ids=[run_id])[run_id]
        by_index = {
            _map_index(name, mapped_task): state
            for name, state in states.items()
            if _map_index(name, mapped_task) is not None
        }
        _reconcile(root, dag_id, run_id, mapped_task or "", scenes, by_index)
        keys = sorted({partition_key(context, key_format), *(scene["key"] for scene in scenes)})
        failures = [
            row
            for one in keys
            for row in read_failed_scenes(root, dag_id, one).to_pylist()
            if row["run_id"] == run_id and row["healed_at_utc"] is None
        ]
        tasks = sorted(
            n for n, s in states.items() if s == "failed" and n != ti.task_id and _map_index(n, mapped_task) is None
        )
        summary.read, summary.failed = len(scenes), len(failures) + len(tasks)
        if not tasks:
            areas = {scene["area"] for scene in scenes if scene["area"]} or None
            for one in keys:
                heal_older(root, dag_id, one, run_id, areas, but_stage=mapped_task)
        if failures or tasks:
            digest = Digest(dag_id, run_id, ", ".join(keys), failures, tasks)
            DigestNotifier(digest).notify(context)
            raise AirflowFailException(digest.title)


def _reconcile(
    root: str, dag_id: str, run_id: str, mapped_task: str, scenes: Sequence[dict[str, Any]], states: dict[int, str]
) -> None:
    """Heal the rows of scenes that went through; give a row to those whose process died before it could write one."""
    for key in sorted({scene["key"] for scene in scenes}):
        of_key = [(scene, states.get(index)) for index, scene in enumerate(scenes) if scene["key"] == key]
        heal_scenes(
            root, dag_id, key, [(s["area"], s["scene_id"]) for s, state in of_key if state == "success"], mapped_task
        )
        recorded = {
            (row["area"], row["scene_id"])
            for row in read_failed_scenes(root, dag_id, key).to_pylist()
            if row["run_id"] == run_id and row["stage"] == mapped_task and row["healed_at_utc"] is None
        }
        silent = [s for s, state in of_key if state in FAILED_STATES and (s["area"], s["scene_id"]) not in recorded]
        record_failed_scenes(root, dag_id, key, run_id, [_died(scene, mapped_task) for scene in silent])


def _died(scene: dict[str, Any], stage: str) -> FailedScene:
    message = "the process ended without a word: killed, or out of memory; trying again may help"
    tries = DEFAULT_ARGS["retries"] + 1
    return FailedScene(
        scene["scene_id"], stage, "ProcessDied", message, area=scene["area"], attempts=tries, is_retryable=True
    )


def _map_index(name: str, mapped_task: str | None) -> int | None:
    """The index in a name such as fetch_scene_3; None for other tasks."""
    prefix = f"{mapped_task}_"
    if not mapped_task or not name.startswith(prefix) or not name[len(prefix) :].isdigit():
        return None
    return int(name[len(prefix) :])
