"""Names of the areas in a folder, read fast: for forms, which are built whenever a DAG file is parsed.

Neither geometry nor the other properties are looked at: an area that has a name here may be refused when it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumewatch import storage
from plumewatch.area_files import JSON_SUFFIXES, NAME, SUFFIXES, check_kind, full_name, geojson_features, name_of

MAX_BYTES = 8 * 2**20  # a GeoJSON of so many is read in some 0.2 s


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
            files = [file for file in storage.visible_files(folder) if file.lower().endswith(SUFFIXES)]
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
    if path.suffix.lower() in JSON_SUFFIXES:
        features = (feature for _, feature in geojson_features(str(path), json.loads(path.read_bytes())))
        stated = (feature.get("properties") or {} for feature in features if isinstance(feature, dict))
        yield from (properties for properties in stated if isinstance(properties, dict))
    else:
        yield from _of_layers(path)


def _of_layers(path: Path) -> Iterator[dict[str, Any]]:
    import pyogrio  # a second, where there is such a file

    check_kind(str(path), path)
    for layer, kind in pyogrio.list_layers(path):
        if kind is None:
            continue  # a table without geometry
        info = pyogrio.read_info(path, layer=layer)
        columns = [field for field in info["fields"] if full_name(path.name, field) == "name"]
        if columns:
            _, _, _, [values] = pyogrio.raw.read(path, layer=layer, columns=columns[:1], read_geometry=False)
            yield from ({"name": value} for value in values.tolist())
        elif info["features"]:
            yield {}
