"""Tasks that order something of Sentinel Hub, and wait for it without a worker.

They are a `spark_task` (emr.py), which is called again from its beginning: what was ordered is remembered below the
storage root (plumewatch.hub_orders), so that it is found again after a kill and a retry too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from plumewatch.errors import ParameterError, QuotaUsedUp
from plumewatch.missing_settings import missing_hub_account

from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.failures import failure_recorded
from plumewatch_airflow.missing import skip_without
from plumewatch_airflow.summary import Summary, summarised

POLL_S = 60.0  # sentinelhub-py asks every 30 s to 120 s

log = logging.getLogger("plumewatch.task")


@contextmanager
def ordering(key: str, order: str) -> Iterator[Summary]:
    """Do what is ordered where the run asks for that order, with its summary and its failure by name; else skip.

    Where the month's units are used up, or there is no account, the task is skipped and says so.
    """
    context = get_current_context()
    params, task_id = context["params"], context["ti"].task_id
    with summarised() as summary:
        if order not in (params["orders"] or ()):
            raise AirflowSkipException(f"{order} isn't ordered")
        skip_without("sentinel_hub", key, missing_hub_account(load_settings()))
        with failure_recorded(key, order, task_id):
            if not params["area"]:
                raise ParameterError("no area; allowed: the name of one")
            with skipped_without_units():
                yield summary


@contextmanager
def skipped_without_units() -> Iterator[None]:
    """Skip the task where the month's units are used up; it says until when."""
    try:
        yield
    except QuotaUsedUp as error:
        raise AirflowSkipException(str(error)) from None


def wait_for_service(what: str) -> NoReturn:
    """Have the task called again in POLL_S; until then no worker is held."""
    log.info("Sentinel Hub is at work: %s; looked at again in %.0f s", what, POLL_S)
    raise TaskDeferred(trigger=TimeDeltaTrigger(timedelta(seconds=POLL_S)), method_name="resume")
