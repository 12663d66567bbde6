"""What is there of an area: stored scenes that are whole, and scenes whose pixels are in the table as the area is now.

An area may have changed since. A scene that was stacked for a larger one covers what is left of it and is whole; one
that doesn't reach to the area's present edges, or lacks a band, isn't. Pixels are those of one outline: where it has
changed they are made again, for a smaller area too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import shapely

from plumewatch import storage
from plumewatch.areas import grid_of, log_unreadable, read_areas
from plumewatch.errors import InputError
from plumewatch.http import side_by_side
from plumewatch.models import Area, Grid
from plumewatch.rasters.scene_store import ScenePaths, checksums_of, find_damage, read_item
from plumewatch.sentinel2.pixel_plan import is_same_lattice, offset_px
from plumewatch.sentinel2.scene_item import RECIPE
from plumewatch.sentinel2.stored_scene import item_facts, read_scene, stated_grid
from plumewatch.settings import Settings
from plumewatch.storage import Partition
from plumewatch.tables import PIXELS

READ_AT_ONCE = 16  # scenes; a bucket answers each of their four requests after 20 to 50 ms

AreaDay = tuple[str, str]
"""Key and area."""


class PixelsMade(NamedTuple):
    """What the pixel table was made of."""

    scenes: dict[AreaDay, set[str]]
    """The scenes of each partition."""
    outdated: set[AreaDay]
    """Partitions of another outline or grid than the area has now."""

    def has(self, key: str, area: str, scene_id: str) -> bool:
        """Whether a scene is in the table, as the area is now."""
        return (key, area) not in self.outdated and scene_id in self.scenes.get((key, area), ())


def find_flaw(paths: ScenePaths, area: Area | None = None) -> str | None:
    """Return why a stored scene isn't whole, None where it is.

    Its files are what its item says, item and raster say what the pixel table needs, and where an `area` is given it
    reaches to the edges of the area's present grid, on its cells, and has its bands. A scene of another tool is on
    whatever grid, and has whatever bands, that gave it.
    """
    try:
        item = read_item(paths)
        if damage := find_damage(paths, item):
            return damage
        if RECIPE not in item["properties"] or not checksums_of(paths, item):
            scene = read_scene(paths)
            grid, bands = scene.grid, scene.bands
        else:  # the checksums vouch for the raster, so that the item's word is enough
            item_facts(paths, item)
            grid, bands = stated_grid(paths, item)
    except InputError as error:
        return str(error)
    return None if area is None or RECIPE not in item["properties"] else _misfit(paths, grid, bands, area)


def is_made_by(recipe: str, paths: ScenePaths) -> bool:
    """Whether a scene is stored whole, made by a recipe."""
    try:
        return read_item(paths)["properties"].get(RECIPE) == recipe and find_flaw(paths) is None
    except InputError:
        return False


def find_flaws(scenes: Collection[ScenePaths], areas: Mapping[str, Area]) -> dict[ScenePaths, str | None]:
    """Return what `find_flaw` says of many scenes; those of areas that aren't among `areas` are held to no grid."""
    found = side_by_side(
        lambda paths: find_flaw(paths, areas.get(paths.area)), scenes, "stored scenes looked into", "scenes",
        threads=READ_AT_ONCE,
    )  # fmt: skip
    return dict(zip(scenes, found, strict=True))


def _misfit(paths: ScenePaths, grid: Grid, bands: Collection[str | None], area: Area) -> str | None:
    wanted, name = grid_of(area), paths.raster("data")
    if lacking := [band for band in area.bands if band not in bands]:
        return f"{name}: no {', '.join(lacking)}, which area {area.name} has by now"
    if not is_same_lattice(grid, wanted):
        return f"{name}: stacked on other cells than area {area.name} has by now"
    return None if _covers(grid, wanted) else f"{name}: doesn't reach to all edges that area {area.name} has by now"


def _covers(grid: Grid, other: Grid) -> bool:
    """Whether a grid has all cells of another one, of the same lattice."""
    row, col = offset_px(grid, other)
    return row >= 0 and col >= 0 and row + other.height <= grid.height and col + other.width <= grid.width


def known_areas(settings: Settings) -> dict[str, Area]:
    """Return the areas that can be used, by name."""
    return {area.name: area for area in read_areas(*settings.area_folders, on_failure=log_unreadable)}


def find_pixels(settings: Settings, days: Iterable[str], areas: Mapping[str, Area]) -> PixelsMade:
    """Return what the partitions of pixels of these days were made of, by their manifests."""
    days, made = list(days), PixelsMade({}, set())
    root = settings.table_root(PIXELS.name)
    partitions = storage.list_partitions(PIXELS, root, {"date": days}) if days else []
    manifests = side_by_side(_manifest, partitions, "pixel tables looked into", "tables", threads=READ_AT_ONCE)
    for partition, manifest in zip(partitions, manifests, strict=True):
        of = partition.keys["date"], partition.keys["area"]
        names = {str(path).rsplit("/", 1)[-1].removesuffix(".json") for path in manifest.get("inputs", [])}
        made.scenes[of] = names
        if (area := areas.get(of[1])) is not None and not _is_of_area(manifest, area):
            made.outdated.add(of)
    return made


def _manifest(partition: Partition) -> dict[str, Any]:
    return storage.read_manifest(partition.path) or {}


def _is_of_area(manifest: Mapping[str, Any], area: Area) -> bool:
    """Whether a partition of pixels is of the area as it is now, as far as its manifest says."""
    if manifest.get("outline_sha256", outline_sha256(area)) != outline_sha256(area):
        return False
    is_on_area_grid = manifest.get("settings", {}).get("rows_count_on") == "area"
    return not is_on_area_grid or manifest.get("grid") == asdict(grid_of(area))


def outline_sha256(area: Area) -> str:
    """Return what tells an area's outline from another one."""
    return hashlib.sha256(shapely.to_wkb(area.geometry)).hexdigest()
