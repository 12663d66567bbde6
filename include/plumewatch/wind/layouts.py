"""Which files below a path hold wind, in the folders and under the endings that people have."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import fsspec

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.tables import WIND

OTHER_WIND = (".nc", ".nc4", ".grib", ".grib2", ".grb", ".grb2", ".csv", ".feather", ".arrow", ".h5", ".hdf5", ".zarr",
              ".gz", ".zip")  # fmt: skip
"""Endings of files that may be meant as wind, and aren't read."""
UNNAMED_PRODUCT = "files"  # product of rows in a folder that names none
MAX_DEPTH = 20  # folders within folders
DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:$|[T ].*|%20.*)")
ALLOWED = f"Parquet files ({', '.join(storage.PARQUET_SUFFIXES)}) with " + ", ".join(WIND.schema.names)

OnUnusable = Callable[[InputError | OSError, str], None]
"""Told an error, and the file or folder that cannot be used."""


@dataclass(frozen=True)
class WindFile:
    """One file of wind."""

    path: str
    """With the scheme that the caller used."""
    product: str
    """As a folder product=... says, the innermost where several do."""


def list_wind_files(path: str, days: Collection[str], on_unusable: OnUnusable) -> list[WindFile]:
    """Return the files at or below `path` that may hold rows of the days (YYYY-MM-DD), sorted by path.

    A folder date=... is opened on its days only (also date=20190601 and date=2019-06-01 00:00:00, as pandas writes it);
    any other folder, such as year=2019/month=6 or 2019/06, whatever the days. Where there is a manifest, the files are
    those that it lists. Nothing there is no file; a path without a file that is read, a folder without access, and
    files of another format are told to `on_unusable`.
    """
    fs, inner = storage.filesystem(path)
    keys, wanted = storage.keys_in_path(WIND, path), frozenset(days)
    product = keys.get("product", UNNAMED_PRODUCT)
    try:
        if fs.isfile(inner):
            if not storage.is_parquet(inner):
                on_unusable(InputError(path, "not a Parquet file by its name", ALLOWED), path)
                return []
            return [WindFile(path, product)]
        if not storage.exists(path) or _is_of_other_days(keys.get("date", ""), wanted):
            return []
    except (InputError, OSError) as error:
        on_unusable(error, path)
        return []
    walk = _Walk(fs, wanted, on_unusable)
    found = sorted(walk.files(path.rstrip("/"), product, 0), key=lambda file: file.path)
    if not walk.n_read and walk.others:
        others = ", ".join(sorted(walk.others)[:3])
        on_unusable(InputError(path, f"no Parquet file, but {others}", ALLOWED), path)
    return found


def _is_of_other_days(date: str, days: Collection[str]) -> bool:
    day = DAY.fullmatch(date)
    return day is not None and "-".join(day.groups()) not in days


class _Walk:
    """A way through folders."""

    def __init__(self, fs: fsspec.AbstractFileSystem, days: frozenset[str], on_unusable: OnUnusable) -> None:
        self.fs, self.days, self.on_unusable = fs, days, on_unusable
        self.n_read = 0
        """Parquet files and folders of other days: whether this is a place of wind."""
        self.others: list[str] = []
        """Files of other endings."""

    def files(self, folder: str, product: str, depth: int) -> Iterator[WindFile]:
        """The files in a folder and those below it."""
        if depth > MAX_DEPTH:
            self.on_unusable(InputError(folder, f"more than {MAX_DEPTH} folders within folders", "fewer"), folder)
            return
        try:
            content = storage.folder_content(self.fs, storage.filesystem(folder)[1])
            names = content.files
            if storage.MANIFEST in names:
                names = tuple((storage.read_manifest(folder) or {"files": ()})["files"])
                self.n_read += 1
        except (InputError, OSError) as error:
            self.n_read += 1
            self.on_unusable(error, folder)
            return
        for name in names:
            if storage.is_parquet(name):
                self.n_read += 1
                yield WindFile(storage.join(folder, name), product)
        self._name_others(folder, [name for name in names if not storage.is_parquet(name)])
        for name in content.astray:
            storage.name_unread(storage.join(folder, name), "a link to nothing, or back to a folder above", ALLOWED)
        for name in content.folders:
            key, separator, value = name.partition("=")
            if not storage.is_partition_value("", value if separator else name):
                storage.name_unread(storage.join(folder, name), "a copy by its name", ALLOWED)
                continue
            if key == "date" and _is_of_other_days(value, self.days):
                self.n_read += 1
                continue
            of_folder = value if key == "product" and value else product
            yield from self.files(storage.join(folder, name), of_folder, depth + 1)

    def _name_others(self, folder: str, names: list[str]) -> None:
        """Tell of files that may be meant as wind; the others are named in the log."""
        self.others += names
        for name in names:
            if name.lower().endswith(OTHER_WIND):
                path = storage.join(folder, name)
                self.on_unusable(InputError(path, "a file of another format", ALLOWED), path)
        storage.name_other_files(folder, [name for name in names if not name.lower().endswith(OTHER_WIND)])
