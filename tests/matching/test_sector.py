"""Upwind is upwind: for 16 winds at five latitudes, on the antimeridian too, in what is matched and what is shown."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import shapely
from detections_and_sources import detection
from plumewatch.geodesy import destination
from plumewatch.matching.candidates import ListedSources, find_candidates
from plumewatch.matching.match import match_candidates
from plumewatch.matching.sector import upwind_sector

LATITUDES = (-75.0, -33.0, 0.0, 52.0, 84.0)
FROM_DEG = np.arange(16) * 22.5
BEARINGS = {"upwind": 0.0, "right": 90.0, "downwind": 180.0, "left": 270.0}


@pytest.mark.parametrize("latitude", LATITUDES)
@pytest.mark.parametrize("longitude", [10.0, 179.95])
def test_the_source_upwind_is_first_and_the_sector_holds_it_alone(longitude: float, latitude: float) -> None:
    for from_deg in FROM_DEG:
        u, v = -6.0 * math.sin(math.radians(from_deg)), -6.0 * math.cos(math.radians(from_deg))
        places = {name: destination(longitude, latitude, from_deg + off, 40.0) for name, off in BEARINGS.items()}
        lon, lat = (np.array([float(place[i]) for place in places.values()]) for i in (0, 1))
        rows = {"source_id": list(places), "inventory": ["own"] * 4, "longitude": lon, "latitude": lat}
        listed = ListedSources.of(pa.table(rows | {"emission_t_y": np.full(4, 8.76e6)}))
        seen = detection(longitude, latitude, u, v)
        pairs = find_candidates(np.array([longitude]), np.array([latitude]), listed, 100.0)
        assert len(pairs) == 4
        first = match_candidates(seen, pairs, "co2").to_pylist()[0]
        assert (first["source_id"], first["status"]) == ("upwind", "confirmed"), from_deg
        assert (first["along_wind_km"], first["across_wind_km"]) == pytest.approx((40.0, 0.0), abs=0.05)
        sector = upwind_sector(longitude, latitude, u, v)
        near = [longitude + (x - longitude + 180.0) % 360.0 - 180.0 for x in lon]
        assert sector is not None and sector.is_valid
        assert shapely.contains_xy(sector, near, lat).tolist() == [True, False, False, False], from_deg
        for off, is_in in ((30.0, True), (-30.0, True), (50.0, False), (-50.0, False)):
            x, y = destination(longitude, latitude, from_deg + off, 40.0)
            x = longitude + (float(x) - longitude + 180.0) % 360.0 - 180.0
            assert shapely.contains_xy(sector, x, float(y)) == is_in, (from_deg, off)


def test_without_wind_there_is_no_sector() -> None:
    assert upwind_sector(10.0, 50.0, 0.0, 0.01) is None
    assert upwind_sector(10.0, 50.0, float("nan"), 1.0) is None


def test_a_weak_wind_reaches_less_far_and_is_less_sure() -> None:
    weak, strong = (upwind_sector(0.0, 0.0, speed, 0.0) for speed in (2.5, 10.0))
    assert weak is not None and strong is not None
    assert weak.bounds[0] == pytest.approx(-54.0 / 111.195, rel=1e-3)  # 6 hours of 2.5 m/s
    assert strong.bounds[0] == pytest.approx(-100.0 / 111.195, rel=1e-3)
    assert weak.bounds[3] / -weak.bounds[0] > strong.bounds[3] / -strong.bounds[0]
