"""Which of several lists counts for one emitter, what it is called, and what leaves with its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from inventory_files import COCO2_FILE, GPPD_FILE, GPPD_HEADER, OWN_FILE, coco2, gppd, mine, own, unit, write
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.inventory.coco2 import read_coco2
from plumewatch.inventory.combine import combine_sources
from plumewatch.inventory.gppd import read_gppd
from plumewatch.inventory.own_sources import read_own_sources
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.tables import SOURCES


def combined(folder: Path, coco2_lines: list[str], own_lines: list[str], gppd_lines: list[str] = []) -> list[Any]:  # noqa: B006
    parts = coco2(folder, *coco2_lines), gppd(folder, *gppd_lines), own(folder, *own_lines)
    return combine_sources(read_coco2(parts[0]), read_gppd(parts[1]), read_own_sources(parts[2])).to_pylist()


@pytest.mark.parametrize(
    ("listed", "line"),
    [
        ([unit()], mine(0.3)),
        ([unit()], mine(0.0)),
        ([unit()], mine(0.9, fuel="oil")),  # so near it is the same, whatever is said to burn
        ([unit()], mine(4.0)),
        ([unit()], mine(4.0, fuel="Coal")),
        ([unit()], mine(4.0, fuel="")),
        ([unit(fuel="natural gas")], mine(-3.0, fuel="gas")),
        ([unit(1, -0.4), unit(2, -0.8, fuel="oil")], mine(0.1)),
    ],
)
def test_the_user_s_own_plant_takes_the_place_of_the_listed_one(tmp_path: Path, listed: list[str], line: str) -> None:
    rows = combined(tmp_path, listed, [line])
    assert [(row["name"], row["emission_t_y"]) for row in rows] == [("Ours", 8.8e6)]
    assert "; instead of coco2-1, " in rows[0]["provenance"] and rows[0]["provenance"].endswith(" km away")


@pytest.mark.parametrize(
    "line",
    [
        mine(5.2),
        mine(3.0, fuel="oil"),
        mine(0.3, gas="ch4"),
        mine(0.3, kind="landfill"),
        mine(0.3, kind="oil_and_gas", gas="ch4"),
        mine(100.0),
    ],
)
def test_another_emitter_is_a_source_beside_it(tmp_path: Path, line: str) -> None:
    rows = combined(tmp_path, [unit()], [line])
    assert sorted(row["source_id"][:4] for row in rows) == ["coco", "own-"]
    assert all("instead" not in (row["provenance"] or "") for row in rows)


def test_each_own_plant_takes_one_of_two_neighbours_and_the_third_stays(tmp_path: Path) -> None:
    listed = [unit(1, 0.0), unit(2, 3.0), unit(3, 6.0)]
    rows = combined(tmp_path, listed, [mine(0.2, name="A"), mine(3.2, name="B")])
    assert sorted(row["source_id"] if row["source_id"] == "coco2-3" else row["name"] for row in rows) == [
        "A", "B", "coco2-3",
    ]  # fmt: skip


def test_two_own_entries_of_one_plant_both_count(tmp_path: Path) -> None:
    rows = combined(tmp_path, [unit()], [mine(0.1, name="Unit 1"), mine(0.4, name="Unit 2")])
    assert sorted(row["name"] for row in rows) == ["Unit 1", "Unit 2"]


def test_an_own_plant_takes_the_place_of_one_that_only_gppd_has(tmp_path: Path) -> None:
    rows = combined(tmp_path, [], [mine(0.3)], ["Theirs,WRI1,100,-26,29,Coal,1000,"])
    assert [row["name"] for row in rows] == ["Ours"] and "instead of gppd-WRI1, 0.30 km" in rows[0]["provenance"]


def test_over_the_antimeridian_and_at_high_latitude_near_is_near(tmp_path: Path) -> None:
    listed = ["CoCO2_1,RUS,coal,179.999,70,1e6", "CoCO2_2,RUS,coal,20,80,1e6"]
    lines = ["A,power_plant,coal,co2,1,1,2019,-179.999,70", "B,power_plant,coal,co2,1,1,2019,20.1,80"]
    assert sorted(row["name"] for row in combined(tmp_path, listed, lines)) == ["A", "B"]


def ids(root: str, inventory: str = "combined") -> list[str]:
    path = storage.join(root, SOURCES.name)
    return [
        i.split("-")[0]
        for i in storage.read_table(SOURCES, path, where={"inventory": inventory})["source_id"].to_pylist()
    ]


@pytest.mark.parametrize("gone", [COCO2_FILE, GPPD_FILE, OWN_FILE, "own_sources_b.csv"])
def test_what_a_file_listed_leaves_with_it(tmp_path: Path, storage_root: str, gone: str) -> None:
    folder = tmp_path / "inventories"
    coco2(folder, unit())
    gppd(folder, "Theirs,WRI1,100,10,10,Coal,1000,")
    own(folder, mine(50))
    own(folder, mine(90, name="Other"), name="own_sources_b.csv")
    refresh_sources(str(folder), storage_root)
    assert ids(storage_root) == ["coco2", "gppd", "own", "own"]
    (folder / gone).unlink()
    done = refresh_sources(str(folder), storage_root)
    left = {COCO2_FILE: ["gppd", "own", "own"], GPPD_FILE: ["coco2", "own", "own"]}
    both = ["coco2", "gppd", "own"]
    assert ids(storage_root) == left.get(gone, both) and done.failures == ()
    again = refresh_sources(str(folder), storage_root)
    assert ids(storage_root) == left.get(gone, both) and again.rows["combined"] == done.rows["combined"]


def test_without_its_own_list_the_listed_plant_is_back(tmp_path: Path, storage_root: str) -> None:
    folder = tmp_path / "inventories"
    coco2(folder, unit())
    own(folder, mine(0.3))
    assert refresh_sources(str(folder), storage_root).rows == {"coco2": 1, "own_sources": 1, "combined": 1}
    assert ids(storage_root) == ["own"]
    (folder / OWN_FILE).unlink()
    assert refresh_sources(str(folder), storage_root).rows == {"coco2": 1, "own_sources": 0, "combined": 1}
    assert ids(storage_root) == ["coco2"] and ids(storage_root, "own_sources") == []


def test_what_a_file_that_cant_be_read_listed_stays(tmp_path: Path, storage_root: str) -> None:
    folder = tmp_path / "inventories"
    coco2(folder, unit())
    own(folder, mine(0.3))
    refresh_sources(str(folder), storage_root)
    (folder / OWN_FILE).write_text("<html>")
    assert len(refresh_sources(str(folder), storage_root).failures) == 1 and ids(storage_root) == ["own"]


GAS, COAL = "Town (gas),WRI1,288,-26,29,Gas,{gas},Gas owner", "Town,WRI2,5500,-26,29,Coal,{coal},Coal owner"
BOTH = [GAS.format(gas=2000), COAL.format(coal=38890)]


@pytest.mark.parametrize(
    ("units", "listed", "named"),
    [
        ([unit()], BOTH, ["Town"]),
        ([unit()], [COAL.format(coal=38890), GAS.format(gas=2000)], ["Town"]),
        ([unit()], [GAS.format(gas=90000), COAL.format(coal=100)], ["Town"]),  # of the fuel that CoCO2 says
        ([unit(fuel="oil")], BOTH, ["Town"]),  # neither: the largest
        ([unit(fuel="natural gas")], BOTH, ["Town (gas)"]),
        ([unit(1, t_y=3.45e7), unit(2, 0.5, "natural gas", 9e5)], BOTH, ["Town"]),
        ([unit()], [GAS.format(gas=2000), COAL.format(coal=38890).replace("-26,", "-26.006,")], ["Town"]),
        ([unit()], [GAS.format(gas=""), COAL.format(coal="")], ["Town"]),
    ],
)  # fmt: skip
def test_a_plant_bears_the_name_of_its_largest_part(
    tmp_path: Path, units: list[str], listed: list[str], named: list[str]
) -> None:
    rows = combined(tmp_path, units, [], listed)
    assert [row["name"] for row in rows] == named
    assert rows[0]["owner"] == ("Gas owner" if named == ["Town (gas)"] else "Coal owner")


@pytest.mark.parametrize("word", ["NA", "NaN", "nan", "null", "-", "N/A", "None", "#N/A", " na "])
def test_a_word_for_missing_is_missing(tmp_path: Path, word: str) -> None:
    header = GPPD_HEADER.replace("owner", "owner,generation_gwh_2017")
    line = f"Plant,{word},100,-26,29,Gas,{word},{word},{word}"
    [row] = read_gppd(write(tmp_path, GPPD_FILE, header, line)).to_pylist()
    [blank] = read_gppd(write(tmp_path, GPPD_FILE, header, "Plant,,100,-26,29,Gas,,,")).to_pylist()
    assert row == blank and row["owner"] is None and row["emission_t_y"] > 0


@pytest.mark.parametrize("rest", [",,,,,", ",,,,,,,,", ",", " , ,, ", '"",""', ",,,,,\n,,,,,\n\n,,"])
@pytest.mark.parametrize("kind", ["coco2", "gppd", "own"])
def test_rows_of_empty_fields_are_none(tmp_path: Path, kind: str, rest: str) -> None:
    line = {"coco2": unit(), "gppd": COAL.format(coal=100), "own": mine(0)}[kind]
    write_file = {"coco2": coco2, "gppd": gppd, "own": own}[kind]
    read = {"coco2": read_coco2, "gppd": read_gppd, "own": read_own_sources}[kind]
    alone = read(write_file(tmp_path / "a", line))
    assert read(write_file(tmp_path / "b", rest, line, rest)).equals(alone) and alone.num_rows == 1


@pytest.mark.parametrize(
    "places", [[(29, -26), (60, 10)], [(29, -26), (29, -25), (28, -26)], [(179.9, 0), (-179.0, 0)]]
)
def test_distant_plants_of_one_id_are_as_many_sources(tmp_path: Path, places: list[tuple[float, float]]) -> None:
    lines = [f"CoCO2_7,ZAF,coal,{lon},{lat},1e6" for lon, lat in places]
    other = "CoCO2_8,ZAF,coal,0,0,1e6"
    found = read_coco2(coco2(tmp_path / "a", *lines, other))
    names = found["source_id"].to_pylist()
    assert len(set(names)) == len(places) + 1 and "coco2-8" in names
    assert all(name.startswith("coco2-7-") for name in names if name != "coco2-8")
    assert read_coco2(coco2(tmp_path / "b", other, *reversed(lines))).equals(found)


def test_distant_plants_of_one_id_are_all_stored(tmp_path: Path, storage_root: str) -> None:
    coco2(tmp_path / "i", "CoCO2_7,ZAF,coal,29,-26,1e6", "CoCO2_7,ZAF,coal,60,10,1e6")
    assert refresh_sources(str(tmp_path / "i"), storage_root).rows == {"coco2": 2, "combined": 2}


@pytest.mark.parametrize("number", ["9" * 19, "9" * 40, "\u0663", "1e3", "-1"])
def test_an_id_that_is_no_number_of_64_bits_is_named(tmp_path: Path, number: str) -> None:
    with pytest.raises(InputError, match=rf"{COCO2_FILE}:2: ID is"):
        read_coco2(coco2(tmp_path, f"CoCO2_{number},ZAF,coal,29,-26,1e6"))


@pytest.mark.parametrize("read", [read_coco2, read_gppd, read_own_sources])
def test_a_first_line_without_end_is_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(InputError, match=r"f\.csv:1: not CSV"):
        read(write(tmp_path, "f.csv", '"' + "x" * 200_000))
