"""Published cases by their ids, and rows of a pass and its plumes to compare them with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import shapely
from plumewatch.methane.cases.published import (
    PublishedCase,
    read_cases,
)

EHRENBERG, KORPEZHE = "ehrenberg_20211019T181359", "korpezhe_20231031T071029"
AT = datetime(2021, 10, 19, 18, 14, tzinfo=UTC)


def case_of(case_id: str) -> PublishedCase:
    [case] = [case for case in read_cases() if case.case_id == case_id]
    return case


def observation(outcome: str = "searched", **values: Any) -> dict[str, Any]:
    return {
        "outcome": outcome, "scene_id": "S2B_11SQT", "observed_at_utc": AT, "clear_fraction": 0.9,
        "wind_speed_m_s": 3.0, "detection_limit": 1100.0,
    } | values  # fmt: skip


def plume(case: PublishedCase, east_m: float = 0.0, **values: Any) -> dict[str, Any]:
    longitude = case.longitude + east_m / 92_600.0  # metres of a degree at 33.6 north
    return {
        "plume_id": f"plume-{east_m:g}", "status": "accepted", "probability": 0.9, "longitude": longitude,
        "latitude": case.latitude, "emission_kg_h": 6000.0, "emission_kg_h_low": 4000.0, "emission_kg_h_high": 9000.0,
        "emission_status": "ok", "geometry": shapely.to_wkb(shapely.Point(longitude, case.latitude).buffer(1e-3)),
        "observed_at_utc": AT,
    } | values  # fmt: skip
