"""What one folder holds: its folders and files, links followed where that ends, and what of it isn't read."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import fsspec

from plumewatch.errors import some_of
from plumewatch.keys import DAY, MONTH, is_key

MANIFEST = "_manifest.json"
WRITING = "_writing"
"""Empty; beside files of a partition that is no partition yet, as its manifest is still to come."""
PARQUET_SUFFIXES = (".parquet", ".pq", ".parq")
KEY_FORMS = {"date": (DAY,), "month": (MONTH,), "period": (DAY, MONTH)}
"""Partition columns that are times, and the forms of their values."""
FREE_KEY = "key"  # of failed_scenes: also the name of a folder that is no partition
COPY = re.compile(
    r".*(~|\.(bak|backup|old|orig|save|tmp)\d*| (- )?\(?copy\)?( ?\(?\d+\)?)?| \(\d+\))|copy of .*", re.IGNORECASE
)
"""What people and programs call what they put aside; no area, product or inventory is called so."""
OF_ARCHIVES = "__MACOSX"  # a folder in what a Mac has packed
MARKERS = "_$folder$"  # EMR's end of the name of an empty object beside a folder
MOST_NAMED = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderContent:
    """Names in a folder, sorted; hidden ones (a dot or `_` before) are left out, but for MANIFEST and WRITING."""

    folders: tuple[str, ...]
    """Links to folders too."""
    files: tuple[str, ...]
    """Links to files too, and those to nothing: who reads one will say so."""
    astray: tuple[str, ...]
    """Links that lead to a folder which holds them, and links to nothing that are called as partitions are."""

    @property
    def parquet(self) -> list[str]:
        """Files that hold rows, by their names."""
        return [name for name in self.files if is_parquet(name)]

    @property
    def is_partition(self) -> bool:
        """Whether it holds rows: what its manifest lists, or files of somebody who writes none."""
        return MANIFEST in self.files or (bool(self.parquet) and WRITING not in self.files)

    @property
    def others(self) -> list[str]:
        """Files that hold no rows, by their names, and aren't the manifest."""
        return [name for name in self.files if not is_parquet(name) and name not in (MANIFEST, WRITING)]


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that programs leave beside others, by its name.

    >>> is_hidden("._own_sources.csv"), is_hidden("__MACOSX"), is_hidden("own_sources.csv")
    (True, True, False)
    """
    return name.startswith(".") or name == OF_ARCHIVES


def is_parquet(name: str) -> bool:
    """Whether a name is that of a Parquet file.

    >>> is_parquet("part-0.snappy.PARQUET"), is_parquet("data.parquet.bak")
    (True, False)
    """
    return name.lower().endswith(PARQUET_SUFFIXES)


def is_partition_value(column: str, value: str) -> bool:
    """Whether a folder `column=value` is a partition, and not what somebody put aside or called in another way.

    >>> is_partition_value("date", "2025-08-30"), is_partition_value("date", "2025-08-30 (copy)")
    (True, False)
    """
    if column in KEY_FORMS:
        return any(is_key(value, form) for form in KEY_FORMS[column])
    return bool(value) and (column == FREE_KEY or not COPY.fullmatch(value))


def folder_content(fs: fsspec.AbstractFileSystem, inner: str) -> FolderContent:
    """Return what the folder `inner` of a file system holds, in one listing."""
    folders: list[str] = []
    files: list[str] = []
    astray: list[str] = []
    for entry in fs.ls(inner, detail=True):
        path = entry["name"].rstrip("/")
        name = path.rsplit("/", 1)[-1]
        is_hidden = name.startswith((".", "_")) or name.endswith(MARKERS)
        if (is_hidden and name not in (MANIFEST, WRITING)) or path == inner:
            continue
        if entry["type"] == "directory":
            folders.append(name)
        elif not entry.get("islink"):
            files.append(name)
        elif Path(path).is_dir():
            (astray if leads_back(path) else folders).append(name)
        else:
            (astray if "=" in name and not Path(path).exists() else files).append(name)
    return FolderContent(*(tuple(sorted(names)) for names in (folders, files, astray)))


def leads_back(link: str) -> bool:
    """Whether a link on a disk leads to a folder on the way to it, or above: who follows it would never end."""
    target = Path(link).resolve()
    return any(folder.resolve().is_relative_to(target) for folder in Path(link).parents)


def walk_files(folder: str) -> Iterator[str]:
    """Yield the paths of all files below a local folder, each real folder once, behind links too."""
    walked = {Path(folder).resolve()}
    later = [folder]
    while later:
        for at, folders, files in os.walk(later.pop(0), onerror=_name_unlisted, followlinks=True):
            yield from (f"{at.rstrip('/')}/{name}" for name in files)
            for name in sorted(folders):
                path = Path(at, name)
                if not path.is_symlink():
                    continue
                folders.remove(name)  # after the folder itself, so that real folders go first
                target = path.resolve()
                if any(one.is_relative_to(target) or target.is_relative_to(one) for one in walked):
                    name_unread(str(path), "a link to a folder that is listed already", "links to other places")
                else:
                    walked.add(target)
                    later.append(str(path))


def _name_unlisted(error: OSError) -> None:
    """Name in the log a folder that can't be listed, unless it has gone meanwhile."""
    if not isinstance(error, FileNotFoundError):
        name_unread(str(error.filename), f"not to be listed ({error.strerror})", "a folder that may be read")


@lru_cache(maxsize=10_000)
def name_unread(path: str, found: str, allowed: str) -> None:
    """Name in the log what isn't read, once in a process."""
    log.warning("not read: %s: %s; allowed: %s", path, found, allowed)


def name_other_files(path: str, names: Collection[str], found: str = "files of other endings") -> None:
    """Name in the log the files of a folder that aren't read as rows."""
    if names:
        name_unread(path, f"{found}: {some_of(sorted(names), MOST_NAMED)}", f"Parquet ({', '.join(PARQUET_SUFFIXES)})")
