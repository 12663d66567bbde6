"""# Sentinel-2: each day, each area

Scenes of the day are searched in each area's catalogue, stacked to Cloud-Optimized GeoTIFFs on the area's grid,
screened for cloud and turned into the pixel table, beside the wind of the day. Areas of Landsat go the same way.

* **Schedule**: each midnight UTC, for the day that has just ended: its scenes come in from then on, and what comes
  later lands in its own day when the key runs again.
* **Reads**: areas (`include/areas/`, `<storage root>/areas/`), their STAC catalogues, wind.
* **Writes**: `scenes`, `pixels`, `wind`, `observations`, `failed_scenes`, `maps` of days without pixels. Hands on the
  asset `plumewatch_pixels` for the day, and for each later day whose references it changes.
* **Today**: trigger without a key. **A day**: trigger with the key YYYY-MM-DD (form: Advanced Options), or with that
  logical date. **A range**: backfill. **The newest scene**: the param `newest`; it lands under its own day.

A scene that fails is a row of `failed_scenes`; the others go on, and the run is red at its end.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any, cast

from airflow.sdk import dag, get_current_context, task
from plumewatch.gases import CH4
from plumewatch.keys import DAY
from plumewatch_airflow.assets import DAILY, partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.detection import maps_drawn
from plumewatch_airflow.failures import failure_book, failure_recorded, report_failures
from plumewatch_airflow.ingest import fetch_scene, fetch_wind, write_pixels
from plumewatch_airflow.methane import joined, search_recorded
from plumewatch_airflow.missing import skip_without
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc, ingest_params, typed
from plumewatch_airflow.summary import log_summary, summarised


@task.short_circuit
def search_scenes() -> list[dict[str, Any]]:
    """Ask the catalogues; a day without scenes ends here, recorded."""
    from plumewatch.sentinel2.day_search import areas_to_search, search_as_asked

    context, book = get_current_context(), failure_book()
    params, key = context["params"], partition_key(context, DAY)
    with summarised() as summary, maps_drawn(CH4) as maps, failure_recorded(key, "search", "search_scenes"):
        found = search_as_asked(load_settings(), key, params, areas_to_search(book, key, typed(params["areas"])))
        search_recorded(found, book, summary)
        maps |= set() if found.scenes else {key}
        found.raise_if_all_failed()
        skip_without("areas", key, found.no_areas)
    if not found.scenes:
        log_summary(context)  # a task that ends its run has no post_execute
    return [asdict(scene) for scene in found.scenes]


@task
def search_again() -> list[dict[str, Any]]:
    """Ask again for the areas whose search failed and may heal, while the scenes of the others are fetched."""
    from plumewatch.sentinel2.day_search import PAUSES_S, search_as_asked, search_until_answered, unanswered_areas

    context, book = get_current_context(), failure_book()
    key = partition_key(context, DAY)
    with summarised() as summary:
        search = partial(search_as_asked, load_settings(), key, context["params"])
        found = search_until_answered(search, unanswered_areas(book, key))
        search_recorded(found, replace(book, attempts=1 + len(PAUSES_S)), summary)
    return [asdict(scene) for scene in found.scenes]


@dag(
    schedule=DAILY,
    params=ingest_params(),
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, "methane"],
    max_active_runs=2,
    **doc(__doc__),
)
def sentinel2_daily_ingest() -> None:
    """Search, fetch each scene, also those that are found late, wind, pixels, report."""
    scenes, late = cast(Any, search_scenes()), cast(Any, search_again())
    scenes >> late
    fetched = fetch_scene.expand(scene=scenes)
    fetched_late = fetch_scene.override(task_id="fetch_scene_again").expand(scene=late)
    reported = report_failures(DAY, scenes=scenes, again=late, mapped_task="fetch_scene")
    [fetched, joined(late, fetched_late), fetch_wind(scenes, late)] >> write_pixels(scenes, late) >> reported


sentinel2_daily_ingest()
