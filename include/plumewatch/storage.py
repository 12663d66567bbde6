"""Tables and files under a storage root: a local folder or an S3 prefix, published atomically.

A partition is a folder of `key=value` components. One-file tables are replaced by one rename (folder) or one PUT (S3);
big tables consist of the files that their `_manifest.json` lists, which is written last. Nothing else is a commit: a
writer that dies before the manifest has changed nothing that a reader sees.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plumewatch import __version__
from plumewatch.errors import ConfigurationError, InputError, LockTimeout
from plumewatch.tables import Table

MANIFEST = "_manifest.json"
DATA_FILE = "data.parquet"
LOCK = ".lock"
ROW_GROUP_ROWS = 1_048_576  # one window of 1024 x 1024 cells; the usual size of Parquet row groups
STALE_FILE_AGE_S = 3600.0  # unlisted files younger than this may belong to a reader or to a writer at work
STALE_LOCK_AGE_S = 120.0  # a lock is held while one small file is read and written: seconds
LOCK_TIMEOUT_S = 300.0

log = logging.getLogger(__name__)

Where = Mapping[str, str | Collection[str]]


@dataclass(frozen=True)
class Partition:
    """One folder that holds rows of a table."""

    path: str
    """With the scheme that the caller used."""
    keys: dict[str, str]
    """Partition columns and their values, read from the path."""


# --- files


def filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of `path` and the path inside it; local folders and `s3://` are allowed."""
    scheme = path.split("://", 1)[0] if "://" in path else "file"
    if scheme == "file":
        local = path.removeprefix("file://")
        return fsspec.filesystem("file", auto_mkdir=True), str(Path(local).expanduser().absolute())
    if scheme in ("s3", "s3a"):
        fs = fsspec.filesystem("s3", use_listings_cache=False, default_fill_cache=False)
        return fs, path.split("://", 1)[1].rstrip("/")
    raise ConfigurationError(
        f"{path}: storage of kind {scheme!r}; allowed: a local path, file:// or s3://bucket/prefix"
    )


def is_local(path: str) -> bool:
    """Whether `path` is on this machine's disk."""
    return "://" not in path or path.startswith("file://")


def absolute(path: str) -> str:
    """Return a local path in full; one with a scheme as it is. ConfigurationError where the scheme isn't served."""
    inner = filesystem(path)[1]
    return path if "://" in path else inner


def join(path: str, *parts: str) -> str:
    """Return the path below `path`, in the same scheme."""
    return "/".join([path.rstrip("/"), *(part.strip("/") for part in parts)])


def parent(path: str) -> str:
    """Return the folder that holds `path`, in the same scheme."""
    return path.rstrip("/").rsplit("/", 1)[0] if "/" in path.rstrip("/") else "."


def exists(path: str) -> bool:
    """Whether there is a file or folder at `path`; PermissionError where a bucket may not be listed."""
    return _is_there(*filesystem(path))


def _is_there(fs: fsspec.AbstractFileSystem, inner: str) -> bool:
    try:
        if "/" in inner:
            return bool(fs.exists(inner))
        fs.ls(inner)  # of a bucket `exists` says no as well where access to it is denied
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise PermissionError(
            f"{inner}: no access ({error}); allowed: what the keys in use may list and read"
        ) from error
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
    return fs.cat_file(inner)


def write_bytes(path: str, data: bytes) -> None:
    """Write a file atomically: aside and renamed in a folder, one PUT on S3."""
    fs, inner = filesystem(path)
    if not is_local(path):
        fs.pipe_file(inner, data)
        return
    target = Path(inner)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(aside).chmod(0o644)
        Path(aside).replace(target)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
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
    Path(inner).parent.mkdir(parents=True, exist_ok=True)
    aside = Path(inner).with_name(f".{Path(inner).name}.{os.getpid()}")
    try:
        local.replace(aside)
    except OSError:  # another disk
        aside.write_bytes(local.read_bytes())
        local.unlink()
    aside.replace(inner)


def modified_at(path: str) -> datetime | None:
    """Return when a file was last written (UTC), None where there is none."""
    fs, inner = filesystem(path)
    return fs.modified(inner).astimezone(UTC) if fs.exists(inner) else None


def list_files(path: str, suffix: str = "") -> list[str]:
    """Return the files below `path` whose names end in `suffix`, sorted; a file itself is its own list."""
    fs, inner = filesystem(path)
    scheme = path.split("://", 1)[0] + "://" if "://" in path else ""
    found = [f for f in fs.find(inner) if f.endswith(suffix)] if _is_there(fs, inner) else []
    return sorted(scheme + f for f in found)


def delete(path: str) -> None:
    """Remove a file or a folder with all it holds; nothing there is fine."""
    fs, inner = filesystem(path)
    if fs.exists(inner):
        fs.rm(inner, recursive=True)


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[Path]:
    """Yield a local file with the content of `path`: the file itself, or a download that is removed afterwards."""
    fs, inner = filesystem(path)
    if is_local(path):
        yield Path(inner)
        return
    with tempfile.TemporaryDirectory(prefix="plumewatch-") as folder:
        local = Path(folder) / inner.rsplit("/", 1)[-1]
        fs.get_file(inner, str(local))
        yield local


# --- partitions


def partition_path(root: str, keys: Mapping[str, str]) -> str:
    """Return the folder of a partition below a table's root."""
    return join(root, *(f"{name}={value}" for name, value in keys.items())) if keys else root.rstrip("/")


def keys_in_path(table: Table, path: str) -> dict[str, str]:
    """Return the partition columns of `table` that the components of `path` name."""
    pairs = (part.split("=", 1) for part in path.split("/") if "=" in part)
    return {name: value for name, value in pairs if name in table.partitions}


def table_root(table: Table, path: str) -> str:
    """Return the table's root, given the root itself or any partition folder below it."""
    parts = path.rstrip("/").split("/")
    while parts and parts[-1].split("=", 1)[0] in table.partitions and "=" in parts[-1]:
        parts.pop()
    return "/".join(parts)


def list_partitions(
    table: Table, path: str, where: Where | None = None, on_stray: Callable[[InputError], None] | None = None
) -> list[Partition]:
    """Return the partitions at or below `path` that fit `where` (column: value or values), sorted by path.

    Rows outside of partition folders raise InputError; with `on_stray` they are told there and passed over.
    """
    allowed = {k: {v} if isinstance(v, str) else set(v) for k, v in (where or {}).items()}
    fs, inner = filesystem(path)
    keys = keys_in_path(table, path)
    if any(keys.get(name, next(iter(values), None)) not in values for name, values in allowed.items()):
        return []
    if not _is_there(fs, inner):
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
    on_stray: Callable[[InputError], None] | None,
) -> Iterator[Partition]:
    folders, has_rows = [], False
    for entry in fs.ls(filesystem(path)[1], detail=True):
        name = entry["name"].rstrip("/").rsplit("/", 1)[-1]
        key, _, value = name.partition("=")
        if entry["type"] == "directory" and key in table.partitions and key not in keys:
            if value in allowed.get(key, {value}):
                folders.append((name, {**keys, key: value}))
        else:
            has_rows |= _holds_rows(name)
    if has_rows:
        missing = [name for name in table.partitions if name not in keys]
        if missing and not table.may_be_flat:
            found = f"rows outside of {'/'.join(f'{name}=...' for name in missing)} folders"
            error = InputError(path, found, f"{table.name}/" + "/".join(f"{name}=..." for name in table.partitions))
            if on_stray is None:
                raise error
            on_stray(error)
        else:
            yield Partition(path, keys)
    for name, deeper in folders:
        yield from _walk(fs, table, join(path, name), deeper, allowed, on_stray)


def _holds_rows(name: str) -> bool:
    return name == MANIFEST or (name.endswith(".parquet") and not name.startswith((".", "_")))


def read_manifest(path: str) -> dict[str, Any] | None:
    """Return the manifest of a partition folder, None where it has none."""
    try:
        manifest = read_json(join(path, MANIFEST))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(
            join(path, MANIFEST), f"not JSON ({error})", "the manifest that the writing job left"
        ) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), list):
        raise InputError(join(path, MANIFEST), "no list `files`", "the manifest that the writing job left")
    return manifest


def partition_files(partition: Partition) -> list[str]:
    """Return the data files of a partition: what its manifest lists; all Parquet files where there is no manifest."""
    manifest = read_manifest(partition.path)
    if manifest is not None:
        return [join(partition.path, name) for name in manifest["files"]]
    fs, inner = filesystem(partition.path)
    names = (entry.rsplit("/", 1)[-1] for entry in fs.ls(inner, detail=False))
    return [join(partition.path, name) for name in sorted(names) if name != MANIFEST and _holds_rows(name)]


def read_parquet(
    table: Table, path: str, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
) -> pa.Table:
    """Return one file's rows as the table's columns (or `columns`); optional ones that it lacks are null."""
    fs, inner = filesystem(path)
    try:
        with fs.open(inner, "rb") as file:
            parquet = pq.ParquetFile(file)
            names = parquet.schema_arrow.names
            wanted = names if columns is None else [n for n in columns if n in names]
            is_filtered = filter is not None and _is_stored_as(table, parquet.schema_arrow)
            if is_filtered:
                rows = pq.read_table(file, columns=wanted, filters=filter)
            else:
                rows = parquet.read(columns=wanted if filter is None else None)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(
                path, "no such file, though its manifest lists it", f"a Parquet file of {table.name}"
            ) from error
        raise InputError(path, f"not readable as Parquet ({error})", f"a Parquet file of {table.name}") from error
    if filter is not None and not is_filtered:
        rows = table.conform(rows, source=path).filter(filter)
    if columns is None:
        return table.conform(rows, source=path)
    return _projection(table, columns).conform(rows, source=path)


def _is_stored_as(table: Table, stored: pa.Schema) -> bool:
    """Whether a file has the columns of the table in its types, so that a condition can be asked of it as it is."""
    return all(f.name in stored.names and stored.field(f.name).type == f.type for f in table.schema)


def _projection(table: Table, columns: Sequence[str]) -> Table:
    fields = [table.schema.field(n) for n in columns if n in table.schema.names]
    further = {n: t for n, t in table.further.items() if n in columns}
    return Table(table.name, (), pa.schema(fields), (), False, table.optional, further)


def read_table(
    table: Table,
    path: str,
    columns: Sequence[str] | None = None,
    where: Where | None = None,
    filter: pc.Expression | None = None,
) -> pa.Table:
    """Return the rows at or below `path`, with the partition columns as strings.

    `columns` narrows to some columns (of files or partitions), `where` to partitions, `filter` to rows by a condition
    on columns of the files. No such path is a table without rows.
    """
    in_files = None if columns is None else [c for c in columns if c not in table.partitions]
    parts = []
    for partition in list_partitions(table, path, where):
        for file in partition_files(partition):
            rows = read_parquet(table, file, in_files, filter)
            for name in table.partitions:
                if columns is None or name in columns:
                    rows = rows.append_column(
                        pa.field(name, pa.string()),
                        pa.repeat(pa.scalar(partition.keys.get(name), pa.string()), len(rows)),
                    )
            parts.append(rows)
    if parts:
        return pa.concat_tables(parts, promote_options="default")
    empty = table.full_schema().empty_table()
    return empty if columns is None else empty.select([c for c in columns if c in empty.column_names])


def parquet_bytes(table: Table, rows: pa.Table) -> bytes:
    """Return rows as the bytes of a Parquet file in the table's encoding; the same rows give the same bytes."""
    rows = table.conform(rows)
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, row_group_size=ROW_GROUP_ROWS, **_encoding(table, rows.schema))
    return buffer.getvalue()


def _encoding(table: Table, schema: pa.Schema) -> dict[str, Any]:
    """How a table's columns are packed, as arguments of `write_table`."""
    if table.repeating is not None:
        counts = [f.name for f in schema if f.type == pa.int64() or pa.types.is_timestamp(f.type)]
        # Noise hardly packs: a higher level costs time and saves next to nothing.
        return {
            "compression": "zstd",
            "compression_level": 1,
            "use_dictionary": [f.name for f in schema if f.name in table.repeating],
            "column_encoding": dict.fromkeys(counts, "DELTA_BINARY_PACKED"),
        }
    floats = [f.name for f in schema if f.type == pa.float64()] if not table.is_small else []
    return {
        "compression": "zstd",
        "compression_level": 3,
        # Coordinates hardly repeat: splitting their bytes packs them to half the size of a dictionary.
        "use_dictionary": [f.name for f in schema if f.name not in floats],
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT") or None,
    }


def write_parquet(table: Table, path: str, rows: pa.Table) -> None:
    """Write one Parquet file atomically: for workers that write the files of a big table."""
    write_bytes(path, parquet_bytes(table, rows))


def write_partition(
    table: Table,
    root: str,
    keys: Mapping[str, str],
    rows: pa.Table,
    *,
    inputs: Collection[str] = (),
    settings: Mapping[str, Any] | None = None,
    counts: Mapping[str, int] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> str:
    """Replace one partition by `rows` in one file and return its folder.

    `inputs` are the paths that it was made from, `settings` what it was made with, `counts` rows by status; `extra` are
    further keys of the manifest.
    """
    _check_keys(table, keys)
    rows = table.conform(rows)
    path = partition_path(root, keys)
    write_bytes(join(path, DATA_FILE), parquet_bytes(table, rows))
    _write_manifest(path, [DATA_FILE], rows.num_rows, inputs, settings, counts, extra)
    return path


def publish_partition(
    table: Table,
    root: str,
    keys: Mapping[str, str],
    files: Sequence[str],
    rows: int,
    *,
    inputs: Collection[str] = (),
    settings: Mapping[str, Any] | None = None,
    counts: Mapping[str, int] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> str:
    """Make `files` (names in the partition's folder, already written) its content, and return its folder.

    What neither this nor the former manifest lists and is older than an hour is removed: left by a writer that died.
    """
    _check_keys(table, keys)
    path = partition_path(root, keys)
    try:
        former = read_manifest(path)
    except InputError as error:  # left by somebody else, or cut off: this publication replaces it
        log.warning("%s", error)
        former = None
    if not files:
        write_parquet(table, join(path, DATA_FILE), table.empty())
        files = [DATA_FILE]
    _write_manifest(path, sorted(files), rows, inputs, settings, counts, extra)
    keep = {*files, *(former["files"] if former else ())}
    fs, inner = filesystem(path)
    for entry in fs.ls(inner, detail=True):
        name = entry["name"].rsplit("/", 1)[-1]
        if name.endswith(".parquet") and name not in keep and _age_s(fs, entry) > STALE_FILE_AGE_S:
            fs.rm_file(entry["name"])
    return path


def _age_s(fs: fsspec.AbstractFileSystem, entry: Mapping[str, Any]) -> float:
    return time.time() - fs.modified(entry["name"]).timestamp()


def _check_keys(table: Table, keys: Mapping[str, str]) -> None:
    if tuple(keys) != table.partitions:
        raise ConfigurationError(f"{table.name}: partition {dict(keys)}; allowed: keys {', '.join(table.partitions)}")
    for name, value in keys.items():
        if not value or "/" in value or value.startswith("."):
            raise ConfigurationError(f"{table.name}: {name}={value!r}; allowed: a name without '/'")


def _write_manifest(
    path: str,
    files: Sequence[str],
    rows: int,
    inputs: Collection[str],
    settings: Mapping[str, Any] | None,
    counts: Mapping[str, int] | None,
    extra: Mapping[str, Any] | None,
) -> None:
    settings = dict(settings or {})
    versions = {"software": __version__, "calibration": settings.pop("calibration", None)}
    manifest = {
        "files": list(files),
        "rows": rows,
        "inputs": sorted(inputs),
        "settings": settings,
        "versions": versions,
        "counts": dict(counts or {}),
        **(extra or {}),
    }
    target = join(path, MANIFEST)
    content = json_bytes(manifest)
    # One that says the same is left alone: its age tells since when the partition has been what it is.
    if not exists(target) or read_bytes(target) != content:
        write_bytes(target, content)


# --- tables with several writers


def change_rows(table: Table, root: str, keys: Mapping[str, str], change: Callable[[pa.Table], pa.Table]) -> str:
    """Replace the rows of a partition by what `change` makes of them, under a lock; return the partition's folder."""
    _check_keys(table, keys)
    path = partition_path(root, keys)
    with lock(path):
        existing = read_table(table, path).select(table.schema.names) if exists(join(path, MANIFEST)) else table.empty()
        return write_partition(table, root, keys, change(existing))


def replace_rows(
    table: Table,
    root: str,
    keys: Mapping[str, str],
    rows: pa.Table,
    owns: Callable[[pa.Table], pa.Array | pa.ChunkedArray],
) -> str:
    """Replace a writer's own rows of a partition and keep the others', under a lock; return the partition's folder.

    `owns` says which rows of the existing table (bool for each) are the writer's.
    """

    def change(existing: pa.Table) -> pa.Table:
        others = existing.filter(pc.invert(pc.fill_null(owns(existing), False)))
        return pa.concat_tables([others, table.conform(rows).select(table.schema.names)])

    return change_rows(table, root, keys, change)


@contextlib.contextmanager
def lock(path: str) -> Iterator[None]:
    """Hold a folder's lock: flock on a disk, gone with its process; a conditional PUT on S3, taken over when stale."""
    fs, inner = filesystem(path)
    holder = _flock(Path(inner)) if is_local(path) else _s3_lock(fs, f"{inner}/{LOCK}")
    with holder:
        yield


@contextlib.contextmanager
def _flock(folder: Path) -> Iterator[None]:
    import fcntl

    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = (folder / LOCK).open("w")
        except FileNotFoundError:  # the holder has just removed the folder
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _wait_for_lock(str(folder), deadline)
                continue
            if not _is_still_there(file, folder / LOCK):  # its holder has removed it: it locks nobody out
                continue
            yield
            return


def _is_still_there(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _s3_lock(fs: Any, key: str) -> Iterator[None]:
    token = os.urandom(16).hex().encode()
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while not _take_s3_lock(fs, key, token):
        _wait_for_lock(f"s3://{key}", deadline)
    try:
        yield
    finally:
        # Only the holder's token may go: a lock that was stale belongs to whoever took it over.
        with contextlib.suppress(FileNotFoundError):
            if fs.cat_file(key) == token:
                fs.rm_file(key)


def _take_s3_lock(fs: Any, key: str, token: bytes) -> bool:
    bucket, _, name = key.partition("/")
    try:
        fs.call_s3("put_object", Bucket=bucket, Key=name, Body=token, IfNoneMatch="*")
        return True
    except OSError as error:
        if not _is_held(error):
            raise
        try:
            held = fs.info(key)
        except FileNotFoundError:
            return False
    if time.time() - held["LastModified"].timestamp() < STALE_LOCK_AGE_S:
        return False
    try:
        fs.call_s3("put_object", Bucket=bucket, Key=name, Body=token, IfMatch=held["ETag"])
        return True
    except OSError as error:
        if not _is_held(error):
            raise
        return False  # another writer took the stale lock over first


def _is_held(error: OSError) -> bool:
    """Whether S3 refused a conditional PUT for its condition (412, 409), and not for another reason."""
    answer = getattr(error.__cause__, "response", None) or {}
    code = str(answer.get("Error", {}).get("Code", ""))
    return isinstance(error, FileExistsError) or code in (
        "PreconditionFailed",
        "ConditionalRequestConflict",
        "412",
        "409",
    )


def _wait_for_lock(what: str, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise LockTimeout(f"{what}: another writer held the lock for {LOCK_TIMEOUT_S:.0f} s")
    time.sleep(0.05)
