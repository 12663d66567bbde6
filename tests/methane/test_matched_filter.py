"""Planted plumes are found at their source, with the significance that theory gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.methane.matched_filter import (
    Matches,
    Template,
    match_templates,
    noise_power,
    plume_templates,
    round_template,
    steady_signal,
    wedge,
)
from plumewatch.methane.smoothing import robust_sigma
from plumewatch.methane.thresholds import PlumeThresholds, plume_thresholds
from scipy import ndimage, signal

PIXEL_M = 20.0
SIZE = 200
SOURCE = (110, 80)
SEEDS = 6
WHITE, RED = "white", "red"


@pytest.fixture(scope="module")
def limits() -> PlumeThresholds:
    """The shipped ones, with templates and limits that these tests count on."""
    shipped = plume_thresholds()
    shapes = {"lengths_m": (500, 1200), "round_m": (30, 60), "wind_direction_range_deg": 45}
    return replace(shipped, templates=replace(shipped.templates, **shapes, clip=4.0, min_coverage=0.4))


def noise_field(seed: int, colour: str = WHITE, shape: tuple[int, int] = (SIZE, SIZE)) -> np.ndarray:
    """Noise of standard deviation 1: white, or half of its variance over ten pixels and more."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(shape)
    if colour == RED:
        slow = ndimage.gaussian_filter(rng.standard_normal(shape), 5.0)
        white = np.sqrt(0.5) * (white + slow / slow.std())
    return white.astype(np.float32)


def planted(template: Template | np.ndarray, size: int = SIZE, source: tuple[int, int] = SOURCE) -> np.ndarray:
    """The template's values with its source at `source`."""
    values = template.values if isinstance(template, Template) else template
    half = values.shape[0] // 2
    wide = np.zeros((size + 2 * half, size + 2 * half), np.float32)
    wide[source[0] : source[0] + 2 * half + 1, source[1] : source[1] + 2 * half + 1] = values
    return wide[half : half + size, half : half + size]


def ground_with_gaps() -> np.ndarray:
    """About half of the ground, in winding pieces of a dozen pixels."""
    return ndimage.gaussian_filter(np.random.default_rng(9).standard_normal((183, 146)), 8.0) > -0.01


def match(field: np.ndarray, limits: PlumeThresholds, towards: float | None = 60.0, **more: object) -> Matches:
    valid = more.pop("valid", np.ones(field.shape, bool))
    templates = more.pop("templates", None) or plume_templates(PIXEL_M, towards, limits)
    return match_templates(field, valid, templates, limits, **more)


def highest(matches: Matches) -> tuple[int, int]:
    row, col = np.unravel_index(np.argmax(matches.z), matches.z.shape)
    return int(row), int(col)


@pytest.mark.parametrize("towards", [0.0, 37.5, 90.0, 200.0])
@pytest.mark.parametrize("length_m", [300.0, 1200.0])
def test_wedges_have_unit_norm_and_their_source_in_the_middle(towards: float, length_m: float) -> None:
    values = wedge(towards, length_m, PIXEL_M, 18.0, 0.17).values
    half = values.shape[0] // 2
    assert values.shape == (2 * half + 1, 2 * half + 1)
    assert (values**2).sum() == pytest.approx(1.0, abs=1e-5) and values.min() >= 0
    near = np.hypot(*(np.array(np.unravel_index(values.argmax(), values.shape)) - half))
    assert near <= 2  # densest where the gas has not spread yet
    rows, cols = np.nonzero(values > 1e-4)
    along = (cols - half) * np.sin(np.radians(towards)) - (rows - half) * np.cos(np.radians(towards))
    assert along.max() * PIXEL_M == pytest.approx(length_m, abs=60) and along.min() >= -2


@pytest.mark.parametrize(("towards", "step"), [(0, (-1, 0)), (90, (0, 1)), (180, (1, 0)), (270, (0, -1))])
def test_directions_count_clockwise_from_north(towards: float, step: tuple[int, int]) -> None:
    values = wedge(float(towards), 600.0, PIXEL_M, 18.0, 0.17).values
    rows, cols = np.indices(values.shape) - values.shape[0] // 2
    centre = np.array([(rows * values).sum(), (cols * values).sum()]) / values.sum()
    assert centre @ step > 5 and abs(centre @ step[::-1]) < 0.01


def test_wedges_widen_downwind() -> None:
    values = wedge(90.0, 1200.0, PIXEL_M, 18.0, 0.17).values
    half = values.shape[0] // 2
    across = np.arange(-half, half + 1)
    width = [np.sqrt((across**2 * values[:, half + n]).sum() / values[:, half + n].sum()) for n in (5, 20, 35)]
    assert width == pytest.approx([(18 + 0.17 * 20 * n) / 20 for n in (5, 20, 35)], rel=0.12)


def test_round_template_is_a_gaussian_of_unit_norm() -> None:
    template = round_template(60.0, PIXEL_M)
    assert (template.values**2).sum() == pytest.approx(1.0, abs=1e-5) and template.towards_deg is None
    middle = template.values.shape[0] // 2
    ratio = template.values[middle, middle + 3] / template.values[middle, middle]
    assert ratio == pytest.approx(np.exp(-0.5), rel=1e-4)  # 60 m are 3 cells
    assert template.footprint[middle, middle] and not template.footprint[0, 0]


def test_wind_narrows_the_directions(limits: PlumeThresholds) -> None:
    free, blown = plume_templates(PIXEL_M, None, limits), plume_templates(PIXEL_M, 350.0, limits)
    directions = {t.towards_deg for t in blown if t.towards_deg is not None}
    assert directions == {315.0, 330.0, 345.0, 0.0, 15.0, 30.0}
    assert len({t.towards_deg for t in free}) == 25 and sum(t.towards_deg is None for t in blown) == 2
    assert {t.length_m for t in blown if t.towards_deg is not None} == {500, 1200}


@pytest.mark.parametrize("towards", [60.0, None])
def test_a_steady_plume_in_white_noise_has_the_significance_of_theory(
    limits: PlumeThresholds, towards: float | None
) -> None:
    truth = wedge(60.0, 500.0, PIXEL_M, 18.0, limits.templates.growth)
    amplitude = 14.0  # signal . template / sigma, as the template's norm and sigma are 1
    at_source = []
    for seed in range(SEEDS):
        matches = match(noise_field(seed) + amplitude * planted(truth), limits, towards)
        row, col = highest(matches)
        assert np.hypot(row - SOURCE[0], col - SOURCE[1]) <= 3
        at_source.append(matches.z[SOURCE])
        found = matches.templates[matches.best[row, col]].towards_deg
        assert found is not None and abs(found - 60.0) <= 15
    assert np.mean(at_source) == pytest.approx(amplitude, rel=0.1)


def test_the_response_to_noise_alone_has_a_spread_of_one(limits: PlumeThresholds) -> None:
    for colour in (WHITE, RED):
        template = plume_templates(PIXEL_M, 60.0, limits)[5]
        matches = match(noise_field(3, colour), limits, templates=(template,))
        assert robust_sigma(matches.z[np.isfinite(matches.z)]) == pytest.approx(1.0, abs=0.01)
        assert -7 < matches.lowest_z < -2 and matches.z.max() < 7


def test_whitening_gains_in_correlated_noise(limits: PlumeThresholds) -> None:
    truth = wedge(60.0, 500.0, PIXEL_M, 18.0, limits.templates.growth)
    whitened, plain = [], []
    for seed in range(SEEDS):
        field = noise_field(seed, RED) + 14.0 * planted(truth)
        whitened.append(match(field, limits, templates=(truth,)).z[SOURCE])
        response = signal.fftconvolve(field, truth.values[::-1, ::-1], mode="same")
        plain.append(response[SOURCE] / robust_sigma(response))
    assert np.mean(whitened) > 1.25 * np.mean(plain)


def test_noise_power_of_white_noise_is_one_and_falls_for_slow_noise() -> None:
    size, valid = (SIZE, SIZE), np.ones((SIZE, SIZE), bool)
    white, red = (noise_power(noise_field(5, colour), valid, size) for colour in (WHITE, RED))
    assert np.median(white) == pytest.approx(1.0, abs=0.1) and white.max() < 1.5
    assert red[2, 2] > 20 * red[90, 90]
    half = valid.copy()
    half[:, SIZE // 2 :] = False
    assert np.median(noise_power(noise_field(5), half, size)) == pytest.approx(1.0, abs=0.1)


def test_what_stands_out_does_not_count_as_noise() -> None:
    size, valid = (SIZE, SIZE), np.ones((SIZE, SIZE), bool)
    field = noise_field(6)
    without = noise_power(field, valid, size)
    field[100:106, 100:106] = 100.0  # alone it has a power of 324 at low frequencies
    assert noise_power(field, valid, size).max() < 1.5 * without.max()


def test_predicted_significance_is_the_measured_one(limits: PlumeThresholds) -> None:
    """`z_per_mol_m` times the line density of a straight plume is the response at its source."""
    noise_of_pixel, line_density = 0.02, 6.0  # mol/m2, mol/m
    templates = plume_templates(PIXEL_M, 60.0, limits)
    column = steady_signal(templates, PIXEL_M, limits)
    for colour in (WHITE, RED):
        measured, predicted = [], []
        for seed in range(SEEDS):
            field = noise_field(seed, colour) + line_density / noise_of_pixel * planted(column)
            field = field.astype(np.float32)
            matches = match(field, limits, templates=templates, signal=column / noise_of_pixel)
            measured.append(matches.z[SOURCE])
            predicted.append(line_density * matches.z_per_mol_m)
        assert 6 < np.mean(measured) < 40
        assert np.mean(predicted) == pytest.approx(np.mean(measured), rel=0.12)


def test_the_steady_plume_holds_its_line_density(limits: PlumeThresholds) -> None:
    column = steady_signal(plume_templates(PIXEL_M, 90.0, limits), PIXEL_M, limits)
    middle = column.shape[0] // 2
    across = column.sum(axis=0) * PIXEL_M
    assert across[middle + 3 : middle + 38] == pytest.approx(1.0, rel=0.03)  # mol/m up to where it fades, at 800 m
    assert across[: middle - 1] == pytest.approx(0.0, abs=1e-6)


def test_without_a_signal_nothing_is_predicted(limits: PlumeThresholds) -> None:
    assert match(noise_field(1), limits).z_per_mol_m == 0.0


def test_a_wild_pixel_is_pulled_in(limits: PlumeThresholds) -> None:
    field = noise_field(4)
    field[100, 100] = 4.0
    tame = match(field, limits)
    field[100, 100] = 1e4
    wild = match(field, limits)
    np.testing.assert_allclose(wild.z, tame.z, atol=0.02)


def test_no_response_where_too_little_is_seen(limits: PlumeThresholds) -> None:
    template = wedge(90.0, 500.0, PIXEL_M, 18.0, 0.17)
    valid = np.ones((SIZE, SIZE), bool)
    valid[:, 120:] = False
    field = np.where(valid, noise_field(8), np.float32(0.0))
    z = match(field, limits, templates=(template,), valid=valid).z
    assert np.isneginf(z[:, 119]).all() and np.isneginf(z[~valid]).all()  # the wedge runs into the gap
    assert np.isfinite(z[:, :100]).all()
    against = match(field, limits, templates=(wedge(270.0, 500.0, PIXEL_M, 18.0, 0.17),), valid=valid).z
    assert np.isfinite(against[:, 119]).all()
    assert np.isneginf(against[:, 0]).all()  # and out of the image


def test_a_half_seen_plume_keeps_the_significance_of_its_seen_half(limits: PlumeThresholds) -> None:
    template = wedge(90.0, 500.0, PIXEL_M, 18.0, 0.17)
    valid = np.ones((SIZE, SIZE), bool)
    valid[:, SOURCE[1] + 11 :] = False
    share = (planted(template) ** 2)[valid].sum()
    z = []
    for seed in range(SEEDS):
        field = np.where(valid, noise_field(seed) + 14.0 * planted(template), np.float32(0.0))
        z.append(match(field, limits, templates=(template,), valid=valid).z[SOURCE])
    assert 0.5 < share < 0.95
    assert np.mean(z) == pytest.approx(14.0 * np.sqrt(share), rel=0.12)


@pytest.mark.parametrize("towards", [None, 90.0, 135.0])
def test_coverage_on_blocks_is_near_the_exact_convolution(limits: PlumeThresholds, towards: float | None) -> None:
    """Seen by where the response begins: pixels that differ from the exact share's verdict lie near the limit."""
    template = round_template(60.0, PIXEL_M) if towards is None else wedge(towards, 1200.0, PIXEL_M, 18.0, 0.17)
    valid = ground_with_gaps()
    exact = signal.correlate(valid.astype(float), template.values.astype(float) ** 2, mode="same", method="fft")
    field = np.where(valid, noise_field(9, shape=valid.shape), np.float32(0.0))
    for least in (0.3, 0.5):
        other = replace(limits, templates=replace(limits.templates, min_coverage=least))
        seen = np.isfinite(match(field, other, templates=(template,), valid=valid).z)
        wrong = valid & (seen != (exact >= least))
        assert wrong.sum() < 0.06 * valid.sum()
        assert np.abs(exact[wrong] - least).mean() < 0.3
        too_many = (valid & seen).sum() / (valid & (exact >= least)).sum() - 1
        assert abs(too_many) < 0.06


def test_noise_beside_gaps_is_no_larger_than_elsewhere(limits: PlumeThresholds) -> None:
    valid, template = ground_with_gaps(), wedge(90.0, 500.0, PIXEL_M, 18.0, 0.17)
    fields = [np.where(valid, noise_field(seed, shape=valid.shape), np.float32(0.0)) for seed in range(40)]
    z = np.stack([match(field, limits, templates=(template,), valid=valid).z for field in fields])
    beside = np.isfinite(z).all(axis=0) & (ndimage.distance_transform_edt(valid) <= 3)
    spread = z[:, beside].std(axis=0)
    assert beside.sum() > 500
    assert np.median(spread) == pytest.approx(1.0, abs=0.1) and np.quantile(spread, 0.95) < 1.3


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 33), (33, 7), (61, 47), (20, 150), (101, 101)])
@pytest.mark.parametrize("towards", [None, 10.0])
def test_odd_sizes_and_windows_smaller_than_a_template(
    limits: PlumeThresholds, shape: tuple[int, int], towards: float | None
) -> None:
    templates = plume_templates(PIXEL_M, towards, limits)
    column = steady_signal(templates, PIXEL_M, limits)
    matches = match(noise_field(2, shape=shape), limits, templates=templates, signal=column)
    assert matches.z.shape == matches.best.shape == shape
    assert not np.isnan(matches.z).any() and np.isfinite([matches.lowest_z, matches.z_per_mol_m]).all()


@pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")
@pytest.mark.parametrize("n_valid", [0, 1])
def test_nothing_or_one_pixel_to_see(limits: PlumeThresholds, n_valid: int) -> None:
    valid = np.zeros((50, 60), bool)
    valid[25, 30] = n_valid
    matches = match(np.where(valid, np.float32(2.0), np.float32(0.0)), limits, valid=valid)
    assert np.isneginf(matches.z).all() and matches.lowest_z == 0.0 and not matches.best.any()


@pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")
@pytest.mark.parametrize("value", [0.0, 1.5, -3.0])
def test_a_constant_field(limits: PlumeThresholds, value: float) -> None:
    matches = match(np.full((90, 70), value, np.float32), limits)
    assert not np.isnan(matches.z).any() and np.isfinite(matches.lowest_z)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    height=st.integers(2, 70), width=st.integers(2, 70), share=st.floats(0.02, 1.0),
    width_px=st.sampled_from([0.0, 3.0, 8.0]), seed=st.integers(0, 10_000),
)  # fmt: skip
def test_any_mask(height: int, width: int, share: float, width_px: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    level = ndimage.gaussian_filter(rng.standard_normal((height, width)), width_px)
    valid = level <= np.quantile(level, share)
    field = np.where(valid, rng.standard_normal((height, width)), 0.0).astype(np.float32)
    matches = match(field, plume_thresholds(), 60.0, valid=valid)
    assert not np.isnan(matches.z).any() and np.isneginf(matches.z[~valid]).all()
    assert (matches.best >= 0).all() and (matches.best < len(matches.templates)).all()
    assert matches.lowest_z <= 0.0 and matches.z.max() < 1e4
