"""Rates, probabilities and limits: figures that are right where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judged_trials import NAN, judged, trial
from plumewatch.methane.evaluation.calibration import calibration_bins, rate_at_half
from plumewatch.methane.evaluation.ground import FIELDS
from plumewatch.methane.evaluation.limits import (
    LEAST_IN_BIN,
    at_least,
    at_most,
    bare_check,
    calibration_checks,
    detection_checks,
    rate_checks,
    within,
)
from plumewatch.methane.evaluation.measure import Setting
from plumewatch.methane.evaluation.rates import rate_figures, rate_groups, rate_lines


def test_figures_of_rates() -> None:
    estimates = (0.9, 1.1, 1.3, 0.5)
    found = [
        trial(Setting(n, emission_kg_h=3000.0), judged(0.9, True, rate=3000.0 * e)) for n, e in enumerate(estimates)
    ]
    of = rate_figures([*found, trial(Setting(9, emission_kg_h=3000.0))])
    assert (of.n_found, of.n_planted) == (4, 5)
    assert of.error == pytest.approx(0.2) and of.ratio == pytest.approx(1.0) and of.held == 0.5
    assert of.width == pytest.approx(0.2)
    groups = rate_groups(found)
    assert groups["2 to 4 t/h"].n_found == 4 and groups[FIELDS].n_found == 0 and np.isnan(groups[FIELDS].error)
    assert len(rate_lines(found)) == 1 + len(groups)
    assert [check.is_ok for check in rate_checks(of)] == [True, True, False]


def test_calibrated_probabilities_pass_and_bold_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    scenes = []
    for number in range(4000):
        p = rng.uniform()
        scenes.append(trial(Setting(number, emission_kg_h=float(number % 20 == 0)), judged(p, rng.random() < p)))
    bins = calibration_bins(scenes, 0.05)
    assert [b.n_candidates for b in bins] == [800] * 5
    assert all(check.is_ok for check in calibration_checks(bins))
    bold = [replace(t, candidates=(replace(t.candidates[0], probability=0.99),)) for t in scenes]
    assert not all(check.is_ok for check in calibration_checks(calibration_bins(bold, 0.05)))
    few = calibration_bins(scenes[: 4 * LEAST_IN_BIN], 0.05)
    assert next(iter(calibration_checks(few))).is_ok is False


def test_probabilities_are_weighted_to_the_prior() -> None:
    """Where half of the scenes have a plume and the prior is 5 %, a plume weighs a nineteenth of what is none."""
    scenes = [trial(Setting(n, emission_kg_h=float(n % 2)), judged(0.05, n % 2 == 1)) for n in range(1000)]
    bins = calibration_bins(scenes, 0.05)
    assert [b.observed for b in bins] == pytest.approx([0.05] * 5)
    assert [b.observed for b in calibration_bins(scenes, 0.5)] == pytest.approx([0.5] * 5)


def test_the_rate_at_which_half_are_found_is_recovered() -> None:
    rng = np.random.default_rng(4)
    scenes = []
    for number in range(600):
        rate = float(np.exp(rng.uniform(np.log(500), np.log(10_000))))
        is_found = rng.random() < 1 / (1 + (1800.0 / rate) ** 4)
        hits = (judged(0.9, True),) if is_found else ()
        scenes.append(trial(Setting(number, emission_kg_h=rate), *hits, limit=1500.0))
    assert rate_at_half(scenes) == pytest.approx(1.2, rel=0.1)
    assert np.isnan(rate_at_half([trial(Setting(0, emission_kg_h=1.0), limit=NAN)]))


def test_a_figure_that_is_not_known_misses_its_limit() -> None:
    assert not at_most("x", NAN, 1.0).is_ok and not at_least("x", NAN, 1.0).is_ok
    assert not within("x", NAN, (0.0, 1.0)).is_ok and within("x", 1.0, (0.0, 1.0)).is_ok
    assert str(at_most("x", 2.0, 1.0)).startswith("MISSED") and str(at_most("x", 1.0, 1.0)).startswith("ok")
    assert not bare_check("desert", 3.0).is_ok and bare_check("desert", 20.0).is_ok
    checks = list(detection_checks(0.4, {1200.0: 0.6, 2000.0: 0.8}))
    assert [check.is_ok for check in checks] == [True, True, False]
