"""# Detections that wait

Looks for days and months that were handed on to detection and with which it has not begun, and hands them on again.
Airflow forgets what arrives for a DAG that is paused, and what was on its way when its database was lost.

* **Schedule**: each half hour, UTC; it is unpaused from the start. While a detection DAG is paused, the log, its
  last line and the maps of what waits for it say so. While it is at work, this waits for its end.
* **Reads**: hand-offs (`.hand_offs/` below the storage root).
* **Writes**: `maps` of what waits. Hands on the assets `plumewatch_pixels` and `plumewatch_peaks` for what waits.

A key whose detection ran and failed isn't tried again: its failure was told, and a new run of the key heals it. Tables
that came in another way, by a Spark job by hand or from another Airflow, are detected by `redetect`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.keys import DAY
from plumewatch_airflow.assets import HALF_HOURLY, PEAKS, PIXELS
from plumewatch_airflow.failures import report_failures
from plumewatch_airflow.hand_offs import hand_on, may_hand_on
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc
from plumewatch_airflow.summary import summarised

# Until the next run begins to look: what waits is handed on within minutes of the detection's last run.
UNTIL_IDLE: dict[str, Any] = {
    "mode": "reschedule", "soft_fail": True, "poke_interval": timedelta(minutes=2), "timeout": timedelta(minutes=27),
}  # fmt: skip


@task.sensor(**UNTIL_IDLE)
def methane_idle() -> bool:
    """Wait while detection is at work and something waits that may be in what it has before it, or lost."""
    return may_hand_on(CH4)


@task.sensor(**UNTIL_IDLE)
def co2_idle() -> bool:
    """The same for the months."""
    return may_hand_on(CO2)


@task(outlets=[PIXELS])
def hand_on_pixels(outlet_events: Any = None) -> None:
    """Hand on the days that wait."""
    _hand_on_again(CH4, outlet_events)


@task(outlets=[PEAKS])
def hand_on_peaks(outlet_events: Any = None) -> None:
    """Hand on the months that wait."""
    _hand_on_again(CO2, outlet_events)


def _hand_on_again(gas: Gas, outlet_events: Any) -> None:
    with summarised() as summary:
        summary.read = summary.written = len(hand_on(gas, [], outlet_events))
        if not summary.written:
            raise AirflowSkipException("nothing waits that could run now")


@dag(
    schedule=HALF_HOURLY,
    default_args=DEFAULT_ARGS,
    tags=TAGS,
    max_active_runs=1,
    is_paused_upon_creation=False,
    **doc(__doc__),
)
def waiting_detections() -> None:
    """Wait until detection has nothing to do, hand on what it knows nothing of, report."""
    pixels, peaks = hand_on_pixels(), hand_on_peaks()
    methane_idle() >> pixels
    co2_idle() >> peaks
    [pixels, peaks] >> report_failures(DAY)


waiting_detections()
