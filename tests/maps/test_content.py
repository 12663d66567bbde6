"""What a map shows of rows: the same whatever their order, and in view wherever they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from map_rows import DAY, REPORT, match, peak, peak_table, plume, plume_table, source
from plumewatch.gases import CH4, CO2
from plumewatch.maps.content import MapRows, map_content, period_content
from plumewatch.tables import MATCHES, SOURCES


def test_the_order_of_rows_doesnt_matter() -> None:
    plumes, sources = (
        [plume(f"p{i}", 56 + i / 9, 22.0) for i in range(4)],
        [source(f"s{i}", 56 + i / 9, 22.0, "ch4") for i in range(4)],
    )
    matches = [match(f"p{i}", f"s{i}", 1, 1.0) for i in range(4)]

    def content(step: int) -> dict:
        rows = plume_table(plumes[::step])
        return map_content(
            CH4,
            DAY,
            MapRows(rows, MATCHES.from_pylist(matches[::step]), SOURCES.from_pylist(sources[::step])),
        )

    assert content(1) == content(-1)


def test_over_the_antimeridian_the_view_and_the_lines_take_the_short_way() -> None:
    plumes = [plume("a", 179.9, 10.0), plume("b", -179.8, 10.0)]
    rows = plume_table(plumes)
    matches = MATCHES.from_pylist([match("a", "s", 1, 1.0)])
    content = map_content(CH4, DAY, MapRows(rows, matches, SOURCES.from_pylist([source("s", -179.99, 10.0, "ch4")])))
    (west, _), (east, _) = content["bounds"]
    assert (west, east) == pytest.approx((179.9, 180.2))
    assert content["lines"]["features"][0]["geometry"]["coordinates"] == [[179.9, 10.0], [180.01, 10.0]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-180, 179.999), st.floats(-90, 90)), min_size=1, max_size=6))
def test_the_view_holds_every_detection_wherever_it_is(places) -> None:
    rows = peak_table([peak(2016083111560100 + i, lon, lat) for i, (lon, lat) in enumerate(places)])
    (west, south), (east, north) = map_content(CO2, "2016-08", MapRows(rows, MATCHES.empty(), SOURCES.empty()))[
        "bounds"
    ]
    assert -180 - 0.01 <= west < 180
    assert west < east <= west + 360
    assert -85 <= south <= north <= 85
    for lon, lat in places:
        assert (lon - west) % 360 <= east - west + 1e-5 or (west - lon) % 360 < 1e-5
        assert south - 1e-5 <= max(-85, min(85, lat)) <= north + 1e-5


def test_a_popup_always_says_how_probable_no_inventory_is() -> None:
    rows = plume_table([plume("a", 56.0, 22.0)])
    matches = [match("a", f"s{i}", i + 1, 0.1) for i in range(9)] + [match("a", None, 10, 0.1)]
    content = map_content(CH4, DAY, MapRows(rows, MATCHES.from_pylist(matches), SOURCES.empty()))
    assert [m["name"] for m in content["detections"][0]["matches"]] == [*(f"s{i}" for i in range(6)), "in no inventory"]


@pytest.mark.parametrize(
    ("keys", "n"),
    [([DAY], 1), (["2025-09-20"], 0), (["2025-06-01", "2025-09-20"], 1), (["2025-07-01", "2025-07-19"], 0)],
)
def test_what_others_reported_is_shown_from_30_days_before_the_keys_to_30_days_after(keys: list[str], n: int) -> None:
    rows = MapRows(plume_table([plume("a", 56.0, 22.0)]), MATCHES.empty(), SOURCES.empty(), reports=[REPORT])
    assert len(period_content(CH4, keys, rows)["reports"]) == n
