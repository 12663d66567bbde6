from __future__ import annotations

import numpy as np
import pytest
from plumewatch.oco2.evaluation.ideal_scan import PLACES, IdealScan, recalls_as_told
from plumewatch.oco2.evaluation.judged_strips import JUDGING, JudgedStrip, World
from plumewatch.oco2.evaluation.shape_filter import StripFilter, threshold_of
from plumewatch.oco2.evaluation.strip import Strip
from plumewatch.oco2.evaluation.strip_truth import TruePlume
from plumewatch.oco2.evaluation.surroundings import SimulatedStripNoise


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(JUDGING, 6, [SimulatedStripNoise()])


@pytest.fixture(scope="module")
def ideal(world: World) -> IdealScan:
    return IdealScan(world, 30)


def planted(world: World, count: int) -> list[tuple[JudgedStrip, TruePlume, list[TruePlume]]]:
    return [
        (strip, plume, [other for other in strip.plumes if other is not plume])
        for strip in world.planted_strips(count)
        for plume in strip.plumes
    ]


def test_shapes_are_moved_along_as_they_are_tested_at_one_place(world: World) -> None:
    for judged, plume, others in planted(world, 12):
        filtering, n_rows = StripFilter(judged), judged.strip.n_rows
        shapes = np.stack([np.roll(plume.enhancement_ppm, 3, axis=0), plume.enhancement_ppm])
        overlap, information = filtering.moved(shapes, others)
        assert overlap.shape == information.shape == (2, 2 * n_rows - 1)
        z = overlap / np.sqrt(np.maximum(information, 1e-9))
        if plume.n_soundings:
            assert z[1, n_rows - 1] == pytest.approx(filtering.at(plume, others), abs=1e-6)
            assert z[0, n_rows - 4] == pytest.approx(z[1, n_rows - 1], abs=1e-6)


def test_without_a_plume_the_mean_likelihood_ratio_is_seldom_large(world: World, ideal: IdealScan) -> None:
    along = np.stack([ideal.along(judged) - np.log(2 * PLACES + 1) for judged in world.empty_strips(30)])
    # Markov: a mean of 1 exceeds x in less than 1 of x; rough stretches, of which it isn't told, exceed it
    assert np.mean(along > np.log(20.0)) < 1.0 / 20.0 and np.median(along) < 0.0


def test_it_finds_strong_plumes_where_they_are_and_less_than_who_knows_the_shape(
    world: World, ideal: IdealScan
) -> None:
    empty, some = list(world.empty_strips(40)), planted(world, 30)
    threshold = ideal.threshold(empty, 0.05)
    of_filter = threshold_of(empty, [plume.enhancement_ppm for _, plume, _ in some], 0.05)
    found = [ideal.at(*one) > threshold for one in some]
    known = [StripFilter(judged).at(plume, others) > of_filter for judged, plume, others in some]
    assert 0.6 * sum(known) < sum(found) <= sum(known)
    for judged, plume, others in some:
        if plume.largest_ppm > 5.0 and plume.seen_core > 0.9:
            at_km = judged.strip.row_km[np.argmax(ideal.along(judged, others))]
            assert abs(at_km - plume.centre_km) <= 40.0 and ideal.at(judged, plume, others) > threshold


def test_in_noise_as_told_it_pays_for_looking_everywhere_alone(world: World, ideal: IdealScan) -> None:
    of_filter, of_ideal = recalls_as_told(world, ideal, 20, 40, 0.05)
    assert 0.75 * of_filter < of_ideal <= of_filter
    told = SimulatedStripNoise.as_told().draw(np.random.default_rng(1), Strip(4000, 10.0))
    spread = np.std(told.error_ppm - told.error_ppm.mean(axis=1, keepdims=True), ddof=0) * np.sqrt(8 / 7)
    assert spread == pytest.approx(told.single_ppm, rel=0.02)  # no rough stretch beside its own errors
