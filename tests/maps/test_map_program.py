"""map.js as it runs: the list, what is told of a detection, and the map that it builds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapely
from browser import run_page
from map_rows import DAY, NASTY, REPORT, match, observation, peak, peak_table, plume, plume_table, source
from plumewatch.gases import CH4, CO2
from plumewatch.inventory.own_sources import KINDS
from plumewatch.maps.content import MapRows, map_content
from plumewatch.maps.map_page import render_map
from plumewatch.models import Area
from plumewatch.tables import MATCHES, OBSERVATIONS, SOURCES

MAPLIBRE = Path(__file__).with_name("maplibre_stand_in.js").read_text(encoding="utf-8")
LIST = "const listed = () => texts('.where').map((title) => title.split(' ')[1]);"


def rows() -> MapRows:
    """Three accepted plumes and two refused ones, further east the later they come in the list by rate."""
    plumes = [
        plume("small", 56.03, 22.0, rate=900.0) | {"probability": 0.999, "observed_at_utc": None},
        plume("none", 56.04, 22.0, rate=None) | {"probability": 0.7},
        plume("large", 56.01, 22.0, rate=23_000.0) | {"probability": 0.6},
        plume("weak", 56.06, 22.0, "too_small", rate=400.0),
        plume("cloud", 56.05, 22.0, "surface_change", rate=90_000.0),
    ]
    matches = [match("small", "b", 1, 0.9), match("large", "a", 1, 0.6, "ambiguous"), match("large", None, 2, 0.4)]
    sources = [
        source("b", 56.031, 22.0, "ch4", "Alpha " + NASTY),
        source("a", 56.011, 22.0, "ch4", "Well 9", kind="city"),
    ]
    return MapRows(
        plume_table(plumes), MATCHES.from_pylist(matches), SOURCES.from_pylist(sources),
        observations=OBSERVATIONS.from_pylist([observation("oman", "searched")]),
        areas=[Area("oman", shapely.box(55.9, 21.9, 56.1, 22.1))],
        pictures={"large": "iVBORw0="}, scene_pages={"large": "../../plume_details/page.html"},
        source_pages={"a": "../../evidence/ch4/a.html"}, reports=[REPORT],
    )  # fmt: skip


@pytest.fixture(scope="module")
def run() -> Callable[..., Any]:
    """Run steps on the map of `rows` in a browser, with WebGL or without."""
    page = render_map(map_content(CH4, DAY, rows()))

    def run_steps(steps: str, *, with_map: bool = False) -> Any:
        return run_page(page, f"{LIST}{steps}", maplibre=MAPLIBRE if with_map else "")

    return run_steps


def test_the_list_is_sorted_as_asked_and_refused_ones_wait_until_asked_and_come_last(run: Callable[..., Any]) -> None:
    orders = run("""
        const orders = { first: listed() };
        for (const value of ["rate", "probability", "time", "source"]) {
          change(element("sort"), { value });
          orders[value] = listed();
        }
        change(element("sort"), { value: "rate" });
        change(element("refused"), { checked: true });
        orders.all = listed();
        change(element("refused"), { checked: false });
        orders.again = listed();
        return orders;
    """)
    large, small, none, cloud, weak = ("56.010°E", "56.030°E", "56.040°E", "56.050°E", "56.060°E")
    by_rate = [large, small, none]
    assert orders["first"] == orders["rate"] == orders["again"] == by_rate
    assert orders["probability"] == [small, none, large]
    assert orders["time"] == [large, none, small]  # an unknown time is the last
    assert orders["source"] == [none, small, large]  # without one, Alpha, Well
    assert orders["all"] == [*by_rate, cloud, weak]


def test_the_choice_of_refused_ones_says_how_many_and_isnt_there_without_any(run: Callable[..., Any]) -> None:
    steps = "return [element('refused-choice').hidden, texts('#refused-count')[0], texts('#list')[0]];"
    assert run(steps)[:2] == [False, "also show 2 not accepted"]
    empty = map_content(CH4, DAY, MapRows(plume_table([]), MATCHES.empty(), SOURCES.empty()))
    assert run_page(render_map(empty), steps) == [True, "", "Nothing was searched: there is no area."]


def test_an_entry_of_the_list_says_what_the_content_says(run: Callable[..., Any]) -> None:
    first, second, third = run("return all('.detection').map((one) => one.children.map((part) => part.textContent));")
    assert first == [
        "", "Plume 56.010°E 22.000°N", "23 t/h", "2025-08-31 07:12 UTC · area oman · Well 9 · probability 0.60",
    ]  # fmt: skip
    assert second[2:] == ["900 kg/h", f"time unknown · area oman · Alpha {NASTY} · probability above 0.99"]
    assert third[2:] == ["no rate", "2025-08-31 07:12 UTC · area oman · probability 0.70"]


def test_names_of_strangers_are_text_wherever_they_are_shown(run: Callable[..., Any]) -> None:
    """The stand-in's DOM throws where a text is made markup; and no element comes of one."""
    seen = run(
        """
        const count = () => ["img", "script"].map((tag) => all(tag).length), before = count();
        change(element("refused"), { checked: true });
        const nodes = all(".detection").map((one) => { click(one); return theMap.popups.at(-1).node; });
        for (const n of [0, 1]) {
          theMap.tell("click", "sources", { features: [{ properties: { n } }] });
          nodes.push(theMap.popups.at(-1).node);
        }
        const markers = theMap.markers.map((one) => one.element);
        const shown = [...nodes, ...markers], made = shown.flatMap((one) => all("img, script", one));
        return { before, after: count(), texts: shown.map((one) => one.textContent),
                 made: made.map((one) => one.parentNode.className) };
    """,
        with_map=True,
    )
    assert seen["before"] == seen["after"] and seen["made"] == ["picture"]
    assert sum(NASTY in text for text in seen["texts"]) == 3  # of its plume, of itself, and its name tag


def test_without_a_map_the_list_tells_all_and_says_why(run: Callable[..., Any]) -> None:
    seen = run("""
        const [first, second] = all(".detection"), open = () => all("li > .info").map((one) => texts("h3", one)[0]);
        const states = [open()];
        for (const one of [first, second, second]) { click(one); states.push(open()); }
        click(first);
        return { states, note: texts("#fallback")[0], hidden: element("fallback").hidden,
                 classes: document.body.className,
                 current: all(".detection").map((one) => one.getAttribute("aria-current")) };
    """)
    large, small = "Plume 56.010°E 22.000°N", "Plume 56.030°E 22.000°N"
    assert seen["states"] == [[], [large], [small], []]
    assert "this browser has no WebGL 2" in seen["note"] and not seen["hidden"] and seen["classes"] == "no-map"
    assert seen["current"] == ["true", None, None]


def test_what_is_told_of_a_detection(run: Callable[..., Any]) -> None:
    told = run("""
        change(element("refused"), { checked: true });
        const tell = (n) => { click(all(".detection")[n]); return all("li > .info")[0]; };
        const large = tell(0);
        const picture = all(".picture", large)[0];
        click(picture);
        const said = {
          rate: texts(".big", large)[0], badge: texts(".badge", large)[0],
          table: texts("td", large), links: all("a", large).map((a) => a.href),
          facts: texts("dd", large),
          names: texts("dt", large),
          shown: [element("picture").open, all("#large-picture img").map((image) => image.src)] };
        const none = tell(2);
        const count = (selector) => all(selector, none).length;
        said.none = [texts(".big", none)[0], count("a"), count(".picture"), count("table")];
        said.refused = [3, 4].map((n) => texts(".badge", tell(n))[0]);
        return said;
    """)
    assert told["rate"] == "23 t/h 14 t/h to 34 t/h (68 %)" and told["badge"] == "source not certain"
    assert told["table"] == ["Well 9", "0.60", "0.3 km", "4.6 t/h", "in no inventory", "0.40", "", ""]
    assert told["links"] == ["../../evidence/ch4/a.html", "../../plume_details/page.html"]
    assert told["shown"] == [True, ["data:image/png;base64,iVBORw0="]]
    facts = dict(zip(told["names"], told["facts"], strict=True))
    assert facts["wind"] == "4.2 m/s from 270°" and facts["probability"] == "0.60"
    assert (facts["extent"], facts["methane"], facts["id"]) == ("25.0 ha", "1,234 kg", "large")
    assert told["none"] == ["no rate (no wind)", 0, 0, 0]
    assert told["refused"][0].startswith("refused: it changed as ground") and "smaller" in told["refused"][1]


def test_buttons_open_what_they_name(run: Callable[..., Any]) -> None:
    opened = run("""
        click(element("show-licences"));
        return [element("licences").open, texts("#licence-text")[0], texts("#attribution")[0]];
    """)
    assert opened[0] and "MapLibre contributors" in opened[1]
    assert opened[2].startswith("Contains modified Copernicus Sentinel data (Sentinel-2) · Sources: a list (CC BY 4.0)")


def test_a_choice_in_the_list_goes_there_on_the_map(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const [first, second] = all(".detection");
        click(first);
        theMap.zoom = 15;
        click(second);
        return { moves: theMap.moves.map(({ center, zoom }) => [center, zoom]), below: all("li > .info").length,
                 popups: theMap.popups.map(({ at, node }) => [at, texts("h3", node)[0]]) };
    """,
        with_map=True,
    )
    assert seen["moves"] == [[[56.01, 22], 12.5], [[56.03, 22], 15]]  # never farther away than one was
    assert seen["popups"] == [[[56.03, 22], "Plume 56.030°E 22.000°N"]] and seen["below"] == 0


def test_a_click_on_the_map_opens_what_lies_there_sources_before_circles(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const open = (layer, properties) => {
          theMap.popups = [];
          theMap.tell("click", layer, { features: [{ properties }] });
          return theMap.popups.map(({ node }) => texts("h3", node)[0]);
        };
        const result = { circle: open("detections", { id: "none" }), seen: all(".detection").map((one) => one.seen) };
        result.current = all(".detection").map((one) => one.getAttribute("aria-current"));
        result.outline = open("plumes", { id: "large" });
        result.refused = open("refused", { id: "cloud surface_change" });
        result.report = [...open("reports", { id: "r 1" }), ...texts("dd", theMap.popups[0].node)];
        theMap.below = [{}];
        result.covered = open("detections", { id: "none" });
        result.source = open("sources", { n: 0 });
        return result;
    """,
        with_map=True,
    )
    assert seen["circle"] == ["Plume 56.040°E 22.000°N"] and seen["outline"] == ["Plume 56.010°E 22.000°N"]
    assert seen["current"] == [None, None, "true"] and seen["seen"] == [0, 0, 1]
    assert seen["refused"] == ["Plume 56.050°E 22.000°N"]
    assert seen["covered"] == [] and seen["source"] == ["Well 9"]
    assert seen["report"][:4] == ["Reported by others", "imeo_mars", "EMIT", NASTY]


def test_refused_ones_are_a_layer_that_waits_until_asked(run: Callable[..., Any]) -> None:
    steps = """
        const at = () => theMap.layout.refused.visibility, states = [at()];
        for (const checked of [true, false]) {
          change(element("refused"), { checked });
          states.push(at());
        }
        return states;
    """
    assert run(steps, with_map=True) == ["none", "visible", "none"]


def test_the_legend_names_what_is_there_and_its_boxes_switch_layers(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const parts = { ...["h3", ".key", "label"].map((one) => texts("#legend-body " + one)) };
        for (const box of all("#legend-body input")) { box.checked = false; fire(box, "change"); }
        parts.off = Object.keys(theMap.layout).filter((id) => theMap.layout[id].visibility === "none");
        const hidden = theMap.markers.filter((one) => one.element.style.visibility === "hidden");
        parts.names = hidden.map((one) => one.element.textContent);
        for (const box of all("#legend-body input")) { box.checked = true; fire(box, "change"); }
        parts.left = Object.keys(theMap.layout).filter((id) => theMap.layout[id].visibility === "none");
        return parts;
    """,
        with_map=True,
    )
    assert seen["0"] == ["Methane plumes: circle area by rate", "Layers"]
    assert seen["1"] == [
        "source confirmed", "source not certain", "not matched yet", "not accepted (see the list)",
        "city", "oil and gas",
    ]  # fmt: skip
    assert seen["2"] == [
        "plume outlines", "wind", "to the most probable source", "areas that were searched", "sources in inventories",
        "reported by others within 30 days",
    ]  # fmt: skip
    assert sorted(seen["off"]) == ["areas", "lines", "plume-edges", "plumes", "refused", "reports", "sources", "wind"]
    names = ["Well 9", "Alpha " + NASTY, "oman: searched"]
    assert sorted(seen["names"]) == sorted(names) and seen["left"] == ["refused"]


def test_the_map_is_given_what_the_content_holds(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const { sources, layers } = theMap.options.style, { bounds } = theMap.options;
        const features = (id) => sources[id].data.features;
        return { bounds, wind: features("wind").map((f) => [f.geometry.coordinates[0], f.properties.to]),
          circles: features("detections").map((f) => [f.properties.id, f.properties.state, f.properties.radius]),
          sources: features("sources").map((f) => [f.properties.n, f.properties.kind, f.properties.rank]),
          missing: layers.filter((l) => l.source && !sources[l.source]).length };
    """,
        with_map=True,
    )
    assert seen["bounds"] == [[56.01, 21.99], [56.04, 22.01]]
    assert {one[0]: one[1:] for one in seen["circles"]} == {
        "large": ["ambiguous", 24.3], "small": ["confirmed", 6], "none": ["unmatched", 6],
        "weak too_small": ["refused", 6], "cloud surface_change": ["refused", 30],
    }  # fmt: skip
    assert sorted(seen["wind"]) == [[56.01, 90], [56.03, 90], [56.04, 90]]  # refused ones have none
    assert seen["sources"] == [[0, "city", 1], [1, "oil_and_gas", 1]] and seen["missing"] == 0


def test_names_of_sources_appear_from_their_zoom_on_and_areas_are_gone_to(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const own = theMap.markers.filter((one) => one.element.className === "place-name");
        const shown = (zoom) => {
          theMap.zoom = zoom;
          theMap.tell("zoom");
          return own.map((one) => one.element.style.display);
        };
        const zooms = [shown(9.9), shown(10), shown(1)];
        const country = (name) => theMap.markers.find((one) => one.element.textContent === name).element.style.display;
        const countries = [country("Oman"), country("Russia")];
        const area = theMap.markers.find((one) => one.element.textContent === "oman: searched");
        click(area.element);
        return { zooms, countries, at: area.at, to: theMap.moves };
    """,
        with_map=True,
    )
    assert seen["zooms"] == [["none", "none"], ["", ""], ["none", "none"]] and seen["countries"] == ["none", ""]
    assert seen["at"] == [56, 22.1] and seen["to"] == [[[55.9, 21.9], [56.1, 22.1]]]


def test_coasts_and_borders_step_over_the_antimeridian_instead_of_running_back(run: Callable[..., Any]) -> None:
    steps = """
        const { land, borders, coast } = theMap.options.style.sources;
        const rings = land.data.features.flatMap((f) => f.geometry.coordinates.flat());
        const lines = [...rings, ...borders.data.coordinates, ...coast.data.coordinates];
        const steps = lines.flatMap((line) => line.slice(1).map(([lon], n) => Math.abs(lon - line[n][0])));
        const beyond = lines.flat().filter(([lon]) => Math.abs(lon) > 180).length;
        return [lines.length, beyond, steps.reduce((a, b) => Math.max(a, b))];
    """
    n_lines, n_beyond, longest = run(steps, with_map=True)
    assert n_lines > 1000 and n_beyond > 100 and longest <= 180


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-10, 20, 30, 50), "10°W 5°W 0° 5°E 10°E 15°E 20°E 30°N 35°N 40°N 45°N 50°N"),
        ((55.9975, 56.0085, -0.003, 0), "55.998°E 56.000°E 56.002°E 56.004°E 56.006°E 56.008°E 0.002°S 0.000°"),
        ((172, 193, 80, 89), "175°E 180°W 175°W 170°W 80°N 85°N"),
    ],
)  # fmt: skip
def test_the_edges_say_degrees(run: Callable[..., Any], box: tuple, expected: str) -> None:
    west, east, south, north = box
    steps = f"""
        theMap.box = {{ west: {west}, east: {east}, south: {south}, north: {north} }};
        theMap.tell("moveend");
        return [texts("#edge-labels span"), theMap.data.graticule.geometry.coordinates];
    """
    labels, lines = run(steps, with_map=True)
    assert labels == expected.split() and len(lines) == len(labels)
    assert all(abs(lat) <= 85 for line in lines for _, lat in line)


def test_every_kind_of_source_has_a_shape_and_so_has_the_wind(run: Callable[..., Any]) -> None:
    icons = ["wind", *(f"source-{kind}" for kind in KINDS)]
    steps = f"for (const id of {icons}) theMap.tell('styleimagemissing', null, {{ id }}); return theMap.images;"
    images = run(steps, with_map=True)
    assert images.pop("wind") == {"width": 44, "height": 116}
    assert images == {name: {"width": 44, "height": 44} for name in icons[1:]}


def test_peaks_are_listed_as_peaks_are() -> None:
    peaks = [
        peak(2016083111560104, 28.95, -26.22),
        peak(2016083111560105, 28.9, -26.5) | {"false_alarm_probability": 0.1},
    ]
    page = render_map(map_content(CO2, "2016-08", MapRows(peak_table(peaks), MATCHES.empty(), SOURCES.empty())))
    steps = f"{LIST} change(element('sort'), {{ value: 'probability' }}); return [listed(), texts('.more')];"
    order, more = run_page(page, steps)
    assert order == ["28.95°E", "28.90°E"]
    assert more[0] == "2016-08-31 11:56 UTC · orbit 11522 · false alarm 0.40 %" and more[1].endswith("10 %")
