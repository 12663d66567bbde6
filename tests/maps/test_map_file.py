"""The map of a key: all that is stored of it, and nothing of another method, gas or date."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import shapely
from browser import content_of
from map_rows import DAY, NASTY, peak
from plumewatch import storage
from plumewatch.gases import CH4, CO2
from plumewatch.maps.map_file import write_map
from plumewatch.models import Area
from plumewatch.tables import PEAKS


def read(path: str) -> str:
    return storage.read_bytes(path).decode()


def test_the_map_of_a_date_has_all_its_areas_and_no_other_method(plumes_stored: str) -> None:
    path = write_map(CH4, DAY, plumes_stored, [Area("oman", shapely.box(55.9, 21.9, 56.1, 22.1))])
    assert path == storage.join(plumes_stored, "maps", "ch4", "2025-08-31.html")
    content = content_of(read(path))
    by_id = {d["id"]: d for d in content["detections"]}
    assert {i: d["state"] for i, d in by_id.items()} == {
        "a1": "confirmed",
        "a2 too_small": "refused",
        "a3": "unmatched",
        "b1": "unknown_source",
    }
    first = by_id["a1"]
    assert (first["rate_text"], first["interval_text"]) == ("5.2 t/h", "3.1 t/h to 7.8 t/h (68 %)")
    assert (first["time"], first["seen_in"], first["wind_to"]) == ("2025-08-31 07:12 UTC", "area oman", 90.0)
    assert first["matches"] == [
        {"name": NASTY, "probability": "0.90", "distance": "0.3 km", "expected": "4.6 t/h"},
        {"name": "in no inventory", "probability": "0.10", "distance": "", "expected": ""},
    ]
    assert (by_id["a3"]["rate_text"], by_id["a3"]["interval_text"]) == ("no rate", "(no wind)")
    assert {f["properties"]["id"] for f in content["plumes"]["features"]} == {"a1", "a3", "b1"}
    assert [s["id"] for s in content["sources"]] == ["well"]
    assert [f["geometry"]["coordinates"] for f in content["lines"]["features"]] == [[[56.0, 22.0], [56.003, 22.0]]]
    assert content["area_boxes"] == [
        {"name": "oman", "label": "oman: not looked at", "is_searched": False, "bounds": [[55.9, 21.9], [56.1, 22.1]]}
    ]
    assert content["summary"] == "3 plumes accepted, the largest 5.2 t/h. Not searched: not looked at (1 area)."
    assert content["refused_text"] == "also show 1 not accepted"
    assert "Sources: a list (CC BY 4.0)" in content["attribution"]


def test_small_pictures_are_in_the_page_and_large_ones_are_not(plumes_stored: str) -> None:
    content = content_of(read(write_map(CH4, DAY, plumes_stored)))
    assert content["pictures"] == {"a1": base64.b64encode(b"\x89PNG small").decode()}


def test_the_same_input_gives_the_same_bytes(plumes_stored: str) -> None:
    pages = [storage.read_bytes(write_map(CH4, DAY, plumes_stored)) for _ in range(2)]
    assert pages[0] == pages[1]
    assert len(pages[0]) < 1_500_000


def test_a_month_of_peaks(storage_root: str) -> None:
    peaks = [peak(2016083111560104, 28.95, -26.22), peak(2016083111560104, 28.96, -26.22, "duplicate")]
    storage.write_partition(
        PEAKS, storage.join(storage_root, "peaks"), {"method": "scan", "month": "2016-08"}, PEAKS.from_pylist(peaks)
    )
    content = content_of(read(write_map(CO2, "2016-08", storage_root)))
    assert {d["id"] for d in content["detections"]} == {"2016083111560104", "2016083111560104 duplicate"}
    d = content["detections"][0]
    assert (d["title"], d["seen_in"], d["rate_text"]) == ("Peak 28.95°E 26.22°S", "orbit 11522", "13 kt/h")
    assert d["certainty_text"] == "false alarm 0.40 %"
    assert d["wind_to"] == pytest.approx(216.9)
    assert ["wind", "5.0 m/s from 37°"] in d["facts"]


def test_a_key_without_detections_has_a_map_that_says_so(storage_root: str) -> None:
    content = content_of(read(write_map(CO2, "2016-09", storage_root)))
    assert content["detections"] == []
    assert content["bounds"] is None
    assert content["summary"] == "Nothing was searched: not looked at."


def test_the_page_is_written_below_the_root_it_was_given(tmp_path: Path) -> None:
    assert write_map(CO2, "2016-08", str(tmp_path)) == f"{tmp_path}/maps/co2/2016-08.html"
    assert (tmp_path / "maps" / "co2" / "2016-08.html").is_file()
