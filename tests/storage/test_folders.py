"""What lies below a table: partitions behind links and under other endings are read, what is none is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plumewatch import storage
from plumewatch.errors import ConfigurationError, InputError
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.tables import ANOMALIES, SOURCES
from stored_rows import sources

GOOD = {"area": "a", "date": "2025-08-30"}


def anomalies(*scenes: str) -> pa.Table:
    row = {"row": 0, "col": 0, "longitude": 0.0, "latitude": 0.0, "score": 0.1, "cluster": 0}
    return ANOMALIES.from_pylist([{**row, "scene_id": scene} for scene in scenes])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The root of a table with one partition."""
    storage.write_partition(ANOMALIES, str(tmp_path / "anomalies"), GOOD, anomalies("good"))
    return tmp_path / "anomalies"


def scenes_in(table: Path) -> list[str]:
    return sorted(storage.read_table(ANOMALIES, str(table), ["scene_id"])["scene_id"].to_pylist())


def put(folder: Path, name: str = "x.parquet", scene: str = "more") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(anomalies(scene), folder / name)
    return folder


LINKED = {
    "a date": lambda table, away: (table / "area=a" / "date=2025-08-29").symlink_to(put(away)),
    "an area": lambda table, away: (table / "area=b").symlink_to(put(away / "date=2025-08-29").parent),
    "a relative link": lambda table, away: (put(away), (table / "area=a" / "date=2025-08-29").symlink_to("../../away")),
    "a link to a link": lambda table, away: (
        (away.parent / "first").symlink_to(put(away)),
        (table / "area=a" / "date=2025-08-29").symlink_to(away.parent / "first"),
    ),
    "a file": lambda table, away: (
        (table / "area=a" / "date=2025-08-29").mkdir(),
        (table / "area=a" / "date=2025-08-29" / "y.parquet").symlink_to(put(away) / "x.parquet"),
    ),
    "an area and in it a date": lambda table, away: (
        (away / "dates").mkdir(parents=True),
        (away / "dates" / "date=2025-08-29").symlink_to(put(away / "rows")),
        (table / "area=b").symlink_to(away / "dates"),
    ),
}


@pytest.mark.parametrize("form", LINKED)
def test_partitions_behind_links_are_read(table: Path, tmp_path: Path, form: str) -> None:
    LINKED[form](table, tmp_path / "away")
    assert scenes_in(table) == ["good", "more"]
    narrowed = storage.list_partitions(ANOMALIES, str(table), {"date": "2025-08-29"})
    assert [p.keys["date"] for p in narrowed] == ["2025-08-29"]


def test_a_table_that_is_a_link_is_read(table: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(table)
    assert scenes_in(tmp_path / "linked") == ["good"]


CIRCLES = {
    "to the table": ("area=b", ""),
    "to what holds the table": ("area=b", ".."),
    "to the root of the disk": ("area=b", "/"),
    "to its own folder": ("area=a/date=2025-08-29", "area=a"),
    "to itself": ("area=a/date=2025-08-29", "area=a/date=2025-08-29"),
    "to nothing": ("area=a/date=2025-08-29", "unmounted"),
}


@pytest.mark.parametrize("link, target", CIRCLES.values(), ids=CIRCLES)
def test_links_that_lead_back_or_to_nothing_are_named(
    table: Path, caplog: pytest.LogCaptureFixture, link: str, target: str
) -> None:
    (table / link).symlink_to(table / target)
    assert scenes_in(table) == ["good"]
    assert f"not read: {table}/{link}: a link that leads to nothing, or back" in caplog.text
    told: list[InputError] = []
    assert len(storage.list_partitions(ANOMALIES, str(table), None, told.append)) == 1
    assert [error.file for error in told] == [f"{table}/{link}"]


@pytest.mark.parametrize("name", ["x.PARQUET", "x.Parquet", "x.pq", "x.PARQ", "part-0.snappy.parquet"])
def test_parquet_is_read_under_its_other_endings(table: Path, name: str) -> None:
    put(table / "area=a" / "date=2025-08-29", name)
    assert scenes_in(table) == ["good", "more"]


@pytest.mark.parametrize("name", ["x.parquet.bak", "x.csv", "x.parquet.gz", "x", "x.parquet~", "date=2025-08-30.zip"])
def test_files_of_other_endings_are_named(table: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    folder = put(table / "area=a" / "date=2025-08-29")
    (folder / name).write_text("x")
    assert scenes_in(table) == ["good", "more"]
    assert f"not read: {folder}: files of other endings: {name}; allowed: Parquet (.parquet, .pq, .parq)" in caplog.text


@pytest.mark.parametrize("name", [".x.parquet", "_SUCCESS", "_x.parquet", ".crc", "x_$folder$"])
def test_hidden_files_are_neither_read_nor_named(table: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    (put(table / "area=a" / "date=2025-08-29") / name).write_text("x")
    assert scenes_in(table) == ["good", "more"] and caplog.text == ""


FOREIGN = ["area=a/date=2025-08-30 (copy)", "area=a/date=2025-08-30.bak", "area=a/date=2025-8-30", "area=a/date=",
           "area=a/date=2025-02-30", "area=a (copy)/date=2025-08-29", "area=a.bak/date=2025-08-29",
           "area=a - Copy (2)/date=2025-08-29", "area=a~/date=2025-08-29", "area=a (2)/date=2025-08-29",
           "Copy of area=a/date=2025-08-29", "backup/area=a/date=2025-08-29", "area=a/old/date=2025-08-29",
           "area=a/date=2025-08-29/area=b", "AREA=b/date=2025-08-29"]  # fmt: skip


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("where", [None, {"area": "a"}, {"date": ["2025-08-29", "2025-08-30"]}])
def test_folders_that_are_no_partitions_are_named_and_not_read(
    table: Path, caplog: pytest.LogCaptureFixture, foreign: str, where: storage.Where | None
) -> None:
    put(table / foreign)
    read = storage.read_table(ANOMALIES, str(table), ["scene_id"], where)
    assert read["scene_id"].to_pylist() == ["good"]
    assert f"not read: {table}/" in caplog.text and "; allowed: " in caplog.text


def test_a_folder_that_is_no_date_is_told_where_all_dates_are_asked_for(table: Path) -> None:
    put(table / "area=a" / "date=2025-08-30 (copy)")
    told: list[InputError] = []
    assert len(storage.list_partitions(ANOMALIES, str(table), {"area": "a"}, told.append)) == 1
    assert [str(error) for error in told] == [
        f"{table}/area=a/date=2025-08-30 (copy): date '2025-08-30 (copy)'; allowed: date=YYYY-MM-DD"
    ]
    assert len(storage.list_partitions(ANOMALIES, str(table), {"date": "2025-08-30"}, told.append)) == 1
    assert len(told) == 1  # nobody asked for it


@pytest.mark.parametrize("name", ["a-copy", "photocopy", "copy", "era5.v2", "a_bak", "Copypasta", "2024"])
def test_names_that_are_no_copies_are_read(tmp_path: Path, name: str) -> None:
    storage.write_partition(SOURCES, str(tmp_path / "sources"), {"inventory": name}, sources("a"))
    assert storage.read_table(SOURCES, str(tmp_path / "sources"))["inventory"].to_pylist() == [name]


@pytest.mark.parametrize("date", ["2025-8-30", "2025-08-30.bak", "yesterday", "", "2025-08"])
def test_a_partition_that_would_not_be_read_is_not_written(tmp_path: Path, date: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed: YYYY-MM-DD"):
        storage.write_partition(ANOMALIES, str(tmp_path), {"area": "a", "date": date}, anomalies("x"))


def test_files_behind_links_are_listed_once_each(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder in ("root/real", "away/deep"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.tif").write_text("x")
    for link, target in (("a", "away"), ("again", "away"), ("into", "away/deep"), ("up", "."), ("same", "root/real")):
        (tmp_path / "root" / link).symlink_to(tmp_path / target)
    (tmp_path / "away" / "back").symlink_to(tmp_path / "root")
    listed = storage.list_files(f"file://{tmp_path}/root")
    assert listed == [f"file://{tmp_path}/root/{file}" for file in ("a/deep/x.tif", "real/x.tif")]
    assert listed == sorted(storage.modified_times(f"file://{tmp_path}/root"))
    for link in ("again", "into", "up", "same", "a/back"):
        assert f"not read: {tmp_path}/root/{link}: a link to a folder that is listed already" in caplog.text


def test_scenes_behind_links_are_listed_and_copies_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    away = tmp_path / "disk" / "date=2025-08-30"
    away.mkdir(parents=True)
    (away / "s.json").write_text("{}")
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "area=a").symlink_to(tmp_path / "disk")
    shutil.copytree(away, tmp_path / "scenes" / "area=b" / "date=2025-08-30 (copy)")
    for dates in (None, ["2025-08-30"]):
        [scene] = list_scenes(str(tmp_path / "scenes"), dates)
        assert (scene.area, scene.date, scene.scene_id) == ("a", "2025-08-30", "s")
    assert "area=b/date=2025-08-30 (copy): date=2025-08-30 (copy); allowed" in caplog.text
