"""The judge itself: what is judged, on which seeds, and what counts as found."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from judged_trials import judged, trial
from plumewatch.methane.evaluation.ground import FIELDS
from plumewatch.methane.evaluation.measure import Setting, footprint, is_visible, judge_candidates, simulate_setting
from plumewatch.methane.evaluation.pictures import choose_trials
from plumewatch.methane.evaluation.ranking import (
    RATE_KG_H,
    ranking_settings,
)
from plumewatch.methane.evaluation.rates import rate_settings
from plumewatch.methane.evaluation.recall import (
    JUDGED_KG_H,
    RATES_KG_H,
    empty_settings,
    planted_settings,
    recall,
)
from plumewatch.methane.evaluation.references_seen import (
    SHARES,
    counted_settings,
    shared_settings,
)
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, simulate_area
from plumewatch.methane.evaluation.seeds import BLOCK, FIGURES, JUDGING, TRAINING, judging_seed


def test_seeds_that_judge_are_not_those_that_train() -> None:
    assert not set(JUDGING) & {TRAINING[0], TRAINING[-1]} and JUDGING[-1] < TRAINING[0]
    seeds = {judging_seed(figure, number) for figure in FIGURES for number in (0, 1, BLOCK - 1)}
    assert len(seeds) == 3 * len(FIGURES) and max(seeds) in JUDGING
    with pytest.raises(ValueError, match="trial"):
        judging_seed("recall", BLOCK)


def test_settings_are_what_is_to_be_judged() -> None:
    scenes = list(ranking_settings(400, 40))
    planted = [s for s in scenes if s.emission_kg_h]
    assert len(planted) == 20 and sum(s.ground == FIELDS for s in planted) == 10
    assert sum(s.ground == FIELDS for s in scenes) == 200 and sum(s.has_forest for s in scenes) == 40
    assert all(RATE_KG_H[0] <= s.emission_kg_h <= RATE_KG_H[1] for s in planted)
    more = list(ranking_settings(400, 40, n_more=30))
    assert more[:400] == scenes and all(s.emission_kg_h for s in more[400:]) and len(more) == 430
    one = list(planted_settings("desert", 3))
    counts = {rate: sum(s.emission_kg_h == rate for s in one) for rate in RATES_KG_H}
    assert counts == {rate: 6 if rate in JUDGED_KG_H else 3 for rate in RATES_KG_H}
    assert len({s.seed for s in one}) == len(one)
    assert {s.ground for s in rate_settings(12)} == {"desert", FIELDS}
    assert all(s.wind_error == 0.3 for s in rate_settings(3))
    shared = [list(shared_settings(share, 4)) for share in SHARES]
    assert [s.seed for s in shared[0]] == [s.seed for s in shared[1]]
    assert [s.n_references for s in counted_settings(12, 1, 1)] == [12, 12]


def test_the_wind_that_is_told_is_wrong_as_stated() -> None:
    setting = Setting(11, emission_kg_h=2000.0, size=40, n_references=1)
    told = [simulate_setting(replace(setting, seed=seed)) for seed in range(40)]
    true = np.array([np.hypot(a.plumes[0].wind_u_m_s, a.plumes[0].wind_v_m_s) for a, _ in told])
    factor = np.array([wind.speed_m_s for _, wind in told]) / true
    assert ((true >= 2) & (true <= 6)).all()
    assert np.std(factor) == pytest.approx(0.3, rel=0.3) and np.mean(factor) == pytest.approx(1.0, abs=0.15)
    area, wind = simulate_setting(replace(setting, wind_error=0.0, wind_turn_deg=0.0))
    assert (wind.wind_u_m_s, wind.wind_v_m_s) == pytest.approx((area.plumes[0].wind_u_m_s, area.plumes[0].wind_v_m_s))


@pytest.fixture(scope="module")
def planted() -> SimulatedArea:
    return simulate_area(
        21, size=100, n_references=1, plumes=(PlantedPlume(5000.0, 50.0, 20.0, 4.0, 0.0),), clouds=False
    )


def candidate(area: SimulatedArea, rows: slice, cols: slice, status: str = "accepted") -> SimpleNamespace:
    mask = np.zeros(area.column_mol_m2.shape, bool)
    mask[rows, cols] = True
    one = SimpleNamespace(mask=mask, probability=0.9, significance=7.0, status=status)
    return SimpleNamespace(candidate=one, emission=None)


def test_footprint_holds_the_plume_and_little_else(planted: SimulatedArea) -> None:
    inside = footprint(planted.column_mol_m2)
    assert planted.column_mol_m2[inside].sum() >= 0.8 * planted.column_mol_m2.sum()
    assert inside.mean() < 0.3 and inside[50, 24] and not inside[50, 5]
    assert not footprint(np.zeros((9, 9))).any()


def test_one_plume_in_two_pieces_is_found_once_and_not_false(planted: SimulatedArea) -> None:
    pieces = [candidate(planted, slice(48, 53), slice(a, a + 8)) for a in (20, 32)]
    elsewhere = candidate(planted, slice(5, 12), slice(5, 12))
    everything = candidate(planted, slice(0, 100), slice(0, 100))
    refused = candidate(planted, slice(48, 53), slice(20, 28), status="surface_change")
    judged = judge_candidates([*pieces, elsewhere, everything, refused], planted)
    found = trial(Setting(0, emission_kg_h=5000.0), *judged)
    assert [c.is_plume for c in found.candidates].count(True) == 3
    assert len(found.hits) == 2 and len(found.false_plumes) == 2 and recall([found]) == 1.0
    empty = trial(Setting(1, emission_kg_h=5000.0), *judge_candidates([elsewhere, refused], planted))
    assert recall([found, empty]) == 0.5


def test_a_plume_under_cloud_is_not_a_miss(planted: SimulatedArea) -> None:
    assert is_visible(planted)
    target = planted.passes[-1]
    hidden = replace(target, is_usable=np.indices(target.shape)[1] < 18)
    assert not is_visible(replace(planted, passes=(planted.passes[0], hidden)))
    seen, not_seen = trial(Setting(0, emission_kg_h=1.0)), trial(Setting(1, emission_kg_h=1.0), visible=False)
    assert recall([seen, not_seen]) == 0.0 and np.isnan(recall([not_seen]))


def test_pictures_are_of_each_kind() -> None:
    hit = trial(Setting(0, emission_kg_h=2000.0), judged(0.9, True))
    miss = trial(Setting(1, emission_kg_h=2000.0), judged(0.9))
    chosen = choose_trials([hit, miss, trial(Setting(2)), trial(Setting(3, emission_kg_h=1.0), visible=False)])
    assert {kind: [t.setting.seed for t in some] for kind, some in chosen.items()} == {
        "hit": [0],
        "miss": [1],
        "false": [1],
    }
    assert next(iter(empty_settings("desert", 1))).emission_kg_h == 0.0
