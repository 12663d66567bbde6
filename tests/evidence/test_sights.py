"""Which pass looked at which source: sources in areas, plumes that cross an orbit, the wind's direction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from evidence_rows import observation, sources
from plumewatch.evidence.sights import orbit_cells, sights_of_areas, sights_of_orbit, source_tree
from plumewatch.geodesy import destination

FIELD = shapely.box(54.0, 38.3, 54.4, 38.7)


def test_a_pass_looks_at_the_points_in_its_area() -> None:
    listed = sources(
        {"source_id": "in"}, {"source_id": "out", "longitude": 54.41}, {"source_id": "cell", "kind": "grid_cell"}
    )
    seen = observation(clear_fraction=0.8, covered_fraction=0.5).to_pylist()
    rows = sights_of_areas(seen, {"field": FIELD}, listed).to_pylist()
    assert [(r["source_id"], r["visible_fraction"], r["detection_limit"]) for r in rows] == [
        ("in", 0.4, 1500.0), (None, 0.4, 1500.0),  # of what nobody lists
    ]  # fmt: skip
    assert sights_of_areas(seen, {}, listed).num_rows == 0


@pytest.mark.parametrize("other", [{"clear_fraction": 0.2}, {"outcome": "skipped_cloud"}, {"outcome": "no_reference"}])
def test_a_pass_that_saw_next_to_nothing_did_not_look(other: dict) -> None:
    seen = observation(**{"covered_fraction": 0.9, **other}).to_pylist()
    assert sights_of_areas(seen, {"field": FIELD}, sources({"source_id": "in"})).num_rows == 0


def orbit(lon: float, lat: float, wind_to_deg: float, *, gap_km: float = 0.0) -> list:
    """Soundings of a strip of 10 km that flies north through a place, with a gap of half that width on both sides."""
    along = np.arange(-120.0, 120.0, 0.7)
    along = along[np.abs(along) >= gap_km]
    x, y = destination(lon, lat, 0.0, along)
    x, y = destination(np.repeat(x, 8), np.repeat(y, 8), 90.0, np.tile(np.arange(-4.0, 5.0, 1.25), len(x)))
    turn = math.radians(wind_to_deg)
    return [x, y, np.full(len(x), 5 * math.sin(turn)), np.full(len(x), 5 * math.cos(turn))]


def sight(lon: float, lat: float, at: tuple[float, float], wind_to_deg: float, **other: float) -> list[dict]:
    listed = sources({"source_id": "plant", "kind": "power_plant", "longitude": at[0], "latitude": at[1]}, gas="co2")
    seen = observation(area=None, orbit=7, sensor="oco2", detection_limit=2.0).to_pylist()[0]
    cells = orbit_cells(*orbit(lon, lat, wind_to_deg, **other))
    return sights_of_orbit(seen, cells, listed, source_tree(listed)).to_pylist()


@pytest.mark.parametrize("lat", [-60.0, 0.0, 38.0, 70.0])
@pytest.mark.parametrize("lon", [0.0, 179.95])
def test_a_plume_is_seen_where_the_wind_carries_it_over_the_orbit(lon: float, lat: float) -> None:
    """20 km west of the orbit: with the wind to the east the plume crosses it, to the west or north it doesn't."""
    x, y = (float(a) for a in destination(lon, lat, 270.0, 20.0))
    [row] = sight(lon, lat, (x, y), 90.0)
    assert row["distance_km"] == pytest.approx(18.0, abs=4.0) and row["wind_from_deg"] == pytest.approx(270.0)
    assert 0.55 < row["visible_fraction"] <= math.exp(-15 / 50) and row["orbit"] == 7
    assert [sight(lon, lat, (x, y), turn) for turn in (270.0, 180.0, 0.0)] == [[], [], []]


def test_a_gap_in_the_soundings_hides_a_plume() -> None:
    at = tuple(float(a) for a in destination(10.0, 40.0, 270.0, 20.0))
    assert sight(10.0, 40.0, at, 90.0, gap_km=20.0) == []
    [row] = sight(10.0, 40.0, at, 90.0, gap_km=4.0)
    assert 0.2 < row["visible_fraction"] < 0.5


def test_over_a_source_it_is_seen_and_too_far_from_one_it_is_not() -> None:
    [row] = sight(10.0, 40.0, (10.0, 40.0), 45.0)
    assert row["visible_fraction"] > 0.8
    far = tuple(float(a) for a in destination(10.0, 40.0, 270.0, 60.0))
    assert sight(10.0, 40.0, far, 90.0) == []
