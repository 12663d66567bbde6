"""Partitions that the first version of a table has written stay readable, beside those of today.

`first_columns.json` has the columns that files of each table had at first, and their types; a table that gains a column
leaves it as it is. A new table is put there with what it begins with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from plumewatch import storage
from plumewatch.at_hand.described import describe_storage
from plumewatch.table import Table
from plumewatch.tables import TABLES

FIRST: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("first_columns.json").read_text())
KEYS = {"date": "2025-08-21", "month": "2025-08", "key": "2025-08-21", "period": "2025-08-21"}
VALUES: dict[str, Any] = {"string": "a", "bool": True, "binary": b"x", "list<item: string>": ["a"]}
N = 3
WIDER = {("plumes", "probability"): pa.float64()}
"""What the first version had of columns that have less digits now, as others rely on it."""


def _first_file(table: Table, folder: Path) -> pa.Table:
    """Write a partition as the first version left it: these columns, and a manifest that says as little."""
    types = {name: WIDER.get((table.name, name), table.schema.field(name).type) for name in FIRST[table.name]}
    columns = {name: _values(stated, types[name]) for name, stated in FIRST[table.name].items()}
    folder.mkdir(parents=True)
    rows = pa.table(columns)
    pq.write_table(rows, folder / "data.parquet", compression="zstd")
    (folder / "_manifest.json").write_text(json.dumps({"files": ["data.parquet"], "rows": N, "inputs": []}))
    return rows


def _values(stated: str, kind: pa.DataType) -> pa.Array:
    assert str(kind) == stated, "a column that is of another type now"
    if pa.types.is_timestamp(kind):
        return pa.array([n * 3_600_000_000 for n in range(N)], pa.int64()).cast(kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return pa.array([n if is_number else VALUES.get(stated) for n in range(N)], kind)


def test_every_table_says_what_it_began_with() -> None:
    assert FIRST.keys() == TABLES.keys()


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_a_partition_of_the_first_version_is_read_filtered_and_replaced(table: Table, tmp_path: Path) -> None:
    root = f"{tmp_path}/{table.name}"
    keys = {name: KEYS.get(name, "x") for name in table.partitions}
    first = _first_file(table, Path(storage.partition_path(root, keys)))
    gained = [name for name in table.schema.names if name not in FIRST[table.name]]
    rows = storage.read_table(table, root)
    assert rows.num_rows == N and all(rows[name].null_count == N for name in gained)
    assert all(rows[name].equals(first[name].cast(rows[name].type)) for name in first.column_names)
    number = next(f.name for f in table.schema if f.name in first.column_names)
    some = storage.read_table(table, root, [*gained, number], filter=pc.field(number) == first[number][0])
    assert some.column_names == [*gained, number] and 1 <= some.num_rows <= N
    [partition] = storage.list_partitions(table, root)
    pieces = pa.concat_tables(storage.iter_partition(table, partition, [number, *gained]))
    assert pieces.num_rows == N
    others = keys | {table.partitions[-1]: "2025-09-21" if "date" in keys or "key" in keys else "2025-09"}
    storage.write_partition(table, root, others, table.conform(first))
    both = storage.read_table(table, root)
    assert both.num_rows == 2 * N and both.schema.names[: len(table.schema)] == table.schema.names
    path = storage.replace_rows(table, root, keys, table.empty(), lambda existing: pa.array([False] * len(existing)))
    assert pq.read_schema(f"{path}/data.parquet").names == table.schema.names, "what is written again has all columns"
    assert storage.read_table(table, path).select(table.schema.names).num_rows == N
    assert [(d.name, d.n_rows, d.flaws) for d in describe_storage(str(tmp_path))] == [(table.name, 2 * N, ())]
