"""The Gaussian plume seen from above: mass is conserved, units and directions are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from plumewatch.constants import KT_H_PER_KG_S
from plumewatch.geodesy import destination
from plumewatch.oco2.flux import compute_cross_sectional_flux_kt_h
from plumewatch.oco2.gaussian_plume import (
    PlumeSource,
    column_to_ppm,
    compute_plume_kg_m2,
    compute_plume_ppm,
    compute_spread_km,
    stability_m,
)

STACK = PlumeSource(27.6, -23.7, emission_kt_h=3.0)


@pytest.mark.parametrize("width_km", [0.0, 12.0])
@pytest.mark.parametrize("footprint_km", [0.0, 1.7])
@pytest.mark.parametrize("downwind_km", [0.5, 5.0, 50.0, 100.0])
def test_the_same_mass_passes_every_section(downwind_km: float, width_km: float, footprint_km: float) -> None:
    """V u, integrated across the wind in metres, is the emission, in kg a second."""
    across_km = np.linspace(-80.0, 80.0, 400_001)
    plume = compute_plume_kg_m2(downwind_km, across_km, 3.0, 6.0, stability_m("C"), width_km, footprint_km)
    kg_s = np.trapezoid(plume * 6.0, across_km * 1e3)
    assert kg_s * KT_H_PER_KG_S == pytest.approx(3.0, rel=1e-9)


def test_the_section_of_a_plume_has_its_emission_as_cross_sectional_flux() -> None:
    """The two methods agree: the amplitude of the plume across a track gives the same kt/h."""
    lon, lat = destination(*destination(STACK.longitude, STACK.latitude, 90.0, 40.0), 0.0, np.linspace(-40, 40, 8001))
    ppm = compute_plume_ppm(lon, lat, STACK, 6.0, 0.0, 900.0, 15.0, "B")
    amplitude = np.trapezoid(ppm, np.linspace(-40, 40, 8001))
    assert compute_cross_sectional_flux_kt_h(amplitude, 900.0, 15.0, 6.0) == pytest.approx(3.0, rel=1e-3)


def test_the_spread_is_a_at_one_kilometre() -> None:
    assert compute_spread_km(1.0, 104.0) * 1e3 == pytest.approx(104.0)
    assert compute_spread_km(10.0, 104.0) * 1e3 == pytest.approx(104.0 * 10**0.894)


def test_an_area_source_begins_as_wide_as_it_is() -> None:
    assert 4 * compute_spread_km(1e-9, 104.0, width_km=20.0) == pytest.approx(20.0, rel=1e-6)
    assert 4 * compute_spread_km(30.0, 104.0, width_km=20.0) > 20.0


def test_nothing_upwind() -> None:
    assert compute_plume_kg_m2(-5.0, 0.0, 3.0, 6.0, 104.0, width_km=20.0) == 0.0
    assert compute_plume_kg_m2(0.0, 0.0, 3.0, 6.0, 104.0) == 0.0


@pytest.mark.parametrize(("u", "v", "bearing"), [(5.0, 0.0, 90.0), (0.0, -5.0, 180.0), (-3.0, 3.0, 315.0)])
def test_the_plume_goes_where_the_wind_goes(u: float, v: float, bearing: float) -> None:
    bearings = np.arange(0.0, 360.0, 5.0)
    lon, lat = destination(STACK.longitude, STACK.latitude, bearings, 30.0)
    ppm = compute_plume_ppm(lon, lat, STACK, u, v, 900.0, 15.0, "C")
    assert bearings[np.argmax(ppm)] == bearing


def test_plumes_of_several_sources_add_up() -> None:
    other = PlumeSource(27.8, -23.6, emission_kt_h=1.0, width_km=5.0)
    place = destination(STACK.longitude, STACK.latitude, np.array([80.0, 85.0, 90.0]), 35.0)
    air = (5.0, 0.0, 900.0, 15.0, "C")
    both = compute_plume_ppm(*place, [STACK, other], *air)
    assert both == pytest.approx(compute_plume_ppm(*place, STACK, *air) + compute_plume_ppm(*place, other, *air))
    assert (both > compute_plume_ppm(*place, STACK, *air)).all()


def test_the_antimeridian_is_no_edge() -> None:
    east = PlumeSource(179.95, 60.0, emission_kt_h=2.0)
    here = PlumeSource(20.05, 60.0, emission_kt_h=2.0)
    air = (5.0, 0.0, 1000.0, 10.0, "C")
    over = compute_plume_ppm(np.array([-179.8]), np.array([60.0]), east, *air)
    assert over == pytest.approx(compute_plume_ppm(np.array([20.3]), np.array([60.0]), here, *air), rel=1e-6)
    assert over[0] > 0.5


def test_a_kilogram_of_co2_in_parts_per_million() -> None:
    """980 hPa less 20 kg/m2 of water are 9973 kg/m2 of dry air; 1 kg/m2 of CO2 is 1 / 9973 x 28.97 / 44.01 of it."""
    assert column_to_ppm(980.0, 20.0) == pytest.approx(1e6 / 9973.2 * 28.9652 / 44.0095, rel=1e-4)


@pytest.mark.parametrize("stability", ["G", "", 0.0, -3.0, math.nan])
def test_other_stabilities_are_refused(stability: str | float) -> None:
    with pytest.raises(ValueError, match="allowed"):
        stability_m(stability)


@pytest.mark.parametrize("wind", [(0.0, 0.0), (math.nan, 1.0)])
def test_a_plume_needs_a_wind(wind: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="wind"):
        compute_plume_ppm(28.0, -23.7, STACK, *wind, 900.0, 15.0, "C")
