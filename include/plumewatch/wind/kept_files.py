"""Wind for many places from the same files: each is read once, and its rows are found by their place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import PlumewatchError
from plumewatch.wind.files import OnFailure, Points, cells_around, cells_of, gather_rows, in_time, usable_rows

MAX_KEPT_ROWS = 8_000_000  # 400 MB; a day around 1,000 areas, hourly on a grid of 0.25 degrees, has 2 million


@dataclass(frozen=True, eq=False)
class _File:
    """What a file says."""

    rows: pa.Table
    """Its usable rows, in their order."""
    order: NDArray[np.int64]
    """The rows by their cell."""
    cells: NDArray[np.int64]
    """The 1-degree cell of each, sorted."""


class KeptFiles:
    """Wind files that one worker reads for the places of many areas, the latest ones kept in memory."""

    def __init__(self, path: str, max_rows: int = MAX_KEPT_ROWS) -> None:
        """`path` is a folder or prefix of Parquet files, or one file, as for read_wind_files."""
        self._path, self._max_rows = path, max_rows
        self._kept: dict[str, _File] = {}

    @property
    def kept(self) -> list[str]:
        """Files that need not be read again, the one asked for last at the end."""
        return list(self._kept)

    def read(self, start: datetime, end: datetime, points: Points, on_failure: OnFailure | None = None) -> pa.Table:
        """Return what read_wind_files returns for these arguments."""
        condition, wanted = in_time(start, end), cells_around(*points)

        def rows_of(file: str) -> pa.Table:
            held = self._file(file)
            if held is None:
                rows = usable_rows(file, condition)
                return rows.filter(pa.array(np.isin(cells_of(*_places(rows)), wanted)))
            first, last = (np.searchsorted(held.cells, wanted, side) for side in ("left", "right"))
            near = np.concatenate([held.order[:0], *(held.order[a:b] for a, b in zip(first, last, strict=True))])
            return held.rows.take(near).filter(condition)

        return gather_rows(self._path, start, end, rows_of, on_failure)

    def _file(self, file: str) -> _File | None:
        """Return a file's rows, None where they are too many to be kept."""
        held = self._kept.pop(file, None)
        if held is None:
            if _row_count(file) > self._max_rows:
                return None
            rows = usable_rows(file)
            cells = cells_of(*_places(rows))
            order = np.argsort(cells, kind="stable")
            held = _File(rows, order, cells[order])
        self._kept[file] = held
        while sum(other.rows.num_rows for other in self._kept.values()) > self._max_rows:
            del self._kept[next(iter(self._kept))]
        return held


def _places(rows: pa.Table) -> Points:
    return rows["longitude"].to_numpy(), rows["latitude"].to_numpy()


def _row_count(file: str) -> int:
    """Return the number of rows of a Parquet file; 0 where it isn't one, which its reader says in its own words."""
    try:
        return int(storage.read_metadata(file).num_rows)
    except PlumewatchError:
        return 0
