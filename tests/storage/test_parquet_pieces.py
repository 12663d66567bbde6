"""A file read piece by piece: no row is missing or twice, and row groups that can't hold what is wanted aren't read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.storage.parquet import iter_parquet, read_ranges
from plumewatch.table import Table

ROWS = 1000
TABLE = Table("cells", ("area",), pa.schema([("row", pa.int32()), ("col", pa.int32()), ("b11", pa.float32())]), ())


def write(path: Path, **more: object) -> Path:
    at = np.arange(ROWS, dtype=np.int32)
    rows = pa.table({"row": at // 10 - 20, "col": at % 10, "b11": at.astype(np.float32)}, schema=TABLE.schema)
    pq.write_table(rows, path, row_group_size=100, **more)
    return path


@pytest.mark.parametrize("statistics", [True, False])
def test_all_rows_come_once_and_their_ranges_are_known(tmp_path: Path, statistics: bool) -> None:
    path = write(tmp_path / "a.parquet", write_statistics=statistics)
    rows = pa.concat_tables(iter_parquet(TABLE, str(path), ["b11", "row"]))
    assert rows.column_names == ["b11", "row"] and rows["b11"].to_pylist() == list(range(ROWS))
    assert read_ranges(TABLE, str(path), ("row", "col")) == {"row": (-20, 80), "col": (0, 10)}


def test_row_groups_beside_all_windows_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    within = [{"row": (-20, -19), "col": (0, 5)}, {"row": (79, 90), "col": (9, 10)}, {"row": (0, 5), "col": (10, 20)}]
    read = pa.concat_tables(iter_parquet(TABLE, str(path), ["row"], within))["row"].to_pylist()
    assert sorted(set(read)) == [*range(-20, -10), *range(70, 80)]
    assert list(iter_parquet(TABLE, str(path), ["row"], [{"row": (500, 600)}])) == []


def test_a_partition_is_all_of_its_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet")
    partition = storage.Partition(str(tmp_path), {})
    assert sum(rows.num_rows for rows in storage.iter_partition(TABLE, partition, ["row"])) == 2 * ROWS
    assert storage.partition_ranges(TABLE, partition, ("col",)) == {"col": (0, 10)}


def test_no_rows_have_no_ranges_and_what_is_no_parquet_is_named(tmp_path: Path) -> None:
    pq.write_table(TABLE.empty(), tmp_path / "empty.parquet")
    assert read_ranges(TABLE, str(tmp_path / "empty.parquet"), ("row",)) == {}
    (tmp_path / "page.parquet").write_bytes(b"<html>")
    for read in (lambda path: list(iter_parquet(TABLE, path, ["row"])), lambda path: read_ranges(TABLE, path, ["row"])):
        with pytest.raises(InputError, match=r"page.parquet.*Parquet"):
            read(str(tmp_path / "page.parquet"))
