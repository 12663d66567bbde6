"""What a user states in other units, and files in the folder that nobody reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from inventory_files import COCO2_FILE, GPPD_FILE, OWN_FILE, OWN_HEADER, coco2, gppd, mine, own, unit, write
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.inventory.own_sources import UNIT_COLUMNS, read_own_sources
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.models import FailedScene
from plumewatch.tables import SOURCES

CARBON = 44.0095 / 12.011  # CO2 over the carbon in it


def stated(folder: Path, *units: str, gas: str = "co2", column: str = "unit") -> str:
    """A list of sources that emit 10 with a sigma of 2 of a unit each."""
    lines = [f"S{n},industry,,{gas},10,2,2024,{n},0,{unit_text}" for n, unit_text in enumerate(units)]
    return write(folder, OWN_FILE, f"{OWN_HEADER},{column}", *lines)


@pytest.mark.parametrize(
    ("text", "gas", "tonnes"),
    [
        ("", "co2", 1.0), ("t/yr", "co2", 1.0), ("t_y", "co2", 1.0), ("tonnes per year", "ch4", 1.0),
        ("t a-1", "co2", 1.0), ("t/a", "ch4", 1.0), ("Mg/yr", "co2", 1.0), ("metric tons", "co2", 1.0),
        ("kg/h", "ch4", 8.76), ("kg h-1", "ch4", 8.76), ("kg h⁻¹", "ch4", 8.76), ("KG/H", "ch4", 8.76),
        ("kg_h", "ch4", 8.76), ("kilograms per hour", "ch4", 8.76), ("t/h", "ch4", 8760.0), ("kt/h", "co2", 8.76e6),
        ("kg/s", "co2", 31_536.0), ("g/s", "ch4", 31.536), ("t/day", "co2", 365.0), ("kg", "ch4", 1e-3),
        ("kt", "co2", 1e3), ("kt/yr", "co2", 1e3), ("Gg", "ch4", 1e3), ("thousand tonnes", "co2", 1e3),
        ("Mt", "co2", 1e6), ("Mt/yr", "co2", 1e6), ("Tg/yr", "ch4", 1e6), ("million tonnes", "co2", 1e6),
        ("MtCO2/yr", "co2", 1e6), ("Mt CO₂ per year", "co2", 1e6), ("kt CH4 / year", "ch4", 1e3), ("Gt", "co2", 1e9),
        ("tonnes of C", "co2", CARBON), ("tC/yr", "co2", CARBON), ("MtC", "co2", CARBON * 1e6),
        ("kg of carbon per hour", "co2", CARBON * 8.76), ("tC", "ch4", 16.0425 / 12.011),
    ],
)  # fmt: skip
def test_a_stated_unit_is_converted_to_tonnes_of_the_gas_a_year(
    tmp_path: Path, text: str, gas: str, tonnes: float
) -> None:
    [row] = read_own_sources(stated(tmp_path, text, gas=gas)).to_pylist()
    assert (row["emission_t_y"], row["emission_t_y_sigma"]) == pytest.approx((10 * tonnes, 2 * tonnes))


@pytest.mark.parametrize("column", [*UNIT_COLUMNS, "Unit", "UNITS", " unit ", "Emission unit"])
def test_the_column_is_known_by_several_names(tmp_path: Path, column: str) -> None:
    [row] = read_own_sources(stated(tmp_path, "kt", column=column)).to_pylist()
    assert row["emission_t_y"] == 10_000.0


@pytest.mark.parametrize(
    ("text", "gas"),
    [
        ("tons", "co2"), ("lb/h", "ch4"), ("mt", "co2"), ("MT", "co2"), ("mg/s", "ch4"), ("m3/h", "ch4"),
        ("t CO2e", "ch4"), ("tCO2eq/yr", "co2"), ("t CO2", "ch4"), ("kt CH4", "co2"), ("t/month", "co2"),
        ("ppm", "co2"), ("GWh", "co2"), ("t/yr/MW", "co2"), ("1000 t", "co2"), ("?", "co2"), ("per year", "co2"),
        ("tt", "co2"),
    ],
)  # fmt: skip
def test_a_unit_that_isnt_known_is_refused_by_name(tmp_path: Path, text: str, gas: str) -> None:
    path = stated(tmp_path, "t/yr", text, gas=gas)
    failures: list[FailedScene] = []
    assert read_own_sources(path, failures.append)["name"].to_pylist() == ["S0"]
    [failure] = failures
    assert failure.scene_id == "own_sources.csv:3" and f"unit is {text!r}; allowed: a mass" in failure.message


def test_two_columns_of_units_have_to_agree(tmp_path: Path) -> None:
    lines = [f"S{n},industry,,co2,10,2,2024,{n},0,{both}" for n, both in enumerate(["kt,kt", "kt,", "kt,t"])]
    failures: list[FailedScene] = []
    found = read_own_sources(write(tmp_path, OWN_FILE, f"{OWN_HEADER},unit,units", *lines), failures.append)
    assert found["emission_t_y"].to_pylist() == [10_000.0, 10_000.0]
    assert "unit is 'kt and t'" in failures[0].message


@pytest.mark.parametrize("text", ["kt", "kg/h", "", "tC", "t/d"])
@pytest.mark.parametrize("amount", ["-1", "-0.001", "-1e9", "-inf", "nan"])
def test_a_negative_emission_is_refused_in_any_unit(tmp_path: Path, text: str, amount: str) -> None:
    lines = ["Good,industry,,co2,10,2,2024,1,0,", f"Bad,industry,,co2,{amount},2,2024,2,0,{text}"]
    failures: list[FailedScene] = []
    found = read_own_sources(write(tmp_path, OWN_FILE, f"{OWN_HEADER},unit", *lines), failures.append)
    assert found["name"].to_pylist() == ["Good"] and f"emission_t_y is '{amount}'" in failures[0].message


def test_the_same_amount_in_another_unit_is_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["S,industry,,co2,10,2,2024,1,0,kt", "S,industry,,co2,10000,2000,2024,1,0,"]
    [row] = read_own_sources(write(tmp_path, OWN_FILE, f"{OWN_HEADER},unit", *lines)).to_pylist()
    assert row["emission_t_y"] == 10_000.0 and "1 rows are there again (line 3)" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "own_sources_2025.xlsx", "own_sources.csv.gz", "gppd.tsv", "plants.csv", "notes.txt",
        "coco2_ps_catalogue.parquet", "below/own_sources.json", "coco2_ps_hourly_profiles_v1.1.csv",
    ],
)  # fmt: skip
def test_a_file_that_isnt_read_is_named(
    tmp_path: Path, storage_root: str, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    folder = tmp_path / "i"
    own(folder, mine(0))
    gppd(folder)
    coco2(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    done = refresh_sources(str(folder), storage_root)
    assert done.unread == (name,) and done.failures == () and done.rows["combined"] == 1
    assert f"not read: {name}; read are files named" in caplog.text


@pytest.mark.parametrize("name", ["OWN_SOURCES.CSV", "Own_Sources_2025.Csv", "own_sources.CSV"])
def test_a_file_s_name_may_be_in_any_letters(tmp_path: Path, storage_root: str, name: str) -> None:
    own(tmp_path / "i", mine(0), name=name)
    assert refresh_sources(str(tmp_path / "i"), storage_root).rows == {"own_sources": 1, "combined": 1}


@pytest.mark.parametrize("name", ["own_sources.xlsx", "own_sources.csv.gz", "own_sources", "Own_Sources_v1.2.TXT"])
def test_sources_stay_where_only_the_ending_of_their_list_isnt_read(
    tmp_path: Path, storage_root: str, name: str
) -> None:
    folder = tmp_path / "i"
    coco2(folder, unit())
    Path(own(folder, mine(50))).rename(folder / name)
    own(folder, mine(50))
    assert refresh_sources(str(folder), storage_root).rows["combined"] == 2
    (folder / OWN_FILE).unlink()
    done = refresh_sources(str(folder), storage_root)
    assert done.rows == {"coco2": 1, "combined": 2} and done.gone == {}
    [failure] = done.failures
    assert failure.scene_id == name and "an ending that isn't read" in failure.message


@pytest.mark.parametrize("name", [COCO2_FILE, GPPD_FILE, OWN_FILE])
def test_without_any_file_that_is_read_the_others_are_named(tmp_path: Path, storage_root: str, name: str) -> None:
    (tmp_path / name).with_suffix(".xlsx").write_bytes(b"x")
    with pytest.raises(InputError, match=rf"no inventory file among its files \({name[:-4]}\.xlsx\)"):
        refresh_sources(str(tmp_path), storage_root)


def test_a_broken_list_among_several_is_named_itself(tmp_path: Path, storage_root: str) -> None:
    own(tmp_path / "i", mine(0))
    (tmp_path / "i" / "own_sources_z.csv").write_text("<html>")
    [failure] = refresh_sources(str(tmp_path / "i"), storage_root).failures
    assert failure.scene_id == "own_sources_z.csv"
    assert storage.read_table(SOURCES, f"{storage_root}/sources/inventory=own_sources").num_rows == 1
