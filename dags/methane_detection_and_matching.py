"""# Methane: plumes, rates, sources, map

When the pixels of a day arrive, plumes are detected against earlier clear dates of the same area, their rates are
estimated from the wind, their likely sources named from the inventories, and the day is drawn as a map.

* **Schedule**: on the asset `plumewatch_pixels`, same key; so a day runs again whenever it, or an earlier day that it
  refers to, has changed. Airflow refuses backfills here: backfill `sentinel2_daily_ingest`, or run `redetect`.
* **A day by hand**: trigger with the key YYYY-MM-DD (form: Advanced Options, Partition Key), and `methods` to compare
  with. What isn't stored yet: trigger `sentinel2_daily_ingest`.
* **Reads**: `pixels`, `wind`, `sources`, `reviews`, `reported_plumes`.
* **Writes**: `plumes`, `plume_details`, `anomalies`, `matches`, `source_passes`, `source_estimates`,
  `source_candidates`, `observations`, `maps`, the pages in `evidence/`, `failed_scenes`.
"""

from __future__ import annotations

from airflow.sdk import PartitionedAssetTimetable, dag, get_current_context
from plumewatch.gases import CH4
from plumewatch.hand_offs import begin_hand_offs
from plumewatch.keys import DAY
from plumewatch_airflow.assets import PIXELS, partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.detection import estimate_sources, match_sources, write_observations_and_map
from plumewatch_airflow.emr import spark_task
from plumewatch_airflow.failures import report_failures
from plumewatch_airflow.methane import make_plumes
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc, methods_param
from plumewatch_airflow.summary import summarised


@spark_task
def detect_plumes() -> None:
    """Detect the plumes of all areas of the day, by the default method and by those that are asked for."""
    context, settings = get_current_context(), load_settings()
    key = partition_key(context, DAY)
    with summarised() as summary:
        summary.path = settings.table_root("plumes")
        asked = [*begin_hand_offs(settings.storage_root, CH4, key), *(context["params"]["methods"] or [])]
        for method in dict.fromkeys(asked):
            anomalies = settings.table_root("anomalies")  # the pages of scenes show them beside every method
            summary.add(make_plumes(key, date=key, method=method, anomalies_path=anomalies))


@dag(
    schedule=PartitionedAssetTimetable(assets=PIXELS),
    params={"methods": methods_param(CH4, "To run beside the default one, multi_pass, whose plumes are mapped.")},
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, "methane"],
    max_active_runs=1,  # two runs of one key must not overtake each other
    **doc(__doc__),
)
def methane_detection_and_matching() -> None:
    """Detect, match, estimate, draw, report."""
    (
        detect_plumes()
        >> match_sources(CH4.name)
        >> estimate_sources(CH4.name)
        >> write_observations_and_map(CH4.name)
        >> report_failures(DAY, detected=CH4.name)
    )


methane_detection_and_matching()
