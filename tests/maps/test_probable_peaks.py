"""Peaks by how probable they are: the more probable ones first, the others if asked for, and how many are false."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from browser import run_page
from map_rows import DAY, match, peak, peak_table, plume, plume_table, source
from plumewatch import storage
from plumewatch.gases import CH4, CO2
from plumewatch.maps.content import MapRows, map_content
from plumewatch.maps.map_file import write_map
from plumewatch.maps.map_page import render_map
from plumewatch.table import Table
from plumewatch.tables import MATCHES, PEAKS, SOURCES

MAPLIBRE = Path(__file__).with_name("maplibre_stand_in.js").read_text(encoding="utf-8")
MONTH = "2016-08"
STEPS = """
    const state = () => ({
      listed: texts(".where").map((title) => title.split(" ")[1]), said: texts("#shown-text")[0],
      isSaid: !element("shown-text").hidden, choice: texts("#less-probable-count")[0],
      isChoice: !element("less-probable-choice").hidden, sort: element("sort").value });
"""


def rated(number: int, lon: float, probability: float | None, rate: float, status: str = "accepted") -> dict[str, Any]:
    return peak(number, lon, -26.0, status) | {"probability": probability, "emission_kt_h": rate}


def weighed(number: int, false_detection: float | None) -> list[dict[str, Any]]:
    """Matches of a peak with a source and with none."""
    both = [match(str(number), "plant", 1, 0.9), match(str(number), None, 2, 0.1)]
    return [one | {"false_detection_probability": false_detection} for one in both]


def rows() -> MapRows:
    """Peaks from west to east: less probable by its sources, more probable by them, 0.5, refused, unknown, probable."""
    peaks = [
        rated(1, 21.0, 0.6, 50.0),
        rated(2, 22.0, 0.4, 2.0),
        rated(3, 23.0, 0.5, 30.0),
        rated(4, 24.0, 0.9, 90.0, "curved_background"),
        rated(5, 25.0, None, 40.0),
        rated(6, 26.0, 0.93, 1.0),
        rated(7, 27.0, float("nan"), 40.0) | {"false_alarm_probability": 0.0001},
    ]
    matches = [*weighed(1, 0.7), *weighed(2, 0.2), *weighed(6, None)]
    sources = [source("plant", 22.5, -26.0, "co2", "Plant", 1e7, "power_plant")]
    return MapRows(peak_table(peaks), MATCHES.from_pylist(matches), SOURCES.from_pylist(sources))


def test_less_probable_ones_are_hidden_until_asked_and_what_is_shown_is_counted() -> None:
    page = render_map(map_content(CO2, MONTH, rows()))
    steps = """
        const states = [state()];
        for (const [id, checked] of [["less-probable", true], ["refused", true], ["less-probable", false]]) {
          change(element(id), { checked });
          states.push(state());
        }
        return states;
    """
    first, every, candidates, without = run_page(page, STEPS + steps)
    shown = ["26.00°E", "22.00°E", "23.00°E", "27.00°E", "25.00°E"]  # 0.93, 0.8, 0.5, two unknown: the rarer first
    assert (first["listed"], first["sort"], first["isSaid"], first["isChoice"]) == (shown, "probability", True, True)
    assert first["said"] == (
        "Expected number of false ones among the 5 accepted peaks shown, without 2 of unknown probability: 0.8. "
        "1 less probable one is hidden."
    )
    assert first["choice"] == "also show 1 less probable, below 0.5"
    assert every["listed"] == [*shown[:3], "21.00°E", *shown[3:]]
    assert every["said"] == (
        "Expected number of false ones among the 6 accepted peaks shown, without 2 of unknown probability: 1.5."
    )
    assert candidates["listed"] == [*every["listed"], "24.00°E"] and candidates["said"] == every["said"]
    assert without["listed"] == [*shown, "24.00°E"] and without["said"] == first["said"]


def test_circles_winds_and_lines_of_hidden_ones_are_hidden_with_them() -> None:
    page = render_map(map_content(CO2, MONTH, rows()))
    steps = """
        const told = (data) => Object.fromEntries(["detections", "lines"].map((id) => [id, data(id).features]));
        const states = [told((id) => theMap.options.style.sources[id].data)];
        for (const checked of [true, false]) {
          change(element("less-probable"), { checked });
          states.push(told((id) => theMap.data[id]));
        }
        const isWindy = ({ properties }) => properties.to !== undefined && properties.state !== "refused";
        const ids = (features) => features.map((f) => f.properties.id);
        const winds = (s) => s.detections.filter(isWindy).length;
        return states.map((s) => ({ circles: ids(s.detections), lines: ids(s.lines), wind: winds(s) }));
    """
    first, every, again = run_page(page, steps, maplibre=MAPLIBRE)
    refused = "4 curved_background"  # a layer of its own that is switched
    assert first == again == {"circles": ["2", "3", refused, "5", "6", "7"], "lines": ["2", "6"], "wind": 5}
    assert every == {"circles": ["1", "2", "3", refused, "5", "6", "7"], "lines": ["1", "2", "6"], "wind": 6}


def test_the_probability_is_told_as_other_numbers_are_and_that_without_the_sources_beside_it() -> None:
    shown = {d["id"]: d for d in map_content(CO2, MONTH, rows())["detections"]}
    facts = {name: dict(map(tuple, d["facts"])) for name, d in shown.items()}
    assert facts["1"]["probability"] == "0.30 (0.60 without the sources upwind)"
    assert facts["2"]["probability"] == "0.80 (0.40 without the sources upwind)"
    assert (facts["3"]["probability"], facts["6"]["probability"]) == ("0.50", "0.93")
    assert "probability" not in facts["7"] and facts["7"]["false alarm"] == "0.010 %"
    assert shown["2"]["certainty_text"] == "probability 0.80" and shown["7"]["certainty_text"] == "false alarm 0.010 %"


def test_where_all_are_less_probable_the_page_says_so() -> None:
    peaks = peak_table([rated(n, 20.0 + n, 0.1, 5.0) for n in range(12)])
    page = render_map(map_content(CO2, MONTH, MapRows(peaks, MATCHES.empty(), SOURCES.empty())))
    seen = run_page(page, f"{STEPS} return {{ ...state(), list: texts('#list')[0] }};")
    assert seen["said"] == "No accepted peak is shown. 12 less probable ones are hidden." and seen["listed"] == []
    assert seen["choice"] == "also show 12 less probable, below 0.5" and seen["list"].startswith("12 peaks accepted")


def write_without(column: str, table: Table, keys: dict[str, str], rows: list[dict[str, Any]], root: str) -> None:
    """Write a partition as it was before the table had the column."""
    folder, file = storage.partition_path(storage.join(root, table.name), keys), io.BytesIO()
    pq.write_table(table.from_pylist(rows).drop_columns([column]), file)
    storage.write_bytes(storage.join(folder, "data.parquet"), file.getvalue())


def test_tables_from_before_there_was_a_probability_are_drawn_as_ever_with_all_shown(storage_root: str) -> None:
    peaks = [rated(1, 21.0, None, 5.0) | {"false_alarm_probability": 0.004}, rated(2, 22.0, None, 50.0)]
    write_without("probability", PEAKS, {"method": "scan", "month": MONTH}, peaks, storage_root)
    weighed_once, keys = weighed(1, None), {"gas": "co2", "period": MONTH}
    write_without("false_detection_probability", MATCHES, keys, weighed_once, storage_root)
    page = storage.read_bytes(write_map(CO2, MONTH, storage_root)).decode()
    seen = run_page(page, f"{STEPS} return {{ ...state(), more: texts('.more') }};")
    assert (seen["listed"], seen["sort"]) == (["22.00°E", "21.00°E"], "rate")
    assert (seen["isSaid"], seen["isChoice"]) == (False, False)
    assert seen["more"][1].endswith("plant · false alarm 0.40 %")  # of its matches


@pytest.mark.parametrize("probability", [0.2, 0.97])
def test_a_map_of_methane_shows_all_plumes_by_the_probability_of_their_own(probability: float) -> None:
    plumes = plume_table([plume("a", 56.0, 22.0) | {"probability": probability}, plume("b", 56.1, 22.0, rate=9e4)])
    matches = [match("a", None, 1, 1.0) | {"false_detection_probability": 0.6}]
    content = map_content(CH4, DAY, MapRows(plumes, MATCHES.from_pylist(matches), SOURCES.empty()))
    assert [d["probability"] for d in content["detections"]] == [probability, 0.97]
    seen = run_page(render_map(content), f"{STEPS} return state();")
    assert (sorted(seen["listed"]), seen["sort"]) == (["56.000°E", "56.100°E"], "probability")
    assert (seen["isSaid"], seen["isChoice"]) == (False, False)
