"""What a table holds: how many rows of which days, how new, and the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from plumewatch import storage
from plumewatch.at_hand.listing import path_below
from plumewatch.errors import InputError
from plumewatch.http import side_by_side
from plumewatch.storage import StoredFile
from plumewatch.table import Table
from plumewatch.tables import TABLES


@dataclass(frozen=True)
class Described:
    """What is stored in one folder of the storage root."""

    name: str
    n_partitions: int | None
    """None where the folder is no table."""
    n_rows: int | None
    """By manifests, or else by the files; None where the folder is no table."""
    first: str | None
    """The first value of the last partition column: a day, a month, an inventory."""
    last: str | None
    n_files: int
    n_bytes: int
    written_at: datetime
    """When the newest file was written (UTC)."""
    flaws: tuple[str, ...]
    """What in the folder can't be read, a line each."""


def find_table(name: str) -> Table:
    """Return the table of that name; InputError names those that there are."""
    if name not in TABLES:
        raise InputError(name, "no table", ", ".join(sorted(TABLES)))
    return TABLES[name]


def describe_storage(root: str) -> list[Described]:
    """Return what each folder of a storage root holds, sorted by name; hidden names are left out."""
    folders: dict[str, list[StoredFile]] = {}
    for file in storage.stored_files(root):
        top, slash, _ = path_below(root, file.path).partition("/")
        if slash and not top.startswith((".", "_")):
            folders.setdefault(top, []).append(file)
    return [_described(root, name, files) for name, files in sorted(folders.items())]


def _described(root: str, name: str, files: Sequence[StoredFile]) -> Described:
    size, newest = sum(file.n_bytes for file in files), max(file.modified_at for file in files)
    if name not in TABLES:
        return Described(name, None, None, None, None, len(files), size, newest, ())
    table, flaws = TABLES[name], list[str]()
    found = storage.list_partitions(table, storage.join(root, name), on_stray=lambda error: flaws.append(str(error)))

    def count(partition: storage.Partition) -> int:
        try:
            return count_rows(partition)
        except InputError as error:
            flaws.append(str(error))
            return 0

    n_rows = sum(side_by_side(count, found, f"{name} counted", "partitions"))
    keys = [p.keys[table.partitions[-1]] for p in found if table.partitions[-1] in p.keys]
    first, last = min(keys, default=None), max(keys, default=None)
    return Described(name, len(found), n_rows, first, last, len(files), size, newest, tuple(flaws))


def count_rows(partition: storage.Partition) -> int:
    """Return the rows of a partition by its manifest, by its files where there is none; InputError where neither can
    be read.
    """
    manifest = storage.read_manifest(partition.path)
    if manifest is not None and "rows" in manifest:
        return int(manifest["rows"])
    return sum(int(storage.read_metadata(file).num_rows) for file in storage.partition_files(partition))


def preview_rows(
    table: Table, path: str, where: Mapping[str, str], n_rows: int, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the first rows of a table at or below `path`, with its partition columns; no more is read than they need.

    `where` narrows to partitions, `columns` to columns. InputError names a column or partition that the table lacks.
    """
    known = [*table.full_schema().names, *table.further]
    if unknown := sorted(set(columns or ()) - set(known)):
        raise InputError(table.name, f"no column {', '.join(unknown)}", ", ".join(known))
    if unknown := sorted(set(where) - set(table.partitions)):
        raise InputError(table.name, f"no partition {', '.join(unknown)}=", ", ".join(table.partitions))
    shown = list(columns or table.full_schema().names)
    in_files = [name for name in shown if name not in table.partitions] or table.schema.names[:1]
    read = [table.full_schema().empty_table().select([n for n in shown if n not in table.further])]
    left = n_rows
    for partition in storage.list_partitions(table, path, where):
        for rows in storage.iter_partition(table, partition, in_files):
            some = rows.slice(0, left)
            for name in table.partitions:
                some = some.append_column(name, pa.repeat(pa.scalar(partition.keys.get(name), pa.string()), len(some)))
            read.append(some.select([name for name in shown if name in some.column_names]))
            if (left := left - len(some)) <= 0:
                return pa.concat_tables(read, promote_options="default")
    return pa.concat_tables(read, promote_options="default")
