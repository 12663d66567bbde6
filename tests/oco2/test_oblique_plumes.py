"""Plumes that the strip cuts at an angle: their tail lies downwind, and each quarter of the strip sees another part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import planted_columns, soundings_of
from plumewatch.oco2.peaks import find_peaks
from plumewatch.oco2.plume_shape import gaussians_of_quarters, skewed_area
from plumewatch.oco2.track import Track, compute_track
from plumewatch.statuses import ACCEPTED

ANGLE = np.radians(22.0)
HALF_WIDTH, DISTANCE_KM, HEIGHT_PPM = 0.12, 20.0, 5.0  # over the distance from the plant; of the crossing; there
WIND_M_S = 6.0


def enhancement_ppm(along_km: np.ndarray, across_km: np.ndarray) -> np.ndarray:
    """Of a plume that blows ahead to the right and crosses the middle of the strip at 500 km."""
    along = along_km - 500.0
    downwind = along * np.cos(ANGLE) + across_km * np.sin(ANGLE) + DISTANCE_KM
    aside = along * np.sin(ANGLE) - across_km * np.cos(ANGLE)
    sigma = HALF_WIDTH * np.maximum(downwind, 0.01)
    height = HEIGHT_PPM * DISTANCE_KM / np.maximum(downwind, 1.0)
    return np.where(downwind > 0, height * np.exp(-0.5 * (aside / sigma) ** 2), 0.0)


@pytest.fixture(scope="module")
def track() -> Track:
    """With the plume in it, and no wind."""
    empty = compute_track(soundings_of(planted_columns(np.random.default_rng(31), 1000)))
    xco2 = empty.xco2_ppm + enhancement_ppm(empty.distance_km, empty.across_km)
    none = np.full(len(empty), np.nan)
    return replace(empty, xco2_ppm=xco2, wind_u_m_s=none, wind_v_m_s=none)


@pytest.fixture(scope="module")
def truth_ppm_km(track: Track) -> float:
    along, across = np.meshgrid(np.arange(300.0, 800.0, 0.25), np.linspace(*np.quantile(track.across_km, (0, 1)), 81))
    return float(enhancement_ppm(along, across).mean(axis=0).sum() * 0.25)


def with_wind(track: Track, sign: int = 1) -> Track:
    u, v = sign * WIND_M_S * np.sin(ANGLE), sign * WIND_M_S * np.cos(ANGLE)
    return replace(track, wind_u_m_s=np.full(len(track), u), wind_v_m_s=np.full(len(track), v))


def amplitude(track: Track) -> tuple[float, float, float]:
    (peak,) = [peak for peak in find_peaks(track).peaks if peak.status == ACCEPTED]
    fit = peak.fit
    return fit.amplitude_ppm_km_low, fit.amplitude_ppm_km, fit.amplitude_ppm_km_high


def test_the_tail_downwind_counts(track: Track, truth_ppm_km: float) -> None:
    low, middle, high = amplitude(with_wind(track))
    assert middle == pytest.approx(truth_ppm_km, rel=0.1) and low < truth_ppm_km < high
    assert middle > amplitude(track)[1]


def test_a_row_is_worth_what_the_quarters_of_its_soundings_see(track: Track, truth_ppm_km: float) -> None:
    """A quarter of all soundings, some two a row: as the mean of a whole row they would make half of the plume."""
    ratios = []
    for seed in range(6):
        is_seen = np.random.default_rng(seed).random(len(track)) < 0.25
        search = find_peaks(with_wind(track).at(is_seen))
        accepted = [peak.fit.amplitude_ppm_km for peak in search.peaks if peak.status == ACCEPTED]
        ratios.append(max(accepted) / truth_ppm_km)
    assert 0.65 < np.median(ratios) < 1.1


def test_a_skewed_gaussian_has_its_tail_ahead_and_is_nowhere_before_its_source() -> None:
    x = np.arange(-30.0, 120.0, 0.1)
    ahead, straight = (gaussians_of_quarters(x, 0.0, 5.0, 0.0, skew)[0] for skew in (0.4, 0.0))
    assert ahead[x > 10].sum() > 2 * straight[x > 10].sum()
    assert (ahead[x <= -5.0 / 0.4] == 0).all() and np.allclose(
        gaussians_of_quarters(-x, 0.0, 5.0, 0.0, -0.4)[0], ahead, atol=1e-12
    )
    assert ahead.sum() / straight.sum() == pytest.approx(skewed_area(0.4), rel=0.01)
    assert skewed_area(0.0) == pytest.approx(1.0)
