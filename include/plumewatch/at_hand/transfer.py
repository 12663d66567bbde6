"""Files brought out of the storage and into it, several at a time, with a bar of their bytes."""

from __future__ import annotations

import mimetypes
import os
import posixpath
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsspec.callbacks import Callback
from tqdm import tqdm

from plumewatch import storage
from plumewatch.at_hand.listing import list_stored, path_below
from plumewatch.errors import InputError, PlumewatchError, redact
from plumewatch.http import side_by_side
from plumewatch.storage import StoredFile
from plumewatch.tables import TABLES

THREADS = 8
CONTENT_TYPES = {
    ".geojson": "application/geo+json",  # RFC 7946
    ".gpkg": "application/geopackage+sqlite3",  # OGC 12-128r18
    ".nc4": "application/x-netcdf",  # as Python says of .nc
    ".parquet": "application/vnd.apache.parquet",  # IANA
    ".tif": "image/tiff; application=geotiff",  # OGC 19-008r4
}
"""Of files whose type Python doesn't know, or not in full."""
MADE_BY_JOBS = frozenset({*TABLES, "scenes", "composites", "maps", "plume_details", "peak_details"})
"""Folders of the storage root that only jobs write: their readers trust what the manifests in them list."""


@dataclass
class Transferred:
    """What came of the files that were to be brought."""

    brought: list[str] = field(default_factory=list)
    """Where they are now."""
    there: list[str] = field(default_factory=list)
    """Those that were there already: as large, and not older."""
    errors: list[str] = field(default_factory=list)
    """Why others weren't brought, a line each."""
    n_bytes: int = 0
    """Of what was brought."""


@dataclass(frozen=True)
class _Way:
    """Where a file is to be brought from and to."""

    source: StoredFile
    target: str
    below: str
    """Its path below the folder that is brought."""


def get_files(path: str, folder: Path, masks: Sequence[str] = ()) -> Transferred:
    """Bring the files at or below `path` that fit the masks into a local folder, and the folders that they lie in too.

    What is there already isn't fetched again, so that a run that was interrupted goes on. A file that can't be brought
    is told, and the others are. InputError where nothing fits.
    """
    named = [(file, path_below(path, file.path)) for file in _fitting(path, masks)]
    return _bring([_Way(file, str(folder / below), below) for file, below in named], "get")


def put_files(sources: Sequence[str], path: str, masks: Sequence[str] = (), storage_root: str = "") -> Transferred:
    """Bring local files, and what fits the masks of local folders, into the folder or prefix `path`, as get_files does.

    A bucket is told the content type of each. InputError where nothing fits, where two files would have one name, or
    where one would come into a folder of `storage_root` that only jobs write.
    """
    storage.require_folder(path, "files that are brought")
    ways: dict[str, _Way] = {}
    for source in sources:
        for file in _fitting(source, masks):
            below = path_below(source, file.path)
            way = _Way(file, storage.join(path, below), below)
            if storage_root and (top := _top_folder(storage_root, way.target)) in MADE_BY_JOBS:
                found = f"in {top}/ of the storage, which only jobs write"
                raise InputError(way.target, found, "another folder, such as areas/ or granules/")
            if (other := ways.setdefault(way.target, way)).source.path != file.path:
                raise InputError(file.path, f"the name of {other.source.path} too", "one file a name, or two runs")
    return _bring(list(ways.values()), "put")


def _top_folder(storage_root: str, path: str) -> str | None:
    """The folder of the storage root in which `path` would lie, by whatever links and dots; None where in none."""
    if storage.is_local(storage_root) != storage.is_local(path):
        return None
    lie_at = os.path.realpath if storage.is_local(path) else posixpath.normpath
    root, at = lie_at(storage.inner_path(storage_root)), lie_at(storage.inner_path(path))
    return at.removeprefix(f"{root}/").partition("/")[0] if at.startswith(f"{root}/") else None


def _fitting(path: str, masks: Sequence[str]) -> list[StoredFile]:
    if files := list_stored(path, masks):
        return files
    raise InputError(path, f"no file called {' or '.join(masks) or 'anything'}", "masks that fit some file")


def _bring(ways: Sequence[_Way], what: str) -> Transferred:
    """Bring all, several at a time; what fails is told."""
    came = Transferred()

    def one(way: _Way) -> None:
        file = way.source
        counted = _Counted(bar, file.n_bytes)
        try:
            if {"", ".."} & set(way.below.split("/")):
                raise InputError(file.path, "a name that leads out of its folder", "names without '..' or //")
            if _is_there(way.target, file):
                came.there.append(way.target)
            else:
                _copy(file.path, way.target, counted)
                came.brought.append(way.target)
                came.n_bytes += file.n_bytes
        except (OSError, PlumewatchError) as error:
            came.errors.append(f"{file.path}: {redact(str(error).removeprefix(f'{file.path}: '))}")
        finally:
            counted.end()

    total = sum(way.source.n_bytes for way in ways)
    with tqdm(total=total, desc=what, unit="B", unit_scale=True, disable=None, file=sys.stderr) as bar:
        side_by_side(one, ways, what, "files", THREADS)
    return came


def _copy(source: str, target: str, counted: Callback) -> None:
    """Copy a file between this machine and a place, so that nobody sees a part of it."""
    from_fs, from_inner = storage.filesystem(source)
    fs, inner = storage.filesystem(target)
    if storage.is_local(target):
        with storage.written_aside(Path(inner)) as aside:
            from_fs.get_file(from_inner, str(aside), callback=counted)
        return
    kind = CONTENT_TYPES.get(Path(inner).suffix.lower()) or mimetypes.guess_type(inner)[0]
    fs.put_file(from_inner, inner, callback=counted, ContentType=kind or "application/octet-stream")


def _is_there(target: str, file: StoredFile) -> bool:
    if not storage.is_file(target):
        return False
    [there] = storage.stored_files(target)
    return there.n_bytes == file.n_bytes and there.modified_at >= file.modified_at


class _Counted(Callback):
    """Moves the bar by what of a file has been copied, and at its end by the rest."""

    def __init__(self, bar: Any, n_bytes: int) -> None:
        super().__init__(size=n_bytes)
        self._bar = bar

    def relative_update(self, inc: int = 1) -> None:
        super().relative_update(inc)
        self._bar.update(inc)

    def end(self) -> None:
        self._bar.update(max(0, (self.size or 0) - self.value))
