"""Partitions of tables: listed, read, replaced whole, or, where several write, their own rows of it.

A partition is a folder of `key=value` components. One-file tables are replaced by one rename (folder) or one PUT (S3);
big tables consist of the files that their `_manifest.json` lists, which is written last. Nothing else is a commit: a
writer that dies before the manifest has changed nothing that a reader sees.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import __version__
from plumewatch.errors import ConfigurationError, InputError, reading
from plumewatch.keys import is_file_name
from plumewatch.storage.files import exists, filesystem, is_there, join, json_bytes, read_bytes, write_bytes
from plumewatch.storage.locks import lock
from plumewatch.storage.parquet import parquet_bytes, read_parquet, write_parquet
from plumewatch.tables import Table

MANIFEST = "_manifest.json"
MANIFEST_FORM = "the manifest that the writing job left: JSON with a list `files` of files in this folder"
DATA_FILE = "data.parquet"
STALE_FILE_AGE_S = 3600.0  # unlisted files younger than this may belong to a reader or to a writer at work

log = logging.getLogger(__name__)

Where = Mapping[str, str | Collection[str]]


@dataclass(frozen=True)
class Partition:
    """One folder that holds rows of a table."""

    path: str
    """With the scheme that the caller used."""
    keys: dict[str, str]
    """Partition columns and their values, read from the path."""


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


def partition_path(root: str, keys: Mapping[str, str]) -> str:
    """Return the folder of a partition below a table's root."""
    return join(root, *(f"{name}={value}" for name, value in keys.items())) if keys else root.rstrip("/")


def keys_in_path(table: Table, path: str) -> dict[str, str]:
    """Return the partition columns of `table` that the folders of `path` name, from its end up to the table's root.

    A folder above the root that looks like one of them, as of a storage root in .../date=2025-01-01/, says nothing.
    """
    return _root_and_keys(table.partitions, path)[1]


def folder_keys(names: Sequence[str], folder: str) -> dict[str, str]:
    """Return the values of the `key=value` folders called `names` at the end of `folder`, as keys_in_path does.

    >>> folder_keys(("area", "date"), "/x/date=2024/scenes/area=dune/date=2025-08-21")
    {'area': 'dune', 'date': '2025-08-21'}
    """
    return _root_and_keys(names, folder)[1]


def table_root(table: Table, path: str) -> str:
    """Return the table's root, given the root itself or any partition folder, or file of one, below it."""
    return _root_and_keys(table.partitions, path)[0]


def _root_and_keys(names: Sequence[str], path: str) -> tuple[str, dict[str, str]]:
    parts, keys = path.rstrip("/").split("/"), dict[str, str]()
    if parts[-1] == MANIFEST or parts[-1].endswith(".parquet"):
        parts.pop()
    while parts:
        name, separator, value = parts[-1].partition("=")
        if not separator or name not in names or name in keys:
            break
        keys[name] = value
        parts.pop()
    return "/".join(parts), dict(reversed(keys.items()))


def list_partitions(
    table: Table, path: str, where: Where | None = None, on_stray: Callable[[InputError], None] | None = None
) -> list[Partition]:
    """Return the partitions at or below `path` that fit `where` (column: value or values), sorted by path.

    Rows outside of partition folders raise InputError; with `on_stray` they are told there and passed over.
    """
    allowed = {k: {v} if isinstance(v, str) else set(v) for k, v in (where or {}).items()}
    fs, inner = filesystem(path)
    keys = keys_in_path(table, path)
    if any(keys.get(name, next(iter(values), None)) not in values for name, values in allowed.items()):
        return []
    if not is_there(fs, inner):
        return []
    if fs.isfile(inner):
        raise InputError(path, "a file", f"the root of the table {table.name}, or a partition folder below it")
    return sorted(_walk(fs, table, path.rstrip("/"), keys, allowed, on_stray), key=lambda partition: partition.path)


def _walk(
    fs: fsspec.AbstractFileSystem,
    table: Table,
    path: str,
    keys: dict[str, str],
    allowed: Mapping[str, set[str]],
    on_stray: Callable[[InputError], None] | None,
) -> Iterator[Partition]:
    folders, has_rows = [], False
    for entry in fs.ls(filesystem(path)[1], detail=True):
        name = entry["name"].rstrip("/").rsplit("/", 1)[-1]
        key, _, value = name.partition("=")
        if entry["type"] == "directory" and key in table.partitions and key not in keys:
            if value in allowed.get(key, {value}):
                folders.append((name, {**keys, key: value}))
        else:
            has_rows |= _holds_rows(name)
    if has_rows:
        missing = [name for name in table.partitions if name not in keys]
        if missing and not table.may_be_flat:
            found = f"rows outside of {'/'.join(f'{name}=...' for name in missing)} folders"
            error = InputError(path, found, f"{table.name}/" + "/".join(f"{name}=..." for name in table.partitions))
            if on_stray is None:
                raise error
            on_stray(error)
        else:
            yield Partition(path, keys)
    for name, deeper in folders:
        yield from _walk(fs, table, join(path, name), deeper, allowed, on_stray)


def _holds_rows(name: str) -> bool:
    return name == MANIFEST or (name.endswith(".parquet") and not name.startswith((".", "_")))


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
    names = (entry.rsplit("/", 1)[-1] for entry in fs.ls(inner, detail=False))
    return [join(partition.path, name) for name in sorted(names) if name != MANIFEST and _holds_rows(name)]


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
    write_bytes(join(path, DATA_FILE), parquet_bytes(table, rows))
    _write_manifest(path, [DATA_FILE], rows.num_rows, origin)
    return path


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
    _write_manifest(path, sorted(files), rows, origin)
    keep = {*files, *(former["files"] if former else ())}
    fs, inner = filesystem(path)
    for entry in fs.ls(inner, detail=True):
        name = entry["name"].rsplit("/", 1)[-1]
        if name.endswith(".parquet") and name not in keep and _age_s(fs, entry) > STALE_FILE_AGE_S:
            fs.rm_file(entry["name"])
    return path


def _age_s(fs: fsspec.AbstractFileSystem, entry: Mapping[str, Any]) -> float:
    return time.time() - fs.modified(entry["name"]).timestamp()


def _check_keys(table: Table, keys: Mapping[str, str]) -> None:
    if tuple(keys) != table.partitions:
        raise ConfigurationError(f"{table.name}: partition {dict(keys)}; allowed: keys {', '.join(table.partitions)}")
    for name, value in keys.items():
        if not value or "/" in value or value.startswith("."):
            raise ConfigurationError(f"{table.name}: {name}={value!r}; allowed: a name without '/'")


def _write_manifest(path: str, files: Sequence[str], rows: int, origin: Origin) -> None:
    settings = dict(origin.get("settings", {}))
    versions = {"software": __version__, "calibration": settings.pop("calibration", None)}
    manifest = {
        "files": list(files),
        "rows": rows,
        "inputs": sorted(origin.get("inputs", ())),
        "settings": settings,
        "versions": versions,
        "counts": dict(origin.get("counts", {})),
        **origin.get("extra", {}),
    }
    target = join(path, MANIFEST)
    content = json_bytes(manifest)
    # One that says the same is left alone: its age tells since when the partition has been what it is.
    if not exists(target) or read_bytes(target) != content:
        write_bytes(target, content)


def change_rows(table: Table, root: str, keys: Mapping[str, str], change: Callable[[pa.Table], pa.Table]) -> str:
    """Replace the rows of a partition by what `change` makes of them, under a lock; return the partition's folder."""
    _check_keys(table, keys)
    path = partition_path(root, keys)
    with lock(path):
        existing = read_table(table, path).select(table.schema.names) if exists(join(path, MANIFEST)) else table.empty()
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
