"""Names of the areas in a folder, read in milliseconds: for forms, which are built whenever a DAG file is parsed.

Neither geometry nor the other properties are looked at: an area that has a name here may be refused when it is read.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumewatch import storage
from plumewatch.area_files import JSON_SUFFIXES, NAME, SUFFIXES, geojson_features, name_of

MAX_BYTES = 8 * 2**20  # a GeoJSON of so many is read in some 0.2 s
DBF_FIELDS, DBF_FIELD_BYTES, DBF_END_OF_FIELDS = 32, 32, 0x0D  # dBase III: where its fields begin, and how they end


@dataclass(frozen=True)
class AreaNames:
    """What folders say, at a glance, of their areas."""

    names: tuple[str, ...]
    """Sorted; those that stand there once, as two areas of one name are refused."""
    broken: tuple[str, ...]
    """Files that can't be read, or whose areas have no name that is allowed."""
    unlisted: tuple[str, ...]
    """Folders and files that weren't looked into, as that could take long: in a bucket, or too large."""


def read_area_names(*folders: str) -> AreaNames:
    """Return the names of the areas of the folders, as far as the disk tells them at once; raises nothing."""
    names: list[str] = []
    broken: list[str] = []
    unlisted: list[str] = []
    for folder in folders:
        if not storage.is_local(folder):
            unlisted.append(folder)
            continue
        try:
            files = [file for file in storage.list_files(folder) if file.lower().endswith(SUFFIXES)]
        except Exception:  # noqa: BLE001 - whatever a disk says, a form is shown
            broken.append(folder)
            continue
        for file in files:
            try:
                path = Path(storage.filesystem(file)[1])
                if path.stat().st_size > MAX_BYTES:
                    unlisted.append(file)
                    continue
                found = [name_of(file, properties) for properties in _properties(path)]
            except Exception:  # noqa: BLE001 - json's, SQLite's and our own, of whatever a file may hold
                broken.append(file)
                continue
            names += filter(NAME.fullmatch, found)
            if not any(map(NAME.fullmatch, found)):
                broken.append(file)
    once = (name for name in set(names) if names.count(name) == 1)
    return AreaNames(tuple(sorted(once)), tuple(broken), tuple(unlisted))


def _properties(path: Path) -> Iterator[dict[str, Any]]:
    """What each feature of a file says of its name; features that are none are left out."""
    kind = path.suffix.lower()
    if kind in JSON_SUFFIXES:
        features = (feature for _, feature in geojson_features(str(path), json.loads(path.read_bytes())))
        stated = (feature.get("properties") or {} for feature in features if isinstance(feature, dict))
        yield from (properties for properties in stated if isinstance(properties, dict))
    elif kind == ".gpkg":
        yield from _of_geopackage(path)
    else:
        yield from _of_shapefile(path)


def _of_geopackage(path: Path) -> Iterator[dict[str, Any]]:
    # Immutable: else SQLite would leave files of its own beside one that another program is writing.
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as database:
        layers = database.execute("SELECT table_name FROM gpkg_contents WHERE data_type = 'features'").fetchall()
        for (layer,) in layers:
            columns = {column for (column,) in database.execute("SELECT name FROM pragma_table_info(?)", (layer,))}
            name, table = "name" if "name" in columns else "NULL", layer.replace('"', '""')
            yield from ({"name": value} for (value,) in database.execute(f'SELECT {name} FROM "{table}"'))


def _of_shapefile(path: Path) -> Iterable[dict[str, Any]]:
    beside = (file for file in path.parent.iterdir() if file.stem == path.stem)
    table = next((file for file in beside if file.suffix.lower() == ".dbf"), None)
    return [{}] if table is None else _of_dbf(table.read_bytes())


def _of_dbf(content: bytes) -> Iterator[dict[str, Any]]:
    """The `name` of each row of a dBase table, whose rows have fixed widths."""
    n_rows, first_row, width = struct.unpack_from("<IHH", content, 4)
    column, start = slice(0, 0), 1
    for at in range(DBF_FIELDS, first_row, DBF_FIELD_BYTES):
        if content[at] == DBF_END_OF_FIELDS:
            break
        end = start + content[at + 16]
        if content[at : at + 11].split(b"\0")[0].lower() == b"name":
            column = slice(start, end)
        start = end
    for at in range(first_row, min(len(content), first_row + n_rows * width), width):
        row = content[at : at + width]
        if not row.startswith(b"*"):  # deleted
            yield {"name": row[column].decode("utf-8", "replace").strip(" \0")}
