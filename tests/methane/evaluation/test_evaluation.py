"""The judge itself: scenes as they are stated to be, and figures that are right where the answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL
from plumewatch.methane.evaluation import planted as planted_plumes
from plumewatch.methane.evaluation.bare_threshold import absorption_to_nearest, bare_plumes, bare_score
from plumewatch.methane.evaluation.calibration import calibration_bins, rate_at_half
from plumewatch.methane.evaluation.control import scene_noise_mol_m2
from plumewatch.methane.evaluation.forest_score import SIZE, forest_scores
from plumewatch.methane.evaluation.ground import FIELDS, Texture
from plumewatch.methane.evaluation.limits import (
    LEAST_IN_BIN,
    at_least,
    at_most,
    bare_check,
    calibration_checks,
    detection_checks,
    noise_check,
    ranking_checks,
    rate_checks,
    within,
)
from plumewatch.methane.evaluation.measure import (
    Judged,
    Setting,
    Trial,
    footprint,
    is_visible,
    judge_candidates,
    simulate_setting,
)
from plumewatch.methane.evaluation.pictures import choose_trials
from plumewatch.methane.evaluation.ranking import (
    BARE,
    DETECTOR,
    RATE_KG_H,
    average_precision,
    rank_scenes,
    ranking_lines,
    ranking_settings,
    rankings,
    scene_scores,
)
from plumewatch.methane.evaluation.rates import rate_figures, rate_groups, rate_lines, rate_settings
from plumewatch.methane.evaluation.recall import (
    JUDGED_KG_H,
    RATES_KG_H,
    bare_rate,
    empty_settings,
    false_plume_lines,
    false_rate,
    planted_settings,
    recall,
    recall_above,
    recall_lines,
    threshold_for,
)
from plumewatch.methane.evaluation.references_seen import (
    SHARES,
    counted_lines,
    counted_settings,
    shared_lines,
    shared_settings,
)
from plumewatch.methane.evaluation.sahara import pass_of_sahara, texture_of_sahara
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, plume_column, simulate_area
from plumewatch.methane.evaluation.seeds import BLOCK, FIGURES, JUDGING, TRAINING, judging_seed

NAN = float("nan")


def judged(probability: float, is_plume: bool = False, status: str = "accepted", rate: float = NAN) -> Judged:
    return Judged(probability, 10 * probability, status, is_plume, rate, 0.8 * rate, 1.2 * rate)


def trial(setting: Setting, *candidates: Judged, bare: float = 0.0, limit: float = 1500.0, visible: bool = True):  # type: ignore[no-untyped-def]
    ranked = tuple(sorted(candidates, key=lambda one: one.rank, reverse=True))
    return Trial(setting, "sentinel-2a", 3.0, visible, ranked, limit, 0, bare, {})


# -- scenes --------------------------------------------------------------------------------------------------------


def test_a_plume_holds_what_its_source_emits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over many plumes, as a single one puffs; followed for so short that all of it is in the scene."""
    monkeypatch.setattr(planted_plumes, "SCENES_LONG", 0.5)
    rate, speed, size = 3000.0, 4.0, 200
    columns = [
        plume_column(np.random.default_rng(n), size, PlantedPlume(rate, 100.0, 50.0, speed, 0.0)) for n in range(200)
    ]
    mass_kg = np.array([c.sum() for c in columns]) * 20.0**2 * MOLAR_MASS_CH4_KG_MOL
    emitted_kg = rate / 3600 * (0.5 * size * 20.0 / speed)
    assert mass_kg.mean() == pytest.approx(emitted_kg, rel=0.05)
    assert 0.1 < mass_kg.std() / emitted_kg < 0.35
    assert all((c >= 0).all() for c in columns)


def test_two_plumes_of_one_source_differ_in_shape() -> None:
    plume = PlantedPlume(3000.0, 60.0, 20.0, 4.0, 0.0)
    one, other = (plume_column(np.random.default_rng(n), 120, plume) for n in (1, 2))
    middle = [np.average(np.arange(120), weights=c[:, 80]) for c in (one, other)]
    assert abs(middle[0] - middle[1]) > 1.0  # they meander
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.95


def test_noise_of_a_pixel_is_as_published() -> None:
    assert noise_check(scene_noise_mol_m2(6, size=150)).is_ok


def test_bare_threshold_finds_what_is_not_there() -> None:
    """On a few areas; the whole evaluation has its limit on many."""
    found = [
        bare_plumes(absorption_to_nearest(area.passes[-1], area.passes[:-1])).max()
        for area in (simulate_area(seed, size=300, n_references=1) for seed in range(8))
    ]
    assert bare_check("desert", float(np.mean(found)) * (500 / 300) ** 2).is_ok


def test_equal_seeds_give_equal_pixels_and_others_do_not() -> None:
    one, same, other = (simulate_area(seed, size=60, n_references=1).passes[-1] for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.b12, same.b12)
    assert not np.array_equal(one.b12, other.b12)


def test_fields_change_from_date_to_date_and_desert_does_not() -> None:
    def largest_change(ground: str) -> float:
        first, last = simulate_area(5, size=150, n_references=1, ground=ground, clouds=False).passes
        change = np.log(last.b11 / first.b11)
        return float(np.ptp(np.quantile(change - np.median(change), [0.01, 0.99])))

    assert largest_change(FIELDS) > 2 * largest_change("desert")


def test_the_screen_misses_the_edge_of_clouds() -> None:
    """Beside screened pixels the ground is further from its other dates than away from them."""
    dates = [p for n in range(8) for p in simulate_area(100 + n, size=150, n_references=2).passes]
    assert 0.2 < np.mean([p.is_usable.all() for p in dates]) < 0.9
    assert all(p.is_usable.mean() > 0.3 for p in dates)


def test_real_ground_is_cut_from_its_texture() -> None:
    rng = np.random.default_rng(3)
    b11 = rng.uniform(0.3, 0.5, (90, 80))
    texture = Texture(b11, 0.9 * b11, {"b04": 0.6 * b11})
    one = simulate_area(4, size=60, n_references=1, texture=texture, clouds=False, other_bands=("b04",)).passes[-1]
    assert np.median(one.other_bands["b04"] / one.b11) == pytest.approx(0.6, rel=0.05)
    assert np.median(one.b12 / one.b11) == pytest.approx(0.9, rel=0.05)
    assert 0.3 < np.median(one.b11) < 0.5
    with pytest.raises(ValueError, match="90 x 80"):
        simulate_area(4, size=80, n_references=1, texture=texture)


def test_the_real_scene_is_read_and_its_gaps_are_filled(tmp_path: Path) -> None:
    assert texture_of_sahara(tmp_path) is None
    folder = tmp_path / "sentinel2" / "S2A_29RKH_20200219_0_L2A"
    folder.mkdir(parents=True)
    for name in ("B02", "B03", "B04", "B08", "B8A", "B11", "B12", "SCL"):
        numbers = np.full((5, 6), 5 if name == "SCL" else 4000, np.uint16)
        numbers[0, 0] = 9 if name == "SCL" else 0
        shape = {
            "width": 6,
            "height": 5,
            "count": 1,
            "dtype": "uint16",
            "transform": rasterio.Affine(20, 0, 0, 0, -20, 0),
        }
        with rasterio.open(folder / f"{name}.tif", "w", driver="GTiff", **shape) as file:
            file.write(numbers, 1)
    texture = texture_of_sahara(tmp_path)
    assert texture is not None and sorted(texture.other) == ["b02", "b03", "b04", "b08", "b8a"]
    np.testing.assert_allclose(texture.b12, 0.4)
    whole = pass_of_sahara(tmp_path)
    assert whole.is_usable.sum() == 29 and not whole.is_usable[0, 0]
    assert whole.air_mass_factor == pytest.approx(2.34, abs=0.01) and whole.shape == (5, 6)


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


# -- the judge -----------------------------------------------------------------------------------------------------


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
    found = trial(
        Setting(0, emission_kg_h=5000.0), *judge_candidates([*pieces, elsewhere, everything, refused], planted)
    )
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


# -- recall and false plumes ---------------------------------------------------------------------------------------


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


# -- ranking -------------------------------------------------------------------------------------------------------


def test_average_precision_of_the_perfect_the_random_and_the_silent() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(20_000) < 0.05
    assert average_precision(truth, truth) == 1.0
    assert average_precision(truth, rng.random(len(truth))) == pytest.approx(0.05, abs=0.01)
    assert average_precision(truth, np.zeros(len(truth))) == pytest.approx(truth.mean())
    assert average_precision([True, False, True, False], [4, 3, 2, 1]) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(average_precision([False], [1.0])) and np.isnan(average_precision([True], [1.0]))
    # scenes with a plume ten times as often, at the same base rate
    score = rng.normal(size=len(truth)) + 2 * truth
    more = np.concatenate([np.arange(len(truth)), *[np.flatnonzero(truth)] * 9])
    assert average_precision(truth[more], score[more], truth.mean()) == pytest.approx(average_precision(truth, score))
    assert average_precision(truth[more], score[more]) > average_precision(truth, score) + 0.2
    few = np.concatenate([np.flatnonzero(truth)[:100], np.flatnonzero(~truth)[:100]])
    one = rank_scenes("half of the scenes", truth[few], score[few])
    assert one.low < one.value < one.high
    one = rank_scenes("perfect", truth[:400], truth[:400])
    assert (one.low, one.value, one.high) == (1.0, 1.0, 1.0) and one.n_scenes == 400


def test_scenes_are_sorted_by_probability_then_significance() -> None:
    low, high = (Judged(0.9, z, "accepted", False, NAN, NAN, NAN) for z in (5.0, 6.0))
    scenes = [trial(Setting(0), low), trial(Setting(1), high), trial(Setting(2)), trial(Setting(3), judged(0.1))]
    assert list(np.argsort(-scene_scores(scenes))) == [1, 0, 3, 2]
    assert scene_scores(scenes)[2] == 0


def test_hidden_plumes_are_not_ranked() -> None:
    scenes = [trial(Setting(n, emission_kg_h=float(n == 0)), judged(0.9 if n == 0 else 0.1), bare=n) for n in range(20)]
    scenes.append(trial(Setting(20, emission_kg_h=1.0), visible=False))
    of = rankings(scenes)
    assert of[DETECTOR].value == 1.0 and of[DETECTOR].n_scenes == 20 and of[BARE].value == pytest.approx(0.05)
    assert [check.is_ok for check in ranking_checks(of)] == [True, True]
    assert len(ranking_lines(scenes, 20)) == 7


def test_forest_has_a_score_for_each_scene() -> None:
    target = simulate_area(23, size=60, n_references=1, clouds=False).passes[-1]
    assert 0 <= forest_scores(target)[SIZE] <= 36
    nothing = replace(target, is_usable=np.zeros(target.shape, bool))
    assert set(forest_scores(nothing).values()) == {0.0}


# -- rates, probabilities, limits ----------------------------------------------------------------------------------


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
