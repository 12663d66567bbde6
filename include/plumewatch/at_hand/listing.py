"""Which files are stored at a place, by masks."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import quote

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.storage import StoredFile


def place(storage_root: str, where: str) -> str:
    """Return the address that `where` means: itself if it is one, or begins with / or ./, else below the storage root.

    >>> place("s3://bucket/x", "maps/ch4"), place("s3://bucket/x", ""), place("s3://bucket/x", "/data")
    ('s3://bucket/x/maps/ch4', 's3://bucket/x', '/data')
    """
    if where in ("", "."):
        return storage_root
    if "://" in where or where.startswith(("/", "./", "../", "~")):
        return storage.absolute(storage.stated_path(where))
    return storage.join(storage_root, where)


def list_stored(path: str, masks: Sequence[str] = ()) -> list[StoredFile]:
    """Return the files at or below `path` that fit one of the masks, all without masks, sorted by path.

    A mask (`*.tif`, `area=dune/*.json`) is compared with a file's name or, if it has a slash, with its path below
    `path`, in which `*` goes across folders. Names that begin with a dot are the storage's own, and left out.
    InputError where there is nothing at `path`.
    """
    if not storage.exists(path):
        raise InputError(path, "nothing there", "a folder, a file, or the beginning of keys that end at a slash")
    named = [(file, path_below(path, file.path)) for file in storage.stored_files(path)]
    shown = [(file, below) for file, below in named if not any(part.startswith(".") for part in below.split("/"))]
    return [file for file, below in shown if not masks or any(_fits(below, mask) for mask in masks)]


def path_below(path: str, file: str) -> str:
    """Return a file's path below the folder `path`; of `path` itself, its name."""
    inner, of_file = storage.inner_path(path), storage.inner_path(file)
    return of_file.rsplit("/", 1)[-1] if of_file == inner else of_file.removeprefix(f"{inner.rstrip('/')}/")


def web_address(path: str) -> str:
    """Return the http(s) address of a file of a bucket, which answers where the bucket is public; else its file://."""
    fs, inner = storage.filesystem(path)
    if storage.is_local(path):
        return f"file://{quote(inner)}"
    fs.connect()
    return f"{fs.s3.meta.endpoint_url.rstrip('/')}/{quote(inner)}"


def _fits(below: str, mask: str) -> bool:
    return fnmatchcase(below if "/" in mask else below.rsplit("/", 1)[-1], mask)
