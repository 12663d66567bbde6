"""Landsat's table of transmittance, its references, and the simulated areas of its cells."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_trials import judged, trial
from plumewatch.gases import MULTI_PASS, SINGLE_PASS
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.evaluation.landsat import (
    WATCHERS,
    SensorTrials,
    detection_rates_kg_h,
    empty_settings,
    scene_settings,
    sensor_checks,
    sensor_lines,
)
from plumewatch.methane.evaluation.measure import Setting, simulate_setting
from plumewatch.methane.evaluation.scenes import PlantedPlume, in_cells, simulate_area
from plumewatch.methane.pass_search import choose_references, search_pass
from plumewatch.methane.probability import is_calibrated, probability_of
from plumewatch.methane.retrieval import (
    LANDSAT_PLATFORMS,
    LANDSAT_TABLE_FILE,
    PLATFORMS,
    compute_transmittance,
    estimate_enhancement,
    transmittance_curve,
)
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.reference.loading import read_reference
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M, WindAtPoint

LIMITS = plume_thresholds()
air_mass_factors = st.floats(2.0, 3.9238)


@pytest.mark.parametrize("platform", LANDSAT_PLATFORMS)
def test_the_curve_goes_through_the_table(platform: str) -> None:
    table = read_reference(LANDSAT_TABLE_FILE)
    columns = [i for i, column in enumerate(table["omega_mol_m2"]) if column > 0]
    for row, amf in enumerate(table["amf"]):
        found = compute_transmittance(np.array(table["omega_mol_m2"])[columns], platform, amf)
        for values, band in ((found.b11, "SWIR1"), (found.b12, "SWIR2")):
            expected = np.array(table[f"{LANDSAT_PLATFORMS[platform]}_{band}"][row])[columns]
            assert values == pytest.approx(expected, abs=4e-5)
    assert compute_transmittance(0.0, platform, 2.2).b12 == 1.0


def test_it_agrees_with_the_table_of_sentinel_2() -> None:
    """Its source gives Sentinel-2A as well: the two tables tell the same gas to 5 %."""
    table = read_reference(LANDSAT_TABLE_FILE)
    columns = np.array(table["omega_mol_m2"])
    for amf_row, amf in enumerate(table["amf"][:6]):
        own = compute_transmittance(columns[-3:], "sentinel-2a", amf).b12
        theirs = np.array(table["S2A_of_the_same_source_SWIR2"][amf_row])[-3:]
        assert 1 - theirs == pytest.approx(1 - own, rel=0.06)


@given(omega=st.floats(0.0, 6.0), platform=st.sampled_from(sorted(LANDSAT_PLATFORMS)), amf=air_mass_factors)
def test_enhancement_is_the_inverse_of_the_transmittance(omega: float, platform: str, amf: float) -> None:
    t = compute_transmittance(omega, platform, amf)
    assert float(estimate_enhancement(1 - t.b12 / t.b11, platform, amf)) == pytest.approx(omega, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("platform", [*LANDSAT_PLATFORMS, *PLATFORMS])
def test_what_absorbs_more_than_ten_moles_is_known_of_every_table(platform: str) -> None:
    curve = transmittance_curve(platform, 2.5)
    t = compute_transmittance(10.0, platform, 2.5)
    assert curve.largest_absorption == pytest.approx(float(-np.log(t.b12 / t.b11)), rel=1e-9)


def test_references_are_of_the_same_sensor_and_path() -> None:
    area = simulate_area(9, size=60, n_references=2, platform="landsat-8", clouds=False)
    target, near = area.passes[-1], area.passes[-2]
    assert choose_references(target, [near], LIMITS) == [near]
    assert choose_references(target, [replace(near, relative_orbit=64)], LIMITS) == []
    assert choose_references(target, [replace(near, platform="sentinel-2a")], LIMITS) == []
    of_sentinel2 = replace(target, platform="sentinel-2b")
    assert choose_references(of_sentinel2, [near], LIMITS) == []
    other_orbit = replace(near, platform="sentinel-2a", relative_orbit=64)
    assert choose_references(of_sentinel2, [other_orbit], LIMITS) == [other_orbit]


def test_one_date_of_landsat_alone_claims_no_probability() -> None:
    plume = PlantedPlume(60_000.0, 40.0, 20.0, 3.0, 0.0)
    area = simulate_area(5, size=80, n_references=1, platform="landsat-8", clouds=False, plumes=(plume,))
    wind = WindAtPoint(3.0, 0.0, SURFACE_WIND_HEIGHT_M)
    found = search_pass("a", area.passes[-1], (), lambda *_: wind, SINGLE_PASS, ForestSettings(), LIMITS)
    candidates = [plume.candidate for plume in found.plumes]
    assert "unrated" in {one.status for one in candidates} and {one.probability for one in candidates} == {None}
    assert found.observation["detection_limit"] is None and not found.observation["detected"]
    assert is_calibrated(SINGLE_PASS, "sentinel-2", LIMITS) and is_calibrated(MULTI_PASS, "landsat", LIMITS)


def test_landsat_s_offset_is_added_to_the_log_odds_of_many_dates_alone() -> None:
    tests = dict.fromkeys(
        ("sharp_ground_share", "masked_edge_share", "off_wind_deg", "is_round"), 0.0
    ) | {"local_noise": 1.0, "mean_significance": 2.0, "n_pixels": 60.0}  # fmt: skip
    odds = {}
    for sensor in ("sentinel-2", "landsat"):
        p = probability_of(MULTI_PASS, 8.0, tests, LIMITS, sensor)
        odds[sensor] = np.log(p / (1 - p))
    offset = LIMITS.probability.multi_pass_offset["landsat"]
    assert odds["landsat"] - odds["sentinel-2"] == pytest.approx(offset) and offset > 0
    one = [probability_of(SINGLE_PASS, 8.0, tests, LIMITS, sensor) for sensor in odds]
    assert one[0] == one[1]


def test_areas_of_landsat_have_cells_of_30_m_and_dates_8_days_apart() -> None:
    area = simulate_area(3, size=50, n_references=2, platform="landsat-9", clouds=False)
    times = [one.observed_at_utc for one in area.passes]
    assert [(b - a).days for a, b in itertools.pairwise(times)] == [8, 8]
    assert {one.pixel_size_m for one in area.passes} == {30.0} and area.passes[0].shape == (50, 50)
    assert {one.platform for one in area.passes} <= set(LANDSAT_PLATFORMS)
    fine = np.arange(36.0).reshape(6, 6)
    coarse = in_cells(fine, 4, 30.0)
    assert coarse.mean() == pytest.approx(fine.mean()) and coarse[0, 0] == pytest.approx(
        (4 * 0 + 2 * 1 + 2 * 6 + 7) / 9
    )


def test_trials_of_both_sensors_cover_the_same_ground() -> None:
    sentinel2, landsat = WATCHERS
    sides = [next(empty_settings(one, 1)).size * one.pixel_m for one in WATCHERS]
    assert sides == pytest.approx([10_000, 10_000], rel=2e-3)
    some = list(scene_settings(landsat, 8))
    assert sum(setting.emission_kg_h > 0 for setting in some) == 4 and {s.ground for s in some} == {"desert", "fields"}
    area, _ = simulate_setting(replace(some[1], size=40))
    assert area.passes[-1].platform in LANDSAT_PLATFORMS and len(area.passes) == 4
    assert len(list(scene_settings(sentinel2, 3))) == 3


def test_the_rates_at_which_half_and_nine_tenths_are_found() -> None:
    rng = np.random.default_rng(4)
    tried = []
    for number, rate in enumerate(np.exp(rng.uniform(*np.log([300.0, 20_000.0]), 600))):
        is_found = rng.random() < 1 / (1 + (rate / 2000.0) ** -3)
        setting = Setting(number, emission_kg_h=float(rate), units=tuple(LANDSAT_PLATFORMS))
        tried.append(trial(setting, judged(0.9, True)) if is_found else trial(setting))
    tried += [trial(Setting(n, units=tuple(LANDSAT_PLATFORMS)), judged(0.1)) for n in range(20)]
    half, most = detection_rates_kg_h(tried)
    assert half == pytest.approx(2000.0, rel=0.15) and most == pytest.approx(2000.0 * 9 ** (1 / 3), rel=0.25)
    empty = [trial(Setting(n, size=333, units=tuple(LANDSAT_PLATFORMS)), judged(0.6)) for n in range(4)]
    by_sensor = {"Landsat 8 and 9": SensorTrials(empty, tried)}
    checks = {check.name: check for check in sensor_checks(by_sensor["Landsat 8 and 9"], 0.75)}
    false = checks["Landsat: false plumes per 10 x 10 km of desert"]
    assert false.value == pytest.approx(1.0, rel=0.01) and not false.is_ok
    assert "1.00" in sensor_lines(by_sensor, 0.75)[1]
