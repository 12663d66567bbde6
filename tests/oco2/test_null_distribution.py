from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from plumewatch.errors import ConfigurationError
from plumewatch.oco2 import calibration
from plumewatch.oco2.null_distribution import NullDistribution, estimate_spread, null_distribution
from plumewatch.oco2.scan import scan_track


def test_probability_and_threshold_are_inverse_and_fall_with_z() -> None:
    law = null_distribution()
    for p in (0.5, 0.1, 0.02, 5e-4, 1e-8):
        assert float(law.false_alarm_probability(law.threshold(p))) == pytest.approx(p, rel=1e-9)
    z = np.linspace(-5, 40, 200)
    assert (np.diff(law.false_alarm_probability(z)) <= 0).all()
    assert float(law.false_alarm_probability(-50.0)) == 1.0


def test_shipped_law_holds_on_new_noise() -> None:
    """Of stretches of 600 km of other simulated tracks, 2 % exceed the accepted threshold; Poisson bounds of 99 %."""
    law, rng = null_distribution(), np.random.default_rng(77)
    largest = np.concatenate([_largest(rng, law) for _ in range(120)])
    assert len(largest) >= 590
    above = np.count_nonzero(largest > law.threshold(0.02))
    assert 3 <= above <= 22  # 12 expected
    assert np.count_nonzero(largest > law.threshold(0.0005)) <= 3  # 0.3 expected


def _largest(rng: np.random.Generator, law: NullDistribution) -> np.ndarray:
    location, scale = calibration.PLAIN_LAW
    plain = replace(law, reached=np.ones_like(law.reached), location=location, scale=scale)
    return calibration.largest_statistics(calibration.find_candidates(calibration.simulate_track(rng), plain), law)


def test_spread_is_the_orbit_s_own_on_long_tracks() -> None:
    rng = np.random.default_rng(5)
    track = calibration.simulate_track(rng, 12_000.0)
    scan = scan_track(track.distance_km, track.xco2_ppm, track.weight)
    own = np.nanmedian(np.abs(scan.statistic), axis=1) / 0.6745
    for usual in (0.5, 4.0):
        assert estimate_spread(scan, np.full(18, usual)) == pytest.approx(own, rel=0.35)


def test_plumes_do_not_raise_the_spread() -> None:
    rng = np.random.default_rng(6)
    track = calibration.simulate_track(rng, 900.0)
    usual = null_distribution().spread
    clean = estimate_spread(scan_track(track.distance_km, track.xco2_ppm, track.weight), usual)
    plume = 8.0 * np.exp(-0.5 * ((track.distance_km - 450.0) / 20.0) ** 2)
    dirty = estimate_spread(scan_track(track.distance_km, track.xco2_ppm + plume, track.weight), usual)
    assert dirty == pytest.approx(clean, rel=0.12)


def test_calibration_is_repeatable_and_readable(tmp_path: Path) -> None:
    first, second = calibration.calibrate(40), calibration.calibrate(40)
    assert (first.location, first.scale) == (second.location, second.scale) and first.scale > 0
    calibration.write_calibration(first, 40, tmp_path / "null.yaml")
    written = yaml.safe_load((tmp_path / "null.yaml").read_text())
    assert written["gumbel_location"]["value"] == pytest.approx(first.location, abs=1e-4)
    assert written["reached"]["value"] == pytest.approx(first.reached, abs=1e-4)
    assert written["spread"]["value"] == pytest.approx(first.spread, abs=1e-4)
    assert all(entry["unit"] and entry["source"] for name, entry in written.items() if name != "version")


def test_too_few_tracks_give_no_law() -> None:
    with pytest.raises(ConfigurationError, match="3 tracks: too few"):
        calibration.calibrate(3)


def test_the_shipped_law_is_of_this_code() -> None:
    assert null_distribution().version == calibration.VERSION
