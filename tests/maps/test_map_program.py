"""The map's program as it runs: the list, and what is told of a detection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser import run_page
from map_page_runs import BY_RATE, LIST
from map_rows import DAY, NASTY, peak, peak_table, plume_table
from plumewatch.gases import CH4, CO2
from plumewatch.maps.content import MapRows, map_content
from plumewatch.maps.map_page import render_map
from plumewatch.tables import MATCHES, SOURCES


def test_the_list_is_sorted_as_asked_and_refused_ones_wait_until_asked_and_come_last(run: Callable[..., Any]) -> None:
    orders = run("""
        const orders = { first: listed(), sort: element("sort").value };
        for (const value of ["probability", "rate", "time", "source"]) {
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
    assert orders["rate"] == orders["again"] == by_rate
    assert orders["first"] == orders["probability"] == [small, none, large] and orders["sort"] == "probability"
    assert orders["time"] == [large, none, small]  # an unknown time is the last
    assert orders["source"] == [none, small, large]  # without one, Alpha, Well
    assert orders["all"] == [*by_rate, cloud, weak]


def test_the_choice_of_refused_ones_says_how_many_and_isnt_there_without_any(run: Callable[..., Any]) -> None:
    steps = "return [element('refused-choice').hidden, texts('#refused-count')[0], texts('#list')[0]];"
    assert run(steps)[:2] == [False, "also show 2 not accepted"]
    empty = map_content(CH4, DAY, MapRows(plume_table([]), MATCHES.empty(), SOURCES.empty()))
    assert run_page(render_map(empty), steps) == [True, "", "Nothing was searched: there is no area."]


def test_an_entry_of_the_list_says_what_the_content_says(run: Callable[..., Any]) -> None:
    steps = f"{BY_RATE} return all('.detection').map((one) => one.children.map((part) => part.textContent));"
    first, second, third = run(steps)
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
        const nodes = all(".detection").map((one) => { click(one); return panel(); });
        for (const n of [0, 1]) {
          theMap.tell("click", "sources", { features: [{ properties: { n } }] });
          nodes.push(panel());
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
    seen = run(f"""
        {BY_RATE}
        const [first, second] = all(".detection"), states = [isOpen()];
        for (const one of [first, second]) {{ click(one); states.push(texts("h3", panel())[0]); }}
        return {{ states, note: texts("#fallback")[0], hidden: element("fallback").hidden,
                 classes: document.body.className,
                 current: all(".detection").map((one) => one.getAttribute("aria-current")) }};
    """)
    large, small = "Plume 56.010°E 22.000°N", "Plume 56.030°E 22.000°N"
    assert seen["states"] == [False, large, small]
    assert "this browser has no WebGL 2" in seen["note"] and not seen["hidden"] and seen["classes"] == "no-map"
    assert seen["current"] == [None, "true", None]


def test_the_panel_takes_the_place_of_the_list_and_esc_brings_it_back(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const one = all(".detection")[1], states = [], escape = () => fire(document, "keydown", { key: "Escape" });
        const state = () => states.push([isOpen(), !element("listed").hidden, theMap.data.chosen?.features.length]);
        click(one); state();
        element("licences").open = true; escape(); state();
        element("licences").open = false; escape(); state();
        return { states, focused: document.activeElement === one };
    """,
        with_map=True,
    )
    assert seen["states"] == [[True, False, 1], [True, False, 1], [False, True, 0]] and seen["focused"]


def test_what_is_told_of_a_detection(run: Callable[..., Any]) -> None:
    told = run("""
        change(element("refused"), { checked: true });
        change(element("sort"), { value: "rate" });
        const tell = (n) => { click(all(".detection")[n]); return panel(); };
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
    assert opened[2].startswith("Contains modified Copernicus Sentinel data (Sentinel-2); of Landsat's scenes: U.S. ")
    assert " · Sources: a list (CC BY 4.0)" in opened[2]


def test_a_choice_in_the_list_goes_there_on_the_map(run: Callable[..., Any]) -> None:
    seen = run(
        f"""
        {BY_RATE}
        const [first, second] = all(".detection"), titles = [];
        click(first);
        titles.push(texts("h3", panel())[0]);
        theMap.zoom = 15;
        click(second);
        titles.push(texts("h3", panel())[0]);
        return {{ moves: theMap.moves.map(({{ center, zoom }}) => [center, zoom]), titles,
                 ring: theMap.data.chosen.features[0].geometry.coordinates }};
    """,
        with_map=True,
    )
    assert seen["moves"] == [[[56.01, 22], 12.5], [[56.03, 22], 15]]  # never farther away than one was
    assert seen["titles"] == ["Plume 56.010°E 22.000°N", "Plume 56.030°E 22.000°N"] and seen["ring"] == [56.03, 22]


def test_a_click_on_the_map_opens_what_lies_there_sources_before_circles(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const open = (layer, properties) => {
          fire(document, "keydown", { key: "Escape" });
          theMap.tell("click", layer, { features: [{ properties }] });
          return isOpen() ? texts("h3", panel()) : [];
        };
        change(element("sort"), { value: "rate" });
        const result = { circle: open("detections", { id: "none" }) };
        result.current = all(".detection").map((one) => one.getAttribute("aria-current"));
        result.outline = open("plumes", { id: "large" });
        result.refused = open("refused", { id: "cloud surface_change" });
        result.report = [...open("reports", { n: 0 }), ...texts("dd", panel())];
        theMap.below = [{}];
        result.covered = open("detections", { id: "none" });
        result.source = open("sources", { n: 0 });
        return result;
    """,
        with_map=True,
    )
    assert seen["circle"] == ["Plume 56.040°E 22.000°N"] and seen["outline"] == ["Plume 56.010°E 22.000°N"]
    assert seen["current"] == [None, None, "true"]
    assert seen["refused"] == ["Plume 56.050°E 22.000°N"]
    assert seen["report"][:4] == ["Reported by others", "imeo_mars", "EMIT", NASTY]
    assert seen["covered"] == [] and seen["source"] == ["Well 9"]


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
