from __future__ import annotations

import numpy as np
import pytest
from plumewatch.oco2.evaluation.emissions import emission_lines, source_emission_lines
from plumewatch.oco2.evaluation.limits import checks
from plumewatch.oco2.evaluation.matched_filter import CENTRES_KM, MatchedFilter, binned
from plumewatch.oco2.evaluation.methods import METHODS
from plumewatch.oco2.evaluation.noise import BLOCK_KM, TRACK_KM, RealNoise, SimulatedNoise
from plumewatch.oco2.evaluation.planted import (
    PlantedPeak,
    empty_tracks,
    figures_by_group,
    noise_tracks,
    peak_recall_lines,
    planted_tracks,
    run_peak_trials,
)


@pytest.fixture(scope="module")
def noise() -> RealNoise:
    """White noise of 0.5 ppm on a slope, with a plume from 200 to 260 km that has to be left out."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0.0, 400.0, 1300))
    y = 400.0 + 0.002 * x + rng.normal(0.0, 0.5, len(x)) + 8.0 * np.exp(-0.5 * ((x - 230.0) / 8.0) ** 2)
    return RealNoise.of("white noise", x, y, (200.0, 260.0))


def test_blocks_are_residuals_without_the_plume(noise: RealNoise) -> None:
    assert len(noise.blocks) == 33  # of 39 whole blocks of 10 km, six hold the plume
    residual = np.concatenate([block.residual_ppm for block in noise.blocks])
    assert residual.std() == pytest.approx(0.5, rel=0.1) and abs(np.median(residual)) < 0.05
    assert all(block.distance_km.min() >= 0 and block.distance_km.max() < BLOCK_KM for block in noise.blocks)
    track = noise.draw(np.random.default_rng(2))
    assert np.ptp(track.distance_km) == pytest.approx(TRACK_KM, abs=2) and (np.diff(track.distance_km) >= 0).all()


def test_matched_filter_finds_what_is_planted_and_nothing_else(noise: RealNoise) -> None:
    matched = MatchedFilter(binned(track) for track in noise_tracks(noise, 100))
    matched.set_threshold(empty_tracks(noise, 60), 0.02)
    empty = noise.draw(np.random.default_rng(3))
    peak = PlantedPeak(300.0, 2.0, 8.0)
    with_peak = peak.added_to(empty)
    assert matched.finds(peak, with_peak) and not matched.finds(peak, empty)
    # known covariance: in noise of its kind the statistic is normal with variance 1
    z = [matched.strongest(track)[120] for track in noise_tracks(noise, 60)]
    assert 0.3 < np.std(z) < 1.3
    assert CENTRES_KM[np.argmax(matched.strongest(with_peak))] == pytest.approx(300.0, abs=5)


def test_figures_add_up(noise: RealNoise) -> None:
    trials = run_peak_trials(noise, 2)
    reference = [trial.planted.height_ppm >= 1.2 for trial in trials]
    figures = figures_by_group(trials, reference)
    assert figures[None, None].n_trials == 24 and figures[2.0, None].n_trials == 6 and figures[2.0, 4.0].n_trials == 2
    assert figures[None, None].reference_recall == 0.75 and figures[4.0, None].recall == 1.0
    assert figures[4.0, None].error < 0.1 and figures[4.0, None].rows_a_plume == 1.0
    assert len(peak_recall_lines(figures)) == 1 + len(figures) == 18
    judged = {check.name: check.is_ok for check in checks(0.5, figures)}
    assert not judged["false alarms a track"] and judged["recall at 4.0 ppm"]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_finds_a_strong_peak(noise: RealNoise, name: str) -> None:
    peak = PlantedPeak(300.0, 5.0, 10.0)
    found = METHODS[name](peak.added_to(noise.draw(np.random.default_rng(4))))
    assert peak.is_near(found.centre_km).any()
    assert found.centre_km.shape == found.amplitude_ppm_km.shape


def test_emissions_are_right_in_the_middle() -> None:
    lines = emission_lines(SimulatedNoise(), 6)
    assert len(lines) == 3  # 2 and 4 ppm
    median = float(lines[2].split()[3])
    assert 0.7 < median < 1.4


def test_a_known_source_s_emission_is_right_in_the_middle() -> None:
    lines = source_emission_lines(SimulatedNoise(), 6)
    assert len(lines) == 10  # three distances, three emissions
    rows = np.array([line.split() for line in lines[1:]], dtype=float)
    assert (rows[:, 2] == 6).all() and rows[:, 3].sum() >= 50  # nearly all are rated
    strong = rows[rows[:, 1] == 10.0]
    assert ((strong[:, 4] > 0.6) & (strong[:, 4] < 1.6)).all()
    assert 0.5 < rows[:, 6].mean() < 0.95
    assert lines == source_emission_lines(SimulatedNoise(), 6)


def test_trials_repeat(noise: RealNoise) -> None:
    first, second = (next(iter(planted_tracks(noise, 1))) for _ in range(2))
    assert first[0] == second[0] and np.array_equal(first[1].xco2_ppm, second[1].xco2_ppm)
