"""The emission of a known source from the soundings under its plume."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lite_granules import along_km, northward_track
from planted import noise, soundings_of
from plumewatch.geodesy import destination
from plumewatch.oco2.gaussian_plume import PlumeSource, compute_plume_ppm, wind_direction_deg
from plumewatch.oco2.plume_inversion import PlumeInversion, estimate_source_emission, invert_plume
from plumewatch.oco2.plume_wind import surface_to_plume_height
from plumewatch.oco2.track import Track, compute_track

TRACK_KM = 400.0
WIND = (5.0, 1.0)
SPEED = math.hypot(*WIND)
COLUMNS = northward_track(TRACK_KM)
SOUNDINGS = soundings_of(COLUMNS)
TRACK = compute_track(SOUNDINGS)
ORDER = np.argsort(COLUMNS["sounding_id"])
MIDDLE = (20.0, -30.0 + 200.0 / 111.195)
FOOTPRINT_POINTS = np.linspace(-0.5, 0.5, 6)[:-1] + 0.1


def stack(distance_km: float, emission_kt_h: float, north_km: float = 0.0, width_km: float = 0.0) -> PlumeSource:
    """A source west of the track's middle, at a distance."""
    lon, lat = destination(*destination(*MIDDLE, 270.0, distance_km), 0.0, north_km)
    return PlumeSource(float(lon), float(lat), emission_kt_h, width_km)


def turned(wind: tuple[float, float], rotation_deg: float) -> tuple[float, float]:
    """The wind, turned clockwise."""
    towards = math.radians(wind_direction_deg(*wind) + rotation_deg)
    return math.hypot(*wind) * math.sin(towards), math.hypot(*wind) * math.cos(towards)


def plume_ppm(*sources: PlumeSource, rotation_deg: float = 0.0, stability: str | float = "C") -> Any:
    """What the soundings see of plumes: means over footprints of 1.29 x 2.25 km."""
    total = np.zeros(len(TRACK))
    for east_km in FOOTPRINT_POINTS * 1.29:
        for north_km in FOOTPRINT_POINTS * 2.25:
            place = destination(*destination(TRACK.longitude, TRACK.latitude, 90.0, east_km), 0.0, north_km)
            wind = turned(WIND, rotation_deg)
            total += compute_plume_ppm(*place, sources, *wind, TRACK.surface_pressure_hpa, TRACK.tcwv_kg_m2, stability)
    return total / len(FOOTPRINT_POINTS) ** 2


def seen(ppm: Any, background_ppm: Any = 402.0) -> Track:
    """The track with an enhancement on a background."""
    return replace(TRACK, xco2_ppm=ppm + background_ppm)


def reason(inversion: PlumeInversion) -> str:
    """The status of an inversion that must not state an emission."""
    assert inversion.emission_kt_h is None and inversion.emission_kt_h_low is None
    assert inversion.emission_kt_h_high is None and inversion.errors is None
    return inversion.status


@pytest.mark.parametrize("distance_km", [8.0, 20.0, 60.0])
@pytest.mark.parametrize("stability", ["B", "D"])
def test_a_planted_emission_comes_back(distance_km: float, stability: str) -> None:
    source = stack(distance_km, 2.5)
    slope = 402.0 + 0.004 * TRACK.distance_km
    found = invert_plume(seen(plume_ppm(source, stability=stability), slope), replace(source, emission_kt_h=0.0), WIND)
    assert found.status == "ok"
    assert found.emission_kt_h == pytest.approx(2.5, rel=0.05)
    assert found.rotation_deg == pytest.approx(0.0, abs=0.5)
    assert found.downwind_km == pytest.approx(distance_km * SPEED / WIND[0], rel=0.05)
    assert found.emission_kt_h_low < 2.5 < found.emission_kt_h_high


def test_the_emission_is_linear_in_wind_and_enhancement() -> None:
    source = stack(30.0, 2.0)
    ppm = plume_ppm(source)
    once = invert_plume(seen(ppm), source, WIND)
    assert invert_plume(seen(3 * ppm), source, WIND).emission_kt_h == pytest.approx(3 * once.emission_kt_h, rel=1e-6)
    faster = invert_plume(seen(ppm), source, (2 * WIND[0], 2 * WIND[1]))
    assert faster.emission_kt_h == pytest.approx(2 * once.emission_kt_h, rel=1e-6)


@pytest.mark.parametrize("rotation_deg", [-25.0, 7.0, 28.0])
def test_a_wind_that_points_beside_the_plume_is_turned_to_it(rotation_deg: float) -> None:
    source = stack(30.0, 2.0)
    track = seen(plume_ppm(source, rotation_deg=rotation_deg))
    found = invert_plume(track, source, WIND)
    assert found.rotation_deg == pytest.approx(rotation_deg, abs=0.7)
    assert found.emission_kt_h == pytest.approx(2.0, rel=0.06)
    held = invert_plume(track, source, WIND, max_rotation_deg=0.0)
    assert held.rotation_deg == 0.0 and held.errors.rotation < 1e-9
    is_missed = held.status == "no_enhancement" or held.emission_kt_h < 1.5
    assert is_missed == (abs(rotation_deg) > 10.0)


def test_the_stability_is_searched_or_held() -> None:
    source = stack(40.0, 2.0)
    track = seen(plume_ppm(source, stability=80.0))
    assert invert_plume(track, source, WIND).stability_m == pytest.approx(80.0, rel=0.05)
    held = invert_plume(track, source, WIND, stability="A")
    assert held.stability_m == 213.0 and held.errors.stability < 1e-9


def test_an_area_source_needs_its_width() -> None:
    city = stack(20.0, 4.0, width_km=25.0)
    track = seen(plume_ppm(city))
    assert invert_plume(track, city, WIND).emission_kt_h == pytest.approx(4.0, rel=0.05)
    as_stack = invert_plume(track, replace(city, width_km=0.0), WIND)
    assert abs(as_stack.emission_kt_h - 4.0) > 0.4


def test_what_another_source_emits_is_not_counted_twice() -> None:
    source, other = stack(30.0, 2.0), stack(45.0, 3.0, north_km=-4.0)
    track = seen(plume_ppm(source, other))
    alone = invert_plume(track, source, WIND)
    together = invert_plume(track, source, WIND, [other])
    assert alone.emission_kt_h > 3.0 and alone.errors.other_sources == 0.0
    assert together.emission_kt_h == pytest.approx(2.0, rel=0.05)
    assert 0.1 < together.errors.other_sources < 2.0


def test_a_wind_from_the_other_side_gives_a_reason() -> None:
    source = stack(30.0, 2.0)
    assert reason(invert_plume(seen(plume_ppm(source)), source, (-WIND[0], WIND[1]))) == "not_downwind"


def test_a_source_out_of_reach_gives_a_reason() -> None:
    assert reason(invert_plume(seen(0.0), stack(120.0, 2.0), WIND)) == "not_downwind"


def test_a_plume_between_the_soundings_gives_a_reason() -> None:
    """A stretch without soundings where the plume passes: what is left tells the background alone."""
    source = stack(30.0, 2.0)
    kept = soundings_of(COLUMNS, np.abs(along_km(COLUMNS) - 200.0) > 40.0)
    track = compute_track(kept)
    assert reason(invert_plume(track, source, WIND)) == "not_downwind"


@pytest.mark.parametrize(
    ("wind", "status"), [((math.nan, 1.0), "no_wind"), ((0.5, 1.0), "wind_too_weak"), ((0.0, 0.0), "wind_too_weak")]
)
def test_a_bad_wind_gives_a_reason(wind: tuple[float, float], status: str) -> None:
    assert reason(invert_plume(seen(0.0), stack(30.0, 2.0), wind)) == status


def test_no_pressure_gives_a_reason_and_single_gaps_do_not() -> None:
    source = stack(30.0, 2.0)
    track = seen(plume_ppm(source))
    without = np.full(len(track), np.nan)
    assert reason(invert_plume(replace(track, surface_pressure_hpa=without), source, WIND)) == "no_wind"
    gaps = np.where(np.arange(len(track)) % 7, track.surface_pressure_hpa, np.nan)
    found = invert_plume(replace(track, surface_pressure_hpa=gaps), source, WIND)
    assert found == invert_plume(track, source, WIND)


def test_few_soundings_give_a_reason() -> None:
    kept = soundings_of(COLUMNS, np.abs(along_km(COLUMNS) - 205.0) < 10.0)
    assert reason(invert_plume(compute_track(kept), stack(30.0, 2.0), WIND)) == "too_few_soundings"
    assert reason(invert_plume(compute_track(SOUNDINGS.slice(0, 0)), stack(30.0, 2.0), WIND)) == "not_downwind"


def test_a_deficit_is_no_negative_emission() -> None:
    source = stack(30.0, 2.0)
    dip = seen(-np.exp(-0.5 * ((TRACK.distance_km - TRACK.distance_km.mean()) / 25.0) ** 2))
    found = invert_plume(dip, source, WIND, max_rotation_deg=0.0)
    assert (found.status, found.emission_kt_h, found.emission_kt_h_low) == ("no_enhancement", 0.0, 0.0)
    assert found.emission_kt_h_high > 0.0


@pytest.mark.parametrize("wind_error_m_s", [0.0, 1.0])
def test_the_interval_holds_the_truth_as_often_as_it_says(wind_error_m_s: float) -> None:
    """68 % intervals over correlated noise, winds turned at random, stabilities of any class, and wrong wind speeds."""
    rng = np.random.default_rng(7)
    trials, emission, held = 150, 4.0, []
    source = stack(40.0, emission)
    by_shape = {a: plume_ppm(source, stability=a) for a in (50.0, 80.0, 130.0, 190.0)}
    found = []
    for _ in range(trials):
        ppm = by_shape[rng.choice(list(by_shape))] + noise(rng, along_km(COLUMNS))[ORDER]
        scale = 1.0 + rng.normal(0.0, wind_error_m_s) / SPEED
        wind = turned((WIND[0] * scale, WIND[1] * scale), float(np.clip(rng.normal(0.0, 10.0), -25.0, 25.0)))
        result = invert_plume(seen(ppm), source, wind, wind_error_m_s=wind_error_m_s)
        held.append(result.emission_kt_h_low <= emission <= result.emission_kt_h_high)
        found.append(result.emission_kt_h)
    assert 0.58 <= np.mean(held) <= 0.82
    assert np.median(found) == pytest.approx(emission, rel=0.06)


def test_the_parts_of_the_interval_add_in_quadrature() -> None:
    rng = np.random.default_rng(3)
    source = stack(40.0, 4.0)
    found = invert_plume(seen(plume_ppm(source) + noise(rng, along_km(COLUMNS))[ORDER]), source, WIND)
    parts = found.errors
    assert parts.total**2 == pytest.approx(
        parts.noise**2 + parts.wind_speed**2 + parts.rotation**2 + parts.stability**2 + parts.background**2
    )
    assert parts.wind_speed == pytest.approx(found.emission_kt_h / 5.0, rel=0.05)  # a fifth of the wind
    assert found.emission_kt_h_high - found.emission_kt_h == pytest.approx(parts.total)
    assert found.emission_kt_h - found.emission_kt_h_low == pytest.approx(parts.total)


def test_a_table_of_soundings_and_a_source_are_enough() -> None:
    source = stack(30.0, 2.0)
    table = soundings_of({**COLUMNS, "xco2": 402.0 + plume_ppm(source)[np.argsort(ORDER)]})
    given = estimate_source_emission(table, source, wind=WIND)
    assert given.emission_kt_h == pytest.approx(2.0, rel=0.06)
    own = estimate_source_emission(table, source)  # the soundings' wind is (5, 1) m/s at 10 m
    assert own.wind_speed_m_s == pytest.approx(SPEED * surface_to_plume_height(), rel=1e-3)
    assert own.emission_kt_h == pytest.approx(given.emission_kt_h * surface_to_plume_height(), rel=1e-3)
    assert own.errors.wind_speed / own.emission_kt_h > given.errors.wind_speed / given.emission_kt_h
    assert reason(estimate_source_emission(table, stack(-30.0, 2.0))) == "not_downwind"


def test_a_narrow_plume_is_no_outlier() -> None:
    """Nine kilometres from the stack the plume is as narrow as a row of footprints: that must not make it suspect."""
    source = stack(9.0, 2.0)
    table = soundings_of({**COLUMNS, "xco2": 402.0 + plume_ppm(source)[np.argsort(ORDER)]})
    assert estimate_source_emission(table, source, wind=WIND).emission_kt_h == pytest.approx(2.0, rel=0.06)


def test_repetition_gives_the_same() -> None:
    source = stack(30.0, 2.0)
    track = seen(plume_ppm(source) + noise(np.random.default_rng(1), along_km(COLUMNS))[ORDER])
    assert invert_plume(track, source, WIND) == invert_plume(track, source, WIND)


def test_out_of_reach_is_said_where_there_is_no_wind_either() -> None:
    assert reason(estimate_source_emission(SOUNDINGS, PlumeSource(100.0, 40.0, 1.0, 0.0))) == "not_downwind"


def test_a_missing_pressure_is_that_of_the_plume_s_surroundings() -> None:
    source = stack(20.0, 2.5)
    gaps = TRACK.surface_pressure_hpa.copy()
    far = np.abs(TRACK.distance_km - 200.0) > 110.0
    gaps[far] = 500.0  # mountains for more than half of the orbit
    near = np.flatnonzero(~far)[::2]
    whole, holed = gaps.copy(), gaps.copy()
    holed[near] = np.nan
    found = [
        invert_plume(replace(seen(plume_ppm(source)), surface_pressure_hpa=p), source, WIND) for p in (whole, holed)
    ]
    assert found[1].emission_kt_h == pytest.approx(found[0].emission_kt_h, rel=0.01)
