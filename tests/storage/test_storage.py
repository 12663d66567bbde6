"""Storage: one-file partitions, published partitions, several writers, on a folder and on a real S3 server."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from plumewatch import storage
from plumewatch.errors import ConfigurationError, InputError
from plumewatch.tables import OBSERVATIONS, PIXELS, PLUMES, SOUNDINGS, SOURCES, TABLES


def sources(*names: str, emission: float = 1.0) -> pa.Table:
    row = {
        "kind": "city",
        "gas": "co2",
        "emission_t_y": emission,
        "emission_t_y_sigma": 0.5,
        "year": 2018,
        "longitude": 1.0,
        "latitude": 2.0,
    }
    return SOURCES.from_pylist([{**row, "source_id": name, "name": name} for name in names])


def observations(area: str, n: int) -> pa.Table:
    return OBSERVATIONS.from_pylist(
        [
            {"area": area, "scene_id": f"s{i}", "outcome": "searched", "detected": False, "stage": "detection"}
            for i in range(n)
        ]
    )


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/store" if request.param == "folder" else request.getfixturevalue("s3_root")


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


def test_the_same_rows_give_the_same_bytes() -> None:
    assert storage.parquet_bytes(SOURCES, sources("a", "b")) == storage.parquet_bytes(SOURCES, sources("b", "a"))


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


def test_a_published_partition_without_rows_is_an_empty_file_with_the_schema(root: str) -> None:
    storage.publish_partition(PIXELS, f"{root}/pixels", {"area": "x", "date": "2025-01-01"}, [], 0)
    [file] = storage.list_files(f"{root}/pixels", ".parquet")
    assert storage.read_parquet(PIXELS, file).schema.names == PIXELS.schema.names


def test_each_of_several_writers_replaces_only_its_own_rows(root: str) -> None:
    def write(area: str, n: int) -> None:
        storage.replace_rows(
            OBSERVATIONS,
            f"{root}/observations",
            {"gas": "ch4", "key": "2025-01-01"},
            observations(area, n),
            lambda rows: pc.equal(rows["area"], area),
        )

    write("a", 1)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: write(f"w{i}", 3), range(6)))
    write("a", 2)
    areas = storage.read_table(OBSERVATIONS, f"{root}/observations")["area"].to_pylist()
    assert sorted(areas) == sorted(["a"] * 2 + [f"w{i}" for i in range(6) for _ in range(3)])
    assert not [f for f in storage.list_files(f"{root}/observations", ".lock") if root.startswith("s3")]


def test_a_stale_lock_on_s3_is_taken_over(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes(f"{s3_root}/p/.lock", b"left by a process that died")
    monkeypatch.setattr(storage, "STALE_LOCK_AGE_S", -60.0)
    with storage.lock(f"{s3_root}/p"):
        assert storage.exists(f"{s3_root}/p/.lock")
    assert not storage.exists(f"{s3_root}/p/.lock")


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "sources" / "inventory=x"
    folder.mkdir(parents=True)
    (folder / "data.parquet").write_text("<html>")
    with pytest.raises(InputError, match=r"inventory=x/data\.parquet: not readable as Parquet"):
        storage.read_table(SOURCES, str(tmp_path / "sources"))


def test_a_manifest_that_lists_a_missing_file_is_named(tmp_path: Path) -> None:
    path = Path(storage.write_partition(SOURCES, str(tmp_path / "sources"), {"inventory": "x"}, sources("a")))
    (path / "data.parquet").unlink()
    with pytest.raises(InputError, match="no such file, though its manifest lists it"):
        storage.read_table(SOURCES, str(tmp_path / "sources"))


def test_optional_columns_may_be_absent_and_others_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "sources" / "inventory=x"
    folder.mkdir(parents=True)
    pq.write_table(sources("a").drop_columns(["owner", "licence", "provenance"]), folder / "data.parquet")
    assert storage.read_table(SOURCES, str(tmp_path / "sources"))["owner"].to_pylist() == [None]
    pq.write_table(sources("a").drop_columns(["longitude"]), folder / "data.parquet")
    with pytest.raises(InputError, match="no column longitude"):
        storage.read_table(SOURCES, str(tmp_path / "sources"))


def test_keys_and_schemes_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="allowed: keys inventory"):
        storage.write_partition(SOURCES, str(tmp_path), {"area": "x"}, sources("a"))
    with pytest.raises(ConfigurationError, match="without '/'"):
        storage.write_partition(SOURCES, str(tmp_path), {"inventory": "../x"}, sources("a"))
    with pytest.raises(ConfigurationError, match="'gs'"):
        storage.exists("gs://bucket/x")


def test_a_failed_write_leaves_the_former_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"
    storage.write_json(str(file), {"a": 1})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        storage.write_json(str(file), {"a": 2})
    monkeypatch.undo()
    assert json.loads(file.read_text()) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_plumes_are_geoparquet(tmp_path: Path) -> None:
    path = storage.write_partition(
        PLUMES, str(tmp_path), {"method": "multi_pass", "area": "a", "date": "2025-01-01"}, PLUMES.empty()
    )
    geo = json.loads(pq.read_schema(f"{path}/data.parquet").metadata[b"geo"])
    assert geo["version"] == "1.1.0" and geo["primary_column"] == "geometry"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_every_table_can_be_empty_and_is_conformed_to_itself(table: object) -> None:
    assert table.conform(table.empty()).schema.names == table.schema.names  # type: ignore[attr-defined]


def test_a_big_table_s_columns_are_all_compressed() -> None:
    rows = SOUNDINGS.from_pylist([{f.name: None for f in SOUNDINGS.schema}])
    buffer = pa.BufferReader(storage.parquet_bytes(SOUNDINGS, rows))
    group = pq.ParquetFile(buffer).metadata.row_group(0)
    assert {group.column(i).compression for i in range(group.num_columns)} == {"ZSTD"}


def test_a_waiter_for_a_lock_that_is_removed_takes_the_new_one(tmp_path: Path) -> None:
    holder, waiting = storage.lock(str(tmp_path)), threading.Event()

    def wait() -> bool:
        waiting.set()
        with storage.lock(str(tmp_path)):
            return (tmp_path / storage.LOCK).exists()

    with ThreadPoolExecutor(1) as pool:
        with holder:
            done = pool.submit(wait)
            waiting.wait()
            time.sleep(0.2)  # so that it has opened the file; where it hasn't, the test can't fail
            (tmp_path / storage.LOCK).unlink()
        assert done.result()


def test_a_bucket_that_may_not_be_listed_is_no_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    settings = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in (settings | keys).items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3").clear_instance_cache()
    try:
        for path in ("s3://bucket", "s3://bucket/prefix"):
            with pytest.raises(PermissionError, match="no access"):
                storage.list_files(path)
            with pytest.raises(PermissionError, match="no access"):
                storage.list_partitions(SOURCES, path)
    finally:
        server.shutdown()
        server.server_close()
        fsspec.filesystem("s3").clear_instance_cache()
