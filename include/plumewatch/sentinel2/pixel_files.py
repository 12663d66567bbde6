"""What the workers of the raster job do: read windows of scenes, and write the files of the pixel table themselves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from plumewatch import storage
from plumewatch.errors import PlumewatchError
from plumewatch.models import Grid
from plumewatch.sentinel2.clouds import PixelSettings
from plumewatch.sentinel2.pixels import CellWindow, SceneCells, compute_coordinates, compute_pixel_rows
from plumewatch.sentinel2.scene_windows import read_windows
from plumewatch.sentinel2.stored_scene import StoredScene
from plumewatch.statuses import PIXELS_STAGE
from plumewatch.tables import PIXELS

COUNTS = ("rows", "clear", "no_data", "cells_read")
WRITTEN = pa.schema(
    [
        *((name, pa.string()) for name in ("area", "date", "file")),
        *((name, pa.int64()) for name in COUNTS),
        ("failures", pa.string()),
    ]
)
"""What a worker says of a task: the file it wrote (null where no row was left), or a JSON list of failed scenes."""

WRITTEN_DDL = ", ".join(f"{f.name} {'string' if f.type == pa.string() else 'bigint'}" for f in WRITTEN)

KnownWindow = tuple[CellWindow, bool]
"""A window, and whether the area contains it whole."""

log = logging.getLogger(__name__)


def write_pixel_files(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks in the first column of each batch (JSON of `plan_tasks`): the function of a mapInArrow."""
    for batch in batches:
        done = [write_pixel_file(json.loads(task)) for task in batch.column(0).to_pylist()]
        yield pa.RecordBatch.from_pylist(done, schema=WRITTEN)


def write_pixel_file(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the file of one task and return its row of WRITTEN; where a scene cannot be read, no file but its name."""
    answer = {"area": task["area"], "date": task["date"], "file": None, "failures": None}
    grid = Grid(**task["grid"])
    settings = PixelSettings.from_dict(task["settings"])
    outline = None if task["outline"] is None else shapely.from_wkb(bytes.fromhex(task["outline"]))
    blocks = _blocks([(CellWindow(**window), is_inside) for window, is_inside in task["windows"]])
    cells: list[list[SceneCells]] = [[] for _ in blocks]
    failures = []
    for scene in map(StoredScene.from_dict, task["scenes"]):
        try:
            for found, shown in zip(read_windows(scene, grid, [b for b, _ in blocks], settings), cells, strict=True):
                shown.extend([] if found is None else [found])
        except Exception as error:  # what is odd in one scene must not take the others along
            if not isinstance(error, PlumewatchError | OSError):
                log.exception("%s", scene.paths.item)
            failures.append(asdict(scene.paths.failure(error, PIXELS_STAGE)))
    if failures:
        return {**answer, **dict.fromkeys(COUNTS, 0), "failures": json.dumps(failures)}
    tables = [
        _rows(grid, block, windows, shown, outline)
        for (block, windows), shown in zip(blocks, cells, strict=True)
        if shown
    ]
    rows = pa.concat_tables([*tables, PIXELS.empty()][: max(1, len(tables))], promote_options="default")
    if rows.num_rows:
        if len({block.row for block, _ in blocks}) < len(blocks):  # else they are in order, one below the other
            rows = rows.sort_by([("row", "ascending"), ("col", "ascending")])
        storage.write_part(task["folder"], task["file"], storage.parquet_bytes(PIXELS, rows))
        answer["file"] = task["file"]
    return {
        **answer,
        "rows": rows.num_rows,
        "clear": int(np.count_nonzero(rows["is_clear"].to_numpy())),
        "no_data": int(np.count_nonzero(np.isnan(rows["b_diff"].to_numpy()))),
        "cells_read": sum(int(np.count_nonzero(c.is_present)) for shown in cells for c in shown),
    }


def _blocks(windows: Sequence[KnownWindow]) -> list[tuple[CellWindow, list[KnownWindow]]]:
    """Join windows (sorted by row and column) that lie side by side: what is read at once, and in the rows' order."""
    blocks: list[tuple[CellWindow, list[KnownWindow]]] = []
    for window, is_inside in windows:
        if blocks and window.row == (last := blocks[-1][0]).row and window.col == last.col + last.width:
            joined = replace(last, width=last.width + window.width)
            blocks[-1] = joined, [*blocks[-1][1], (window, is_inside)]
        else:
            blocks.append((window, [(window, is_inside)]))
    return blocks


def _rows(
    grid: Grid, block: CellWindow, windows: Sequence[KnownWindow], shown: list[SceneCells], outline: Any
) -> pa.Table:
    longitude, latitude = compute_coordinates(grid, block)
    is_inside = np.ones(longitude.shape, bool)
    for window, is_whole in windows:
        if not is_whole:
            shapely.prepare(outline)
            part = np.s_[:, window.col - block.col : window.col - block.col + window.width]
            is_inside[part] = shapely.contains_xy(outline, longitude[part], latitude[part])
    return compute_pixel_rows(grid, block, shown, longitude, latitude, is_inside)
