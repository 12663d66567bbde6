"""The Spark job of CO2 peaks as several DAGs run it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plumewatch.gases import CO2
from plumewatch.jobs import JobResult
from plumewatch.tables import PEAKS, SOUNDINGS, WIND

from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.spark import run_spark_job


def make_peaks(key: str, months: Iterable[str], **options: Any) -> JobResult:
    """Find the peaks of months, with the stored wind; failures are recorded under `key`, the key of the run."""
    settings = load_settings()
    paths = {
        "soundings_path": settings.table_root(SOUNDINGS.name),
        "peaks_path": settings.table_root(PEAKS.name),
        "details_path": settings.table_root(CO2.details),
        "wind_path": settings.table_root(WIND.name),
    }
    total = JobResult(0, 0)
    for month in months:
        total += run_spark_job("detect_co2_peaks", key=key, month=month, **paths | options)
    return total
