"""What is looked at, what it is compared with, and what is stated where nothing is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from plumewatch.gases import ISOLATION_FOREST, MULTI_PASS, SINGLE_PASS
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.detection import detect_multi_pass
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, simulate_area
from plumewatch.methane.pass_search import PassResult, choose_references, nothing_to_search, search_pass, time_of
from plumewatch.methane.passes import Pass
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.statuses import NO_INPUT, NO_REFERENCE, SEARCHED, SKIPPED_CLOUD
from plumewatch.wind.at_point import WindAtPoint

LIMITS = plume_thresholds()
FOREST = ForestSettings()
SIZE = 120


@pytest.fixture(scope="module")
def calm() -> SimulatedArea:
    return simulate_area(51, size=SIZE, n_references=3, clouds=False)


def search(
    area: SimulatedArea, u: float | None = 3.0, v: float = 1.0, method: str = MULTI_PASS, target: Pass | None = None
) -> PassResult:
    wind = None if u is None else WindAtPoint(u, v, 10.0)
    return search_pass(
        "here", target or area.passes[-1], area.passes[-2::-1], lambda *_: wind, method, FOREST, LIMITS
    )  # fmt: skip


def cover(one: Pass, share: float) -> Pass:
    """The first rows of the pass under cloud, their share of it."""
    usable = one.is_usable.copy()
    usable[: round(share * SIZE)] = False
    return replace(one, is_usable=usable)


@pytest.mark.parametrize("method", [MULTI_PASS, SINGLE_PASS])
def test_the_detection_limit_goes_with_the_wind(calm: SimulatedArea, method: str) -> None:
    limits = [search(calm, n * 2.0, n * 1.0, method).observation["detection_limit"] for n in (1, 2, 4)]
    assert np.isfinite(limits).all() and limits[0] > 0
    assert limits[1:] == pytest.approx([2 * limits[0], 4 * limits[0]], rel=1e-4)


def test_a_limit_of_a_desert_is_that_of_the_satellite(calm: SimulatedArea) -> None:
    assert 100 < search(calm).observation["detection_limit"] < 5000  # kg/h, in 3 m/s


def test_more_noise_is_a_higher_limit(calm: SimulatedArea) -> None:
    rng = np.random.default_rng(1)
    target = calm.passes[-1]
    noisy = replace(target, b12=(target.b12 * (1 + 0.01 * rng.standard_normal(target.shape))).astype(np.float32))
    plain, worse = (search(calm, target=one).observation["detection_limit"] for one in (target, noisy))
    assert worse > 1.5 * plain


def test_without_a_wind_there_is_no_limit(calm: SimulatedArea) -> None:
    observation = search(calm, None).observation
    assert observation["detection_limit"] is None and observation["wind_speed_m_s"] is None
    assert observation["outcome"] == SEARCHED


def test_a_wind_of_nothing_does_no_harm(calm: SimulatedArea) -> None:
    assert search(calm, 0.0, 0.0).observation["outcome"] == SEARCHED


def test_the_observation_says_what_was_looked_at(calm: SimulatedArea) -> None:
    target = calm.passes[-1]
    observation = search(calm).observation
    assert observation["area"] == "here" and observation["outcome"] == SEARCHED and observation["detected"] is False
    assert observation["scene_id"] == target.scene_ids[0] and observation["clear_fraction"] == 1.0
    assert observation["observed_at_utc"] == target.observed_at_utc.isoformat()
    assert observation["wind_speed_m_s"] == pytest.approx(np.hypot(3, 1))


def test_a_plume_is_detected_with_its_wind() -> None:
    plume = PlantedPlume(8000.0, 60.0, 40.0, 3.0, 1.0)
    area = simulate_area(52, size=SIZE, plumes=(plume,), n_references=4, clouds=False, reference_plume_share=0.0)
    result = search(area)
    assert result.observation["detected"] is True and len(result.references) == 4
    assert result.plumes[0].candidate.mask[55:65, 38:60].any()
    towards_deg = np.degrees(np.arctan2(3.0, 1.0))  # the wind's u and v: where it blows to
    same = detect_multi_pass(area.passes[-1], result.references, LIMITS, towards_deg)
    assert result.detection.candidates[0].significance == pytest.approx(same.candidates[0].significance)


def test_a_clouded_pass_is_skipped(calm: SimulatedArea) -> None:
    result = search(calm, target=cover(calm.passes[-1], 0.85))
    assert (result.detection, result.plumes, result.references) == (None, (), ())
    assert result.observation["outcome"] == SKIPPED_CLOUD and result.observation["detection_limit"] is None
    assert result.observation["clear_fraction"] == pytest.approx(0.15)
    assert search(calm, target=cover(calm.passes[-1], 0.75)).observation["outcome"] == SEARCHED


def unseen(one: Pass, share: float) -> Pass:
    """The first columns of the pass beyond the swath, their share of it."""
    beyond = np.zeros(one.shape, bool)
    beyond[:, : round(share * SIZE)] = True
    b11, b12 = (np.where(beyond, np.float32("nan"), band) for band in (one.b11, one.b12))
    return replace(one, b11=b11, b12=b12, is_usable=one.is_usable & ~beyond)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.85, 0.9, 0.95])
@pytest.mark.parametrize("method", [MULTI_PASS, SINGLE_PASS])
def test_beyond_the_swath_is_no_cloud(calm: SimulatedArea, share: float, method: str) -> None:
    observation = search(calm, target=unseen(calm.passes[-1], share), method=method).observation
    assert (observation["outcome"], observation["clear_fraction"]) == (SEARCHED, 1.0)
    assert observation["covered_fraction"] == pytest.approx(1 - share)


@pytest.mark.parametrize("n_columns", [1, 2, 3])
@pytest.mark.parametrize("method", [MULTI_PASS, SINGLE_PASS, ISOLATION_FOREST])
def test_a_sliver_of_the_swath_does_no_harm(calm: SimulatedArea, n_columns: int, method: str) -> None:
    result = search(calm, target=unseen(calm.passes[-1], 1 - n_columns / SIZE), method=method)
    assert result.observation["outcome"] in (SEARCHED, NO_REFERENCE) and not result.observation["detected"]


@pytest.mark.parametrize(("cloud", "outcome"), [(0.5, SEARCHED), (0.79, SEARCHED), (0.82, SKIPPED_CLOUD)])
def test_cloud_counts_in_what_was_seen(calm: SimulatedArea, cloud: float, outcome: str) -> None:
    observation = search(calm, target=unseen(cover(calm.passes[-1], cloud), 0.85)).observation
    assert observation["outcome"] == outcome
    assert observation["clear_fraction"] == pytest.approx(1 - round(cloud * SIZE) / SIZE)
    assert observation["covered_fraction"] == pytest.approx(0.15)


def test_an_area_of_which_nothing_was_seen_has_no_input(calm: SimulatedArea) -> None:
    result = search(calm, target=unseen(calm.passes[-1], 1.0))
    assert (result.detection, result.plumes) == (None, ())
    observation = result.observation
    assert (observation["outcome"], observation["clear_fraction"]) == (NO_INPUT, None)
    assert observation["covered_fraction"] == 0.0


def test_a_reference_that_sees_a_part_is_one_for_that_part(calm: SimulatedArea) -> None:
    target, near = unseen(calm.passes[-1], 0.85), unseen(calm.passes[0], 0.8)
    assert choose_references(target, [near], LIMITS) == [near]
    other_side = replace(near, is_usable=calm.passes[0].is_usable & ~near.is_usable, b11=calm.passes[0].b11)
    assert choose_references(target, [other_side], LIMITS) == []


def test_without_a_reference_nothing_is_stated(calm: SimulatedArea) -> None:
    alone = replace(calm, passes=(cover(calm.passes[0], 0.9), calm.passes[-1]))
    observation = search(alone).observation
    assert (observation["outcome"], observation["detected"]) == (NO_REFERENCE, False)
    assert observation["detection_limit"] is None
    assert search(alone, method=SINGLE_PASS).observation["outcome"] == SEARCHED


def test_references_are_clear_see_the_same_ground_and_are_the_nearest(calm: SimulatedArea) -> None:
    target, near = calm.passes[-1], calm.passes[0]
    cloudy, half = cover(near, 0.8), cover(near, 0.5)
    assert choose_references(target, [cloudy, half, near], LIMITS) == [half, near]
    elsewhere = replace(target, is_usable=~half.is_usable)
    assert choose_references(elsewhere, [half, near], LIMITS) == [near]
    most = LIMITS.references.max_count
    many = [replace(near, relative_orbit=n) for n in range(2 * most)]
    assert [one.relative_orbit for one in choose_references(target, many, LIMITS)] == list(range(most))


def test_of_too_many_references_those_of_the_same_orbit_and_satellite_are_kept(calm: SimulatedArea) -> None:
    target, other = calm.passes[-1], calm.passes[0]
    most = LIMITS.references.max_count
    far = [replace(other, relative_orbit=target.relative_orbit + 1)] * most
    alike = [replace(other, platform=target.platform)] * 2
    chosen = choose_references(target, [*far, *alike], LIMITS)
    assert len(chosen) == most and chosen[-2:] == alike


def test_the_target_stored_twice_and_an_empty_picture_are_no_references(calm: SimulatedArea) -> None:
    target = calm.passes[-1]
    flat = replace(calm.passes[0], b11=np.full_like(target.b11, 0.3))
    assert choose_references(target, [replace(target), flat], LIMITS) == []
    scaled, shifted = replace(target, b11=target.b11 * 1.01), replace(target, b11=target.b11 + np.float32(1e-4))
    assert choose_references(target, [scaled, shifted, calm.passes[0]], LIMITS) == [calm.passes[0]]


def test_a_date_without_rows_is_said() -> None:
    row = nothing_to_search("here")
    assert (row["area"], row["outcome"], row["detected"], row["detection_limit"]) == ("here", NO_INPUT, False, None)
    assert set(row) == {
        "area", "outcome", "detected", "stage", "orbit", "scene_id", "source_id", "observed_at_utc", "clear_fraction",
        "covered_fraction", "wind_speed_m_s", "detection_limit",
    }  # fmt: skip


def test_a_pass_without_a_time_was_in_the_morning(calm: SimulatedArea) -> None:
    target = calm.passes[-1]
    assert time_of(target, "2030-01-01") == target.observed_at_utc
    solar = time_of(replace(target, observed_at_utc=None), "2025-08-20")
    assert solar == pytest.approx(datetime(2025, 8, 20, 6, 53, tzinfo=UTC), abs=np.timedelta64(60, "s").item())


@pytest.mark.parametrize(
    ("longitude", "hour"), [(178.0, 22.63), (-178.0, 22.37), (54.0, 6.9), (0.0, 10.5), (160.0, 23.83)]
)
def test_a_pass_without_a_time_was_on_its_own_day(calm: SimulatedArea, longitude: float, hour: float) -> None:
    target = calm.passes[-1]
    place = replace(target.place, longitude0=longitude)
    at = time_of(replace(target, observed_at_utc=None, place=place), "2025-08-20")
    assert at.date().isoformat() == "2025-08-20" and at.hour + at.minute / 60 == pytest.approx(hour, abs=0.02)
