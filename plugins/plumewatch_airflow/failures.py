"""Failures in a run: recorded where they happen, reconciled at its end, one digest, a red run.

Airflow calls no callback for a task instance that is killed on its last try, and a run is green when its leaf is; so
every DAG ends with `report_failures`, which asks for the states itself. That one is tried again where it is killed
itself: an alert may come twice, and never not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from plumewatch.errors import ParameterError, QuotaUsedUp, some_of
from plumewatch.failures import FailureBook, not_seen_again, went_through
from plumewatch.gases import CH4, GASES
from plumewatch.hand_offs import finish_hand_offs
from plumewatch.keys import DAY
from plumewatch.models import FailedScene
from plumewatch.observations import note_waiting, waiting_scenes

from plumewatch_airflow.alerts import Digest, run_link
from plumewatch_airflow.assets import keys_between, partition_key, recorded_under
from plumewatch_airflow.channels import AlertNotifier
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.params import DEFAULT_ARGS, gap_days
from plumewatch_airflow.summary import Summary, summarised

KEYS_SHOWN = 5  # in the title of an alert
FAILED_STATES = ("failed", "upstream_failed")

log = logging.getLogger("plumewatch.task")


def failure_book() -> FailureBook:
    """Return the book of failures of this run."""
    context = get_current_context()
    attempts, dag_id = context["ti"].try_number, recorded_under(context["dag"].dag_id)
    return FailureBook(load_settings().storage_root, dag_id, context["run_id"], attempts)


@contextmanager
def failure_recorded(key: str, scene_id: str, stage: str, area: str | None = None) -> Iterator[None]:
    """Record an exception of the block as a failure; a block that goes well heals what an earlier try left.

    A skip is neither, as nothing was looked at, nor is a wait for a service's quota (`quota_awaited`). It stands inside
    `summarised`, which decides whether the task is tried again.
    """
    book = failure_book()
    try:
        yield
        book.settle(key, is_over=went_through(stage, [(area, scene_id)]))
    except (AirflowSkipException, QuotaUsedUp):
        raise
    except Exception as error:
        book.settle(key, [FailedScene.from_exception(error, scene_id=scene_id, stage=stage, area=area)])
        raise


@contextmanager
def quota_awaited(scene: Mapping[str, Any], summary: Summary) -> Iterator[None]:
    """Note that a scene waits where its service's quota is used up, and let its task end well; else forget it.

    A skip would skip the tasks behind it, and so cost all other scenes of the run their pixels. It stands outside
    `failure_recorded`, as nothing has gone through that would heal an earlier failure.
    """
    root, of_scene = load_settings().storage_root, (scene["key"], scene["area"], scene["scene_id"])
    is_waiting = False
    try:
        yield
    except QuotaUsedUp as error:
        is_waiting = True
        log.warning("WAITING %s %s until %s: %s", scene["area"], scene["scene_id"], error.until, error)
        summary.skipped = 1
        summary.notes.append(f"waits until {error.until}")
    finally:
        note_waiting(root, CH4.name, *of_scene, is_waiting=is_waiting)


@task(trigger_rule="all_done")
def report_failures(
    key_format: str,
    scenes: Sequence[dict[str, Any]] | None = None,
    again: Sequence[dict[str, Any]] | None = None,
    mapped_task: str | None = None,
    detected: str | None = None,
    is_of_range: bool = False,
    stages: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Reconcile the states of the run with failed_scenes, send one digest, and turn the run red where anything failed.

    `scenes` are what `mapped_task` was expanded over: dicts with `key`, `scene_id` and `area`; `again` the same of
    `<mapped_task>_again`, for those that were found later. `detected` is the gas that the run detects: what its key was
    handed on for is forgotten where all went well. `is_of_range`: the run looks at some scenes alone, such as those of
    the days that its params ask for, so that what it didn't find isn't over. `stages`: of a task, by its name, those
    whose earlier failures are over only where all of it was done: nothing skipped, neither `start_from` nor `layer`.
    """
    context, book = get_current_context(), failure_book()
    ti, dag_id = context["ti"], context["dag"].dag_id
    mapped = {mapped_task: scenes or [], f"{mapped_task}_again": again or []} if mapped_task else {}
    scenes = [scene for of_task in mapped.values() for scene in of_task]
    with summarised() as summary:
        states = ti.get_task_states(dag_id=dag_id, run_ids=[book.run_id])[book.run_id]
        others = dict(states)
        for name, of_task in mapped.items():
            indices = {each: index for each in states if (index := _map_index(each, name)) is not None}
            reconcile(book, str(mapped_task), of_task, {index: others.pop(each) for each, index in indices.items()})
        of_range = _days_of_range(context) if is_of_range else []
        keys = sorted({partition_key(context, key_format), *(scene["key"] for scene in scenes), *of_range})
        tasks = sorted(name for name, state in others.items() if state == "failed" and name != ti.task_id)
        has_looked = not is_of_range and "success" in states.values()  # one of which all was skipped has at nothing
        if has_looked and not tasks:
            areas = {scene["area"] for scene in scenes if scene["area"]} or None
            alone = [mapped_task] if mapped_task else []
            for name, of_stages in (stages or {}).items():
                instances = {each for each in states if each == name or _map_index(each, name) is not None}
                is_part = any(context["params"].get(name) for name in ("start_from", "layer"))
                if is_part or any(states[each] != "success" for each in instances):
                    alone += of_stages
            for key in keys:
                book.settle(key, is_over=not_seen_again(book.run_id, areas, but_stages=alone))
        failures = [row for key in keys for row in book.open_rows_of_run(key)]
        digest = Digest(dag_id, book.run_id, some_of(keys, KEYS_SHOWN), failures, tasks, run_link(ti))
        summary.read, summary.failed = len(scenes), digest.n_failures + len(tasks)
        if failures or tasks:
            try:
                AlertNotifier(digest).notify(context)
            except Exception as error:  # said by the notifier; tried again, it would reach the other channels twice
                raise AirflowFailException(f"{digest.first_cause}; an alert failed: {type(error).__name__}") from error
            raise AirflowFailException(digest.first_cause)
        if detected:
            finish_hand_offs(book.storage_root, GASES[detected], partition_key(context, key_format))


def _days_of_range(context: Any) -> list[str]:
    """The days that a run's params ask for; none where they ask for none that there are, or have no such question."""
    if "from" not in context["params"]:
        return []
    try:
        first, last = gap_days(context["params"], partition_key(context, DAY))
        return keys_between(str(first), str(last), DAY)
    except ParameterError:
        return []


def reconcile(book: FailureBook, stage: str, scenes: Sequence[dict[str, Any]], states: dict[int, str]) -> None:
    """Heal the rows of scenes that went through; give a row to those whose process died before it could write one.

    One that waits for a quota has ended well, and has not gone through. `states` are those of the mapped task of that
    name, by the position in `scenes`.
    """
    for key in sorted({scene["key"] for scene in scenes}):
        of_key = [(scene, states.get(index)) for index, scene in enumerate(scenes) if scene["key"] == key]
        waiting = waiting_scenes(book.storage_root, CH4.name, key)
        ended = [(scene["area"], scene["scene_id"]) for scene, state in of_key if state == "success"]
        good = [scene for scene in ended if scene not in waiting]
        told = {(row["area"], row["scene_id"]) for row in book.open_rows_of_run(key) if row["stage"] == stage}
        failed = [scene for scene, state in of_key if state in FAILED_STATES]
        silent = [scene for scene in failed if (scene["area"], scene["scene_id"]) not in told]
        book.settle(key, [_died(scene, stage) for scene in silent], went_through(stage, good))


def _died(scene: dict[str, Any], stage: str) -> FailedScene:
    message = "the process ended without a word: killed, or out of memory; trying again may help"
    tries = DEFAULT_ARGS["retries"] + 1
    return FailedScene(
        scene["scene_id"], stage, "ProcessDied", message, area=scene["area"], attempts=tries, is_retryable=True
    )


def _map_index(name: str, mapped_task: str) -> int | None:
    """The index in a name such as fetch_scene_3; None for other tasks."""
    prefix = f"{mapped_task}_"
    if not name.startswith(prefix) or not name[len(prefix) :].isdigit():
        return None
    return int(name[len(prefix) :])
