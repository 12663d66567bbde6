"""What a Mac, and whoever copies from one, leaves beside files is none of them, wherever a folder of a user is read."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from plumewatch import storage
from plumewatch.area_files import unread_files
from plumewatch.area_names import read_area_names
from plumewatch.areas import read_areas
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.oco2.archive.listing import read_listing
from plumewatch.tables import WIND
from plumewatch.wind.files import read_wind_files
from plumewatch.zones.zone_files import list_zone_files, require_own_name
from shapely.geometry import box, mapping

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(100)
SQUARE = {"type": "Feature", "properties": {"name": "dune"}, "geometry": mapping(box(54, 38, 54.1, 38.1))}
GRANULE = "oco2_LtCO2_190601_B11210Ar_240910224028s.nc4"
DAY = datetime(2025, 8, 31, tzinfo=UTC)


BESIDE, PACKED, HIDDEN = "", "__MACOSX", ".Trashes/501"
LEFT = pytest.mark.parametrize("where", [BESIDE, PACKED, HIDDEN], ids=["beside", "packed", "hidden"])


def left_by_a_mac(folder: Path, where: str) -> None:
    """A file of attributes for each file, in whose place a hidden folder has whole files that are none."""
    names = [path.name for path in folder.iterdir() if path.is_file()]
    place = folder / where
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        (place / (name if where == HIDDEN else f"._{name}")).write_bytes(APPLE_DOUBLE)
    (place / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")


@LEFT
def test_the_files_of_a_folder_are_those_that_people_put_there(tmp_path: Path, where: str) -> None:
    folder = tmp_path / ".mine" / "lists"  # hidden above: nobody's choice of a folder is
    (folder / "deep").mkdir(parents=True)
    for name in ("a.csv", "_b.csv", "deep/c.csv"):
        (folder / name).write_text("x")
    left_by_a_mac(folder, where)
    left_by_a_mac(folder / "deep", where)
    for path in (str(folder), f"file://{folder}", f"{folder}/"):
        found = storage.visible_files(path, ".csv")
        assert [file.rsplit("lists/")[1] for file in found] == ["_b.csv", "a.csv", "deep/c.csv"]
        assert set(found) <= set(storage.list_files(path)) and all(f.startswith(path.rstrip("/")) for f in found)
    assert storage.visible_files(str(folder / "a.csv")) == [str(folder / "a.csv")]


def test_of_a_bucket_too(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a.csv", "._a.csv", "deep/b.csv", "__MACOSX/._a.csv", ".x/a.csv")
    listed = [f"s3://bucket/.mine/lists/{name}" for name in names]
    monkeypatch.setattr(storage.files, "list_files", lambda path, suffix: listed)
    for path in ("s3://bucket/.mine/lists", "s3://bucket/.mine/lists/"):
        assert storage.visible_files(path) == [listed[0], listed[2]]


@LEFT
def test_inventories(tmp_path: Path, storage_root: str, where: str, caplog: pytest.LogCaptureFixture) -> None:
    for name, *lines in (
        ("own_sources.csv", "name,kind,fuel,gas,emission_t_y,emission_t_y_sigma,year,longitude,latitude",
         "A,power_plant,coal,co2,5e6,1e6,2020,28.97,-26.09"),
        ("sandbag_emissions.csv", "Key;InstallationName;RegCtryName;SandbagSector;tCO2e;Period",
         "DE 1;X;Germany;Power and heat;1000000;2019"),
        ("sandbag_locations.csv", "Key;RegCtryName;latitude;longitude", "DE 1;Germany;51,0;10,0"),
        ("unep_plumes.csv", "id_plume,tile_date,lat,lon", "p1,2024-01-01 10:00:00+00,38.5,54.2"),
    ):  # fmt: skip
        (tmp_path / "lists").mkdir(exist_ok=True)
        (tmp_path / "lists" / name).write_text("\n".join(lines))
    left_by_a_mac(tmp_path / "lists", where)
    done = refresh_sources(str(tmp_path / "lists"), storage_root)
    assert done.rows == {"eu_ets": 1, "own_sources": 1, "imeo_mars": 1, "combined": 2}
    assert (done.failures, done.unread) == ((), ()) and "not read" not in caplog.text


@LEFT
def test_areas_and_zones(tmp_path: Path, where: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "dunes.geojson").write_text(json.dumps(SQUARE))
    left_by_a_mac(tmp_path, where)
    assert [area.name for area in read_areas(str(tmp_path))] == ["dune"] and caplog.text == ""
    names = read_area_names(str(tmp_path))
    assert (names.names, names.broken, names.unlisted) == (("dune",), (), ())
    assert list(unread_files(str(tmp_path))) == []
    [zones] = list_zone_files(str(tmp_path))
    assert zones["zones_path"] == str(tmp_path / "dunes.geojson")
    require_own_name(zones["zones_path"])


@LEFT
def test_granules_and_wind(tmp_path: Path, where: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / GRANULE).write_bytes(b"x")
    left_by_a_mac(tmp_path, where)
    listing = read_listing(str(tmp_path))
    assert [granule.name for granule in listing.granules] == [GRANULE] and listing.refused == ()
    folder = tmp_path / "wind"
    folder.mkdir()
    one = {"observed_at_utc": [DAY], "longitude": [56.0], "latitude": [22.0], "wind_u_m_s": [1.0], "wind_v_m_s": [0.0]}
    pq.write_table(WIND.from_columns({**one, "height_m": [10.0]}), folder / "wind.parquet")
    left_by_a_mac(folder, where)
    rows = read_wind_files(str(folder), DAY, DAY + timedelta(hours=1), bounds=[(55.9, 21.9, 56.1, 22.1)])
    assert rows.num_rows == 1 and "not read" not in caplog.text
