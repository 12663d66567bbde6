"""Files of tables: their bytes, what is wrong with one, how they are packed."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.storage.parquet import iter_parquet
from plumewatch.tables import PIXELS, PLUMES, REVIEWS, SOUNDINGS, SOURCES, TABLES, WIND
from stored_rows import sources


def test_the_same_rows_give_the_same_bytes() -> None:
    assert storage.parquet_bytes(SOURCES, sources("a", "b")) == storage.parquet_bytes(SOURCES, sources("b", "a"))


def test_a_time_beyond_the_table_is_refused_and_finer_ones_lose_digits() -> None:
    def at(value: int, unit: str) -> pa.Table:
        times = pa.array([value], pa.timestamp(unit, "UTC"))
        return WIND.from_pylist([{"longitude": 1.0}]).set_column(0, "observed_at_utc", times)

    assert WIND.conform(at(1_000_000_001, "ns"))["observed_at_utc"][0].value == 1_000_000
    with pytest.raises(InputError, match="column observed_at_utc is timestamp"):
        WIND.conform(at(10**13, "s"))


def test_rows_keep_their_further_columns() -> None:
    assert PIXELS.from_pylist([{"scene_id": "a", "b08": 0.5}])["b08"].to_pylist() == [0.5]


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "sources" / "inventory=x"
    folder.mkdir(parents=True)
    (folder / "data.parquet").write_text("<html>")
    with pytest.raises(InputError, match=r"inventory=x/data\.parquet: not readable as Parquet"):
        storage.read_table(SOURCES, str(tmp_path / "sources"))


def test_optional_columns_may_be_absent_and_others_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "sources" / "inventory=x"
    folder.mkdir(parents=True)
    pq.write_table(sources("a").drop_columns(["owner", "licence", "provenance"]), folder / "data.parquet")
    assert storage.read_table(SOURCES, str(tmp_path / "sources"))["owner"].to_pylist() == [None]
    pq.write_table(sources("a").drop_columns(["longitude"]), folder / "data.parquet")
    with pytest.raises(InputError, match="no column longitude"):
        storage.read_table(SOURCES, str(tmp_path / "sources"))


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


@pytest.mark.parametrize("at_us", [-(2**62), 2**62])
def test_a_time_that_no_calendar_has_is_named(tmp_path: Path, at_us: int) -> None:
    rows = REVIEWS.from_pylist(
        [{"detection_id": "a", "longitude": 1.0, "latitude": 2.0, "verdict": "confirm", "by": "b"}]
    )
    times = pa.array([at_us], pa.int64()).cast(REVIEWS.schema.field("at").type)
    rows = rows.set_column(rows.schema.get_field_index("at"), "at", times)
    path = f"{tmp_path}/data.parquet"
    pq.write_table(rows, path)
    for read in (lambda: storage.read_parquet(REVIEWS, path), lambda: list(iter_parquet(REVIEWS, path, ["at"]))):
        with pytest.raises(InputError, match=r"data\.parquet: at beyond the years 1 to 9999"):
            read()
