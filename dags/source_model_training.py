"""# Models learnt from inventories

Learns from the stored CO2 peaks whose source an inventory knows how much the source of a peak emits, judges it where it
hasn't learnt, and stores it with a card that says both.

* **Schedule**: by hand, when months of peaks have come in; `known` is the inventory that emissions are learnt from.
* **Reads**: `peaks`, `sources`, `reviews`.
* **Writes**: `models`, `failed_scenes`.

Nothing is overwritten: a version is a hash of what it was learnt from. Where the model explains more than the flux
alone, by cells of 2 degrees that it hasn't seen, detections that follow show its emission beside their own on the pages
of sources. Too few peaks with a known emission are a skip that says how many there are.
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


KNOWN = Param(
    "coco2",
    type="string",
    title="Learn emissions from",
    description_md="An inventory of the table `sources`: what it lists upwind of a peak is taken for known.",
)


@dag(params={"known": KNOWN}, default_args=DEFAULT_ARGS, tags=[*TAGS, "co2"], max_active_runs=1, **doc(__doc__))
def source_model_training() -> None:
    """Learn, report."""
    train_emission() >> report_failures(MONTH)


source_model_training()
