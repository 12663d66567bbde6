"""# Zones and composites: each month

Stacked scenes of the month become one picture an area, and statistics of bands and indices over your zones.

* **Schedule**: the first of each month, midnight UTC, for the month just ended; for late scenes run its key again.
* **Reads**: `scenes`, or with `engine` `sentinel_hub` that service's Statistical API (`sentinel_hub_batch`: its batch);
  zones: each GeoPackage, Shapefile or GeoJSON in `<storage root>/zones/`, each of a name of its own (params `layer`,
  `zone_id_column`);
  areas, for what counts as clear.
* **Writes**: `composites`, `zonal_statistics`, `failed_scenes`.
* **A month**: trigger with the key YYYY-MM (form: Advanced Options), or a logical date in it. **A range**: backfill.

A zone's id is its column `zone_id`, `id` or `name`, the first that there is, else the feature's number. A scene or
zone that cannot be used is a row of `failed_scenes` and turns the run red; the rest goes on.
"""

from __future__ import annotations

from typing import Any, cast

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.keys import MONTH
from plumewatch_airflow.assets import MONTHLY, partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.emr import spark_task
from plumewatch_airflow.failures import failure_recorded, report_failures
from plumewatch_airflow.ingest import ZONE_STAGES, count_by_service
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc, zone_params
from plumewatch_airflow.spark import run_spark_job
from plumewatch_airflow.summary import summarised


def _skip_without_scenes(settings: Any) -> str:
    """Return the path of the scenes; a storage without any skips the task."""
    from plumewatch import storage

    path: str = settings.table_root("scenes")
    if not storage.exists(path):
        raise AirflowSkipException(f"no scenes are stored yet: {path}")
    return path


@spark_task
def compose() -> None:
    """Make the month's picture of each area."""
    settings, key = load_settings(), partition_key(get_current_context(), MONTH)
    with summarised() as summary, failure_recorded(key, "composites", "compose"):
        scenes, summary.path = _skip_without_scenes(settings), settings.table_root("composites")
        summary.add(
            run_spark_job(
                "monthly_composites",
                key=key,
                month=key,
                scenes_path=scenes,
                composites_path=summary.path,
                areas_path=list(settings.area_folders),
            )
        )


@task
def list_zones() -> list[dict[str, Any]]:
    """List what is counted: each file of zones, and the hexagons that are asked for, as arguments of the job."""
    from plumewatch.zones.zone_files import list_zone_files, those_from, with_options

    settings, params = load_settings(), get_current_context()["params"]
    with summarised() as summary:
        if params["engine"] == "spark":
            _skip_without_scenes(settings)
        summary.path = settings.table_root("zones")
        found: list[dict[str, Any]] = list_zone_files(summary.path)
        if params["h3_resolution"] is not None and params["engine"] == "spark":
            found.append({"h3_resolution": params["h3_resolution"]})
        if not found:
            raise AirflowSkipException(f"no zones: no files in {summary.path}, and no h3_resolution")
        asked = those_from(with_options(found, params), params["start_from"])
        summary.read, summary.written, summary.skipped = len(found), len(asked), len(found) - len(asked)
    return asked


@spark_task(map_index_template="{{ zones_label }}", max_active_tis_per_dagrun=1)
def count_zones(zones: dict[str, Any]) -> None:
    """Count one file of zones, or the hexagons."""
    from plumewatch.zones.zone_files import require_own_name

    context, settings = get_current_context(), load_settings()
    key, params = partition_key(context, MONTH), context["params"]
    label = str(zones.get("zones_path", f"h3_{zones.get('h3_resolution')}")).rsplit("/", 1)[-1]
    cast(dict, context)["zones_label"] = label
    with summarised() as summary, failure_recorded(key, label, "count_zones"):
        summary.path = settings.table_root("zonal_statistics")
        if "zones_path" in zones:
            require_own_name(zones["zones_path"], zones.get("layer"))
        if params["engine"] != "spark":
            return count_by_service(key, zones, params, summary)
        summary.add(
            run_spark_job(
                "zonal_statistics",
                key=key,
                month=key,
                scenes_path=settings.table_root("scenes"),
                statistics_path=summary.path,
                areas_path=list(settings.area_folders),
                index=params["index"] or None,
                statistics=",".join(params["statistics"]) or None,
                **zones,
            )
        )


@dag(
    schedule=MONTHLY,
    params=zone_params(),
    default_args=DEFAULT_ARGS,
    tags=TAGS,
    max_active_runs=1,
    **doc(__doc__),
)
def zonal_statistics_monthly() -> None:
    """Compose; list, count each; report."""
    counted = count_zones.expand(zones=list_zones())
    [compose(), counted] >> report_failures(MONTH, stages=ZONE_STAGES)


zonal_statistics_monthly()
