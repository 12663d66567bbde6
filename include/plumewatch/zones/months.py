"""A month of scenes over some zones: what a worker reads and counts, rows out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from plumewatch.models import FailedScene
from plumewatch.sentinel2.pixels import CellWindow, SceneCells, best_scene
from plumewatch.sentinel2.stored_scene import StoredScene
from plumewatch.statuses import STATISTICS_STAGE
from plumewatch.zonal_names import bands_of
from plumewatch.zones.area_months import AreaMonth, read_scene_strip, strips_of
from plumewatch.zones.cells import ZoneCells, find_zone_cells
from plumewatch.zones.indices import IndexConstants, compute_index, constants_with
from plumewatch.zones.statistics import compute_statistics

MONTH = -1
"""Column `scene` of the rows of the whole month."""
DDL_NAMES = {pa.int32(): "int", pa.int64(): "bigint", pa.float64(): "double", pa.string(): "string"}
COUNTED = pa.schema(
    [
        *((name, pa.int32()) for name in ("zone", "scene", "name", "statistic")),
        ("value", pa.float64()),
        *((name, pa.int64()) for name in ("count_clear", "count_total")),
        ("failures", pa.string()),
    ]
)
"""What a worker says: numbers of zone, scene, index and statistic instead of their names; or failed scenes as JSON."""
COUNTED_DDL = ", ".join(f"{f.name} {DDL_NAMES[f.type]}" for f in COUNTED)
_Here = slice | NDArray[np.intp]
"""Which entries of the zones' cells."""
STRIP_CELLS = 1 << 22  # read at once: some 100 MB with classes and masks


@dataclass(frozen=True)
class ZoneTask:
    """Some zones, and the scenes of a month on one grid."""

    zones: tuple[tuple[int, str], ...]
    """Number and outline of each, WKB in hexadecimal digits, in the grid's system."""
    window: CellWindow
    """The cells around them."""
    month: AreaMonth
    """Grid and scenes."""
    names: tuple[str, ...]
    """Bands and indices."""
    statistics: tuple[str, ...]
    """Names of statistics."""
    constants: tuple[str, ...] = ()
    """Constants of indices that are set, as `constants_with` takes them."""
    bad: tuple[str, ...] = ()
    """Items of scenes that are left out."""

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps({**vars(self), "window": asdict(self.window), "month": self.month.to_dict()})

    @classmethod
    def from_json(cls, text: str) -> ZoneTask:
        """Return the task that `to_json` wrote."""
        content = json.loads(text)
        lists = {name: tuple(content[name]) for name in ("names", "statistics", "constants", "bad")}
        return cls(
            zones=tuple((number, outline) for number, outline in content["zones"]),
            window=CellWindow(**content["window"]),
            month=AreaMonth.from_dict(content["month"]),
            **lists,
        )


def count_zones(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks in the first column of each batch (JSON of ZoneTask): the function of a mapInArrow."""
    for batch in batches:
        for text in batch.column(0).to_pylist():
            yield from count_task(ZoneTask.from_json(text)).to_batches()


def count_task(task: ZoneTask) -> pa.Table:
    """Return the rows of COUNTED of a task; where a scene can't be read, rows that name such scenes and no others."""
    window = task.window
    shapes = [shapely.from_wkb(bytes.fromhex(outline)) for _, outline in task.zones]
    corner = task.month.grid.transform * task.month.grid.transform.translation(window.col, window.row)
    cells = find_zone_cells(shapes, corner, (window.height, window.width))
    failures: dict[str, FailedScene] = {}
    parts = [part for number in range(len(task.names)) for part in _count_name(task, number, cells, failures)]
    if failures:
        names = [json.dumps(asdict(failure)) for failure in failures.values()]
        return pa.Table.from_pylist([{"failures": name} for name in names], schema=COUNTED)
    return pa.concat_tables([COUNTED.empty_table(), *parts])


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one scene, or the scenes of a date together, show in the zones."""

    values: NDArray[np.float32]
    """Of the band or index where the ground is seen, zone after zone."""
    clear: NDArray[np.int64]
    """How many of them are of each zone."""
    total: NDArray[np.int64]
    """Cells of each zone that the rasters reach."""


@dataclass(eq=False)
class _Shown:
    """What rasters show in the cells of the zones, strip by strip."""

    cells: ZoneCells
    value: NDArray[np.float32] | None = None
    """Of each cell, NaN where the ground isn't seen; None: of no cell so far."""
    is_present: NDArray[np.bool_] | None = None
    """Where there is a raster at all."""

    def put(self, here: _Here, value: NDArray[np.float32], is_present: NDArray[np.bool_]) -> None:
        """Note what a strip shows in the cells that are in it."""
        n = len(self.cells.cell)
        if self.value is None or self.is_present is None:
            if len(value) == n:  # all cells are in it
                self.value, self.is_present = value, is_present
                return
            self.value, self.is_present = np.full(n, np.nan, np.float32), np.zeros(n, bool)
        self.value[here], self.is_present[here] = value, is_present

    def seen(self) -> _Seen:
        """Return what is seen in all strips."""
        if self.value is None or self.is_present is None:
            nothing = np.zeros(len(self.cells.sizes), np.int64)
            return _Seen(np.empty(0, np.float32), nothing, nothing)
        is_seen = np.isfinite(self.value)
        return _Seen(self.value[is_seen], self.cells.count(is_seen), self.cells.count(self.is_present))


def _count_name(task: ZoneTask, number: int, cells: ZoneCells, failures: dict[str, FailedScene]) -> Iterator[pa.Table]:
    """Yield the rows of one band or index: of each scene, and of the month, in which a cell counts once a date."""
    name = task.names[number]
    usable = [
        (position, scene)
        for position, scene in enumerate(task.month.scenes, task.month.first)
        if scene.paths.item not in (*task.bad, *failures) and set(bands_of(name)) <= set(scene.bands)
    ]
    of_month: list[_Seen] = []
    for _, of_date in groupby(usable, key=lambda one: one[1].paths.date):
        positions, scenes = zip(*of_date, strict=True)
        *each, together = _read_date(task, scenes, name, cells, failures)
        if not failures:  # else the scenes are read on, to name all that are bad
            yield from (_rows(task, number, at, [one]) for at, one in zip(positions, each, strict=True))
        of_month.append(together)
    if not failures:
        yield _rows(task, number, MONTH, of_month)


def _read_date(
    task: ZoneTask, scenes: Sequence[StoredScene], name: str, cells: ZoneCells, failures: dict[str, FailedScene]
) -> list[_Seen]:
    """Return what each scene of a date shows in the zones' cells, and at last what they show together."""
    constants, each, together = constants_with(task.constants), [_Shown(cells) for _ in scenes], _Shown(cells)
    for strip, here in _strips(task.window, cells):
        shown: list[tuple[SceneCells, int]] = []
        for i, scene in enumerate(scenes):
            if found := read_scene_strip(task.month, scene, strip, bands_of(name), STATISTICS_STAGE, failures):
                shown.append((found, i))
        if failures or not shown:
            continue
        place = cells.cell[here] - (strip.row - task.window.row) * task.window.width
        of_strip = [(_values(name, found, place, constants), np.take(found.is_present, place)) for found, _ in shown]
        for (_, i), (value, is_present) in zip(shown, of_strip, strict=True):
            each[i].put(here, value, is_present)
        if len(scenes) == 1:
            continue  # what they show together is what the one shows
        best = np.take(best_scene([found for found, _ in shown]), place)
        values = np.stack([value for value, _ in of_strip])
        is_any = np.logical_or.reduce([is_present for _, is_present in of_strip])
        together.put(here, np.take_along_axis(values, best[None], 0)[0], is_any)
    seen = [one.seen() for one in each]
    return [*seen, together.seen()] if len(scenes) > 1 else seen * 2


def _values(name: str, found: SceneCells, place: NDArray[np.int64], constants: IndexConstants) -> NDArray[np.float32]:
    """What a strip shows in the cells at some places of it, NaN where the ground isn't seen."""
    bands, is_clear, nan = (
        {band: found.reflectance[band] for band in bands_of(name)},
        found.is_clear,
        np.float32(np.nan),
    )
    if len(place) < is_clear.size:  # else each cell of the strip once, however many zones it is in
        bands, is_clear = {band: np.take(of_band, place) for band, of_band in bands.items()}, np.take(is_clear, place)
        return np.where(is_clear, compute_index(name, bands, constants), nan)
    return np.take(np.where(is_clear, compute_index(name, bands, constants), nan), place)


def _strips(window: CellWindow, cells: ZoneCells) -> Iterator[tuple[CellWindow, _Here]]:
    """Yield the strips of a window that have cells of the zones, each with which of these are in it."""
    for strip in strips_of(window, STRIP_CELLS):
        first = (strip.row - window.row) * window.width
        if strip.height == window.height:
            yield strip, slice(None)
            return
        here = np.flatnonzero((cells.cell >= first) & (cells.cell < first + strip.height * strip.width))
        if len(here):
            yield strip, here


def _rows(task: ZoneTask, name: int, scene: int, seen: Sequence[_Seen]) -> pa.Table:
    """Return the rows of one scene, or of the dates of a month; zones that no raster reaches only of a month."""
    nothing = np.zeros(len(task.zones), np.int64)
    total, clear = sum((one.total for one in seen), nothing), sum((one.clear for one in seen), nothing)
    parts = [(one.values, one.clear) for one in seen] or [(np.empty(0, np.float32), nothing)]
    found = compute_statistics(parts, task.statistics)
    told = np.flatnonzero((total > 0) | (scene == MONTH))
    n, k = len(told), len(task.statistics)
    numbers = np.array([number for number, _ in task.zones], np.int32)
    value = np.stack([found[statistic][told] for statistic in task.statistics], axis=1)
    value = np.where(clear[told, None] > 0, value, np.nan).ravel()  # a count too: nothing was seen to be counted
    columns = [
        np.repeat(numbers[told], k), np.full(n * k, scene, np.int32), np.full(n * k, name, np.int32),
        np.tile(np.arange(k, dtype=np.int32), n), pa.array(value, from_pandas=True),
        np.repeat(clear[told], k), np.repeat(total[told], k), pa.nulls(n * k, pa.string()),
    ]  # fmt: skip
    return pa.table([pa.array(column) for column in columns], schema=COUNTED)
