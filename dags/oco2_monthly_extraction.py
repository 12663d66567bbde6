"""# OCO-2: each month

Lite granules of the month become soundings, soundings along each orbit become CO2 peaks with their emission.

* **Schedule**: the first of each month, midnight UTC, for the month just ended; for late granules run its key again.
* **Reads**: granules (`PLUMEWATCH_GRANULES`: NASA's archive by a token, or a folder), wind (`PLUMEWATCH_WIND`).
* **Writes**: `soundings`, `peaks`, `peak_details`, `wind`, `observations`, `failed_scenes`, `maps` of months without
  granules. Hands on the asset `plumewatch_peaks` for the month, and for a neighbour that shares an orbit with it.
* **A month**: trigger with the key YYYY-MM (form: Advanced Options), or a logical date in it. **A range**: backfill.

What cannot be had or read is a row of `failed_scenes` and turns the run red; the rest goes on: stored soundings stay,
peaks without wind take their granule's. Downloads are deleted unless `keep_granules` is set.
"""

from __future__ import annotations

from typing import Any, cast

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.gases import CO2
from plumewatch.keys import MONTH
from plumewatch_airflow.assets import MONTHLY, PEAKS, partition_key
from plumewatch_airflow.co2 import make_peaks, make_soundings
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.detection import draw_maps, maps_drawn
from plumewatch_airflow.emr import spark_task
from plumewatch_airflow.failures import failure_book, failure_recorded, report_failures
from plumewatch_airflow.hand_offs import hand_on
from plumewatch_airflow.missing import skip_without
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc, keep_granules_param
from plumewatch_airflow.summary import log_summary, summarised


@task.short_circuit
def list_granules() -> list[dict[str, Any]]:
    """List the newest granule of each day; a month without granules ends here, recorded."""
    from plumewatch.oco2.granules.staging import list_month, record_listing, record_missing_account

    settings, key = load_settings(), partition_key(get_current_context(), MONTH)
    with summarised() as summary, maps_drawn(CO2) as maps, failure_recorded(key, "list", "list_granules"):
        if missing := record_missing_account(settings, key):
            maps.add(key)
        skip_without("EARTHDATA_TOKEN", key, missing)
        found = list_month(settings, key)
        record_listing(settings, failure_book(), key, found)
        maps |= set() if found.granules else {key}
        summary.read, summary.written, summary.skipped = found.n_files, len(found.granules), found.n_superseded
        summary.failed, summary.path = len(found.refused), settings.granules
        found.raise_if_all_refused()
    if not found.granules:
        log_summary(get_current_context())  # a task that ends its run has no post_execute
    return found.scenes(key)


@task(map_index_template="{{ granule_label }}", max_active_tis_per_dagrun=4)
def fetch_granule(scene: dict[str, Any]) -> None:
    """Check one granule and stage it for the extraction; what comes from the archive is downloaded, resumably."""
    from plumewatch.oco2.granules.staging import stage_granule

    cast(dict, get_current_context())["granule_label"] = scene["scene_id"]
    with summarised() as summary, failure_recorded(scene["key"], scene["scene_id"], "fetch_granule"):
        summary.path = stage_granule(load_settings(), scene["key"], scene["path"], scene["stated"])
        summary.read = summary.written = 1


@spark_task(trigger_rule="all_done_min_one_success")
def extract_soundings(granules: list[dict[str, Any]]) -> str:
    """Turn the staged granules into the soundings of the month, and return the month."""
    from plumewatch.oco2.granules.staging import record_not_staged, staging_folder

    settings, key = load_settings(), granules[0]["key"]
    with summarised() as summary:
        missing = record_not_staged(settings, key, [granule["scene_id"] for granule in granules])
        if len(missing) == len(granules):
            draw_maps(CO2, [key])
            raise AirflowSkipException("no granule is staged: all failed, or a cleared run needs fetch_granule again")
        summary.path = settings.table_root("soundings")
        summary.add(make_soundings(key, staging_folder(settings, key), keep_stored=missing))
    return key


@task
def fetch_wind(key: str) -> None:
    """Find the peaks, and bring the wind around them; without a wind source the granules' own serves."""
    from plumewatch.oco2.granules.soundings import months_touched
    from plumewatch.oco2.orbits.peak_wind import candidates_folder, fetch_peak_wind

    settings = load_settings()
    with summarised() as summary, candidates_folder(settings, key) as peaks:
        summary.path = settings.table_root("wind") if settings.wind else "no wind source: PLUMEWATCH_WIND is empty"
        if settings.wind:
            months = months_touched(settings.table_root("soundings"), key)
            summary.add(make_peaks(key, months, peaks_path=peaks, details_path=None, wind_path=None))
            summary.written, summary.failed = fetch_peak_wind(settings, peaks, months, failure_book(), key)


@spark_task(outlets=[PEAKS], trigger_rule="all_done_min_one_success")  # after soundings, with or without their wind
def detect_peaks(key: str, outlet_events: Any = None) -> None:
    """Scan each orbit for peaks, with the wind that is stored, and hand on the months that this changes."""
    from plumewatch.oco2.granules.soundings import months_touched
    from plumewatch.oco2.granules.staging import unstage

    settings = load_settings()
    with summarised() as summary:
        summary.path = settings.table_root("peaks")
        months = months_touched(settings.table_root("soundings"), key)
        summary.add(make_peaks(key, months))
        if not get_current_context()["params"]["keep_granules"]:
            unstage(settings, key)
        hand_on(CO2, months, outlet_events)


@dag(
    schedule=MONTHLY,
    params={"keep_granules": keep_granules_param()},
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, CO2.name],
    max_active_runs=1,
    **doc(__doc__),
)
def oco2_monthly_extraction() -> None:
    """List, fetch each granule, extract, bring the wind, detect, report."""
    granules: Any = list_granules()
    key: Any = extract_soundings(granules)
    reported = report_failures(MONTH, scenes=granules, mapped_task="fetch_granule")
    fetch_granule.expand(scene=granules) >> key >> fetch_wind(key) >> detect_peaks(key) >> reported


oco2_monthly_extraction()
