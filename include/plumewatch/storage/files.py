"""Files under a storage root: a local folder or an S3 prefix, behind one set of functions; writes are atomic."""

from __future__ import annotations

import contextlib
import json
import mimetypes
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec

from plumewatch.errors import InputError
from plumewatch.storage.addresses import S3_SCHEMES, split_scheme
from plumewatch.storage.folders import is_hidden, walk_files

ASIDE = ".aside"
"""Ending of what isn't whole yet: nobody else's files have it."""


def filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of `path` and the path inside it; local folders and `s3://` are allowed."""
    inner = inner_path(path)
    if split_scheme(path)[0] in S3_SCHEMES:
        from plumewatch.storage.buckets import Buckets, aws_settings  # slow to import, and needed for S3 alone

        return Buckets(use_listings_cache=False, default_fill_cache=False, stated=aws_settings()), inner
    return fsspec.filesystem("file", auto_mkdir=True), inner


def inner_path(path: str) -> str:
    """Return the path inside its file system, which needn't be there: `bucket/prefix`, or a local path in full.

    >>> inner_path("s3://bucket/prefix/"), inner_path("file:///data/./tables")
    ('bucket/prefix', '/data/tables')
    """
    scheme, rest = split_scheme(path)
    if scheme in S3_SCHEMES:
        return rest.removeprefix("//").rstrip("/")
    return str(Path(rest.removeprefix("//") if scheme else rest).expanduser().absolute())


def is_local(path: str) -> bool:
    """Whether `path` is on this machine's disk."""
    return "://" not in path or path.startswith("file://")


def absolute(path: str) -> str:
    """Return a local path in full; one with a scheme as it is. ConfigurationError where the scheme isn't served."""
    inner = inner_path(path)
    return path if "://" in path else inner


def join(path: str, *parts: str) -> str:
    """Return the path below `path`, in the same scheme."""
    return "/".join([path.rstrip("/"), *(part.strip("/") for part in parts)])


def parent(path: str) -> str:
    """Return the folder that holds `path`, in the same scheme."""
    return path.rstrip("/").rsplit("/", 1)[0] if "/" in path.rstrip("/") else "."


def exists(path: str) -> bool:
    """Whether there is a file or folder at `path`; PermissionError or InputError where its bucket can't be listed."""
    return is_there(*filesystem(path))


def is_there(fs: fsspec.AbstractFileSystem, inner: str) -> bool:
    """Whether there is something at `inner`, asked so that a bucket says what it denies."""
    if "/" in inner:
        return bool(fs.exists(inner))
    fs.ls(inner)  # of a bucket `exists` says no as well where access to it is denied
    return True


def is_file(path: str) -> bool:
    """Whether there is a file, not a folder, at `path`."""
    fs, inner = filesystem(path)
    return bool(fs.isfile(inner))


def require_folder(path: str, purpose: str) -> None:
    """Raise InputError where `path`, or what it would lie in, is a file; `purpose` says what it is wanted for."""
    if not is_local(path):
        return
    inner = Path(filesystem(path)[1])
    there = next(folder for folder in (inner, *inner.parents) if folder.exists())
    if not there.is_dir():
        raise InputError(there, "a file", f"a folder for {purpose}")


def read_bytes(path: str) -> bytes:
    """Return the content of a file; FileNotFoundError where there is none."""
    fs, inner = filesystem(path)
    alone = {} if is_local(path) else {"max_concurrency": 1}  # else s3fs asks for the size first: a request more
    content: bytes = fs.cat_file(inner, **alone)
    return content


def write_bytes(path: str, data: bytes) -> None:
    """Write a file atomically: aside and renamed in a folder, one PUT on S3."""
    fs, inner = filesystem(path)
    if not is_local(path):
        media_type, _ = mimetypes.guess_type(inner, strict=False)  # by it a browser knows a page from a download
        fs.pipe_file(inner, data, **({"ContentType": media_type} if media_type else {}))
        return
    with written_aside(Path(inner)) as aside:
        aside.write_bytes(data)


@contextlib.contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Yield a file beside a local `target`, which takes its place when the block ends, and goes where that raises."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=ASIDE, dir=target.parent)
    os.close(descriptor)
    aside = Path(name)
    try:
        yield aside
        aside.chmod(0o644)
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def read_json(path: str) -> Any:
    """Return the content of a JSON file."""
    return json.loads(read_bytes(path))


def write_json(path: str, content: Any) -> None:
    """Write JSON with sorted keys, atomically."""
    write_bytes(path, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Return JSON with sorted keys."""
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def upload(local: Path, path: str) -> None:
    """Bring a finished local file to `path`: renamed where both share a disk, else copied and published atomically."""
    fs, inner = filesystem(path)
    if not is_local(path):
        fs.put_file(str(local), inner)
        local.unlink()
        return
    with written_aside(Path(inner)) as aside:
        try:
            local.replace(aside)
        except OSError:  # another disk
            shutil.copyfile(local, aside)
            local.unlink()


def modified_at(path: str) -> datetime | None:
    """Return when a file was last written (UTC), None where there is none."""
    fs, inner = filesystem(path)
    return fs.modified(inner).astimezone(UTC) if fs.exists(inner) else None


def list_files(path: str, suffix: str = "") -> list[str]:
    """Return the files below `path` whose names end in `suffix`, sorted; a file itself is its own list."""
    return sorted(file for file, _ in _find(path) if file.endswith(suffix))


def visible_files(path: str, suffix: str = "") -> list[str]:
    """Return what `list_files` does but hidden files: what people put into a folder, and not what programs leave there.

    Hidden is what begins with a dot, as files that are still being written do and what a Mac puts beside others
    (`._name`, `.DS_Store`), and what lies below `path` in a folder that does, or in `__MACOSX` of a Mac's archives.
    """
    above = len(inner_path(path))
    return [file for file in list_files(path, suffix) if not any(map(is_hidden, inner_path(file)[above:].split("/")))]


@dataclass(frozen=True)
class StoredFile:
    """What a listing says of a file."""

    path: str
    """In the scheme that the caller used."""
    n_bytes: int
    modified_at: datetime
    """When it was last written (UTC)."""


def stored_files(path: str) -> list[StoredFile]:
    """Return the files below `path`, sorted by path, in one listing; a file itself is its own list."""
    return sorted(each_stored_file(path), key=lambda file: file.path)


def each_stored_file(path: str) -> Iterator[StoredFile]:
    """Yield the files of `stored_files` in any order; of a disk they are asked for one by one."""
    for file, entry in _find(path):
        at = entry.get("LastModified") or entry["mtime"]  # S3 tells a time, a local folder seconds since 1970
        yield StoredFile(file, entry["size"], at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC))


def modified_times(path: str) -> dict[str, datetime]:
    """Return when each file below `path` was last written (UTC), in one listing."""
    return {file.path: file.modified_at for file in stored_files(path)}


def _find(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The files below `path`, in the same scheme, and what the listing says of them."""
    fs, inner = filesystem(path)
    scheme = path.split("://", 1)[0] + "://" if "://" in path else ""
    if not is_there(fs, inner):
        return
    if is_local(path) and fs.isdir(inner):  # its own find takes a link to a folder for a file
        stats = ((file, _stat(file)) for file in walk_files(inner))
        yield from ((scheme + file, {"mtime": stat.st_mtime, "size": stat.st_size}) for file, stat in stats if stat)
    else:
        yield from ((scheme + file, entry) for file, entry in fs.find(inner, detail=True).items())


def _stat(file: str) -> os.stat_result | None:
    """What the disk says of a file, None where it has gone since it was listed, as one being written is renamed."""
    for ask in (os.stat, os.lstat):  # of a link to nothing, what there is of it
        with contextlib.suppress(FileNotFoundError):
            return ask(file)
    return None


def is_link(path: str) -> bool:
    """Whether `path` is a link on this machine's disk, to whatever."""
    return is_local(path) and Path(inner_path(path)).is_symlink()


def delete(path: str) -> None:
    """Remove a file, a link, or a folder with all it holds; nothing there is fine."""
    fs, inner = filesystem(path)
    if is_link(path):
        Path(inner).unlink()
    elif fs.exists(inner):
        fs.rm(inner, recursive=True)


@contextlib.contextmanager
def local_copy(path: str, beside: Sequence[str] = ()) -> Iterator[Path]:
    """Yield a local file with the content of `path`: the file itself, or a download that is removed afterwards.

    Files of the same name with one of the endings `beside`, which a format needs, come with it.
    """
    fs, inner = filesystem(path)
    if is_local(path):
        yield Path(inner)
        return
    folder_of, _, name = inner.rpartition("/")
    stem = name.rpartition(".")[0]
    others = [entry.rsplit("/", 1)[-1] for entry in fs.ls(folder_of, detail=False)] if beside else []
    wanted = [other for other in others if other in {stem + end for e in beside for end in (e, e.upper())}]
    with tempfile.TemporaryDirectory(prefix="plumewatch-") as folder:
        for each in (name, *wanted):
            fs.get_file(f"{folder_of}/{each}", str(Path(folder) / each))
        yield Path(folder) / name
