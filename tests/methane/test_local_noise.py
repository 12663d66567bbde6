"""Unstable ground, edges and places that few references see are noisier, and a plume is no noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.methane.local_noise import compute_local_noise, in_units_of_noise
from plumewatch.methane.references import Comparison
from plumewatch.methane.smoothing import robust_sigma, smooth
from plumewatch.methane.thresholds import plume_thresholds

LIMITS = plume_thresholds()
PIXEL_M = 20.0
SHAPE = (160, 150)
NOISE = 0.003
ROWS, COLS = np.indices(SHAPE)
UNSTABLE = (ROWS >= 50) & (ROWS < 110) & (COLS >= 50) & (COLS < 110)
MIDDLE = (ROWS >= 65) & (ROWS < 95) & (COLS >= 65) & (COLS < 95)
FAR = (ROWS < 30) | (ROWS >= 130) | (COLS < 30) | (COLS >= 130)


def comparison_of(
    residuals: np.ndarray, absorption: np.ndarray | None = None, *, known: np.ndarray | None = None,
    valid: np.ndarray | None = None, variance: np.ndarray | float = 1e-6, edges: np.ndarray | float = 0.0,
) -> Comparison:  # fmt: skip
    shape = residuals.shape[1:]
    absorption = NOISE * np.random.default_rng(99).standard_normal(shape) if absorption is None else absorption
    valid = np.ones(shape, bool) if valid is None else valid
    return Comparison(
        absorption=np.where(valid, absorption, 0.0).astype(np.float32),
        brightening=np.zeros(shape, np.float32),
        valid=valid,
        n_references=max(1, len(residuals)),
        variance=np.full(shape, 1.0, np.float32) * np.float32(variance),
        edge_strength=np.full(shape, 1.0, np.float32) * np.asarray(edges, np.float32),
        weights=(),
        other_changes={},
        residuals=residuals.astype(np.float32),
        residuals_valid=np.ones(residuals.shape, bool) if known is None else known,
    )


def residuals_of(n: int, seed: int = 1, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return NOISE * np.random.default_rng(seed).standard_normal((n, *shape))


def noise_of(comparison: Comparison) -> np.ndarray:
    return compute_local_noise(comparison, PIXEL_M, LIMITS)


def contrast(noise: np.ndarray) -> float:
    return float(np.median(noise[MIDDLE]) / np.median(noise[FAR]))


def test_even_ground_is_evenly_noisy() -> None:
    noise = noise_of(comparison_of(residuals_of(6)))
    assert noise.std() < 0.1 * noise.mean()


def test_ground_that_changes_from_date_to_date_gets_its_own_noise() -> None:
    flicker = NOISE * np.array([1.5, -1.0, 0.5, -1.5, 1.0, -0.5])[:, None, None] * UNSTABLE
    noise = noise_of(comparison_of(residuals_of(6) + flicker))
    assert contrast(noise) > 2.5
    assert np.median(noise[FAR]) == pytest.approx(np.median(noise_of(comparison_of(residuals_of(6)))), rel=0.25)


def test_more_references_tell_it_better() -> None:
    signs = np.resize([1.0, -1.0], 12)[:, None, None]
    two, twelve = (
        contrast(noise_of(comparison_of(residuals_of(n) + 1.5 * NOISE * signs[:n] * UNSTABLE))) for n in (2, 12)
    )
    assert 1.3 < two < 0.8 * twelve


def test_a_plume_in_one_reference_is_no_noise() -> None:
    residuals = residuals_of(6)
    residuals[3] += 0.03 * UNSTABLE
    assert contrast(noise_of(comparison_of(residuals))) < 1.3  # as noise it would be 10


def test_a_plume_in_the_target_is_no_noise() -> None:
    absorption = NOISE * np.random.default_rng(5).standard_normal(SHAPE) + 0.03 * UNSTABLE
    assert contrast(noise_of(comparison_of(residuals_of(6), absorption))) < 1.1


def test_edges_get_more_noise_where_the_scene_shows_it() -> None:
    stripes = np.where(COLS % 30 < 3, 1.0, 0.01)
    rng = np.random.default_rng(6)
    loud = smooth(rng.standard_normal(SHAPE), np.ones(SHAPE, bool), 1.0) * 8 * NOISE * (stripes > 0.5)
    quiet = NOISE * rng.standard_normal(SHAPE)
    at_edges = (COLS % 30 == 1) & (COLS > 10)
    ratios = []
    for absorption in (quiet + loud, quiet):
        noise = noise_of(comparison_of(residuals_of(6), absorption, edges=stripes))
        ratios.append(np.median(noise[at_edges]) / np.median(noise[COLS % 30 == 16]))
    assert ratios[1] >= 0.95 and ratios[0] > 2.5 * ratios[1]


def test_edges_never_make_less_noise() -> None:
    calm_edges = np.where(COLS % 30 < 3, 0.1, 1.0) * NOISE * np.random.default_rng(7).standard_normal(SHAPE)
    plain = noise_of(comparison_of(residuals_of(6), calm_edges))
    edges = noise_of(comparison_of(residuals_of(6), calm_edges, edges=np.where(COLS % 30 < 3, 1.0, 0.01)))
    assert (edges >= plain * 0.9999).all()


def test_few_references_make_more_noise() -> None:
    variance = np.where(COLS < 40, 4e-6, 1e-6)
    noise = noise_of(comparison_of(residuals_of(6), variance=variance))
    assert np.median(noise[:, :40]) / np.median(noise[:, 40:]) == pytest.approx(2.0, rel=0.05)


def test_where_a_reference_is_not_known_it_tells_nothing() -> None:
    residuals, known = residuals_of(6), np.ones((6, *SHAPE), bool)
    residuals[4][UNSTABLE] = residuals[5][UNSTABLE] = 99.0
    known[4:, UNSTABLE] = False
    assert contrast(noise_of(comparison_of(residuals, known=known))) == pytest.approx(1.0, abs=0.1)


def test_one_reference_is_judged_by_the_surroundings() -> None:
    rng = np.random.default_rng(8)
    absorption = NOISE * rng.standard_normal(SHAPE) * np.where(COLS < 75, 1.0, 3.0)
    noise = noise_of(comparison_of(np.zeros((0, *SHAPE)), absorption))
    left, right = (float(np.median(noise[40:120, part])) for part in (slice(0, 30), slice(120, 150)))
    assert 1.5 < right / left < 3.5


def test_in_units_of_noise_the_spread_is_one_and_gaps_are_zero() -> None:
    rng = np.random.default_rng(9)
    place = np.where(COLS < 75, 1.0, 5.0).astype(np.float32)
    valid = ROWS > 20
    comparison = comparison_of(residuals_of(2), NOISE * rng.standard_normal(SHAPE) * place, valid=valid)
    relative, factor = in_units_of_noise(comparison, place)
    assert factor == pytest.approx(NOISE, rel=0.03) and not relative[~valid].any()
    for half in (COLS < 75, COLS >= 75):
        assert robust_sigma(relative[half & valid]) == pytest.approx(1.0, abs=0.04)


def test_ground_without_any_noise_is_not_blown_up() -> None:
    flat = comparison_of(residuals_of(2), np.zeros(SHAPE))
    relative, factor = in_units_of_noise(flat, np.full(SHAPE, NOISE, np.float32))
    assert not relative.any() and factor * NOISE == pytest.approx(1e-4)  # steps of the stored reflectance


def test_nothing_to_see() -> None:
    nothing = comparison_of(residuals_of(2), valid=np.zeros(SHAPE, bool))
    relative, factor = in_units_of_noise(nothing, np.ones(SHAPE, np.float32))
    assert not relative.any() and factor == 1.0


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 5), share=st.floats(0.5, 1.0), scale=st.floats(1e-4, 1.0))
def test_noise_is_positive_and_goes_with_the_scale(seed: int, n: int, share: float, scale: float) -> None:
    rng, shape = np.random.default_rng(seed), (50, 60)
    residuals, absorption = rng.standard_normal((n, *shape)), rng.standard_normal(shape)
    valid, known = rng.random(shape) < share, rng.random((n, *shape)) < share
    one, scaled = (
        noise_of(comparison_of(residuals * s, absorption * s, known=known & valid, valid=valid)) for s in (1.0, scale)
    )
    assert (one[valid] > 0).all() and np.isfinite(one).all()
    np.testing.assert_allclose(scaled, one * scale, rtol=0.02)
