"""The stacked scenes of a month, each area's on one grid."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from plumewatch import storage
from plumewatch.areas import log_unreadable, read_areas
from plumewatch.errors import InputError, PlumewatchError
from plumewatch.models import Area, FailedScene, Grid
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.clouds import PixelSettings, pixel_settings
from plumewatch.sentinel2.pixel_plan import plan_partition
from plumewatch.sentinel2.pixels import CellWindow, SceneCells
from plumewatch.sentinel2.scene_windows import read_windows
from plumewatch.sentinel2.stored_scene import StoredScene, read_scene

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AreaMonth:
    """The scenes of an area and month, on one grid."""

    area: str
    """Area of interest."""
    grid: Grid
    """Covers all of the scenes."""
    scenes: tuple[StoredScene, ...]
    """Sorted by date and id."""
    first: int
    """Number of its first scene among those of all areas."""
    settings: PixelSettings
    """What counts as clear."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        return {**asdict(self), "scenes": [scene.to_dict() for scene in self.scenes]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> AreaMonth:
        """Return the month that `to_dict` described."""
        return cls(
            content["area"],
            Grid(**content["grid"]),
            tuple(map(StoredScene.from_dict, content["scenes"])),
            content["first"],
            PixelSettings.from_dict(content["settings"]),
        )


def read_area_months(
    scenes_path: str,
    month: str,
    areas_paths: Sequence[str] | None,
    stage: str,
    failures: MutableMapping[str, FailedScene],
) -> dict[str, AreaMonth]:
    """Return the scenes of a month (YYYY-MM) at or below a path, by area.

    What counts as clear in an area is said by its file in `areas_paths`, else by the project. Scenes that cannot be
    read, or lie on another grid than most of their area's, are put into `failures` under `stage`, by their item.

    Raises InputError where the path, or all of `areas_paths`, isn't there.
    """
    if not storage.exists(scenes_path):
        raise InputError(scenes_path, "no such folder", "the root of stacked scenes, or a partition folder of it")
    by_area: dict[str, list[StoredScene]] = {}
    for paths in list_scenes(scenes_path):
        if paths.date.startswith(month):
            try:
                scene = read_scene(paths)
            except (PlumewatchError, OSError) as error:
                failures[paths.item] = paths.failure(error, stage)
            else:
                by_area.setdefault(paths.area, []).append(scene)
    areas = _areas(areas_paths)
    months: dict[str, AreaMonth] = {}
    n_scenes = 0
    for area, scenes in sorted(by_area.items()):
        partition, misfits = plan_partition(scenes, None)
        items = {scene.paths.scene_id: scene.paths.item for scene in scenes}
        for misfit in misfits:
            failures[items[misfit.scene_id]] = FailedScene(**{**vars(misfit), "stage": stage})
        ordered = tuple(sorted(partition.scenes, key=lambda scene: (scene.paths.date, scene.paths.scene_id)))
        months[area] = AreaMonth(area, partition.grid, ordered, n_scenes, pixel_settings(areas.get(area)))
        n_scenes += len(ordered)
    log.info("%s scenes of %s in %s areas below %s", n_scenes, month, len(months), scenes_path)
    return months


def read_scene_strip(
    month: AreaMonth,
    scene: StoredScene,
    strip: CellWindow,
    bands: Collection[str],
    stage: str,
    failures: MutableMapping[str, FailedScene],
) -> SceneCells | None:
    """Return what a scene shows in some rows of its area's grid, a cell valid where all `bands` have data.

    None where its rasters don't reach, and where it can't be read: then it is put into `failures`.
    """
    try:
        return next(read_windows(scene, month.grid, [strip], month.settings, bands, needed=bands))
    except Exception as error:  # what is odd in one scene must not take the others along
        if not isinstance(error, PlumewatchError | OSError):
            log.exception("%s", scene.paths.item)
        failures[scene.paths.item] = scene.paths.failure(error, stage)
        return None


def strips_of(window: CellWindow, most_cells: int) -> Iterator[CellWindow]:
    """Yield whole rows of a window, so many that they have at most so many cells, one row at least."""
    height = max(1, most_cells // window.width)
    for row in range(0, window.height, height):
        yield CellWindow(window.row + row, window.col, min(height, window.height - row), window.width)


def _areas(paths: Sequence[str] | None) -> Mapping[str, Area]:
    if paths is None:
        return {}
    if not any(map(storage.exists, paths)):
        raise InputError(", ".join(paths), "no such file or folder", "areas of interest, or no --areas-path")
    return {area.name: area for area in read_areas(*paths, on_failure=log_unreadable)}
