"""What the trigger and backfill forms offer, and how every task behaves when it fails."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Param

from plumewatch_airflow.summary import log_failure, log_retry, log_summary

TAGS = ["plumewatch"]
CASE_SETS = ["stanford2021", "stanford2022", "stanford2024", "imeo", "varon2021"]
AREAS_FOLDER = Path(__file__).resolve().parents[2] / "include" / "areas"

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


def areas_param() -> Param:
    """A list of areas; those of `include/areas/` are offered, others are typed by name. Empty: all."""
    return Param(
        [],
        type=["array", "null"],
        items={"type": "string"},
        examples=_offered_areas(),
        title="Areas",
        description_md="Fetch only these; empty: all. Areas in `<storage root>/areas/` are typed by name.",
    )


def keep_granules_param() -> Param:
    """Whether downloads outlive their extraction."""
    return Param(
        False,
        type="boolean",
        title="Keep granules",
        description_md="Keep what was downloaded in `granules/` of the storage: a repetition needs no download then.",
    )


def case_params() -> dict[str, Param]:
    """Which published cases a validation is run on, and whether their scenes are fetched."""
    names: dict[str, Any] = {"type": ["array", "null"], "items": {"type": "string"}}
    number: dict[str, Any] = {"type": ["integer", "null"], "minimum": 1}
    return {
        "sets": Param([], **names, examples=CASE_SETS, title="Sets", description_md="Whole campaigns."),
        "cases": Param([], **names, title="Cases", description_md="Ids of cases. Neither sets nor cases: all."),
        "max_cases": Param(None, **number, title="At most", description_md="So many cases, metered releases first."),
        "fetch": Param(True, type="boolean", title="Fetch", description_md="Off: run on what is stored."),
    }


def _offered_areas() -> list[str]:
    """Names of the GeoJSON areas that ship with the bundle; read at every parse, so without geopandas."""
    names = set()
    for file in AREAS_FOLDER.glob("*.geojson"):
        content = json.loads(file.read_text(encoding="utf-8"))
        for feature in content.get("features", [content]):
            names.add((feature.get("properties") or {}).get("name") or file.stem)
    return sorted(names)
