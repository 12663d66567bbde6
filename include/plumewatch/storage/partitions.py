"""Partitions of tables: listed, read, replaced whole, or, where several write, their own rows of it.

A partition is a folder of `key=value` components. One-file tables are replaced by one rename (folder) or one PUT (S3);
big tables consist of the files that their `_manifest.json` lists, which is written last. Nothing else is a commit.

Beside the one file the manifest comes last too, so that it may be of the write before for a moment, or for good where a
writer died in between. The file holds its own, by which `overdue_manifest` tells, and `settle_manifest` mends it.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import __version__
from plumewatch.errors import ConfigurationError, InputError, reading
from plumewatch.keys import is_file_name
from plumewatch.storage.files import (
    ASIDE,
    StoredFile,
    delete,
    exists,
    filesystem,
    join,
    json_bytes,
    parent,
    read_bytes,
    stored_files,
    write_bytes,
)
from plumewatch.storage.folders import MANIFEST, WRITING, folder_content, is_partition_value
from plumewatch.storage.listing import Partition, Where, list_partitions, partition_path, values_of
from plumewatch.storage.locks import lock
from plumewatch.storage.parquet import (
    Ranges,
    iter_parquet,
    manifest_within,
    parquet_bytes,
    read_parquet,
    read_ranges,
    write_parquet,
)
from plumewatch.table import Table

MANIFEST_FORM = "the manifest that the writing job left: JSON with a list `files` of files in this folder"
DATA_FILE = "data.parquet"
LEFT_BEHIND = re.compile(rf".+\.parquet|\..+\.parquet\.\w+({re.escape(ASIDE)})?")
"""Whole files, and what lay aside until it was one, also by the names of before 2026-12."""
STALE_FILE_AGE_S = 3600.0  # unlisted files younger than this may belong to a reader or to a writer at work

log = logging.getLogger(__name__)


class Origin(TypedDict, total=False):
    """What a manifest says of how its partition came about."""

    inputs: Collection[str]
    """The paths that it was made from."""
    settings: Mapping[str, Any]
    """What it was made with; `calibration` is a version."""
    counts: Mapping[str, int]
    """Rows by status."""
    extra: Mapping[str, Any]
    """Further keys of the manifest."""


def read_manifest(path: str) -> dict[str, Any] | None:
    """Return the manifest of a partition folder, None where it has none.

    What `Origin` and `write_partition` put there is of its type, where it is there at all; `files` always is, and names
    files of this folder. InputError names a manifest of another form.
    """
    file = join(path, MANIFEST)
    try:
        content = read_bytes(file)
    except FileNotFoundError:
        return None
    with reading(file, MANIFEST_FORM, "not JSON"):
        manifest = json.loads(content)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), list):
        raise InputError(file, "no list `files`", MANIFEST_FORM)
    for name, is_good in _MANIFEST_PARTS.items():
        if name in manifest and not is_good(manifest[name]):
            raise InputError(file, f"{name} {str(manifest[name])[:80]}", MANIFEST_FORM)
    return manifest


def _is_list_of(is_good: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_good, value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_MANIFEST_PARTS: Mapping[str, Callable[[Any], bool]] = {
    "files": _is_list_of(is_file_name),
    "rows": _is_count,
    "inputs": _is_list_of(lambda value: isinstance(value, str)),
    "settings": lambda value: isinstance(value, dict),
    "versions": lambda value: isinstance(value, dict),
    "counts": lambda value: isinstance(value, dict) and all(map(_is_count, value.values())),
    "observations": _is_list_of(lambda value: isinstance(value, dict)),
    "references": lambda value: isinstance(value, dict) and all(isinstance(v, list) for v in value.values()),
}
"""What is read of a manifest, and whether it is of its form."""


def partition_files(partition: Partition) -> list[str]:
    """Return the data files of a partition: what its manifest lists; all Parquet files where there is no manifest."""
    manifest = read_manifest(partition.path)
    if manifest is not None:
        return [join(partition.path, name) for name in manifest["files"]]
    fs, inner = filesystem(partition.path)
    return [join(partition.path, name) for name in folder_content(fs, inner).parquet]


def read_table(
    table: Table,
    path: str,
    columns: Sequence[str] | None = None,
    where: Where | None = None,
    filter: pc.Expression | None = None,
) -> pa.Table:
    """Return the rows at or below `path`, with the partition columns as strings.

    `columns` narrows to some columns (of files or partitions), `where` to partitions, `filter` to rows by a condition
    on columns of the files. No such path is a table without rows.
    """
    in_files = None if columns is None else [c for c in columns if c not in table.partitions]
    parts = []
    for partition in list_partitions(table, path, where):
        for file in partition_files(partition):
            rows = read_parquet(table, file, in_files, filter)
            for name in table.partitions:
                if columns is None or name in columns:
                    rows = rows.append_column(
                        pa.field(name, pa.string()),
                        pa.repeat(pa.scalar(partition.keys.get(name), pa.string()), len(rows)),
                    )
            parts.append(rows)
    if parts:
        return pa.concat_tables(parts, promote_options="default")
    empty = table.full_schema().empty_table()
    return empty if columns is None else empty.select([c for c in columns if c in empty.column_names])


def iter_partition(
    table: Table, partition: Partition, columns: Sequence[str], within: Sequence[Ranges] = ()
) -> Iterator[pa.Table]:
    """Yield the rows of one partition piece by piece, so that memory is bounded: see `iter_parquet`."""
    for file in partition_files(partition):
        yield from iter_parquet(table, file, columns, within)


def partition_ranges(table: Table, partition: Partition, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the ranges of columns of whole numbers over a partition, by the statistics of its files."""
    files = [ranges for file in partition_files(partition) if (ranges := read_ranges(table, file, names))]
    return {
        name: (min(one[name][0] for one in files), max(one[name][1] for one in files))
        for name in names
        if files and all(name in one for one in files)
    }


def write_partition(
    table: Table,
    root: str,
    keys: Mapping[str, str],
    rows: pa.Table,
    **origin: Unpack[Origin],
) -> str:
    """Replace one partition by `rows` in one file and return its folder."""
    _check_keys(table, keys)
    rows = table.conform(rows)
    path = partition_path(root, keys)
    manifest = manifest_bytes([DATA_FILE], rows.num_rows, **origin)
    write_bytes(join(path, DATA_FILE), parquet_bytes(table, rows, manifest))
    _write_manifest(path, manifest)
    return path


def overdue_manifest(path: str) -> bytes | None:
    """Return the manifest that a partition of one file should have by that file; None where it has it, or none is told.

    What it has is then of another write: one is at work, or died before the manifest.
    """
    file = join(path, DATA_FILE)
    if not exists(file) or (told := manifest_within(file)) is None:
        return None
    target = join(path, MANIFEST)
    return told if not exists(target) or read_bytes(target) != told else None


def settle_manifest(path: str) -> None:
    """Give a partition of one file the manifest of that file; a writer at work meanwhile has the last word."""
    while (told := overdue_manifest(path)) is not None:
        write_bytes(join(path, MANIFEST), told)


def write_part(folder: str, name: str, content: bytes) -> None:
    """Write one of the files that `publish_partition` makes the content of a partition's folder, atomically.

    Until then nobody takes some of them for all: a folder that has no manifest yet says that it is being written.
    """
    if not exists(join(folder, MANIFEST)):
        write_bytes(join(folder, WRITING), b"")
    write_bytes(join(folder, name), content)


def publish_partition(
    table: Table,
    root: str,
    keys: Mapping[str, str],
    files: Sequence[str],
    rows: int,
    **origin: Unpack[Origin],
) -> str:
    """Make `files` (names in the partition's folder, already written) its content, and return its folder.

    What neither this nor the former manifest lists and is older than an hour is removed: left by a writer that died.
    """
    _check_keys(table, keys)
    path = partition_path(root, keys)
    try:
        former = read_manifest(path)
    except InputError as error:  # left by somebody else, or cut off: this publication replaces it
        log.warning("%s", error)
        former = None
    if not files:
        write_parquet(table, join(path, DATA_FILE), table.empty())
        files = [DATA_FILE]
    _write_manifest(path, manifest_bytes(sorted(files), rows, **origin))
    for file in left_behind(path, {*files, *(former["files"] if former else ())}):
        delete(file)
    return path


def left_behind(path: str, keep: Collection[str], older_than_s: float = STALE_FILE_AGE_S) -> list[str]:
    """Return what a partition that is published has no use for: the mark that it was being written, and files of
    writers that died, which are older than that and none of those to `keep`.
    """

    def is_left(file: StoredFile) -> bool:
        name, age_s = file.path.rsplit("/", 1)[-1], time.time() - file.modified_at.timestamp()
        return name == WRITING or (name not in keep and bool(LEFT_BEHIND.fullmatch(name)) and age_s > older_than_s)

    return [file.path for file in stored_files(path) if parent(file.path) == path.rstrip("/") and is_left(file)]


def _check_keys(table: Table, keys: Mapping[str, str]) -> None:
    if tuple(keys) != table.partitions:
        raise ConfigurationError(f"{table.name}: partition {dict(keys)}; allowed: keys {', '.join(table.partitions)}")
    for name, value in keys.items():
        if not is_partition_value(name, value) or "/" in value or value.startswith("."):
            raise ConfigurationError(f"{table.name}: {name}={value!r}; allowed: {values_of(name)}, without '/'")


def manifest_bytes(files: Sequence[str], rows: int, **origin: Unpack[Origin]) -> bytes:
    """Return the manifest of a partition of `files` with that many rows."""
    settings = dict(origin.get("settings", {}))
    versions = {"software": __version__, "calibration": settings.pop("calibration", None)}
    return json_bytes(
        {
            "files": list(files),
            "rows": rows,
            "inputs": sorted(origin.get("inputs", ())),
            "settings": settings,
            "versions": versions,
            "counts": dict(origin.get("counts", {})),
            **origin.get("extra", {}),
        }
    )


def _write_manifest(path: str, content: bytes) -> None:
    target = join(path, MANIFEST)
    # One that says the same is left alone: its age tells since when the partition has been what it is.
    if not exists(target) or read_bytes(target) != content:
        write_bytes(target, content)


def change_rows(table: Table, root: str, keys: Mapping[str, str], change: Callable[[pa.Table], pa.Table]) -> str:
    """Replace the rows of a partition by what `change` makes of them, under a lock; return the partition's folder."""
    _check_keys(table, keys)
    path = partition_path(root, keys)
    with lock(path):
        is_there = exists(join(path, DATA_FILE))  # its first writer may have died before the manifest
        existing = read_table(table, path).select(table.schema.names) if is_there else table.empty()
        return write_partition(table, root, keys, change(existing))


def replace_rows(
    table: Table,
    root: str,
    keys: Mapping[str, str],
    rows: pa.Table,
    owns: Callable[[pa.Table], pa.Array | pa.ChunkedArray],
) -> str:
    """Replace a writer's own rows of a partition and keep the others', under a lock; return the partition's folder.

    `owns` says which rows of the existing table (bool for each) are the writer's.
    """

    def change(existing: pa.Table) -> pa.Table:
        others = existing.filter(pc.invert(pc.fill_null(owns(existing), False)))
        return pa.concat_tables([others, table.conform(rows).select(table.schema.names)])

    return change_rows(table, root, keys, change)
