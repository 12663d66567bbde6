from __future__ import annotations

import numpy as np
import pytest
from plumewatch.oco2.flux import (
    Section,
    compute_cross_sectional_flux_kt_h,
    compute_wind_across_track,
    estimate_peak_emission,
    relative_error_of_air,
)


def section(u: float = 4.0, v: float = 0.0, pressure: float = 1000.0, bearing: float = 0.0, **more: float) -> Section:
    return Section(u, v, pressure, 20.0, bearing, **more)


def test_flux_of_the_published_highveld_peak() -> None:
    assert float(compute_cross_sectional_flux_kt_h(137.96, 848.3, 6.14, 2.035)) == pytest.approx(13.28, abs=0.01)


def test_flux_from_first_principles() -> None:
    # 1 ppm over 1 km is 1e-6 x 1e3 m; times kg/m2 of dry air, over 0.0289652 kg/mol, times 0.0440095 kg/mol and 3 m/s
    kg_s = 1e-3 * (1e5 / 9.80665 - 20.0) / 0.0289652 * 0.0440095 * 3.0
    assert float(compute_cross_sectional_flux_kt_h(1.0, 1000.0, 20.0, 3.0)) == pytest.approx(
        kg_s * 3600 / 1e6, rel=1e-12
    )


@pytest.mark.parametrize(
    ("bearing", "expected"), [(0, 3), (90, 4), (180, 3), (45, 1 / np.sqrt(2)), (-30, 3 * np.cos(np.pi / 6) + 2)]
)
def test_wind_across_the_track(bearing: float, expected: float) -> None:
    assert float(compute_wind_across_track(3.0, 4.0, bearing)) == pytest.approx(expected)


def test_interval_adds_amplitude_wind_and_pressure() -> None:
    emission = estimate_peak_emission(100.0, 90.0, 120.0, section(u=10.0))
    assert emission.status == "ok" and emission.emission_kt_h
    per_ppm_km = emission.emission_kt_h / 100.0
    by_air = emission.emission_kt_h * np.hypot(0.2, 4 / 1000)  # a fifth of 10 m/s is more than 1 m/s; 4 hPa of 1000
    assert emission.emission_kt_h_low == pytest.approx(emission.emission_kt_h - np.hypot(10 * per_ppm_km, by_air))
    assert emission.emission_kt_h_high == pytest.approx(emission.emission_kt_h + np.hypot(20 * per_ppm_km, by_air))


def test_emission_is_the_flux_of_the_wind_across_the_track() -> None:
    where = section(u=3.0, v=4.0, bearing=-30.0)
    expected = compute_cross_sectional_flux_kt_h(100.0, 1000.0, 20.0, where.wind_across_track_m_s)
    assert estimate_peak_emission(100.0, 90.0, 110.0, where).emission_kt_h == pytest.approx(float(expected), rel=1e-12)


def test_a_weak_wind_is_known_to_one_metre_a_second() -> None:
    emission = estimate_peak_emission(100.0, 100.0, 100.0, section(u=2.5))
    assert emission.emission_kt_h_high == pytest.approx((emission.emission_kt_h or 0) * (1 + np.hypot(1 / 2.5, 0.004)))


def test_products_that_disagree_and_a_carried_wind_widen_the_interval() -> None:
    assert relative_error_of_air(section()) == pytest.approx(np.hypot(0.25, 0.004))
    assert relative_error_of_air(section(wind_spread_m_s=0.9)) == pytest.approx(np.hypot(0.25, 0.004))
    assert relative_error_of_air(section(wind_spread_m_s=2.0)) == pytest.approx(np.hypot(0.5, 0.004))
    assert relative_error_of_air(section(height_factor_error=0.1)) == pytest.approx(np.sqrt(0.25**2 + 0.01 + 0.004**2))


def test_low_end_is_not_negative() -> None:
    assert estimate_peak_emission(100.0, -50.0, 250.0, section(u=2.5)).emission_kt_h_low == 0.0


@pytest.mark.parametrize(
    ("status", "where"),
    [
        ("no_wind", section(u=np.nan)),
        ("no_wind", section(pressure=np.nan)),
        ("no_wind", section(pressure=0.0)),
        ("no_wind", section(pressure=-1000.0)),
        ("no_wind", section(pressure=1.0)),  # less air than water
        ("no_wind", section(u=np.inf)),
        ("wind_too_weak", section(u=1.9)),
        ("wind_along_track", section(u=1.9, v=4.0)),
        ("ok", section(u=2.5, v=4.0)),
    ],
)
def test_status(status: str, where: Section) -> None:
    emission = estimate_peak_emission(100.0, 90.0, 110.0, where)
    assert emission.status == status
    assert (emission.emission_kt_h is None) == (status != "ok")
