"""The steps that both detection DAGs share: which methods, matching, observations and map."""

from __future__ import annotations

from airflow.sdk import Asset, get_current_context
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch import storage
from plumewatch.observations import write_detection_observations
from plumewatch.tables import TABLES

from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.spark import run_spark_job
from plumewatch_airflow.summary import summarised

COMBINED = "inventory=combined"


def requested_methods(asset: Asset, default: str) -> list[str]:
    """Return the default method and those that the triggering events ask for in their `extra`."""
    events = get_current_context()["triggering_asset_events"].get(asset, [])
    return list(dict.fromkeys([default, *(m for event in events for m in (event.extra or {}).get("methods", []))]))


def run_matching(gas: str, table: str, **period: str) -> None:
    """Match the detections of one period (`date=` or `month=`) with the combined inventory; skips without one."""
    settings = load_settings()
    sources = storage.join(settings.table_root("sources"), COMBINED)
    if not storage.exists(sources):
        raise AirflowSkipException(f"no {sources}: run inventory_refresh, then redetect")
    with summarised() as summary:
        summary.path = settings.table_root("matches")
        result = run_spark_job(
            "match_sources",
            key=next(iter(period.values())),
            detections_path=settings.table_root(table),
            gas=gas,
            sources_path=sources,
            wind_path=settings.table_root("wind"),
            matches_path=summary.path,
            **period,
        )
        summary.add(result)


def write_results(gas: str, table: str, method: str, key: str) -> None:
    """Write the observations that the detection left in its manifests, and the map of the period."""
    from plumewatch.areas import read_areas
    from plumewatch.maps.map_file import write_map

    settings = load_settings()
    period = TABLES[table].partitions[-1]
    with summarised() as summary:
        detections = storage.list_partitions(TABLES[table], settings.table_root(table), {"method": method, period: key})
        summary.read = len(detections)
        summary.written = write_detection_observations(settings.storage_root, gas, key, detections)
        summary.path = write_map(
            gas, key, settings.storage_root, read_areas(*settings.area_folders) if gas == "ch4" else ()
        )
