"""# Published cases

Runs the detector on methane emissions that others have published, metered releases first, and sets its result beside
the metered rate and every team's figure.

* **Schedule**: by hand, with `sets` or `cases` to choose from, `max_cases`, and `fetch`.
* **Reads**: the published cases of the library, `pixels`; with `fetch` STAC catalogues and wind.
* **Writes**: `validation` and the page `maps/published_cases.html`; for the cases `scenes`, `pixels`, `wind`, `plumes`,
  `plume_details`, `failed_scenes`.

With `fetch` the scenes of each case, and of the days before for references, go through the steps of the daily ingest
into the same tables, as areas `case_...` of 10 km x 10 km that the daily ingest doesn't know. Without it, or where the
catalogue doesn't answer, the detector runs on any stored area that holds a site on its date; what is missing stands in
the row, and the run is green. Landsat's cases have areas of their own. The list has no CO2 case: `peaks` aren't read.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.keys import DAY
from plumewatch_airflow.assets import partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.emr import spark_task
from plumewatch_airflow.failures import failure_book, failure_recorded, report_failures
from plumewatch_airflow.methane import make_pixels, make_plumes, tell_missing_wind
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, case_params, doc, typed
from plumewatch_airflow.summary import summarised

CASES = "cases"  # XCom: what came of the search, by case


@task
def search_scenes() -> list[dict[str, Any]]:
    """Choose the cases, and ask the catalogue for their scenes unless `fetch` is off."""
    from plumewatch.methane.cases.scenes import search_cases

    context, settings = get_current_context(), load_settings()
    key = partition_key(context, DAY)
    with summarised() as summary, failure_recorded(key, "search", "search_scenes"):
        found = search_cases(settings, **{**context["params"], "cases": typed(context["params"]["cases"])})
        found.record(failure_book(), key)
        summary.read, summary.written, summary.failed = len(found.notes), len(found.scenes), len(found.failed)
    context["ti"].xcom_push(CASES, {case: asdict(note) for case, note in found.notes.items()})
    return [{"key": key, **asdict(scene)} for scene in found.scenes.values()]


def cases_of_run() -> dict[str, Any]:
    """What the search said of each case; nothing where it failed."""
    return get_current_context()["ti"].xcom_pull(task_ids="search_scenes", key=CASES) or {}


@task(map_index_template="{{ scene_label }}", max_active_tis_per_dagrun=4)
def fetch_scene(scene: dict[str, Any]) -> None:
    """Stack one scene on the grid of its site's area; one that is there already, whole, is left."""
    from plumewatch.methane.cases.scenes import fetch_case_scene

    cast(dict, get_current_context())["scene_label"] = f"{scene['area']} {scene['scene_id']}"
    with summarised() as summary, failure_recorded(scene["key"], scene["scene_id"], "fetch_scene", scene["area"]):
        summary.path = fetch_case_scene(load_settings(), scene["area"], scene["item_href"])
        summary.read = summary.written = 1


@task
def fetch_wind(scenes: list[dict[str, Any]]) -> None:
    """Bring the wind of the passes; without a wind source rates stay null, and the log says so."""
    from plumewatch.methane.cases.scenes import fetch_case_wind

    with summarised() as summary:
        tell_missing_wind(partition_key(get_current_context(), DAY))
        summary.written = len(fetch_case_wind(load_settings(), scenes))


@spark_task(trigger_rule="all_done_min_one_success")  # without a wind, or with a scene that failed, the rest goes on
def write_pixels(scenes: list[dict[str, Any]]) -> None:
    """Turn the rasters around the sites into pixel tables."""
    from plumewatch.methane.cases.scenes import write_case_areas

    with summarised() as summary:
        if not scenes:
            raise AirflowSkipException("nothing was fetched: the detector runs on what is stored")
        summary.add(make_pixels(scenes[0]["key"], write_case_areas(load_settings(), [s["area"] for s in scenes])))


@task(trigger_rule="all_done")  # after pixels, whether there are new ones or not
def find_pixels() -> list[str]:
    """List the partitions of pixels that show a case."""
    from plumewatch.methane.cases.validation import partitions_of_cases

    with summarised() as summary:
        found = partitions_of_cases(load_settings().storage_root, list(cases_of_run()))
        summary.read, summary.written = len(cases_of_run()), len(found)
    return found


@spark_task(map_index_template="{{ pixels_label }}", max_active_tis_per_dagrun=1)  # each is a Spark job
def detect_plumes(pixels: str) -> None:
    """Detect the plumes of one area and date, as the daily detection does."""
    context: Any = get_current_context()
    context["pixels_label"] = pixels
    with summarised() as summary:
        summary.add(make_plumes(partition_key(context, DAY), f"pixels/{pixels}"))


@task(trigger_rule="all_done")  # a case without pixels, or whose detection failed, is a row of the table too
def write_validation() -> None:
    """Set our results beside the published ones."""
    from plumewatch.methane.cases.validation import validate_cases

    context, settings = get_current_context(), load_settings()
    failures = failure_book().open_rows_of_run(partition_key(context, DAY))
    with summarised() as summary:
        summary.read = summary.written = len(validate_cases(settings.storage_root, cases_of_run(), failures))
        summary.path = settings.table_root("validation")


@dag(params=case_params(), default_args=DEFAULT_ARGS, tags=[*TAGS, "methane"], max_active_runs=1, **doc(__doc__))
def published_cases_validation() -> None:
    """Search, fetch, wind, pixels, detect each pass, compare, report."""
    scenes: Any = search_scenes()
    stored = find_pixels()
    [fetch_scene.expand(scene=scenes), fetch_wind(scenes)] >> write_pixels(scenes) >> stored
    reported = report_failures(DAY, scenes=scenes, mapped_task="fetch_scene")
    detect_plumes.expand(pixels=stored) >> write_validation() >> reported


published_cases_validation()
