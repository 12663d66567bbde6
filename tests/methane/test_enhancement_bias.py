"""Background and noise shift the mass of a plume; both shifts are taken back."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.detection import Detection
from plumewatch.methane.enhancement_bias import (
    unbiased_enhancement,
    with_what_the_background_took,
    without_noise_bias,
)
from plumewatch.methane.evaluation.scenes import PlantedPlume, plume_column, simulate_area
from plumewatch.methane.passes import Pass
from plumewatch.methane.retrieval import compute_transmittance, enhancement_per_signal, estimate_enhancement
from plumewatch.methane.smoothing import Array, Mask, slow_part
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.methane.verdicts import Candidate
from plumewatch.statuses import ACCEPTED
from scipy import ndimage

LIMITS = plume_thresholds()
SIZE, BACKGROUND_PX, NOISE = 200, 25.0, 0.055


@pytest.fixture(scope="module")
def target() -> Pass:
    return simulate_area(5, size=SIZE, n_references=0, clouds=False).passes[-1]


def planted(rate_kg_h: float) -> tuple[Array, Array]:
    """Return a plume's column and noise."""
    rng = np.random.default_rng(12)
    column = plume_column(rng, SIZE, PlantedPlume(rate_kg_h, 100.0, 60.0, 3.0, 1.0)).astype(np.float32)
    return column, (NOISE * rng.standard_normal(column.shape)).astype(np.float32)


def less_slow_part(field: Array, ground: Mask) -> Array:
    return field - slow_part(field, ground, BACKGROUND_PX)


@pytest.mark.parametrize("removals", [1, 2])
def test_what_the_background_took_from_a_plume_is_given_back(removals: int) -> None:
    column, noise = planted(12_000.0)
    everywhere = np.ones(column.shape, bool)
    mask = column > 0.02
    ground = ndimage.distance_transform_edt(~mask) > 10

    def seen(field: Array) -> Array:
        for _ in range(removals):
            field = less_slow_part(field, everywhere)
        return less_slow_part(field, ground)

    before = seen(column + noise)
    after = with_what_the_background_took(before, everywhere, ground, BACKGROUND_PX, removals)
    of_noise = noise[mask].sum()
    assert (before[mask].sum() - of_noise) / column[mask].sum() < 0.93
    assert (after[mask].sum() - of_noise) / column[mask].sum() == pytest.approx(1.0, abs=0.05)


def test_noise_does_not_lift_the_mean(target: Pass) -> None:
    rng = np.random.default_rng(13)
    ground = np.zeros((400, 400), bool)
    ground[:, :200] = True
    truth = np.where(ground, 0.0, 0.1)
    gas = compute_transmittance(truth, target.platform, target.air_mass_factor)
    signal = 1.0 - gas.b12 / gas.b11 * np.exp(0.006 * rng.standard_normal(truth.shape))
    retrieved = estimate_enhancement(signal, target.platform, target.air_mass_factor)
    error = 0.006 * enhancement_per_signal(target.platform, target.air_mass_factor) / np.sqrt(80_000)
    bias = without_noise_bias(retrieved, ground, target) - truth
    assert abs(bias[~ground].mean()) < 2.5 * error < 0.6 * (retrieved - truth)[~ground].mean()


def test_a_scene_where_nothing_was_found_stays_as_it_is(target: Pass) -> None:
    field = np.zeros(target.shape, np.float32)
    detection = Detection("multi_pass", field, np.ones(target.shape, bool), ())
    assert unbiased_enhancement(detection, target, LIMITS) is field


def test_gaps_stay_gaps_and_a_plume_that_fills_the_scene_is_left(target: Pass) -> None:
    column, noise = planted(12_000.0)
    valid = np.ones(target.shape, bool)
    valid[150:] = False
    field = np.where(valid, column + noise, np.nan).astype(np.float32)
    everywhere = Candidate(np.ones(target.shape, bool), 20.0, None, 0.99, ACCEPTED)
    plume = Candidate(valid & (column > 0.02), 20.0, None, 0.99, ACCEPTED)
    for candidate in (plume, everywhere):
        result = unbiased_enhancement(Detection("multi_pass", field, valid, (candidate,)), target, LIMITS)
        np.testing.assert_array_equal(np.isfinite(result), valid)
    known = np.nan_to_num(field)
    assert with_what_the_background_took(known, valid, np.zeros_like(valid), BACKGROUND_PX, 2) is known
