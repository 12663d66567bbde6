"""The real UI in a real browser: Airflow's login, the entry of its menu, the map, details, export, a verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import requests
import shapely
from chromium import Tab
from map_rows import DAY, NASTY
from operations_rows import days_ago
from plumewatch.areas import read_areas
from plumewatch.reviews import read_reviews
from view_in_browser import ENTRY, FRAME, hosts, log_in

LAST = days_ago(2)  # day of which anything is on record
OPERATIONS = ENTRY.replace("emissions", "operations")


def open_view(tab: Tab) -> None:
    """By the entry of Airflow's menu."""
    tab.run(f"{ENTRY}.click()")
    tab.wait(f"{FRAME}.documentElement.dataset.map === 'ready' && {FRAME}.documentElement.dataset.world")


def colours_of_map(tab: Tab) -> list[tuple[int, tuple[int, int, int]]]:
    """The colours of the middle of the map, the most frequent first."""
    picture = tab.screenshot().crop((400, 250, 850, 700))
    return sorted(picture.getcolors(maxcolors=1 << 20), reverse=True)


def test_an_operator_sees_filters_opens_exports_and_reviews(
    airflow: tuple[str, str], new_tab: Callable[[], Tab], tmp_path: Path
) -> None:
    url, root = airflow
    tab = new_tab()
    log_in(tab, url, "operator")
    for entry in (ENTRY, OPERATIONS):
        assert tab.wait(f"{entry}.querySelector('img').naturalWidth")
    open_view(tab)
    assert tab.run(f"{FRAME}.querySelector('#period-text').textContent") == f"{DAY} to {LAST}"
    tab.listen(1.0)
    first = colours_of_map(tab)
    assert len(first) > 100 and first[0][0] < 0.98 * 450 * 450  # circles and outlines, not one colour

    listed = f"[...{FRAME}.querySelectorAll('.detection .rate')].map((one) => one.textContent)"
    assert tab.run(listed) == ["900 kg/h", "5.2 t/h"] or tab.run(listed) == ["5.2 t/h", "900 kg/h"]
    change(tab, "filter-rate", 2000)
    assert tab.run(listed) == ["5.2 t/h"]
    csv = exported(tab, "csv", tmp_path)
    assert csv.startswith("id,gas,key,longitude") and csv.count("\r\n") == 2 and "\na1,ch4,2025-08-31,56," in csv
    [one] = json.loads(exported(tab, "geojson", tmp_path))["features"]
    assert one["geometry"]["coordinates"] == [56, 22] and one["properties"]["rate"] == 5200
    change(tab, "filter-rate", "")

    tab.run(f"{FRAME}.querySelector('.detection').click()")
    tab.wait(f"{FRAME}.querySelector('#told-body .verdict')")
    assert tab.run(f"{FRAME}.querySelector('#listed').hidden")
    tab.run(f"{FRAME}.querySelector('.review textarea').focus()")
    tab.type(NASTY)
    name = tab.run(f"{FRAME}.querySelector('#told-body dl dd:last-of-type').textContent")
    tab.run(f"[...{FRAME}.querySelectorAll('.verdict')].find((one) => one.textContent === 'Confirm').click()")
    said = tab.wait(f"{FRAME}.querySelector('.reviews li')?.textContent")
    assert said.startswith("confirmed by operator, ") and said.endswith(NASTY.strip())
    [row] = read_reviews(root, "ch4").to_pylist()
    assert (row["detection_id"], row["verdict"], row["by"]) == (name, "confirm", "operator")
    tab.wait(f"{FRAME}.documentElement.dataset.content === 'ready'")
    tab.run(f"{FRAME}.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Escape' }}))")
    assert tab.run(f"{FRAME}.querySelector('#told').hidden")
    assert tab.run(f"{FRAME}.querySelectorAll('#told img[src=x], script[src=x]').length") == 0

    tab.go(f"{url}/plumewatch/?gas=ch4&key={DAY}")  # as a link does
    tab.wait("document.documentElement.dataset.world && page.map.loaded()")
    assert tab.run("document.querySelector('h1').textContent") == "Emissions · a test"
    assert tab.run("document.querySelector('#period-text').textContent") == DAY
    top = tab.run("document.querySelector('#map').getBoundingClientRect().y")
    x, y = tab.run("(({ x, y }) => [x, y])(page.map.project([56.03, 21.96]))")
    tab.click(x, top + y)
    tab.wait("document.querySelector('#told-body .verdict')")
    assert tab.run("document.querySelector('#told-body h3').textContent") == "Plume 56.030°E 21.960°N"
    assert tab.run("document.querySelector('#told').getBoundingClientRect().x") > x  # beside what was clicked
    tab.go(f"{url}/plumewatch/?gas=ch4&key={DAY}&id=a1")
    tab.wait("document.querySelectorAll('.rasters input').length === 4 && page.map.loaded() && !page.map.isMoving()")
    tab.listen(0.5)
    bright = [(r, g, b) for _, (r, g, b) in colours_of_map(tab) if r > 220 and g > 200 and b < 80]
    tab.run("document.querySelectorAll('.rasters input')[1].click()")
    tab.wait("page.map.getLayer('raster') && document.querySelector('.ramp') && page.map.loaded()")
    tab.listen(0.5)
    laid = [(r, g, b) for _, (r, g, b) in colours_of_map(tab) if r > 220 and g > 200 and b < 80]
    assert not bright and laid  # the yellow of the strongest enhancement
    assert tab.run("document.querySelector('.raster-legend').textContent").startswith("methane above the surroundings")
    tab.run("closePanel()")
    assert not tab.run("Boolean(page.map.getLayer('raster'))")
    assert tab.errors == [] and hosts(tab) == {"127.0.0.1"}


def change(tab: Tab, name: str, value: object) -> None:
    node = f"{FRAME}.getElementById('{name}')"
    tab.run(f"{node}.value = '{value}', {node}.dispatchEvent(new Event('change'))")


def exported(tab: Tab, kind: str, folder: Path) -> str:
    """What a click on the button saves."""
    tab.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    tab.run(f"{FRAME}.getElementById('export-{kind}').click()")
    file = folder / f"plumewatch_ch4_{DAY}_to_{LAST}.{kind}"
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline, list(folder.iterdir())
        time.sleep(0.05)
    return file.read_bytes().decode()


def test_a_viewer_sees_the_same_and_may_not_review(airflow: tuple[str, str], new_tab: Callable[[], Tab]) -> None:
    url, root = airflow
    before = read_reviews(root, "ch4").num_rows
    tab = new_tab()
    log_in(tab, url, "viewer")
    open_view(tab)
    tab.run(f"{FRAME}.querySelector('.detection').click()")
    tab.wait(f"{FRAME}.querySelector('#told-body .picture') || {FRAME}.querySelector('#told-body dd')")
    assert tab.run(f"{FRAME}.querySelectorAll('.verdict').length") == 0
    body = json.dumps({"key": DAY, "id": "a1", "verdict": "reject", "comment": ""})
    options = f"{{ method: 'POST', headers: {{ 'Content-Type': 'application/json' }}, body: {json.dumps(body)} }}"
    assert tab.run(f"fetch('/plumewatch/data/ch4/review', {options}).then((answer) => answer.status)") == 403
    assert read_reviews(root, "ch4").num_rows == before


def test_an_orbit_says_what_came_of_it_and_what_it_would_have_seen(
    airflow: tuple[str, str], new_tab: Callable[[], Tab]
) -> None:
    url, _ = airflow
    tab = new_tab()
    log_in(tab, url, "viewer")
    tab.go(f"{url}/plumewatch/?gas=co2&key=2016-08")
    tab.wait("document.documentElement.dataset.world && page.map.loaded()")
    layers = "[...document.querySelectorAll('#legend-body > label')].map((one) => one.textContent)"
    assert tab.run(layers) == ["orbits with an accepted peak", "orbits searched, nothing seen"]
    tab.run("void page.map.jumpTo({ center: [12.5, 45], zoom: 5 })")
    tab.wait("page.map.loaded() && page.map.queryRenderedFeatures({ layers: ['tracks'] }).length > 0")
    top = tab.run("document.querySelector('#map').getBoundingClientRect().y")
    x, y = tab.run("(({ x, y }) => [x, y])(page.map.project([12.5, 45.045]))")
    tab.click(x + 3, top + y)  # beside the thin line
    tab.wait("!document.querySelector('#told').hidden")
    told = tab.run("document.querySelector('#told-body').textContent")
    assert told.startswith("Orbit 115232016-09-01 11:56 UTCsearched") and "detection limit5.1 kt/h" in told
    assert "peaks acceptednone" in told
    box = "[...document.querySelectorAll('#legend-body label')][1].querySelector('input')"
    tab.run(f"{box}.click()")
    tab.wait("page.map.loaded() && !page.map.queryRenderedFeatures({ layers: ['tracks'] })"
             ".some((one) => one.properties.state === 'nothing_seen')")  # fmt: skip
    assert tab.errors == []


def open_operations(tab: Tab) -> None:
    """By the entry of Airflow's menu."""
    tab.run(f"{OPERATIONS}.click()")
    tab.wait(f"{FRAME}.documentElement.dataset.content === 'ready' && {FRAME}.querySelector('#failed tbody td')")


def started(url: str, tab: Tab) -> list[dict[str, Any]]:
    """The runs of the gap fill that Airflow knows of."""
    asked = "fetch('/api/v2/dags/sentinel2_gap_fill/dagRuns').then((answer) => answer.json())"
    return list(tab.run(asked)["dag_runs"])


def test_an_operator_sees_what_failed_and_has_it_tried_again(
    airflow: tuple[str, str], new_tab: Callable[[], Tab]
) -> None:
    url, _ = airflow
    tab = new_tab()
    log_in(tab, url, "operator")
    open_operations(tab)
    begins = tab.run(f"{FRAME}.querySelector('#begins').textContent")
    assert begins == f"What follows ends with {days_ago(1)}: later days have no scene, or aren't on record."
    assert tab.run(f"{FRAME}.querySelector('#last').value") == days_ago(1)
    rows = f"[...{FRAME}.querySelectorAll('#failed tbody tr')]"
    told = tab.run(f"{rows}.map((row) => row.textContent)")
    assert len(told) == 3 and f"{days_ago(3)}omanS2_1fetch_sceneHTTPError 503the service is down3" in told[0] + told[1]
    assert any(NASTY in one for one in told) and tab.run(f"{FRAME}.querySelectorAll('img, main script').length") == 0
    boxes = tab.run(f"{rows}.map((row) => row.querySelector('input').disabled)")
    assert sorted(boxes) == [False, True, True]  # what failed for good, and a granule, aren't filled
    cells = f"[...{FRAME}.querySelectorAll('#calendar td[data-state]')].map((one) => one.dataset.state)"
    assert tab.run(cells) == ["searched", "skipped_cloud", "failed", "missing", "missing"]
    tab.run(f"{FRAME}.querySelector('#calendar td[data-open]').click()")
    told = tab.run(f"{FRAME}.querySelector('#cell-text').textContent")
    assert told == f"oman, {days_ago(5)}: searched; missing: 1. Its map"
    assert tab.run(f"{FRAME}.querySelector('#units tbody').textContent").count("aabbccddeeff") == 2
    assert tab.run(f"{FRAME}.querySelector('#tables tbody').textContent").startswith("failed_scenes")

    before = started(url, tab)  # those of other tests, on the same database
    assert tab.run(f"{FRAME}.querySelector('#fill').disabled")
    tab.run(f"{rows}.map((row) => row.querySelector('input')).find((box) => !box.disabled).click()")
    said = tab.run(f"{FRAME}.querySelector('#fill-text').textContent")
    assert said.startswith(f"All that is missing of oman, {days_ago(3)}, is fetched.")
    tab.run(f"{FRAME}.querySelector('#fill').click()")
    run_id = tab.wait(f"{FRAME}.querySelector('#fill-text a')?.textContent")
    [run] = [run for run in started(url, tab) if run not in before]
    assert run["dag_run_id"] == run_id and run["triggering_user_name"] == "operator"
    assert run["conf"] == {"from": days_ago(3), "to": days_ago(3), "areas": ["oman"]}
    assert tab.errors == [] and hosts(tab) == {"127.0.0.1"}


def test_an_operator_draws_or_uploads_an_area_sees_its_cost_and_keeps_it(
    airflow: tuple[str, str], new_tab: Callable[[], Tab], tmp_path: Path
) -> None:
    url, root = airflow
    tab = new_tab()
    log_in(tab, url, "operator")
    tab.go(f"{url}/plumewatch/operations")
    tab.wait("document.documentElement.dataset.content === 'ready'")
    assert tab.run("document.querySelector('h1').textContent") == "Operations · a test"
    tab.run("document.querySelector('#new-area').open = true")
    tab.wait("document.querySelector('#area-map').dataset.map === 'ready' && drawn.map.loaded()")
    tab.run("document.querySelector('#area-name').focus(), document.querySelector('#area-map').scrollIntoView()")
    tab.type("drawn_here")
    left, top = tab.run("(({ x, y }) => [x, y])(document.querySelector('#area-map').getBoundingClientRect())")
    corners = [(55.97, 21.97), (56.03, 21.97), (56.03, 22.03), (55.97, 22.03)]
    for lon, lat in corners:  # around where the areas that there are lie, which the map begins with
        x, y = tab.run(f"(({{ x, y }}) => [x, y])(drawn.map.project([{lon}, {lat}]))")
        tab.click(left + x, top + y)
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + x, y=top + y - 9)
    tab.wait("/^55[.]9[67].* 22[.]0[34].* · oman$/.test(element('area-under').textContent)")
    assert "22.0°N" in tab.run("[...document.querySelectorAll('#area-degrees span')].map((one) => one.textContent)")
    assert tab.run("document.querySelector('#area-keep').disabled")  # its cost comes first
    tab.run("document.querySelector('#area-cost').click()")
    tab.wait("!document.querySelector('#area-keep').disabled")
    told = tab.run("document.querySelector('#area-told').textContent")
    assert told.startswith("drawn_here (stac): ") and "MB a scene" in told and "cannot be reached" in told
    typed = "(text) => { const box = element('corners'); box.value = text; box.dispatchEvent(new Event('input')); }"
    lines = "\\n".join(f"{lon} {lat}" for lon, lat in corners)
    tab.run(f"({typed})('{lines}\\n56,1 22,0')")  # a comma as a point is told, and no corner is left out for it
    assert tab.run("element('area-told').textContent").startswith('Not a corner: "56,1 22,0"; allowed: longitude')
    assert tab.run("element('area-cost').disabled") and tab.run("element('area-keep').disabled")
    tab.run("setCorners(drawn.corners.slice(0, -1))")  # as Undo does: what isn't read stays, and is told
    assert tab.run("[element('corners').value.endsWith('56,1 22,0'), element('area-cost').disabled]") == [True, True]
    tab.run(f"({typed})('{lines}')")
    tab.run(f"asked = showCost(), ({typed})('{lines}'), asked.then(() => document.title = 'answered')")
    tab.wait("document.title === 'answered'")  # to another change: it isn't this area's cost
    assert tab.run("element('area-keep').disabled") and tab.run("element('area-told').textContent") == ""
    tab.run("document.querySelector('#area-cost').click()")
    tab.wait("!document.querySelector('#area-keep').disabled")
    tab.run("document.querySelector('#area-keep').click()")
    tab.wait("document.querySelector('#area-told').textContent.startsWith('Kept in areas/drawn_here.geojson')")
    [area] = [one for one in read_areas(f"{root}/areas") if one.name == "drawn_here"]
    assert area.geometry.hausdorff_distance(shapely.Polygon(corners)) < 0.002

    file = tmp_path / "two.gpkg"
    geopandas.GeoDataFrame({"name": ["up"]}, geometry=[shapely.box(56.2, 22.0, 56.3, 22.1)], crs=4326).to_file(file)
    document = tab.call("DOM.getDocument")["root"]["nodeId"]
    chooser = tab.call("DOM.querySelector", nodeId=document, selector="#area-file")["nodeId"]
    tab.call("DOM.setFileInputFiles", files=[str(file)], nodeId=chooser)
    tab.wait("!document.querySelector('#area-cost').disabled")
    tab.run("document.querySelector('#area-cost').click()")
    assert tab.wait("document.querySelector('#area-told').textContent.startsWith('up (stac): ')")
    tab.run("void drawn.map.jumpTo({ center: [56, 21], zoom: 4 })")
    tab.wait("[...document.querySelectorAll('#area-countries span')].some((one) => one.textContent === 'Oman')")
    assert tab.errors == [] and hosts(tab) == {"127.0.0.1"}


def test_a_viewer_sees_what_failed_and_starts_nothing(airflow: tuple[str, str], new_tab: Callable[[], Tab]) -> None:
    url, _ = airflow
    tab = new_tab()
    log_in(tab, url, "viewer")
    open_operations(tab)
    before = len(started(url, tab))
    assert tab.run(f"[...{FRAME}.querySelectorAll('#failed input')].every((box) => box.disabled)")
    assert tab.run(f"{FRAME}.querySelector('#fill').disabled")
    assert tab.run(f"{FRAME}.querySelector('#fill-text').textContent") == "Your role may start no runs."
    body = json.dumps({"logical_date": None, "conf": {}})
    options = f"{{ method: 'POST', headers: {{ 'Content-Type': 'application/json' }}, body: {json.dumps(body)} }}"
    path = "/api/v2/dags/sentinel2_gap_fill/dagRuns"
    assert tab.run(f"fetch('{path}', {options}).then((answer) => answer.status)") == 403
    assert len(started(url, tab)) == before
    refused = tab.run(
        f"[{FRAME}.querySelector('#new-area').hidden, {FRAME}.querySelector('#area-refused').textContent]"
    )
    assert refused == [True, "Your role may add no areas."]
    options = options.replace(json.dumps(body), json.dumps(json.dumps({"file": "a.geojson", "content": ""})))
    path = "/plumewatch/data/operations/area"
    assert tab.run(f"fetch('{path}', {options}).then((answer) => answer.status)") == 403


def test_the_server_refuses_what_is_too_long_and_whoever_is_not_logged_in(airflow: tuple[str, str]) -> None:
    url, _ = airflow
    for path in ("", "assets/maplibre-gl.js", "data/start", f"data/ch4/{DAY}/picture?id=a1", "operations"):
        assert requests.get(f"{url}/plumewatch/{path}", timeout=30, allow_redirects=False).status_code == 401
    try:
        status = requests.get(f"{url}/plumewatch/data/start?filter={'x' * 10_000_000}", timeout=30).status_code
    except requests.ConnectionError:
        status = 400  # the server hung up before it had read all of it
    assert status in (400, 401, 414, 431)
