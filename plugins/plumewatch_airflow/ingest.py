"""The tasks that bring scenes in, once for all DAGs that do: fetch, wind, pixels. Science is imported inside them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.gases import CH4
from plumewatch.statuses import STATISTICS_STAGE

from plumewatch_airflow.assets import PIXELS
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.failures import failure_book, failure_recorded, quota_awaited
from plumewatch_airflow.hand_offs import hand_on
from plumewatch_airflow.hub_orders import wait_for_service
from plumewatch_airflow.methane import lost_scenes_told, make_pixels, tell_missing_wind
from plumewatch_airflow.missing import skip_without
from plumewatch_airflow.summary import Summary, summarised

ZONE_STAGES = {"count_zones": ["count_zones", STATISTICS_STAGE]}
"""What the failures of zones are called, by the task that counts them."""


@task(map_index_template="{{ scene_label }}", max_active_tis_per_dagrun=4)
def fetch_scene(scene: dict[str, Any]) -> None:
    """Stack one scene to a COG with its STAC item; one that is there already, whole, is left.

    One that has to wait for its service's quota is left too: its observation says so.
    """
    from plumewatch.sentinel2.ingest import fetch_area_scene

    cast(dict, get_current_context())["scene_label"] = f"{scene['area']} {scene['scene_id']}"
    recorded = failure_recorded(scene["key"], scene["scene_id"], "fetch_scene", scene["area"])
    with summarised() as summary, quota_awaited(scene, summary), recorded:
        item, older, stored = scene["item_href"], scene["older"], scene.get("stored")
        fetched = fetch_area_scene(load_settings(), scene["area"], item, older, stored)
        summary.path, summary.read, summary.written, summary.skipped = fetched.path, 1, fetched.written, fetched.skipped


def count_by_service(key: str, zones: Mapping[str, Any], params: Mapping[str, Any], summary: Summary) -> None:
    """Have Sentinel Hub count a file of zones; where its month is used up the task is skipped and says how to go on.

    What failed until then is recorded. Its batch service is waited for without a worker.
    """
    from plumewatch.missing_settings import missing_hub_account
    from plumewatch.zones.hub_batch import ENGINE, count_by_batch
    from plumewatch.zones.hub_month import count_by_hub

    settings = load_settings()
    skip_without("sentinel_hub", key, missing_hub_account(settings))
    found = (count_by_batch if params.get("engine") == ENGINE else count_by_hub)(
        settings,
        zones["zones_path"],
        key,
        params["index"] or (),
        params["statistics"],
        start_from=zones.get("start_from"),
        layer=zones.get("layer"),
        zone_id_column=zones.get("zone_id_column"),
    )
    if found.waiting:
        wait_for_service(found.waiting)
    failure_book().settle(key, found.failed, found.is_over)
    found.forget()
    summary.read, summary.written, summary.failed, summary.path = found.zones, found.rows, len(found.failed), found.path
    if found.used_up:
        raise AirflowSkipException(str(found.used_up))


@task(trigger_rule="all_done_min_one_success")
def fetch_wind(scenes: list[dict[str, Any]], late: list[dict[str, Any]] | None = None) -> None:
    """Bring the wind around the areas; without a wind source rates stay null, and the log says so."""
    from plumewatch.sentinel2.ingest import fetch_area_wind

    settings = load_settings()
    with summarised() as summary:
        tell_missing_wind(scenes[0]["key"])
        written = fetch_area_wind(settings, {(scene["key"], scene["area"]) for scene in [*scenes, *(late or ())]})
        summary.written, summary.path = len(written), settings.table_root("wind")


@task(trigger_rule="all_done_min_one_success", outlets=[PIXELS])
def write_pixels(
    scenes: list[dict[str, Any]], late: Any = None, are_all_of_day: bool = True, outlet_events: Any = None
) -> None:
    """Turn the rasters of the scenes' days into the pixel table, and hand on every day that this changes.

    Unless `scenes` are all that their areas have on these days, what is known of the others is kept.
    """
    from plumewatch.methane.dates.due import days_to_detect
    from plumewatch.observations import without_waiting
    from plumewatch.progress import followed
    from plumewatch.sentinel2.ingest import index_scenes, record_missing_scenes, settle_scenes

    settings, changed, withdrawn, scenes = load_settings(), set[str](), list[Any](), [*scenes, *(late or ())]
    record = partial(record_missing_scenes, withdrawn=withdrawn, are_all_of_day=are_all_of_day)
    with summarised() as summary:
        summary.path = settings.table_root("pixels")
        with lost_scenes_told(record, scenes, changed, summary):
            withdrawn += settle_scenes(settings, scenes)
            fetched = without_waiting(settings.storage_root, CH4.name, scenes)
            keys = sorted({*(scene["key"] for scene in fetched), *(scene.date for scene in withdrawn)})
            for key in followed(keys, "pixels made", "days"):
                summary.add(make_pixels(key, list(settings.area_folders), date=key))
                changed |= set(days_to_detect(settings.storage_root, key))
            index_scenes(settings, failure_book(), scenes[0]["key"], (scene["area"] for scene in scenes))
        if not fetched:
            raise AirflowSkipException(f"all {len(scenes)} scenes wait for a quota: nothing to hand on")
        if not changed:
            raise AirflowSkipException("no scene could be turned into pixels: nothing to hand on")
        hand_on(CH4, changed, outlet_events)
