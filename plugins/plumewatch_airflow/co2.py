"""The Spark jobs of CO2 as DAGs run them: granules to soundings, soundings to peaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from plumewatch.gases import CO2
from plumewatch.jobs import JobResult
from plumewatch.progress import followed
from plumewatch.tables import PEAKS, SOUNDINGS, WIND

from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.spark import run_spark_job


def make_soundings(key: str, granules_path: str, keep_stored: Sequence[str]) -> JobResult:
    """Turn granules into the soundings of a month; what is stored of the granules `keep_stored` stays."""
    return run_spark_job(
        "granules_to_soundings",
        key=key,
        granules_path=granules_path,
        soundings_path=load_settings().table_root(SOUNDINGS.name),
        keep_stored=keep_stored or None,
    )


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
    for month in followed(list(months), "peaks", "months"):
        total += run_spark_job("detect_co2_peaks", key=key, month=month, **paths | options)
    return total
