from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plumewatch.oco2.evaluation.particle_plume import (
    CELL_KM,
    DOWNWIND_KM,
    PlumeField,
    Weather,
    line_integral_ppm_km,
    simulate_plume,
)
from plumewatch.oco2.evaluation.strip import FOOTPRINTS, ROW_KM, Crossing, Strip

STRAIGHT = Weather(5.0, eddy_share=0.0, meander=0.0)


def simulated(weather: Weather, seed: int = 1) -> PlumeField:
    return simulate_plume(np.random.default_rng(seed), weather)


def spread_km(field: PlumeField, distance_km: float) -> float:
    y, enhancement = field.across(distance_km)
    middle = field.middle_km(distance_km)
    return float(np.sqrt(enhancement @ (y - middle) ** 2 / enhancement.sum()))


def width_km(field: PlumeField, distance_km: float) -> float:
    _, enhancement = field.across(distance_km)
    return float((enhancement >= enhancement.max() / 2).sum() * CELL_KM)


@pytest.fixture(scope="module")
def fields() -> list[PlumeField]:
    rng = np.random.default_rng(3)
    return [simulate_plume(rng, Weather.draw(rng)) for _ in range(24)]


@pytest.mark.parametrize("wind_m_s", [2.0, 3.0, 5.0, 7.0, 10.0])
@pytest.mark.parametrize("turning_deg", [0.0, -25.0])
def test_emission_is_section_times_wind(wind_m_s: float, turning_deg: float) -> None:
    field = simulated(replace(STRAIGHT, wind_m_s=wind_m_s, turning_deg=turning_deg))
    x = np.arange(2.0, 100.0, 0.5)
    integral = np.array([field.across(d)[1].sum() * CELL_KM for d in x])
    for start in range(0, len(x), 28):  # over some 14 km, as the particles come at random
        assert integral[start : start + 28].mean() == pytest.approx(line_integral_ppm_km(1.0, wind_m_s), rel=0.03)
    # 1 kt/h is 277.8 kg/s; the standard check of science/oco2.md has 13.136 kg/s for 1 ppm km, 1 m/s and 8644 kg/m2
    assert line_integral_ppm_km(1.0, wind_m_s) * wind_m_s * 13.136 * 10177 / 8644 == pytest.approx(277.8, rel=0.003)


def test_mass_stays_when_the_wind_meanders(fields: list[PlumeField]) -> None:
    ratio = []
    for field in fields:
        whole = field.enhancement_ppm[: round((100.0 - DOWNWIND_KM[0]) / CELL_KM)].sum() * CELL_KM**2
        ratio.append(whole / 100.0 / line_integral_ppm_km(1.0, field.weather.wind_m_s))
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.05) and max(ratio) < 1.5


def test_widths_are_those_of_a_mesoscale_model(fields: list[PlumeField]) -> None:
    spread = {d: np.array([spread_km(field, d) for field in fields]) for d in (3.5, 15.0, 20.0, 80.0)}
    assert 0.5 < np.median(spread[3.5]) < 0.9
    assert 1.7 < np.median(spread[15.0]) < 2.6 and 2.0 < np.median(spread[20.0]) < 3.3
    assert 6.0 < np.median(spread[80.0]) < 10.0 and 8.0 < spread[80.0].max() < 16.0
    wide = np.array([width_km(field, d) for field in fields for d in (15.0, 20.0)])
    assert 4.0 < np.median(wide) < 7.0


def test_spread_grows_linearly_then_with_the_root() -> None:
    weather = replace(STRAIGHT, mixing_km=15.0)
    field = simulated(weather)
    near, far = (np.log(spread_km(field, 2 * d) / spread_km(field, d)) / np.log(2.0) for d in (4.0, 75.0))
    assert 0.75 < near < 1.0 and 0.42 < far < 0.62
    for d in (10.0, 20.0, 40.0, 80.0):
        assert spread_km(field, d) == pytest.approx(float(np.hypot(weather.spread_km(np.array(d)), 0.3)), rel=0.12)


def test_plumes_meander_and_are_skewed_and_lumpy(fields: list[PlumeField]) -> None:
    middle = np.array([[field.middle_km(d) for d in range(2, 100, 2)] for field in fields])
    assert 3.0 < np.abs(middle[:, -1]).mean() < 25.0
    skews, misfits = [], []
    for field in fields:
        y, enhancement = field.across(20.0)
        z = (y - field.middle_km(20.0)) / spread_km(field, 20.0)
        skews.append(enhancement @ z**3 / enhancement.sum())
        curve = np.exp(-0.5 * z**2)
        curve *= (enhancement @ curve) / (curve @ curve)
        misfits.append(np.abs(enhancement - curve).sum() / enhancement.sum())
    assert np.max(np.abs(skews)) > 0.2 and np.median(misfits) > 0.05  # no Gaussian


@pytest.mark.parametrize("turning_deg", [20.0, 25.0, 30.0, 35.0, 40.0])
def test_turning_wind_shears_and_widens(turning_deg: float) -> None:
    still, left, right = (simulated(replace(STRAIGHT, turning_deg=turn)) for turn in (0.0, turning_deg, -turning_deg))
    for field in (left, right):
        assert 1.02 < spread_km(field, 40.0) / spread_km(still, 40.0) < 2.0
    apart_km = right.middle_km(8.0) - left.middle_km(8.0)  # released low, where the wind goes aside
    assert 0.8 < apart_km / np.tan(np.radians(turning_deg)) < 4.0


@pytest.mark.parametrize(("is_ahead", "is_right"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("angle_deg", [35.0, 50.0, 70.0])
def test_a_plume_lies_along_the_wind(is_ahead: bool, is_right: bool, angle_deg: float) -> None:
    strip, crossing = Strip(267, 0.0), Crossing(300.0, 12.0, angle_deg, is_ahead, is_right)
    seen = crossing.enhancement(simulated(STRAIGHT), strip)
    middle_km = (seen * strip.along_km).sum(axis=0) / seen.sum(axis=0)
    u, v = crossing.wind_m_s(5.0)
    slope = np.polyfit(strip.across_km[0], middle_km, 1)[0]
    assert slope == pytest.approx(v / u, abs=0.15) and np.hypot(u, v) == pytest.approx(5.0)
    assert (u > 0) == is_right and (v > 0) == is_ahead
    spread = np.sqrt((seen * (strip.along_km - middle_km) ** 2).sum(axis=0) / seen.sum(axis=0))
    downwind = spread[-1] > spread[0] if is_right else spread[0] > spread[-1]
    assert downwind  # it widens with the wind


@pytest.mark.parametrize("angle_deg", [20.0, 30.0, 45.0, 60.0, 75.0])
@pytest.mark.parametrize("slant_deg", [-30.0, 0.0, 40.0])
def test_an_oblique_cut_is_longer_by_the_sine(angle_deg: float, slant_deg: float) -> None:
    field, strip = simulated(STRAIGHT), Strip(267, slant_deg)
    upright = Crossing(300.0, 40.0, 90.0).enhancement(field, strip).mean(axis=1).sum() * ROW_KM
    assert upright == pytest.approx(line_integral_ppm_km(1.0, 5.0), rel=0.04)
    for is_ahead, is_right in ((True, True), (False, True), (True, False)):
        crossing = Crossing(300.0, 40.0, angle_deg, is_ahead, is_right)
        profile = crossing.enhancement(field, strip).mean(axis=1)
        assert profile.sum() * ROW_KM * np.sin(np.radians(angle_deg)) == pytest.approx(upright, rel=0.05)
        assert profile @ strip.row_km / profile.sum() == pytest.approx(300.0, abs=12.0)


def test_near_its_plant_a_part_of_the_strip_sees_the_plume() -> None:
    field, strip = simulated(STRAIGHT), Strip(267, 0.0)
    by_footprint = Crossing(300.0, 2.0, 90.0).enhancement(field, strip).sum(axis=0)
    assert by_footprint[0] < 0.02 * by_footprint.max()  # upwind of the plant
    assert (by_footprint > 0.5 * by_footprint.max()).sum() in (5, 6)
    beyond = Crossing(300.0, 2.0, 90.0, across_km=4.5).enhancement(field, strip).sum(axis=0)
    assert (beyond > 0.5 * beyond.max()).sum() <= 2
    blown_left = Crossing(300.0, 2.0, 90.0, is_right=False).enhancement(field, strip).sum(axis=0)
    assert np.allclose(blown_left, by_footprint[::-1], rtol=0.1, atol=0.02 * by_footprint.max())


def test_a_strip_is_a_track() -> None:
    strip = Strip(40, 30.0)
    seen = np.random.default_rng(1).random((40, FOOTPRINTS)) < 0.6
    is_water = np.arange(40)[:, None] + np.zeros(FOOTPRINTS) < 20
    track = strip.track(np.full(seen.shape, 410.0), seen, np.full(seen.shape, 0.5), is_water, (3.0, -2.0))
    assert len(track) == seen.sum() and (np.diff(track.time_s) >= 0).all() and track.distance_km.min() >= 0
    assert np.array_equal(track.distance_km, strip.along_km[seen])
    assert np.ptp(track.across_km) == pytest.approx(7.8, abs=0.1)
    slope = np.polyfit(strip.across_km[0], strip.along_km[0], 1)[0]
    assert slope == pytest.approx(np.tan(np.radians(30.0)))
    assert np.cos(np.radians(track.bearing_deg(40.0))) > 0.998 and (track.wind_v_m_s == -2.0).all()
