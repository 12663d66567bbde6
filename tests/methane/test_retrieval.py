"""A column that is put in comes back: for all satellites, between the nodes of the table, and around zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plumewatch.errors import InputError
from plumewatch.methane.evaluation.round_trip import mixture_transmittance
from plumewatch.methane.retrieval import (
    PLATFORMS,
    compute_air_mass_factor,
    compute_log_ratio,
    compute_noise_bias,
    compute_transmittance,
    enhancement_per_signal,
    estimate_enhancement,
)
from plumewatch.reference.loading import read_reference
from scipy.interpolate import CubicSpline

AIR_MASS_FACTORS = (2.0, 2.3, 3.1, 4.0)

platforms = st.sampled_from(sorted(PLATFORMS))
air_mass_factors = st.floats(2.0, 5.0)
signals = hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=6), elements=st.floats(-2.0, 0.9))


@pytest.fixture(scope="module")
def table() -> dict:
    return read_reference("sentinel2_ch4_transmittance.json")


def signal_of(omega: float | np.ndarray, platform: str, amf: float) -> np.ndarray:
    ratio = compute_transmittance(omega, platform, amf)
    return 1 - ratio.b12 / ratio.b11


# The table


def test_table_says_how_it_was_computed_from_what_and_under_which_licence(table: dict) -> None:
    provenance = table["provenance"]
    assert {"computed", "unit", "sources", "cross_checks", "uncertainty"} <= set(provenance)
    assert all(source["what"] and source["source"] and source["licence"] for source in provenance["sources"])
    assert "HITRAN" in str(provenance) and "COPE-GSEG-EOPG-TN-15-0007" in str(provenance)


def test_table_is_one_without_methane_and_falls_with_it(table: dict) -> None:
    for unit in PLATFORMS.values():
        b11, b12 = (np.asarray(table[f"{unit}_{band}"]) for band in ("B11", "B12"))
        assert b11.shape == b12.shape == (len(table["amf"]), len(table["omega_mol_m2"]))
        assert (b11[:, 0] == 1).all() and (b12[:, 0] == 1).all()
        for values in (b11, b12, b12 / b11):
            assert (np.diff(values, axis=1) < 0).all() and (np.diff(values, axis=0)[:, 1:] < 0).all()


# y = 1 - T12 / T11 at 0.1, 0.5, 1, 2 and 5 mol/m2, and the polynomial column = a y + b y^2 + c y^3 up to 5 mol/m2 with
# its largest error, as computed on the wavelength grid.
PUBLISHED = {
    ("sentinel-2a", 2.0): ((0.00538, 0.02530, 0.04724, 0.08396, 0.16094), (18.327, 51.62, 168.05), 0.003),
    ("sentinel-2a", 2.5): ((0.00643, 0.02992, 0.05530, 0.09680, 0.18039), (15.321, 40.98, 150.52), 0.004),
    ("sentinel-2a", 3.0): ((0.00739, 0.03410, 0.06249, 0.10796, 0.19649), (13.311, 33.81, 138.77), 0.005),
    ("sentinel-2a", 4.0): ((0.00911, 0.04142, 0.07480, 0.12647, 0.22170), (10.785, 24.73, 124.01), 0.009),
    ("sentinel-2b", 2.0): ((0.00401, 0.01897, 0.03561, 0.06372, 0.12327), (24.613, 83.39, 366.88), 0.003),
    ("sentinel-2b", 2.5): ((0.00482, 0.02256, 0.04190, 0.07381, 0.13861), (20.468, 66.29, 327.18), 0.004),
    ("sentinel-2b", 3.0): ((0.00556, 0.02582, 0.04754, 0.08260, 0.15133), (17.703, 54.76, 300.53), 0.005),
    ("sentinel-2b", 4.0): ((0.00691, 0.03157, 0.05724, 0.09723, 0.17127), (14.242, 40.13, 267.18), 0.009),
    ("sentinel-2c", 2.0): ((0.00447, 0.02101, 0.03927, 0.06987, 0.13408), (22.089, 73.67, 290.74), 0.003),
    ("sentinel-2c", 2.5): ((0.00534, 0.02487, 0.04600, 0.08060, 0.15030), (18.456, 58.42, 261.17), 0.004),
    ("sentinel-2c", 3.0): ((0.00614, 0.02836, 0.05200, 0.08992, 0.16370), (16.026, 48.14, 241.46), 0.005),
    ("sentinel-2c", 4.0): ((0.00758, 0.03447, 0.06228, 0.10536, 0.18458), (12.977, 35.08, 217.11), 0.009),
}


@pytest.mark.parametrize(("platform", "amf"), PUBLISHED)
def test_signals_are_those_of_the_radiative_model(platform: str, amf: float) -> None:
    signals_at_nodes, _, _ = PUBLISHED[platform, amf]
    assert signal_of(np.array([0.1, 0.5, 1.0, 2.0, 5.0]), platform, amf) == pytest.approx(signals_at_nodes, abs=1e-5)


@pytest.mark.parametrize(("platform", "amf"), PUBLISHED)
def test_polynomials_of_the_radiative_model_agree_both_ways(platform: str, amf: float) -> None:
    _, coefficients, error = PUBLISHED[platform, amf]
    omega = np.geomspace(0.1, 5.0, 200)
    signal = signal_of(omega, platform, amf)
    by_polynomial = sum(c * signal ** (power + 1) for power, c in enumerate(coefficients))
    assert by_polynomial == pytest.approx(omega, rel=error + 0.002)  # the coefficients are rounded
    assert signal_of(by_polynomial, platform, amf) == pytest.approx(signal, rel=error + 0.002)
    assert estimate_enhancement(signal, platform, amf) == pytest.approx(by_polynomial, rel=error + 0.002)


@pytest.mark.parametrize(
    ("b12", "b11"),
    [
        pytest.param(0.94408, 0.99112, id="Project Eucalyptus (Orbio)"),
        pytest.param(0.94611, 0.99156, id="Pandey et al. 2023"),
    ],
)
def test_other_teams_have_the_same_signal_of_sentinel_2a_to_3_percent(b12: float, b11: float) -> None:
    theirs = 1 - b12 / b11
    assert theirs == pytest.approx(float(signal_of(1.0, "sentinel-2a", 2.0)), rel=0.03)
    assert float(estimate_enhancement(theirs, "sentinel-2a", 2.0)) == pytest.approx(1.0, rel=0.035)


def test_noise_that_mars_states_is_this_signal() -> None:
    """206 ppb are 0.0734 mol/m2 by 3.567e-4 mol/m2 a ppb; at 0.0545 per mol/m2 that is 0.0040."""
    column = 205.64 * 3.567e-4
    assert column == pytest.approx(0.0734, rel=0.001)
    assert float(signal_of(column, "sentinel-2a", 2.0)) == pytest.approx(0.0040, rel=0.02)
    assert 1 / enhancement_per_signal("sentinel-2a", 2.0) == pytest.approx(0.0545, rel=0.01)
    assert 1 / enhancement_per_signal("sentinel-2b", 2.0) == pytest.approx(0.0406, rel=0.01)


# Between the nodes


@pytest.mark.parametrize("amf", AIR_MASS_FACTORS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_column_between_the_nodes_comes_back(platform: str, amf: float) -> None:
    """Against a sum of exponentials through the table, which is what a band's transmittance is."""
    for omega in np.geomspace(0.03, 8.0, 40):
        b11, b12 = (mixture_transmittance(omega, platform, band, amf) for band in ("B11", "B12"))
        assert float(estimate_enhancement(1 - b12 / b11, platform, amf)) == pytest.approx(omega, rel=0.003)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_second_node_would_do(table: dict, platform: str) -> None:
    """What is dropped comes back: cubic splines to 0.25 % (0.06 % below 6 mol/m2), straight lines in ln T to 2.4 %."""
    omega = np.asarray(table["omega_mol_m2"])
    for row in range(len(table["amf"])):
        b11, b12 = (np.asarray(table[f"{PLATFORMS[platform]}_{band}"][row]) for band in ("B11", "B12"))
        logs = -np.log(b12 / b11)
        spline, line = CubicSpline(omega[::2], logs[::2])(omega), np.interp(omega, omega[::2], logs[::2])
        inside = slice(3, None, 2)  # 0.02 mol/m2 is rounded to 0.1 % in the table
        assert np.abs(spline[inside] / logs[inside] - 1).max() < 0.003
        assert 0.01 < np.abs(line[inside] / logs[inside] - 1).max() < 0.04


@pytest.mark.parametrize("platform", PLATFORMS)
def test_air_mass_factors_of_every_second_node_would_do(table: dict, platform: str) -> None:
    """Straight lines in ln T over twice the step: 0.3 %, so 0.1 % over the step (the error goes with its square)."""
    amf, column = np.asarray(table["amf"]), slice(3, None)
    b11, b12 = (np.log(table[f"{PLATFORMS[platform]}_{band}"]) for band in ("B11", "B12"))
    logs = (b11 - b12)[:, column]
    for k in range(1, len(amf) - 1, 2):
        share = (amf[k] - amf[k - 1]) / (amf[k + 1] - amf[k - 1])
        line = (1 - share) * logs[k - 1] + share * logs[k + 1]
        assert np.abs(line / logs[k] - 1).max() < 0.003


# Noise


@pytest.mark.parametrize("amf", AIR_MASS_FACTORS)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("omega", [0.0, 0.05, 0.33, 2.4])
def test_mean_over_noise_is_unbiased(platform: str, amf: float, omega: float) -> None:
    rng = np.random.default_rng(3)
    ratio = compute_transmittance(omega, platform, amf)
    measured = (ratio.b12 / ratio.b11) * (1 + 0.0025 * rng.standard_normal(400_000))
    mean = estimate_enhancement(1 - measured, platform, amf).mean()
    assert mean == pytest.approx(omega, rel=0.02, abs=0.001)


@pytest.mark.parametrize("noise", [0.004, 0.01, 0.02])
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("omega", [0.0, 0.01, 0.03, 0.09, 0.6, 8.0])
def test_what_noise_adds_to_the_mean_is_known(platform: str, omega: float, noise: float) -> None:
    n = np.random.default_rng(4).standard_normal(40_000)
    true = -np.log1p(-signal_of(omega, platform, 2.6))
    signal = -np.expm1(-(true + noise * np.concatenate([n, -n])))
    raw = estimate_enhancement(signal, platform, 2.6)
    bias = compute_noise_bias(signal, platform, 2.6, noise)
    assert raw.mean() - omega > 0
    assert (raw - bias).mean() == pytest.approx(omega, rel=0.004, abs=1e-3 * raw.std())
    assert (raw - bias).std() < 1.1 * raw.std()


def test_noise_bias_of_no_noise_is_nothing_and_of_no_number_is_refused() -> None:
    assert compute_noise_bias([-0.1, 0.0, 0.2], "sentinel-2b", 3.0, 0.0).tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(compute_noise_bias([1.0, np.nan], "sentinel-2b", 3.0, 0.01)).all()
    for noise in (-0.1, np.nan, np.inf):
        with pytest.raises(InputError, match="0 or more"):
            compute_noise_bias(0.1, "sentinel-2b", 3.0, noise)


def test_negative_signals_are_kept_by_the_slope_at_zero() -> None:
    slope = enhancement_per_signal("sentinel-2a", 2.0)
    assert slope == pytest.approx(18.3, abs=0.05)
    assert estimate_enhancement([-0.01, 0.0, 0.00001], "sentinel-2a", 2.0) == pytest.approx(
        [-0.01 * slope, 0.0, 0.00001 * slope], rel=1e-3
    )


# Any input


@given(signal=signals, platform=platforms, amf=air_mass_factors)
def test_enhancement_is_finite_and_of_the_same_shape(signal: np.ndarray, platform: str, amf: float) -> None:
    omega = estimate_enhancement(signal, platform, amf)
    assert omega.shape == signal.shape and np.isfinite(omega).all()
    assert (np.sign(omega) == np.sign(signal)).all()


@given(signal=st.floats(1.0, 1e12), platform=platforms, amf=air_mass_factors)
def test_signal_without_light_is_no_number(signal: float, platform: str, amf: float) -> None:
    assert np.isnan(estimate_enhancement([signal, np.nan], platform, amf)).all()


@given(values=st.lists(st.floats(-1.0, 0.5), min_size=2, max_size=30), platform=platforms, amf=air_mass_factors)
def test_enhancement_rises_with_the_signal(values: list[float], platform: str, amf: float) -> None:
    signal = np.sort(np.asarray(values))
    rise = np.diff(estimate_enhancement(signal, platform, amf))
    assert (rise[np.diff(signal) > 1e-12] > 0).all()


@given(omega=st.floats(0.0, 12.0), platform=platforms, amf=air_mass_factors)
def test_enhancement_is_the_inverse_of_the_transmittance(omega: float, platform: str, amf: float) -> None:
    back = float(estimate_enhancement(signal_of(omega, platform, amf), platform, amf))
    assert back == pytest.approx(omega, rel=1e-6, abs=1e-9)


@given(signal=st.floats(0.0, 1e-3), platform=platforms, amf=air_mass_factors)
def test_enhancement_is_odd_near_zero(signal: float, platform: str, amf: float) -> None:
    above, below = estimate_enhancement([signal, -signal], platform, amf)
    assert above == pytest.approx(-below, rel=0.005, abs=1e-12)  # of a signal of 0.001 the curvature is 0.3 %


@given(omega=st.floats(0.02, 10.0), low=air_mass_factors, high=air_mass_factors, platform=platforms)
def test_a_longer_path_absorbs_more(omega: float, low: float, high: float, platform: str) -> None:
    low, high = sorted((low, high))
    shorter, longer = compute_transmittance(omega, platform, low), compute_transmittance(omega, platform, high)
    assert longer.b12 <= shorter.b12 <= shorter.b11 <= 1 and longer.b11 <= shorter.b11


@given(amf=st.one_of(st.floats(-1e3, 1.99), st.floats(5.01, 1e3), st.just(np.nan), st.just(np.inf)))
def test_air_mass_factor_outside_the_table_is_refused_with_what_is_allowed(amf: float) -> None:
    with pytest.raises(InputError, match=r"air mass factor .*2\.0 to 5\.0"):
        estimate_enhancement(0.1, "sentinel-2a", amf)


@given(platform=st.text().filter(lambda name: name not in PLATFORMS))
def test_unknown_satellite_is_refused_with_those_that_are_known(platform: str) -> None:
    with pytest.raises(InputError) as refused:
        compute_transmittance(1.0, platform, 2.0)
    assert repr(platform) in str(refused.value)
    assert all(name in str(refused.value) for name in PLATFORMS)


def test_air_mass_factor_adds_both_ways() -> None:
    assert compute_air_mass_factor([60.0, 0.0], [0.0, 60.0]) == pytest.approx([3.0, 3.0])


def test_log_ratio_is_relative_to_the_scene_and_empty_where_not_valid() -> None:
    b11 = np.full((4, 5), 0.5, np.float32)
    b12 = np.full((4, 5), 0.4, np.float32)
    b12[0, 0], b11[3, 4], b12[1, 1] = 0.38, np.nan, 0.0
    valid = np.ones((4, 5), bool)
    valid[2, 2] = False
    ratio = compute_log_ratio(b11, b12, valid)
    assert ratio[0, 0] == pytest.approx(np.log(0.95), abs=1e-6)
    assert ratio[1, 0] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(ratio[[3, 1, 2], [4, 1, 2]]).all() and np.isfinite(ratio).sum() == 17
