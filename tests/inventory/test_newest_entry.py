"""Of several entries of one emitter in the user's own lists the newest counts; neighbours stay two."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from inventory_files import NORTH_KM, own
from plumewatch import storage
from plumewatch.inventory.own_sources import read_own_lists
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.inventory.rows.newest_rows import name_key
from plumewatch.tables import SOURCES

A, B, C = "own_sources_a.csv", "own_sources_b.csv", "own_sources_c.csv"


def entry(
    name: str = "Kendal",
    t_y: float = 1e6,
    year: int = 2024,
    km: float = 0.0,
    fuel: str = "coal",
    kind: str = "power_plant",
    gas: str = "co2",
) -> str:
    return f"{name},{kind},{fuel},{gas},{t_y},1000,{year},29,{-26 + km * NORTH_KM}"


def lists(folder: Path, files: dict[str, list[str]], written: tuple[str, ...] = ()) -> list[str]:
    """Writes the files, those of `written` an hour after one another, the others at one time before."""
    for name, lines in files.items():
        path = own(folder, *lines, name=name)
        hour = written.index(name) + 1 if name in written else 0
        os.utime(path, (1_700_000_000 + 3600 * hour,) * 2)
    return [str(folder / name) for name in sorted(files)]


def read(paths: list[str]) -> tuple[list[dict[str, Any]], list[Any], list[str]]:
    failures: list[Any] = []
    set_aside: list[str] = []
    found = read_own_lists(paths, failures.append, set_aside.append).to_pylist()
    return sorted(found, key=lambda row: row["emission_t_y"]), failures, set_aside


@pytest.mark.parametrize("newest", [A, B, C])
@pytest.mark.parametrize("written", [(), (A, B, C), (C, B, A)])
def test_the_newest_year_counts_whatever_the_files_are_called(
    tmp_path: Path, newest: str, written: tuple[str, ...]
) -> None:
    years = {A: 2021, B: 2022, C: 2023, newest: 2024}
    paths = lists(tmp_path, {f: [entry(t_y=year, year=year)] for f, year in years.items()}, written)
    [row], failures, set_aside = read(paths)
    assert (row["year"], row["emission_t_y"]) == (2024, 2024.0) and not failures
    others = sorted({A, B, C} - {newest})
    assert [said.split(":")[0] for said in set_aside] == others
    assert all(f"set aside for {newest}:2 (2024)" in said for said in set_aside)
    assert all(f"instead of {name}:2 ({years[name]}), 0.00 km away" in row["provenance"] for name in others)


@pytest.mark.parametrize("written", [(A, B, C), (C, B, A), (B, C, A), (A, C, B), (C, A, B)])
def test_of_one_year_the_file_that_was_written_last_counts(tmp_path: Path, written: tuple[str, ...]) -> None:
    amounts = {A: 1.0, B: 2.0, C: 3.0}
    paths = lists(tmp_path, {name: [entry(t_y=t_y)] for name, t_y in amounts.items()}, written)
    [row], failures, set_aside = read(paths)
    assert row["emission_t_y"] == amounts[written[-1]] and not failures
    assert len(set_aside) == 2 and all(f"{written[-1]}:2 (2024), a newer file" in said for said in set_aside)


@pytest.mark.parametrize(
    "other",
    [
        entry(km=0.05),
        entry(km=0.75),  # a place with two decimals
        entry("KENDAL", km=0.05),
        entry("Kendal Power Station", km=0.05),
        entry("Kéndal", fuel="Coal"),
        entry("Kendal", fuel="", km=0.3),
        entry("  Kendal  power  plant", km=0.1),
        entry("Kendal", fuel="oil"),  # the very same name and place
        "Kendal,power_plant,coal,co2,1e6,1000,2024,28.996,-26.004",
        "Kendal,power_plant,coal,co2,1e6,1000,2024,29.00,-26.00",
    ],
)
def test_the_same_plant_in_two_lists_is_one(tmp_path: Path, other: str) -> None:
    paths = lists(tmp_path, {A: [entry(t_y=2e6)], B: [other]}, (B, A))
    [row], failures, set_aside = read(paths)
    assert row["emission_t_y"] == 2e6 and not failures
    assert len(set_aside) == 1 and set_aside[0].startswith(f"{B}:2 (2024) ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (entry("Unit 1"), entry("Unit 2", km=0.05)),
        (entry("Unit II"), entry("Unit III", km=0.05)),
        (entry("Block A"), entry("Block B", km=0.0)),
        (entry("Kendal"), entry("Kendal 2", km=0.05)),
        (entry("Kendal"), entry("Matla", km=0.05)),
        (entry("Kendal"), entry("Kendal North", km=0.05)),
        (entry("Kendal"), entry("Kendal", km=1.2)),
        (entry("Kendal"), entry("Kendal", km=0.05, fuel="oil")),
        (entry("Kendal"), entry("Kendal", km=0.05, kind="coal_mine")),
        (entry("Kendal"), entry("Kendal", km=0.05, gas="ch4")),
        (entry("Gas plant", kind="oil_and_gas"), entry("Gas station", km=0.05, kind="oil_and_gas")),
        (entry("Pad 1 Well 2", kind="oil_and_gas"), entry("Pad 2 Well 1", km=0.05, kind="oil_and_gas")),
    ],
)
def test_neighbours_stay_two(tmp_path: Path, one: str, other: str) -> None:
    found, failures, set_aside = read(lists(tmp_path, {A: [one], B: [other]}, (A, B)))
    assert len(found) == 2 and not failures and not set_aside
    assert len({row["source_id"] for row in found}) == 2


def test_units_of_one_list_are_as_many_sources_and_a_newer_list_replaces_all_of_them(tmp_path: Path) -> None:
    units = [entry(t_y=1.0, km=0.0), entry(t_y=2.0, km=0.1), entry(t_y=3.0, km=0.2)]
    found, failures, set_aside = read(lists(tmp_path / "one", {A: units}))
    assert [row["emission_t_y"] for row in found] == [1.0, 2.0, 3.0] and not failures and not set_aside
    [row], _, set_aside = read(lists(tmp_path / "two", {A: units, B: [entry(t_y=9.0, year=2025, km=0.05)]}))
    assert row["emission_t_y"] == 9.0 and len(set_aside) == 3


def test_two_years_of_a_plant_in_one_list_are_one_source(tmp_path: Path) -> None:
    lines = [entry(t_y=float(year), year=year) for year in (2022, 2024, 2023)]
    [row], failures, set_aside = read(lists(tmp_path, {A: lines}))
    assert row["emission_t_y"] == 2024.0 and not failures
    assert [said.split(" ")[0] for said in set_aside] == [f"{A}:2", f"{A}:4"]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (entry(t_y=2e6), "emission_t_y of Kendal is '1000000', but '2000000' in own_sources_b.csv:2 (2024)"),
        (entry(t_y=2e6, km=0.05), "emission_t_y of Kendal is '1000000', but '2000000'"),
        (entry("KENDAL", t_y=0), "emission_t_y of Kendal is '1000000', but '0'"),
        (entry().replace(",1000,", ",7,"), "emission_t_y_sigma of Kendal is '1000', but '7'"),
        (entry(fuel="oil"), "fuel of Kendal is 'coal', but 'oil'"),
    ],
)
def test_of_two_as_new_that_contradict_each_other_none_counts(tmp_path: Path, other: str, says: str) -> None:
    older, far = entry(t_y=5.0, year=2020), entry("Far", km=50)
    paths = lists(tmp_path, {A: [entry(), far], B: [other], C: [older]})
    found, failures, set_aside = read(paths)
    assert [(row["name"], row["year"]) for row in found] == [("Kendal", 2020), ("Far", 2024)] and not set_aside
    assert [failure.scene_id for failure in failures] == [f"{A}:2", f"{B}:2"]
    assert says in failures[0].message and "which is as new" in failures[0].message


@pytest.mark.parametrize(
    "other", [entry(), entry(km=0.05), entry("KENDAL"), entry("Kendal power station"), entry(t_y=1e6)]
)
def test_of_two_as_new_that_say_the_same_one_counts(tmp_path: Path, other: str) -> None:
    [row], failures, set_aside = read(lists(tmp_path, {A: [entry()], B: [other]}))
    assert row["name"] == "Kendal" and not failures and len(set_aside) == 1


def test_what_is_set_aside_is_stored_nowhere_and_told(
    tmp_path: Path, storage_root: str, caplog: pytest.LogCaptureFixture
) -> None:
    lists(tmp_path / "i", {A: [entry(t_y=1.0)], B: [entry(t_y=2.0, km=0.05, year=2023), entry("Other", km=9)]})
    done = refresh_sources(str(tmp_path / "i"), storage_root)
    assert done.rows == {"own_sources": 2, "combined": 2} and done.failures == () and len(done.set_aside) == 1
    assert done.set_aside[0] in caplog.text and f"{B}: 1 entries don't count" in caplog.text
    rows = storage.read_table(SOURCES, f"{storage_root}/sources", where={"inventory": "combined"}).to_pylist()
    assert sorted((row["name"], row["emission_t_y"]) for row in rows) == [("Kendal", 1.0), ("Other", 1e6)]


@pytest.mark.parametrize("name", ["???", "漢字", "7", "the", "Power plant", "Łódź"])
def test_a_name_of_any_letters_has_something_that_tells_it_apart(name: str) -> None:
    assert name_key(name, "power_plant") and name_key(name, "power_plant") != name_key(f"{name} 12", "power_plant")
