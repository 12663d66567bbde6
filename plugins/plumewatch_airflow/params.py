"""What the trigger and backfill forms offer, and how every task behaves when it fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Param
from plumewatch.area_names import AreaNames, read_area_names
from plumewatch.errors import redact, some_of
from plumewatch.gases import Gas
from plumewatch.keys import AS_WRITTEN, DAY
from plumewatch.settings import Settings

from plumewatch_airflow.summary import log_failure, log_retry, log_summary

TAGS = ["plumewatch"]
CASE_SETS = ["stanford2021", "stanford2022", "stanford2024", "imeo", "varon2021"]
# Airflow's forms draw `code` over the line above it: in texts of several lines there is none.
WHERE_THE_KEY_IS = "under *Advanced Options*, *Partition Key*"
OF_A_RANGE = " (of a backfill: From, To)"
AS_DAY, AS_MONTH = "as 2025-08-24; without one today.", "as 2025-08; without one this month."
WHICH_DAY = f"The day: {WHERE_THE_KEY_IS}{OF_A_RANGE}, {AS_DAY}"
WHICH_MONTH = f"The month: {WHERE_THE_KEY_IS}{OF_A_RANGE}, {AS_MONTH}"
LOOK_BACK_DAYS = 15  # three revisits of one satellite pair
MAX_LISTED = 20  # names in a sentence of a form
NAMES: dict[str, Any] = {"type": ["array", "null"], "items": {"type": "string"}}

# Retried with backoff: half a minute, a minute; what cannot heal is failed at once (summary.py, spark.py).
DEFAULT_ARGS: dict[str, Any] = {
    "owner": "plumewatch",
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "show_return_value_in_logs": False,
    "post_execute": log_summary,
    "on_retry_callback": log_retry,
    "on_failure_callback": log_failure,
}


def doc(text: str | None) -> dict[str, Any]:
    """Return a DAG's docs as arguments of `@dag`: all of it, and its first sentence for the list of DAGs."""
    beginning = (text or "").split("\n\n")[1:2]  # below the headline
    return {"doc_md": text, "description": re.split(r"(?<=\.)\s", " ".join("".join(beginning).split()))[0]}


def ingest_params() -> dict[str, Param]:
    """Which areas are searched, and whether for a day or for their newest scenes."""
    return {
        "areas": areas_param(),
        "newest": Param(
            False,
            type="boolean",
            title="Newest scene",
            description_md="Fetch each area's newest scene instead of a day.",
        ),
        "look_back_days": Param(
            LOOK_BACK_DAYS,
            type="integer",
            minimum=1,
            maximum=365,
            title="Look back",
            description_md="Days in which the newest scene is searched.",
        ),
    }


def areas_param() -> Param:
    """A list of areas, those offered that a run of the present settings finds; empty: all.

    The form has no field to choose from and type into: where not all folders can be listed at once, names are typed.
    """
    told = ["Only these areas; empty: all."]
    try:
        found = read_area_names(*Settings.load().area_folders)
    except Exception as error:  # noqa: BLE001 - the runs fail by it; the DAG is there all the same
        found = AreaNames((), (), ())
        told.append(f"None is offered: {_plain(str(error))}.")
    schema: dict[str, Any] = {**NAMES}
    if found.unlisted:
        known = f"Known are {_listed(found.names)}; beside them those of" if found.names else "Those of"
        told += ["One a line, by name.", f"{known} {_listed(found.unlisted)}, which aren't listed here."]
    else:
        schema["examples"] = list(found.names)
    if found.broken:
        told.append(f"Not read (make check says why): {_listed(found.broken)}.")
    return Param([], **schema, title="Areas", description_md=f"{' '.join(told)}\n\n{WHICH_DAY}")


def methods_param(gas: Gas, told: str) -> Param:
    """Methods of a detection DAG; it has no other field that could say where the key goes."""
    methods = list(gas.methods)
    which, example = ("day", AS_DAY) if gas.key_format == DAY else ("month", AS_MONTH)
    items = {"type": "string", "enum": methods}
    return Param(
        [],
        **NAMES | {"items": items},
        examples=methods,
        title="Methods",
        description_md=f"The {which}: {WHERE_THE_KEY_IS}, {example} Allowed is {AS_WRITTEN[gas.key_format]}; "
        f"another gas has its own DAG.\n\n{told}",
    )


def typed(names: Sequence[str] | None) -> list[str]:
    """Return the names that were chosen, or typed one a line, without the lines that were left blank."""
    return [name.strip() for name in names or () if name.strip()]


def keep_granules_param() -> Param:
    """Whether downloads outlive their extraction."""
    return Param(
        False,
        type="boolean",
        title="Keep granules",
        description_md="Keep what was downloaded in granules/ of the storage: a repetition needs no download then."
        f"\n\n{WHICH_MONTH}",
    )


def case_params() -> dict[str, Param]:
    """Which published cases a validation is run on, and whether their scenes are fetched."""
    number: dict[str, Any] = {"type": ["integer", "null"], "minimum": 1}
    return {
        "sets": Param([], **NAMES, examples=CASE_SETS, title="Sets", description_md="Whole campaigns."),
        "cases": Param(
            [], **NAMES, title="Cases", description_md="Ids of cases, one a line. Neither sets nor cases: all."
        ),
        "max_cases": Param(None, **number, title="At most", description_md="So many cases, metered releases first."),
        "fetch": Param(True, type="boolean", title="Fetch", description_md="Off: run on what is stored."),
    }


def _listed(names: Sequence[str]) -> str:
    return some_of(list(map(_plain, names)), MAX_LISTED)


def _plain(text: str) -> str:
    """A text that is no Markdown, without secrets."""
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", redact(text))
