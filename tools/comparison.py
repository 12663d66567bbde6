"""What was found in the simulated world against what was planted in it: pure functions over rows of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plumewatch.gases import CH4, CO2
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.statuses import ACCEPTED
from scipy.stats import poisson

PLUME_DISTANCE_KM = 1.5
"""A plume's origin lies at its source, give or take the width of its mask."""
PEAK_DISTANCE_KM = 15.0
"""A peak's centre lies where it was planted, give or take its own width (sigma up to 12 km)."""
MUST_FIND_KG_H = 5000.0
MUST_FIND_PPM = 2.5
AT_LEAST_FOUND, AT_LEAST_FAINT = 3, 2
"""A world with fewer planted ones would prove nothing."""
SURE_FALSE_ALARM = 0.0005
SURE_PROBABILITY = 0.9
POISSON_LEVEL = 0.99

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """One planted emission and what became of it."""

    planted: Row
    """As the truth has it."""
    must_be_found: bool
    """Whether it is strong enough."""
    detection: Row | None
    """The accepted detection there, None: none."""
    matched: str | None
    """Name of the first-ranked source; None: no detection, or in no inventory."""
    is_matched: bool
    """Whether that is the planted source."""


@dataclass
class Comparison:
    """The verdict over one gas."""

    gas: str
    """ch4 or co2."""
    found: list[Found] = field(default_factory=list)
    """One a planted emission."""
    unplanted: list[Row] = field(default_factory=list)
    """Accepted detections where nothing was planted."""
    expected_unplanted: float = 0.0
    """By the stated false alarm rate and what was searched."""
    problems: list[str] = field(default_factory=list)
    """Why the demonstration has failed; empty: it hasn't."""

    @property
    def unplanted_bound(self) -> int:
        """As many unplanted detections are within the 99 % Poisson bound of the stated rate."""
        return int(poisson.ppf(POISSON_LEVEL, self.expected_unplanted)) if self.expected_unplanted > 0 else 0


def compare_plumes(
    planted: Sequence[Row], plumes: Sequence[Row], first_sources: Mapping[str, str | None], expected_unplanted: float
) -> Comparison:
    """Compare accepted plumes with the planted ones: same area, same date, origin within 1.5 km of the source.

    `first_sources` names the first-ranked source by plume_id.
    """
    accepted = [plume for plume in plumes if plume["status"] == ACCEPTED]
    comparison = Comparison(CH4.name, expected_unplanted=expected_unplanted)
    taken: set[str] = set()
    for truth in planted:
        here = [p for p in accepted if (p["area"], p["date"]) == (truth["area"], truth["date"])]
        plume = _nearest(truth, here, PLUME_DISTANCE_KM)
        name = first_sources.get(plume["plume_id"]) if plume else None
        must = truth["emission_kg_h"] >= MUST_FIND_KG_H
        comparison.found.append(Found(truth, must, plume, name, name == truth["source_name"]))
        taken |= {plume["plume_id"]} if plume else set()
    comparison.unplanted = [p for p in accepted if p["plume_id"] not in taken]
    sure = [p for p in comparison.unplanted if p["probability"] > SURE_PROBABILITY]
    return _judged(comparison, [f"plume {p['plume_id']} (probability {p['probability']:.3f})" for p in sure])


def compare_peaks(
    planted: Sequence[Row], peaks: Sequence[Row], first_sources: Mapping[str, str | None], expected_unplanted: float
) -> Comparison:
    """Compare accepted peaks with the planted ones: same orbit, centre within 15 km.

    `first_sources` names the first-ranked source by peak_id as text.
    """
    accepted = [peak for peak in peaks if peak["status"] == ACCEPTED]
    comparison = Comparison(CO2.name, expected_unplanted=expected_unplanted)
    taken: set[int] = set()
    for truth in planted:
        peak = _nearest(truth, [p for p in accepted if p["orbit"] == truth["orbit"]], PEAK_DISTANCE_KM)
        name = first_sources.get(str(peak["peak_id"])) if peak else None
        must = truth["height_ppm"] >= MUST_FIND_PPM
        plants = {plant["name"] for plant in truth["plants"]}
        comparison.found.append(Found(truth, must, peak, name, name in plants))
        taken |= {peak["peak_id"]} if peak else set()
    comparison.unplanted = [p for p in accepted if p["peak_id"] not in taken]
    sure = [p for p in comparison.unplanted if p["false_alarm_probability"] < SURE_FALSE_ALARM]
    return _judged(comparison, [f"peak {p['peak_id']} ({p['false_alarm_probability']:.5f})" for p in sure])


def compare_red_runs(red: Mapping[str, Sequence[str]], expected: Mapping[str, Sequence[str]]) -> list[str]:
    """Return where the runs that are red (keys by DAG) and those with planted bad files differ."""
    have = {(dag_id, key) for dag_id, keys in red.items() for key in keys}
    want = {(dag_id, key) for dag_id, keys in expected.items() for key in keys}
    problems = [f"{dag_id} {key} is red, with no bad file planted" for dag_id, key in sorted(have - want)]
    return problems + [f"{dag_id} {key} is green, with a bad file planted" for dag_id, key in sorted(want - have)]


def _nearest(truth: Row, detections: Sequence[Row], within_km: float) -> Row | None:
    def distance_km(row: Row) -> float:
        return float(great_circle_distance_km(truth["longitude"], truth["latitude"], row["longitude"], row["latitude"]))

    best = min(detections, key=distance_km, default=None)
    return best if best is not None and distance_km(best) <= within_km else None


def _judged(comparison: Comparison, surely_wrong: Sequence[str]) -> Comparison:
    must = [f for f in comparison.found if f.must_be_found]
    problems = [f"not found: {_name(f.planted)}" for f in must if f.detection is None]
    problems += [
        f"found and matched to {f.matched or 'no source'}: {_name(f.planted)}"
        for f in must
        if f.detection is not None and not f.is_matched
    ]
    problems += [f"accepted as nearly certain, with nothing planted there: {what}" for what in surely_wrong]
    if len(comparison.unplanted) > comparison.unplanted_bound:
        problems.append(
            f"{len(comparison.unplanted)} unplanted {comparison.gas} detections; "
            f"allowed at the stated rate: {comparison.unplanted_bound}"
        )
    if len(must) < AT_LEAST_FOUND or len(comparison.found) - len(must) < AT_LEAST_FAINT:
        problems.append(f"the world plants too little {comparison.gas} to prove anything")
    comparison.problems = problems
    return comparison


def _name(planted: Row) -> str:
    return f"{planted['source_name']} on {planted.get('date') or planted['observed_at_utc'][:10]}"
