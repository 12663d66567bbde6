"""Handing keys on to the detection DAGs so that none is lost: recorded, handed on, and again while they wait."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.api.client import ServerResponseError
from airflow.sdk.exceptions import AirflowRuntimeError
from plumewatch.errors import some_of
from plumewatch.gases import CH4, CO2, DETECTION, Gas
from plumewatch.hand_offs import record_hand_offs, waiting_keys

from plumewatch_airflow.assets import PEAKS, PIXELS
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.detection import draw_maps, map_times
from plumewatch_airflow.summary import note

HANDED_ON_BY = {CH4.name: PIXELS, CO2.name: PEAKS}
"""The asset that it waits for."""
GRACE = timedelta(minutes=1)  # the scheduler makes a run of an event within seconds, of many on a busy machine later
SHOWN, NOTED = 20, 3  # keys that a warning names, and the line that ends a log

log = logging.getLogger("plumewatch.hand_offs")


def hand_on(gas: Gas, keys: Collection[str], outlet_events: Any, methods: Collection[str] = ()) -> list[str]:
    """Hand keys on to the detection of a gas at the end of this task, with those that wait for it; return them all."""
    dag_id = get_current_context()["dag"].dag_id
    record_hand_offs(load_settings().storage_root, gas, keys, dag_id, methods)
    handed_on = sorted({*keys, *overdue_keys(gas)})
    outlet_events[HANDED_ON_BY[gas.name]].add_partitions(handed_on)
    return handed_on


def may_hand_on(gas: Gas) -> bool:
    """Whether there is no need to wait until the detection has done what it is at: it is idle or paused, or none waits.

    Of a run that is queued nobody here knows its key; so who waits may be in the queue, or lost.
    """
    is_at_work = _is_busy(gas) and not is_paused(DETECTION[gas.name])
    overdue = _overdue(waiting_keys(load_settings().storage_root, gas)) if is_at_work else []
    if overdue:
        log.info("%s is at work; what waits until it is idle: %s", DETECTION[gas.name], some_of(overdue, SHOWN))
    return not overdue


def overdue_keys(gas: Gas) -> list[str]:
    """Return the keys whose event was lost: they wait for a detection that isn't paused and has nothing to do.

    A warning names them, or, while the detection is paused, what waits for it; then the task's last line says so too,
    and so do the maps of these keys.
    """
    dag_id = DETECTION[gas.name]
    is_busy = _is_busy(gas)  # asked first: a run that ends now has begun
    latest = waiting_keys(load_settings().storage_root, gas)
    if latest and is_paused(dag_id):
        log.warning("%s is paused; once it is unpaused, these are detected: %s", dag_id, some_of(list(latest), SHOWN))
        note(f"detection of {some_of(list(latest), NOTED)} waits: DAG {dag_id} is paused")
        drawn = map_times(gas)
        draw_maps(gas, [key for key, at in latest.items() if key not in drawn or drawn[key] <= at])
        return []
    overdue = _overdue(latest)
    if not overdue or is_busy:
        return []
    log.warning("%s has had no run of these, they are handed on again: %s", dag_id, some_of(overdue, SHOWN))
    return overdue


def _is_busy(gas: Gas) -> bool:
    return bool(count_unended(DETECTION[gas.name]))


def count_unended(dag_id: str) -> int:
    """Return how many runs of a DAG wait or are at work."""
    return int(get_current_context()["ti"].get_dr_count(dag_id, states=["queued", "running"]))


def count_ended(dag_id: str) -> int:
    """Return how many runs of a DAG have ended."""
    return int(get_current_context()["ti"].get_dr_count(dag_id, states=["success", "failed"]))


def _overdue(waiting: Mapping[str, datetime]) -> list[str]:
    """The keys that wait for longer than a run needs to be made of an event."""
    return [key for key, at in waiting.items() if at < datetime.now(UTC) - GRACE]


def is_paused(dag_id: str) -> bool:
    """Whether a DAG is paused, or not there at all: not parsed yet, or deleted."""
    try:
        return bool(get_current_context()["ti"].get_dag(dag_id).is_paused)
    except (AirflowRuntimeError, ServerResponseError) as error:  # a worker's, and that of dag.test
        if _status_of(error) != HTTPStatus.NOT_FOUND:
            raise
        return True


def _status_of(error: AirflowRuntimeError | ServerResponseError) -> int | None:
    if isinstance(error, ServerResponseError):
        return error.response.status_code
    return (error.error.detail or {}).get("status_code")
