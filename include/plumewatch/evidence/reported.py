"""What others saw, set beside what was looked at: evidence apart from our own. Pure.

A report (a row of `reported_plumes`) is evidence for a source at most 2 km from it, and for a detection at most 2 km
and 30 days from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from plumewatch.evidence.rule import evidence_rule
from plumewatch.geodesy import distance_to_chord, unit_vectors
from plumewatch.statuses import SEARCHED

Row = Mapping[str, Any]

SEEN, NOT_SEEN, NOT_SEEN_LIMIT_HIGHER, NOT_LOOKED = "seen", "not seen", "not seen, limit higher", "not looked"
OUTCOMES = {
    SEEN: "a detection of ours lies at most 2 km and 30 days from it",
    NOT_SEEN: "a pass within 30 days could have seen the reported rate, and saw nothing",
    NOT_SEEN_LIMIT_HIGHER: "passes within 30 days saw nothing, but none could have seen the reported rate for sure",
    NOT_LOOKED: "no pass of the place within 30 days was searched",
}
"""What came of a report where we watch."""


@dataclass(frozen=True)
class Compared:
    """A report at a place that is watched, and what our passes within 30 days of it saw."""

    report: Row
    outcome: str
    """One of OUTCOMES."""
    n_passes: int
    """Passes within 30 days that were searched."""
    lowest_limit: float | None
    """The lowest of their detection limits, in the gas's unit."""
    nearest: Row | None
    """The nearest detection of ours in time, where there is one."""


def reports_at(longitude: Sequence[float], latitude: Sequence[float], reports: Sequence[Row]) -> list[list[Row]]:
    """Return for each place the reports at most 2 km from it, earliest first."""
    if not reports or not len(longitude):
        return [[] for _ in longitude]
    tree = cKDTree(unit_vectors(*_places(reports)))
    within = distance_to_chord(evidence_rule().reports.within_km)
    near = tree.query_ball_point(unit_vectors(longitude, latitude), within)
    return [sorted((reports[i] for i in found), key=_when) for found in near]


def is_near_in_time(report: Row, when: Any) -> bool:
    """Whether a report and a time (with its zone) lie at most 30 days apart; without a time they don't."""
    days = timedelta(days=evidence_rule().reports.within_days)
    return when is not None and abs(report["observed_at_utc"] - when) <= days


def compare_reports(
    reports: Sequence[Row], passes: Mapping[str, Sequence[Row]], detections: Sequence[Row], units_per_kg_h: float
) -> list[Compared]:
    """Return what came of each report that has an entry in `passes`, the latest first.

    `passes` are, by `report_id`, observations of the place of a report (rows with `observed_at_utc`, `outcome`,
    `detection_limit`): empty where it is watched and nothing was looked at. `detections` are ours, with place and time.
    A report without a rate could have been seen by any pass with a limit.
    """
    watched = [report for report in reports if report["report_id"] in passes]
    own = _own_detections(watched, detections)
    compared = []
    for report, found in zip(watched, own, strict=True):
        looked = [
            p
            for p in passes[report["report_id"]]
            if p["outcome"] == SEARCHED and is_near_in_time(report, p["observed_at_utc"])
        ]
        limits = [p["detection_limit"] for p in looked if p["detection_limit"] is not None]
        rate = report["emission_kg_h"]
        is_low = bool(limits) and (rate is None or min(limits) < rate * units_per_kg_h)
        without = NOT_LOOKED if not looked else NOT_SEEN if is_low else NOT_SEEN_LIMIT_HIGHER
        compared.append(Compared(report, SEEN if found else without, len(looked), min(limits, default=None), found))
    return sorted(compared, key=lambda one: (_when(one.report), one.report["report_id"]), reverse=True)


def _own_detections(reports: Sequence[Row], detections: Sequence[Row]) -> list[Row | None]:
    """The detection of each report that is nearest in time."""
    if not reports or not detections:
        return [None] * len(reports)
    tree = cKDTree(unit_vectors(*_places(detections)))
    near = tree.query_ball_point(unit_vectors(*_places(reports)), distance_to_chord(evidence_rule().reports.within_km))
    found: list[Row | None] = []
    for report, places in zip(reports, near, strict=True):
        own = [detections[i] for i in places if is_near_in_time(report, detections[i]["observed_at_utc"])]
        key = report["observed_at_utc"]
        found.append(min(own, key=lambda d: (abs(d["observed_at_utc"] - key), d["detection_id"]), default=None))
    return found


def _places(rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([r["longitude"] for r in rows], float), np.array([r["latitude"] for r in rows], float)


def _when(report: Row) -> Any:
    return report["observed_at_utc"]
