"""The demonstration's verdict: each way in which it can fail is one, and a good outcome is none."""

from __future__ import annotations

from typing import Any

import pytest

from tools.comparison import Comparison, compare_peaks, compare_plumes, compare_red_runs

Rows = list[dict[str, Any]]
DEG_PER_KM = 1 / 111.19  # along a meridian

# Three strong and two faint emissions a gas, 100 km apart.
RATES_KG_H = (5000.0, 8000.0, 20_000.0, 500.0, 800.0)
HEIGHTS_PPM = (2.5, 3.0, 4.0, 0.5, 0.8)


def planted_plumes() -> Rows:
    return [
        {
            "area": "a",
            "date": "2025-08-24",
            "source_name": f"well {n}",
            "longitude": 50.0,
            "latitude": 30.0 + 100 * n * DEG_PER_KM,
            "emission_kg_h": rate,
        }
        for n, rate in enumerate(RATES_KG_H)
    ]


def found_plumes() -> Rows:
    """The strong ones, each a kilometre off."""
    return [plume(f"p{n}", truth["latitude"] + DEG_PER_KM) for n, truth in enumerate(planted_plumes()[:3])]


def plume(plume_id: str, latitude: float, **changes: Any) -> dict[str, Any]:
    row = {"plume_id": plume_id, "area": "a", "date": "2025-08-24", "status": "accepted", "probability": 0.99}
    return {**row, "longitude": 50.0, "latitude": latitude, **changes}


def plume_sources() -> dict[str, str | None]:
    return {f"p{n}": f"well {n}" for n in range(3)}


def verdict_on_plumes(plumes: Rows, sources: dict[str, str | None] | None = None, expected: float = 0.0) -> Comparison:
    return compare_plumes(planted_plumes(), plumes, plume_sources() if sources is None else sources, expected)


def planted_peaks() -> Rows:
    return [
        {
            "orbit": 100 + n,
            "observed_at_utc": "2025-08-05T10:00:00Z",
            "source_name": f"plant {n}",
            "plants": [{"name": f"plant {n}"}, {"name": f"neighbour {n}"}],
            "longitude": 20.0,
            "latitude": 10.0 * n,
            "height_ppm": height,
        }
        for n, height in enumerate(HEIGHTS_PPM)
    ]


def found_peaks() -> Rows:
    """The strong ones, each 14 km off."""
    return [peak(n, 100 + n, truth["latitude"] + 14 * DEG_PER_KM) for n, truth in enumerate(planted_peaks()[:3])]


def peak(peak_id: int, orbit: int, latitude: float, **changes: Any) -> dict[str, Any]:
    row = {"peak_id": peak_id, "orbit": orbit, "status": "accepted", "false_alarm_probability": 1e-5}
    return {**row, "longitude": 20.0, "latitude": latitude, **changes}


def verdict_on_peaks(
    peaks: Rows, sources: dict[str, str | None] | None = None, expected: float = 0.0, planted: Rows | None = None
) -> Comparison:
    names = {"0": "plant 0", "1": "neighbour 1", "2": "plant 2"} if sources is None else sources
    return compare_peaks(planted_peaks() if planted is None else planted, peaks, names, expected)


def test_a_good_outcome_has_no_problem() -> None:
    for verdict in (verdict_on_plumes(found_plumes()), verdict_on_peaks(found_peaks())):
        assert verdict.problems == []
        assert [f.must_be_found for f in verdict.found] == [True] * 3 + [False] * 2
        assert [f.is_matched for f in verdict.found] == [True] * 3 + [False] * 2
        assert verdict.unplanted == []


def test_a_strong_one_that_is_missing_is_a_problem() -> None:
    assert verdict_on_plumes(found_plumes()[1:]).problems == ["not found: well 0 on 2025-08-24"]
    assert verdict_on_peaks(found_peaks()[:2]).problems == ["not found: plant 2 on 2025-08-05"]


def test_a_faint_one_may_be_found_or_not() -> None:
    truth = planted_plumes()[4]
    verdict = verdict_on_plumes([*found_plumes(), plume("p4", truth["latitude"])])
    assert verdict.problems == [] and verdict.unplanted == [] and verdict.found[4].detection


@pytest.mark.parametrize(
    "change", [{"status": "not_significant"}, {"date": "2025-08-25"}, {"area": "b"}, {"longitude": 50.02}]
)
def test_a_plume_counts_only_where_and_when_it_was_planted_and_accepted(change: dict[str, Any]) -> None:
    first, *others = found_plumes()
    assert "not found: well 0 on 2025-08-24" in verdict_on_plumes([{**first, **change}, *others]).problems


@pytest.mark.parametrize("change", [{"status": "too_wide"}, {"orbit": 999}, {"longitude": 20.1}])
def test_a_peak_counts_only_where_and_when_it_was_planted_and_accepted(change: dict[str, Any]) -> None:
    first, *others = found_peaks()
    assert "not found: plant 0 on 2025-08-05" in verdict_on_peaks([{**first, **change}, *others]).problems


def test_found_and_wrongly_matched_is_a_problem() -> None:
    wrong = {**plume_sources(), "p0": "well 7", "p1": None}
    assert verdict_on_plumes(found_plumes(), wrong).problems == [
        "found and matched to well 7: well 0 on 2025-08-24",
        "found and matched to no source: well 1 on 2025-08-24",
    ]
    wrong = {"0": "plant 1", "1": "plant 1", "2": "plant 2"}
    assert verdict_on_peaks(found_peaks(), wrong).problems == [
        "found and matched to plant 1: plant 0 on 2025-08-05",
    ]


@pytest.mark.parametrize(("probability", "is_problem"), [(0.95, True), (0.9, False)])
def test_an_unplanted_plume_that_is_nearly_certain_is_a_problem(probability: float, is_problem: bool) -> None:
    verdict = verdict_on_plumes([*found_plumes(), plume("x", 45.0, probability=probability)], expected=1.0)
    expected = ["accepted as nearly certain, with nothing planted there: plume x (probability 0.950)"]
    assert verdict.problems == (expected if is_problem else [])
    assert [p["plume_id"] for p in verdict.unplanted] == ["x"]


@pytest.mark.parametrize(("false_alarm", "is_problem"), [(0.0004, True), (0.0005, False)])
def test_an_unplanted_peak_that_is_nearly_certain_is_a_problem(false_alarm: float, is_problem: bool) -> None:
    verdict = verdict_on_peaks([*found_peaks(), peak(9, 200, 5.0, false_alarm_probability=false_alarm)], expected=1.0)
    expected = ["accepted as nearly certain, with nothing planted there: peak 9 (0.00040)"]
    assert verdict.problems == (expected if is_problem else [])


@pytest.mark.parametrize(("n", "is_problem"), [(4, False), (5, True)])
def test_more_unplanted_ones_than_the_stated_rate_allows_are_a_problem(n: int, is_problem: bool) -> None:
    # A Poisson count of mean 1 is at most 4 in 99.6 % of cases and at most 3 in 98.1 %.
    plumes = [plume(f"x{i}", 45.0, probability=0.6) for i in range(n)]
    verdict = verdict_on_plumes([*found_plumes(), *plumes], expected=1.0)
    assert verdict.unplanted_bound == 4
    expected = ["5 unplanted ch4 detections; allowed at the stated rate: 4"]
    assert verdict.problems == (expected if is_problem else [])


def test_without_a_false_alarm_rate_no_unplanted_one_is_allowed() -> None:
    verdict = verdict_on_plumes([*found_plumes(), plume("x", 45.0, probability=0.6)])
    assert verdict.problems == ["1 unplanted ch4 detections; allowed at the stated rate: 0"]


def test_a_world_that_plants_too_little_is_a_problem() -> None:
    problem = "the world plants too little co2 to prove anything"
    assert verdict_on_peaks(found_peaks()[1:], planted=planted_peaks()[1:]).problems == [problem]  # two strong ones
    assert verdict_on_peaks(found_peaks(), planted=planted_peaks()[:4]).problems == [problem]  # one faint one


def test_red_runs_are_exactly_those_with_planted_bad_files() -> None:
    expected = {"ingest": ["2025-08-24"], "extraction": ["2025-08"]}
    assert compare_red_runs({"ingest": ["2025-08-24"], "extraction": ["2025-08"], "detection": []}, expected) == []
    assert compare_red_runs({"ingest": ["2025-08-24", "2025-08-26"], "extraction": ["2025-08"]}, expected) == [
        "ingest 2025-08-26 is red, with no bad file planted"
    ]
    assert compare_red_runs({"ingest": ["2025-08-24"]}, expected) == [
        "extraction 2025-08 is green, with a bad file planted"
    ]
