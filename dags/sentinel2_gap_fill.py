"""# Sentinel-2: what is missing

Looks in the catalogues for what should be there of some days, writes down what is missing and why, and fetches just
that, as the daily ingest does: after a pause, an outage, a service that was down, a quota that was used up.

* **Schedule**: each Monday 05:00 UTC, for the 30 days up to yesterday and the days of the last year of which scenes
  wait for a quota; by hand with `from`, `to` and `areas`.
* **Reads**: areas, their STAC catalogues, what is stored (`scenes`, `pixels`), observed and recorded as failed, wind.
* **Writes**: `scene_gaps`; for what is missing `scenes`, `pixels`, `wind`, `observations`, `failed_scenes`, `maps` of
  days without scenes. Hands on the asset `plumewatch_pixels` for each day that it changes.

Unpausing it fetches nothing old: days before the first that the ingest looked at in an area are reported
(`not_searched`) and not fetched, unless `from` or `to` ask for them.

A scene that failed for good isn't fetched again until its cause is mended: then trigger `sentinel2_daily_ingest` with
its day. What fails anew is a row of `failed_scenes` under the name of the ingest, and the run is red.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from airflow.sdk import conf, dag, get_current_context, task
from plumewatch.gases import CH4
from plumewatch.keys import DAY
from plumewatch_airflow.assets import WEEKLY, partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.detection import maps_drawn
from plumewatch_airflow.failures import failure_book, failure_recorded, report_failures
from plumewatch_airflow.ingest import fetch_scene, fetch_wind, write_pixels
from plumewatch_airflow.missing import skip_without
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc, gap_days, gap_params, typed
from plumewatch_airflow.summary import log_summary, note, summarised


@task.short_circuit
def find_gaps() -> list[dict[str, Any]]:
    """Search, write down what is missing, and return what of it is to be fetched; where nothing is, the run ends."""
    from plumewatch.sentinel2.completeness.gap_report import report_gaps

    context, settings = get_current_context(), load_settings()
    params, key = context["params"], partition_key(context, DAY)
    with summarised() as summary:
        first, last = gap_days(params, key)
        with maps_drawn(CH4) as maps, failure_recorded(key, "search", "find_gaps"):
            is_asked = bool(params["from"] or params["to"])
            report = report_gaps(
                settings, first, last, typed(params["areas"]), failure_book(), key, are_days_asked_for=is_asked
            )
            maps |= report.days_without_scenes
            due = report.due[: conf.getint("core", "max_map_length")]  # Airflow maps a task over no more
            summary.read, summary.written, summary.failed = len(report.found.scenes), len(due), len(report.told)
            summary.skipped, summary.path = len(report.gaps) - len(due), settings.table_root("scene_gaps")
            if left := len(report.due) - len(due):
                note(f"{left} left to the next run")
            report.raise_if_only_failed()
            skip_without("areas", key, report.found.no_areas)
    if not due:
        log_summary(context)  # a task that ends its run has no post_execute
    return [asdict(scene) for scene in due]


@task(trigger_rule="all_done")
def close_gaps(scenes: list[dict[str, Any]] | None) -> None:
    """Mark in the report what has been filled, and name what is still missing."""
    from plumewatch.observations import without_waiting
    from plumewatch.sentinel2.completeness.gap_report import close_gaps as close
    from plumewatch.sentinel2.completeness.gap_report import days_of

    settings, keys = load_settings(), {scene["key"] for scene in scenes or ()}
    with summarised() as summary:
        left = close(settings, keys, get_current_context()["run_id"])
        summary.read, summary.path = len(scenes or ()), settings.table_root("scene_gaps")
        summary.failed = sum(row["is_due"] for row in without_waiting(settings.storage_root, CH4.name, left))
        if left:
            note(f"still missing: {days_of(left)}")


@dag(
    schedule=WEEKLY,
    params=gap_params(),
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, "methane"],
    max_active_runs=1,
    **doc(__doc__),
)
def sentinel2_gap_fill() -> None:
    """Look what is missing, fetch that, wind, pixels, look again, report."""
    scenes = cast(Any, find_gaps())
    fetched = fetch_scene.expand(scene=scenes)
    reported = report_failures(DAY, scenes=scenes, mapped_task="fetch_scene", is_of_range=True)
    [fetched, fetch_wind(scenes)] >> write_pixels(scenes, are_all_of_day=False) >> close_gaps(scenes) >> reported


sentinel2_gap_fill()
