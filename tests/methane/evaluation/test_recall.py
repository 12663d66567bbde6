"""Recall and false plumes, of the search and of a bare threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judged_trials import judged, trial
from plumewatch.methane.evaluation.bare_threshold import absorption_to_nearest, bare_plumes, bare_score
from plumewatch.methane.evaluation.limits import (
    bare_check,
)
from plumewatch.methane.evaluation.measure import Setting
from plumewatch.methane.evaluation.recall import (
    bare_rate,
    false_plume_lines,
    false_rate,
    recall,
    recall_above,
    recall_lines,
    threshold_for,
)
from plumewatch.methane.evaluation.references_seen import (
    counted_lines,
    shared_lines,
)
from plumewatch.methane.evaluation.scenes import simulate_area


def test_bare_threshold_finds_what_is_not_there() -> None:
    """On a few areas; the whole evaluation has its limit on many."""
    found = [
        bare_plumes(absorption_to_nearest(area.passes[-1], area.passes[:-1])).max()
        for area in (simulate_area(seed, size=300, n_references=1) for seed in range(8))
    ]
    assert bare_check("desert", float(np.mean(found)) * (500 / 300) ** 2).is_ok


def test_false_plumes_are_counted_per_area_and_the_threshold_gives_half_of_one() -> None:
    empty = [trial(Setting(n, size=500), judged(0.5 + n / 100), judged(0.95, status="flare")) for n in range(10)]
    assert false_rate(empty) == 1.0
    threshold = threshold_for(empty)
    assert sum(c.rank > threshold and c.status == "accepted" for t in empty for c in t.candidates) == 5
    found = [trial(Setting(n, emission_kg_h=2000.0), judged(p, True)) for n, p in enumerate((0.52, 0.58))]
    assert recall(found) == 1.0 and recall_above(found, threshold) == 0.5
    weak = [trial(Setting(9, emission_kg_h=2000.0), judged(0.4, True, "not_significant"))]
    assert recall(weak) == 0.0 and recall_above(weak, (0.3, 0.0)) == 1.0
    assert recall_above(weak, weak[0].candidates[0].rank) == 0.0  # more than the threshold, not as much
    assert threshold_for([trial(Setting(0, size=500))]) == (0.0, 0.0)
    lines = [*false_plume_lines({"desert": empty}), *recall_lines({"desert": empty}, {"desert": [*found, *weak]})]
    assert any("0.67" in line for line in lines)


def test_bare_threshold_counts_connected_pixels() -> None:
    absorption = np.zeros((30, 30))
    absorption[2:7, 2:7] = 0.02  # 25 pixels
    absorption[20:24, 20:26] = 0.05  # 24 pixels
    assert bare_plumes(absorption).max() == 1
    assert bare_score(absorption) == pytest.approx(0.02, abs=1e-4)
    absorption[24, 26] = 0.05  # touches by its corner
    assert bare_plumes(absorption).max() == 2 and bare_score(absorption) == pytest.approx(0.05, abs=1e-4)
    assert bare_score(np.full((9, 9), -np.inf)) == -np.inf
    found = replace(trial(Setting(0, size=500)), n_bare=12)
    assert bare_rate([found]) == 12.0


def test_tables_of_references() -> None:
    hit, miss = (trial(Setting(0, emission_kg_h=2000.0), *c) for c in ((judged(0.9, True),), ()))
    assert shared_lines({0.0: [hit], 0.5: [hit, miss]})[-1].endswith("0.50")
    assert counted_lines({4: [trial(Setting(0, size=500), judged(0.9)), hit]})[-1].split() == [
        "4",
        "1",
        "1.00",
        "1",
        "1.00",
    ]
