"""Rows of footprints: their means, their own errors, and what their quarters differ by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import planted_columns, soundings_of
from plumewatch.oco2.evaluation.judged_strips import TRAINING, World
from plumewatch.oco2.evaluation.surroundings import SimulatedStripNoise
from plumewatch.oco2.row_noise import estimate_strengths, kernels
from plumewatch.oco2.rows import UNSEEN_PPM2, Rows
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track, compute_track, straight_track


def noisy(seed: int = 1, length_km: float = 600.0) -> Track:
    return compute_track(soundings_of(planted_columns(np.random.default_rng(seed), length_km)))


def test_a_row_is_the_mean_of_its_footprints() -> None:
    track = noisy()
    rows = Rows.of(track)
    assert rows.km_per_row == pytest.approx(2.25, abs=0.05) and rows.n_soundings.max() == 8
    assert rows.n_soundings.sum() == len(track)
    at = 100
    here = np.abs(track.distance_km - rows.distance_km[at]) < 1.0
    assert here.sum() == rows.n_soundings[at]
    assert rows.value_ppm[at] + rows.origin_ppm == pytest.approx(track.xco2_ppm[here].mean(), abs=0.05)


@pytest.mark.parametrize("stated_over_true", [0.5, 1.0, 3.0])
def test_the_own_error_is_what_neighbours_differ_by_whatever_is_stated(stated_over_true: float) -> None:
    track = noisy(2, 2000.0)
    stated = replace(track, uncertainty_ppm=np.full(len(track), 0.45 * stated_over_true))
    rows = Rows.of(stated)
    full = rows.n_soundings == 8
    assert np.sqrt(8 * rows.variance_ppm2[full]).mean() == pytest.approx(0.45, rel=0.06)


def test_a_gap_has_rows_that_are_not_seen_and_a_very_long_one_is_cut_short() -> None:
    track = noisy()
    km = track.distance_km
    rows = Rows.of(compute_track(soundings_of(planted_columns(np.random.default_rng(1), 600), (km < 200) | (km > 300))))
    hidden = ~rows.is_seen
    assert 40 <= hidden.sum() <= 48 and (rows.variance_ppm2[hidden] == UNSEEN_PPM2).all()
    assert (np.diff(rows.distance_km) > 0).all()
    far = straight_track(np.r_[np.arange(0, 100, 0.3), np.arange(1e6, 1e6 + 100, 0.3)], *np.full((2, 668), 400.0))
    assert len(Rows.of(far)) < 2 * 50 + peak_thresholds().rows.longest_gap


def test_one_sounding_and_one_row_are_rows() -> None:
    one = Rows.of(straight_track(np.array([5.0]), np.array([400.0]), np.array([0.5])))
    assert len(one) == 1 and one.value_ppm[0] == 0.0 and one.km_per_row == 2.25


def test_what_stands_alone_counts_no_more_than_its_neighbours() -> None:
    track = noisy(3)
    xco2 = track.xco2_ppm.copy()
    xco2[400] += 50.0
    spoilt, clean = Rows.of(replace(track, xco2_ppm=xco2)), Rows.of(track)
    assert np.abs(spoilt.value_ppm - clean.value_ppm).max() < 0.5


def test_the_quarters_of_a_row_tell_a_plume_of_one_side() -> None:
    track = noisy(4)
    left = track.across_km < 0
    plume = 4.0 * np.exp(-0.5 * ((track.distance_km - 300.0) / 3.0) ** 2)
    rows = Rows.of(replace(track, xco2_ppm=track.xco2_ppm + plume * left))
    at = int(np.argmin(np.abs(rows.distance_km - 300.0)))
    assert rows.quarter_ppm[:, at] == pytest.approx([2.0, 2.0, -2.0, -2.0], abs=0.8)
    assert (np.abs(np.median(rows.quarter_ppm, axis=1)) < 0.1).all()
    assert rows.quarter_share == pytest.approx(0.25, abs=0.01)
    assert (rows.quarter_weight > 0).mean() > 0.95


def test_quarters_at_the_ends_of_a_track_differ_as_they_do_in_its_middle() -> None:
    """What is alike over tens of rows ends there: it must not follow the last row, nor what that differs by."""
    ends, middle, weights = [], [], []
    for seed in range(20):
        rows = Rows.of(noisy(seed, 300.0))
        ends.append(rows.quarter_ppm[:, [0, 1, -2, -1]])
        middle.append(rows.quarter_ppm[:, 40:-40])
        weights.append(rows.quarter_weight[:, [0, -1]].mean() / rows.quarter_weight[:, 40:-40].mean())
    assert np.std(ends) == pytest.approx(np.std(np.concatenate(middle, axis=1)), rel=0.15)
    assert 0.8 < np.mean(weights) < 1.2


def test_a_coast_within_a_row_tells_nothing_of_its_quarters() -> None:
    columns = planted_columns(np.random.default_rng(5), 300)
    track = compute_track(soundings_of(columns))
    water = (track.across_km < 0) & (np.abs(track.distance_km - 150) < 10)
    rows = Rows.of(replace(track, is_water=water.astype(float)))
    here = np.abs(rows.distance_km - 150) < 9
    assert (rows.quarter_weight[:, here] == 0).all() and rows.water[here] == pytest.approx(0.5)


def test_strengths_of_what_rows_share_are_found_whatever_plumes_there_are() -> None:
    noise = peak_thresholds().noise
    told = []
    for judged in World(TRAINING, (), (SimulatedStripNoise(),)).empty_strips(60):
        rows = Rows.of(judged.track)
        found = estimate_strengths(rows, np.array([0]), len(rows))[0]
        truth = sum(sd**2 for sd, _ in judged.covariance.shared)
        told.append((found[: len(noise.errors_km)].sum(), truth, found[len(noise.errors_km) :].sum()))
        assert (found >= noise.least_ppm2).all()
    errors, truth, _ = np.array(told).T
    assert np.corrcoef(errors, truth)[0, 1] > 0.4 and np.median(errors / truth) == pytest.approx(1.0, abs=0.4)
    track = noisy(6)
    plume = 6.0 * np.exp(-0.5 * ((track.distance_km - 300.0) / 6.0) ** 2)
    with_plume = Rows.of(replace(track, xco2_ppm=track.xco2_ppm + plume))
    clean = estimate_strengths(Rows.of(track), np.array([0]), 270)
    assert estimate_strengths(with_plume, np.array([0]), 270) == pytest.approx(clean, rel=0.6, abs=0.02)


def test_correlations_start_at_one_and_fall() -> None:
    apart = np.linspace(0.0, 300.0, 50)
    assert kernels(apart)[:, 0] == pytest.approx(1.0) and (np.diff(kernels(apart), axis=1) < 0).all()
