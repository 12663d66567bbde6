"""Whether two storage roots hold equal tables: `python -m tools.equality ROOT ROOT`.

Compared are all columns of all tables but run_id and the times of failed_scenes and processing_units, which tell when
something was done and not what came of it.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plumewatch import storage
from plumewatch.table import Table
from plumewatch.tables import TABLES

TOLD_BY_THE_CLOCK = {"run_id", "first_failed_at_utc", "last_failed_at_utc", "healed_at_utc", "begun_at_utc"}

Contents = dict[str, pa.Table]
"""Rows of each table, sorted by its key, without what the clock tells."""


def read_contents(root: str, last_key: str | None = None) -> Contents:
    """Return all tables of a storage root; observations and failed scenes up to `last_key` where one is given."""
    return {name: _comparable(table, root, last_key) for name, table in TABLES.items()}


def _comparable(table: Table, root: str, last_key: str | None) -> pa.Table:
    rows = storage.read_table(table, storage.join(root, table.name))
    if last_key and "key" in table.partitions:
        rows = rows.filter(pc.less_equal(rows["key"], last_key))
    if table.name == "failed_scenes":
        rows = rows.drop_columns([c for c in rows.column_names if c in TOLD_BY_THE_CLOCK])
    keys = [c for c in (*table.partitions, *table.sort_by) if c in rows.column_names]
    return rows.sort_by([(name, "ascending") for name in keys]) if rows.num_rows else rows


def differences(first: Contents, second: Contents) -> list[str]:
    """Return one line a table: equal or not; those that aren't start with DIFFERENT."""
    lines = []
    for name in first:
        a, b = first[name], second[name]
        columns = [c for c in a.column_names if c not in b.column_names or not _equal(a[c], b[c])]
        columns += [c for c in b.column_names if c not in a.column_names]
        if a.num_rows != b.num_rows:
            lines.append(f"DIFFERENT {name}: {a.num_rows} rows and {b.num_rows} rows")
        elif columns:
            lines.append(f"DIFFERENT {name}: {a.num_rows} rows, in {', '.join(columns)}")
        else:
            lines.append(f"equal     {name}: {a.num_rows} rows")
    return lines


def _equal(a: pa.ChunkedArray, b: pa.ChunkedArray) -> bool:
    """Equal in every row, NaN equal to NaN."""
    if pa.types.is_floating(a.type) and a.type == b.type:
        return len(a) == len(b) and bool(np.array_equal(a.to_numpy(), b.to_numpy(), equal_nan=True))
    return a.equals(b)


def main() -> None:
    """Two roots; exit code 1 where a table differs."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    first = read_contents(sys.argv[1])
    if not any(table.num_rows for table in first.values()):
        sys.exit(f"{sys.argv[1]}: no rows in any table")
    lines = differences(first, read_contents(sys.argv[2]))
    print("\n".join(lines))
    sys.exit(any(line.startswith("DIFFERENT") for line in lines))


if __name__ == "__main__":
    main()
