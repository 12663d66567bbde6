"""# Silence

Tells the alert channels where nothing comes any more, once, until it has healed.

* **Schedule**: 07:00 UTC, after the night's ingest.
* **Told**: an area without a clear scene in `PLUMEWATCH_SILENT_DAYS` days, with what came of those that there were; a
  month whose soundings are due and that has none; a DAG with runs of which none has ended for a day, as of a backfill
  that is stuck.
  Of an ingest that is paused nothing is expected.
* **Reads**: `observations`, areas, how many runs wait.
* **Writes**: nothing.
"""

from __future__ import annotations

from airflow.sdk import dag, task
from plumewatch.keys import DAY
from plumewatch_airflow.assets import MORNING
from plumewatch_airflow.failures import report_failures
from plumewatch_airflow.hand_offs import count_ended, count_unended, is_paused
from plumewatch_airflow.news import tell_silence
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc
from plumewatch_airflow.summary import summarised


@task
def listen() -> None:
    """Look for places and runs of which nothing has come for too long."""
    with summarised() as summary:
        summary.read = tell_silence(is_paused, count_unended, count_ended)


@dag(schedule=MORNING, default_args=DEFAULT_ARGS, tags=TAGS, max_active_runs=1, **doc(__doc__))
def silence() -> None:
    """Listen, report."""
    listen() >> report_failures(DAY)


silence()
