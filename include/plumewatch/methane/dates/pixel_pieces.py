"""A partition of the pixel table read piece by piece: what its passes are, and their pixels on some windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from plumewatch import storage
from plumewatch.methane.grid_place import GridPlace
from plumewatch.methane.pass_rows import (
    COLUMNS,
    PASS_KEYS,
    SCL_WATER,
    PassFacts,
    has_reflectance,
    lay_out,
    rows_of_scenes,
    scenes_of_passes,
)
from plumewatch.methane.passes import OTHER_BANDS, Pass
from plumewatch.storage.parquet import Ranges
from plumewatch.tables import PIXELS

SCENE_COLUMNS = (*PASS_KEYS, "scene_id", "observed_at_utc")
CELL_COLUMNS = (*SCENE_COLUMNS, "row", "col", "b11", "b12", "scl", "is_clear")
READ_COLUMNS = (*COLUMNS, *OTHER_BANDS)  # further bands as far as the files have them

Scene = Mapping[str, Any]
"""platform, relative_orbit and scene_id as stored, observed_at_utc_min."""


@dataclass(frozen=True, eq=False)
class StoredPass:
    """Where the pixels of a pass are."""

    partition: str
    """Folder of the table pixels."""
    scenes: tuple[Scene, ...]
    """Of this pass; empty where all rows of the partition are."""
    facts: PassFacts
    """On its whole window."""

    def on(self, place: GridPlace) -> Pass:
        """Return the pass on a window of the area's grid; cells that it doesn't reach have no pixel."""
        within = window_ranges(place)
        rows = read_pieces(self.partition, (*CELL_COLUMNS, *OTHER_BANDS), [within], self.scenes)
        row, col = (rows[name].to_numpy().astype(np.int64) for name in ("row", "col"))
        cell = (row - place.row0) * place.width + col - place.col0
        return lay_out(rows, cell, replace(self.facts, place=place), self.partition)


@dataclass
class PassExtent:
    """What a first look at all rows of a pass tells."""

    scenes: tuple[Scene, ...]
    """Of this pass."""
    rows: tuple[int, int]
    """On the area's grid: first, and the one after the last."""
    cols: tuple[int, int]
    """On the area's grid: first, and the one after the last."""
    n_pixels: int
    """Rows; a cell that is there twice counts twice, here and below."""
    n_seen: int
    """Both bands have data."""
    n_usable: int
    """Clear, not water."""
    usable_in: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Usable pixels of each square of the area's grid, by its row and column of squares."""


def window_ranges(place: GridPlace) -> dict[str, tuple[int, int]]:
    """Return the rows and columns of the area's grid on a window."""
    return {"row": (place.row0, place.row0 + place.height), "col": (place.col0, place.col0 + place.width)}


def count_cells(partition: str, few: int = 0) -> int:
    """Return the cells of the smallest window that holds a partition's pixels, as its files' statistics tell it.

    Where its manifest states a grid of no more than `few` cells that number is enough.
    """
    grid = (storage.read_manifest(partition) or {}).get("grid")
    if isinstance(grid, Mapping) and all(isinstance(grid.get(side), int) for side in ("height", "width")):
        cells = int(grid["height"] * grid["width"])
        if cells <= few:
            return cells
    ranges = storage.partition_ranges(PIXELS, storage.Partition(partition, {}), ("row", "col"))
    return int(np.prod([last - first for first, last in ranges.values()])) if ranges else 0


def read_pieces(
    partition: str,
    columns: Sequence[str],
    within: Sequence[Ranges],
    scenes: Sequence[Scene] = (),
) -> pa.Table:
    """Return the rows on any of the windows, of these scenes if any are named; no more is in memory at a time."""
    pieces = []
    for rows in storage.iter_partition(PIXELS, storage.Partition(partition, {}), columns, within):
        kept = rows.filter(pa.array(_lies_within(rows, within)))
        pieces.append(rows_of_scenes(kept, scenes) if scenes else kept)
    if not pieces:
        fields = [PIXELS.schema.field(name) for name in columns if name in PIXELS.schema.names]
        return pa.schema(fields).empty_table()
    return pa.concat_tables(pieces, promote_options="default")


def _lies_within(rows: pa.Table, within: Sequence[Ranges]) -> np.ndarray:
    inside = np.zeros(rows.num_rows, bool)
    values = {name: rows[name].to_numpy() for name in ("row", "col")}
    for ranges in within:
        inside |= np.logical_and.reduce([(values[n] >= a) & (values[n] < b) for n, (a, b) in ranges.items()])
    return inside


def read_scenes(partition: str) -> list[tuple[Scene, ...]]:
    """Return the scenes of each pass of a partition, as `split_passes` tells them apart."""
    pieces = [
        rows.group_by([*PASS_KEYS, "scene_id"]).aggregate([("observed_at_utc", "min")])
        for rows in storage.iter_partition(PIXELS, storage.Partition(partition, {}), SCENE_COLUMNS)
    ]
    return _passes_of(pieces)


def _passes_of(pieces: Sequence[pa.Table]) -> list[tuple[Scene, ...]]:
    if not pieces:
        return []
    found = pa.concat_tables(pieces).group_by([*PASS_KEYS, "scene_id"]).aggregate([("observed_at_utc_min", "min")])
    names = {"observed_at_utc_min_min": "observed_at_utc_min"}
    scenes = found.rename_columns([names.get(name, name) for name in found.column_names]).to_pylist()
    return [tuple(scenes_of_pass) for scenes_of_pass in scenes_of_passes(scenes)]


def look_over(partition: str, square_px: int) -> list[PassExtent]:
    """Return what all rows of a partition tell of each of its passes, read piece by piece."""
    passes = read_scenes(partition)
    extents = [PassExtent(scenes, (0, 0), (0, 0), 0, 0, 0, {}) for scenes in passes]
    for rows in storage.iter_partition(PIXELS, storage.Partition(partition, {}), CELL_COLUMNS):
        for extent in extents:
            its = rows if len(extents) == 1 else rows_of_scenes(rows, extent.scenes)
            if its.num_rows:
                _add(extent, its, square_px)
    return extents


def _add(extent: PassExtent, rows: pa.Table, square_px: int) -> None:
    row, col, b11, b12 = (rows[name].to_numpy() for name in ("row", "col", "b11", "b12"))
    is_clear = rows["is_clear"].to_numpy(zero_copy_only=False).astype(bool) & (rows["scl"].to_numpy() != SCL_WATER)
    usable = is_clear & has_reflectance(b11) & has_reflectance(b12)
    for name, values in (("rows", row), ("cols", col)):
        first, end = int(values.min()), int(values.max()) + 1
        known = getattr(extent, name)
        setattr(extent, name, (min(known[0], first), max(known[1], end)) if extent.n_pixels else (first, end))
    extent.n_pixels += rows.num_rows
    extent.n_seen += int((np.isfinite(b11) & np.isfinite(b12)).sum())
    extent.n_usable += int(usable.sum())
    at_row, at_col = row[usable] // square_px, col[usable] // square_px
    if not at_row.size:
        return
    first_row, first_col = int(at_row.min()), int(at_col.min())
    n_cols = int(at_col.max()) - first_col + 1
    counts = np.bincount((at_row - first_row).astype(np.int64) * n_cols + at_col - first_col)
    usable_in = dict(extent.usable_in)
    for index in np.flatnonzero(counts):
        square = first_row + int(index) // n_cols, first_col + int(index) % n_cols
        usable_in[square] = usable_in.get(square, 0) + int(counts[index])
    extent.usable_in = usable_in
