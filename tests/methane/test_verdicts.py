"""What is no plume is refused with its reason, however strong; what a plume can be is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plumewatch.methane.detection import detect_multi_pass
from plumewatch.methane.evaluation.scenes import SimulatedArea, simulate_area
from plumewatch.methane.passes import Pass
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.methane.verdicts import Candidate, is_surface_change
from plumewatch.statuses import SURFACE_CHANGE, TOO_SMALL

LIMITS = plume_thresholds()
SIZE, MIDDLE = 160, 80
ROWS, COLS = np.indices((SIZE, SIZE))
FROM_MIDDLE_PX = np.hypot(ROWS - MIDDLE, COLS - MIDDLE)
MOST_BY_GAS = 0.3  # of band 12, about: by 10 mol/m2 at twice the air mass of a zenith sun
DIFFUSE = np.exp(-0.5 * (FROM_MIDDLE_PX / 6.0) ** 2)


@pytest.fixture(scope="module", params=[3, 4])
def calm(request: pytest.FixtureRequest) -> SimulatedArea:
    return simulate_area(request.param, size=SIZE, n_references=6, clouds=False)


def in_the_middle(area: SimulatedArea, b11: np.ndarray | float = 1.0, b12: np.ndarray | float = 1.0) -> Candidate:
    """The strongest candidate there when the bands of the target are multiplied so."""
    one: Pass = area.passes[-1]
    changed = replace(one, b11=(one.b11 * b11).astype(np.float32), b12=(one.b12 * b12).astype(np.float32))
    found = detect_multi_pass(changed, area.passes[:-1], LIMITS).candidates
    return next(candidate for candidate in found if candidate.mask[MIDDLE, MIDDLE])


@pytest.mark.parametrize("drop", [0.05, 0.2, 0.4])
def test_an_object_of_three_pixels_is_too_small_however_dark(calm: SimulatedArea, drop: float) -> None:
    roof = np.where((abs(ROWS - MIDDLE) <= 1) & (abs(COLS - MIDDLE) <= 1), 1.0 - drop, 1.0)
    found = in_the_middle(calm, b12=roof)
    assert found.tests["n_core_pixels"] <= 9
    assert found.status == (SURFACE_CHANGE if drop > MOST_BY_GAS else TOO_SMALL)
    assert found.probability < LIMITS.probability.accepted


def test_the_same_mass_spread_out_is_not_too_small(calm: SimulatedArea) -> None:
    found = in_the_middle(calm, b12=np.exp(-0.02 * DIFFUSE))
    assert found.tests["n_core_pixels"] > 9
    assert found.status not in (TOO_SMALL, SURFACE_CHANGE)


@pytest.mark.parametrize("radius_px", [5, 12])
def test_more_absorption_than_any_column_gives_is_ground(calm: SimulatedArea, radius_px: int) -> None:
    found = in_the_middle(calm, b12=np.where(FROM_MIDDLE_PX - radius_px < 0, 0.5, 1.0))
    assert found.tests["share_beyond_table"] > 0.5
    assert found.status == SURFACE_CHANGE


@pytest.mark.parametrize("radius_px", [5, 12, 25])
def test_wet_ground_is_ground(calm: SimulatedArea, radius_px: int) -> None:
    wet = radius_px > FROM_MIDDLE_PX
    found = in_the_middle(calm, np.where(wet, 0.92, 1.0), np.where(wet, 0.90, 1.0))
    assert found.tests["band_11_slope"] < -2.0
    assert found.status == SURFACE_CHANGE


@pytest.mark.parametrize(
    ("correlation", "slope", "changed", "expected"),
    [
        (0.2, -5.0, 0.0, False),  # steep by chance: not the same shape
        (-0.35, -2.5, 0.0, True),
        (-0.35, -1.5, 0.0, False),
        (-0.35, -1.5, 0.5, True),  # on changed ground
        (-0.6, -0.9, 0.0, True),
        (-0.6, -0.2, 0.0, False),  # methane's own
    ],
)
def test_how_much_of_band_11_is_too_much(correlation: float, slope: float, changed: float, expected: bool) -> None:
    tests = {"band_11_correlation": correlation, "band_11_slope": slope, "changed_ground_share": changed}
    assert is_surface_change(tests, LIMITS) is expected
    assert is_surface_change({**tests, "b04_correlation": 0.6, "b04_slope": 0.9}, LIMITS)
    assert is_surface_change({**tests, "b04_correlation": 0.35, "b04_slope": 2.5}, LIMITS) is expected
