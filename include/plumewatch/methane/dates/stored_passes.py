"""The passes of one area out of the pixel table: each partition is read once, and kept as long as later dates need it.

A date is searched against those of the weeks before it, so that neighbours share nearly all of their references. As
arrays on the area's grid a pass takes a tenth of the memory of its rows.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from plumewatch import storage
from plumewatch.constants import SAME_PIXEL_SIZE
from plumewatch.errors import InputError, PlumewatchError, reading
from plumewatch.keys import DAY, is_key
from plumewatch.methane.blocks.windows import Blocks
from plumewatch.methane.dates.pixel_pieces import READ_COLUMNS, count_cells, read_pieces, window_ranges
from plumewatch.methane.grid_place import GridPlace, median_distance_deg
from plumewatch.methane.pass_rows import CHECKED_POINTS, MAX_OFFSET_PX, PassFacts, grid_pass, split_passes
from plumewatch.methane.passes import Pass
from plumewatch.models import Grid
from plumewatch.tables import PIXELS

MAX_KEPT_BYTES = 1 << 30  # of passes in one worker: 30 dates of 1,000 x 1,000 pixels with five further bands
LENGTHS = ("west", "north", "resolution_m")  # of a grid; the rest of it are whole numbers
PIXEL_SIZE_TOLERANCE = 1e-3  # relative: a size that is stored in single precision, or rounded to centimetres
EMPTY = {"f": np.nan, "b": False, "i": -1, "u": 0}  # what a cell without a pixel holds, by the kind of the array

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RefusedPass:
    """A pass whose rows cannot be used, beside others of its partition that can."""

    platform: str | None
    """As the table has it."""
    relative_orbit: int | None
    """As the table has it."""
    scene_id: str | None
    """The first of its scenes, None where the table doesn't say."""
    error: Exception
    """What was found and what is allowed, without its traceback."""


@dataclass(frozen=True, eq=False)
class StoredDay:
    """What a partition holds."""

    passes: tuple[Pass, ...]
    """In the order of platform and relative orbit, each on the smallest window that holds it."""
    refused: tuple[RefusedPass, ...]
    """In the same order."""
    n_bytes: int
    """Of the arrays of its passes."""

    @property
    def n_passes(self) -> int:
        """How many passes the table has, usable or not."""
        return len(self.passes) + len(self.refused)


class StoredPasses:
    """The passes of an area, for targets that come in the order of their dates."""

    def __init__(
        self,
        pixels_root: str,
        area: str,
        targets: Iterable[str],
        max_days_back: int,
        max_bytes: int = MAX_KEPT_BYTES,
        most_whole_cells: int = Blocks().most_whole_cells,
    ) -> None:
        """`targets` are the dates (YYYY-MM-DD) that will be searched; nothing is kept with max_days_back 0."""
        self.rows_read = 0
        """Rows of all partitions that were read so far."""
        self.dates_read: list[str] = []
        """Dates of those partitions, in the order of reading."""
        self._root, self._area = pixels_root, area
        self._targets, self._max_days_back, self._max_bytes = tuple(targets), max_days_back, max_bytes
        self._most_whole_cells = most_whole_cells
        self._cells: dict[str, int] = {}
        self._kept: dict[str, StoredDay] = {}
        self._stored: frozenset[str] | None = None

    def partition(self, day: str) -> str:
        """Return the folder of a date."""
        return storage.partition_path(self._root, {"area": self._area, "date": day})

    @property
    def kept(self) -> list[str]:
        """Dates that need not be read again, sorted."""
        return sorted(self._kept)

    def read(self, day: str, near: GridPlace | None = None) -> StoredDay:
        """Return the passes of a date, none where its partition has no rows.

        Of several passes those that can be used are given, and the others named. Raises what a partition raises that
        cannot be read or whose only pass cannot be used; that isn't kept, the next one who asks tries again. Of a date
        that is too large to be held whole those `near` (on the window of a smaller one) are read each time.
        """
        if day in self._kept:
            return self._kept[day]
        if near is not None and self.is_large(day):
            return self._taken(day, read_pieces(self.partition(day), READ_COLUMNS, [window_ranges(near)]))
        stored = self._taken(day, storage.read_table(PIXELS, self.partition(day), READ_COLUMNS))
        self._keep(day, stored)
        return stored

    def is_large(self, day: str) -> bool:
        """Whether a date is too large to be held whole."""
        if day not in self._cells:
            self._cells[day] = count_cells(self.partition(day), self._most_whole_cells)
        return self._cells[day] > self._most_whole_cells

    def _taken(self, day: str, rows: pa.Table) -> StoredDay:
        self.note_read(day, rows.num_rows)
        return self._gridded(split_passes(rows) if rows.num_rows else [], self.partition(day))

    def note_read(self, day: str, rows: int) -> None:
        """Count a date that was read anew."""
        self.rows_read += rows
        self.dates_read.append(day)

    def _gridded(self, in_passes: list[pa.Table], source: str) -> StoredDay:
        passes, refused = [], []
        grid = stated_grid(source) if in_passes else None
        sizes_m = stated_sources(source) if in_passes else {}
        for rows in in_passes:
            try:
                one = grid_pass(rows, source, grid)
                check_sources(one, sizes_m, source)
                passes.append(one)
            except Exception as error:  # whatever is odd in one pass must not take the others along
                if len(in_passes) == 1 or isinstance(error, MemoryError):
                    raise
                if not isinstance(error, PlumewatchError):
                    log.exception("%s", source)
                refused.append(_refused(rows, error))
        return StoredDay(tuple(passes), tuple(refused), sum(map(_n_bytes, passes)))

    def start(self, target: str) -> None:
        """Forget what no target from this one on can be compared with; InputError where it is no date."""
        self._require_date(target)
        first = self.days_before(target)[-1] if self._max_days_back else target
        self._kept = {day: held for day, held in self._kept.items() if day >= first}

    def earlier(self, target: str) -> list[str]:
        """Return the stored dates that a target may be compared with, nearest first."""
        if self._stored is None:
            area = storage.join(self._root, f"area={self._area}")
            wanted = {day for other in self._targets if is_key(other, DAY) for day in self.days_before(other)}
            self._stored = frozenset(p.keys["date"] for p in storage.list_partitions(PIXELS, area, {"date": wanted}))
        return [day for day in self.days_before(target) if day in self._stored]

    def days_before(self, target: str) -> list[str]:
        """Return the days before a date (YYYY-MM-DD) as far back as references may lie, nearest first."""
        self._require_date(target)
        return [str(date.fromisoformat(target) - timedelta(days=n)) for n in range(1, self._max_days_back + 1)]

    def _require_date(self, day: str) -> None:
        if not is_key(day, DAY):
            raise InputError(self.partition(day), f"date={day}", "date=YYYY-MM-DD")

    def _keep(self, day: str, read: StoredDay) -> None:
        """Keep a date; where all together are too much the earliest go, which the fewest targets ahead will need."""
        self._kept[day] = read
        while sum(held.n_bytes for held in self._kept.values()) > self._max_bytes:
            del self._kept[min(self._kept)]


def stated_grid(partition: str) -> Grid | None:
    """Return the grid that the manifest of a partition of pixels states, None where it states none."""
    stated = (storage.read_manifest(partition) or {}).get("grid")
    if stated is None:
        return None
    names, manifest = [field.name for field in fields(Grid)], storage.join(partition, storage.MANIFEST)
    allowed, found = f"numbers: {', '.join(names)}", f"grid {stated!r}"
    with reading(manifest, allowed, found):
        numbers: dict[str, Any] = {name: (float if name in LENGTHS else operator.index)(stated[name]) for name in names}
        grid = Grid(**numbers)
        is_grid = sorted(stated) == sorted(names) and min(grid.resolution_m, grid.width, grid.height) > 0
        if not is_grid or not np.isfinite(grid.longitude_latitude(np.zeros(1), np.zeros(1))).all():
            raise InputError(manifest, found, allowed)
    return grid


def stated_sources(partition: str) -> dict[str, float]:
    """Return from pixels of which size (m) the manifest says that scenes were stacked; none where it doesn't say."""
    stated = (storage.read_manifest(partition) or {}).get("source_pixel_m")
    with reading(storage.join(partition, storage.MANIFEST), "source_pixel_m as metres by scene"):
        return {str(scene): float(size_m) for scene, size_m in (stated or {}).items()}


def check_sources(one: Pass | PassFacts, sizes_m: Mapping[str, float], source: str) -> None:
    """Refuse cells that are copies of coarser pixels: one measurement would pass for so many."""
    coarsest = max(one.scene_ids, key=lambda scene: sizes_m.get(scene, 0.0))
    if (size_m := sizes_m.get(coarsest, 0.0)) > SAME_PIXEL_SIZE * one.pixel_size_m:
        found = f"cells of {one.pixel_size_m:g} m that are copies of pixels of {size_m:g} m ({coarsest})"
        raise InputError(source, found, f"source pixels of at most {one.pixel_size_m:g} m, or an area of larger cells")


def _arrays(one: Pass) -> dict[str, Any]:
    """Return the arrays on the window among the fields of a pass, those in a mapping by name as such."""
    values = {field.name: getattr(one, field.name) for field in fields(one)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray | Mapping)}


def _n_bytes(one: Pass) -> int:
    arrays = (a for value in _arrays(one).values() for a in (value.values() if isinstance(value, Mapping) else [value]))
    return sum(array.nbytes for array in arrays)


def _refused(rows: pa.Table, error: Exception) -> RefusedPass:
    names = ("platform", "relative_orbit", "scene_id")
    first = next(iter(rows.select(names).sort_by("scene_id").slice(0, 1).to_pylist()), dict.fromkeys(names))
    return RefusedPass(**first, error=error.with_traceback(None))  # a traceback would hold the rows


def on_window(one: Pass, onto: GridPlace, source: str = "pixels", pixel_size_m: float | None = None) -> Pass | None:
    """Return a pass on the window of another one; cells that it doesn't reach have no pixel.

    None where it reaches none, as two orbits may at the ends of their swaths. Raises InputError, naming `source`, where
    its pixels are not of the window's size (None: not known) or its cells are not those of the window.
    """
    check_size(one, pixel_size_m, source)
    own = one.place
    top, left = max(own.row0, onto.row0), max(own.col0, onto.col0)
    bottom = min(own.row0 + own.height, onto.row0 + onto.height)
    right = min(own.col0 + own.width, onto.col0 + onto.width)
    its_part = (
        slice(max(0, top - own.row0), max(0, bottom - own.row0)),
        slice(max(0, left - own.col0), max(0, right - own.col0)),
    )
    rows, cols = np.nonzero(one.scene_index[its_part] >= 0)
    if not len(rows):
        return None
    check_place(own, onto, rows + top, cols + left, source)
    if (own.row0, own.col0, *one.shape) == (onto.row0, onto.col0, onto.height, onto.width):
        return one
    part = slice(top - onto.row0, bottom - onto.row0), slice(left - onto.col0, right - onto.col0)

    def laid(values: np.ndarray) -> np.ndarray:
        grid = np.full((onto.height, onto.width), EMPTY[values.dtype.kind], values.dtype)
        grid[part] = values[its_part]
        return grid

    moved: dict[str, Any] = {
        name: {key: laid(array) for key, array in value.items()} if isinstance(value, Mapping) else laid(value)
        for name, value in _arrays(one).items()
    }
    return replace(one, place=onto, n_pixels=len(rows), **moved)


def check_size(one: Pass | PassFacts, pixel_size_m: float | None, source: str) -> None:
    """Refuse pixels of another size than the target's, where that is known."""
    if pixel_size_m is not None and abs(one.pixel_size_m - pixel_size_m) > PIXEL_SIZE_TOLERANCE * pixel_size_m:
        allowed = f"{pixel_size_m:g} as on the target date: dates of one area on one grid"
        raise InputError(source, f"pixel_size_m {one.pixel_size_m:g}", allowed)


def check_place(own: GridPlace, onto: GridPlace, rows: np.ndarray, cols: np.ndarray, source: str) -> None:
    """Refuse pixels (on the area's grid) that lie elsewhere than the window says: the grid was changed in between."""
    some = np.unique(np.linspace(0, len(rows) - 1, CHECKED_POINTS).astype(np.int64))
    row, col = rows[some], cols[some]
    longitude, latitude = own.longitude_latitude(row - own.row0, col - own.col0)
    there = onto.longitude_latitude(row - onto.row0, col - onto.col0)
    along = (0, 1) if onto.width > onto.height else (1, 0)  # of a window of one row only its columns are known
    next_cell = onto.longitude_latitude(row - onto.row0 + along[0], col - onto.col0 + along[1])
    cell = median_distance_deg(next_cell, there)
    off = median_distance_deg((longitude, latitude), there)
    if off > MAX_OFFSET_PX * cell:
        raise InputError(
            source, f"pixels {off / cell:.1f} cells off the target's grid", "dates of one area on one grid"
        )
