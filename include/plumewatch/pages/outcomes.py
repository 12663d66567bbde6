"""How what was looked at is spoken of: outcomes, what was seen, limits, and what waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeGuard

from plumewatch.gases import CO2, Gas
from plumewatch.pages.wording import digits_text, time_text
from plumewatch.statuses import (
    FAILED,
    NO_INPUT,
    NO_REFERENCE,
    SEARCH_STAGE,
    SEARCHED,
    SKIPPED_CLOUD,
    SKIPPED_DUPLICATE,
    WAITING_FOR_QUOTA,
)

OUTCOME_TEXTS = {
    SEARCHED: "searched",
    FAILED: "failed",
    WAITING_FOR_QUOTA: "waiting for quota",
    NO_REFERENCE: "no earlier clear date to compare with",
    SKIPPED_CLOUD: "too cloudy",
    SKIPPED_DUPLICATE: "another product of the same acquisition was used",
    NO_INPUT: "no pixels",
}
NOT_LOOKED_AT_TEXT = "not looked at"  # nothing is on record
FAILED_WHY_TEXT = "why is in the table failed_scenes and in the log of the run's last task, report_failures"


def outcome_text(gas: Gas, observation: Mapping[str, Any]) -> str:
    """Return in words what came of looking at an area or orbit.

    >>> from plumewatch.gases import CH4
    >>> outcome_text(CH4, {"outcome": "no_input", "stage": "search"}), outcome_text(CO2, {"outcome": "no_input"})
    ('no scene', 'too few soundings')
    >>> outcome_text(CO2, {"outcome": "no_input", "stage": "search", "missing_setting": "EARTHDATA_TOKEN"})
    'not asked: no EARTHDATA_TOKEN'
    """
    outcome, stage = str(observation.get("outcome")), observation.get("stage")
    if setting := observation.get("missing_setting"):
        return f"not asked: no {setting}"
    if outcome == NO_INPUT and stage == SEARCH_STAGE:
        return "no granules" if gas is CO2 else "no scene"
    if outcome == NO_INPUT and gas is CO2:
        return "too few soundings"
    return OUTCOME_TEXTS.get(outcome, outcome.replace("_", " "))


def sight_text(gas: Gas, observation: Mapping[str, Any]) -> str:
    """Return what an observation says beside its outcome: what was seen, and from which emission on, or where to look.

    >>> from plumewatch.gases import CH4
    >>> sight_text(CH4, {"outcome": "searched", "clear_fraction": 0.78, "detection_limit": 2066.0})
    '78 % of what was seen is clear, detection limit 2,100 kg/h'
    """
    outcome, clear, covered, limit = (
        observation.get(name) for name in ("outcome", "clear_fraction", "covered_fraction", "detection_limit")
    )
    if outcome == FAILED:
        return FAILED_WHY_TEXT
    parts = []
    if _is_number(clear):
        by_catalogue = observation.get("stage") == SEARCH_STAGE
        of_what = "of the scene is clear by the catalogue" if by_catalogue else "of what was seen is clear"
        parts.append(f"{share_text(clear)} {of_what}")
    if _is_number(covered):
        parts.append(f"{share_text(covered)} of the area was seen")
    if outcome == SEARCHED:
        without = "no detection limit" + ("" if _is_number(observation.get("wind_speed_m_s")) else " (no wind)")
        parts.append(f"detection limit {limit_text(gas, limit)}" if _is_number(limit) else without)
    return ", ".join(parts)


def waiting_text(dag_id: str, since_utc: datetime | None) -> str:
    """Return what stands before all else on the map of a key with which its detection hasn't begun; else nothing.

    >>> waiting_text("a_dag", datetime(2025, 8, 20, 1, 2))
    'Detection waits since 2025-08-20 01:02 UTC (what follows is older): if the DAG a_dag is paused, unpause it. '
    """
    if since_utc is None:
        return ""
    since = f"Detection waits since {time_text(since_utc)} (what follows is older)"
    return f"{since}: if the DAG {dag_id} is paused, unpause it. "


def share_text(fraction: float) -> str:
    """Return a share in whole percent; what isn't all or nothing doesn't read so.

    >>> share_text(1.0), share_text(0.9979), share_text(0.779), share_text(0.001)
    ('100 %', 'above 99 %', '78 %', 'below 1 %')
    """
    percent = round(100.0 * fraction)
    if percent == 100 and fraction < 1.0:
        return "above 99 %"
    return "below 1 %" if percent == 0 and fraction > 0.0 else f"{percent} %"


def limit_text(gas: Gas, limit: float) -> str:
    """Return a detection limit in the gas's unit, with two digits.

    >>> from plumewatch.gases import CH4
    >>> limit_text(CH4, 2066.4), limit_text(CH4, 874.4), limit_text(CO2, 3.44)
    ('2,100 kg/h', '870 kg/h', '3.4 kt/h')
    """
    return f"{digits_text(float(f'{limit:.1e}'))} {gas.unit}"


def range_text(values: Iterable[float | None], word: Callable[[float], str]) -> str:
    """Return the least and the largest of the known values, each in words; empty where none is known.

    >>> range_text([0.5, None, 1.0], share_text)
    '50 % to 100 %'
    """
    known = [value for value in values if _is_number(value)]
    return " to ".join(dict.fromkeys(word(end(known)) for end in (min, max))) if known else ""


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
