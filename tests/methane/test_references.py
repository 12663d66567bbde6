"""The mean of the references: each counts by its noise where it sees, without plumes, flares and clouds of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.methane.alignment import Aligned, align
from plumewatch.methane.evaluation.scenes import correlated_field, grid_place
from plumewatch.methane.passes import Pass
from plumewatch.methane.references import Comparison, against_ground, compare_with_surroundings, compute_comparison
from plumewatch.methane.thresholds import plume_thresholds
from scipy import ndimage

LIMITS = plume_thresholds()
PIXEL_M = 20.0
SIZE = 160
SHAPE = (SIZE, SIZE)
NOISE = 0.003
ROWS, COLS = np.indices(SHAPE)
PLUME = np.exp(-((ROWS - 80) ** 2) / 30 - (COLS - 80) ** 2 / 300)
CORE = PLUME > 0.4


def aligned(ratios: np.ndarray, valid: np.ndarray | None = None) -> Aligned:
    """References minus target, already in place; nothing in other bands."""
    ratios = np.asarray(ratios, np.float32)
    return Aligned(
        ratios=ratios,
        brightness=np.zeros_like(ratios),
        valid=np.ones(ratios.shape, bool) if valid is None else valid,
        edge_strength=np.zeros(ratios.shape[1:], np.float32),
        other_changes={},
        pixel_size_m=PIXEL_M,
    )


def noise_of(spreads: list[float], target: float = 1.0, seed: int = 1) -> np.ndarray:
    """References minus target: noise of each reference and of the target, in multiples of NOISE."""
    rng = np.random.default_rng(seed)
    of_target = target * rng.standard_normal(SHAPE)
    return NOISE * np.stack([spread * rng.standard_normal(SHAPE) - of_target for spread in spreads])


def compare(ratios: np.ndarray, valid: np.ndarray | None = None) -> Comparison:
    return compute_comparison(aligned(ratios, valid), LIMITS)


def weights_of(comparison: Comparison, ratios: np.ndarray) -> np.ndarray:
    """The weights that give the comparison's absorption, by least squares."""
    fields = ratios.reshape(len(ratios), -1).T
    return np.linalg.lstsq(fields, comparison.absorption.ravel(), rcond=None)[0]


def test_a_noisy_reference_counts_less() -> None:
    ratios = noise_of([1.0, 1.0, 2.0, 4.0])
    expected = np.array([1.0, 1.0, 1 / 4, 1 / 16])
    assert weights_of(compare(ratios), ratios) == pytest.approx(expected / expected.sum(), abs=0.06)


def test_the_noise_of_the_target_does_not_change_the_weights() -> None:
    ratios = noise_of([1.0, 3.0], target=3.0)
    assert weights_of(compare(ratios), ratios) == pytest.approx([0.9, 0.1], abs=0.08)


def test_references_that_are_alike_share_their_weight() -> None:
    rng = np.random.default_rng(2)
    common, own = rng.standard_normal(SHAPE), rng.standard_normal((3, *SHAPE))
    ratios = NOISE * np.stack([common + 0.3 * own[0], common + 0.3 * own[1], own[2]])
    alike, also_alike, other = weights_of(compare(ratios), ratios)
    assert other == pytest.approx(0.5, abs=0.05) and min(alike, also_alike) > 0.1


def test_the_mean_is_less_noisy_than_any_reference_and_the_variance_tells() -> None:
    spread = [np.std(compare(noise_of([1.0] * n)).absorption) / NOISE for n in (1, 2, 8)]
    assert spread == pytest.approx([np.sqrt(2), np.sqrt(1.5), np.sqrt(1.125)], rel=0.05)
    variance = [float(np.median(compare(noise_of([1.0] * n)).variance)) for n in (1, 2, 8)]
    assert variance[1] / variance[0] == pytest.approx(0.75, rel=0.1)
    assert variance[2] / variance[0] == pytest.approx(1.125 / 2, rel=0.15)


def test_gaps_are_filled_by_the_references_that_see() -> None:
    ratios = noise_of([1.0] * 4) + 0.02 * PLUME
    valid = np.ones(ratios.shape, bool)
    valid[:2, :, :60] = False
    valid[:, :20, 100:] = False
    ratios = np.where(valid, ratios, 0.0)
    comparison = compare(ratios, valid)
    seen = valid.any(axis=0)
    assert not comparison.valid[~seen].any() and comparison.valid[seen].mean() > 0.97
    assert not comparison.absorption[~seen].any()
    few, many = comparison.variance[40:, :60], comparison.variance[40:, 60:]
    assert 1.0 < np.median(few) / np.median(many) < 1.45  # (1 + 1/2) / (1 + 1/4), the target's own noise in both
    assert comparison.absorption[40:, :60].std() == pytest.approx(NOISE * np.sqrt(1.5), rel=0.06)


def test_a_gap_leaves_no_step() -> None:
    """A reference of another level beside others must not shift the mean where it ends."""
    ratios = noise_of([1.0] * 3)
    ratios[0] += 0.05
    valid = np.ones(ratios.shape, bool)
    valid[0, :, :80] = False
    comparison = compare(np.where(valid, ratios, 0.0), valid)
    left, right = comparison.absorption[:, 60:80].mean(), comparison.absorption[:, 80:100].mean()
    assert abs(left - right) < 0.0005  # with the step, 0.017


def test_the_plume_of_the_target_is_there_in_full() -> None:
    comparison = compare(noise_of([1.0] * 5) + 0.03 * PLUME)
    assert comparison.absorption[CORE].mean() == pytest.approx(0.03 * PLUME[CORE].mean(), rel=0.06)
    assert comparison.n_references == 5 and comparison.other_changes == {}


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_plume_of_a_reference_is_left_out_at_its_pixels(sign: float) -> None:
    clean = noise_of([1.0] * 8)
    ratios = clean.copy()
    ratios[2] += sign * 0.006 * PLUME  # -: its own methane; +: ground that got brighter there
    comparison, without = compare(ratios), compare(clean)
    assert comparison.absorption[CORE].mean() == pytest.approx(without.absorption[CORE].mean(), abs=0.00025)
    assert comparison.variance[CORE].mean() > 1.01 * np.median(comparison.variance)
    far = np.hypot(ROWS - 80, COLS - 80) > 60
    assert np.abs(comparison.absorption - without.absorption)[far].mean() < 0.0001


def test_the_plume_of_a_reference_beside_one_of_the_target() -> None:
    ratios = noise_of([1.0] * 8) + 0.03 * PLUME
    clean = compare(ratios).absorption[CORE].mean()
    ratios[1] -= 0.006 * PLUME
    assert clean == pytest.approx(0.03 * PLUME[CORE].mean(), rel=0.08)
    assert compare(ratios).absorption[CORE].mean() == pytest.approx(clean, abs=0.00025)


def test_leaving_out_shifts_nothing_where_nothing_is() -> None:
    fields = [compare(noise_of([1.0] * 4, seed=seed)).absorption for seed in range(3)]
    absorption = ndimage.gaussian_filter(np.stack(fields), (0, 1.5, 1.5))
    low, high = np.quantile(absorption, [0.005, 0.995])
    assert abs(absorption.mean()) < 0.03 * absorption.std()
    assert high / -low == pytest.approx(1.0, abs=0.08)


def test_residuals_are_the_references_against_the_others() -> None:
    ratios = noise_of([1.0] * 3)
    ratios[1] -= 0.03 * PLUME  # a reference's absorption
    valid = np.ones(ratios.shape, bool)
    valid[:, :, :30] = [[[True]], [[False]], [[False]]]  # only the first sees it
    comparison = compare(np.where(valid, ratios, 0.0), valid)
    assert comparison.residuals.shape == comparison.residuals_valid.shape == ratios.shape
    assert comparison.residuals[1][CORE].mean() == pytest.approx(0.03 * PLUME[CORE].mean(), rel=0.08)
    assert not comparison.residuals_valid[:, :, :30].any() and comparison.residuals_valid[:, :, 40:].all()
    assert np.std(comparison.residuals[0][:40, 40:]) == pytest.approx(NOISE * np.sqrt(1.5), rel=0.05)


def test_one_reference_has_no_residuals() -> None:
    ratios = noise_of([1.0])
    comparison = compare(ratios)
    assert comparison.residuals.shape == (0, *SHAPE) and comparison.valid.all() and comparison.n_references == 1
    assert weights_of(comparison, ratios) == pytest.approx([1.0], abs=0.02)


def test_few_shared_pixels_still_give_weights_by_noise() -> None:
    ratios = noise_of([1.0, 3.0])
    valid = np.zeros(ratios.shape, bool)
    valid[0, :, :85], valid[1, :, 78:] = True, True  # 1,120 in both
    ratios = np.where(valid, ratios, 0.0)
    comparison = compare(ratios, valid)
    both = valid.all(axis=0)
    weights = np.linalg.lstsq(ratios[:, both].T, comparison.absorption[both], rcond=None)[0]
    assert weights[0] > 0.75 and weights.sum() == pytest.approx(1.0, abs=0.1)
    assert np.median(comparison.variance[:, 100:]) > 3 * np.median(comparison.variance[:, :60])


def make_pass(
    seed: int, *, b11: np.ndarray | float = 1.0, b12: np.ndarray | float = 1.0, usable: np.ndarray | None = None,
    shift: tuple[float, float] = (0.0, 0.0), other: Mapping[str, np.ndarray | float] | None = None,
) -> Pass:  # fmt: skip
    """A date over one ground, its bands times `b11`, `b12`; `other` bands are like band 11 times a factor."""
    rng = np.random.default_rng(1000 + seed)
    log_b11, log_ratio = (
        scale * ndimage.gaussian_filter(correlated_field(np.random.default_rng(n), SIZE, slope), 0.8)
        for n, scale, slope in ((1, 0.12, 2.4), (2, 0.02, 2.8))
    )
    log_b11, log_ratio = (ndimage.shift(f, shift, order=3, mode="nearest") for f in (log_b11, log_ratio))
    noisy = [1 + 0.0016 * rng.standard_normal(SHAPE) for _ in range(2)]
    ground = 0.4 * np.exp(log_b11)
    return Pass(
        platform="sentinel-2a",
        relative_orbit=63,
        observed_at_utc=datetime(2025, 8, 1 + seed, 7, tzinfo=UTC),
        scene_ids=(f"S{seed}",),
        scene_index=np.zeros(SHAPE, np.int16),
        b11=(ground * noisy[0] * b11).astype(np.float32),
        b12=(0.9 * ground * np.exp(log_ratio) * noisy[1] * b12).astype(np.float32),
        is_usable=np.ones(SHAPE, bool) if usable is None else usable,
        air_mass_factor=2.3,
        view_zenith_deg=4.0,
        n_pixels=SIZE * SIZE,
        epsg=32640,
        pixel_size_m=PIXEL_M,
        place=grid_place(*SHAPE),
        other_bands={n: (0.7 * ground * np.ones(SHAPE) * f).astype(np.float32) for n, f in (other or {}).items()},
    )


REFERENCES = tuple(make_pass(seed) for seed in range(3))
INSIDE = np.zeros(SHAPE, bool)
INSIDE[10:-10, 10:-10] = True


def of_passes(target: Pass, references: tuple[Pass, ...] = REFERENCES) -> Comparison:
    return compute_comparison(align(target, references, LIMITS), LIMITS)


def test_a_planted_absorption_comes_through() -> None:
    comparison = of_passes(make_pass(9, b12=np.exp(-0.04 * PLUME)))
    assert comparison.absorption[CORE].mean() == pytest.approx(0.04 * PLUME[CORE].mean(), rel=0.06)
    assert abs(comparison.brightening[CORE].mean()) < 0.001


def test_levels_of_the_dates_do_not_matter() -> None:
    plain = of_passes(make_pass(9))
    brighter = of_passes(make_pass(9, b11=1.4, b12=1.35), (make_pass(0, b11=0.8, b12=0.9), *REFERENCES[1:]))
    np.testing.assert_allclose(brighter.absorption, plain.absorption, atol=1e-4)
    np.testing.assert_allclose(brighter.brightening, plain.brightening, atol=1e-4)


def test_what_registration_leaves_is_taken_out() -> None:
    off = tuple(make_pass(seed, shift=s) for seed, s in enumerate(((0.3, -0.2), (-0.3, 0.1), (0.1, 0.3))))
    in_place, moved = of_passes(make_pass(9)), of_passes(make_pass(9), off)
    assert moved.absorption[INSIDE].std() < 1.15 * in_place.absorption[INSIDE].std()
    assert moved.brightening[INSIDE].std() < 5 * in_place.brightening[INSIDE].std()


def test_edges_of_the_ground_are_known() -> None:
    step = np.where(COLS < 100, 1.0, 1.3)
    comparison = of_passes(make_pass(9, b12=step), tuple(make_pass(seed, b12=step) for seed in range(3)))
    assert comparison.edge_strength[20:-20, 99:101].min() > 5 * np.median(comparison.edge_strength)


def test_references_are_left_out_near_their_clouds_the_target_is_not() -> None:
    hole = np.ones(SHAPE, bool)
    hole[60:80, 60:80] = False
    cloudy = align(make_pass(9), (make_pass(0, usable=hole), REFERENCES[1]), LIMITS)
    distance = ndimage.distance_transform_cdt(hole, "chessboard")
    margin_px = LIMITS.references.cloud_margin_m / PIXEL_M
    np.testing.assert_array_equal(cloudy.valid[0][INSIDE], (distance > margin_px)[INSIDE])
    assert cloudy.valid[1][INSIDE].all()
    covered = align(make_pass(9, usable=hole), REFERENCES, LIMITS)
    assert covered.valid[:, INSIDE & (distance > 4)].all() and not covered.valid[:, ~hole].any()


def flare_at(row: int, col: int) -> np.ndarray:
    hot = np.ones(SHAPE)
    hot[row, col] = 1.6
    return hot


def test_flares_are_found_with_their_neighbours() -> None:
    expected = np.zeros(SHAPE, bool)
    expected[49:52, 69:72] = True
    np.testing.assert_array_equal(make_pass(0, b12=flare_at(50, 70)).flares, expected)
    assert not make_pass(0).flares.any()
    assert not make_pass(0, b12=np.exp(-0.3 * PLUME)).flares.any()  # methane darkens
    covered = np.ones(SHAPE, bool)
    covered[45:55, 65:75] = False
    assert not make_pass(0, b12=flare_at(50, 70), usable=covered).flares.any()


def test_flares_are_left_out() -> None:
    target, reference = make_pass(9, b12=flare_at(50, 70)), make_pass(0, b12=flare_at(110, 40))
    both = align(target, (reference, REFERENCES[1]), LIMITS)
    assert not both.valid[:, 49:52, 69:72].any()
    assert not both.valid[0, 109:112, 39:42].any() and both.valid[1, 109:112, 39:42].all()


def test_other_bands_are_compared_where_both_dates_have_them() -> None:
    target = make_pass(9, other={"b04": np.exp(-0.1 * PLUME), "b08": 1.2, "b02": 1.0})
    references = (
        make_pass(0, other={"b04": 2.0, "b08": 1.0}), make_pass(1, other={"b04": 0.5}), make_pass(2, other={"b03": 1.0})
    )  # fmt: skip
    changes = of_passes(target, references).other_changes
    assert set(changes) == {"b04", "b08"}
    assert changes["b04"][CORE].mean() == pytest.approx(-0.1 * PLUME[CORE].mean(), rel=0.05)
    assert np.abs(changes["b08"]).max() < 0.02
    assert of_passes(make_pass(9), references).other_changes == {}
    assert of_passes(target, REFERENCES).other_changes == {}


def test_other_bands_without_a_value_do_no_harm() -> None:
    gap = np.where(COLS < 40, np.nan, np.where(COLS > 120, 0.0, 1.0))
    target, references = make_pass(9, other={"b04": gap}), (make_pass(0, other={"b04": 1.0}), REFERENCES[1])
    change = of_passes(target, references).other_changes["b04"]
    assert np.isfinite(change).all() and np.abs(change).max() < 0.02


def test_one_date_is_compared_with_its_surroundings() -> None:
    hole = np.ones(SHAPE, bool)
    hole[20:40, 20:40] = False
    comparison = compare_with_surroundings(make_pass(9, b12=np.exp(-0.3 * PLUME), usable=hole), LIMITS)
    np.testing.assert_array_equal(comparison.valid, hole)
    assert comparison.n_references == 0 and len(comparison.residuals) == 0 and comparison.other_changes == {}
    assert comparison.absorption[CORE].mean() == pytest.approx(0.3 * PLUME[CORE].mean(), rel=0.1)
    assert not comparison.absorption[~hole].any() and (comparison.variance == 1).all()


def test_a_background_without_the_plume_gives_all_of_it() -> None:
    wide = 0.05 * np.exp(-((ROWS - 80) ** 2) / 300 - (COLS - 80) ** 2 / 300)  # half as wide as the background
    comparison = compare(noise_of([1.0] * 4) + wide)
    background_px = LIMITS.smoothing.background_m / PIXEL_M
    again = against_ground(comparison, wide < 0.002, background_px)
    core = wide > 0.02
    before, after = (field[core].mean() for field in (comparison.absorption, again.absorption))
    assert abs(after - wide[core].mean()) < 0.8 * abs(before - wide[core].mean())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 5), share=st.floats(0.3, 1.0), width=st.sampled_from([0.0, 4.0]))
def test_any_gaps(seed: int, n: int, share: float, width: float) -> None:
    rng = np.random.default_rng(seed)
    ratios = (NOISE * rng.standard_normal((n, 60, 70))).astype(np.float32)
    level = ndimage.gaussian_filter(rng.standard_normal(ratios.shape), (0, width, width))
    valid = level <= np.quantile(level, share, axis=(1, 2), keepdims=True)
    comparison = compute_comparison(aligned(np.where(valid, ratios, 0.0), valid), LIMITS)
    assert np.isfinite(comparison.absorption).all() and np.isfinite(comparison.residuals).all()
    assert not (comparison.valid & ~valid.any(axis=0)).any()
    assert (comparison.variance[comparison.valid] > 0).all()
    assert not comparison.absorption[~comparison.valid].any()
    assert comparison.absorption.std() < 3 * NOISE


def test_a_change_of_the_order_of_references_changes_nothing() -> None:
    target, ordered = make_pass(9), of_passes(make_pass(9))
    turned = of_passes(target, REFERENCES[::-1])
    np.testing.assert_allclose(turned.absorption, ordered.absorption, atol=1e-6)
