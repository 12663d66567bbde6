"""# CO2: sources of the peaks, map

When the peaks of a month arrive, their likely sources are named from the inventories by the wind, and the month is
drawn as a map.

* **Schedule**: on the asset `plumewatch_peaks`, same key. Airflow refuses backfills here: backfill
  `oco2_monthly_extraction`, or run `redetect`.
* **A month by hand**: trigger with the key YYYY-MM (form: Advanced Options, Partition Key), and `methods` to find its
  peaks anew. What isn't stored yet: trigger `oco2_monthly_extraction`.
* **Reads**: `peaks`, `wind`, `sources`, `reviews`, `reported_plumes`, `soundings` (for where each orbit
  looked).
* **Writes**: with `methods`, `peaks` and `peak_details`; `matches`, `source_passes`, `source_estimates`,
  `source_candidates`, `observations`, `maps`, the pages in `evidence/`, `failed_scenes`.
"""

from __future__ import annotations

from airflow.sdk import PartitionedAssetTimetable, dag, get_current_context
from plumewatch.gases import CO2
from plumewatch.hand_offs import begin_hand_offs
from plumewatch.keys import MONTH
from plumewatch_airflow.assets import PEAKS, partition_key
from plumewatch_airflow.co2 import make_peaks
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.detection import estimate_sources, match_sources, write_observations_and_map
from plumewatch_airflow.emr import spark_task
from plumewatch_airflow.failures import report_failures
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc, methods_param
from plumewatch_airflow.summary import summarised


@spark_task
def begin() -> None:
    """Take the month up: it waits for its detection no more; and find its peaks anew by the methods asked for."""
    context, settings = get_current_context(), load_settings()
    key = partition_key(context, MONTH)
    with summarised() as summary:
        begin_hand_offs(settings.storage_root, CO2, key)
        summary.read, summary.path = 1, settings.table_root("peaks")
        for method in dict.fromkeys(context["params"]["methods"] or []):
            summary.add(make_peaks(key, [key], method=method))


@dag(
    schedule=PartitionedAssetTimetable(assets=PEAKS),
    params={"methods": methods_param(CO2, "To find peaks anew by, from the stored soundings. Empty: those stored.")},
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, CO2.name],
    max_active_runs=1,  # two runs of one key must not overtake each other
    **doc(__doc__),
)
def co2_detection_and_matching() -> None:
    """Begin, match, estimate, draw, report."""
    reported = report_failures(MONTH, detected=CO2.name)
    matched = begin() >> match_sources(CO2.name)
    matched >> estimate_sources(CO2.name) >> write_observations_and_map(CO2.name) >> reported


co2_detection_and_matching()
