"""What a table is: columns, partitions, and how rows are brought to its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.errors import InputError


@dataclass(frozen=True)
class Table:
    """One table: what its files hold and how its partitions are named."""

    name: str
    """Folder below the storage root."""
    partitions: tuple[str, ...]
    """Names of the `key=value` folders, outermost first; their values are strings."""
    schema: pa.Schema
    """Columns of the files, in their order."""
    sort_by: tuple[str, ...]
    """Row order of one-file partitions, so that a repetition writes the same bytes."""
    is_small: bool = True
    """Exactly one data file a partition; big tables publish several by their manifest."""
    optional: frozenset[str] = frozenset()
    """Columns that a reader does without: absent means null in every row."""
    further: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Columns that are kept where present."""
    repeating: frozenset[str] | None = None
    """Columns of a big table of measurements whose values repeat, so that a dictionary packs them; the noise of the
    others is stored as it is. None: no such table."""
    may_be_flat: bool = False
    """Files of users may lie outside of partition folders; their partition columns are null then."""

    def full_schema(self) -> pa.Schema:
        """Schema of a read table: the columns of the files, then the partitions as strings."""
        schema = self.schema
        for name in self.partitions:
            schema = schema.append(pa.field(name, pa.string()))
        return schema

    def empty(self) -> pa.Table:
        """Return no rows, with the schema."""
        return self.schema.empty_table()

    def from_pylist(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Return the rows (dicts by column name) as a conformed table; a missing key is null."""
        unknown = {key for row in rows for key in row} - {*self.schema.names, *self.further}
        if unknown:
            raise InputError(self.name, f"unknown columns {sorted(unknown)}", ", ".join(self.schema.names))
        if not rows:
            return self.empty()
        further = [(name, kind) for name, kind in self.further.items() if any(name in row for row in rows)]
        schema = pa.schema([*self.schema, *further])
        return self.conform(pa.Table.from_pylist([dict(row) for row in rows], schema=schema))

    def from_columns(self, columns: Mapping[str, Any], *, keep_dictionaries: bool = False) -> pa.Table:
        """Return the columns (arrays of equal length by name) as a conformed table."""
        kinds = {f.name: f.type for f in self.schema} | dict(self.further)
        arrays = {
            name: values
            if isinstance(values, pa.Array | pa.ChunkedArray)
            else pa.array(values, type=kinds.get(name), from_pandas=False)
            for name, values in columns.items()
        }
        return self.conform(pa.table(arrays), keep_dictionaries=keep_dictionaries)

    def conform(self, rows: pa.Table, source: str | None = None, *, keep_dictionaries: bool = False) -> pa.Table:
        """Return `rows` with exactly the columns and types of the table, small tables in their sort order.

        With `keep_dictionaries` a dictionary of values of a column's type may stand for the column: for writers, to
        whom it saves writing out a text for each row.
        Raises InputError that names `source` where a column is missing or cannot be cast.
        """
        source = source or self.name
        present = set(rows.column_names)
        missing = [f.name for f in self.schema if f.name not in present | self.optional]
        if missing:
            raise InputError(
                source, f"no column {', '.join(missing)}", f"a {self.name} table with " + ", ".join(self.schema.names)
            )
        fields = list(self.schema) + [pa.field(n, t) for n, t in self.further.items() if n in present]
        columns = [
            pa.chunked_array([pa.nulls(rows.num_rows, f.type)])
            if f.name not in present
            else rows[f.name]
            if keep_dictionaries and _is_dictionary_of(f.type, rows[f.name].type)
            else _cast(rows[f.name], f, source)
            for f in fields
        ]
        kinds = [pa.field(f.name, column.type) for f, column in zip(fields, columns, strict=True)]
        table = pa.table(columns, schema=pa.schema(kinds, metadata=self.schema.metadata))
        if self.is_small and self.sort_by and table.num_rows > 1:
            table = table.sort_by([(name, "ascending") for name in self.sort_by])
        return table


def floats(column: pa.ChunkedArray | pa.Array) -> NDArray[np.float64]:
    """Return a column as f64, null as NaN."""
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(float)


def _is_dictionary_of(wanted: pa.DataType, found: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(found) and found.value_type == wanted)


def _cast(column: pa.ChunkedArray, wanted: pa.Field, source: str) -> pa.ChunkedArray:
    if column.type == wanted.type:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # Narrowing floats and nanoseconds drops digits on purpose; an integer, text or time that doesn't fit is refused.
    is_finer_time = pa.types.is_timestamp(wanted.type) and getattr(column.type, "unit", "") == "ns"
    lossy = pa.types.is_floating(wanted.type) or is_finer_time
    try:
        return column.cast(wanted.type, safe=not lossy)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(source, f"column {wanted.name} is {column.type} ({error})", str(wanted.type)) from error
