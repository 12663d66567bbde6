"""Quotes that aren't closed in lists of any kind: no row is lost but those that are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from inventory_files import OWN_HEADER, write
from plumewatch.errors import InputError
from plumewatch.inventory.inventory import Told
from plumewatch.inventory.own_sources import read_own_sources
from plumewatch.inventory.refresh import LISTS

N = 1000
PLANT = "P{n},power_plant,coal,co2,1e6,1e5,2020,{lon},10"


def plants(*, header: str = OWN_HEADER, more: str = "", n: int = N) -> list[str]:
    return [header, *(PLANT.format(n=number, lon=number % 1800 / 10) + more for number in range(2, n + 2))]


def told(folder: Path, lines: Sequence[str], name: str = "own_sources.csv") -> tuple[list[str], list[int], str]:
    """Names of the rows, lines that are refused, and what is said of them."""
    failures: list[Any] = []
    rows = read_own_sources(write(folder, name, *lines), failures.append)
    messages = " ".join(sorted({failure.message.partition(": ")[2] for failure in failures}))
    return rows["name"].to_pylist(), [int(failure.scene_id.partition(":")[2]) for failure in failures], messages


@pytest.mark.parametrize("opened", [(11,), (11, 502), (11, 12), (11, 12, 13), (2, 1001), (1001,), tuple(range(5, 25))])
@pytest.mark.parametrize("more", ["", ',"Someone, Ltd"'], ids=["bare", "with quoted fields"])
def test_rows_between_open_quotes_are_read(tmp_path: Path, opened: tuple[int, ...], more: str) -> None:
    lines = plants(header=OWN_HEADER + ",owner" * bool(more), more=more)
    for number in opened:
        lines[number - 1] = '"' + lines[number - 1]
    names, refused, said = told(tmp_path, lines)
    assert set(names) == {f"P{n}" for n in range(2, N + 2)} - {f"P{n}" for n in opened} and max(map(len, names)) < 6
    assert refused == list(opened)
    if opened != (1001,) and not more:
        assert said.startswith("a quote that isn't closed in its line; allowed: a row in a line of its own")
    with pytest.raises(InputError, match=rf"own_sources\.csv:{opened[0]}: "):
        read_own_sources(str(tmp_path / "own_sources.csv"))


@pytest.mark.parametrize("column", range(9))
def test_in_any_column_and_beside_words_in_quotes(tmp_path: Path, column: int) -> None:
    lines = plants()
    fields = lines[10].split(",")
    fields[column] = '"' + fields[column]
    lines[10] = ",".join(fields)
    lines[500] = lines[500].replace("P501", 'P501 "Nord"')
    names, refused, _ = told(tmp_path, lines)
    assert len(names) == N - 1 and 'P501 "Nord"' in names and refused == [11]


def test_what_is_longer_than_any_field_is_read_too(tmp_path: Path) -> None:
    lines = plants(n=5000)  # 200 kB: csv takes no field over 128 KiB
    lines[10] = '"' + lines[10]
    names, refused, _ = told(tmp_path, lines)
    assert len(names) == 4999 and refused == [11]


def test_many_quotes_that_are_never_closed_take_each_its_own_row(tmp_path: Path) -> None:
    lines = plants(header=OWN_HEADER + ",size,note", more=',pipe 12" 1,"note', n=5000)
    names, refused, _ = told(tmp_path, lines)
    assert names == ["P5001"] and len(refused) == 4999  # of the last one the quote takes no other row along


def test_a_field_that_ends_in_a_break_is_read(tmp_path: Path) -> None:
    lines = plants(n=3)
    lines[2] = lines[2].replace("P3", '"P3\n"')
    names, refused, _ = told(tmp_path, lines)
    assert sorted(names) == ["P2", "P3", "P4"] and refused == []


def test_a_slip_in_a_column_that_nobody_asks_for_mixes_no_two_rows(tmp_path: Path) -> None:
    """A begins a note that B ends: by the letter of CSV one row, with A's name and B's emission."""
    header = "name,note,kind,fuel,gas,emission_t_y,emission_t_y_sigma,year,longitude,latitude"
    rows = [
        'A,"see B,power_plant,coal,co2,1e6,1,2020,1,10',
        'B,as A",power_plant,coal,co2,2e6,1,2020,2,10',
        "C,,power_plant,coal,co2,3e6,1,2020,3,10",
    ]
    names, refused, _ = told(tmp_path, [header, *rows])
    assert names == ["C"] and refused == [2, 3]


def test_a_text_of_several_lines_that_nobody_asks_for_is_none_of_it(tmp_path: Path) -> None:
    lines = plants(header=OWN_HEADER + ",note", more=",")
    lines[10] += '"first, a ""word""\n\nand a third, line"'
    names, refused, _ = told(tmp_path, lines)
    assert len(names) == N and refused == []


def test_texts_of_several_lines_below_an_open_quote_stay(tmp_path: Path) -> None:
    lines = plants(header=OWN_HEADER + ",note", more=',"two\nlines"', n=50)
    lines[10] = '"' + lines[10]
    names, refused, _ = told(tmp_path, lines)
    assert len(names) == 49 and "P11" not in names and refused == [20, 21]


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    header, first, second = plants(header=OWN_HEADER + ",note", n=2, more=',"two\nlines"')
    _, refused, _ = told(tmp_path, [header, first, second.replace("co2", "n2o"), first.replace('"two', "two")])
    assert refused[0] == 5


def test_a_name_in_two_lines_is_refused_where_it_begins(tmp_path: Path) -> None:
    lines = plants(n=2)
    lines[1] = lines[1].replace("P2", '"P\n2"')
    names, refused, _ = told(tmp_path, lines)
    assert names == ["P3"] and refused == [2, 3]


def test_a_header_over_several_lines_takes_no_rows_along(tmp_path: Path) -> None:
    lines = plants(header=OWN_HEADER + ',"note', more=",", n=3)
    lines[2] += '"'
    with pytest.raises(InputError, match=r"own_sources\.csv:1: a header over 3 lines; allowed: .*a header in one line"):
        told(tmp_path, lines)


FORMS = {
    "coco2": ("coco2_ps_catalogue.csv", "ID,ISO3,fuel,longitude,latitude,co2_emis_ty", "CoCO2_{n},ZAF,coal,{n},1,1e6"),
    "gppd": (
        "gppd.csv",
        "name,capacity_mw,longitude,latitude,primary_fuel,estimated_generation_gwh_2017",
        "A{n},1,{n},1,Coal,9",
    ),
    "climate_trace": (
        "climate_trace.csv",
        "source_id,source_name,start_time,end_time,gas,emissions_quantity,lat,lon,sector",
        "{n},A,2024-01-01,2024-12-31,co2,9,1,{n},cement",
    ),
    "cities": (
        "emissions-cities.csv",
        "City name;Country;Year of emission;Scope-1 GHG emissions [tCO2 or tCO2-eq];Scope-1 GHG emissions units;"
        "City location (CDP) [degrees]",
        "A{n};B;2015;9;tCO2;1,{n}",
    ),
    "imeo_mars": ("unep_x.csv", "id_plume,tile_date,lat,lon,satellite", "p{n},2024-01-01T10:00:00,1,{n},S2A"),
    "own": (
        "own_plumes.csv",
        "report_id,gas,observed_at_utc,longitude,latitude",
        "p{n},ch4,2024-01-01T10:00:00Z,{n},1",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_lists_of_any_kind_lose_no_row(tmp_path: Path, name: str) -> None:
    file, header, row = FORMS[name]
    lines = [row.format(n=n) for n in range(2, 52)]
    for number in (5, 30):
        lines[number - 2] = '"' + lines[number - 2]
    told_of, inventory = Told(), next(each for each in LISTS if each.name == name)
    assert inventory.read_told([write(tmp_path, file, header, *lines)], told_of).num_rows == 48
    assert [failure.scene_id for failure in told_of.failures] == [f"{file}:5", f"{file}:30"]


@pytest.mark.parametrize("which", [0, 1])
def test_of_installations_and_their_places_too(tmp_path: Path, which: int) -> None:
    emissions = ["Key;InstallationName;RegCtryName;SandbagSector;tCO2e;Period"]
    emissions += [f"DE {n};X;Germany;Power and heat;1000;2019" for n in range(2, 52)]
    places = ["Key;RegCtryName;latitude;longitude", *(f"DE {n};Germany;51,{n};10,0" for n in range(2, 52))]
    for number in (5, 30):
        lines = (emissions, places)[which]
        lines[number - 1] = '"' + lines[number - 1]
    files = [write(tmp_path, "sandbag_emissions.csv", *emissions), write(tmp_path, "sandbag_locations.csv", *places)]
    told_of, inventory = Told(), next(each for each in LISTS if each.name == "eu_ets")
    assert inventory.read_told(files, told_of).num_rows == 48
    name = files[which].rsplit("/", 1)[-1]
    assert [failure.scene_id for failure in told_of.failures] == [f"{name}:5", f"{name}:30"]
