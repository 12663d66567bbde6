"""Where several sources are as good for a detection, the list, the lines and the map name all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import run_page
from map_rows import match, peak, peak_table, source
from plumewatch.gases import CO2
from plumewatch.maps.content import MapRows, map_content
from plumewatch.maps.map_page import render_map
from plumewatch.matching.candidates import PAIRS
from plumewatch.matching.detections import detections_of_peaks
from plumewatch.matching.match import match_detections
from plumewatch.tables import MATCHES, SOURCES

MAPLIBRE = Path(__file__).with_name("maplibre_stand_in.js").read_text(encoding="utf-8")
PEAK = 2016083111560001


def content(matches: list[dict[str, Any]], sources: list[dict[str, Any]]) -> dict[str, Any]:
    peaks = peak_table([peak(PEAK, 29.0, -26.2)])
    return map_content(CO2, "2016-08", MapRows(peaks, MATCHES.from_pylist(matches), SOURCES.from_pylist(sources)))


def plants(*names: str) -> list[dict[str, Any]]:
    return [source(f"s{n}", 29.1, -26.1, "co2", name, 1e7, "power_plant") for n, name in enumerate(names)]


def matches(*chances: float, status: str = "ambiguous", none: float = 0.02) -> list[dict[str, Any]]:
    ranked = [(f"s{n}", chance) for n, chance in enumerate(chances)]
    ranked = sorted([*ranked, (None, none)], key=lambda one: -one[1])
    return [match(str(PEAK), name, n + 1, chance, status) for n, (name, chance) in enumerate(ranked)]


@pytest.mark.parametrize(
    ("chances", "status", "text", "first"),
    [
        ((0.49, 0.49), "ambiguous", "A or B", 2),
        ((0.55, 0.43), "ambiguous", "A or B", 2),
        ((0.49, 0.49), "inconsistent_rate", "A or B", 2),
        ((0.3, 0.3, 0.3), "ambiguous", "A, B or C", 3),
        ((0.2, 0.2, 0.2, 0.2, 0.2), "ambiguous", "A, B, C or 2 more", 5),
        ((0.4, 0.3, 0.1), "ambiguous", "A or B", 2),
        ((0.66, 0.33), "confirmed", "A", 1),
        ((0.9, 0.01), "confirmed", "A", 1),
    ],
)
def test_all_that_are_as_good_are_named_and_have_a_line(
    chances: tuple[float, ...], status: str, text: str, first: int
) -> None:
    shown = content(matches(*chances, status=status), plants("A", "B", "C", "D", "E"))
    [detection] = shown["detections"]
    assert detection["source_text"] == text
    assert detection["first_sources"] == [f"s{n}" for n in range(first)]
    assert [one["is_first"] for one in shown["sources"]] == [n < first for n in range(5)]
    assert len(shown["lines"]["features"]) == first


def test_where_no_listed_source_is_the_most_probable_none_is_named() -> None:
    [detection] = content(matches(0.3, 0.3, status="unknown_source", none=0.4), plants("A", "B"))["detections"]
    assert (detection["source_text"], detection["first_sources"]) == ("in no inventory", [])


def test_two_of_one_name_are_told_apart_by_their_ids() -> None:
    [detection] = content(matches(0.49, 0.49), plants("A", "A"))["detections"]
    assert detection["source_text"] == "A (s0) or A (s1)"


def test_two_plants_at_one_place_are_both_named_by_matching_and_map() -> None:
    row = peak(PEAK, 29.0, -26.2) | {"wind_u_m_s": -5.0, "wind_v_m_s": -5.0, "emission_kt_h": 2.0}
    row |= {"emission_kt_h_low": 1.0, "emission_kt_h_high": 3.0}
    listed = plants("A", "B")
    pairs = PAIRS.empty_table().from_pylist(
        [
            {
                "detection_id": str(PEAK),
                "inventory": "combined",
                **{k: s[k] for k in PAIRS.names[3:]},
                "source_id": s["source_id"],
            }
            for s in listed
        ],
        PAIRS,
    )
    found = match_detections(detections_of_peaks(peak_table([row])), pairs, "co2").to_pylist()
    assert {one["status"] for one in found} == {"ambiguous"}
    assert content(found, listed)["detections"][0]["source_text"] == "A or B"


def test_on_the_map_a_tag_and_a_popup_name_all_at_one_place() -> None:
    listed = [*plants("Alpha", "Beta"), source("far", 29.3, -26.1, "co2", "Far", 1e7, "power_plant")]
    page = render_map(content(matches(0.49, 0.49), listed))
    steps = """
        const tags = theMap.markers.map((one) => one.element.textContent);
        const popups = [0, 1, 2].map((n) => {
          theMap.tell("click", "sources", { features: [{ properties: { n } }] });
          return texts("h3", theMap.popups.at(-1).node);
        });
        return { tags, popups, listed: texts(".more") };
    """
    seen = run_page(page, steps, maplibre=MAPLIBRE)
    assert [tag for tag in seen["tags"] if "Alpha" in tag or "Beta" in tag] == ["Alpha · Beta"]
    assert sorted(map(tuple, seen["popups"])) == [("Alpha", "Beta"), ("Alpha", "Beta"), ("Far",)]
    assert "Alpha or Beta" in seen["listed"][0]
