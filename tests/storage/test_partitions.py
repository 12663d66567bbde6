"""One-file partitions and published partitions, on a folder and on a real S3 server."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest
from plumewatch import storage
from plumewatch.errors import ConfigurationError, InputError, ServiceError
from plumewatch.observations import stated_observations
from plumewatch.storage import partitions
from plumewatch.tables import PIXELS, SOURCES, WIND
from s3fs import S3File
from s3fs.utils import FileExpired
from stored_rows import sources


def test_a_partition_is_one_file_and_a_manifest_and_comes_back_equal(root: str) -> None:
    path = storage.write_partition(
        SOURCES,
        f"{root}/sources",
        {"inventory": "coco2"},
        sources("b", "a"),
        inputs=["x.csv"],
        settings={"calibration": "c1"},
        counts={"all": 2},
    )
    names = sorted(f.rsplit("/", 1)[-1] for f in storage.list_files(path))
    assert names == ["_manifest.json", "data.parquet"]
    manifest = storage.read_manifest(path)
    assert manifest and {"files", "rows", "inputs", "settings", "versions", "counts"} <= manifest.keys()
    assert manifest["rows"] == 2 and manifest["versions"]["calibration"] == "c1"
    rows = storage.read_table(SOURCES, f"{root}/sources")
    assert rows["source_id"].to_pylist() == ["a", "b"] and set(rows["inventory"].to_pylist()) == {"coco2"}
    assert rows.schema.names == SOURCES.full_schema().names


def test_replacing_a_partition_leaves_the_others_and_no_other_file(root: str) -> None:
    for name in ("coco2", "gppd"):
        storage.write_partition(SOURCES, f"{root}/sources", {"inventory": name}, sources(name))
    storage.write_partition(SOURCES, f"{root}/sources", {"inventory": "coco2"}, sources("new"))
    assert sorted(storage.read_table(SOURCES, f"{root}/sources")["source_id"].to_pylist()) == ["gppd", "new"]
    assert len(storage.list_files(f"{root}/sources", ".parquet")) == 2


@pytest.mark.parametrize("below", ["", "inventory=coco2", "inventory=none"])
def test_a_path_is_the_root_or_a_partition_below_it(root: str, below: str) -> None:
    storage.write_partition(SOURCES, f"{root}/sources", {"inventory": "coco2"}, sources("a"))
    rows = storage.read_table(SOURCES, storage.join(root, "sources", below) if below else f"{root}/sources")
    assert rows["inventory"].to_pylist() == ([] if below == "inventory=none" else ["coco2"])


def test_nothing_there_is_a_table_without_rows(root: str) -> None:
    rows = storage.read_table(SOURCES, f"{root}/sources", ["source_id", "inventory"])
    assert rows.num_rows == 0 and rows.column_names == ["source_id", "inventory"]


def test_where_columns_and_filter(root: str) -> None:
    for name in ("a", "b"):
        storage.write_partition(SOURCES, f"{root}/sources", {"inventory": name}, sources(f"{name}1", f"{name}2"))
    rows = storage.read_table(
        SOURCES, f"{root}/sources", ["source_id"], where={"inventory": {"a"}}, filter=pc.field("source_id") == "a2"
    )
    assert rows.to_pydict() == {"source_id": ["a2"]}


def test_readers_see_only_what_the_manifest_lists(root: str) -> None:
    keys = {"area": "x", "date": "2025-01-01"}
    folder = storage.partition_path(f"{root}/pixels", keys)
    pixel = {
        "scene_id": "s",
        "platform": "sentinel-2a",
        "row": 0,
        "col": 0,
        "longitude": 0.0,
        "latitude": 0.0,
        "b11": 0.5,
        "b12": 0.4,
        "b_diff": 0.1,
        "scl": 5,
        "is_clear": True,
        "solar_zenith_deg": 30.0,
        "view_zenith_deg": 5.0,
    }
    table = PIXELS.from_pylist([pixel])
    for name in ("one.parquet", "died.parquet"):
        storage.write_parquet(PIXELS, f"{folder}/{name}", table)
    assert storage.read_table(PIXELS, f"{root}/pixels").num_rows == 2  # no manifest yet: plain Parquet of somebody else
    storage.publish_partition(PIXELS, f"{root}/pixels", keys, ["one.parquet"], 1)
    assert storage.read_table(PIXELS, f"{root}/pixels").num_rows == 1


def test_a_partition_is_none_until_it_is_published(root: str) -> None:
    keys = {"area": "x", "date": "2025-01-01"}
    folder = storage.partition_path(f"{root}/pixels", keys)
    content = storage.parquet_bytes(PIXELS, PIXELS.empty())
    for name in ("one.parquet", "two.parquet"):
        storage.write_part(folder, name, content)
        assert storage.list_partitions(PIXELS, f"{root}/pixels") == []
        assert storage.read_table(PIXELS, folder).num_rows == 0
    storage.publish_partition(PIXELS, f"{root}/pixels", keys, ["one.parquet"], 0)
    storage.write_part(folder, "three.parquet", content)  # of a later run: the partition stays what it is
    [partition] = storage.list_partitions(PIXELS, f"{root}/pixels")
    assert storage.partition_files(partition) == [f"{folder}/one.parquet"]
    assert not storage.exists(f"{folder}/_writing")


def test_what_a_dead_writer_left_goes_after_an_hour(tmp_path: Path) -> None:
    keys = {"area": "x", "date": "2025-01-01"}
    folder = tmp_path / "area=x" / "date=2025-01-01"
    with storage.written_aside(folder / "one.parquet") as one, storage.written_aside(folder / "two.parquet") as two:
        pass
    for name in ("whole.parquet", one.name, two.name, ".of_before.parquet.abc_12", ".lock"):
        storage.write_part(str(folder), name, b"")
        if name != two.name:
            os.utime(folder / name, (0, 0))
    (folder / "two.parquet").unlink()
    storage.publish_partition(PIXELS, str(tmp_path), keys, [], 0)
    left = {file.name for file in folder.iterdir()}
    assert left == {two.name, ".lock", "data.parquet", storage.MANIFEST, "one.parquet"}  # as old as the second


def test_a_published_partition_without_rows_is_an_empty_file_with_the_schema(root: str) -> None:
    storage.publish_partition(PIXELS, f"{root}/pixels", {"area": "x", "date": "2025-01-01"}, [], 0)
    [file] = storage.list_files(f"{root}/pixels", ".parquet")
    assert storage.read_parquet(PIXELS, file).schema.names == PIXELS.schema.names


def test_a_manifest_that_lists_a_missing_file_is_named(tmp_path: Path) -> None:
    path = Path(storage.write_partition(SOURCES, str(tmp_path / "sources"), {"inventory": "x"}, sources("a")))
    (path / "data.parquet").unlink()
    with pytest.raises(InputError, match="though its folder or its manifest lists it"):
        storage.read_table(SOURCES, str(tmp_path / "sources"))


def test_keys_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="allowed: keys inventory"):
        storage.write_partition(SOURCES, str(tmp_path), {"area": "x"}, sources("a"))
    with pytest.raises(ConfigurationError, match="without '/'"):
        storage.write_partition(SOURCES, str(tmp_path), {"inventory": "../x"}, sources("a"))


ROOTS = ["product=plumewatch", "month=2016-08", "date=2025-01-01", "a=b/product=x", "product=x/date=y", "method=v2",
         "area=z/date=2019-06-01", "x.parquet"]  # fmt: skip


@pytest.mark.parametrize("above", ROOTS)
def test_folders_above_the_root_of_a_table_say_nothing(tmp_path: Path, above: str) -> None:
    root, keys = f"{tmp_path}/{above}/wind", {"product": "era5", "date": "2016-08-31"}
    row = {"observed_at_utc": datetime(2016, 8, 31, 11, tzinfo=UTC), "longitude": 1.0, "latitude": 2.0,
           "wind_u_m_s": 3.0, "wind_v_m_s": 4.0, "height_m": 10.0}  # fmt: skip
    path = storage.write_partition(WIND, root, keys, WIND.from_pylist([row]))
    for at in (root, storage.parent(path), path):
        rows = storage.read_table(WIND, at, where={"date": {"2016-08-31"}, "product": {"era5"}})
        assert rows.select(["product", "date"]).to_pylist() == [keys]
        assert storage.read_table(WIND, at, where={"date": {"2016-08-30"}}).num_rows == 0
        assert storage.table_root(WIND, at) == root
    for file in ("data.parquet", "_manifest.json"):
        assert storage.keys_in_path(WIND, f"{path}/{file}") == keys and storage.table_root(WIND, path) == root
    assert storage.keys_in_path(WIND, root) == {}


MANIFESTS = {
    "files that are numbers": {"files": [1]},
    "a file above": {"files": ["../data.parquet"]},
    "a file elsewhere": {"files": ["/etc/passwd"]},
    "a file in a folder": {"files": ["a/data.parquet"]},
    "a hidden file": {"files": [".data.parquet"]},
    "a file without a name": {"files": [""]},
    "a file that is a list": {"files": [["data.parquet"]]},
    "half a character": {"files": ["\ud800"]},
    "files that are an object": {"files": {"data.parquet": 1}},
    "rows that are text": {"files": [], "rows": "3"},
    "rows below zero": {"files": [], "rows": -3},
    "rows that are true": {"files": [], "rows": True},
    "inputs that are text": {"files": [], "inputs": "a"},
    "an input that is a number": {"files": [], "inputs": [1]},
    "settings that are a list": {"files": [], "settings": [1]},
    "counts that are text": {"files": [], "counts": {"a": "3"}},
    "observations that are an object": {"files": [], "observations": {"a": 1}},
    "an observation that is text": {"files": [], "observations": ["a"]},
    "references that are a list": {"files": [], "references": ["a"]},
    "a list": [],
    "nothing": None,
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_of_another_form_is_refused_by_name(tmp_path: Path, content: object) -> None:
    folder = tmp_path / "sources" / "inventory=x"
    folder.mkdir(parents=True)
    (folder / storage.MANIFEST).write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"inventory=x/_manifest\.json: .*; allowed: the manifest that the writ"):
        storage.read_table(SOURCES, str(tmp_path / "sources"))


OBSERVED = {
    "an unknown column": {"seen": 1},
    "a time that is none": {"observed_at_utc": "today"},
    "a time that is a number": {"observed_at_utc": 5},
    "a fraction that is text": {"clear_fraction": "all"},
    "an area that is a number": {"area": 5},
    "an orbit that no column holds": {"orbit": 2**40},
    "an outcome that is a list": {"outcome": ["searched"]},
}


@pytest.mark.parametrize("row", OBSERVED.values(), ids=OBSERVED)
def test_observations_of_another_form_are_refused_by_name(tmp_path: Path, row: dict) -> None:
    good = {"area": "a", "outcome": "searched", "detected": False, "observed_at_utc": "2025-08-21T06:48:12+00:00"}
    manifest = {"files": [], "observations": [good, {**good, **row}]}
    (tmp_path / storage.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"_manifest\.json: .*; allowed: "):
        stated_observations(str(tmp_path))
    (tmp_path / storage.MANIFEST).write_text(json.dumps({**manifest, "observations": [good]}))
    assert [o["outcome"] for o in stated_observations(str(tmp_path))] == ["searched"]


def test_rows_whose_writer_died_before_the_manifest_tell_it(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"inventory": "coco2"}
    path = storage.write_partition(SOURCES, f"{root}/sources", keys, sources("a"), inputs=["old.csv"])
    assert storage.overdue_manifest(path) is None

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(partitions, "_write_manifest", die)
        storage.write_partition(SOURCES, f"{root}/sources", keys, sources("b", "c"), inputs=["new.csv"])
    assert storage.read_table(SOURCES, path)["source_id"].to_pylist() == ["b", "c"]
    assert storage.read_manifest(path)["rows"] == 1
    assert json.loads(storage.overdue_manifest(path))["inputs"] == ["new.csv"]
    storage.settle_manifest(path)
    assert storage.overdue_manifest(path) is None
    assert storage.read_manifest(path)["rows"] == 2 and storage.read_manifest(path)["inputs"] == ["new.csv"]


def test_files_without_a_manifest_within_have_none_overdue(root: str) -> None:
    path = storage.partition_path(f"{root}/sources", {"inventory": "own"})
    assert storage.overdue_manifest(path) is None
    storage.write_parquet(SOURCES, f"{path}/data.parquet", sources("a"))
    assert storage.overdue_manifest(path) is None
    storage.settle_manifest(path)
    assert storage.read_manifest(path) is None


def test_rows_of_a_first_writer_that_died_before_its_manifest_are_kept(root: str) -> None:
    keys = {"inventory": "coco2"}
    path = storage.write_partition(SOURCES, f"{root}/sources", keys, sources("a"))
    storage.delete(storage.join(path, storage.MANIFEST))
    storage.replace_rows(SOURCES, f"{root}/sources", keys, sources("b"), lambda rows: pc.equal(rows["source_id"], "b"))
    assert storage.read_table(SOURCES, path)["source_id"].to_pylist() == ["a", "b"]
    assert (storage.read_manifest(path) or {})["rows"] == 2


READS = {
    "its rows": lambda file: storage.read_parquet(SOURCES, file)["source_id"].to_pylist() == ["b", "c"],
    "one column": lambda file: (
        storage.read_parquet(SOURCES, file, ["source_id"])["source_id"].to_pylist() == ["b", "c"]
    ),
    "some rows": lambda file: storage.read_parquet(SOURCES, file, filter=pc.field("source_id") == "c").num_rows == 1,
    "its manifest": lambda file: json.loads(storage.manifest_within(file))["rows"] == 2,
    "the number of rows": lambda file: storage.read_metadata(file).num_rows == 2,
}


@pytest.mark.parametrize("name", READS)
def test_what_is_replaced_while_it_is_opened_is_read_as_it_is_now(
    s3_root: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keys = {"inventory": "coco2"}
    path = storage.write_partition(SOURCES, f"{s3_root}/sources", keys, sources("a"))
    replacements = [sources("b"), sources("b", "c")]
    fetch = S3File._fetch_range

    def fetch_late(self: S3File, start: int, end: int) -> bytes:
        if replacements:
            storage.write_partition(SOURCES, f"{s3_root}/sources", keys, replacements.pop(0))
        return fetch(self, start, end)

    monkeypatch.setattr(S3File, "_fetch_range", fetch_late)
    assert READS[name](storage.join(path, storage.DATA_FILE)) and not replacements


def test_what_is_replaced_all_the_time_is_named_and_tried_again(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = storage.write_partition(SOURCES, f"{s3_root}/sources", {"inventory": "coco2"}, sources("a"))

    def expire(self: S3File, start: int, end: int) -> bytes:
        raise FileExpired("sources", "an ETag")

    monkeypatch.setattr(S3File, "_fetch_range", expire)
    with pytest.raises(ServiceError, match=r"coco2/data\.parquet.*no longer exists") as found:
        storage.read_table(SOURCES, path)
    assert found.value.is_retryable
