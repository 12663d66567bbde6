"""Climate TRACE, EU-ETS and cities: files in their forms, written here, and what comes of bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plumewatch.errors import InputError
from plumewatch.inventory.cities import read_cities
from plumewatch.inventory.climate_trace import read_climate_trace
from plumewatch.inventory.eu_ets import read_eu_ets
from plumewatch.tables import SOURCES

TRACE_HEADER = (
    "source_id,source_name,source_type,iso3_country,original_inventory_sector,start_time,end_time,"
    "temporal_granularity,gas,emissions_quantity,emissions_factor,lat,lon"
)
NEW_HEADER = (
    "source_id,source_name,source_type,iso3_country,sector,subsector,start_time,end_time,lat,lon,gas,"
    "emissions_quantity,temporal_granularity,created_date"
)
ETS_HEADER = "InstallationNumber;InstallationName;Key;RegCtryName;SandbagSector;tCO2e;Period"
PLACE_HEADER = ";Key;RegCtryName;latitude;longitude"
CITY_HEADER = (
    "City name;Country;Year of emission;Scope-1 GHG emissions [tCO2 or tCO2-eq];Scope-1 GHG emissions units;"
    "Scope-1 source dataset;S1 mean (CDP) [tCO2];City location (CDP) [degrees]"
)
WORLD_HEADER = "city;city_ascii;lat;lng;country;population"
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def write(path: Path, header: str, *lines: str, encoding: str = "utf-8") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join([header, *lines, ""]).encode(encoding))
    return str(path)


def months(
    year: int, t: float, n: int = 12, gas: str = "ch4", sector: str = "coal-mining", id_: str = "7"
) -> list[str]:
    return [
        f"{id_},A mine,Surface,POL,{sector},{year}-{m + 1}-1,{year}-{m + 1}-{DAYS[m]},Monthly,{gas},{t},1e-5,51.2,19.3"
        for m in range(n)
    ]


def trace(folder: Path, *lines: str, header: str = TRACE_HEADER, name: str = "7_climate_trace.csv") -> str:
    return write(folder / name, header, *lines)


def ets(folder: Path, lines: list[str], places: list[str], encoding: str = "cp1252") -> list[str]:
    one = write(folder / "sandbag_export_emissions2019.csv", ETS_HEADER, *lines, encoding=encoding)
    return [one, write(folder / "sandbag_locations.csv", PLACE_HEADER, *places, encoding=encoding)]


def city_files(folder: Path, lines: list[str], places: list[str]) -> list[str]:
    one = write(folder / "co2-emissions-cities.csv", CITY_HEADER, *lines)
    return [one, write(folder / "worldcities.csv", WORLD_HEADER, *places, encoding="cp1252")]


def told(read: Callable[..., Any], paths: list[str]) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    failures: list[Any] = []
    aside: list[str] = []
    rows = read(paths, failures.append, aside.append).to_pylist()
    return rows, [f"{f.scene_id} {f.message}" for f in failures], aside


def test_an_asset_emits_what_the_months_of_its_last_whole_year_do(tmp_path: Path) -> None:
    lines = [*months(2023, 10), *months(2024, 20), *months(2025, 99, n=2), *months(2024, 5, gas="co2")]
    lines += months(2024, 1e9, gas="co2e_100yr") + months(2024, 3, gas="n2o")
    rows, failures, aside = told(read_climate_trace, [trace(tmp_path, *lines)])
    assert [(r["source_id"], r["gas"], r["emission_t_y"], r["year"]) for r in rows] == [
        ("climate_trace-7-ch4", "ch4", 240.0, 2024),
        ("climate_trace-7-co2", "co2", 60.0, 2024),
    ]
    assert (rows[0]["kind"], rows[0]["fuel"], rows[0]["licence"]) == ("coal_mine", "coal", "CC BY 4.0")
    assert rows[0]["provenance"] == "Climate TRACE, coal-mining, 12 periods of 2024, 7_climate_trace.csv"
    assert failures == aside == []


def test_an_asset_without_a_whole_year_is_scaled_by_its_days(tmp_path: Path) -> None:
    [row] = read_climate_trace([trace(tmp_path, *months(2025, 59, n=2))]).to_pylist()
    assert row["emission_t_y"] == pytest.approx(2 * 59 * 365 / 59) and "59 days, taken to 365" in row["provenance"]


@pytest.mark.parametrize(("n_quarters", "n_months", "days"), [(4, 12, 365), (4, 3, 365), (2, 6, 181), (1, 12, 365)])
def test_months_beside_their_quarters_count_once(tmp_path: Path, n_quarters: int, n_months: int, days: int) -> None:
    each = months(2023, 100.0)
    quarters = [
        each[3 * n].replace(each[3 * n].split(",")[6], each[3 * n + 2].split(",")[6]).replace(",100.0,", ",300.0,")
        for n in range(n_quarters)
    ]
    [row] = read_climate_trace([trace(tmp_path, *each[:n_months], *quarters)]).to_pylist()
    n_kept = n_quarters + max(n_months - 3 * n_quarters, 0)
    assert row["emission_t_y"] == pytest.approx(
        100.0 * (3 * n_quarters + max(n_months - 3 * n_quarters, 0)) * 365 / days
    )
    assert f"{n_kept} periods of 2023" in row["provenance"]


@pytest.mark.parametrize(
    ("subsector", "type_", "kind", "fuel"),
    [
        ("electricity-generation", "gas", "power_plant", "natural gas"),
        ("oil-and-gas-production", "onshore", "oil_and_gas", ""),
        ("solid-waste-disposal", "dumpsite", "landfill", "waste"),
        ("cement", "dry with precalciner", "industry", ""),
    ],
)
def test_the_present_form_has_sectors_and_subsectors(
    tmp_path: Path, subsector: str, type_: str, kind: str, fuel: str
) -> None:
    row = f"9,It,{type_},USA,the sector,{subsector},2024-01-01 00:00:00,2024-12-31 00:00:00,30,-95,co2,7,annual,2025"
    road = row.replace("9,It", "10,Road").replace(subsector, "road-transportation")
    path = trace(tmp_path, row, road, header=NEW_HEADER, name="x_emissions_sources_v4_8_0.csv")
    rows, failures, aside = told(read_climate_trace, [path])
    assert [(r["kind"], r["fuel"], r["emission_t_y"], r["year"]) for r in rows] == [(kind, fuel, 7.0, 2024)]
    assert failures == [] and "road-transportation (1 rows)" in aside[0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",ch4,20,", ",ch4,-20,", "emissions_quantity is '-20'"),
        (",ch4,20,", ",ch4,2e12,", "emissions_quantity is '2e12'"),
        (",ch4,20,", ',ch4,"20,5",', "emissions_quantity is '20,5'"),
        ("51.2,19.3", "151.2,19.3", "latitude is '151.2'"),
        ("51.2,19.3", '"51,2",19.3', "latitude is '51,2'"),
        ("2024-6-30", "2024-5-30", "a day of the same year, not before the start"),
        ("2024-6-1", "June", "start_time is 'June'"),
        ("7,A mine", ",A mine", "source_id is ''"),
        (",ch4,20,", ",,20,", "gas is ''"),
    ],
)
def test_a_bad_month_is_named_and_the_year_before_counts(tmp_path: Path, old: str, new: str, says: str) -> None:
    lines = [*months(2023, 10), *months(2024, 20)]
    lines[17] = lines[17].replace(old, new)
    path = trace(tmp_path, *lines)
    with pytest.raises(InputError, match=r"trace\.csv:19: "):
        read_climate_trace([path])
    rows, failures, _ = told(read_climate_trace, [path])
    assert [(r["emission_t_y"], r["year"]) for r in rows] == [(120.0, 2023)]
    assert len(failures) == 1 and failures[0].startswith("7_climate_trace.csv:19") and says in failures[0]


def test_a_month_twice_counts_once_and_contradicting_ones_not_at_all(tmp_path: Path) -> None:
    lines = [*months(2023, 10), *months(2024, 20)]
    assert read_climate_trace([trace(tmp_path, *lines, lines[-1])])["emission_t_y"].to_pylist() == [240.0]
    again = lines[0].replace("2023-1-1,", "2023-01-01T00:00:00,")
    assert read_climate_trace([trace(tmp_path, *lines[:12], again)])["emission_t_y"].to_pylist() == [120.0]
    rows, failures, _ = told(read_climate_trace, [trace(tmp_path, *lines, lines[-1].replace(",20,", ",21,"))])
    assert [(r["emission_t_y"], r["year"]) for r in rows] == [(120.0, 2023)] and len(failures) == 2


def test_of_two_releases_the_newer_file_s_asset_counts(tmp_path: Path) -> None:
    import os

    old, new = (trace(tmp_path, *months(2024, t), name=f"climate_trace_{t}.csv") for t in (30, 20))
    os.utime(old, (1, 1))
    rows, _, aside = told(read_climate_trace, [new, old])
    assert [r["emission_t_y"] for r in rows] == [240.0] and aside == [
        "climate_trace_30.csv: 1 assets that a newer file has"
    ]


PLANT = "1;Kraftwerk Süd;AT 1;Austria;Power and heat;1000000;2019"
AT = "0;AT 1;Austria;48,2;16,4"


def test_installations_get_their_places_and_what_has_none_is_counted(tmp_path: Path) -> None:
    lines = [
        PLANT,
        "2;Zement;AT 2;Austria;Cement and Lime;250000;2019",
        "3;Air;AT 3;Austria;Aviation;9;2019",
        "4;Nowhere;AT 4;Austria;Glass;9;2019",
        "5;Toledo;ES 5;Spain;Glass;9;2019",
        ";;;;;1250009;",
    ]
    places = [AT, "1;AT 2;Austria;47.9;16.1", "2;AT 4;Austria;;", "3;ES 5;Spain;14,06;121,3"]
    for encoding in ("cp1252", "utf-8"):
        rows, failures, aside = told(read_eu_ets, ets(tmp_path, lines, places, encoding))
        assert [(r["source_id"], r["name"], r["kind"], r["emission_t_y"], r["year"]) for r in rows] == [
            ("eu_ets-AT-1", "Kraftwerk Süd", "power_plant", 1e6, 2019),
            ("eu_ets-AT-2", "Zement", "industry", 250000.0, 2019),
        ]
        assert (rows[0]["longitude"], rows[0]["latitude"]) == pytest.approx((16.4, 48.2))
        assert rows[0]["emission_t_y_sigma"] == pytest.approx(75000)
        assert failures == [] and len(aside) == 4
        assert {"1 rows of airlines", "no place of 2 installations of 4"} <= {said.partition(": ")[2] for said in aside}


@pytest.mark.parametrize(
    ("line", "place", "says"),
    [
        (PLANT.replace("1000000", "-1"), AT, "tCO2e is '-1'"),
        (PLANT.replace("1000000", "1.000.000"), AT, "tCO2e is '1.000.000'"),
        (PLANT.replace("1000000", "123,456"), AT, "tCO2e is '123,456'; allowed: tonnes without a mark"),
        (PLANT.replace("1000000", "123.456"), AT, "tCO2e is '123.456'; allowed: tonnes without a mark"),
        (PLANT.replace("1000000", "1604243340"), AT, "tCO2e is '1604243340'"),
        (PLANT.replace("2019", "19"), AT, "Period is '19'"),
        (PLANT.replace("Power and heat", "Powr"), AT, "SandbagSector is 'Powr'"),
        ("1;torn", AT, "as many fields as the header"),
        (PLANT, AT.replace("48,2", "148,2"), "latitude is '148.2'"),
        (PLANT, AT.replace("48,2", "north"), "latitude is 'north'"),
    ],
)
def test_a_bad_installation_is_named_and_the_good_go_through(tmp_path: Path, line: str, place: str, says: str) -> None:
    good = "2;Zement;AT 2;Austria;Cement and Lime;250000;2019"
    paths = ets(tmp_path, [good, line], ["1;AT 2;Austria;47,9;16,1", place])
    with pytest.raises(InputError, match=r"sandbag_.*csv:3: "):
        read_eu_ets(paths)
    rows, failures, _ = told(read_eu_ets, paths)
    assert [r["source_id"] for r in rows] == ["eu_ets-AT-2"] and len(failures) == 1 and says in failures[0]


@pytest.mark.parametrize(
    ("said", "beside", "tonnes"),
    [
        ("12,5", "250000", 12.5),
        ("1.234,5", "250000", 1234.5),
        ("1.000.000,5", "250000", 1000000.5),
        ("1234,567", "250000", 1234.567),
        ("0,123", "250000", 0.123),
        ("123,456", "12,5", 123.456),
        ("123,456", "1.234,5", 123.456),
        ("123.456", "12.5", 123.456),
        ("123,456", "12.5", None),
        ("123.456", "12,5", None),
        ("999,000", "1,234,567", None),
        ("-123,456", "250000", None),
    ],
)
def test_a_comma_of_thousands_is_no_decimal_comma(tmp_path: Path, said: str, beside: str, tonnes: float | None) -> None:
    good = "3;Zement;AT 2;Austria;Cement and Lime;250000;2019"
    lines = [good, good.replace("AT 2", "AT 3").replace("250000", beside), PLANT.replace("1000000", said)]
    paths = ets(tmp_path, lines, [AT, AT.replace("AT 1", "AT 2"), AT.replace("AT 1", "AT 3")])
    rows, failures, _ = told(read_eu_ets, paths)
    found = {row["source_id"]: row["emission_t_y"] for row in rows}
    assert found["eu_ets-AT-2"] == 250000 and found.get("eu_ets-AT-1") == (tonnes and pytest.approx(tonnes))
    refused = {failure.split()[0] for failure in failures}
    assert ("sandbag_export_emissions2019.csv:4" in refused) == (tonnes is None)


def test_swapped_places_of_a_country_are_none(tmp_path: Path) -> None:
    rows, _, aside = told(read_eu_ets, ets(tmp_path, [PLANT], ["0;AT 1;Austria;16,4;48,2"]))
    assert rows == [] and "outside of their country (AT 1" in aside[0]


def test_an_installation_twice_counts_once_or_contradicts(tmp_path: Path) -> None:
    assert read_eu_ets(ets(tmp_path, [PLANT, PLANT], [AT, AT])).num_rows == 1
    with pytest.raises(InputError, match="tCO2e is '1000000', but '5'"):
        read_eu_ets(ets(tmp_path, [PLANT, PLANT.replace("1000000", "5")], [AT]))


def test_emissions_without_places_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"emissions2019\.csv: 1 files of emissions and 0 of places"):
        read_eu_ets(ets(tmp_path, [PLANT], [AT])[:1])


CITY = "Toronto;Canada;2013;16151019.0;tCO2;CDP;;43.653226,-79.383184"


def test_cities_by_their_own_place_or_that_of_the_list(tmp_path: Path) -> None:
    lines = [
        CITY,
        "São Paulo;Brazil;2010;15000000;tCO2-eq;PKU;;",
        "Richmond, VA;USA;2014;1470127;tCO2-eq;CDP;;",
        "Estimated;Canada;2013;;tCO2;CDP;700000;50,-100",
        "Quezon;Philippines;2010;713312100;tCO2-eq;carbonn;;14.6,121.0",
        "Nowhere;Canada;2013;5;tCO2;CDP;;",
        "Nothing;Canada;2013;;tCO2;CDP;;50,-101",
        "Swapped;Canada;2013;5;tCO2;CDP;;70,48",
    ]
    places = [
        "São Paulo;Sao Paulo;-23,5587;-46,625;Brazil;18845000",
        "São Paulo;Sao Paulo;-3,4;-68,9;Brazil;50",
        "Richmond;Richmond;37,55;-77,45;United States;1",
        "Swapped;Swapped;48;70;Canada;1",
    ]
    rows, failures, aside = told(read_cities, city_files(tmp_path, lines, places))
    found = {r["name"]: r for r in rows}
    assert found.keys() == {"Toronto", "São Paulo", "Richmond, VA", "Estimated"} and failures == []
    assert (found["São Paulo"]["longitude"], found["São Paulo"]["latitude"]) == pytest.approx((-46.625, -23.5587))
    assert (found["Toronto"]["longitude"], found["Toronto"]["latitude"]) == pytest.approx((-79.383184, 43.653226))
    assert (found["Toronto"]["kind"], found["Toronto"]["emission_t_y"], found["Toronto"]["year"]) == (
        "city",
        16151019.0,
        2013,
    )
    assert found["Estimated"]["emission_t_y"] == 7e5 and "from the total" in found["Estimated"]["provenance"]
    assert "other gases" in found["São Paulo"]["provenance"]
    assert [said.partition(" cities ")[2] for said in aside] == [
        "have no emission: Nothing",
        "emit more than 300 Mt: Quezon",
        "have no place: Nowhere",
        "have latitude and longitude swapped: Swapped",
    ]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (CITY.replace("16151019.0", "-1"), "is '-1'"),
        (CITY.replace("16151019.0", "many"), "is 'many'"),
        (CITY.replace("16151019.0", "812,345"), "is '812,345'; allowed: tonnes without a mark"),
        ("Toronto;Canada;2013;;tCO2;CDP;812,345;43.6,-79.3", "S1 mean (CDP) [tCO2] is '812,345'"),
        (CITY.replace("tCO2;", "kt;"), "Scope-1 GHG emissions units is 'kt'"),
        (CITY.replace("43.653226", "143.6"), "City location (CDP) [degrees] is '143.6,-79.383184'"),
        (CITY.replace("2013", "13"), "Year of emission is '13'"),
        ("Toronto;torn", "as many fields as the header"),
    ],
)
def test_a_bad_city_is_named_and_the_good_go_through(tmp_path: Path, bad: str, says: str) -> None:
    rows, failures, _ = told(read_cities, city_files(tmp_path, [bad, CITY.replace("Toronto", "Good")], []))
    assert [r["name"] for r in rows] == ["Good"] and len(failures) == 1 and says in failures[0]
    assert failures[0].startswith("co2-emissions-cities.csv:2")


@pytest.mark.parametrize("content", [b"", b"<html><body>Login</body></html>", b"\xff\xfe\x00\x81", b"a,b\n1,2\n"])
@pytest.mark.parametrize("name", ["climate_trace.csv", "sandbag_emissions.csv", "emissions-cities.csv"])
def test_a_file_that_is_something_else_is_refused_with_its_name(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    places = [write(tmp_path / "sandbag_locations.csv", PLACE_HEADER, AT)] if "sandbag" in name else []
    read = {"climate_trace.csv": read_climate_trace, "emissions-cities.csv": read_cities}.get(name, read_eu_ets)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read([str(tmp_path / name), *places])


def test_a_header_alone_is_an_inventory_without_sources(tmp_path: Path) -> None:
    assert read_climate_trace([trace(tmp_path)]).equals(SOURCES.empty())
    assert read_eu_ets(ets(tmp_path, [], [])).equals(SOURCES.empty())
    assert read_cities(city_files(tmp_path, [], [])).equals(SOURCES.empty())
