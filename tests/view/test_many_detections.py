"""More detections than are handed to the map one by one, in a real browser: drawn, filtered, listed, clicked."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import numpy as np
import pytest
from browser import content_of
from chromium import Tab, browser
from map_view import _served
from PIL import Image
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.maps.map_page import render_served_map
from plumewatch_airflow.view.answers import policy_of

N = 800
SEEN = """(async () => (await page.map.getSource("detections").getData()).features?.length ?? "in the worker")()"""
DRAWN = 'new Set(page.map.queryRenderedFeatures({ layers: ["detections"] }).map((one) => one.properties.id)).size'


@pytest.fixture(scope="module")
def tab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A site with made-up plumes, of which the whole world is seen."""
    folder = tmp_path_factory.mktemp("site")
    with _served(folder, N) as url, browser(tmp_path_factory.mktemp("chromium")) as open_tab:
        found = open_tab()
        found.resize(1400, 850)
        found.go(f"{url}/index.html")
        found.wait("document.documentElement.dataset.world && page.map.loaded()")
        found.run("void page.map.jumpTo({ center: [0, 0], zoom: 0 })")
        yield found


def test_all_are_drawn_and_named_countries_with_them(tab: Tab) -> None:
    assert tab.run(SEEN) == "in the worker"
    tab.wait(f"page.map.loaded() && {DRAWN} === {N}")
    tab.run("void page.map.jumpTo({ center: [10, 48], zoom: 4 })")
    tab.wait("[...document.querySelectorAll('#country-names span')].some((one) => one.textContent === 'Poland')")
    assert len(tab.screenshot().crop((300, 150, 900, 700)).getcolors(maxcolors=1 << 20)) > 50  # land, sea, circles
    tab.run("void page.map.jumpTo({ center: [0, 0], zoom: 0 })")


def test_a_filter_leaves_the_others(tab: Tab) -> None:
    kept = tab.run("page.content.detections.filter((d) => d.rate >= 20000).length")
    assert 0 < kept < N
    change = "element('filter-rate').value = '{}', element('filter-rate').dispatchEvent(new Event('change'))"
    tab.run(change.format(20000))
    tab.wait(f"page.map.loaded() && {DRAWN} === {kept}")
    assert tab.run("element('n-shown').textContent") == f"{kept} of {N}"
    tab.run(change.format(""))
    tab.wait(f"page.map.loaded() && {DRAWN} === {N}")


def test_the_list_goes_on_where_somebody_scrolls(tab: Tab) -> None:
    listed = "document.querySelectorAll('.detection').length"
    before = tab.run(listed)
    assert before < N
    tab.run("element('lists').scrollTop = 1e6")
    assert tab.wait(f"{listed} > {before}")
    order = tab.run(
        "[...document.querySelectorAll('.detection')].map((one) => page.byId.get(one.dataset.id).probability)"
    )
    every = tab.run("page.content.detections.map((d) => d.probability).sort((a, b) => b - a)")
    assert order == every[: len(order)]


def test_a_circle_is_still_the_detection_that_it_shows(tab: Tab) -> None:
    tab.run("void page.map.jumpTo({ center: (([d]) => [d.lon, d.lat])(page.content.detections), zoom: 9 })")
    tab.wait("page.map.loaded() && page.map.queryRenderedFeatures({ layers: ['detections'] }).length > 0")
    x, y = tab.run("(({ left, top, width, height }) => [left + width / 2, top + height / 2])"
                   "(document.querySelector('#map').getBoundingClientRect())")  # fmt: skip
    tab.click(x, y)
    tab.wait("!document.querySelector('#told').hidden")
    assert tab.run("page.chosen === page.content.detections[0].id")


def test_a_distance_is_measured_and_opens_nothing(tab: Tab) -> None:
    lon, lat = tab.run("closePanel(), (([d]) => [d.lon, d.lat])(page.content.detections)")
    tab.run(f"void page.map.jumpTo({{ center: [{lon}, {lat}], zoom: 6 }})")
    tab.wait("page.map.loaded() && page.map.queryRenderedFeatures({ layers: ['detections'] }).length > 0")
    left, top = tab.run("(({ x, y }) => [x, y])(document.querySelector('#map').getBoundingClientRect())")

    def press(place: tuple[float, float]) -> None:
        x, y = tab.run(f"(({{ x, y }}) => [x, y])(page.map.project({list(place)}))")
        tab.click(left + x, top + y)

    tab.run("document.querySelector('.measure').click()")
    line = [(lon, lat), (lon, lat + 1), (lon + 2, lat + 1)]  # the first on a circle
    for place in line:
        press(place)
    expected = sum(great_circle_distance_km(*np.transpose(line[:-1]), *np.transpose(line[1:])))
    told = tab.run("element('measured').textContent")
    assert float(told.removesuffix(" km")) == pytest.approx(expected, abs=3.0) and tab.run("element('told').hidden")
    tab.wait("page.map.loaded() && page.map.queryRenderedFeatures({ layers: ['measure'] }).length > 0")
    tab.run("document.querySelector('.measure').click()")
    press(line[1])
    assert tab.run("element('measured').hidden && measure.places.length === 0")
    assert [
        one for one in tab.errors if "favicon.ico" not in one and "details.json" not in one
    ] == []  # not served here


def test_tiles_are_behind_the_map_and_nobody_but_their_origin_may_be_asked(tab: Tab, tmp_path: Path) -> None:
    red = io.BytesIO()
    Image.new("RGB", (256, 256), (200, 30, 40)).save(red, "PNG")

    class Tiles(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(red.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Tiles) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    address, other = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    with _served(tmp_path, 2) as url:
        page = content_of((tmp_path / "index.html").read_text())
        text = render_served_map(page, address + "/{z}/{x}/{y}.png", "Tiles: us")
        (tmp_path / "index.html").write_text(text)
        assert policy_of(text).count(address) == 2 and policy_of(render_served_map(page)).count("http") == 0
        tab.requested.clear()
        tab.go(f"{url}/index.html")
        tab.wait("document.documentElement.dataset.world && page.map.loaded()")
        tab.wait("page.map.areTilesLoaded()")
        tab.listen(0.5)
        middle = tab.screenshot().crop((300, 150, 900, 700)).getcolors(maxcolors=1 << 20)
        assert max(middle)[1] == (200, 30, 40)
        assert tab.run("element('attribution').textContent").endswith("Tiles: us")
        assert tab.run(f"fetch('{other}/x').then(() => 'given', () => 'refused')") == "refused"
    assert {one.rsplit("/", 3)[0] for one in tab.requested if one.startswith(address)} == {address}
    assert not [one for one in tab.requested if one.startswith(other)]
    for server in servers:
        server.shutdown()
