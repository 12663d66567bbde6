"""The assets that pass from one DAG to the next, the timetables, and the partition key of a run."""

from __future__ import annotations

from datetime import UTC, date
from typing import Any

from airflow.sdk import Asset, CronPartitionTimetable, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowFailException
from plumewatch.errors import ParameterError
from plumewatch.keys import AS_WRITTEN, DAY, MONTH, days_between, is_key

# An Airflow may run other bundles too, and of two assets of one name it leaves one inactive: the names are ours alone.
PIXELS = Asset(name="plumewatch_pixels", uri="plumewatch://pixels", group="plumewatch")
"""Pixel tables of a day; partition key YYYY-MM-DD."""
PEAKS = Asset(name="plumewatch_peaks", uri="plumewatch://peaks", group="plumewatch")
"""CO2 peaks of a month; partition key YYYY-MM."""
SOURCES = Asset(name="plumewatch_sources", uri="plumewatch://sources", group="plumewatch")
"""Inventories as tables of sources; not partitioned by time."""

# Midnight crons, offset by one: so a backfill's last day is included, and a day that was run by key isn't run again.
DAILY = CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format=DAY)
MONTHLY = CronPartitionTimetable("0 0 1 * *", timezone="UTC", run_offset=-1, key_format=MONTH)
# A bare cron would follow core.default_timezone.
HALF_HOURLY = CronTriggerTimetable("*/30 * * * *", timezone="UTC")
WEEKLY = CronTriggerTimetable("0 5 * * 1", timezone="UTC")
SIX_HOURLY = CronTriggerTimetable("0 3-21/6 * * *", timezone="UTC")
MORNING = CronTriggerTimetable("0 7 * * *", timezone="UTC")
YEARLY = CronTriggerTimetable("0 0 1 2 *", timezone="UTC")

RECORDED_UNDER = {"sentinel2_gap_fill": "sentinel2_daily_ingest"}
"""DAGs that do again what another one does, and so settle its rows: a scene that failed has one row, whoever tried."""


def partition_key(context: Any, key_format: str) -> str:
    """Return the key of the run; without one the day or month (UTC) of its logical date, else of its start.

    A malformed one fails for good.
    """
    run = context["dag_run"]
    at = getattr(run, "logical_date", None) or run.run_after
    key = context.get("partition_key") or at.astimezone(UTC).strftime(key_format)
    if not is_key(key, key_format):
        raise AirflowFailException(f"partition key {key!r}; allowed: {AS_WRITTEN[key_format]}")
    return key


def keys_between(first: str, last: str, key_format: str) -> list[str]:
    """Return the days or months from `first` to `last` (YYYY-MM-DD), both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    if end < start:
        raise ParameterError(f"from {first} to {last}; allowed: a first day that isn't after the last one")
    days = map(date.fromisoformat, days_between(start, end))
    return list(dict.fromkeys(day.strftime(key_format) for day in days))


def recorded_under(dag_id: str) -> str:
    """Return under whose name a DAG's failures are recorded."""
    return RECORDED_UNDER.get(dag_id, dag_id)
