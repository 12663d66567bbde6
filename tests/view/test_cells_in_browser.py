"""Cells under all else in a real browser: switched on by the keyboard, seen, clicked, and gone again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cell_rows import EDGAR_PLACE, MONTH, PLACE, fill_cells
from chromium import Tab
from map_rows import DAY, NASTY
from operations_rows import fill_operations
from plumewatch.maps.site import write_site
from view_in_browser import hosts, log_in
from view_rows import fill_storage


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tells nobody."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A static site, as any server of files has it: its URL."""
    folder = tmp_path_factory.mktemp("site_of_cells")
    for fill in (fill_storage, fill_operations, fill_cells):
        fill(f"file://{folder}")
    write_site(f"file://{folder}")
    handler = partial(_Quiet, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def show(tab: Tab, url: str, place: tuple[float, float], zoom: float) -> None:
    """Open a page, and look at a place from near."""
    tab.go(url)
    tab.wait("document.documentElement.dataset.map === 'ready' && document.documentElement.dataset.world")
    tab.run(f"void page.map.jumpTo({{ center: {list(place)}, zoom: {zoom} }})")
    tab.wait("page.map.loaded()")


def choose_by_keyboard(tab: Tab, name: str) -> str:
    """Go to the choice of cells, and on by the arrow key until it is made; return what is said of them."""
    tab.run("document.querySelector('.cells input:checked').focus()")
    chosen = "document.querySelector('.cells label:has(input:checked)').textContent.trim()"
    for _ in range(4):
        if tab.run(chosen) == name:
            break
        tab.press("ArrowDown")
    assert tab.run(chosen) == name
    tab.wait("!document.querySelector('.cells [role=status]').textContent.startsWith('Reading') && page.map.loaded()")
    tab.listen(0.3)
    return str(tab.run("document.querySelector('.cells [role=status]').textContent"))


def click(tab: Tab, place: tuple[float, float]) -> str:
    """Click on the map, and return what the panel tells."""
    top = tab.run("document.querySelector('#map').getBoundingClientRect().y")
    x, y = tab.run(f"(({{ x, y }}) => [x, y])(page.map.project({list(place)}))")
    tab.click(x, top + y)
    tab.wait("!document.querySelector('#told').hidden")
    return str(tab.run("document.querySelector('#told-body').textContent"))


def xco2_is_drawn_and_told(tab: Tab, url: str) -> None:
    """Of the month that is shown; what inventories there are not says so, and off is off."""
    show(tab, f"{url}?gas=co2&key={MONTH}", PLACE, 6.5)
    assert not tab.run("Boolean(page.map.getLayer('cells'))")  # off at first
    said = choose_by_keyboard(tab, "XCO2 of the month")
    assert said.startswith(f"XCO2 of {MONTH}, ppm≤ 399.") and "Mean of 7 good soundings in 4 cells of 1°" in said
    told = click(tab, (PLACE[0] + 0.3, PLACE[1] - 0.3))
    assert told.startswith(f"XCO2 of {MONTH}406 ppmcell1° x 1° around 20.5°E 45.5°N") and f"month{MONTH}" in told
    assert "soundings3on days2standard deviation1.63 ppm" in told and "NASA GES DISC" in told
    tab.run("closePanel()")
    assert choose_by_keyboard(tab, "ODIAC inventory").startswith("Nothing is stored of it")
    assert not tab.run("Boolean(page.map.getLayer('cells'))")


def test_the_view_in_airflow_shows_cells(airflow: tuple[str, str], new_tab: Callable[[], Tab], tmp_path: Path) -> None:
    url, root = airflow
    fill_cells(root)
    tab = new_tab()
    log_in(tab, url, "viewer")
    xco2_is_drawn_and_told(tab, f"{url}/plumewatch/")
    assert tab.errors == [] and hosts(tab) == {"127.0.0.1"}


def test_the_static_site_shows_cells_and_they_stay_when_the_time_moves(site: str, new_tab: Callable[[], Tab]) -> None:
    tab = new_tab()
    tab.resize(1300, 800)
    xco2_is_drawn_and_told(tab, f"{site}/")
    show(tab, f"{site}/?gas=ch4&key={DAY}", EDGAR_PLACE, 9)
    assert tab.run("document.querySelectorAll('.cells input').length") == 2  # none, EDGAR
    said = choose_by_keyboard(tab, "EDGAR inventory")
    assert said.startswith("EDGAR inventory, CH4, 2022, kt a year4.0") and "Emission of 2022 by EDGAR TOTALS" in said
    x, y = (round(one) for one in tab.run(f"(({{ x, y }}) => [x, y])(page.map.project({list(EDGAR_PLACE)}))"))
    top = round(tab.run("document.querySelector('#map').getBoundingClientRect().y"))
    colour = tab.screenshot().convert("RGB").getpixel((x, top + y))
    assert colour[0] > 200 and colour[1] > 200 and colour[2] < 160, colour  # of the strongest, over land
    tab.run("document.querySelector('#later').click()")
    tab.wait("document.documentElement.dataset.content === 'ready' && page.map.loaded()")
    assert tab.run("document.querySelector('.cells input:checked').parentNode.textContent") == " EDGAR inventory"
    told = click(tab, EDGAR_PLACE)
    assert told.startswith("EDGAR inventory, CH4, 202212.35 kt a year") and "licenceCC BY 4.0" in told and NASTY in told
    assert "EDGAR TOTALS (CC BY 4.0)" in tab.run("document.querySelector('#attribution').textContent")
    assert [one for one in tab.errors if "favicon.ico" not in one] == [] and hosts(tab) == {"127.0.0.1"}


def test_the_static_site_lays_the_methane_under_a_plume(site: str, new_tab: Callable[[], Tab]) -> None:
    tab = new_tab()
    tab.resize(1300, 800)
    tab.go(f"{site}/?gas=ch4&key={DAY}&id=a1")
    tab.wait("document.querySelectorAll('.rasters input').length === 2 && page.map.loaded()")  # none, and the methane
    tab.run("document.querySelectorAll('.rasters input')[1].click()")
    tab.wait("page.map.getLayer('raster') && document.querySelector('.raster-legend .ramp')")
    assert tab.run("document.querySelector('.raster-legend').textContent").startswith("methane above the surroundings")
