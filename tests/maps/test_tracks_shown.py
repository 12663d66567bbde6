"""Orbits on the map: where each looked, what came of it, and from which emission on it would have seen one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import shapely
from map_rows import observation, peak, peak_table
from plumewatch.gases import CH4, CO2
from plumewatch.maps import tracks_shown
from plumewatch.maps.content import MapRows, map_content
from plumewatch.tables import MATCHES, OBSERVATIONS, SOURCES

MONTH, BEGIN = "2016-08", datetime(2016, 8, 3, 11, 50, tzinfo=UTC)
LINE = shapely.MultiLineString([[(8.00004, 50.0), (7.0, 54.0)], [(6.0, 58.0), (5.0, 62.0)]])


def orbit(n: int, outcome: str = "searched", **more: Any) -> dict[str, Any]:
    at = BEGIN + timedelta(hours=n - 11522)
    given = {"orbit": n, "observed_at_utc": at, "track": LINE.wkb, "sensor": "oco2"}
    return observation(None, outcome, **given | more)


def content(rows: list[dict[str, Any]]) -> dict[str, Any]:
    tables = peak_table([peak(1, 8.0, 50.0)]), MATCHES.empty(), SOURCES.empty()
    return map_content(CO2, MONTH, MapRows(*tables, observations=OBSERVATIONS.from_pylist(rows)))


def test_each_orbit_is_told_with_its_outcome_and_limit() -> None:
    seen = {"detected": True, "detection_limit": 3.44, "clear_fraction": 0.5}
    rows = [
        orbit(11524, "no_input", clear_fraction=0.0),
        orbit(11522, **seen),
        orbit(11523, detection_limit=None, clear_fraction=1.0, sensor="oco3"),
        orbit(11525, track=None),
    ]
    told = content(rows)
    states = [one["properties"] for one in told["tracks"]["features"]]
    assert states == [{"n": 0, "state": "seen"}, {"n": 1, "state": "nothing_seen"}, {"n": 2, "state": "not_searched"}]
    first = told["tracks"]["features"][0]["geometry"]
    assert first["type"] == "MultiLineString" and list(first["coordinates"][0][0]) == [8.0, 50.0]
    one, other, missed = told["orbits"]
    assert (one["title"], one["time"], one["outcome"]) == ("Orbit 11522", "2016-08-03 11:50 UTC", "searched")
    assert one["facts"] == [
        ["sensor", "OCO-2"], ["searched", "50 % of its track"], ["detection limit", "3.4 kt/h"],
        ["peaks accepted", "yes"],
    ]  # fmt: skip
    assert ["detection limit", "none (no wind)"] in other["facts"] and ["sensor", "OCO-3"] in other["facts"]
    assert missed["outcome"] == "too few soundings" and missed["facts"] == [["sensor", "OCO-2"]]
    assert told["tracks_text"] == "" and content(rows[::-1])["orbits"] == told["orbits"]


def test_of_very_many_orbits_those_with_a_peak_and_the_newest_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks_shown, "MAX_TRACKS", 2)
    told = content([orbit(11521), orbit(11522, detected=True), orbit(11523), orbit(11524)])
    assert [one["title"] for one in told["orbits"]] == ["Orbit 11522", "Orbit 11524"]
    assert [one["properties"]["state"] for one in told["tracks"]["features"]] == ["seen", "nothing_seen"]
    assert told["tracks_text"] == "2 of 4 orbits aren't drawn: those with a peak, then the newest are"


def test_areas_have_no_tracks() -> None:
    assert tracks_shown.tracks_shown(CH4, [observation("oman", "searched")])["tracks"]["features"] == []
