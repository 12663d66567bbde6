"""The published forms: c is that of the ground, what was put in comes back, what isn't valid is no number."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.fractional_change import (
    centre_on_ground,
    compute_mbmp,
    compute_mbsp,
    fit_band_scale,
)
from plumewatch.methane.retrieval import PLATFORMS, compute_transmittance, estimate_enhancement

SHAPE = (60, 80)
PLUME = np.zeros(SHAPE, bool)
PLUME[20:30, 30:60] = True
VALID = np.ones(SHAPE, bool)
RATIO = 0.85  # band 12 over band 11 of the ground
TEXTURE = 0.01


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
    assert truth == pytest.approx(1 / RATIO, rel=0.001)
    bands["b12"][20:30, 30:60] *= 0.7  # plumes, flares and water that nobody masked, a tenth of the scene
    bands["b12"][50:55, :20] *= 3.0
    unmasked = fit_band_scale(bands["b12"], bands["b11"], VALID)
    once = float((bands["b12"] * bands["b11"]).sum() / (bands["b12"] ** 2).sum())
    assert unmasked == pytest.approx(truth, rel=2e-4)
    assert abs(once / truth - 1) > 0.1


def test_scale_leaves_out_what_is_not_ground_or_has_no_light() -> None:
    bands = scene(1)
    bands["b11"][:5], bands["b12"][5:10], bands["b12"][10] = 0.0, np.nan, -0.1
    lit = VALID.copy()
    lit[:11] = False
    scale = fit_band_scale(bands["b12"], bands["b11"], VALID & ~PLUME)
    assert scale == fit_band_scale(bands["b12"], bands["b11"], lit & ~PLUME) and scale > 1.0
    assert np.isnan(fit_band_scale(bands["b12"], bands["b11"], ~VALID))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("amf", [2.0, 2.6, 4.0])
@pytest.mark.parametrize("omega", [0.07, 0.6, 4.5, 8.0])
def test_column_comes_back(platform: str, amf: float, omega: float) -> None:
    now, before = scene(2, omega, platform, amf, gain=1.04), scene(2)
    single, earlier = compute_mbsp(**now, valid=VALID, plume=PLUME), compute_mbsp(**before, valid=VALID, plume=PLUME)
    both = compute_mbmp(single, [earlier])
    back = estimate_enhancement(-both, platform, amf)
    assert back[PLUME].mean() == pytest.approx(omega, rel=0.02)
    assert np.abs(back[~PLUME]).max() < 0.001


def test_multi_pass_is_off_by_the_ground_and_the_ratio_of_the_dates_is_not() -> None:
    now, before = (compute_mbsp(**scene(3, omega), valid=VALID, plume=PLUME) for omega in (0.6, 0.0))
    by_difference = estimate_enhancement(-(now - before)[PLUME], "sentinel-2a", 2.4)
    by_ratio = estimate_enhancement(1 - ((1 + now) / (1 + before))[PLUME], "sentinel-2a", 2.4)
    assert by_ratio == pytest.approx(0.6, rel=1e-4)
    assert np.corrcoef(by_difference, before[PLUME])[0, 1] > 0.999
    assert by_difference.std() / 0.6 == pytest.approx(TEXTURE, rel=0.2)


def test_several_references_are_averaged_where_they_are_valid() -> None:
    target = compute_mbsp(**scene(4, 0.6), valid=VALID, plume=PLUME)
    cloudy = VALID.copy()
    cloudy[:25] = False
    one, two = (compute_mbsp(**scene(4, gain=gain), valid=seen) for gain, seen in ((1.1, VALID), (0.9, cloudy)))
    change = compute_mbmp(target, [one, two])
    assert change[:25] == pytest.approx((target - one)[:25])
    assert change[25:] == pytest.approx((target - (one + two) / 2)[25:], abs=1e-6)
    assert np.isnan(compute_mbmp(target, [two])[:25]).all()
    with pytest.raises(ValueError, match="at least one reference"):
        compute_mbmp(target, [])


def test_centred_ground_has_no_mean_though_it_scatters_and_holds_a_plume() -> None:
    bands = scene(5, 4.5)
    bands["b12"] *= np.exp(0.02 * np.random.default_rng(6).standard_normal(SHAPE)).astype(np.float32)
    change = compute_mbsp(**bands, valid=VALID, plume=PLUME)
    assert np.log1p(change[~PLUME]).mean() < -4e-4  # 1.5 times the variance of the ratio: c is too small
    for ground in (~PLUME, VALID):
        centred = centre_on_ground(change, ground)
        assert abs(np.log1p(centred[~PLUME]).mean()) < 2e-4
    assert centre_on_ground(change, ~VALID) is change


def test_what_is_not_valid_is_no_number_and_noise_is_not_clipped() -> None:
    bands = scene(7)
    bands["b12"][0, 0], bands["b11"][0, 1] = np.nan, 0.0
    valid = VALID.copy()
    valid[0, 2] = False
    change = compute_mbsp(**bands, valid=valid)
    assert change.dtype == np.float32
    assert np.isnan(change[0, :3]).all() and np.isfinite(change).sum() == VALID.sum() - 3
    back = estimate_enhancement(-change, "sentinel-2b", 3.0)
    assert np.isnan(back[0, :3]).all() and 0.4 < np.nanmean(back < 0) < 0.6
    nothing = compute_mbsp(**bands, valid=~VALID)
    assert np.isnan(nothing).all()
