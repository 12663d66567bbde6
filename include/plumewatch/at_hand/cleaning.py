"""What may go: measurements of long ago, and what a writer that died has left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from plumewatch import storage
from plumewatch.at_hand.listing import path_below
from plumewatch.errors import InputError, LockTimeout, ParameterError
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
LEFT_AFTER = timedelta(hours=1)
"""A file that is younger may belong to a writer at work."""


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


def find_left(root: str, after: timedelta | None = None) -> list[str]:
    """Return what writers have left that died so long ago or longer (LEFT_AFTER where None), sorted.

    Files in partitions that no manifest lists, or that never came to have one; what lay aside until it was whole; locks
    that nobody has let go. A partition whose manifest can't be read keeps all.
    """
    after = LEFT_AFTER if after is None else after
    left: set[str] = set()
    for table in TABLES.values():
        for partition in storage.list_partitions(table, storage.join(root, table.name), on_stray=lambda error: None):
            try:
                manifest = storage.read_manifest(partition.path)
            except InputError:
                continue
            if manifest is not None:
                left.update(storage.left_behind(partition.path, manifest["files"], after.total_seconds()))
    begun: set[str] = set()
    published: set[str] = set()
    for file in storage.each_stored_file(root):
        folder, _, name = file.path.rpartition("/")
        if name in (storage.MANIFEST, storage.WRITING):
            (published if name == storage.MANIFEST else begun).add(folder)
        elif _is_old(file, after) and (name == storage.LOCK or _is_aside(name)):
            left.add(file.path)
    for folder in begun - published:
        files = storage.stored_files(folder)
        left.update(file.path for file in files if all(_is_old(each, after) for each in files))
    return sorted(left)


def find_overdue(root: str, after: timedelta | None = None) -> list[str]:
    """Return partitions of one file whose manifest is of another write than the file, as its writer died so long ago
    or longer (LEFT_AFTER where None) between the two; sorted.
    """
    after = LEFT_AFTER if after is None else after
    small = [table for table in TABLES.values() if table.is_small]
    return sorted(
        partition.path
        for table in small
        for partition in storage.list_partitions(table, storage.join(root, table.name), on_stray=lambda error: None)
        if _is_overdue(partition.path, after)
    )


def _is_overdue(path: str, after: timedelta) -> bool:
    try:
        return storage.overdue_manifest(path) is not None and all(
            _is_old(file, after) for file in storage.stored_files(path) if file.path.endswith(storage.DATA_FILE)
        )
    except InputError:  # said by who reads it: `show`
        return False


def _is_aside(name: str) -> bool:
    return name.startswith(".") and name.endswith(storage.ASIDE)


def _is_old(file: StoredFile, after: timedelta) -> bool:
    return datetime.now(UTC) - file.modified_at > after


def remove_left(left: Iterable[str]) -> None:
    """Remove what `find_left` has found; a lock that somebody has taken since stays."""
    for path in left:
        folder, _, name = path.rpartition("/")
        if name != storage.LOCK:
            storage.delete(path)
            continue
        with suppress(LockTimeout), storage.lock(folder, timeout_s=0.0):  # let go, it is gone
            pass
