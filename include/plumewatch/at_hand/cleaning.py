"""What may go: measurements of long ago, and what a writer that died has left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from plumewatch import storage
from plumewatch.at_hand.listing import path_below
from plumewatch.errors import InputError, ParameterError
from plumewatch.keys import DAY, MONTH, is_key
from plumewatch.progress import followed
from plumewatch.sentinel2.scene_index import write_scene_index
from plumewatch.storage import StoredFile
from plumewatch.tables import TABLES

SCENES = "scenes"
LARGE = (SCENES, "pixels", "anomalies", "soundings", "wind", "plume_details", "peak_details")
"""Folders of what results were made from: large, and had again from their source. Results stay for good."""
LEAST_AGE = timedelta(days=60)
"""References reach 30 days back, and the gap fill fetches what is missing of 30 days."""
OF_KEY = re.compile(r"((?:[a-z_]+=[^/]+/)*(?:date=(?P<date>[^/]+)|month=(?P<month>[^/]+)))/.+")
"""A file of a day or month, by its path below the table's root: its folder, and the key."""


@dataclass(frozen=True)
class Old:
    """One folder of a day or month that may go."""

    table: str
    path: str
    files: tuple[StoredFile, ...]


def find_old(root: str, names: Sequence[str], before: date, today: date) -> list[Old]:
    """Return the days and months of some folders of a storage root (without names all of LARGE) that ended before one.

    ParameterError where results would go, or what detection still needs.
    """
    if unknown := sorted(set(names) - set(LARGE)):
        raise ParameterError(f"{', '.join(unknown)}: not removed by age; allowed: {', '.join(LARGE)}")
    if before > today - LEAST_AGE:
        allowed = f"{today - LEAST_AGE} or earlier, as later days are still compared with"
        raise ParameterError(f"before {before}; allowed: {allowed}")
    found: list[Old] = []
    for name in names or LARGE:
        folders: dict[str, list[StoredFile]] = {}
        table_root = storage.join(root, name)
        for file in storage.stored_files(table_root):
            below = path_below(table_root, file.path)
            if (folder := OF_KEY.fullmatch(below)) and _is_before(folder["date"], folder["month"], before):
                folders.setdefault(storage.join(table_root, folder[1]), []).append(file)
        found += [Old(name, path, tuple(files)) for path, files in sorted(folders.items())]
    return found


def _is_before(day: str | None, month: str | None, before: date) -> bool:
    """Whether a key is that of a day or month, and no copy of one, which ended before."""
    if day is not None:
        return is_key(day, DAY) and day < str(before)
    return month is not None and is_key(month, MONTH) and month < f"{before:%Y-%m}"


def remove_old(root: str, old: Iterable[Old]) -> None:
    """Remove folders, in each first what makes it known: items and manifests; the indices of scenes are made anew.

    Of a folder that is a link the link goes, and what it leads to stays.
    """
    folders = list(old)
    for folder in followed(folders, "old folders removed", "days or months"):
        if not storage.is_link(folder.path):
            for file in sorted(folder.files, key=lambda file: (not file.path.endswith(".json"), file.path)):
                storage.delete(file.path)
        storage.delete(folder.path)
    for area in sorted({storage.parent(folder.path) for folder in folders if folder.table == SCENES}):
        write_scene_index(storage.join(root, SCENES), area.rsplit("area=", 1)[-1])


def find_left(root: str) -> list[str]:
    """Return the files in partitions of tables that no manifest lists, left by writers that died an hour ago or more.

    A partition whose manifest can't be read keeps all.
    """
    left: list[str] = []
    for table in TABLES.values():
        for partition in storage.list_partitions(table, storage.join(root, table.name), on_stray=lambda error: None):
            try:
                manifest = storage.read_manifest(partition.path)
            except InputError:
                continue
            if manifest is not None:
                left += storage.left_behind(partition.path, manifest["files"])
    return left
