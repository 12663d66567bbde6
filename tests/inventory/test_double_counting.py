"""No emitter counts twice in `combined`: points in several lists, cities around points, cells around both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory_files import NORTH_KM, coco2, gppd, own, unit
from plumewatch.inventory.combine import combine_inventories
from plumewatch.inventory.totals import compute_totals, main
from plumewatch.tables import SOURCES

LON, LAT = 29.0, -26.0


def source(id_: str, km_north: float = 0.0, t_y: float = 8e6, **changed: Any) -> dict[str, Any]:
    row = {
        "source_id": id_, "name": id_, "kind": "power_plant", "fuel": "coal", "gas": "co2", "emission_t_y": t_y,
        "emission_t_y_sigma": 0.1 * t_y, "year": 2020, "longitude": LON, "latitude": LAT + km_north * NORTH_KM,
        "provenance": "said",
    }  # fmt: skip
    return row | changed


def cell(lon: float, lat: float, t_y: float, size: float = 0.1, **changed: Any) -> dict[str, Any]:
    place = {"longitude": lon, "latitude": lat, "cell_width_deg": size, "cell_height_deg": size}
    return source(f"cell {lon} {lat}", t_y=t_y, kind="grid_cell", fuel="", **place) | changed


def combined(**lists: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    rows = combine_inventories({name: SOURCES.from_pylist(of) for name, of in lists.items()}).to_pylist()
    assert len({row["source_id"] for row in rows}) == len(rows)
    return {row["source_id"]: row for row in rows}


def test_one_plant_of_four_lists_is_one_source_that_names_the_others() -> None:
    rows = combined(
        coco2=[source("coco2-1", name="CoCO2 ZAF coal 26.00S 29.00E")],
        gppd=[source("gppd-1", 0.5, 7e6, name="Kendal")],
        climate_trace=[source("climate_trace-1-co2", 0.2, 9e6, name="Kendal PS")],
        eu_ets=[source("eu_ets-1", -3.0, 8.5e6, fuel="", name="Kendal works")],
    )
    [row] = rows.values()
    assert (row["source_id"], row["name"], row["emission_t_y"]) == ("coco2-1", "Kendal", 8e6)
    assert row["alternatives"] == (
        "gppd-1: 7000000 t/yr in 2020, 0.50 km away; climate_trace-1-co2: 9000000 t/yr in 2020, 0.20 km away; "
        "eu_ets-1: 8500000 t/yr in 2020, 3.00 km away"
    )


def test_a_nameless_plant_takes_the_name_of_the_list_that_has_one() -> None:
    rows = combined(
        coco2=[source("coco2-1", name="CoCO2 ZAF coal 26.00S 29.00E")],
        climate_trace=[source("climate_trace-1-co2", 0.2, name="Kendal PS")],
    )
    assert rows["coco2-1"]["name"] == "Kendal PS"
    assert rows["coco2-1"]["provenance"] == "said; name from climate_trace-1-co2, 0.20 km away"


@pytest.mark.parametrize(
    ("changed", "is_same"),
    [
        ({}, True),
        ({"km_north": 4.0}, True),
        ({"km_north": 4.0, "fuel": "oil"}, False),
        ({"km_north": 6.0}, False),
        ({"gas": "ch4"}, False),
        ({"kind": "industry"}, True),
        ({"kind": "industry", "km_north": 2.0}, False),
        ({"kind": "industry", "t_y": 1e6}, False),
        ({"kind": "landfill"}, False),
    ],
)
def test_what_is_one_emitter(changed: dict[str, Any], is_same: bool) -> None:
    rows = combined(
        coco2=[source("coco2-1")], climate_trace=[source("climate_trace-1", **{"km_north": 0.3, **changed})]
    )
    assert (len(rows) == 1) is is_same
    assert ("climate_trace-1" in (rows["coco2-1"]["alternatives"] or "")) is is_same


def test_the_user_s_own_source_keeps_what_all_lists_say_of_it(tmp_path: Path) -> None:
    from plumewatch.inventory.coco2 import read_coco2
    from plumewatch.inventory.gppd import read_gppd
    from plumewatch.inventory.own_sources import read_own_sources

    parts = coco2(tmp_path, unit()), gppd(tmp_path, "Theirs,WRI1,100,-26,29,Coal,1000,")
    mine = own(tmp_path, "Ours,power_plant,coal,co2,8800000,800000,2019,29,-26")
    rows = {"coco2": read_coco2(parts[0]), "gppd": read_gppd(parts[1]), "own_sources": read_own_sources(mine)}
    [row] = combine_inventories(rows).to_pylist()
    assert row["name"] == "Ours" and row["alternatives"] == (
        "coco2-1: 8760000 t/yr in 2018, 0.00 km away; gppd-WRI1: 946000 t/yr in 2017, 0.00 km away"
    )


def test_a_city_is_what_its_points_leave_of_it() -> None:
    city = {"kind": "city", "fuel": ""}
    rows = combined(
        coco2=[source("coco2-1", 5.0, 3e6), source("coco2-2", 20.0, 5e6)],
        climate_trace=[source("well", 1.0, 9e6, gas="ch4", kind="oil_and_gas")],
        cities=[source("city-1", t_y=1e7, **city), source("city-2", 5.0, 2e6, **city)],
        own_sources=[source("own-1", 6.0, 5e6, kind="city", fuel="")],
    )
    assert rows["city-1"]["emission_t_y"] == 7e6 and "city-2" not in rows
    assert rows["city-1"]["emission_t_y_sigma"] == pytest.approx(np.hypot(1e6, 3e5))
    assert rows["city-1"]["provenance"] == "said; less 3000000 t/yr of 1 sources in it"
    assert (rows["coco2-1"]["emission_t_y"], rows["own-1"]["emission_t_y"]) == (3e6, 5e6)


def test_a_cell_is_what_points_leave_of_it_and_never_below_zero() -> None:
    at = [(29.05, -25.95), (29.15, -25.95), (-179.95, 10.05), (29.05, -25.85)]
    cells = [cell(*place, t_y) for place, t_y in zip(at, (1e7, 2e6, 3e6, 4e6), strict=True)]
    rows = combined(
        edgar=cells,
        coco2=[
            source("coco2-1", t_y=4e6, longitude=29.01, latitude=-25.91),
            source("coco2-2", t_y=1e6, longitude=29.09, latitude=-25.99),
            source("coco2-3", t_y=9e6, longitude=29.11, latitude=-25.95),
            source("coco2-4", t_y=1e6, longitude=-179.99, latitude=10.01),
        ],
    )
    left = {id_: row["emission_t_y"] for id_, row in rows.items() if row["kind"] == "grid_cell"}
    assert left == {"cell 29.05 -25.95": 5e6, "cell -179.95 10.05": 2e6, "cell 29.05 -25.85": 4e6}
    assert rows["cell 29.05 -25.95"]["provenance"] == "said; less 5000000 t/yr of 2 sources in it"


def test_a_city_is_taken_from_the_cells_around_it() -> None:
    cells = [cell(29.05 + east / 10, -25.95, 6e6) for east in (-1, 0, 1, 5)]
    city = source("city-1", t_y=9e6, kind="city", fuel="", longitude=29.05, latitude=-25.95)
    rows = combined(edgar=cells, cities=[city])
    left = sorted(row["emission_t_y"] for row in rows.values() if row["kind"] == "grid_cell")
    assert left == pytest.approx([3e6, 3e6, 3e6, 6e6]) and rows["city-1"]["emission_t_y"] == 9e6


def test_of_a_gas_one_grid_counts_and_wide_cells_are_no_place() -> None:
    rows = combined(
        edgar=[cell(29.05, -25.95, 1e6, gas="ch4"), cell(0.0, 0.0, 1e9, size=5.0)],
        odiac=[cell(29.05, -25.95, 2e6, source_id="odiac")],
    )
    assert {id_: row["gas"] for id_, row in rows.items()} == {"cell 29.05 -25.95": "ch4", "odiac": "co2"}
    rows = combined(edgar=[cell(9.05, 9.05, 1e6)], odiac=[cell(29.05, -25.95, 2e6, source_id="odiac")])
    assert rows.keys() == {"cell 9.05 9.05"}


LONGITUDES, LATITUDES = (st.integers(-end, end).map(lambda n: n / 1000) for end in (179_990, 89_900))
PLACES = st.tuples(LONGITUDES, LATITUDES, st.floats(1e3, 1e8))


@settings(max_examples=40, deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=12), st.lists(PLACES, max_size=12))
def test_cells_and_points_together_emit_the_larger_of_both(
    cells: list[tuple[float, float, float]], points: list[tuple[float, float, float]]
) -> None:
    def centre(lon: float, lat: float) -> tuple[float, float]:
        lon, lat = (float(round(np.floor(place * 10 + 1e-6) / 10 + 0.05, 6)) for place in (lon, lat))
        return lon, lat

    of_cell = {centre(lon, lat): t_y for lon, lat, t_y in cells}
    # half of the points in a cell
    places = [(*(cells[n % len(cells)][:2] if n % 2 else (lon, lat)), t_y) for n, (lon, lat, t_y) in enumerate(points)]
    rows = combined(
        edgar=[cell(*place, t_y) for place, t_y in of_cell.items()],
        own_sources=[
            source(f"own-{n}", t_y=t_y, longitude=lon, latitude=lat) for n, (lon, lat, t_y) in enumerate(places)
        ],
    )
    explained = dict.fromkeys(of_cell, 0.0)
    for lon, lat, t_y in places:
        if centre(lon, lat) in explained:
            explained[centre(lon, lat)] += t_y
    left = {(r["longitude"], r["latitude"]): r["emission_t_y"] for r in rows.values() if r["kind"] == "grid_cell"}
    expected = {place: t_y - explained[place] for place, t_y in of_cell.items() if t_y > explained[place]}
    assert left == pytest.approx(expected)


def test_the_command_tells_what_it_cannot_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_sources_mine.csv").write_text("name,kind\nA,oil\n")
    assert main([str(tmp_path)]) == 1
    assert "not used: " in (told := capsys.readouterr().err) and "own_sources_mine.csv" in told


def test_the_command_prints_totals_before_and_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco2(tmp_path, unit(t_y=8e6))
    gppd(tmp_path, "Theirs,WRI1,100,-26,29,Coal,1000,", "Gas,WRI2,100,10,10,Gas,1000,")
    assert main([str(tmp_path)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "co2 power_plant coal 2 8.9 Mt 1 8.0 Mt" in lines and "co2 all 3 9.4 Mt 2 8.4 Mt" in lines
    rows = compute_totals({"coco2": SOURCES.empty()})
    assert rows == [] and isinstance(combine_inventories({}), pa.Table)
