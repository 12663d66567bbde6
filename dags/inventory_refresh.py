"""# Inventories

Reads the published inventories of emitters into tables of sources, and combines them so that no emitter counts twice;
reads lists of plumes that others have published, too.

* **Schedule**: each first of February, midnight UTC, when most of the yearly inventories have come out; and by hand.
* **Reads**: inventory files, lists of published plumes (`PLUMEWATCH_INVENTORIES`).
* **Writes**: `sources`, one partition an inventory and `combined`; `reported_plumes`; `failed_scenes`. Hands on the
  asset `plumewatch_sources`.

Each list is read by a task of its own. A file or row that cannot be used is a row of `failed_scenes`; the others
go on, and the run is red at its end. What is set aside on purpose (an older entry of one emitter, an installation
without a place, a grid of another year) and files that aren't read are named in the log and counted as skipped.
Detections that are stored already keep their matches until they are matched again: run `redetect`.
"""

from __future__ import annotations

from typing import cast

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


@task
def find_inventories() -> list[str]:
    """Find which inventories have files, or had some when they were read last."""
    from plumewatch.inventory import refresh

    settings, key = load_settings(), partition_key(get_current_context(), MONTH)
    with summarised() as summary, failure_recorded(key, "inventories", "read_inventories"):
        skip_without("PLUMEWATCH_INVENTORIES", key, missing_inventories(settings))
        summary.path = settings.inventories or "-"
        names, unread = refresh.find_inventories(settings.inventories or "", settings.storage_root)
        summary.read, summary.skipped = len(names), len(unread)
    return names


@task(map_index_template="{{ inventory_name }}", max_active_tis_per_dagrun=2)
def refresh_inventory(name: str) -> None:
    """Read the files of one inventory into its partition."""
    from plumewatch.inventory import refresh

    context, settings = get_current_context(), load_settings()
    cast(dict, context)["inventory_name"] = name
    key = partition_key(context, MONTH)
    with summarised() as summary, failure_recorded(key, name, "read_inventories"):
        summary.path = refresh.partition_of(name, settings.storage_root)
        result = refresh.refresh_inventory(name, settings.inventories or "", settings.storage_root)
        failure_book().settle(key, result.failures)
        summary.read = summary.written = sum(result.rows.values())
        summary.failed, summary.skipped = len(result.failures), sum(result.gone.values()) + len(result.set_aside)


@task(outlets=[SOURCES], trigger_rule="all_done_min_one_success")
def combine_inventories() -> None:
    """Make the one list in which no emitter counts twice, of what the partitions hold now."""
    from plumewatch.inventory import refresh

    settings = load_settings()
    with summarised() as summary:
        summary.path = f"{settings.table_root('sources')}/inventory={COMBINED}"
        summary.written = refresh.refresh_combined(settings.storage_root)


@dag(schedule=YEARLY, default_args=DEFAULT_ARGS, tags=TAGS, max_active_runs=1, **doc(__doc__))
def inventory_refresh() -> None:
    """Find, read each, combine, report."""
    refresh_inventory.expand(name=find_inventories()) >> combine_inventories() >> report_failures(MONTH)


inventory_refresh()
