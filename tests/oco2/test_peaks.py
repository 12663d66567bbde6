from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lite_granules import along_km
from planted import Planted, planted_columns, soundings_of
from plumewatch.oco2.fit import fit_plume
from plumewatch.oco2.neighbours import _cuts, _uphill, two_parts
from plumewatch.oco2.peaks import PeakSearch, find_peaks
from plumewatch.oco2.scan import Scan
from plumewatch.oco2.seed_method import find_peaks_seed
from plumewatch.oco2.track import Track, compute_track


def track_of(columns: dict[str, Any], where: Any = slice(None)) -> Track:
    return compute_track(soundings_of(columns, where))


def accepted(search: PeakSearch) -> list[Any]:
    return [peak for peak in search.peaks if peak.status == "accepted"]


def statuses(search: PeakSearch) -> list[str]:
    return [peak.status for peak in search.peaks]


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


def test_a_plume_as_wide_as_the_background_is_no_row_that_counts() -> None:
    wide = find_peaks(track_of(planted_columns(np.random.default_rng(12), 2000, [Planted(1000, 9.0, 60.0)])))
    assert accepted(wide) == [] and set(statuses(wide)) <= {"too_wide", "not_significant"}


@pytest.mark.parametrize("sigma_km", [0.7, 1.2, 2.0])
def test_a_narrow_plume_is_a_plume(sigma_km: float) -> None:
    truth = Planted(500, 9.0, sigma_km)
    found = accepted(find_peaks(track_of(planted_columns(np.random.default_rng(12), 1000, [truth]))))
    assert [round(p.fit.centre_km) for p in found] == pytest.approx([500], abs=2)
    assert found[0].fit.amplitude_ppm_km == pytest.approx(truth.amplitude_ppm_km, rel=0.35)


@pytest.mark.parametrize("gap_km", [(514, 527), (508, 530), (470, 492), (503, 506), (497, 503)])
def test_gaps_beside_and_in_a_plume_are_no_reason_to_refuse_it(gap_km: tuple[float, float]) -> None:
    truth = Planted(500, 4.0, 8.0)
    columns = planted_columns(np.random.default_rng(13), 1000, [truth])
    km = along_km(columns)
    found = accepted(find_peaks(track_of(columns, (km < gap_km[0]) | (km > gap_km[1]))))
    assert len(found) == 1 and found[0].fit.centre_km == pytest.approx(500, abs=4)
    assert found[0].fit.amplitude_ppm_km == pytest.approx(truth.amplitude_ppm_km, rel=0.35)
    assert found[0].fit.amplitude_ppm_km_low < truth.amplitude_ppm_km * 1.1


@pytest.mark.parametrize("seed", [13, 14, 15])
def test_a_plume_of_which_a_gap_hides_nearly_all_is_a_row_whose_interval_says_so(seed: int) -> None:
    truth = Planted(500, 12.0, 6.0)
    columns = planted_columns(np.random.default_rng(seed), 1000, [truth])
    km = along_km(columns)
    [peak] = accepted(find_peaks(track_of(columns, (km < 490) | (km > 505))))
    assert peak.fit.amplitude_ppm_km_low < truth.amplitude_ppm_km < peak.fit.amplitude_ppm_km_high
    [whole] = accepted(find_peaks(track_of(columns)))
    assert whole.fit.amplitude_ppm_km_high - whole.fit.amplitude_ppm_km_low < 0.5 * (
        peak.fit.amplitude_ppm_km_high - peak.fit.amplitude_ppm_km_low
    )


@pytest.mark.parametrize("gap_km", [(494, 505), (493, 506), (491, 505)])
def test_a_plume_whose_middle_a_gap_hides_is_told_by_its_flanks(gap_km: tuple[float, float]) -> None:
    truth = Planted(500, 8.0, 6.0)
    columns = planted_columns(np.random.default_rng(13), 1000, [truth])
    km = along_km(columns)
    [peak] = find_peaks(track_of(columns, (km < gap_km[0]) | (km > gap_km[1]))).peaks
    assert peak.status == "accepted" and peak.fit.amplitude_ppm_km == pytest.approx(truth.amplitude_ppm_km, rel=0.2)
    assert peak.fit.amplitude_ppm_km_low < truth.amplitude_ppm_km < peak.fit.amplitude_ppm_km_high


def test_a_single_sounding_is_no_plume() -> None:
    columns = planted_columns(np.random.default_rng(16), 1000)
    at = np.argmin(np.abs(along_km(columns) - 500))
    columns["xco2"][at] += 40.0
    assert accepted(find_peaks(track_of(columns))) == []


def test_not_significant_rows_are_kept_with_their_probability() -> None:
    rng = np.random.default_rng(14)
    searches = [find_peaks(track_of(planted_columns(rng, 6000))) for _ in range(6)]
    weak = [p for s in searches for p in s.peaks if p.status == "not_significant"]
    assert weak and all(0.02 < p.false_alarm_probability <= 0.1 + 1e-9 for p in weak)


@pytest.mark.parametrize("apart_km", [22, 30, 45, 60])
def test_two_plants_beside_each_other_are_two_rows(apart_km: float) -> None:
    plumes = [Planted(500, 4.0, 5.0), Planted(500 + apart_km, 3.0, 5.0)]
    found = accepted(find_peaks(track_of(planted_columns(np.random.default_rng(15), 1000, plumes))))
    assert [p.fit.centre_km for p in found] == pytest.approx([500, 500 + apart_km], abs=3)
    assert [p.fit.amplitude_ppm_km for p in found] == pytest.approx([p.amplitude_ppm_km for p in plumes], rel=0.3)


@pytest.mark.parametrize(("valley", "apart", "n_cuts"), [(0.32, 6, 1), (0.5, 6, 0), (0.1, 3, 0)])
def test_two_are_parted_by_a_valley_and_ten_kilometres(valley: float, apart: int, n_cuts: int) -> None:
    """`valley` is a share of the lower top, which is `apart` rows of 2.25 km from the higher one."""
    profile = np.interp(np.arange(20.0), [0, 6, 6 + apart / 2, 6 + apart, 19], [0, 3, 2 * valley, 2, 0])
    assert len(_cuts(profile, np.eye(20) * 1e-4, [6, 6 + apart], round(10.0 / 2.25))) == n_cuts


def test_a_part_is_at_the_top_of_its_hill() -> None:
    """Two that were fitted off their tops, which are parted by less than what lies at the first one's middle."""
    profile = np.array([0.0, 1.0, 3.2, 2.1, 1.4, 3.0, 5.1, 2.0, 0.0])
    assert [_uphill(profile, at) for at in (0, 1, 3, 5, 6, 8)] == [2, 2, 2, 6, 6, 6]


def test_one_fit_with_two_tops_is_two_parts_where_the_lower_stands_out() -> None:
    plumes = [Planted(500, 6.0, 2.3), Planted(514, 4.5, 2.3)]
    scan = Scan.of_track(track_of(planted_columns(np.random.default_rng(16), 1000, plumes)))
    fit = fit_plume(scan, 507.0 / scan.rows.km_per_row, 7.0, 20.0)
    assert fit is not None
    wide = replace(fit, enhancement_along_ppm=sum(plume.enhancement_ppm(fit.along_km) for plume in plumes))
    parts = two_parts(scan, wide, [], 5.0)
    assert parts is not None
    at_km = np.interp([part.shape.centre for part in parts], np.arange(len(scan.rows)), scan.rows.distance_km)
    assert at_km == pytest.approx([500, 514], abs=2) and parts[0].statistic == 20.0 and parts[1].statistic > 10.0
    alone = Scan.of_track(track_of(planted_columns(np.random.default_rng(16), 1000, plumes[:1])))
    narrow = fit_plume(alone, 500.0 / scan.rows.km_per_row, 2.3, 20.0)
    assert narrow is not None and two_parts(alone, narrow, [], 5.0) is None


def test_two_tops_without_a_valley_are_one_row_with_the_sum() -> None:
    plumes = [Planted(500, 4.0, 5.0), Planted(510, 4.0, 4.0)]
    found = accepted(find_peaks(track_of(planted_columns(np.random.default_rng(17), 1000, plumes))))
    assert len(found) == 1
    assert found[0].fit.amplitude_ppm_km == pytest.approx(sum(p.amplitude_ppm_km for p in plumes), rel=0.2)


def test_a_skewed_plume_is_one_row_with_its_integral() -> None:
    # a steep side and one that falls off over 8 km: 3 ppm x (2 sqrt(pi / 2) + 8) km
    columns = planted_columns(np.random.default_rng(18), 1000)
    x = along_km(columns) - 500
    columns["xco2"] = columns["xco2"] + 3.0 * np.where(x < 0, np.exp(-0.5 * (x / 2.0) ** 2), np.exp(-np.abs(x) / 8.0))
    found = accepted(find_peaks(track_of(columns)))
    assert len(found) == 1
    assert found[0].fit.amplitude_ppm_km == pytest.approx(3.0 * (2.0 * np.sqrt(np.pi / 2.0) + 8.0), rel=0.25)


def test_a_plume_that_half_of_the_strip_sees_is_found() -> None:
    columns = planted_columns(np.random.default_rng(19), 1000)
    km, is_left = along_km(columns), np.asarray(columns["Sounding/footprint"]) <= 3
    seen = 5.0 * np.exp(-0.5 * ((km - 500) / 2.5) ** 2) * is_left
    found = accepted(find_peaks(track_of({**columns, "xco2": columns["xco2"] + seen})))
    assert [p.fit.centre_km for p in found] == pytest.approx([500], abs=4)


def test_a_coast_is_no_plume() -> None:
    rng = np.random.default_rng(20)
    alarms = 0
    for _ in range(20):
        columns = planted_columns(rng, 600)
        is_island = np.abs(along_km(columns) - 300) < 15
        columns["xco2"] = columns["xco2"] + 0.8 * is_island
        columns["Sounding/land_water_indicator"] = np.where(is_island, 0, 1)
        alarms += len(accepted(find_peaks(track_of(columns))))
    assert alarms <= 2


def test_plumes_beside_a_dip_keep_their_amplitudes() -> None:
    plumes = [Planted(400, 6.0, 8.0), Planted(440, 6.0, 8.0)]
    columns = planted_columns(np.random.default_rng(22), 900, [*plumes, Planted(466, -12.0, 5.0)])
    found = accepted(find_peaks(track_of(columns)))
    assert [p.fit.centre_km for p in found] == pytest.approx([400, 440], abs=3)
    assert [p.fit.amplitude_ppm_km for p in found] == pytest.approx([p.amplitude_ppm_km for p in plumes], rel=0.25)


@pytest.mark.parametrize("centre_km", [-20.0, -10.0, 912.0, 925.0])
def test_a_plume_whose_middle_lies_beyond_the_track_is_not_accepted(centre_km: float) -> None:
    search = find_peaks(track_of(planted_columns(np.random.default_rng(23), 900, [Planted(centre_km, 15.0, 12.0)])))
    assert accepted(search) == [] and set(statuses(search)) <= {"shoulders_empty", "not_significant"}


@pytest.mark.parametrize("stretch", [0.1, 2.0, 2.5, 10.0])
def test_odd_ground_speeds_are_searched(stretch: float) -> None:
    columns = planted_columns(np.random.default_rng(24), 600, [Planted(300, 6.0, 8.0)])
    columns["latitude"] = -30.0 + stretch * (np.asarray(columns["latitude"]) + 30.0)
    assert np.isfinite(find_peaks(track_of(columns)).detection_limit_ppm_km)


@pytest.mark.parametrize("seed", range(6))
def test_wild_tracks_give_numbers_that_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heights, widths = rng.normal(0.0, 40.0, 30), rng.uniform(0.5, 60.0, 30)
    wild = [Planted(at, h, s) for at, h, s in zip(rng.uniform(0, 900, 30), heights, widths, strict=True)]
    columns = planted_columns(rng, 900, wild)
    columns["xco2"] = np.clip(columns["xco2"], 250.0, 750.0)
    search = find_peaks(track_of(columns, rng.random(len(columns["xco2"])) < rng.uniform(0.1, 1.0)))
    for peak in search.peaks:
        fit = peak.fit
        assert 0 < fit.amplitude_ppm_km_low <= fit.amplitude_ppm_km <= fit.amplitude_ppm_km_high < np.inf
        assert fit.height_ppm > 0 and fit.sigma_km > 0 and 0 <= peak.false_alarm_probability <= 0.1 + 1e-9
    assert len({peak.index for peak in search.peaks}) == len(search.peaks) and 0 <= search.searched_fraction <= 1


def test_nothing_to_search() -> None:
    search = find_peaks(track_of(planted_columns(np.random.default_rng(1), 20)))
    assert search.peaks == () and search.searched_fraction == 0 and np.isnan(search.detection_limit_ppm_km)


def test_repetition_gives_the_same() -> None:
    track = track_of(planted_columns(np.random.default_rng(21), 1000, [Planted(500, 2.0, 8.0)]))
    first, second = (find_peaks(track).peaks for _ in range(2))
    assert [(p.index, p.fit.amplitude_ppm_km, p.status) for p in first] == [
        (p.index, p.fit.amplitude_ppm_km, p.status) for p in second
    ]
    assert len(first) == 1


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
