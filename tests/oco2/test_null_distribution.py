from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from plumewatch.oco2.evaluation import calibration
from plumewatch.oco2.evaluation.judged_strips import World
from plumewatch.oco2.evaluation.surroundings import SimulatedStripNoise
from plumewatch.oco2.null_distribution import null_distribution
from plumewatch.oco2.scan import Scan

OTHER = 103  # neither of the purposes that are trained on or judged


def test_probability_and_threshold_are_inverse_and_fall_with_z() -> None:
    law = null_distribution()
    for p in (0.5, 0.1, 0.02, 5e-4, 1e-8):
        assert float(law.false_alarm_probability(law.threshold(p))) == pytest.approx(p, rel=1e-9)
    z = np.linspace(-5, 40, 200)
    assert (np.diff(law.false_alarm_probability(z)) <= 0).all()
    assert float(law.false_alarm_probability(-50.0)) == 1.0
    assert float(law.expected(law.threshold(1e-6))) == pytest.approx(1e-6, rel=1e-3)


def test_the_shipped_law_holds_on_new_strips_with_clouds_and_coasts() -> None:
    """Of other strips of 600 km, 2 % exceed the accepted threshold; Poisson bounds of 99 %."""
    law = null_distribution()
    strips = list(World(OTHER, (), (SimulatedStripNoise(),)).empty_strips(450))
    largest = np.array([Scan.of_track(judged.track).statistic.max() for judged in strips])
    assert 1 <= np.count_nonzero(largest > law.threshold(0.02)) <= 18  # 9 expected where noise reaches farthest
    assert np.count_nonzero(largest > law.threshold(0.0005)) <= 3  # 0.2 expected


def test_calibration_is_repeatable_and_readable(tmp_path: Path) -> None:
    first, second = calibration.calibrate(60), calibration.calibrate(60)
    assert first == second and first.scale > 0 and 0.7 < first.slanted_scale < 1.2
    calibration.write_calibration(first, 60, tmp_path / "null.yaml")
    written = yaml.safe_load((tmp_path / "null.yaml").read_text())
    assert written["location"]["value"] == pytest.approx(first.location, abs=1e-4)
    assert written["slanted_scale"]["value"] == pytest.approx(first.slanted_scale, abs=1e-4)
    assert all(entry["unit"] and entry["source"] for name, entry in written.items() if name != "version")


def test_the_shipped_law_is_of_this_code() -> None:
    assert null_distribution().version == calibration.VERSION
