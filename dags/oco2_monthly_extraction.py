"""# OCO-2: each month

Lite granules of the month become soundings, soundings along each orbit become CO2 peaks with their emission.

* **Schedule**: the first of each month, midnight UTC, for the month that has just ended; granules that come later land
  in their own month when the key runs again.
* **Reads**: granules (`PLUMEWATCH_GRANULES`), `wind` where it is stored.
* **Writes**: `soundings`, `peaks`, `peak_details`, `observations`, `failed_scenes`. Hands on the asset `peaks` for the
  month, and for a neighbouring month that shares an orbit with it.
* **A month**: trigger with the key YYYY-MM. **A range**: backfill from the first of a month.

A granule that cannot be read is a row of `failed_scenes`; the others go on, and the run is red at its end.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from plumewatch_airflow.assets import MONTH, MONTHLY, PEAKS, partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.failed_scenes import failure_recorded, report_failures
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS
from plumewatch_airflow.spark import run_spark_job
from plumewatch_airflow.summary import log_summary, summarised


@task.short_circuit
def list_granules() -> list[dict[str, Any]]:
    """List the newest granule of each day; a month without granules ends here, recorded."""
    from plumewatch.oco2.ingest import list_month, record_listing

    context, settings = get_current_context(), load_settings()
    key = partition_key(context, MONTH)
    with summarised() as summary, failure_recorded(key, "list", "list_granules"):
        found = list_month(settings, key)
        record_listing(settings, context["dag"].dag_id, context["run_id"], key, found)
        summary.read, summary.written, summary.skipped = found.n_files, len(found.granules), found.n_superseded
        summary.failed = len(found.refused)
        if found.refused and not found.granules:
            raise AirflowFailException(f"no granule can be used: {found.refused[0].message}")
        summary.path = settings.granules
    if not found.granules:
        log_summary(context)  # a task that ends its run has no post_execute
    return [{"key": key, "area": None, "scene_id": granule.name, "path": granule.path} for granule in found.granules]


@task(map_index_template="{{ granule_label }}", max_active_tis_per_dagrun=4)
def fetch_granule(scene: dict[str, Any]) -> None:
    """Check one granule and stage it for the extraction."""
    from plumewatch.oco2.ingest import stage_granule

    get_current_context()["granule_label"] = scene["scene_id"]
    with summarised() as summary, failure_recorded(scene["key"], scene["scene_id"], "fetch_granule"):
        summary.read = 1
        summary.path = stage_granule(load_settings(), scene["key"], scene["path"])
        summary.written = 1


@task(trigger_rule="all_done_min_one_success")
def extract_soundings(granules: list[dict[str, Any]]) -> None:
    """Turn the staged granules into the soundings of the month."""
    from plumewatch.oco2.ingest import has_staged, staging_folder

    settings, key = load_settings(), granules[0]["key"]
    with summarised() as summary:
        if not has_staged(settings, key):
            raise AirflowSkipException("no granule is staged: all failed, or a cleared run needs fetch_granule again")
        staged = staging_folder(settings, key)
        summary.path = settings.table_root("soundings")
        result = run_spark_job("granules_to_soundings", key=key, granules_path=staged, soundings_path=summary.path)
        summary.read, summary.written, summary.failed = result.rows_read, result.rows_written, result.failed


@task(outlets=[PEAKS])
def detect_peaks(granules: list[dict[str, Any]], outlet_events: Any = None) -> None:
    """Scan each orbit for peaks: of the month, and of its neighbours where an orbit reaches over the month's end."""
    from plumewatch.oco2.ingest import unstage
    from plumewatch.oco2.soundings import months_touched

    settings, key = load_settings(), granules[0]["key"]
    with summarised() as summary:
        months = months_touched(settings.table_root("soundings"), key)
        summary.path = settings.table_root("peaks")
        for month in months:
            result = run_spark_job(
                "detect_co2_peaks",
                key=key,  # failures of a neighbouring month are reported with this run
                soundings_path=settings.table_root("soundings"),
                peaks_path=summary.path,
                details_path=settings.table_root("peak_details"),
                wind_path=settings.table_root("wind"),
                month=month,
            )
            summary.read += result.rows_read
            summary.written += result.rows_written
            summary.failed += result.failed
        unstage(settings, key)
        outlet_events[PEAKS].add_partitions(months)


@dag(schedule=MONTHLY, default_args=DEFAULT_ARGS, tags=[*TAGS, "co2"], max_active_runs=1, doc_md=__doc__)
def oco2_monthly_extraction() -> None:
    """List, fetch each granule, extract, detect, report."""
    granules = list_granules()
    fetched = fetch_granule.expand(scene=granules)
    soundings = extract_soundings(granules)
    (
        fetched
        >> soundings
        >> detect_peaks(granules)
        >> report_failures(MONTH, scenes=granules, mapped_task="fetch_granule")
    )


oco2_monthly_extraction()
