"""# Sentinel-2: scenes and wind that come late

Looks for scenes that an area's catalogue got, or changed, after their day was ingested, and has those days ingested
again for those areas: each scene lands in its own day, and every day that it changes is detected again. So it does with
days whose wind wasn't there: once its product has it, their plumes get their rates.

* **Schedule**: 03:00, 09:00, 15:00 and 21:00 UTC, one run at a time. Start it when the daily ingest is unpaused.
* **Reads**: areas, their catalogues (the days of the param `look_back_days`), `scenes`, `observations` and `wind` that
  are stored, and what it saw at the last look (`.late_scenes/`).
* **Writes**: `wind`, `failed_scenes`. Runs `sentinel2_daily_ingest` for each day with something late.

It looks at days that the ingest has looked at: a fresh install fetches nothing old by it. What it saw is remembered
when the runs are there, so that what a failing run has found is found again. A fetch that fails is a failure of the
ingest's run, and is not tried again by this DAG until the item changes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.keys import DAY
from plumewatch_airflow.assets import SIX_HOURLY, partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.failures import failure_book, failure_recorded, report_failures
from plumewatch_airflow.params import DEFAULT_ARGS, REFERENCE_DAYS, TAGS, areas_param, doc, look_back_param, typed
from plumewatch_airflow.summary import note, summarised

INGEST = "sentinel2_daily_ingest"

PARAMS = {
    "areas": areas_param(),
    "look_back_days": look_back_param(REFERENCE_DAYS, "Days in which late scenes are searched."),
}


@task
def search_late() -> list[dict[str, Any]]:
    """Ask the catalogues what they have of days that were ingested, and compare it with what they had."""
    from plumewatch.sentinel2.completeness.late_scenes import keep_found, runs_of, search_late_scenes
    from plumewatch.sentinel2.completeness.late_wind import find_late_wind

    context, settings = get_current_context(), load_settings()
    params, key = context["params"], partition_key(context, DAY)
    with summarised() as summary, failure_recorded(key, "search", "search_late"):
        asked = key, typed(params["areas"]), params["look_back_days"]
        late = search_late_scenes(settings, *asked)
        if came := find_late_wind(settings, *asked, late):
            note(f"wind has come of {', '.join(came)}")
        late.record(failure_book(), key)
        keep_found(settings, late)
        if late.search.no_areas:
            raise AirflowSkipException(late.search.no_areas)
        runs = runs_of(late, datetime.now(UTC))
        summary.read, summary.written, summary.failed = late.n_items, late.n_late, len(late.search.failed)
        summary.path = f"late in {', '.join(sorted(late.days)) or 'no day'}"
    return runs


@task(trigger_rule="none_failed")
def remember() -> None:
    """Remember what was seen, now that the runs for what is late are there."""
    from plumewatch.sentinel2.completeness.late_scenes import FOLDER, remember_found

    settings = load_settings()
    with summarised() as summary:
        summary.written, summary.path = remember_found(settings), settings.table_root(FOLDER)


@dag(
    schedule=SIX_HOURLY,
    params=PARAMS,
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, "methane"],
    max_active_runs=1,
    **doc(__doc__),
)
def sentinel2_late_scenes() -> None:
    """Look, have days ingested again, remember, report."""
    runs = cast(Any, search_late())
    ingest = TriggerDagRunOperator.partial(
        task_id="ingest_again",
        trigger_dag_id=INGEST,
        skip_when_already_exists=True,  # a task that is tried again has made its run already
        doc_md="Run the daily ingest for a day with something late.",
    ).expand_kwargs(runs)
    ingest >> remember() >> report_failures(DAY)


sentinel2_late_scenes()
