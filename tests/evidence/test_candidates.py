"""Places where detections recur that no inventory explains: planted sources are found, chance makes few."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from evidence_rows import SEEN, passes
from plumewatch.evidence.candidates import find_candidates
from plumewatch.gases import CH4, CO2
from plumewatch.geodesy import destination, great_circle_distance_km


def unlisted(n: int, lon: float, lat: float, **row: Any) -> dict[str, Any]:
    return {"detection_id": f"d{n:04}", "longitude": float(lon), "latitude": float(lat), "probability": 0.7,
            "observed_at_utc": SEEN + timedelta(days=n), "emission": 5.0, "emission_low": 4.0, "emission_high": 6.25,
            "orbit": n, "sensor": "oco2", "area": "field", **row}  # fmt: skip


def world(seed: int, n_sources: int, n_alone: int) -> tuple[pa.Table, list[tuple[float, float]]]:
    """Sources that 5 orbits each see up to 40 km downwind, the wind known to 15 degrees, and peaks from anywhere."""
    rng = np.random.default_rng(seed)
    places = [(float(lon), float(lat)) for lon, lat in rng.uniform([0, 30], [20, 50], (n_sources, 2))]
    rows = []
    for lon, lat in places:
        for to, km in zip(rng.uniform(0, 360, 5), rng.uniform(5, 40, 5), strict=True):
            x, y = destination(lon, lat, to, km)
            rows.append(unlisted(len(rows), float(x), float(y), wind_from_deg=(to + 180 + rng.normal(0, 15)) % 360))
    for x, y in rng.uniform([0, 30], [20, 50], (n_alone, 2)):
        rows.append(unlisted(len(rows), x, y, wind_from_deg=float(rng.uniform(0, 360)), probability=0.4))
    return passes(*rows), places


def test_planted_sources_are_traced_back_upwind_and_chance_makes_few() -> None:
    table, places = world(3, 12, 60)
    found = [row for row in find_candidates(CO2, table).to_pylist() if row["probability"] >= 0.5]
    nearest = [min(float(great_circle_distance_km(r["longitude"], r["latitude"], *at)) for at in places) for r in found]
    there = [min(float(great_circle_distance_km(r["longitude"], r["latitude"], *at)) for r in found) for at in places]
    print(f"{sum(km < 15 for km in there)} of 12 within 15 km, median {np.median(there):.1f} km; "
          f"{sum(km > 25 for km in nearest)} elsewhere")  # fmt: skip
    assert sum(km < 15 for km in there) >= 10 and sum(km > 25 for km in nearest) <= 2
    assert all(row["emission_low"] < 6.0 and row["emission_high"] > 4.0 for row in found)


def test_rows_in_any_order_give_the_same_and_ids_stay_when_days_are_added() -> None:
    table, _ = world(3, 4, 10)
    mixed = table.take(np.random.default_rng(0).permutation(len(table)))
    found = find_candidates(CO2, table)
    assert find_candidates(CO2, mixed).equals(found)
    first = found.to_pylist()[0]
    later = unlisted(9000, first["longitude"], first["latitude"], wind_from_deg=10.0)
    more = find_candidates(CO2, pa.concat_tables([table, passes(later)])).to_pylist()
    assert {r["candidate_id"]: r["times_seen"] for r in more}[first["candidate_id"]] == first["times_seen"] + 1


def plumes(*places: tuple[float, float], **row: Any) -> pa.Table:
    return passes(*(unlisted(n, *at, emission=2e3, emission_low=1.5e3, emission_high=2.7e3, **row)
                    for n, at in enumerate(places)))  # fmt: skip


def test_plumes_that_recur_at_a_place_are_a_candidate_and_single_ones_are_not() -> None:
    table = plumes((54.2, 38.5), (54.205, 38.503), (54.4, 38.5))
    [row] = find_candidates(CH4, table).to_pylist()
    assert (row["times_seen"], row["detection_ids"]) == (2, ["d0000", "d0001"])
    assert (row["longitude"], row["latitude"]) == pytest.approx((54.2025, 38.5015), abs=1e-4)
    assert row["probability"] == pytest.approx(0.49, abs=0.02) and row["first_seen"] == SEEN
    assert find_candidates(CH4, table, frozenset({"d0001"})).num_rows == 0


def test_over_the_antimeridian_it_is_one_place() -> None:
    [row] = find_candidates(CH4, plumes((179.999, 10.0), (-179.998, 10.0))).to_pylist()
    assert abs(row["longitude"]) > 179.99


def test_two_plumes_of_one_pass_do_not_recur() -> None:
    assert find_candidates(CH4, plumes((54.2, 38.5), (54.2, 38.5), observed_at_utc=SEEN)).num_rows == 0


def test_peaks_without_wind_are_taken_for_near_their_source() -> None:
    rows = [unlisted(n, 10.0, 40.0 + n / 50, emission=None, emission_low=None, emission_high=None) for n in range(3)]
    [row] = find_candidates(CO2, passes(*rows)).to_pylist()
    assert row["times_seen"] == 3 and row["emission"] is None
