"""# Several sensors, one area

What Landsat, Sentinel-2, Sentinel-1 and WorldView show of an area before, during and after an event, on one grid.

* **Schedule**: by hand, with `area` and `event` (and `event_end`, `days_before`, `days_after`, `sensors`, `passes`), or
  with `area` and `item_urls`.
* **Reads**: areas (`include/areas/`, `<storage root>/areas/`), image catalogues.
* **Writes**: `sensor_scenes`, with a side-by-side picture an area, and `failed_scenes`.

Of each sensor the passes are taken that show most of the area through its cloud, one before, one during, one after. A
sensor that has nothing there is no failure. Sentinel-1 with its terrain corrected wants a key of a Planetary Computer
account (`PC_SDK_SUBSCRIPTION_KEY`); without it the product it is made of (GRD) stands in, and says so. A scene that
fails is a row of `failed_scenes`, the others go on; a run that is repeated leaves what is there.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.errors import ParameterError
from plumewatch.keys import DAY
from plumewatch_airflow.assets import partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.failures import failure_book, failure_recorded, report_failures
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc, sensor_params, typed
from plumewatch_airflow.summary import summarised


@task
def search_scenes() -> list[dict[str, Any]]:
    """Ask the catalogues of all sensors, or look at the items that were given."""
    from plumewatch.failures import went_through
    from plumewatch.sensor_scenes.event import event_of
    from plumewatch.sensor_scenes.search import area_named, find_given, search_sensors

    context, settings, book = get_current_context(), load_settings(), failure_book()
    params, key = context["params"], partition_key(context, DAY)
    with summarised() as summary, failure_recorded(key, "search", "search_scenes"):
        event = event_of(*(params[name] for name in ("event", "event_end", "days_before", "days_after")))
        hrefs = typed(params["item_urls"])
        if not params["area"] or (event is None and not hrefs):
            raise ParameterError("no area, or neither event nor item_urls; allowed: an area with one of the two")
        area = area_named(settings, params["area"])
        if hrefs:
            found = find_given(settings, area, hrefs, event)
        else:
            found = search_sensors(settings, area, cast(Any, event), params["sensors"] or (), params["passes"])
        book.settle(key, found.failed, went_through("search", [(area.name, name) for name in found.gone_well]))
        summary.read = len(found.scenes) + len(found.failed)
        summary.written, summary.failed = len(found.scenes), len(found.failed)
        summary.notes += found.notes
    return [{"key": key, **asdict(scene)} for scene in found.scenes]


@task(map_index_template="{{ scene_label }}", max_active_tis_per_dagrun=4)
def fetch_scene(scene: dict[str, Any]) -> None:
    """Put one scene on the grid that all share; one that is there already, whole, is left."""
    from plumewatch.sensor_scenes.fetch import fetch_sensor_scene
    from plumewatch.sensor_scenes.search import WantedScene

    context = get_current_context()
    cast(dict, context)["scene_label"] = f"{scene['sensor']} {scene['scene_id']}"
    key, wanted = scene["key"], {name: value for name, value in scene.items() if name != "key"}
    with summarised() as summary, failure_recorded(key, scene["scene_id"], "fetch_scene", scene["area"]):
        fetched = fetch_sensor_scene(load_settings(), WantedScene(**wanted), context["params"]["resolution_m"])
        summary.path, summary.read, summary.written = fetched.path, 1, 1
        summary.notes += [fetched.note] if fetched.note else []


@task(trigger_rule="all_done")  # of what was stored, though a scene has failed
def draw_picture(scenes: list[dict[str, Any]]) -> None:
    """Set the images of all sensors side by side."""
    from plumewatch.failures import went_through
    from plumewatch.sensor_scenes.fetch import shared_grid
    from plumewatch.sensor_scenes.picture import STAGE
    from plumewatch.sensor_scenes.picture import draw_picture as draw
    from plumewatch.sensor_scenes.search import area_named

    settings, book, cell = load_settings(), failure_book(), get_current_context()["params"]["resolution_m"]
    with summarised() as summary:
        if not scenes:
            raise AirflowSkipException("no scene was found")
        area = area_named(settings, scenes[0]["area"])
        grid = shared_grid(area, cell)
        path, shown, failures = draw(settings.table_root("sensor_scenes"), area.name, grid, scenes)
        book.settle(scenes[0]["key"], failures, went_through(STAGE, [(area.name, name) for name in shown]))
        summary.read, summary.written, summary.failed = len(scenes), int(path is not None), len(failures)
        summary.path = path or "-"
        if path is None:
            raise AirflowSkipException("no scene is stored")


@dag(params=sensor_params(), default_args=DEFAULT_ARGS, tags=TAGS, max_active_runs=1, **doc(__doc__))
def multi_sensor_collection() -> None:
    """Search, fetch each scene, draw, report."""
    scenes: Any = search_scenes()
    fetched = fetch_scene.expand(scene=scenes)
    reported = report_failures(DAY, scenes=scenes, mapped_task="fetch_scene", is_of_range=True)
    fetched >> draw_picture(scenes) >> reported


multi_sensor_collection()
