"""# Models learnt from inventories

Learns how much the source of a CO2 peak emits, from stored peaks of known sources, and which windows of soundings hold
a peak, where inventories are complete; judges both where they haven't learnt, and stores them with cards.

* **Schedule**: by hand, when months of peaks have come in; `known` is the inventory that emissions are learnt from.
* **Reads**: `peaks`, `soundings`, `sources`, `reviews`.
* **Writes**: `models`, `failed_scenes`.

Nothing is overwritten: a version is a hash of what it was learnt from. Where a model tells more than the flux alone, or
the scan alone, by cells of 2 degrees that it hasn't seen, detections that follow show what it says beside their own on
the pages of sources. Too few peaks with a known emission, or windows, are a skip that says how many there are.
"""

from __future__ import annotations

import logging

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.keys import MONTH
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.failures import report_failures
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc
from plumewatch_airflow.summary import summarised

log = logging.getLogger("plumewatch.task")


@task
def train_emission() -> None:
    """Learn the emission of a peak's source from what an inventory lists upwind."""
    from plumewatch.learning.emission_model import NothingToLearnFrom
    from plumewatch.learning.training import train_emission as train

    settings, known = load_settings(), get_current_context()["params"]["known"]
    with summarised() as summary:
        try:
            summary.path, lines = train(settings.storage_root, known)
        except NothingToLearnFrom as error:
            raise AirflowSkipException(f"nothing is learnt: {error}") from error
        for line in lines:
            log.info("%s", line)
        summary.written = 1


@task
def train_windows() -> None:
    """Learn which windows of soundings hold a peak, where inventories are complete."""
    from plumewatch.learning.emission_model import NothingToLearnFrom
    from plumewatch.learning.window_training import train_peak_windows as train

    settings = load_settings()
    with summarised() as summary:
        try:
            summary.path, lines = train(settings.storage_root)
        except NothingToLearnFrom as error:
            raise AirflowSkipException(f"nothing is learnt: {error}") from error
        for line in lines:
            log.info("%s", line)
        summary.written = 1


KNOWN = Param(
    "coco2",
    type="string",
    title="Learn emissions from",
    description_md="An inventory of the table `sources`: what it lists upwind of a peak is taken for known.",
)


@dag(params={"known": KNOWN}, default_args=DEFAULT_ARGS, tags=[*TAGS, "co2"], max_active_runs=1, **doc(__doc__))
def source_model_training() -> None:
    """Learn, report."""
    [train_emission(), train_windows()] >> report_failures(MONTH)


source_model_training()
