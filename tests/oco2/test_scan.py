"""The scan against its definition, and the fit of what is exactly known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lite_granules import along_km
from planted import Planted, planted_columns, soundings_of
from plumewatch.oco2.contrasts import Contrasts
from plumewatch.oco2.evaluation.planted import fit_at
from plumewatch.oco2.plume_shape import PlumeShape
from plumewatch.oco2.row_noise import estimate_strengths, kernels
from plumewatch.oco2.rows import QUARTERS, Rows
from plumewatch.oco2.scan import ANY_LEVEL_PPM2, Scan
from plumewatch.oco2.templates import CORE, HALF, MARGIN, WINDOW, scan_widths, slanted_templates
from plumewatch.oco2.track import Track, compute_track

NONE_SLANTED = 1e9


def track_of(columns: dict[str, Any], where: Any = slice(None)) -> Track:
    return compute_track(soundings_of(columns, where))


def test_the_scan_is_generalised_least_squares_with_every_template() -> None:
    rng = np.random.default_rng(5)
    columns = planted_columns(rng, 500, [Planted(260, 2.0, 8.0)])
    rows = Rows.of(track_of(columns, rng.random(len(columns["xco2"])) < 0.7))
    scan = Scan.of(rows, NONE_SLANTED)
    start = CORE  # the second window
    at = np.arange(start - MARGIN, start + CORE + MARGIN)
    at = at[at < len(rows)]
    strengths = estimate_strengths(rows, np.array([0]), 2 * 4 * CORE)[0]
    apart = np.abs(at[:, None] - at) * rows.km_per_row
    covariance = np.tensordot(strengths, kernels(apart), 1) + np.diag(rows.variance_ppm2[at]) + ANY_LEVEL_PPM2
    inverse = np.linalg.inv(covariance)
    for half_row in (2 * start + 4, 2 * start + 20, 2 * (start + CORE) - 4):
        expected = -np.inf
        for sigma_km, spread in zip(scan_widths(), scan.spread, strict=True):
            t = np.exp(-0.5 * ((at - half_row / HALF) * rows.km_per_row / sigma_km) ** 2)
            expected = max(expected, t @ inverse @ rows.value_ppm[at] / np.sqrt(t @ inverse @ t) / spread)
        assert scan.statistic[half_row] == pytest.approx(expected, abs=0.1)  # narrow ones are told from less


def test_slanted_templates_are_least_squares_on_rows_and_on_what_their_quarters_differ_by() -> None:
    rng = np.random.default_rng(7)
    weight = rng.uniform(0.0, 4.0, (1, QUARTERS, WINDOW)) * (rng.random((1, QUARTERS, WINDOW)) < 0.8)
    quarter = rng.normal(0.0, 1.0, weight.shape)
    contrasts = Contrasts(quarter, weight, 2.25)
    row = np.arange(WINDOW) - MARGIN
    for template in slanted_templates(2.25)[::7]:
        found, told = contrasts.test(template)
        for half_row in (0, 37, HALF * CORE - 1):
            ahead = (half_row + np.array(template.ahead)[:, None]) / HALF
            t = np.exp(-0.5 * ((row - ahead) * 2.25 / template.sigma_km) ** 2)
            # a free level of every row, as a column of its own
            levels = np.kron(np.ones((QUARTERS, 1)), np.eye(WINDOW))
            w = weight[0].ravel()
            gram = levels.T @ (w[:, None] * levels)
            inside = np.diag(w) - (w[:, None] * levels) @ np.linalg.pinv(gram) @ (levels.T * w)
            assert found[0, half_row] == pytest.approx(t.ravel() @ inside @ quarter[0].ravel(), abs=1e-6)
            assert told[0, half_row] == pytest.approx(t.ravel() @ inside @ t.ravel(), abs=1e-6)


@pytest.mark.parametrize("slant_km", [-12.0, 8.0])
def test_a_plume_that_is_cut_at_an_angle_is_found_by_its_slant(slant_km: float) -> None:
    """`slant_km` is how far ahead the plume lies on one side of the middle of the strip."""
    columns = planted_columns(np.random.default_rng(9), 1000)
    track = track_of(columns)
    middle = 500.0 + slant_km * track.across_km / np.abs(track.across_km).max()
    plume = 2.5 * np.exp(-0.5 * ((track.distance_km - middle) / 2.5) ** 2)
    with_plume = replace(track, xco2_ppm=track.xco2_ppm + plume)
    straight, both = Scan.of(Rows.of(with_plume), NONE_SLANTED), Scan.of_track(with_plume)
    near = np.abs(np.repeat(both.rows.distance_km, HALF) - 500.0) < 6.0
    assert both.statistic[near].max() > 1.2 * straight.statistic[near].max()
    fit = fit_at(with_plume, 500.0, 6.0)
    assert fit is not None and np.sign(fit.shape.slant) == np.sign(slant_km)
    assert fit.amplitude_ppm_km == pytest.approx(2.5 * 2.5 * np.sqrt(2 * np.pi), rel=0.25)


@pytest.mark.parametrize("sigma_km", [1.0, 3.0, 9.0, 20.0])
def test_the_scan_peaks_at_the_planted_place_and_width(sigma_km: float) -> None:
    columns = planted_columns(np.random.default_rng(2), 1000, [Planted(500, 5.0, sigma_km)])
    scan = Scan.of(Rows.of(track_of(columns)), NONE_SLANTED)
    at = int(np.argmax(scan.statistic))
    assert scan.rows.distance_km[at // HALF] == pytest.approx(500, abs=3)
    assert scan.sigma_km[at] == pytest.approx(sigma_km, rel=0.5, abs=0.5)


def test_what_cannot_be_tested_says_so() -> None:
    columns = planted_columns(np.random.default_rng(3), 900)
    km = along_km(columns)
    scan = Scan.of(Rows.of(track_of(columns, (km < 300) | (km > 600))), NONE_SLANTED)
    tested = np.isfinite(scan.statistic[::HALF])
    distance = scan.rows.distance_km
    assert tested[(distance > 20) & (distance < 290)].all() and tested[(distance > 610) & (distance < 880)].all()
    assert not tested[(distance > 380) & (distance < 520)].any()
    few = Scan.of(Rows.of(track_of(columns, km < 10)), NONE_SLANTED)
    assert not np.isfinite(few.statistic).any()


def test_a_known_plume_is_not_seen_again_and_a_neighbour_is() -> None:
    plumes = [Planted(400, 5.0, 6.0), Planted(450, 4.0, 6.0)]
    scan = Scan.of(Rows.of(track_of(planted_columns(np.random.default_rng(4), 900, plumes))), NONE_SLANTED)
    row = {at: int(np.argmin(np.abs(scan.rows.distance_km - at))) for at in (400, 450)}
    before = {at: scan.statistic[HALF * r - 4 : HALF * r + 5].max() for at, r in row.items()}
    shape = PlumeShape(float(row[400]), 6.0 / scan.rows.km_per_row, 5.0)
    scan.update([shape], shape)
    after = {at: scan.statistic[HALF * r - 4 : HALF * r + 5].max() for at, r in row.items()}
    assert before[400] > 20 and after[400] < 4 and after[450] > 0.8 * before[450] > 10


def test_exact_plume_without_noise() -> None:
    truth = Planted(500, 3.0, 10.0)
    fit = fit_at(track_of(planted_columns(None, 1000, [truth])), 497.0, 8.0)
    assert fit is not None
    assert fit.centre_km == pytest.approx(500, abs=0.5) and fit.sigma_km == pytest.approx(10, rel=0.05)
    assert fit.amplitude_ppm_km == pytest.approx(truth.amplitude_ppm_km, rel=0.05)
    assert fit.background_ppm(np.array([500.0]))[0] == pytest.approx(402, abs=0.1)
    assert fit.amplitude_ppm_km == pytest.approx(fit.height_ppm * fit.sigma_km * np.sqrt(2 * np.pi), rel=1e-12)
    assert fit.seen_share == 1.0


def test_nothing_positive_is_no_fit() -> None:
    assert fit_at(track_of(planted_columns(None, 1000, [Planted(500, -5.0, 30.0)])), 500.0, 3.0) is None


def test_slope_near_the_end_of_a_track_is_that_of_what_there_is() -> None:
    columns = planted_columns(None, 1000, [Planted(965, 3.0, 6.0)])
    columns["xco2"] = columns["xco2"] + 0.01 * along_km(columns)
    fit = fit_at(track_of(columns), 965.0, 6.0)
    assert fit is not None and fit.background_slope_ppm_km == pytest.approx(0.01, rel=0.06)


def test_slope_and_curve_of_the_background_are_found() -> None:
    columns = planted_columns(None, 1000, [Planted(500, 3.0, 6.0)])
    x = along_km(columns) - 500
    columns["xco2"] = columns["xco2"] + 0.005 * x + 0.00003 * x**2
    fit = fit_at(track_of(columns), 500.0, 6.0)
    assert fit is not None
    assert fit.background_slope_ppm_km == pytest.approx(0.005, abs=2e-3)
    assert fit.amplitude_ppm_km == pytest.approx(Planted(500, 3.0, 6.0).amplitude_ppm_km, rel=0.08)
