"""# CO2: sources of the peaks, map

When the peaks of a month arrive, their likely sources are named from the inventories by the wind, and the month is
drawn as a map.

* **Schedule**: on the asset `plumewatch_peaks`, same key. Airflow refuses backfills here: backfill
  `oco2_monthly_extraction`, or run `redetect`.
* **A month by hand**: trigger with the key YYYY-MM (form: Advanced Options, Partition Key).
* **Reads**: `peaks`, `wind`, `sources`.
* **Writes**: `matches`, `observations`, `maps`, `failed_scenes`.
"""

from __future__ import annotations

from airflow.sdk import PartitionedAssetTimetable, dag
from plumewatch.gases import CO2
from plumewatch.keys import MONTH
from plumewatch_airflow.assets import PEAKS
from plumewatch_airflow.detection import match_sources, write_observations_and_map
from plumewatch_airflow.failures import report_failures
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc


@dag(
    schedule=PartitionedAssetTimetable(assets=PEAKS),
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, CO2.name],
    max_active_runs=1,  # two runs of one key must not overtake each other
    **doc(__doc__),
)
def co2_detection_and_matching() -> None:
    """Match, draw, report."""
    match_sources(CO2.name) >> write_observations_and_map(CO2.name) >> report_failures(MONTH, detected=CO2.name)


co2_detection_and_matching()
