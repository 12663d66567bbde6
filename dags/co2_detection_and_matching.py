"""# CO2: sources of the peaks, map

When the peaks of a month arrive, their likely sources are named from the inventories by the wind, and the month is
drawn as a map.

* **Schedule**: on the asset `peaks`, same key. Airflow refuses backfills here: backfill `oco2_monthly_extraction`, or
  run `redetect`.
* **Reads**: `peaks`, `sources`.
* **Writes**: `matches`, `observations`, `maps`, `failed_scenes`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import PartitionedAssetTimetable, dag, get_current_context, task
from plumewatch_airflow.assets import MONTH, PEAKS, partition_key
from plumewatch_airflow.detection import run_matching, write_results
from plumewatch_airflow.failed_scenes import report_failures
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS

GAS, METHOD = "co2", "scan"


@task
def match_sources() -> str:
    """Name the likely sources of the month's peaks."""
    key = partition_key(get_current_context(), MONTH)
    run_matching(GAS, "peaks", month=key)
    return key


@task
def write_observations_and_map(key: str) -> None:
    """Write what was looked at, and draw the month."""
    write_results(GAS, "peaks", METHOD, key)


@dag(
    schedule=PartitionedAssetTimetable(assets=PEAKS),
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, "co2"],
    max_active_runs=1,  # two runs of one key must not overtake each other
    doc_md=__doc__,
)
def co2_detection_and_matching() -> None:
    """Match, draw, report."""
    key: Any = match_sources()
    write_observations_and_map(key) >> report_failures(key)


co2_detection_and_matching()
