"""The page of published cases: who saw how many, and how far off."""

from __future__ import annotations

import pytest
from case_rows import EHRENBERG, case_of, observation, plume
from plumewatch.methane.cases.page import compute_scores, render_cases
from plumewatch.methane.cases.published import (
    compare_case,
    read_cases,
)
from plumewatch.tables import VALIDATION


def test_teams_score_as_their_papers_say() -> None:
    """Detections of n and mean error as computed from the publications: MARS-S2L 6 of 9 and 18 %, and so on."""
    rows = [compare_case(case, None, []) for case in read_cases()]
    scores = {s.team: (s.detected, s.released, round(s.mean_error_percent or 0.0)) for s in compute_scores(rows)}
    assert scores == {
        "Plumewatch": (0, 0, 0), "MARS-S2L": (6, 9, 18), "Varon": (5, 5, 34), "Kayrros": (6, 9, 38),
        "UPV": (4, 5, 42), "SRON": (3, 4, 38), "Orbio": (4, 4, 27), "GHGSat": (3, 4, 88), "Maxar": (2, 4, 253),
        "NJU": (0, 4, 0),
    }  # fmt: skip
    assert {s.team: (s.false_alarms, s.empty) for s in compute_scores(rows)}["MARS-S2L"] == (0, 4)


def test_scores_count_what_was_judged() -> None:
    seen, missed = case_of(EHRENBERG), case_of("ehrenberg_20211022T182419")
    empty, cloudy = case_of("casa_grande_20221128T181711"), case_of("ehrenberg_20211029T181459")
    rows = [
        compare_case(seen, observation(), [plume(seen)]),
        compare_case(missed, observation(), []),
        compare_case(empty, observation(), [plume(empty)]),
        compare_case(cloudy, observation("skipped_cloud"), []),
    ]
    ours = compute_scores(rows)[0]
    assert (ours.detected, ours.released, ours.false_alarms, ours.empty) == (1, 2, 1, 1)
    assert ours.median_error_percent == pytest.approx(16.4, abs=0.05)  # 6000 against 7175.7
    page = render_cases([row | {"case": str(n)} for n, row in enumerate(VALIDATION.from_pylist(rows).to_pylist())])
    assert "Metered releases seen: 1 of 2, median |error| 16 %." in page and "<script" not in page
    assert "False alarms: 1 of 1 passes" in page and "MARS-S2L 6,491 (4,524 to 8,458), p 1.00" in page


def test_a_page_shows_texts_as_texts() -> None:
    [row] = VALIDATION.from_pylist([compare_case(case_of(EHRENBERG), None, [])]).to_pylist()
    assert "<b>" not in render_cases([row | {"case": "a", "missing": "<b>"}])
