"""The published forms: c is that of the ground, what was put in comes back, what isn't valid is no number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plumewatch.errors import InputError
from plumewatch.methane.fractional_change import (
    ForwardModel,
    centre_on_ground,
    compute_change,
    compute_mbmp,
    compute_mbsp,
    compute_sbmp,
    fit_band_scale,
    invert_change,
)
from plumewatch.methane.retrieval import PLATFORMS, compute_transmittance, estimate_enhancement

SHAPE = (60, 80)
PLUME = np.zeros(SHAPE, bool)
PLUME[20:30, 30:60] = True
VALID = np.ones(SHAPE, bool)
RATIO = 0.85  # band 12 over band 11 of the ground
TEXTURE = 0.01

platforms = st.sampled_from(sorted(PLATFORMS))
models = st.sampled_from(ForwardModel)


def scene(seed: int, omega: float = 0.0, platform: str = "sentinel-2a", amf: float = 2.4, gain: float = 1.0) -> dict:
    """Return bands 11 and 12 with the column on PLUME; the ground of one seed is the same on all dates."""
    rng = np.random.default_rng(seed)
    b11 = 0.4 * np.exp(0.15 * rng.standard_normal(SHAPE))
    b12 = b11 * RATIO * np.exp(TEXTURE * rng.standard_normal(SHAPE)) * gain
    left = compute_transmittance(np.where(PLUME, omega, 0.0), platform, amf)
    return {"b11": (b11 * left.b11).astype(np.float32), "b12": (b12 * left.b12).astype(np.float32)}


def test_scale_is_fitted_through_the_origin_and_refitted_without_outliers() -> None:
    bands = scene(0)
    truth = fit_band_scale(bands["b12"], bands["b11"], VALID & ~PLUME)
    assert truth.factor == pytest.approx(1 / RATIO, rel=0.001)
    bands["b12"][20:30, 30:60] *= 0.7  # plumes, flares and water that nobody masked, a tenth of the scene
    bands["b12"][50:55, :20] *= 3.0
    unmasked = fit_band_scale(bands["b12"], bands["b11"], VALID)
    once = float((bands["b12"] * bands["b11"]).sum() / (bands["b12"] ** 2).sum())
    assert unmasked.factor == pytest.approx(truth.factor, rel=2e-4)
    assert abs(once / truth.factor - 1) > 0.1
    assert 400 <= unmasked.n_left_out < 420 and unmasked.n_left_out + unmasked.n_pixels == VALID.sum()


def test_scale_leaves_out_what_is_not_ground_or_has_no_light() -> None:
    bands = scene(1)
    bands["b11"][:5], bands["b12"][5:10], bands["b12"][10] = 0.0, np.nan, -0.1
    scale = fit_band_scale(bands["b12"], bands["b11"], VALID & ~PLUME)
    assert scale.n_pixels + scale.n_left_out == VALID.sum() - PLUME.sum() - 11 * SHAPE[1]
    none = fit_band_scale(bands["b12"], bands["b11"], ~VALID)
    assert np.isnan(none.factor) and none.n_pixels == 0


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("amf", [2.0, 2.6, 4.0])
@pytest.mark.parametrize("omega", [0.07, 0.6, 4.5, 8.0])
def test_column_comes_back_by_each_form(platform: str, amf: float, omega: float) -> None:
    now, before = scene(2, omega, platform, amf, gain=1.04), scene(2)
    single, earlier = compute_mbsp(**now, valid=VALID, plume=PLUME), compute_mbsp(**before, valid=VALID, plume=PLUME)
    both = compute_mbmp(single, [earlier])
    assert both.scales == (*single.scales, *earlier.scales)
    # Band 11 of the target is taken for that of an empty scene, so that SBMP sees the same ground.
    band_12 = compute_sbmp(now["b12"], before["b12"], VALID, PLUME)
    for change, tolerance in ((both, 0.02), (band_12, 1e-3)):
        back = invert_change(change.values, platform, amf, change.model)
        assert back[PLUME].mean() == pytest.approx(omega, rel=tolerance)
        assert np.abs(back[~PLUME]).max() < 0.001


def test_multi_pass_is_off_by_the_ground_and_the_ratio_of_the_dates_is_not() -> None:
    now, before = (compute_mbsp(**scene(3, omega), valid=VALID, plume=PLUME).values for omega in (0.6, 0.0))
    by_difference = invert_change((now - before)[PLUME], "sentinel-2a", 2.4)
    by_ratio = invert_change(((1 + now) / (1 + before) - 1)[PLUME], "sentinel-2a", 2.4)
    assert by_ratio == pytest.approx(0.6, rel=1e-4)
    assert np.corrcoef(by_difference, before[PLUME])[0, 1] > 0.999
    assert by_difference.std() / 0.6 == pytest.approx(TEXTURE, rel=0.2)


def test_several_references_are_averaged_where_they_are_valid() -> None:
    target = compute_mbsp(**scene(4, 0.6), valid=VALID, plume=PLUME)
    cloudy = VALID.copy()
    cloudy[:25] = False
    one, two = (compute_mbsp(**scene(4, gain=gain), valid=seen) for gain, seen in ((1.1, VALID), (0.9, cloudy)))
    change = compute_mbmp(target, [one, two]).values
    assert change[:25] == pytest.approx((target.values - one.values)[:25])
    assert change[25:] == pytest.approx((target.values - (one.values + two.values) / 2)[25:], abs=1e-6)
    assert np.isnan(compute_mbmp(target, [two]).values[:25]).all()
    with pytest.raises(ValueError, match="at least one reference"):
        compute_mbmp(target, [])
    with pytest.raises(ValueError, match="MBSP of the target"):
        compute_mbmp(target, [compute_sbmp(scene(4)["b12"], scene(4)["b12"], VALID)])


def test_centred_ground_has_no_mean_though_it_scatters_and_holds_a_plume() -> None:
    bands = scene(5, 4.5)
    bands["b12"] *= np.exp(0.02 * np.random.default_rng(6).standard_normal(SHAPE)).astype(np.float32)
    change = compute_mbsp(**bands, valid=VALID, plume=PLUME)
    assert np.log1p(change.values[~PLUME]).mean() < -4e-4  # 1.5 times the variance of the ratio: c is too small
    for ground in (~PLUME, VALID):
        centred = centre_on_ground(change, ground)
        assert abs(np.log1p(centred.values[~PLUME]).mean()) < 2e-4
        assert centred.scales == change.scales
    assert centre_on_ground(change, ~VALID) is change


def test_what_is_not_valid_is_no_number_and_noise_is_not_clipped() -> None:
    bands = scene(7)
    bands["b12"][0, 0], bands["b11"][0, 1] = np.nan, 0.0
    valid = VALID.copy()
    valid[0, 2] = False
    change = compute_mbsp(**bands, valid=valid)
    assert change.values.dtype == np.float32
    assert np.isnan(change.values[0, :3]).all() and np.isfinite(change.values).sum() == VALID.sum() - 3
    back = invert_change(change.values, "sentinel-2b", 3.0, change.model)
    assert np.isnan(back[0, :3]).all() and 0.4 < np.nanmean(back < 0) < 0.6
    nothing = compute_mbsp(**bands, valid=~VALID)
    assert np.isnan(nothing.values).all() and nothing.scales[0].n_pixels == 0


def test_published_model_is_the_first_order_of_the_exact_one() -> None:
    """1 % too much at 1 mol/m2, 10 % at 8."""
    exact = compute_change(np.array([0.01, 1.0, 8.0]), "sentinel-2a", 2.0)
    published = invert_change(exact, "sentinel-2a", 2.0, ForwardModel.MULTI_BAND_FIRST_ORDER)
    assert published / [0.01, 1.0, 8.0] == pytest.approx([1.0, 1.010, 1.102], abs=0.002)
    t = compute_transmittance(1.0, "sentinel-2a", 2.0)
    by_model = [float(compute_change(1.0, "sentinel-2a", 2.0, model)) for model in ForwardModel]
    assert by_model == pytest.approx([t.b12 / t.b11 - 1, t.b12 - 1, t.b12 - t.b11])


@given(omega=st.floats(0.0, 10.0), platform=platforms, amf=st.floats(2.0, 5.0), model=models)
def test_inverse_of_the_forward_model(omega: float, platform: str, amf: float, model: ForwardModel) -> None:
    back = float(invert_change(compute_change(omega, platform, amf, model), platform, amf, model))
    assert back == pytest.approx(omega, rel=2e-4, abs=1e-6)


@given(
    changes=st.lists(st.floats(-0.9, 0.5), min_size=1, max_size=20),
    platform=platforms,
    amf=st.floats(2, 5),
    model=models,
)
def test_inverse_is_finite_falls_with_the_change_and_is_odd_near_zero(
    changes: list[float], platform: str, amf: float, model: ForwardModel
) -> None:
    change = np.sort(np.asarray(changes))
    omega = invert_change(change, platform, amf, model)
    assert omega.shape == change.shape and np.isfinite(omega).all()
    assert (np.diff(omega)[np.diff(change) > 1e-12] < 0).all()
    low, high = invert_change([-5e-4, 5e-4], platform, amf, model)
    assert low == pytest.approx(-high, rel=0.005)
    assert np.isnan(invert_change([-1.0, -2.0, np.nan], platform, amf, model)).all()


@given(change=st.floats(-0.9, 0.5), platform=platforms, amf=st.floats(2.0, 5.0))
def test_multi_band_inverse_is_that_of_the_ratio_form(change: float, platform: str, amf: float) -> None:
    assert invert_change(change, platform, amf) == pytest.approx(estimate_enhancement(-change, platform, amf), rel=1e-9)


@pytest.mark.parametrize("model", ForwardModel)
def test_what_the_table_does_not_hold_is_refused(model: ForwardModel) -> None:
    with pytest.raises(InputError, match="sentinel-2d"):
        invert_change(-0.1, "sentinel-2d", 2.0, model)
    with pytest.raises(InputError, match=r"air mass factor 5\.800.*2\.0 to 5\.0"):
        compute_change(1.0, "sentinel-2a", 5.8, model)
