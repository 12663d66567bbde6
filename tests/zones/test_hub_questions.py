"""What Sentinel Hub's Statistical API is asked of a zone, and what a histogram can't say."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from plumewatch.zones.hub_month import _calculations, _Question
from plumewatch.zones.service_statistics import DayStatistics, pool_days


def test_a_zone_over_180_degrees_is_asked_for_in_the_zone_of_its_largest_piece() -> None:
    shape = shapely.union_all([shapely.box(179.99, 0.1, 180, 0.12), shapely.box(-180, 0.1, -179.995, 0.12)])
    question = _Question(None, None, 0, shape, "2025-08", ("ndvi",), 20.0)  # type: ignore[arg-type]
    _, box, width, _ = question.place()
    assert box.crs.value == "32660" and 80 < width < 90


def test_percentiles_beyond_the_histogram_are_null() -> None:
    edges = np.linspace(-1.0, 1.0, 1001)
    bins = np.histogram(np.full(90, 0.8), edges)[0].astype(float)
    day = DayStatistics(100, 4.0, 1.0, 0.8, 40.0, {}, edges, bins, 0.0)
    found = pool_days([day], [50.0, 95.0]).percentiles
    assert found[50.0] == pytest.approx(0.8, abs=0.002) and np.isnan(found[95.0])
    made = _calculations(["evi", "ndvi", "b04"], [50.0])
    histograms = {name: one["histograms"]["default"] for name, one in made.items()}
    assert histograms["evi"] == {"nBins": 3000, "lowEdge": -3.0, "highEdge": 3.0}
    assert histograms["ndvi"] == {"nBins": 1000, "lowEdge": -1.0, "highEdge": 1.0}
