"""The HTML of a map: nothing of it can act but its own program, and no network is asked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from importlib import resources

import pytest
from browser import Elements, content_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from map_rows import DAY, NASTY, plume_table
from plumewatch import storage
from plumewatch.gases import CH4
from plumewatch.maps.content import MapRows, map_content
from plumewatch.maps.map_file import write_map
from plumewatch.maps.map_page import ASSETS, PACKED, PROGRAM, read_asset, render_map, render_served_map
from plumewatch.tables import MATCHES, SOURCES

VENDOR = resources.files("plumewatch.maps") / "vendor"


@pytest.fixture
def page(plumes_stored: str) -> str:
    return storage.read_bytes(write_map(CH4, DAY, plumes_stored)).decode()


def test_names_of_strangers_stay_text(page: str) -> None:
    elements = Elements(page)
    assert [attrs.get("id") for attrs, _ in elements.scripts] == [
        "content",
        *(f"packed-{n.replace('_', '-')}" for n in PACKED),
        None,
    ]
    assert not [tag for tag, attrs in elements.tags if any(name.startswith("on") for name in attrs)]
    assert not [tag for tag, _ in elements.tags if tag in ("img", "iframe", "link", "object", "base")]


@settings(max_examples=50, deadline=None)
@example(NASTY)
@given(st.text())
def test_any_title_and_any_name_leave_the_page_whole(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    content = map_content(
        CH4,
        DAY,
        MapRows(plume_table([]), MATCHES.empty(), SOURCES.empty()),
    )
    page = render_map({**content, "title": text, "summary": text, "attribution": [text]})
    elements = Elements(page)
    assert len(elements.scripts) == 6
    assert content_of(page)["attribution"] == [text]
    assert sum(tag == "h1" for tag, _ in elements.tags) == 1


def test_only_the_page_s_own_program_may_run_and_nothing_may_be_loaded(page: str) -> None:
    elements = Elements(page)
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


def test_the_page_carries_the_vendored_files_and_their_licences(page: str) -> None:
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


PROGRAMS = [
    ("plumewatch.maps", f"program/{part}.js")
    for part in (*PROGRAM, "embedded", "vendored", "rasters", "cells", "served", "map_worker", "new_area", "operations")
]


@pytest.mark.parametrize(("package", "file"), [*PROGRAMS, ("plumewatch.methane.details", "scene.js")])
def test_no_line_of_a_program_makes_markup_or_code_of_a_text_or_asks_the_network(package: str, file: str) -> None:
    """Also where no test runs it. Only what is served asks, and only who served it."""
    script = (resources.files(package) / file).read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|\beval\b|new Function|XMLHttp"
    if not file.endswith(("served.js", "map_worker.js", "operations.js")):
        forbidden += r"|fetch\("
    hosts = [address for address in re.findall(r"\w+://\w+", script) if address != "plumewatch://make"]  # a worker's
    assert len(script) > 300 and not re.findall(forbidden, script) and hosts == []


def test_a_served_page_is_the_same_but_for_where_its_content_comes_from(page: str) -> None:
    served = render_served_map({"feed": "site", "title": NASTY, "summary": ""})
    programs = [next(text for attrs, text in Elements(one).scripts if not attrs) for one in (page, served)]
    parts = [(resources.files("plumewatch.maps") / f"program/{part}.js").read_text() for part in PROGRAM]
    assert all(program.startswith("\n".join(parts)) for program in programs)
    assert len(Elements(served).scripts) == 2 and len(served) < 100_000
    assert {read_asset(name)[:1] != b"" for name in ASSETS} == {True}
    with pytest.raises(KeyError):
        read_asset("../map.css")
