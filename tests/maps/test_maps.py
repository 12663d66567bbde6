"""Maps: all that was found is on them, nothing of it can act, and no network is asked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plumewatch import storage
from plumewatch.errors import ConfigurationError
from plumewatch.maps.content import GASES, MapRows, map_content, place_text, rate_text
from plumewatch.maps.map_file import MAX_PICTURE_BYTES, write_map
from plumewatch.maps.map_page import PACKED, render_map
from plumewatch.models import Area
from plumewatch.tables import MATCHES, PEAKS, PLUMES, SOURCES

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"' \u2028 @script@ 漢"
VENDOR = resources.files("plumewatch.maps") / "vendor"


def plume(plume_id: str, lon: float, lat: float, status: str = "accepted", rate: float | None = 5200.0) -> dict:
    row = dict.fromkeys(PLUMES.schema.names) | {
        "plume_id": plume_id,
        "scene_id": "S2A_40RKH_20250831_0_L2A",
        "observed_at_utc": datetime(2025, 8, 31, 7, 12, tzinfo=UTC),
        "reference_scene_ids": [],
        "longitude": lon,
        "latitude": lat,
        "area_m2": 250_000.0,
        "ime_kg": 1234.0,
        "status": status,
        "wind_speed_10m_m_s": 4.2,
        "wind_from_deg": 270.0,
        "emission_kg_h": rate,
        "probability": 0.97,
        "emission_status": "ok" if rate else "no_wind",
        "geometry": shapely.Point(lon, lat).buffer(0.004).wkb,
    }
    return row | {"emission_kg_h_low": rate and rate * 0.6, "emission_kg_h_high": rate and rate * 1.5}


def peak(peak_id: int, lon: float, lat: float, status: str = "accepted") -> dict:
    return dict.fromkeys(PEAKS.schema.names) | {
        "peak_id": peak_id,
        "orbit": 11522,
        "observed_at_utc": datetime(2016, 8, 31, 11, 56, tzinfo=UTC),
        "longitude": lon,
        "latitude": lat,
        "height_ppm": 2.1,
        "sigma_km": 12.0,
        "false_alarm_probability": 0.004,
        "significance": 2.6,
        "wind_u_m_s": -3.0,
        "wind_v_m_s": -4.0,
        "emission_kt_h": 13.28,
        "emission_kt_h_low": 9.0,
        "emission_kt_h_high": 18.0,
        "emission_status": "ok",
        "status": status,
    }


def source(
    source_id: str, lon: float, lat: float, gas: str, name: str = "", emission: float = 4e4, kind: str = "oil_and_gas"
) -> dict:
    return {
        "source_id": source_id,
        "name": name or source_id,
        "kind": kind,
        "fuel": "natural gas",
        "gas": gas,
        "emission_t_y": emission,
        "emission_t_y_sigma": 1.0,
        "year": 2025,
        "longitude": lon,
        "latitude": lat,
        "licence": "CC BY 4.0",
        "provenance": "a list, 2025",
    }


def match(detection_id: str, source_id: str | None, rank: int, probability: float, status: str = "confirmed") -> dict:
    row = dict.fromkeys(MATCHES.schema.names) | {"detection_id": detection_id, "source_id": source_id, "rank": rank}
    row |= {"probability": probability, "status": status, "detected_emission": 5200.0}
    return row | ({"distance_km": 0.31, "expected_emission": 4566.2, "inventory": "combined"} if source_id else {})


@pytest.fixture
def plumes_stored(storage_root: str) -> str:
    """A storage root with a date of methane in two areas, and a picture."""

    def write(table, keys: dict, rows: list[dict]) -> None:
        storage.write_partition(table, storage.join(storage_root, table.name), keys, table.from_pylist(rows))

    rows = [plume("a1", 56.0, 22.0), plume("a2", 56.01, 22.0, "too_small"), plume("a3", 56.02, 22.01, rate=None)]
    write(PLUMES, {"method": "multi_pass", "area": "oman", "date": "2025-08-31"}, rows)
    write(
        PLUMES,
        {"method": "multi_pass", "area": "permian", "date": "2025-08-31"},
        [plume("b1", -103.2, 31.9, rate=900.0)],
    )
    write(PLUMES, {"method": "single_pass", "area": "oman", "date": "2025-08-31"}, [plume("other", 56.0, 22.0)])
    matches = [match("a1", "well", 1, 0.9), match("a1", None, 2, 0.1), match("b1", None, 1, 1.0, "unknown_source")]
    write(MATCHES, {"gas": "ch4", "period": "2025-08-31"}, matches)
    sources = [
        source("well", 56.003, 22.0, "ch4", NASTY),
        source("far", 57.0, 22.0, "ch4"),
        source("plant", 56.0, 22.0, "co2"),
    ]
    write(SOURCES, {"inventory": "combined"}, sources)
    details = storage.join(storage_root, "plume_details/method=multi_pass/area=oman/date=2025-08-31")
    storage.write_bytes(storage.join(details, "a1.png"), b"\x89PNG small")
    storage.write_bytes(storage.join(details, "a3.png"), b"\x89PNG" + bytes(MAX_PICTURE_BYTES))
    return storage_root


class Elements(HTMLParser):
    """Start tags and the text of scripts, as a browser splits them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


def read(path: str) -> str:
    return storage.read_bytes(path).decode()


def content_of(page: str) -> dict:
    return json.loads(next(text for attrs, text in Elements(page).scripts if attrs.get("id") == "content"))


def test_the_map_of_a_date_has_all_its_areas_and_no_other_method(plumes_stored: str) -> None:
    path = write_map("ch4", "2025-08-31", plumes_stored, [Area("oman", shapely.box(55.9, 21.9, 56.1, 22.1))])
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
    assert (first["rate_text"], first["interval_text"]) == ("5.20 t/h", "3.12 t/h to 7.80 t/h (68 %)")
    assert (first["time"], first["seen_in"], first["wind_to"]) == ("2025-08-31 07:12 UTC", "area oman", 90.0)
    assert first["matches"] == [
        {"name": NASTY, "probability": "90.0%", "distance": "0.3 km", "expected": "4.57 t/h"},
        {"name": "in no inventory", "probability": "10.0%", "distance": "", "expected": ""},
    ]
    assert (by_id["a3"]["rate_text"], by_id["a3"]["interval_text"]) == ("no rate", "(no wind)")
    assert {f["properties"]["id"] for f in content["plumes"]["features"]} == {"a1", "a3", "b1"}
    assert [s["id"] for s in content["sources"]] == ["well"]
    assert [f["geometry"]["coordinates"] for f in content["lines"]["features"]] == [[[56.0, 22.0], [56.003, 22.0]]]
    assert content["area_boxes"] == [{"name": "oman", "bounds": [[55.9, 21.9], [56.1, 22.1]]}]
    assert content["summary"] == "3 plumes accepted, the largest 5.20 t/h."
    assert content["refused_text"] == "also show 1 not accepted"
    assert "Sources: a list (CC BY 4.0)" in content["attribution"]


def test_small_pictures_are_in_the_page_and_large_ones_are_not(plumes_stored: str) -> None:
    content = content_of(read(write_map("ch4", "2025-08-31", plumes_stored)))
    assert content["pictures"] == {"a1": base64.b64encode(b"\x89PNG small").decode()}


def test_the_same_input_gives_the_same_bytes(plumes_stored: str) -> None:
    pages = [storage.read_bytes(write_map("ch4", "2025-08-31", plumes_stored)) for _ in range(2)]
    assert pages[0] == pages[1]
    assert len(pages[0]) < 1_500_000


def test_the_order_of_rows_doesnt_matter() -> None:
    plumes, sources = (
        [plume(f"p{i}", 56 + i / 9, 22.0) for i in range(4)],
        [source(f"s{i}", 56 + i / 9, 22.0, "ch4") for i in range(4)],
    )
    matches = [match(f"p{i}", f"s{i}", 1, 1.0) for i in range(4)]

    def content(step: int) -> dict:
        rows = PLUMES.from_pylist(plumes[::step]).append_column("area", [["oman"] * 4])
        return map_content(
            "ch4",
            "2025-08-31",
            MapRows(rows, MATCHES.from_pylist(matches[::step]), SOURCES.from_pylist(sources[::step])),
        )

    assert content(1) == content(-1)


def test_names_of_strangers_stay_text(plumes_stored: str) -> None:
    page = read(write_map("ch4", "2025-08-31", plumes_stored))
    elements = Elements(page)
    assert [attrs.get("id") for attrs, _ in elements.scripts] == [
        "content",
        *(f"packed-{n.replace('_', '-')}" for n in PACKED),
        None,
    ]
    assert not [tag for tag, attrs in elements.tags if any(name.startswith("on") for name in attrs)]
    assert not [tag for tag, _ in elements.tags if tag in ("img", "iframe", "link", "object", "base")]
    script = (resources.files("plumewatch.maps") / "map.js").read_text()
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|\beval\b|new Function", script
    )


@settings(max_examples=50, deadline=None)
@example(NASTY)
@given(st.text())
def test_any_title_and_any_name_leave_the_page_whole(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    content = map_content(
        "ch4",
        "2025-08-31",
        MapRows(PLUMES.from_pylist([]).append_column("area", [[]]), MATCHES.empty(), SOURCES.empty()),
    )
    page = render_map({**content, "title": text, "summary": text, "attribution": [text]})
    elements = Elements(page)
    assert len(elements.scripts) == 6
    assert content_of(page)["attribution"] == [text]
    assert sum(tag == "h1" for tag, _ in elements.tags) == 1


def test_only_the_page_s_own_program_may_run_and_nothing_may_be_loaded(plumes_stored: str) -> None:
    elements = Elements(read(write_map("ch4", "2025-08-31", plumes_stored)))
    policy = next(
        attrs["content"] for tag, attrs in elements.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    program = next(text for attrs, text in elements.scripts if not attrs)
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert not [attrs for _, attrs in elements.tags if {"src", "href", "srcset", "action"} & attrs.keys()]
    assert not re.findall(r"https?://", program)


def test_the_page_carries_the_vendored_files_and_their_licences(plumes_stored: str) -> None:
    page = read(write_map("ch4", "2025-08-31", plumes_stored))
    packed = {attrs["id"]: text for attrs, text in Elements(page).scripts if attrs}
    for place, file in PACKED.items():
        unpacked = zlib.decompress(base64.b64decode(packed[f"packed-{place.replace('_', '-')}"])).decode()
        assert unpacked.strip() == re.sub(r"\n//# sourceMappingURL=.*", "", (VENDOR / file).read_text()).strip()
    licences = content_of(page)["licences"]
    assert "MapLibre contributors" in licences
    assert licences.count("Bostock") >= 2


def test_vendored_files_are_those_of_the_manifest() -> None:
    packages = json.loads((VENDOR / "manifest.json").read_text())["packages"]
    listed = {f["file"]: f["sha256"] for p in packages for f in p["files"]}
    present = {
        f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in VENDOR.iterdir() if f.name != "manifest.json"
    }
    assert listed == present
    assert {p["name"]: p["licence"] for p in packages} == {
        "maplibre-gl": "BSD-3-Clause",
        "topojson-client": "ISC",
        "world-atlas": "ISC",
    }
    assert all(p["licence_file"] in listed for p in packages)


def test_a_month_of_peaks(storage_root: str) -> None:
    peaks = [peak(2016083111560104, 28.95, -26.22), peak(2016083111560104, 28.96, -26.22, "duplicate")]
    storage.write_partition(
        PEAKS, storage.join(storage_root, "peaks"), {"method": "scan", "month": "2016-08"}, PEAKS.from_pylist(peaks)
    )
    content = content_of(read(write_map("co2", "2016-08", storage_root)))
    assert {d["id"] for d in content["detections"]} == {"2016083111560104", "2016083111560104 duplicate"}
    d = content["detections"][0]
    assert (d["title"], d["seen_in"], d["rate_text"]) == ("Peak 28.95°E 26.22°S", "orbit 11522", "13.3 kt/h")
    assert d["certainty_text"] == "false alarm 0.40%"
    assert d["wind_to"] == pytest.approx(216.9)
    assert ["wind", "5.0 m/s from 37°"] in d["facts"]


def test_a_key_without_detections_has_a_map_that_says_so(storage_root: str) -> None:
    content = content_of(read(write_map("co2", "2016-09", storage_root)))
    assert content["detections"] == []
    assert content["bounds"] is None
    assert content["summary"] == "No peaks accepted."
    with pytest.raises(ConfigurationError, match="n2o"):
        write_map("n2o", "2016-09", storage_root)


def test_over_the_antimeridian_the_view_and_the_lines_take_the_short_way() -> None:
    plumes = [plume("a", 179.9, 10.0), plume("b", -179.8, 10.0)]
    rows = PLUMES.from_pylist(plumes).append_column("area", [["x", "x"]])
    matches = MATCHES.from_pylist([match("a", "s", 1, 1.0)])
    content = map_content(
        "ch4", "2025-08-31", MapRows(rows, matches, SOURCES.from_pylist([source("s", -179.99, 10.0, "ch4")]))
    )
    (west, _), (east, _) = content["bounds"]
    assert (west, east) == pytest.approx((179.9, 180.2))
    assert content["lines"]["features"][0]["geometry"]["coordinates"] == [[179.9, 10.0], [180.01, 10.0]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-180, 179.999), st.floats(-90, 90)), min_size=1, max_size=6))
def test_the_view_holds_every_detection_wherever_it_is(places) -> None:
    rows = PEAKS.from_pylist([peak(2016083111560100 + i, lon, lat) for i, (lon, lat) in enumerate(places)])
    (west, south), (east, north) = map_content("co2", "2016-08", MapRows(rows, MATCHES.empty(), SOURCES.empty()))[
        "bounds"
    ]
    assert -180 - 0.01 <= west < 180
    assert west < east <= west + 360
    assert -85 <= south <= north <= 85
    for lon, lat in places:
        assert (lon - west) % 360 <= east - west + 1e-5 or (west - lon) % 360 < 1e-5
        assert south - 1e-5 <= max(-85, min(85, lat)) <= north + 1e-5


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (None, "no rate"),
        (0.0, "0 kg/h"),
        (12.34, "12.3 kg/h"),
        (999.0, "999 kg/h"),
        (123_456.0, "123 t/h"),
        (0.0456, "0.0456 kg/h"),
    ],
)
def test_rates_have_three_digits(rate: float | None, text: str) -> None:
    assert rate_text(GASES["ch4"], rate) == text


def test_a_popup_always_says_how_probable_no_inventory_is() -> None:
    rows = PLUMES.from_pylist([plume("a", 56.0, 22.0)]).append_column("area", [["x"]])
    matches = [match("a", f"s{i}", i + 1, 0.1) for i in range(9)] + [match("a", None, 10, 0.1)]
    content = map_content("ch4", "2025-08-31", MapRows(rows, MATCHES.from_pylist(matches), SOURCES.empty()))
    assert [m["name"] for m in content["detections"][0]["matches"]] == [*(f"s{i}" for i in range(6)), "in no inventory"]


def test_a_place_is_longitude_then_latitude() -> None:
    assert place_text(-103.2, 31.9) == "103.2000°W 31.9000°N"


def test_the_page_is_written_below_the_root_it_was_given(tmp_path: Path) -> None:
    assert write_map("co2", "2016-08", str(tmp_path)) == f"{tmp_path}/maps/co2/2016-08.html"
    assert (tmp_path / "maps" / "co2" / "2016-08.html").is_file()
