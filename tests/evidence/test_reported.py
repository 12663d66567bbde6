"""What others saw beside what we looked at: seen, not seen though the limit was lower, not looked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from evidence_rows import SEEN
from plumewatch.evidence.reported import compare_reports, reports_at
from plumewatch.gases import CH4, CO2


def report(report_id: str = "r", **row: Any) -> dict[str, Any]:
    return {"report_id": report_id, "provider": "imeo_mars", "gas": "ch4", "observed_at_utc": SEEN, "longitude": 54.2,
            "latitude": 38.5, "emission_kg_h": 2000.0, "emission_sigma_kg_h": None, "platform": "EMIT",
            "sector": "Oil and gas", "licence": "its terms", **row}  # fmt: skip


def looked(days: float, limit: float | None, outcome: str = "searched") -> dict[str, Any]:
    return {"observed_at_utc": SEEN + timedelta(days=days), "outcome": outcome, "detection_limit": limit}


def own(days: float, km: float) -> dict[str, Any]:
    return {"detection_id": "p", "observed_at_utc": SEEN + timedelta(days=days), "longitude": 54.2,
            "latitude": 38.5 + km / 111.2, "emission": 1800.0}  # fmt: skip


@pytest.mark.parametrize(
    ("passes", "detections", "outcome"),
    [
        ([looked(5, 1000)], [own(5, 1.5)], "seen"),
        ([looked(5, 1000)], [own(5, 2.5)], "not seen"),
        ([looked(5, 1000), looked(31, 100)], [own(31, 0)], "not seen"),
        ([looked(5, 3000), looked(6, None)], [], "not seen, limit higher"),
        ([looked(31, 100), looked(5, 100, "skipped_cloud")], [], "not looked"),
        ([], [], "not looked"),
    ],
)
def test_outcomes(passes: list, detections: list, outcome: str) -> None:
    [found] = compare_reports([report(), report("elsewhere")], {"r": passes}, detections, CH4.units_per_kg_h)
    assert (found.outcome, found.report["report_id"]) == (outcome, "r")


def test_limits_of_co2_are_in_its_unit_and_a_report_without_rate_may_be_seen_by_any_pass() -> None:
    for rate, outcome in ((3e6, "not seen"), (1e6, "not seen, limit higher"), (None, "not seen")):
        [found] = compare_reports([report(emission_kg_h=rate)], {"r": [looked(1, 2.0)]}, [], CO2.units_per_kg_h)
        assert (found.outcome, found.lowest_limit) == (outcome, 2.0)


def test_reports_belong_to_places_within_two_kilometres() -> None:
    near = reports_at(
        [54.2, 54.2, -179.99], [38.5, 38.52, 0.0], [report(), report("over 180", longitude=179.999, latitude=0)]
    )
    assert [[r["report_id"] for r in found] for found in near] == [["r"], [], ["over 180"]]
