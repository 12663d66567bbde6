"""Inventory files of each form, built here, and the one list that they make."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.inventory.coco2 import read_coco2
from plumewatch.inventory.combine import combine_sources
from plumewatch.inventory.gppd import read_gppd
from plumewatch.inventory.own_sources import read_own_lists, read_own_sources
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.inventory.rows.power_plants import cluster, power_plant_factors
from plumewatch.tables import SOURCES

COCO2_HEADER = '"ID","ISO3","fuel","longitude","latitude","co2_emis_ty","nox_emis_ty"'
GPPD_HEADER = "country_long,name,gppd_idnr,capacity_mw,latitude,longitude,primary_fuel,estimated_generation_gwh_2017"
OWN_HEADER = "name,kind,fuel,gas,emission_t_y,emission_t_y_sigma,year,longitude,latitude,owner"


def write(path: Path, header: str, *lines: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")
    return str(path)


def coco2_file(folder: Path, *lines: str) -> str:
    return write(folder / "coco2_ps_catalogue_v1.1.csv", COCO2_HEADER, *lines)


def gppd_file(folder: Path, *lines: str) -> str:
    return write(folder / "gppd_v130.csv", GPPD_HEADER, *lines)


def own_file(folder: Path, *lines: str, name: str = "own_sources.csv") -> str:
    return write(folder / name, OWN_HEADER, *lines)


KENDAL_UNITS = [f'"CoCO2_146{n}","ZAF","coal",28.9688,-26.0903,3.9e6,1' for n in (13, 15, 16)]


def test_units_of_one_plant_are_one_source_and_others_stay(tmp_path: Path) -> None:
    kusile = '"CoCO2_14644","ZAF","coal",28.9202,-25.9180,4.5e6,1'
    path = coco2_file(tmp_path, *KENDAL_UNITS, '"CoCO2_20001","ZAF","oil",28.9733,-26.0903,0.3e6,1', kusile)
    rows = read_coco2(path).to_pylist()
    assert [(r["source_id"], r["name"], r["fuel"]) for r in rows] == [
        ("coco2-14613", "CoCO2 ZAF coal 26.09S 28.97E", "coal"),
        ("coco2-14644", "CoCO2 ZAF coal 25.92S 28.92E", "coal"),
    ]
    assert rows[0]["emission_t_y"] == pytest.approx(12.0e6)
    assert rows[0]["emission_t_y_sigma"] == pytest.approx(2.4e6)
    assert rows[0]["longitude"] == pytest.approx((28.9688 * 11.7 + 28.9733 * 0.3) / 12)
    assert (rows[0]["kind"], rows[0]["gas"], rows[0]["year"]) == ("power_plant", "co2", 2018)
    assert rows[0]["provenance"] == "CoCO2 point source catalogue v1.1, 2018, CoCO2_14613 and 3 more units"


def test_a_unit_that_is_there_again_word_for_word_counts_once_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = [*KENDAL_UNITS, KENDAL_UNITS[1], KENDAL_UNITS[1]]
    assert read_coco2(coco2_file(tmp_path / "a", *again)).equals(read_coco2(coco2_file(tmp_path / "b", *KENDAL_UNITS)))
    assert "2 rows are there again" in caplog.text


def test_a_plant_on_the_antimeridian_stays_there(tmp_path: Path) -> None:
    path = coco2_file(tmp_path, '"CoCO2_1","FJI","oil",179.999,-17,1e5,1', '"CoCO2_2","FJI","oil",-179.997,-17,1e5,1')
    (row,) = read_coco2(path).to_pylist()
    assert row["longitude"] == pytest.approx(-179.999)


def test_the_order_of_the_file_doesnt_matter(tmp_path: Path) -> None:
    lines = [*KENDAL_UNITS, '"CoCO2_14644","ZAF","coal",28.9202,-25.9180,4.5e6,1']
    first = read_coco2(coco2_file(tmp_path / "a", *lines))
    assert read_coco2(coco2_file(tmp_path / "b", *reversed(lines))).equals(first)


def test_points_in_steps_of_the_distance_are_one_group() -> None:
    assert cluster([0, 0.008, 0.016, 0.1, 0.101], [0, 0, 0, 0, 0], 1.0).tolist() == [0, 0, 0, 1, 1]
    assert cluster([179.999, -179.999, 0], [0, 0, 0], 1.0).tolist() == [0, 0, 1]
    assert cluster([0, 90, 180], [89.999, 89.999, 89.999], 1.0).tolist() == [0, 0, 0]
    assert cluster([], [], 1.0).tolist() == []


def test_generation_times_factor_else_capacity_and_fossil_fuels_only(tmp_path: Path) -> None:
    path = gppd_file(
        tmp_path,
        "South Africa,Kendal power station,WRI1000125,4116,-26.0880,28.9689,Coal,23759.51",
        "South Africa,A dam,WRI2,100,-26,28,Hydro,500",
        "South Africa,No generation,WRI3,100,-25,28,Gas,",
        "South Africa,Nothing known,WRI4,,-24,28,Oil,",
        "South Africa,Nothing generated,WRI5,10,-23,28,Oil,0",
    )
    rows = read_gppd(path).to_pylist()
    assert [r["source_id"] for r in rows] == ["gppd-WRI1000125", "gppd-WRI3"]
    assert rows[0]["emission_t_y"] == pytest.approx(23759.51 * 946.0)
    assert rows[0]["emission_t_y_sigma"] == pytest.approx(0.2 * rows[0]["emission_t_y"])
    assert rows[1]["emission_t_y"] == pytest.approx(100 * 8.76 * 0.48 * 56.1 * 3.6 / 0.45)
    assert rows[1]["emission_t_y_sigma"] == pytest.approx(rows[1]["emission_t_y"])
    assert (rows[0]["fuel"], rows[0]["licence"], rows[0]["year"]) == ("coal", "CC BY 4.0", 2017)


def test_reported_generation_goes_before_the_estimate(tmp_path: Path) -> None:
    header = GPPD_HEADER + ",generation_gwh_2017"
    path = write(tmp_path / "gppd.csv", header, "X,Plant,WRI1,1,1,1,Coal,100,300", "X,Other,WRI2,1,1,2,Coal,100,")
    assert read_gppd(path)["emission_t_y"].to_pylist() == pytest.approx([300 * 946.0, 100 * 946.0])


def test_plants_without_an_id_get_one_of_their_content(tmp_path: Path) -> None:
    lines = [
        "X,One,,1,1,1,Coal,10",
        "X,Two,,1,2,2,Coal,10",
        "X,Unit,WRI7,1,3,3,Oil,10",
        "X,Unit,WRI7,1,3,4,Oil,10",
        "X,Unit,WRI7,1,3,4,Oil,10",
    ]
    ids = read_gppd(gppd_file(tmp_path / "a", *lines))["source_id"].to_pylist()
    assert len(set(ids)) == len(ids) == 4
    assert all(re.fullmatch(r"gppd-(WRI7-)?[0-9a-f]{12}", i) for i in ids)
    assert read_gppd(gppd_file(tmp_path / "b", *reversed(lines)))["source_id"].to_pylist() == ids


OWN_WELL = "Well 7,oil_and_gas,natural gas,ch4,40000,20000,2025,56.0,22.0,Someone"


def test_own_sources_keep_their_id_when_the_emission_changes(tmp_path: Path) -> None:
    (row,) = read_own_sources(own_file(tmp_path / "a", OWN_WELL)).to_pylist()
    assert (row["name"], row["gas"], row["emission_t_y"], row["owner"]) == ("Well 7", "ch4", 40000.0, "Someone")
    assert row["provenance"] == "own_sources.csv"
    (changed,) = read_own_sources(own_file(tmp_path / "b", OWN_WELL.replace("40000", "1"))).to_pylist()
    assert changed["source_id"] == row["source_id"]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("A,oil_well,gas,ch4,1,1,2025,56,22,", "kind is 'oil_well'; allowed: power_plant"),
        ("A,oil_and_gas,gas,n2o,1,1,2025,56,22,", "gas is 'n2o'"),
        ("A,oil_and_gas,gas,ch4,-1,1,2025,56,22,", "emission_t_y is '-1'"),
        ("A,oil_and_gas,gas,ch4,nan,1,2025,56,22,", "emission_t_y is 'nan'"),
        ("A,oil_and_gas,gas,ch4,1,many,2025,56,22,", "emission_t_y_sigma is 'many'"),
        ("A,oil_and_gas,gas,ch4,1,1,2025.5,56,22,", "year is '2025.5'"),
        ("A,oil_and_gas,gas,ch4,1,1,2025,256,22,", "longitude is '256'"),
        ("A,oil_and_gas,gas,ch4,1,1,2025,56,-91,", "latitude is '-91'"),
        (",oil_and_gas,gas,ch4,1,1,2025,56,22,", "name is ''"),
        ("A,oil_and_gas,gas,ch4,1,1", "as many fields as the header"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_by_file_and_line_and_the_good_go_through(tmp_path: Path, bad: str, says: str) -> None:
    path = own_file(tmp_path, OWN_WELL, bad, "B,landfill,waste,ch4,5,1,2025,10,10,")
    with pytest.raises(InputError, match=rf"own_sources\.csv:3: .*{says}"):
        read_own_sources(path)
    failures = []
    rows = read_own_sources(path, failures.append)
    assert sorted(rows["name"].to_pylist()) == ["B", "Well 7"]
    assert [(f.scene_id, f.stage, f.is_retryable) for f in failures] == [("own_sources.csv:3", "inventory", False)]
    assert re.search(says, failures[0].message)


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        ("Well 7,oil_and_gas,natural gas,ch4,4e4,2e4,2025,28.970,-26.090,", "28.97,-26.09"),
        ("Well 7,oil_and_gas,natural gas,ch4,40000,20000,2025,29.0,-26,", "29,-26.00"),
        ("Well 7,oil_and_gas,natural gas,ch4,40000,20000,2025,0.00001,0,", "1e-5,-0.0"),
        ("Zéche,oil_and_gas,natural gas,ch4,40000,20000,2025,29,-26,", "29,-26"),
    ],
)
def test_an_id_is_that_of_what_is_said_whatever_the_spelling(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, typed: str, again: str
) -> None:
    *said, _, _, owner = typed.split(",")
    other = unicodedata.normalize("NFD", ",".join([*said, *again.split(","), owner]))
    [row] = read_own_sources(own_file(tmp_path / "a", typed)).to_pylist()
    [saved] = read_own_sources(own_file(tmp_path / "b", other)).to_pylist()
    assert (saved["source_id"], saved["name"]) == (row["source_id"], row["name"])
    assert read_own_sources(own_file(tmp_path / "c", typed, other)).num_rows == 1 and "there again" in caplog.text
    assert read_own_lists([own_file(tmp_path / at, typed, name=f"own_sources_{at}.csv") for at in "de"]).num_rows == 1


def test_a_plain_name_and_place_have_the_id_that_they_always_had(tmp_path: Path) -> None:
    lines = [OWN_WELL, "Kendal A,power_plant,coal,co2,2e7,1e6,2020,28.97,-26.09,", "Ä B,landfill,,ch4,1,1,2020,28,-26,"]
    said = ("Well 7|ch4|oil_and_gas|56|22", "Kendal A|co2|power_plant|28.97|-26.09", "Ä B|ch4|landfill|28|-26")
    expected = {"own-" + hashlib.sha256(text.encode()).hexdigest()[:12] for text in said}
    found = read_own_sources(own_file(tmp_path, lines[0].replace("56.0,22.0", "56,22"), *lines[1:]))
    assert set(found["source_id"].to_pylist()) == expected


@pytest.mark.parametrize("content", [b"", b"<html><body>Login</body></html>", b"\xff\xfe\x00", b"a,b\n1,2\n"])
@pytest.mark.parametrize("read", [read_coco2, read_gppd, read_own_sources])
def test_a_file_that_is_something_else_is_refused_with_its_name(tmp_path: Path, content: bytes, read) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"f\.csv"):
        read(str(tmp_path / "f.csv"))


def test_a_header_alone_is_an_inventory_without_sources(tmp_path: Path) -> None:
    assert read_coco2(coco2_file(tmp_path)).equals(SOURCES.empty())
    assert read_gppd(gppd_file(tmp_path)).equals(SOURCES.empty())
    assert read_own_sources(own_file(tmp_path)).equals(SOURCES.empty())


def test_a_torn_last_line_is_a_bad_row(tmp_path: Path) -> None:
    failures = []
    rows = read_coco2(coco2_file(tmp_path, *KENDAL_UNITS, '"CoCO2_146'), failures.append)
    assert rows["emission_t_y"].to_pylist() == pytest.approx([11.7e6])
    assert [f.scene_id for f in failures] == ["coco2_ps_catalogue_v1.1.csv:5"]


def test_combined_takes_names_and_only_the_plants_that_coco2_lacks(tmp_path: Path) -> None:
    coco2 = read_coco2(
        coco2_file(
            tmp_path,
            *KENDAL_UNITS,
            '"CoCO2_3","ZAF","coal",28.9940,-26.0903,1e5,1',  # 2.5 km east of Kendal, nearer to it than to any other
            '"CoCO2_4","ZAF","coal",20.0,-20.0,1e5,1',
        )
    )
    gppd = read_gppd(
        gppd_file(
            tmp_path,
            "South Africa,Kendal power station,WRI1,4116,-26.0880,28.9689,Coal,23759",
            "South Africa,Far,WRI2,1,-26.14,28.97,Coal,100",  # 5.5 km south of Kendal
            "South Africa,Close,WRI3,1,-26.13,28.97,Coal,100",  # 4.4 km
        )
    )
    own = read_own_sources(own_file(tmp_path, OWN_WELL))
    rows = {r["source_id"]: r for r in combine_sources(coco2, gppd, own).to_pylist()}
    assert set(rows) == {"coco2-14613", "coco2-3", "coco2-4", "gppd-WRI2", *own["source_id"].to_pylist()}
    assert rows["coco2-14613"]["name"] == "Kendal power station"
    assert rows["coco2-3"]["name"] == "CoCO2 ZAF coal 26.09S 28.99E, near Kendal power station"
    assert rows["coco2-4"]["name"] == "CoCO2 ZAF coal 20.00S 20.00E"
    assert rows["coco2-14613"]["provenance"].endswith("; name from gppd-WRI1, 0.26 km away")
    assert rows["coco2-14613"]["emission_t_y"] == pytest.approx(11.7e6)


def test_what_no_plant_emits_or_generates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"csv:2: co2_emis_ty is '3.9e9'; allowed: .* from 0 to 3e\+08"):
        read_coco2(coco2_file(tmp_path, KENDAL_UNITS[0].replace("3.9e6", "3.9e9")))
    with pytest.raises(InputError, match=r"csv:2: capacity_mw is '4116000'"):
        read_gppd(gppd_file(tmp_path, "X,Plant,WRI1,4116000,1,1,Coal,100"))


def test_combined_of_nothing_is_nothing() -> None:
    empty = SOURCES.empty()
    assert combine_sources(empty, empty, empty).num_rows == 0


def test_a_refresh_writes_every_inventory_and_combined_and_repeats_itself(tmp_path: Path, storage_root: str) -> None:
    coco2_file(tmp_path, *KENDAL_UNITS)
    gppd_file(tmp_path, "X,Plant,WRI1,1,1,1,Coal,100")
    own_file(tmp_path, OWN_WELL)
    own_file(tmp_path, OWN_WELL, "B,landfill,waste,ch4,5,1,2025,10,10,", name="own_sources_more.csv")
    write(tmp_path / "coco2_ps_hourly_profiles_v1.1.csv", "ID_HourFact,H0", "FH_001,1")
    tables = []
    for _ in range(2):
        done = refresh_sources(str(tmp_path), storage_root)
        assert done.rows == {"coco2": 1, "gppd": 1, "own_sources": 2, "combined": 4}
        assert done.failures == ()
        tables.append(storage.read_table(SOURCES, storage.join(storage_root, "sources")))
    assert tables[0].equals(tables[1])
    manifest = storage.read_manifest(storage.join(storage_root, "sources/inventory=combined"))
    assert manifest["counts"] == {"ch4": 2, "co2": 2}


def test_a_bad_file_leaves_its_inventory_as_it_was(tmp_path: Path, storage_root: str) -> None:
    coco2_file(tmp_path, *KENDAL_UNITS)
    own_file(tmp_path, OWN_WELL)
    refresh_sources(str(tmp_path), storage_root)
    (tmp_path / "coco2_ps_catalogue_v1.1.csv").write_bytes(b"<html>")
    own_file(tmp_path, OWN_WELL, "B,landfill,waste,ch4,5,1,2025,10,10,")
    done = refresh_sources(str(tmp_path), storage_root)
    assert done.rows == {"own_sources": 2, "combined": 3}
    assert [f.scene_id for f in done.failures] == ["coco2_ps_catalogue_v1.1.csv"]


def test_a_bad_file_takes_no_good_one_along_where_nothing_is_stored_yet(tmp_path: Path, storage_root: str) -> None:
    own_file(tmp_path, OWN_WELL)
    own_file(tmp_path, "B,oil,,ch4,5,1,2025,10,10,", name="own_sources_more.csv")
    for _ in range(2):
        done = refresh_sources(str(tmp_path), storage_root)
        assert done.rows["combined"] == 1 and "own_sources_more.csv" in done.failures[0].scene_id
    rows = storage.read_table(SOURCES, storage.join(storage_root, "sources/inventory=own_sources"))
    assert rows.num_rows == 1


def test_each_failure_of_lists_that_are_read_again_is_told_once(tmp_path: Path, storage_root: str) -> None:
    own_file(tmp_path, OWN_WELL, "B,oil,,ch4,5,1,2025,10,10,")
    own_file(tmp_path / "b", "C,landfill,waste,ch4,5,1,2025,10,10,", name="own_sources_z.csv")
    for path in ("a/own_sources_z.csv", "b/own_sources_y.csv"):
        write(tmp_path / path, "<html>")
    done = refresh_sources(str(tmp_path), storage_root)
    told = sorted(failure.scene_id for failure in done.failures)
    assert len(told) == len(set(told)) == 3 and done.rows["own_sources"] == 2


def test_two_releases_of_a_catalogue_are_refused(tmp_path: Path, storage_root: str) -> None:
    coco2_file(tmp_path, *KENDAL_UNITS)
    write(tmp_path / "coco2_ps_catalogue_v2.csv", COCO2_HEADER, *KENDAL_UNITS)
    own_file(tmp_path, OWN_WELL)
    done = refresh_sources(str(tmp_path), storage_root)
    assert done.rows == {"own_sources": 1, "combined": 1}
    assert "2 files of coco2" in done.failures[0].message


def test_a_folder_without_inventories_is_refused(tmp_path: Path, storage_root: str) -> None:
    with pytest.raises(InputError, match="no inventory file"):
        refresh_sources(str(tmp_path), storage_root)


def test_every_fuel_has_its_factors() -> None:
    factors = power_plant_factors()
    assert factors.emission_t_gwh["coal"] == pytest.approx(946.0)
    assert set(factors.emission_t_gwh) == set(factors.capacity_factor)
    assert set(factors.relative_sigma) >= {*factors.emission_t_gwh, "biomass", "waste", "from_capacity"}
    assert isinstance(combine_sources(SOURCES.empty(), SOURCES.empty(), SOURCES.empty()), pa.Table)
