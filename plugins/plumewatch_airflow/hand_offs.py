"""Handing keys on to the detection DAGs so that none is lost: recorded, handed on, and again while they wait."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import get_current_context
from plumewatch.failures import FailureBook
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.hand_offs import record_hand_offs, undetected_keys, waiting_hand_offs

from plumewatch_airflow.assets import PEAKS, PIXELS
from plumewatch_airflow.connections import load_settings

DETECTION = {CH4.name: "methane_detection_and_matching", CO2.name: "co2_detection_and_matching"}
"""The DAG that detects a gas."""
HANDED_ON_BY = {CH4.name: PIXELS, CO2.name: PEAKS}
"""The asset that it waits for."""
GRACE = timedelta(minutes=1)  # the scheduler makes a run of an event within seconds, of many on a busy machine later
SETTLED = timedelta(hours=1)  # the longest that a task takes from writing a table to handing it on, with room
SHOWN = 20

log = logging.getLogger("plumewatch.hand_offs")


def hand_on(gas: Gas, keys: Collection[str], outlet_events: Any, methods: Collection[str] = ()) -> list[str]:
    """Hand keys on to the detection of a gas at the end of this task, with those that wait for it; return them all."""
    root, dag_id = load_settings().storage_root, get_current_context()["dag"].dag_id
    record_hand_offs(root, gas, keys, dag_id, methods)
    overdue = overdue_keys(gas)
    record_hand_offs(root, gas, overdue, dag_id)
    handed_on = sorted({*keys, *overdue})
    outlet_events[HANDED_ON_BY[gas.name]].add_partitions(handed_on)
    return handed_on


def overdue_keys(gas: Gas) -> list[str]:
    """Return the keys whose event was lost: they wait for a detection that isn't paused and has nothing to do.

    A warning names them, or, while the detection is paused, what waits for it.
    """
    latest = {hand_off.key: hand_off.at for hand_off in waiting_hand_offs(load_settings().storage_root, gas)}
    dag_id = DETECTION[gas.name]
    if not latest:
        return []
    if get_current_context()["ti"].get_dag(dag_id).is_paused:
        log.warning("%s is paused; once it is unpaused, these are detected: %s", dag_id, _some(latest))
        return []
    overdue = [key for key, at in latest.items() if at < datetime.now(UTC) - GRACE]
    if not overdue or _has_work(gas):
        return []
    log.warning("%s has had no run of these, they are handed on again: %s", dag_id, _some(overdue))
    return overdue


def undetected(gas: Gas) -> list[str]:
    """Return the keys that are stored, were never detected as they are, and don't wait: they came in another way.

    Not those whose detection has open failures, and none while the detection has something to do.
    """
    root = load_settings().storage_root
    if _has_work(gas):
        return []
    waiting = {hand_off.key for hand_off in waiting_hand_offs(root, gas)}
    book = FailureBook(root, DETECTION[gas.name], get_current_context()["run_id"])
    keys = [key for key in undetected_keys(root, gas, SETTLED) if key not in waiting and not book.open_rows(key)]
    if keys:
        log.warning("stored, and never detected as they are: %s", _some(keys))
    return keys


def _has_work(gas: Gas) -> bool:
    return get_current_context()["ti"].get_dr_count(DETECTION[gas.name], states=["queued", "running"]) > 0


def _some(keys: Collection[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{', '.join(list(keys)[:SHOWN])}{more}"
