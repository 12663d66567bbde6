"""Where the partitions of a table are: their folders, the keys in a path, and what lies beside them.

A partition is a folder of `key=value` components. Links are followed; what is neither a partition nor a file of rows is
named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import fsspec

from plumewatch.errors import InputError
from plumewatch.keys import AS_WRITTEN
from plumewatch.storage.files import filesystem, is_there, join
from plumewatch.storage.folders import (
    KEY_FORMS,
    MANIFEST,
    folder_content,
    is_parquet,
    is_partition_value,
    name_other_files,
    name_unread,
)
from plumewatch.table import Table

Where = Mapping[str, str | Collection[str]]
OnStray = Callable[[InputError], None]


@dataclass(frozen=True)
class Partition:
    """One folder that holds rows of a table."""

    path: str
    """With the scheme that the caller used."""
    keys: dict[str, str]
    """Partition columns and their values, read from the path."""


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
    if parts[-1] == MANIFEST or ("=" not in parts[-1] and is_parquet(parts[-1])):
        parts.pop()
    while parts:
        name, separator, value = parts[-1].partition("=")
        if not separator or name not in names or name in keys:
            break
        keys[name] = value
        parts.pop()
    return "/".join(parts), dict(reversed(keys.items()))


def list_partitions(
    table: Table, path: str, where: Where | None = None, on_stray: OnStray | None = None
) -> list[Partition]:
    """Return the partitions at or below `path` that fit `where` (column: value or values), sorted by path.

    Rows outside of partition folders raise InputError; with `on_stray` they are told there and passed over. A folder
    whose value isn't one that its column has, such as `date=2025-08-30 (copy)`, is no partition: told to `on_stray`
    where the column isn't narrowed, else named in the log, as are other folders and files that aren't read.
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
    on_stray: OnStray | None,
) -> Iterator[Partition]:
    content, folders = folder_content(fs, filesystem(path)[1]), []
    for name in (*content.folders, *content.astray):
        key, _, value = name.partition("=")
        if key not in table.partitions or key in keys:
            name_unread(join(path, name), "no partition", _form(table))
        elif name in content.astray:
            found = "a link that leads to nothing, or back to a folder above"
            _stray(InputError(join(path, name), found, "a link to a partition"), on_stray)
        elif not is_partition_value(key, value):
            error = InputError(join(path, name), f"{key} {value!r}", f"{key}={values_of(key)}")
            _stray(error, on_stray if key not in allowed else None)
        elif value in allowed.get(key, {value}):
            folders.append((name, {**keys, key: value}))
    if MANIFEST not in content.files:
        name_other_files(path, content.others)
    if content.is_partition:
        missing = [name for name in table.partitions if name not in keys]
        if missing and not table.may_be_flat:
            found = f"rows outside of {'/'.join(f'{name}=...' for name in missing)} folders"
            error = InputError(path, found, _form(table))
            if on_stray is None:
                raise error
            on_stray(error)
        else:
            yield Partition(path, keys)
    for name, deeper in folders:
        yield from _walk(fs, table, join(path, name), deeper, allowed, on_stray)


def _form(table: Table) -> str:
    return "/".join((table.name, *(f"{name}=..." for name in table.partitions)))


def values_of(key: str) -> str:
    """Return what the values of a partition column may be, for people."""
    return " or ".join(AS_WRITTEN[form] for form in KEY_FORMS.get(key, ())) or "a name, no copy of one"


def _stray(error: InputError, on_stray: OnStray | None) -> None:
    if on_stray is None:
        name_unread(error.file, error.found, error.allowed)
    else:
        on_stray(error)
