"""The dates whose pixels are made: planned from their scenes, and anew where others change those meanwhile.

Two runs may fetch scenes of one area and date side by side. Each makes the date's pixels of what it finds, and the one
that planned before the other's scene was there may publish last; so a date is looked at again at that moment.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plumewatch.areas import grid_of
from plumewatch.errors import PlumewatchError, ServiceError
from plumewatch.models import Area, FailedScene
from plumewatch.progress import followed
from plumewatch.rasters.scene_store import ScenePaths, list_scenes, versions_of
from plumewatch.sentinel2.pixel_plan import PixelPartition, plan_partition
from plumewatch.sentinel2.stored_scene import StoredScene, read_scene
from plumewatch.statuses import PIXELS_STAGE

MOST_ROUNDS = 5  # in which a date is planned, before other runs that go on changing its scenes are a failure

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Area and date of a partition."""
Areas = Mapping[str, Area] | None
"""Areas by name; None: whole rasters are wanted."""


@dataclass
class DatePlans:
    """Dates as they were planned last, and what has become of them so far."""

    failures: dict[Key, list[FailedScene]] = field(default_factory=dict)
    """Scenes that failed, by area and date."""
    folders: dict[Key, list[str]] = field(default_factory=dict)
    """Where their scenes are."""
    versions: dict[Key, dict[str, str | None]] = field(default_factory=dict)
    """Which versions of its scenes each was planned with, last."""
    rounds: Counter[Key] = field(default_factory=Counter)
    """How often each was planned."""

    def plan(self, scenes: Mapping[Key, Sequence[ScenePaths]], areas: Areas) -> list[PixelPartition]:
        """Read what each scene is, and put those of an area and date on one grid.

        Of a date that was planned before what failed then doesn't count.
        """
        partitions: list[PixelPartition] = []
        for key, of_key in followed(sorted(scenes.items()), "scenes looked into", "days of areas"):
            self.folders.setdefault(key, sorted({paths.folder for paths in of_key}))
            self.versions[key], self.failures[key] = versions_of(of_key), []
            self.rounds[key] += 1
            stored = [scene for paths in of_key if (scene := self._scene(key, paths))]
            if stored:
                area = None if areas is None else areas[key[0]]
                partition, misfits = plan_partition(stored, None if area is None else grid_of(area))
                partitions.append(partition)
                self.failures[key] += misfits
                if area is not None and not partition.is_on_area_grid:
                    log.warning(
                        "%s %s: the scenes are not on the area's grid, so rows and columns count on theirs", *key
                    )
        return partitions

    def _scene(self, key: Key, paths: ScenePaths) -> StoredScene | None:
        """What a scene is; None where it can't be read, which is noted, or has no methane bands."""
        try:
            scene = read_scene(paths)
        except (PlumewatchError, OSError) as error:
            self.failures[key].append(paths.failure(error, PIXELS_STAGE))
            return None
        if not scene.has_methane_bands:
            log.info("%s: no B11 and B12, so no pixel table", paths.item)
            return None
        return scene

    def changed(self, key: Key) -> dict[Key, list[ScenePaths]]:
        """Return the scenes of a date where others brought, replaced or withdrew some since it was planned."""
        scenes = [paths for folder in self.folders[key] for paths in list_scenes(folder)]
        now, before = versions_of(scenes), self.versions[key]
        others = sorted(item for item in {*now, *before} if now.get(item, "") != before.get(item, ""))
        if others and self.rounds[key] < MOST_ROUNDS:
            log.info("area=%s date=%s: planned again, as meanwhile came or went %s", *key, ", ".join(others))
            return {key: scenes}
        for item in others:
            error = ServiceError(f"{item}: came or went each of the {MOST_ROUNDS} times that its pixels were made")
            name = item.rsplit("/", 1)[-1].removesuffix(".json")
            self.failures[key].append(FailedScene.from_exception(error, scene_id=name, stage=PIXELS_STAGE, area=key[0]))
        return {}
