"""From what is stored of keys to `source_passes` and `source_estimates`, whichever order the days come in."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from evidence_rows import SEEN, match, matches, observation, passes, peak, plume, sources
from plumewatch import storage
from plumewatch.evidence.estimates import (
    estimate_sources,
    read_source_passes,
    rejected_by_people,
    write_source_estimates,
)
from plumewatch.evidence.keys import read_sources, write_source_passes
from plumewatch.evidence.passes import passes_of_key
from plumewatch.gases import CH4, CO2
from plumewatch.models import Area
from plumewatch.reviews import append_review
from plumewatch.tables import MATCHES, PLUMES, SOURCE_PASSES, SOURCES

FIELD = Area("field", shapely.box(54.0, 38.3, 54.4, 38.7))
KEYS = {"method": "multi_pass", "area": "field"}


def write_day(root: str, day: int, plumes: pa.Table, of_day: pa.Table, limit: float = 1500.0) -> str:
    """A day as the detection and its matching leave it."""
    date, at = f"2025-08-{day:02}", SEEN.replace(day=day)
    at_index = plumes.schema.get_field_index("observed_at_utc")
    plumes = plumes.set_column(
        at_index, "observed_at_utc", pa.array([at] * len(plumes), plumes.schema.field(at_index).type)
    )
    [seen] = observation(detection_limit=limit).to_pylist()
    stated = {k: v for k, v in seen.items() if v is not None} | {
        "observed_at_utc": at.isoformat(),
        "stage": "detection",
    }
    storage.write_partition(PLUMES, f"{root}/plumes", {**KEYS, "date": date}, plumes, extra={"observations": [stated]})
    storage.write_partition(MATCHES, f"{root}/matches", {"gas": "ch4", "period": date}, of_day)
    return date


def write_sources(root: str, *rows: dict[str, Any]) -> None:
    storage.write_partition(SOURCES, f"{root}/sources", {"inventory": "combined"}, sources(*rows))


def estimates(root: str) -> dict[str, dict[str, Any]]:
    table = write_source_estimates(
        root, CH4, read_source_passes(root, CH4), read_sources(root, CH4), rejected_by_people(root, CH4)
    )
    return {row["source_id"]: row for row in table.to_pylist()}


def test_days_in_any_order_give_the_same_and_a_day_anew_replaces_its_own(tmp_path: Path) -> None:
    found = []
    for order in ([1, 2, 3], [3, 1, 2, 2]):
        root = f"{tmp_path}/{len(order)}"
        write_sources(root, {"source_id": "a"}, {"source_id": "b", "latitude": 38.6})
        write_day(root, 1, plume("p1"), matches(match("p1", "a", 0.9), match("p1", None, 0.1, 2)))
        write_day(root, 2, PLUMES.empty(), MATCHES.empty(), limit=300.0)
        write_day(root, 3, plume("p3", emission_kg_h=3000.0), matches(match("p3", "a", 0.9), match("p3", None, 0.1, 2)))
        for day in order:
            write_source_passes(root, CH4, f"2025-08-{day:02}", [FIELD])
        found.append(estimates(root))
    assert found[0] == found[1]
    a, b = (found[0][name] for name in "ab")
    assert (a["times_observed"], a["times_seen"], a["status"]) == (3, 2, "confirmed")
    assert (a["first_seen"].day, a["last_seen"].day, a["inventory_emission"]) == (1, 3, pytest.approx(1000.0))
    assert (b["times_observed"], b["times_seen"], b["status"], b["first_seen"]) == (3, 0, "not_detected", None)
    assert b["emission"] < 700.0 < 1000.0 < a["emission"] and b["emission"] == pytest.approx(1000 * b["ratio"])
    assert a["emission_low"] < a["emission"] < a["emission_high"]


def test_what_a_person_rejects_was_not_seen(tmp_path: Path) -> None:
    root = str(tmp_path)
    write_sources(root, {"source_id": "a"})
    day = write_day(root, 1, plume("p1"), matches(match("p1", "a", 1.0)))
    write_source_passes(root, CH4, day, [FIELD])
    before = estimates(root)["a"]
    place = {"longitude": 54.2, "latitude": 38.5, "observed_at_utc": SEEN.replace(day=1)}
    append_review(root, "ch4", "p1", **place, verdict="reject", by="ann", at=SEEN)
    after = estimates(root)["a"]  # at once, and the same when the day is detected again
    assert (before["times_seen"], after["times_seen"], after["times_observed"]) == (1, 0, 1)
    assert after["emission"] < before["emission"]
    write_source_passes(root, CH4, day, [FIELD])
    assert estimates(root)["a"] == pytest.approx(after)


def test_the_pass_of_a_plume_is_found_by_scene_or_within_two_minutes() -> None:
    looked = passes({"source_id": "a", "area": "field", "scene_id": "scene", "observed_at_utc": SEEN,
                     "visible_fraction": 0.7, "detection_limit": 900.0})  # fmt: skip
    listed = matches(match("p", "a", 0.8, false_detection_probability=0.5))
    for other in ({"observed_at_utc": SEEN + timedelta(seconds=20), "scene_id": "next tile"}, {}):
        seen = plume("p", **other)
        seen = seen.append_column("area", pa.array(["field"]))
        [row] = passes_of_key(CH4, looked, observation(), listed, seen).to_pylist()
        assert (row["visible_fraction"], row["detection_limit"], row["detection_id"]) == (0.7, 900.0, "p")
        assert row["probability"] == pytest.approx(0.4) and row["wind_from_deg"] == 90.0


def test_a_peak_is_of_its_orbit_and_sensor_and_its_share_is_what_matching_states() -> None:
    looked = passes(*({"source_id": "a", "orbit": 1, "sensor": s, "visible_fraction": 0.5} for s in ("oco2", "oco3")))
    listed = matches(
        match("5", "a", 0.7, plume_model_emission=2.5, plume_model_emission_low=2.0, plume_model_emission_high=3.0),
        match("5", None, 0.3, 2, false_detection_probability=0.2),
    )
    seen = observation(area=None, orbit=1, sensor="oco2", detection_limit=2.0)
    found = passes_of_key(CO2, looked, seen, listed, peak(5)).to_pylist()
    of_a = {r["sensor"]: r for r in found if r["source_id"] == "a"}
    assert (of_a["oco2"]["emission"], of_a["oco2"]["visible_fraction"], of_a["oco2"]["detection_limit"]) == (
        2.5,
        0.5,
        2,
    )
    assert of_a["oco3"]["detection_id"] is None
    [unlisted] = [r for r in found if r["source_id"] is None]
    assert unlisted["probability"] == pytest.approx(0.24) and unlisted["longitude"] == 54.2
    assert unlisted["wind_from_deg"] == pytest.approx(270.0)


def test_statuses_compare_the_interval_with_the_inventory() -> None:
    seen = [{"source_id": name, "visible_fraction": 1.0, "detection_limit": 500.0, "detection_id": f"{name}{n}",
             "rank": rank, "probability": p, "emission": rate, "emission_low": rate / 1.3, "emission_high": rate * 1.3,
             "status": "confirmed", "observed_at_utc": SEEN + timedelta(days=n)}
            for name, rate, rank, p in [("as listed", 1000.0, 1, 1.0), ("more", 9e4, 1, 1.0), ("shared", 2e3, 2, 0.4)]
            for n in range(6)]  # fmt: skip
    listed = sources(
        {"source_id": "as listed"}, {"source_id": "more"}, {"source_id": "shared"}, {"source_id": "unseen"}
    )
    found = {row["source_id"]: row for row in estimate_sources(CH4, passes(*seen), listed).to_pylist()}
    assert {name: row["status"] for name, row in found.items()} == {
        "as listed": "confirmed", "more": "inconsistent_rate", "shared": "ambiguous",
    }  # fmt: skip
    assert found["more"]["ratio"] > 10 and found["shared"]["times_seen"] == 0


def test_nothing_stored_is_an_empty_table(tmp_path: Path) -> None:
    assert estimates(str(tmp_path)) == {}
    assert write_source_passes(str(tmp_path), CO2, "2025-08").num_rows == 0
    assert storage.read_table(SOURCE_PASSES, f"{tmp_path}/source_passes").num_rows == 0
