from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lite_granules import along_km
from planted import Planted, planted_columns, soundings_of
from plumewatch.oco2.fit import fit_peak
from plumewatch.oco2.null_distribution import null_distribution
from plumewatch.oco2.peaks import PeakSearch, find_peaks
from plumewatch.oco2.scan import scan_track, scan_widths
from plumewatch.oco2.seed_method import find_peaks_seed
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track, compute_track


def track_of(columns: dict[str, Any], where: Any = slice(None)) -> Track:
    return compute_track(soundings_of(columns, where))


def accepted(search: PeakSearch) -> list[Any]:
    return [peak for peak in search.peaks if peak.status == "accepted"]


def statuses(search: PeakSearch) -> list[str]:
    return [peak.status for peak in search.peaks]


# --- the scan


def test_scan_equals_least_squares_in_every_window() -> None:
    rng = np.random.default_rng(5)
    columns = planted_columns(rng, 500, [Planted(260, 2.0, 8.0)])
    track = track_of(columns, rng.random(len(columns["xco2"])) < 0.7)
    bin_km = peak_thresholds().track.bin_km
    scan = scan_track(track.distance_km, track.xco2_ppm, track.weight)
    for row, at in ((0, 120), (6, 258), (9, 262), (17, 300)):
        # sums are over bins: a sounding counts at the middle of its kilometre
        centre = float(scan.distance_km(at))
        middle = (np.floor(track.distance_km / bin_km) + 0.5) * bin_km
        x = middle - centre
        here = np.abs(x) < peak_thresholds().scan.half_window_km + bin_km / 2
        design = np.stack([np.exp(-0.5 * (x / scan.sigma_km[row]) ** 2), np.ones(len(x)), x, x**2], axis=1)[here]
        root = np.sqrt(track.weight[here])
        solution, rss, *_ = np.linalg.lstsq(design * root[:, None], track.xco2_ppm[here] * root, rcond=None)
        variance = (
            rss[0] / (here.sum() - 5) * np.linalg.inv((design * root[:, None]).T @ (design * root[:, None]))[0, 0]
        )
        assert scan.height_error_ppm[row, at] == pytest.approx(np.sqrt(variance), rel=1e-6)
        assert scan.statistic[row, at] == pytest.approx(solution[0] / np.sqrt(variance), rel=1e-5)


def test_scan_peaks_at_the_planted_place_and_width() -> None:
    columns = planted_columns(np.random.default_rng(2), 1000, [Planted(500, 3.0, 9.0)])
    track = track_of(columns)
    scan = scan_track(track.distance_km, track.xco2_ppm, track.weight)
    row, at = np.unravel_index(np.nanargmax(scan.statistic), scan.statistic.shape)
    assert scan.distance_km(int(at)) == pytest.approx(500, abs=3) and scan.sigma_km[row] == pytest.approx(9, rel=0.25)


def test_widths_cover_what_the_thresholds_say() -> None:
    widths = scan_widths()
    assert widths[0] == pytest.approx(2) and widths[-1] == pytest.approx(33) and len(widths) == 18
    assert len(null_distribution().spread) == len(widths)


def test_what_cannot_be_tested_is_nan() -> None:
    columns = planted_columns(np.random.default_rng(3), 900)
    km = along_km(columns)
    track = track_of(columns, (km < 300) | (km > 600))
    scan = scan_track(track.distance_km, track.xco2_ppm, track.weight)
    tested = np.isfinite(scan.statistic).any(axis=0)
    assert tested[50:280].all() and tested[620:850].all() and not tested[400:500].any()
    # at an end, a wide Gaussian can't be told from the background's slope
    assert np.isfinite(scan.statistic[0, 5]) and np.isnan(scan.statistic[-1, 5])
    assert not np.isfinite(scan_track(*(np.arange(20.0),) * 2, np.ones(20)).statistic).any()
    assert scan_track(*(np.empty(0),) * 3).statistic.shape == (18, 0)


# --- planted peaks


@pytest.mark.parametrize("sigma_km", [4.0, 10.0, 20.0])
def test_strong_peaks_are_found_once_with_the_right_amplitude(sigma_km: float) -> None:
    rng = np.random.default_rng(int(sigma_km))
    errors, inside = [], 0
    for _ in range(12):
        truth = Planted(rng.uniform(250, 750), 2.5, sigma_km)
        found = accepted(find_peaks(track_of(planted_columns(rng, 1000, [truth]))))
        near = [p for p in found if abs(p.fit.centre_km - truth.centre_km) < max(sigma_km, 5)]
        assert len(near) == 1 and len(found) == 1
        assert near[0].false_alarm_probability < 0.002 and near[0].significance > 2.8
        errors.append(near[0].fit.amplitude_ppm_km / truth.amplitude_ppm_km - 1)
        inside += near[0].fit.amplitude_ppm_km_low <= truth.amplitude_ppm_km <= near[0].fit.amplitude_ppm_km_high
    assert np.median(np.abs(errors)) < 0.1 and abs(np.median(errors)) < 0.1
    assert inside >= 5  # a 68 % interval holds 8 of 12 on average, 5 or more in 97 of 100 such tests


def test_exact_peak_without_noise() -> None:
    truth = Planted(500, 3.0, 10.0)
    track = track_of(planted_columns(None, 1000, [truth]))
    fit = fit_peak(track, 497.0, 8.0)
    assert fit is not None
    assert fit.centre_km == pytest.approx(500, abs=0.3) and fit.sigma_km == pytest.approx(10, rel=0.01)
    assert fit.amplitude_ppm_km == pytest.approx(truth.amplitude_ppm_km, rel=0.02)
    assert fit.background_ppm(np.array([500.0]))[0] == pytest.approx(402, abs=0.02)
    assert fit.amplitude_ppm_km == pytest.approx(fit.height_ppm * fit.sigma_km * np.sqrt(2 * np.pi), rel=1e-12)


def test_nothing_positive_is_no_fit() -> None:
    dip = track_of(planted_columns(None, 1000, [Planted(500, -5.0, 30.0)]))
    assert fit_peak(dip, 500.0, 3.0) is None


def test_slope_and_curve_of_the_background_are_found() -> None:
    columns = planted_columns(None, 1000, [Planted(500, 3.0, 6.0)])
    x = along_km(columns) - 500
    columns["xco2"] = columns["xco2"] + 0.01 * x + 0.0001 * x**2
    fit = fit_peak(track_of(columns), 500.0, 6.0)
    assert fit is not None
    assert fit.coefficients == pytest.approx((402.0, 0.01, 0.0001), abs=3e-3)
    assert fit.amplitude_ppm_km == pytest.approx(Planted(500, 3.0, 6.0).amplitude_ppm_km, rel=0.02)


def test_two_plumes_are_two_rows() -> None:
    plumes = [Planted(400, 3.0, 6.0), Planted(620, 3.0, 6.0)]
    found = accepted(find_peaks(track_of(planted_columns(np.random.default_rng(8), 1000, plumes))))
    assert [round(p.fit.centre_km, -1) for p in found] == [400, 620]


def test_false_alarms_are_as_rare_as_stated() -> None:
    rng = np.random.default_rng(99)
    # 90,000 km: 150 stretches of 600 km, of which 2 % are 3; at most 8 in 99 of 100 such tests
    found = [p for _ in range(15) for p in accepted(find_peaks(track_of(planted_columns(rng, 6000))))]
    assert len(found) <= 8
    assert all(p.false_alarm_probability > 0.0005 for p in found)


def test_dips_are_no_peaks() -> None:
    columns = planted_columns(np.random.default_rng(4), 1000, [Planted(500, -4.0, 8.0)])
    assert accepted(find_peaks(track_of(columns))) == []


def test_white_noise_of_any_strength_gives_no_peaks() -> None:
    columns = planted_columns(None, 5000)
    for strength in (0.1, 3.0):
        columns["xco2"] = 402 + np.random.default_rng(6).normal(0, strength, len(columns["xco2"]))
        assert len(accepted(find_peaks(track_of(columns)))) <= 1


# --- rejected candidates


def test_too_wide_and_too_narrow() -> None:
    rng = np.random.default_rng(12)
    wide = find_peaks(track_of(planted_columns(rng, 2000, [Planted(1000, 9.0, 45.0)])))
    assert "too_wide" in statuses(wide) and accepted(wide) == []
    narrow = find_peaks(track_of(planted_columns(rng, 1000, [Planted(500, 9.0, 1.2)])))
    assert "too_narrow" in statuses(narrow) and accepted(narrow) == []


def test_empty_shoulders() -> None:
    columns = planted_columns(np.random.default_rng(13), 1000, [Planted(500, 4.0, 8.0)])
    km = along_km(columns)
    search = find_peaks(track_of(columns, (km < 514) | (km > 527)))
    assert statuses(search) == ["shoulders_empty"]


def test_not_significant_rows_are_kept_with_their_probability() -> None:
    rng = np.random.default_rng(14)
    searches = [find_peaks(track_of(planted_columns(rng, 6000))) for _ in range(6)]
    weak = [p for s in searches for p in s.peaks if p.status == "not_significant"]
    assert weak and all(0.02 < p.false_alarm_probability <= 0.1 + 1e-9 for p in weak)


def test_duplicates_are_named() -> None:
    # a shoulder of the plume 45 km off: within the reach of 50 km
    plumes = [Planted(500, 6.0, 5.0), Planted(545, 3.5, 3.0)]
    search = find_peaks(track_of(planted_columns(np.random.default_rng(15), 1000, plumes)))
    assert len(accepted(search)) == 1 and accepted(search)[0].fit.centre_km == pytest.approx(500, abs=3)
    assert statuses(search).count("duplicate") == 1


def test_nothing_to_search() -> None:
    search = find_peaks(track_of(planted_columns(np.random.default_rng(1), 20)))
    assert search.peaks == () and search.searched_fraction == 0 and np.isnan(search.detection_limit_ppm_km)


def test_repetition_gives_the_same() -> None:
    track = track_of(planted_columns(np.random.default_rng(21), 1000, [Planted(500, 2.0, 8.0)]))
    assert find_peaks(track) == find_peaks(track)


def test_peak_at_the_detection_limit_is_found_about_half_the_time() -> None:
    rng = np.random.default_rng(31)
    limit = find_peaks(track_of(planted_columns(rng, 1000))).detection_limit_ppm_km
    found = dict.fromkeys((0.5, 2.0), 0)
    for factor in found:
        for _ in range(10):
            truth = Planted(500, factor * limit / 10.0 / np.sqrt(2 * np.pi), 10.0)
            search = find_peaks(track_of(planted_columns(rng, 1000, [truth])))
            found[factor] += any(abs(p.fit.centre_km - 500) < 15 for p in accepted(search))
    assert found[0.5] <= 3 and found[2.0] >= 9


# --- the seed's method


def test_seed_method_finds_the_plume_several_times() -> None:
    truth = Planted(500, 3.0, 10.0)
    search = find_peaks_seed(track_of(planted_columns(np.random.default_rng(41), 1000, [truth])))
    near = [p for p in accepted(search) if abs(p.fit.centre_km - 500) < 15]
    assert len(near) >= 2
    best = max(near, key=lambda p: p.correlation)
    assert best.fit.amplitude_ppm_km == pytest.approx(truth.amplitude_ppm_km, rel=0.3)
    assert {p.index % 15 for p in search.peaks} == {0}
    assert all(2 <= p.fit.sigma_km <= 33.34 and p.correlation >= 0.5 for p in search.peaks)


def test_seed_method_accepts_noise_as_seldom_as_the_scan() -> None:
    rng = np.random.default_rng(44)
    # 24,000 km: 40 stretches of 600 km, of which 2 % are 0.8, each a few rows
    rows = [p for _ in range(4) for p in accepted(find_peaks_seed(track_of(planted_columns(rng, 6000))))]
    assert len({round(p.fit.centre_km, -2) for p in rows}) <= 4


def test_seed_method_is_converged() -> None:
    """Its sum of squares is that of scipy's curve_fit with tight tolerances, for the same window and centre."""
    from scipy.optimize import curve_fit

    track = track_of(planted_columns(np.random.default_rng(42), 1000, [Planted(500, 3.0, 10.0)]))
    peak = min(find_peaks_seed(track).peaks, key=lambda p: abs(p.fit.centre_km - 500))
    at = track.near(peak.fit.centre_km, 100.0)
    x, y = track.distance_km[at] - peak.fit.centre_km, track.xco2_ppm[at]

    def model(x: Any, m: float, b: float, a: float, s: float) -> Any:
        return m * x + b + a / (s * np.sqrt(2 * np.pi)) * np.exp(-(x**2) / (2 * s**2))

    best, _ = curve_fit(model, x, y, p0=(0, np.median(y), 60, 10), ftol=1e-12, xtol=1e-12)
    assert peak.fit.amplitude_ppm_km == pytest.approx(best[2], rel=0.004)
    assert peak.fit.sigma_km == pytest.approx(abs(best[3]), rel=0.004)


def test_seed_method_skips_short_orbits() -> None:
    columns = planted_columns(np.random.default_rng(43), 130, [Planted(65, 3.0, 8.0)])
    assert find_peaks_seed(track_of(columns)).peaks == ()
