"""What a list says twice counts once; what contradicts itself counts nowhere, and is named line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from inventory_files import coco2, gppd, own
from plumewatch.errors import InputError
from plumewatch.inventory.coco2 import read_coco2
from plumewatch.inventory.gppd import read_gppd
from plumewatch.inventory.own_sources import read_own_sources
from plumewatch.models import FailedScene

WRITE: dict[str, Any] = {"coco2": coco2, "gppd": gppd, "own": own}
READ: dict[str, Any] = {"coco2": read_coco2, "gppd": read_gppd, "own": read_own_sources}
PLANT = {
    "coco2": "CoCO2_7,ZAF,coal,29,-26,1000000",
    "gppd": "Kendal,WRI7,100,-26,29,Coal,1000,Eskom",
    "own": "Kendal,power_plant,coal,co2,1000000,100000,2019,29,-26",
}
OTHER = {
    "coco2": "CoCO2_8,ZAF,coal,0,0,1000000",
    "gppd": "Other,WRI8,100,0,0,Coal,1000,Eskom",
    "own": "Other,power_plant,coal,co2,1000000,100000,2019,0,0",
}


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        ("coco2", "CoCO2_7,ZAF,coal,29,-26,1000000"),
        ("coco2", "CoCO2_00007,ZAF,coal,29.000,-26.0,1e6"),
        ("coco2", "CoCO2_7,zaf,Coal,29,-26,1000000.0"),
        ("gppd", "Kendal,WRI7,100,-26,29,Coal,1000,Eskom"),
        ("gppd", "KENDAL,WRI7,100.0,-26.000,29,coal,1e3,eskom"),
        ("gppd", "Kendal,WRI7,100,-26,29,Coal,1000,"),
        ("gppd", "Kendal,WRI7,100,-26,29,Coal,NA,n/a"),
        ("own", "Kendal,power_plant,coal,co2,1000000,100000,2019,29,-26"),
        ("own", "kendal,power_plant,COAL,co2,1e6,1e5,2019.0,29.0,-26.00"),
    ],
)
def test_what_is_said_again_counts_once_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, again: str
) -> None:
    alone = READ[kind](WRITE[kind](tmp_path / "a", PLANT[kind], OTHER[kind]))
    assert alone.num_rows == 2 and "again" not in caplog.text
    found = READ[kind](WRITE[kind](tmp_path / "b", PLANT[kind], again, OTHER[kind], again))
    assert found.equals(alone)
    assert "2 rows are there again (line 3, 5); each counts once" in caplog.text


@pytest.mark.parametrize(
    ("one", "other"), [("1_1", "11"), ("1E2", "100"), ("007", "7"), ("nan", "inf"), ("5e400", "6e400"), ("1.0", "1")]
)
def test_names_that_look_like_numbers_are_names(tmp_path: Path, one: str, other: str) -> None:
    well = "{name},oil_and_gas,,ch4,{rate},50,2020,54.2,38.5"
    for rate in (100, 200):
        lines = (well.format(name=one, rate=100), well.format(name=other, rate=rate))
        rows = read_own_sources(own(tmp_path, *lines)).to_pylist()
        assert {row["name"] for row in rows} == {one, other} and len({row["source_id"] for row in rows}) == 2
    plants = (f"{name},,100,-26,29,Coal,1000,Eskom" for name in (one, other))
    assert set(read_gppd(gppd(tmp_path, *plants))["name"].to_pylist()) == {one, other}
    with pytest.raises(InputError, match=f"name is '{one}', but '{other}' in line 3"):
        read_gppd(gppd(tmp_path, *(f"{name},WRI7,100,-26,29,Coal,1000,Eskom" for name in (one, other))))


def test_what_only_the_second_row_says_isnt_lost(tmp_path: Path) -> None:
    lines = ["Kendal,WRI7,100,-26,29,Coal,,Eskom", "Kendal,WRI7,100,-26,29,Coal,1000,"]
    [row] = read_gppd(gppd(tmp_path, *lines)).to_pylist()
    assert (row["owner"], row["emission_t_y"]) == ("Eskom", pytest.approx(946_000.0))


@pytest.mark.parametrize(
    ("kind", "other", "says"),
    [
        ("coco2", "CoCO2_7,ZAF,coal,29,-26,2000000", "co2_emis_ty is '1000000', but '2000000' in line 3"),
        ("coco2", "CoCO2_007,ZAF,coal,29.004,-26,5", "co2_emis_ty is '1000000', but '5' in line 3"),
        ("coco2", "CoCO2_7,ZAF,oil,29,-26,1000000", "fuel is 'coal', but 'oil' in line 3"),
        ("coco2", "CoCO2_7,BWA,coal,29,-26,1000000", "ISO3 is 'ZAF', but 'BWA' in line 3"),
        ("coco2", "CoCO2_7,ZAF,coal,29,-26,0", "co2_emis_ty is '1000000', but '0' in line 3"),
        ("gppd", "Kendal,WRI7,700,-26,29,coal,1000,Eskom", "capacity_mw is '100', but '700' in line 3"),
        ("gppd", "Kendal A,WRI7,100,-26,29,Coal,1000,Eskom", "name is 'Kendal', but 'Kendal A' in line 3"),
        ("own", "Kendal,power_plant,coal,co2,2000000,100000,2019,29,-26", "emission_t_y is '1000000', but '2000000'"),
        ("own", "KENDAL,power_plant,coal,co2,1000000,7,2019,29.0,-26", "emission_t_y_sigma is '100000', but '7'"),
        ("own", "Kendal,power_plant,oil,co2,1000000,100000,2019,29,-26", "fuel is 'coal', but 'oil' in line 3"),
    ],
)  # fmt: skip
def test_rows_that_contradict_each_other_are_all_refused_by_line(
    tmp_path: Path, kind: str, other: str, says: str
) -> None:
    path = WRITE[kind](tmp_path, PLANT[kind], other, OTHER[kind])
    with pytest.raises(InputError, match=r"\.csv:2: .*" + says):
        READ[kind](path)
    failures: list[FailedScene] = []
    found = READ[kind](path, failures.append)
    assert found.equals(READ[kind](WRITE[kind](tmp_path / "alone", OTHER[kind])))
    assert [failure.scene_id.split(":")[1] for failure in failures] == ["2", "3"]
    assert says in failures[0].message and "in line 2" in failures[1].message


@pytest.mark.parametrize(
    "other",
    [
        "Kendal,WRI7,100,-26,29,Coal,300,Eskom",
        "Kendal,WRI7,100,-26.0005,29,Coal,300,Eskom",
        "Kendal,WRI7,40,-26,29,Coal,0,",
        "Kendal,WRI7,900,-26,29,coal,999,Eskom",
    ],
)
def test_of_blocks_of_one_plant_in_the_database_the_largest_counts_and_the_log_says_so(
    tmp_path: Path, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    for lines in ((PLANT["gppd"], other), (other, PLANT["gppd"])):
        caplog.clear()
        found = read_gppd(gppd(tmp_path, *lines))
        assert found.equals(read_gppd(gppd(tmp_path / "alone", PLANT["gppd"])))
        kept = 2 + lines.index(PLANT["gppd"])
        assert f"the largest generation, of line {kept}, counts, not line {5 - kept}" in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        "Kendal,WRI7,100,-26,29,Oil,300,Eskom",  # another fuel
        "Kendal,WRI7,100,-25,29,Coal,300,Eskom",  # 111 km away
        "Kendal,WRI9,100,-26,29,Coal,300,Eskom",
        "Kendal,,100,-26,29,Coal,300,Eskom",
        "Kendal,NA,100,-26,29,Coal,300,Eskom",
    ],
)
def test_other_plants_of_the_same_name_both_count(tmp_path: Path, other: str) -> None:
    found = read_gppd(gppd(tmp_path, PLANT["gppd"], other))
    assert sorted(found["emission_t_y"].to_pylist())[0] < 300_000 and len(set(found["source_id"].to_pylist())) == 2


@pytest.mark.parametrize("fuel", ["coal", "COAL", " Coal ", "natural gas", "GAS", "petroleum coke", "cogeneration"])
def test_a_fuel_is_the_same_in_any_letters(tmp_path: Path, fuel: str) -> None:
    named = {"gas": "Gas", "natural gas": "Gas", "petroleum coke": "Petcoke"}.get(fuel.casefold().strip())
    named = named or fuel.strip().capitalize()
    line = "Kendal,{id},100,-26,29,{fuel},1000,Eskom"
    for number in ("WRI7", ""):
        spelled = read_gppd(gppd(tmp_path / "a", line.format(id=number, fuel=fuel)))
        assert spelled.num_rows == 1
        assert spelled.equals(read_gppd(gppd(tmp_path / "b", line.format(id=number, fuel=named))))


@pytest.mark.parametrize("fuel", ["Coal", "COAL", "Natural Gas", "Gas", "Oil"])
def test_a_unit_s_fuel_is_the_same_in_any_letters(tmp_path: Path, fuel: str) -> None:
    [row] = read_coco2(coco2(tmp_path, f"CoCO2_1,ZAF,{fuel},29,-26,1e6")).to_pylist()
    assert row["fuel"] == {"Gas": "natural gas"}.get(fuel, fuel.casefold()) and row["emission_t_y_sigma"] > 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "A,WRI1,100,-26,29,Coal,-5,",
            "estimated_generation_gwh_2017 is '-5'; allowed: a number from 0 to 876000",
        ),
        ("A,WRI1,-100,-26,29,Coal,5,", "capacity_mw is '-100'"),
        ("A,WRI1,100,-26,29,Gas,-1e-9,", "estimated_generation_gwh_2017 is '-1e-9'"),
        ("A,WRI1,100,-26,29,Col,5,", "primary_fuel is 'Col'; allowed: Coal, Gas"),
        ("A,WRI1,100,-26,29,,5,", "primary_fuel is ''"),
        ("A,WRI1,100,-26,29,Coal,inf,", "estimated_generation_gwh_2017 is 'inf'"),
    ],
)
def test_what_no_plant_can_be_is_refused_by_row(tmp_path: Path, line: str, says: str) -> None:
    failures: list[FailedScene] = []
    found = read_gppd(gppd(tmp_path, PLANT["gppd"], line), failures.append)
    assert found["source_id"].to_pylist() == ["gppd-WRI7"]
    assert [failure.scene_id for failure in failures] == ["gppd.csv:3"] and says in failures[0].message


@pytest.mark.parametrize("fuel", ["Hydro", "solar", "WIND", "Wave and Tidal", "Waste"])
def test_plants_that_burn_nothing_fossil_have_no_row_and_need_no_look(tmp_path: Path, fuel: str) -> None:
    assert read_gppd(gppd(tmp_path, f"A,WRI1,-1,-26,29,{fuel},-5,")).num_rows == 0


@pytest.mark.parametrize("kind", ["coco2", "gppd", "own"])
@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_columns_are_known_in_any_letters(tmp_path: Path, kind: str, change: Any) -> None:
    path = Path(WRITE[kind](tmp_path, PLANT[kind]))
    wanted = READ[kind](str(path))
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([change(header), *rows]))
    assert READ[kind](str(path)).equals(wanted)


@pytest.mark.parametrize("kind", ["coco2", "gppd", "own"])
@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, kind: str, change: Any) -> None:
    path = Path(WRITE[kind](tmp_path, PLANT[kind]))
    header, row = path.read_text().splitlines()
    path.write_text(f"{change(header)},{change('latitude')}\n{row},7\n")
    with pytest.raises(InputError, match=r"latitude twice in the first line; allowed: each column once"):
        READ[kind](str(path))
