"""Rows in one Parquet file, in the columns and the encoding of their table."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plumewatch.errors import InputError, reading
from plumewatch.storage.files import filesystem, write_bytes
from plumewatch.table import Table

ROW_GROUP_ROWS = 1_048_576  # one window of 1024 x 1024 cells; the usual size of Parquet row groups
PAGE_BYTES = 8 * ROW_GROUP_ROWS  # of 64-bit numbers
TIME = pa.timestamp("us", tz="UTC")
EPOCH, MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)
FIRST_US, LAST_US = (datetime.min - EPOCH) // MICROSECOND, (datetime.max - EPOCH) // MICROSECOND
"""Of the calendar that Python has, in microseconds since 1970; not by pyarrow, which would load pandas for it."""
MOST_PAGE_BYTES = 2**30  # of users' files too, whose pages have 1 MB by Parquet's own rule
ASKED = re.compile(r"of size (\d+) failed")
"""How pyarrow says what it asked for."""
UNREADABLE = "not readable as Parquet"
REPLACED = errno.EBUSY
"""How s3fs numbers that an object isn't the one that was opened (`s3fs.utils.FileExpired`)."""
MOST_TRIES = 5  # of a file that is replaced between the pieces; writers come once a task
MANIFEST_WITHIN = "plumewatch:manifest"
"""Key of a file's metadata: rows and what is said of them are one write, whatever becomes of the manifest beside."""

Made = TypeVar("Made")


def read_parquet(
    table: Table, path: str, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
) -> pa.Table:
    """Return one file's rows as the table's columns (or `columns`); optional ones that it lacks are null."""
    allowed = f"a Parquet file of {table.name}"

    def read(file: BinaryIO) -> tuple[pa.Table, bool]:
        parquet = pq.ParquetFile(file)
        names = parquet.schema_arrow.names
        _refuse_numbers_as_times(table, parquet.schema_arrow, path)
        # A number of rows that no column has isn't believed: as many would be made, of nothing.
        wanted = names if columns is None else [n for n in columns if n in names] or names[:1]
        if filter is not None and _is_stored_as(table, parquet.schema_arrow):
            return pq.read_table(file, columns=wanted, filters=filter), True
        return parquet.read(columns=wanted if filter is None else None), False

    try:
        with reading(path, allowed, UNREADABLE), _in_memory(path, allowed):
            rows, is_filtered = _of_one_write(path, read)
            _check_columns(rows)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise InputError(path, "no such file, though its folder or its manifest lists it", allowed) from error
        raise
    if filter is not None and not is_filtered:
        rows = table.conform(rows, source=path).filter(filter)
    form = table if columns is None else _projection(table, columns)
    return _with_times_that_are(form.conform(rows, source=path), path)


Ranges = Mapping[str, tuple[int, int]]
"""By column of whole numbers: the least value, and the one after the largest."""


def iter_parquet(table: Table, path: str, columns: Sequence[str], within: Sequence[Ranges] = ()) -> Iterator[pa.Table]:
    """Yield one file's rows in some columns, at most a row group of ours at a time; row groups are left out that hold
    none `within` any of the ranges, as their statistics say. Not each row that is given lies in one.
    """
    allowed = f"a Parquet file of {table.name}"
    fs, inner = filesystem(path)
    with reading(path, allowed, UNREADABLE), _in_memory(path, allowed), fs.open(inner, "rb") as file:
        parquet = pq.ParquetFile(file)
        names = parquet.schema_arrow.names
        _refuse_numbers_as_times(table, parquet.schema_arrow, path)
        wanted = [name for name in columns if name in names] or names[:1]
        known = parquet.metadata
        groups = [i for i in range(known.num_row_groups) if not within or any(_may_hold(known, i, r) for r in within)]
        for batch in parquet.iter_batches(ROW_GROUP_ROWS, row_groups=groups, columns=wanted) if groups else ():
            rows = pa.Table.from_batches([batch])
            _check_columns(rows)
            yield _with_times_that_are(_projection(table, columns).conform(rows, source=path), path)


def _may_hold(metadata: pq.FileMetaData, group: int, ranges: Ranges) -> bool:
    known = _group_ranges(metadata, group, tuple(ranges))
    return all(
        name not in known or (known[name][0] < end and known[name][1] > start) for name, (start, end) in ranges.items()
    )


def _group_ranges(metadata: pq.FileMetaData, group: int, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the ranges of columns in a row group, of those whose statistics tell."""
    found = {}
    for index in range(metadata.num_columns):
        column = metadata.row_group(group).column(index)
        if column.path_in_schema in names and column.is_stats_set and column.statistics.has_min_max:
            found[column.path_in_schema] = int(column.statistics.min), int(column.statistics.max) + 1
    return found


def read_metadata(path: str, allowed: str = "a Parquet file") -> pq.FileMetaData:
    """Return what a Parquet file says of itself; InputError where it cannot be read."""
    with reading(path, allowed, UNREADABLE), _in_memory(path, allowed):
        return _of_one_write(path, pq.read_metadata)


def read_ranges(table: Table, path: str, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the ranges of columns of whole numbers over a file, by its statistics; none of a file without rows."""
    allowed = f"a Parquet file of {table.name}"
    metadata = read_metadata(path, allowed)
    with reading(path, allowed, UNREADABLE):
        groups = [_group_ranges(metadata, i, names) for i in range(metadata.num_row_groups)]
    if not all(name in group for name in names for group in groups):  # a writer that leaves statistics out
        groups = [
            {
                name: (lowest["min"], lowest["max"] + 1)
                for name in names
                if (lowest := pc.min_max(rows[name]).as_py())["min"] is not None
            }
            for rows in iter_parquet(table, path, names)
        ]
    return {
        name: (min(group[name][0] for group in groups), max(group[name][1] for group in groups))
        for name in names
        if groups and all(name in group for group in groups)
    }


def _of_one_write(path: str, read: Callable[[BinaryIO], Made], tries: int = MOST_TRIES) -> Made:
    """Return what `read` makes of a file, all of one write.

    The pieces of an object are asked for one by one; s3fs refuses those of another write than the first, and the file
    is then opened again.
    """
    fs, inner = filesystem(path)
    try:
        with fs.open(inner, "rb") as file:
            return read(file)
    except OSError as error:
        if error.errno != REPLACED or tries == 1:
            raise
    return _of_one_write(path, read, tries - 1)


@contextmanager
def _in_memory(path: str, allowed: str) -> Iterator[None]:
    """Call a file at fault whose pages ask for more memory at once than any page has; else memory is short."""
    try:
        yield
    except pa.ArrowMemoryError as error:
        asked = ASKED.search(str(error))
        if asked is None or int(asked[1]) < MOST_PAGE_BYTES:
            raise
        raise InputError(path, f"a page that asks for {int(asked[1]):,} bytes", allowed) from error


def _check_columns(rows: pa.Table) -> None:
    """Raise ArrowInvalid for columns of different lengths and texts that aren't UTF-8, which pyarrow lets pass."""
    rows.validate()
    for column in rows.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column.validate(full=True)


def _with_times_that_are(rows: pa.Table, path: str) -> pa.Table:
    """Return the rows; InputError where a time is none that a calendar has, which nobody could write out."""
    for field in rows.schema:
        if field.type == TIME and rows.num_rows:
            ends = pc.min_max(rows[field.name].cast(pa.int64())).as_py()
            if ends["min"] is not None and not FIRST_US <= ends["min"] <= ends["max"] <= LAST_US:
                raise InputError(path, f"{field.name} beyond the years 1 to 9999", "times of the calendar")
    return rows


def _refuse_numbers_as_times(table: Table, stored: pa.Schema, path: str) -> None:
    """A number doesn't say whether it counts seconds or nanoseconds, nor since when; a date has no hour."""
    for field in table.schema:
        if pa.types.is_timestamp(field.type) and field.name in stored.names:
            kind = stored.field(field.name).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            if not (pa.types.is_timestamp(kind) or is_text or pa.types.is_null(kind)):
                raise InputError(path, f"{field.name} of type {kind}", "timestamps (UTC, or with their time zone)")


def _is_stored_as(table: Table, stored: pa.Schema) -> bool:
    """Whether a file has the columns of the table in its types, so that a condition can be asked of it as it is."""
    return all(f.name in stored.names and stored.field(f.name).type == f.type for f in table.schema)


def _projection(table: Table, columns: Sequence[str]) -> Table:
    fields = [table.schema.field(n) for n in columns if n in table.schema.names]
    further = {n: t for n, t in table.further.items() if n in columns}
    return Table(table.name, (), pa.schema(fields), (), False, table.optional, further)


def parquet_bytes(table: Table, rows: pa.Table, manifest: bytes | None = None) -> bytes:
    """Return rows as the bytes of a Parquet file in the table's encoding; the same rows give the same bytes.

    A column of a big table may be a dictionary of its values; what is read has the values all the same. The file tells
    `manifest`, that of a partition which consists of it, to `manifest_within`.
    """
    rows = table.conform(rows, keep_dictionaries=not table.is_small).unify_dictionaries()
    buffer = io.BytesIO()
    # Without Arrow's own schema in the file a dictionary is read as what Parquet says its values are.
    is_plain = not any(pa.types.is_dictionary(f.type) for f in rows.schema)
    with pq.ParquetWriter(buffer, rows.schema, store_schema=is_plain, **encoding(table, rows.schema)) as writer:
        writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
        if manifest is not None:
            writer.add_key_value_metadata({MANIFEST_WITHIN: manifest})
    return buffer.getvalue()


def manifest_within(path: str) -> bytes | None:
    """Return the manifest that a file was written with; None where it tells none, as those of before 2026-12."""
    content: bytes | None = (read_metadata(path).metadata or {}).get(MANIFEST_WITHIN.encode())
    return content


def encoding(table: Table, schema: pa.Schema) -> dict[str, Any]:
    """Return how a table's columns are packed, as arguments of `pyarrow.parquet.write_table`."""
    if table.is_small:
        return {"compression": "zstd", "compression_level": 3}
    usual = {
        "compression": "zstd",
        "compression_level": 1,  # noise hardly packs: a higher level costs time and saves next to nothing
        # One page for the rows of a group: bytes that were split pack the better the more of them follow each other.
        "max_rows_per_page": ROW_GROUP_ROWS,
        "data_page_size": PAGE_BYTES,
    }
    if table.repeating is not None:
        counts = [f.name for f in schema if f.type == pa.int64() or pa.types.is_timestamp(f.type)]
        return {
            **usual,
            "use_dictionary": [f.name for f in schema if f.name in table.repeating],
            "column_encoding": dict.fromkeys(counts, "DELTA_BINARY_PACKED"),
            # Measured values spread over all they can be in any file: their least and most tell a reader nothing.
            "write_statistics": [f.name for f in schema if not pa.types.is_floating(f.type)],
        }
    floats = [f.name for f in schema if f.type == pa.float64()]
    return {
        **usual,
        # Coordinates hardly repeat: splitting their bytes packs them to half the size of a dictionary.
        "use_dictionary": [f.name for f in schema if f.name not in floats],
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT") or None,
    }


def write_parquet(table: Table, path: str, rows: pa.Table) -> None:
    """Write one Parquet file atomically: for workers that write the files of a big table."""
    write_bytes(path, parquet_bytes(table, rows))
