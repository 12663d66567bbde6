"""A column that is put in comes back: for all satellites, between the nodes of the table, and around zero."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest
from plumewatch.errors import InputError
from plumewatch.methane.retrieval import (
    PLATFORMS,
    compute_air_mass_factor,
    compute_log_ratio,
    compute_transmittance,
    enhancement_per_signal,
    estimate_enhancement,
)
from scipy.interpolate import CubicSpline, RectBivariateSpline

AIR_MASS_FACTORS = (2.0, 2.3, 3.1, 4.0)


@pytest.fixture(scope="module")
def table() -> dict:
    text = resources.files("plumewatch").joinpath("reference", "sentinel2_ch4_transmittance.json").read_text()
    return {name: np.asarray(value) for name, value in json.loads(text).items() if name != "note"}


def smooth_ratio(table: dict, platform: str, omega: np.ndarray, amf: float) -> np.ndarray:
    """T12 / T11 by splines through the table: smooth between the nodes, unlike the library's straight lines."""
    unit = PLATFORMS[platform]
    logs = np.log(table[f"{unit}_B12"] / table[f"{unit}_B11"])
    at_amf = RectBivariateSpline(table["amf"], table["omega_mol_m2"], logs, kx=3, ky=1)(amf, table["omega_mol_m2"])[0]
    return np.exp(CubicSpline(table["omega_mol_m2"], at_amf)(omega))


@pytest.mark.parametrize("amf", AIR_MASS_FACTORS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_column_between_the_nodes_comes_back(table: dict, platform: str, amf: float) -> None:
    omega = np.geomspace(0.01, 9.9, 300)
    back = estimate_enhancement(1 - smooth_ratio(table, platform, omega, amf), platform, amf)
    assert np.abs(back / omega - 1).max() < 0.02


@pytest.mark.parametrize("amf", AIR_MASS_FACTORS)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("omega", [0.0, 0.05, 0.33, 2.4])
def test_mean_over_noise_is_unbiased(platform: str, amf: float, omega: float) -> None:
    rng = np.random.default_rng(3)
    ratio = compute_transmittance(omega, platform, amf)
    measured = (ratio.b12 / ratio.b11) * (1 + 0.0025 * rng.standard_normal(400_000))
    mean = estimate_enhancement(1 - measured, platform, amf).mean()
    assert mean == pytest.approx(omega, rel=0.02, abs=0.001)


def test_signals_are_those_of_the_radiative_model() -> None:
    signal = {
        (platform, amf): float(1 - t.b12 / t.b11)
        for platform in PLATFORMS
        for amf in (2.0, 4.0)
        for t in [compute_transmittance(1.0, platform, amf)]
    }
    assert signal["sentinel-2a", 2.0] == pytest.approx(0.04724, abs=1e-5)
    assert signal["sentinel-2b", 2.0] == pytest.approx(0.03561, abs=1e-5)
    assert signal["sentinel-2c", 4.0] == pytest.approx(0.06228, abs=1e-5)


def test_negative_signals_are_kept_by_the_slope_at_zero() -> None:
    slope = enhancement_per_signal("sentinel-2a", 2.0)
    assert slope == pytest.approx(18.35, abs=0.05)
    assert estimate_enhancement([-0.01, 0.0, 0.00001], "sentinel-2a", 2.0) == pytest.approx(
        [-0.01 * slope, 0.0, 0.00001 * slope], rel=1e-3
    )


def test_what_the_table_does_not_hold_is_refused() -> None:
    with pytest.raises(InputError, match="sentinel-2d"):
        compute_transmittance(1.0, "sentinel-2d", 2.0)
    with pytest.raises(InputError, match=r"air mass factor 5\.800"):
        compute_transmittance(1.0, "sentinel-2a", 5.8)
    with pytest.raises(InputError, match="air mass factor nan"):
        compute_transmittance(1.0, "sentinel-2a", float("nan"))


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
