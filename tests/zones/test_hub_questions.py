"""What Sentinel Hub's Statistical API is asked of a zone, and what a histogram can't say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from plumewatch.errors import InputError
from plumewatch.zones.hub_question import calculations, place_of
from plumewatch.zones.service_statistics import DayStatistics, pool_days, read_days


def test_a_zone_over_180_degrees_is_asked_for_in_the_zone_of_its_largest_piece() -> None:
    shape = shapely.union_all([shapely.box(179.99, 0.1, 180, 0.12), shapely.box(-180, 0.1, -179.995, 0.12)])
    place = place_of("7", shape, 20.0)
    assert place.epsg == 32660 and 80 < place.width < 90


def test_percentiles_beyond_the_histogram_are_null() -> None:
    edges = np.linspace(-1.0, 1.0, 1001)
    bins = np.histogram(np.full(90, 0.8), edges)[0].astype(float)
    day = DayStatistics(100, 4.0, 1.0, 0.8, 40.0, {}, edges, bins, 0.0)
    found = pool_days([day], [50.0, 95.0]).percentiles
    assert found[50.0] == pytest.approx(0.8, abs=0.002) and np.isnan(found[95.0])
    made = calculations(["evi", "ndvi", "b04"], [50.0])
    histograms = {name: one["histograms"]["default"] for name, one in made.items()}
    assert histograms["evi"] == {"nBins": 3000, "lowEdge": -3.0, "highEdge": 3.0}
    assert histograms["ndvi"] == {"nBins": 1000, "lowEdge": -1.0, "highEdge": 1.0}


@pytest.mark.parametrize(
    "answer", [{"data": None, "status": "FAILED"}, {"error": "COMMON_BAD_PAYLOAD"}, [1], {"data": [{}]}]
)
def test_an_answer_without_days_is_an_error(answer: Any) -> None:
    with pytest.raises(InputError, match=r"^here: "):
        read_days("here", answer)


def test_recorded_answers_with_days_of_nothing(real_data: Path) -> None:
    zones = json.loads((real_data / "sentinel_hub" / "batch_stat_results.json").read_text())
    counts = {}
    for one in zones:
        found = read_days(one["identifier"], one["response"])
        assert found.errors == {} and sorted(found.days) == ["2020-06-09", "2020-06-11"]
        cloudy, clear = (found.days[day]["ndvi"] for day in sorted(found.days))
        assert cloudy.count == 0 and np.isnan(cloudy.mean) and np.isnan(cloudy.value("count"))
        month = pool_days([cloudy, clear], [50.0])
        assert (month.mean, month.std, month.low, month.high) == pytest.approx(
            (clear.mean, clear.std, clear.low, clear.high)
        )
        assert month.percentiles[50.0] == pytest.approx(clear.percentiles[50.0], abs=0.2)  # bins of 0.2
        counts[one["identifier"]] = month.count
    assert counts == {"SI21.FOI.7059004001": 109, "SI21.FOI.7059009001": 48}
    nothing = pool_days([cloudy], [50.0])
    assert nothing.count == 0 and np.isnan(nothing.mean) and np.isnan(nothing.percentiles[50.0])


def test_recorded_answers_with_errors(real_data: Path) -> None:
    recorded = real_data / "sentinel_hub" / "recorded"
    [partial] = json.loads((recorded / "normal_stat_partial_result.json").read_text())
    found = read_days("a", partial)
    assert found.errors == {"2020-06-07": "EXECUTION_ERROR"} and list(found.days) == ["2020-06-12"]
    failed, _, mixed = json.loads((recorded / "batch_stat_failed_results.json").read_text())
    with pytest.raises(InputError, match="no data, status 'FAILED'"):
        read_days("a", failed["response"])
    assert read_days("a", mixed["response"]).errors == {"2020-06-09": "EXECUTION_ERROR"}
    [refused] = json.loads((recorded / "normal_stat_failed_result.json").read_text())
    with pytest.raises(InputError, match="COMMON_BAD_PAYLOAD"):
        read_days("a", refused)
