"""The work of turning stacked scenes into the pixel table: one grid for an area and date, windows, tasks."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from plumewatch import __version__
from plumewatch.errors import InputError
from plumewatch.models import FailedScene, Grid
from plumewatch.orbits import orbit_of_pass
from plumewatch.rasters.regrid import lonlat_bounds
from plumewatch.sentinel2.clouds import PixelSettings
from plumewatch.sentinel2.pixels import CellWindow
from plumewatch.sentinel2.stored_scene import StoredScene
from plumewatch.statuses import PIXELS_STAGE

WINDOW_PX = 512  # the tiles of the rasters
WINDOWS_IN_TASK = 4  # about a million rows: one row group of one file
SAME_LATTICE_PX = 0.01  # below what a tenth of a pixel in the coordinates leaves
HALF_TURN_DEG = 180.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PixelPartition:
    """The scenes of one area and date that share a grid."""

    area: str
    """Area of interest."""
    date: str
    """UTC date."""
    grid: Grid
    """The area's grid, or the scenes' own from their common upper left corner; it covers all of the scenes' cells."""
    is_on_area_grid: bool
    """Whether rows and columns count on the area's grid."""
    scenes: tuple[StoredScene, ...]
    """Sorted by id."""

    @property
    def stated_sources(self) -> dict[str, dict[str, float]]:
        """For the manifest: size of the pixels that the methane bands of each scene were stacked from, where known."""
        sizes = {s.paths.scene_id: s.source_pixel_m for s in self.scenes if s.source_pixel_m is not None}
        return {"source_pixel_m": sizes} if sizes else {}

    def without(self, scene_ids: set[str]) -> PixelPartition | None:
        """Return the partition without the scenes called so, None where no scene is left."""
        rest = tuple(s for s in self.scenes if s.paths.scene_id not in scene_ids)
        return replace(self, scenes=rest) if rest else None


def plan_partition(scenes: Sequence[StoredScene], area_grid: Grid | None) -> tuple[PixelPartition, list[FailedScene]]:
    """Return the scenes of one area and date on one grid, and those that don't fit with the others.

    They fit where their coordinate system, cell size and cell edges are those of the area's grid, if any scene's are,
    else those of most scenes. Rows and columns count from the area's grid, else from the scenes' common upper left
    corner. A scene that states no relative orbit is of the pass of its platform that it must be a part of, if any.
    """
    scenes = _with_orbits(sorted(scenes, key=lambda s: s.paths.scene_id))
    on_area_grid = [s for s in scenes if area_grid and is_same_lattice(s.grid, area_grid)]
    if area_grid and on_area_grid:
        wanted = area_grid
    else:
        votes = Counter(next(o.grid for o in scenes if is_same_lattice(s.grid, o.grid)) for s in scenes)
        wanted = votes.most_common(1)[0][0]
    good = [s for s in scenes if is_same_lattice(s.grid, wanted)]
    failed = [_misfit(s, wanted) for s in scenes if s not in good]
    grid = area_grid if area_grid and on_area_grid else _union([s.grid for s in good])
    first = scenes[0].paths
    return PixelPartition(first.area, first.date, grid, bool(on_area_grid), tuple(good)), failed


def is_same_grid(grid: Grid, other: Grid) -> bool:
    """Whether two grids have the same cells."""
    is_same_size = (grid.width, grid.height) == (other.width, other.height)
    return is_same_size and is_same_lattice(grid, other) and offset_px(grid, other) == (0, 0)


def is_same_lattice(grid: Grid, other: Grid) -> bool:
    """Whether the cells of two grids are the same where both have any.

    Cells of 20 m from 500000 m east and from 500040 m east are, from 500010 m east they are not.
    """
    cell = other.resolution_m
    if grid.epsg != other.epsg or abs(grid.resolution_m / cell - 1.0) * max(grid.width, grid.height) > SAME_LATTICE_PX:
        return False
    shifts = ((grid.west - other.west) / cell, (grid.north - other.north) / cell)
    return all(abs(shift - round(shift)) < SAME_LATTICE_PX for shift in shifts)


def offset_px(grid: Grid, other: Grid) -> tuple[int, int]:
    """Return row and column on `grid` of the first cell of `other`, which has the same lattice."""
    return (
        round((grid.north - other.north) / grid.resolution_m),
        round((other.west - grid.west) / grid.resolution_m),
    )


def plan_windows(partition: PixelPartition) -> list[CellWindow]:
    """Return the windows of 512 x 512 cells, cut at the edges of the grid, that scenes of the partition reach into."""
    grid = partition.grid
    reached: set[tuple[int, int]] = set()
    for scene in partition.scenes:
        row, col = offset_px(grid, scene.grid)
        last_row, last_col = min(row + scene.grid.height, grid.height), min(col + scene.grid.width, grid.width)
        for i in range(max(row, 0) // WINDOW_PX, -(-last_row // WINDOW_PX)):
            reached.update((i, j) for j in range(max(col, 0) // WINDOW_PX, -(-last_col // WINDOW_PX)))
    return [
        CellWindow(
            row := i * WINDOW_PX,
            col := j * WINDOW_PX,
            min(WINDOW_PX, grid.height - row),
            min(WINDOW_PX, grid.width - col),
        )
        for i, j in sorted(reached)
    ]


def window_envelope(grid: Grid, window: CellWindow) -> tuple[float, float, float, float]:
    """Return west, south, east, north (degrees) around a window's cells; all longitudes across the antimeridian."""
    size = grid.resolution_m
    part = replace(
        grid,
        west=grid.west + window.col * size,
        north=grid.north - window.row * size,
        width=window.width,
        height=window.height,
    )
    west, south, east, north = lonlat_bounds(part)
    return (west, south, east, north) if west <= east else (-HALF_TURN_DEG, south, HALF_TURN_DEG, north)


def plan_tasks(
    partition: PixelPartition,
    windows: Sequence[tuple[CellWindow, bool]],
    outline: bytes | None,
    folder: str,
    settings: PixelSettings,
) -> list[str]:
    """Return the tasks of a partition as JSON, one for some windows of one overpass and the file they make.

    `windows` come with whether the area contains them whole; `outline` is the area as WKB, None for whole rasters;
    `folder` is where the files go. A file's name follows from what it is made of, so that a repetition writes the same
    file and another input another one.
    """
    tasks = []
    for overpass in sorted({s.overpass for s in partition.scenes}):
        scenes = [s for s in partition.scenes if s.overpass == overpass]
        for number, start in enumerate(range(0, len(windows), WINDOWS_IN_TASK)):
            some = windows[start : start + WINDOWS_IN_TASK]
            task = {
                "area": partition.area,
                "date": partition.date,
                "grid": asdict(partition.grid),
                "scenes": [s.to_dict() for s in scenes],
                "windows": [[asdict(window), is_inside] for window, is_inside in some],
                "outline": None if outline is None else outline.hex(),
                "settings": {name: value for name, value in asdict(settings).items() if value is not None},
            }
            platform, orbit = overpass
            name = f"{platform}-{max(orbit, 0):03d}-{number:05d}-{_digest(task)}.parquet"
            tasks.append(json.dumps({**task, "folder": folder, "file": name}, sort_keys=True))
    return tasks


def _digest(task: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([task, __version__], sort_keys=True).encode()).hexdigest()[:16]


def _with_orbits(scenes: Sequence[StoredScene]) -> list[StoredScene]:
    """Give scenes that state no relative orbit that of their pass: a pass that is two has two rows for a cell."""
    stated = [(s.platform, s.relative_orbit, _time(s)) for s in scenes]
    found = []
    for scene in scenes:
        if scene.relative_orbit is None:
            same = [(orbit, at) for platform, orbit, at in stated if platform == scene.platform]
            if (orbit := orbit_of_pass(_time(scene), same)) is not None:
                log.warning("%s: no relative orbit; its pass is that of orbit %s", scene.paths.item, orbit)
            scene = replace(scene, relative_orbit=orbit)
        found.append(scene)
    return found


def _time(scene: StoredScene) -> datetime | None:
    return None if scene.observed_at_utc is None else datetime.fromisoformat(scene.observed_at_utc)


def _union(grids: Sequence[Grid]) -> Grid:
    first = grids[0]
    west, north = min(g.west for g in grids), max(g.north for g in grids)
    east, south = max(g.bounds[2] for g in grids), min(g.bounds[1] for g in grids)
    width, height = round((east - west) / first.resolution_m), round((north - south) / first.resolution_m)
    return Grid(first.epsg, west, north, first.resolution_m, width, height)


def _misfit(scene: StoredScene, wanted: Grid) -> FailedScene:
    found = f"cells of {_text(scene.grid)}"
    error = InputError(scene.paths.raster("data"), found, f"{_text(wanted)}, as the other scenes of the day")
    return scene.paths.failure(error, PIXELS_STAGE)


def _text(grid: Grid) -> str:
    return f"EPSG:{grid.epsg}, {grid.resolution_m:g} m, from {grid.west:.2f} E {grid.north:.2f} N"
