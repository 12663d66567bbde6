"""# Inventories

Reads the published inventories of emitters into tables of sources, and combines them so that no emitter counts twice.

* **Schedule**: each first of February, midnight UTC, when most of the yearly inventories have come out; and by hand.
* **Reads**: inventory files (`PLUMEWATCH_INVENTORIES`).
* **Writes**: `sources`, one partition an inventory and `combined`; `failed_scenes`. Hands on the asset
  `plumewatch_sources`.

A file or row that cannot be used is a row of `failed_scenes`; the others go on, and the run is red at its end. Of
entries of one emitter in several own lists the newest counts; those, and files that aren't read, are named in the log
and counted as skipped.
Detections that are stored already keep their matches until they are matched again: run `redetect`.
"""

from __future__ import annotations

from airflow.sdk import dag, get_current_context, task
from plumewatch.keys import MONTH
from plumewatch.missing_settings import missing_inventories
from plumewatch.tables import COMBINED
from plumewatch_airflow.assets import SOURCES, YEARLY, partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.failures import failure_book, failure_recorded, report_failures
from plumewatch_airflow.missing import skip_without
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc
from plumewatch_airflow.summary import summarised


@task(outlets=[SOURCES])
def refresh_sources() -> None:
    """Read all inventory files that are there, and combine them."""
    from plumewatch.inventory import refresh

    context, settings = get_current_context(), load_settings()
    key = partition_key(context, MONTH)
    with summarised() as summary, failure_recorded(key, "inventories", "read_inventories"):
        skip_without("PLUMEWATCH_INVENTORIES", key, missing_inventories(settings))
        summary.path = settings.table_root("sources")
        result = refresh.refresh_sources(settings.inventories or "", settings.storage_root)
        failure_book().settle(key, result.failures)
        summary.read, summary.written = sum(result.rows.values()), result.rows[COMBINED]
        summary.failed = len(result.failures)
        summary.skipped = sum(result.gone.values()) + len(result.set_aside) + len(result.unread)


@dag(schedule=YEARLY, default_args=DEFAULT_ARGS, tags=TAGS, max_active_runs=1, **doc(__doc__))
def inventory_refresh() -> None:
    """Refresh, report."""
    refresh_sources() >> report_failures(MONTH)


inventory_refresh()
