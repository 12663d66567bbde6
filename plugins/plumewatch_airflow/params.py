"""What the trigger and backfill forms offer, and how every task behaves when it fails."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from airflow.sdk import Param, RetryDecision, RetryPolicy
from plumewatch.area_names import AreaNames, read_area_names
from plumewatch.errors import ParameterError, redact, some_of
from plumewatch.gases import Gas
from plumewatch.keys import AS_WRITTEN, DAY
from plumewatch.settings import Settings
from plumewatch.zonal_names import ALLOWED_STATISTICS, DEFAULT_STATISTICS, INDEX_BANDS

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
REFERENCE_DAYS = 30  # so far back references of a day may be: an older scene changes no day that is detected now
SENSOR_DAYS = 30  # around an event: two or three passes of Landsat
MAX_GAP_DAYS = 366  # of one search
MAX_LISTED = 20  # names in a sentence of a form
HUB_ORDERS = ("image", "tiles", "collection")
NAMES: dict[str, Any] = {"type": ["array", "null"], "items": {"type": "string"}}

RETRY_DELAY, BACKOFF, MAX_RETRY_DELAY = timedelta(seconds=30), 2.0, timedelta(minutes=10)


class JitteredBackoff(RetryPolicy):
    """Waits a random time from the backoff's to twice that, so that what failed together doesn't come back together.

    Airflow's own jitter follows from DAG, task, logical date and try, which all scenes of a mapped task share. It holds
    all the same for a process that was killed, as that decides nothing any more.
    """

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """Decide how long to wait; whether to try again at all is the exception's matter."""
        least_s = RETRY_DELAY.total_seconds() * BACKOFF ** (try_number - 1)
        wait = timedelta(seconds=random.uniform(least_s, 2.0 * least_s))
        return RetryDecision.retry(min(wait, MAX_RETRY_DELAY))


# Retried with backoff: half a minute, a minute; what cannot heal is failed at once (summary.py, spark.py).
DEFAULT_ARGS: dict[str, Any] = {
    "owner": "plumewatch",
    "retries": 2,
    "retry_delay": RETRY_DELAY,
    "retry_exponential_backoff": BACKOFF,
    "max_retry_delay": MAX_RETRY_DELAY,
    "retry_policy": JitteredBackoff(),
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
        "look_back_days": look_back_param(LOOK_BACK_DAYS, "Days in which the newest scene is searched."),
    }


def look_back_param(days: int, told: str) -> Param:
    """How many days back is searched."""
    return Param(days, type="integer", minimum=1, maximum=365, title="Look back", description_md=told)


def areas_param(which: str = WHICH_DAY) -> Param:
    """A list of areas, those offered that a run of the present settings finds; empty: all. `which` tells of the days.

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
    return Param([], **schema, title="Areas", description_md=f"{' '.join(told)}\n\n{which}")


def gap_params() -> dict[str, Param]:
    """In which days gaps are looked for, and in which areas."""
    day: dict[str, Any] = {"type": ["string", "null"], "format": "date"}
    last = f"Last day, included; empty: yesterday. At most {MAX_GAP_DAYS} days at once."
    return {
        "from": Param(None, **day, title="From", description_md=f"First day; empty: {REFERENCE_DAYS} days in all."),
        "to": Param(None, **day, title="To", description_md=last),
        "areas": areas_param("What is missing of them goes into the table `scene_gaps`."),
    }


def gap_days(params: Mapping[str, Any], today: str) -> tuple[date, date]:
    """Return the first and the last day in which gaps are looked for; ParameterError where that is none."""
    last = date.fromisoformat(params["to"]) if params["to"] else date.fromisoformat(today) - timedelta(days=1)
    first = date.fromisoformat(params["from"]) if params["from"] else last - timedelta(days=REFERENCE_DAYS - 1)
    if not 0 <= (last - first).days < MAX_GAP_DAYS:
        raise ParameterError(f"from {first} to {last}; allowed: 1 to {MAX_GAP_DAYS} days, the first one first")
    return first, last


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


def sensor_params() -> dict[str, Param]:
    """Which area and event several sensors are collected for."""
    from plumewatch.sensors.known import SENSORS

    day: dict[str, Any] = {"type": ["string", "null"], "format": "date"}
    names = [sensor.name for sensor in SENSORS]
    cell: dict[str, Any] = {"type": ["number", "null"], "exclusiveMinimum": 0}
    return {
        "area": Param(None, type=["string", "null"], title="Area", description_md="Its name, as in its file."),
        "event": Param(None, **day, title="Event", description_md="Its day, or its first; empty: item_urls say all."),
        "event_end": Param(None, **day, title="Event's end", description_md="Its last day; empty: the same day."),
        "days_before": look_back_param(SENSOR_DAYS, "Days before the event in which scenes are looked for."),
        "days_after": look_back_param(SENSOR_DAYS, "Days after it."),
        "sensors": Param(
            [], **NAMES | {"items": {"type": "string", "enum": names}}, examples=names, title="Sensors",
            description_md="Only these; empty: all.",
        ),
        "passes": Param(1, type="integer", minimum=1, maximum=20, title="Passes", description_md="Each way, a sensor."),
        "item_urls": Param(
            [], **NAMES, title="Item URLs", description_md="STAC items in place of a search, one address a line."
        ),
        "resolution_m": Param(None, **cell, title="Cells", description_md="Metres; empty: those of the area."),
    }  # fmt: skip


def zone_params() -> dict[str, Param]:
    """What is counted in zones."""
    return {
        "index": Param(
            [],
            **NAMES,
            examples=list(INDEX_BANDS),
            title="Indices",
            description_md=f"Indices, or bands as b04; empty: all bands of the scenes.\n\n{WHICH_MONTH}",
        ),
        "statistics": Param(
            list(DEFAULT_STATISTICS), **NAMES, title="Statistics", description_md=f"Allowed: {ALLOWED_STATISTICS}."
        ),
        "engine": Param(
            "spark",
            type="string",
            enum=["spark", "sentinel_hub", "sentinel_hub_batch"],
            title="Engine",
            description_md="`spark` counts stored scenes, `sentinel_hub` has its Statistical API count: an account, no "
            "scenes; `sentinel_hub_batch` all zones of a file at once: a plan that has it, and a bucket.",
        ),
        "start_from": Param(
            None,
            type=["string", "null"],
            title="Start from",
            description_md="`file:zone_id`, the file without its ending; zones and files before it are left as they "
            "are. Where there is one file, the id alone will do.",
        ),
        "layer": Param(
            None,
            type=["string", "null"],
            title="Layer",
            description_md="Of files that have several, `file:layer` of one alone.",
        ),
        "zone_id_column": Param(
            None,
            type=["string", "null"],
            title="Column of ids",
            description_md="Empty: the first of `zone_id`, `id`, `name`; `file:column` of one file alone.",
        ),
        "h3_resolution": Param(
            None,
            type=["integer", "null"],
            minimum=0,
            maximum=15,
            title="Hexagons",
            description_md="Resolution of H3 to count in too: 8 has hexagons of 0.7 km2, 9 of 0.1 km2.",
        ),
    }


def hub_order_params() -> dict[str, Param]:
    """What is ordered of Sentinel Hub."""
    orders = list(HUB_ORDERS)
    day: dict[str, Any] = {"type": ["string", "null"], "format": "date"}
    cell: dict[str, Any] = {"type": ["number", "null"], "exclusiveMinimum": 0}
    return {
        "orders": Param(
            [], **NAMES | {"items": {"type": "string", "enum": orders}}, examples=orders, title="Orders",
            description_md="`image`: the area in one piece. `tiles`: in tiles of a grid. `collection`: its composites.",
        ),
        "area": Param(None, type=["string", "null"], title="Area", description_md="Its name, as in its file."),
        "first_day": Param(None, **day, title="First day", description_md="Of an image, or of tiles."),
        "last_day": Param(None, **day, title="Last day", description_md="Included; empty: the first."),
        "tiling_grid": Param(
            0, type="integer", enum=[0, 1, 2], title="Tiling grid", description_md="0: 20 km, 1: 10 km, 2: 100 km."
        ),
        "resolution_m": Param(None, **cell, title="Cells of tiles", description_md="Metres; empty: those of the area."),
        "collection": Param(
            "plumewatch", type="string", minLength=1, title="Collection", description_md="Its name there."
        ),
        "bucket": Param(
            None, type=["string", "null"], title="Bucket of a collection",
            description_md="As Sentinel Hub calls it, on the Data Space `project:bucket`; empty: the storage's.",
        ),
        "months": Param([], **NAMES, title="Months", description_md="YYYY-MM, one a line; empty: all composites."),
    }  # fmt: skip
