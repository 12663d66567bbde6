"""The map's program as it runs: the map that it builds, its layers, names and icons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from map_rows import NASTY
from plumewatch.inventory.own_sources import KINDS


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
        const parts = { heads: texts("#legend-body h3"), keys: texts("#legend-body .key") };
        parts.layers = texts("#legend-body label");
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
    assert seen["heads"] == ["Methane plumes: circle area by rate", "Layers"]
    assert seen["keys"] == [
        "source confirmed", "source not certain", "not matched yet", "not accepted (see the list)",
        "city", "oil and gas",
    ]  # fmt: skip
    assert seen["layers"] == [
        "plume outlines", "wind", "to the most probable source", "areas that were searched", "sources in inventories",
        "reported by others within 30 days",
    ]  # fmt: skip
    assert sorted(seen["off"]) == ["areas", "lines", "plume-edges", "plumes", "refused", "reports", "sources", "wind"]
    assert sorted(seen["names"]) == sorted(["Well 9", "Alpha " + NASTY, "oman: searched"]) and seen["left"] == [
        "refused"
    ]


def test_the_map_is_given_what_the_content_holds(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const { sources, layers } = theMap.options.style, { bounds } = theMap.options;
        const features = (id) => sources[id].data.features;
        const wind = layers.find((layer) => layer.id === "wind");
        const ofWind = features("detections").filter((f) => f.properties.to !== undefined);
        return { bounds, wind: ofWind.map((f) => [f.geometry.coordinates[0], f.properties.to]), filter: wind.filter,
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
    assert sorted(seen["wind"]) == [[lon, 90] for lon in (56.01, 56.03, 56.04, 56.05, 56.06)]
    assert seen["filter"] == ["all", ["has", "to"], ["!", ["==", ["get", "state"], "refused"]]]
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
        const zoomOf = (name) => page.ground.names.find((one) => one.name === name).zoom;
        const countries = ["Oman", "Russia"].map(zoomOf);
        const area = theMap.markers.find((one) => one.element.textContent === "oman: searched");
        click(area.element);
        const hidden = theMap.markers.map((one) => one.element.getAttribute("aria-hidden"));
        return { zooms, countries, hidden, at: area.at, to: theMap.moves };
    """,
        with_map=True,
    )
    assert seen["zooms"] == [["none", "none"], ["", ""], ["none", "none"]]
    assert seen["countries"][0] > 1.0 > seen["countries"][1]  # no room for Oman's name where all the world is seen
    assert seen["hidden"] == ["true", "true", None]  # what lists say already isn't announced again
    assert seen["at"] == [56, 22.1] and seen["to"] == [[[55.9, 21.9], [56.1, 22.1]]]


def test_coasts_and_borders_step_over_the_antimeridian_instead_of_running_back(run: Callable[..., Any]) -> None:
    steps = """
        const { features } = theMap.options.style.sources.world.data;
        const of = (part) => features.filter((f) => f.properties.part === part).map((f) => f.geometry.coordinates);
        const lines = [...of("land").flat(2), ...of("borders").flat(), ...of("coast").flat()];
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
        theMap.tell("resize");
        return [texts("#edge-labels span"), theMap.data.graticule.features[0].geometry.coordinates];
    """
    labels, lines = run(steps, with_map=True)
    assert labels == expected.split() and len(lines) > len(labels)  # a view farther than is seen
    assert all(abs(lat) <= 85 for line in lines for _, lat in line)


def test_every_kind_of_source_has_a_shape_and_so_has_the_wind(run: Callable[..., Any]) -> None:
    icons = ["wind", *(f"source-{kind}" for kind in KINDS)]
    steps = f"for (const id of {icons}) theMap.tell('styleimagemissing', null, {{ id }}); return theMap.images;"
    images = run(steps, with_map=True)
    assert images.pop("wind") == {"width": 44, "height": 116}
    assert images == {name: {"width": 44, "height": 44} for name in icons[1:]}


def test_what_is_empty_has_no_source_until_something_comes(run: Callable[..., Any]) -> None:
    seen = run(
        """
        const { sources } = theMap.options.style, before = Object.keys(sources);
        click(all(".detection")[0]);
        const layers = Object.keys(theMap.layout);
        return { before, chosen: theMap.added, isThere: "chosen" in sources, layers };
    """,
        with_map=True,
    )
    assert "chosen" not in seen["before"] and seen["isThere"]
    assert seen["chosen"]["chosen"] == "reports"  # below what lies above it
