"""A scene of a catalogue, cut out and stacked on the grid of an area."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import geometry_mask

from plumewatch import storage
from plumewatch.areas import grid_of
from plumewatch.models import Area, Grid
from plumewatch.rasters.access import AS_IS, Access
from plumewatch.rasters.cog import cog_bytes
from plumewatch.rasters.scene_store import (
    AROUND,
    checksum,
    note_skip,
    publish_scene,
    read_skip_note,
    scene_paths,
)
from plumewatch.sensors.known import sensor_of_collection
from plumewatch.sensors.sentinel2 import QUANTIFICATION, SENTINEL2
from plumewatch.sentinel2.bands import (
    CLOUD_PROBABILITY,
    LAST_CLASS,
    NO_CLOUD_DATA,
    NO_DATA_CLASS,
    SCENE_CLASSIFICATION,
    SURROUNDINGS_M,
)
from plumewatch.sentinel2.clouds import compute_clear_mask, is_cloud, is_probable, pixel_settings
from plumewatch.sentinel2.item_bands import (
    BandReader,
    StackedBands,
    name_of_item,
    read_bands,
    surroundings_px,
    with_surroundings,
)
from plumewatch.sentinel2.presence import is_made_by
from plumewatch.sentinel2.reflectance import NODATA
from plumewatch.sentinel2.scene import content_of, observed_at_utc
from plumewatch.sentinel2.scene_item import SceneFacts, build_item
from plumewatch.statuses import SKIPPED_CLOUD

log = logging.getLogger(__name__)


def fetch_scene(
    item: pystac.Item,
    area: Area,
    scenes_root: str,
    access: Access = AS_IS,
    reader: BandReader | None = None,
    grid: Grid | None = None,
) -> str:
    """Stack a scene on the area's grid and return the path of the STAC item that was written, or of a skip's note.

    Its files are opened as `access` says, or its bands are had from a `reader`. On a `grid` that several sensors share
    it is kept by sensor too, below `area=A/sensor=S/`.

    Written are `<scene_id>.tif` (the area's bands, reflectance x 10000, 0 is no data), `_scl.tif`, `_around.tif` (the
    classification with what lies around the grid), where the catalogue has it `_cloud.tif`, and last the
    item. Cells that lie in one source pixel keep its value; other reflectance is resampled bilinearly, classes and
    cloud by the nearest pixel. A scene that is there already, made from the same item in the same way, is left alone.

    A scene that has more cloud over the area, of what is seen of it and by its own mask, than the area's
    `max_cloud_cover` is left: what is stored of it goes, and a note (`scene_store.read_skip_note`) says so.

    Raises ServiceError where a service doesn't deliver a file, InputError where an asset is missing, cut off or
    contradicts what the item says.
    """
    by_sensor = None if grid is None else sensor_of_collection(area.collection).name
    grid = grid or grid_of(area)
    content = content_of(item_dict(item))
    recipe = _recipe(content, area, grid, reader.recipe if reader else ())
    observed_at = observed_at_utc(name_of_item(item), item.properties)
    paths = scene_paths(scenes_root, area.name, observed_at.date().isoformat(), item.id, by_sensor)
    if is_made_by(recipe, paths):
        if not _is_too_cloudy(area, storage.read_json(paths.item)["properties"].get("eo:cloud_cover")):
            log.info("%s: already stacked", paths.item)
            return paths.item
    elif (note := read_skip_note(paths)) is not None:
        if note.get("recipe") == recipe and _is_too_cloudy(area, note.get("cloud_cover_percent")):
            log.info("%s: already left: %s", paths.skip_note, note.get("reason"))
            return paths.skip_note
        storage.delete(paths.skip_note)
    stacked = reader.read(item, grid) if reader else read_bands(item, area, grid, access)
    inside = cells_inside(area, grid)
    seen = inside & (stacked.scl != NO_DATA_CLASS)
    cloud = is_cloud(stacked.scl, stacked.cloud, pixel_settings(area).max_cloud_probability)[seen]
    cloud_percent = round(100.0 * float(cloud.mean()), 4) if cloud.size else None
    covered = round(float(seen.sum() / max(inside.sum(), 1)), 4)
    if _is_too_cloudy(area, cloud_percent):
        reason = (
            f"cloud over {cloud_percent:.1f} % of what is seen of the area; allowed: at most {area.max_cloud_cover:g} %"
        )
        why = {
            "scene_id": item.id,
            "observed_at_utc": observed_at.isoformat(),
            "outcome": SKIPPED_CLOUD,
            "reason": reason,
            "cloud_cover_percent": cloud_percent,
            "clear_fraction": _clear_fraction(stacked, seen, area, grid),
            "covered_fraction": covered,
            "recipe": recipe,
        }
        note_skip(paths, why)
        log.info("%s: left: %s", name_of_item(item), reason)
        return paths.skip_note
    rasters = _cogs(stacked, grid)
    facts = SceneFacts(
        area=area,
        grid=grid,
        bands=tuple(stacked.bands),
        rule=stacked.rule,
        n_clipped=stacked.n_clipped,
        source_pixel_m=stacked.source_pixel_m,
        cloud_cover_percent=cloud_percent,
        covered_fraction=covered,
        cloud_from=stacked.cloud_from,
        class_percent=_class_percent(stacked.scl[seen]),
        angles=stacked.angles,
        recipe=recipe,
        source_content=content,
        properties=stacked.properties,
        files={kind: (len(content), checksum(content)) for kind, content in rasters.items()},
    )
    publish_scene(paths, rasters, build_item(item, facts))
    return paths.item


def item_dict(item: pystac.Item) -> dict[str, Any]:
    """Return what an item says of its product, as it was read: pystac's own writes its time into its properties."""
    assets = {key: asset.to_dict() for key, asset in item.assets.items()}
    said = {"id": item.id, "collection": item.collection_id, "geometry": item.geometry}
    return {**said, "properties": item.properties, "assets": assets}


def _cogs(stacked: StackedBands, grid: Grid) -> dict[str, bytes]:
    """Return the rasters of a scene by kind, made side by side."""
    place, around = (grid.crs, grid.transform), (grid.crs, with_surroundings(grid).transform)
    scale = 1.0 / QUANTIFICATION
    data = partial(cog_bytes, nodata=NODATA, overview_resampling="AVERAGE", scale=scale)
    classes = partial(cog_bytes, nodata=NO_DATA_CLASS, overview_resampling="NEAREST")
    percent = partial(cog_bytes, nodata=NO_CLOUD_DATA, overview_resampling="NEAREST")
    makes = {
        "data": partial(data, stacked.bands, *place),
        "scl": partial(classes, {SCENE_CLASSIFICATION: stacked.scl}, *place),
        AROUND: partial(classes, {SCENE_CLASSIFICATION: stacked.around}, *around),
    }
    if stacked.cloud is not None:
        makes["cloud"] = partial(percent, {CLOUD_PROBABILITY: stacked.cloud}, *place)
    with ThreadPoolExecutor(len(makes)) as pool:
        return dict(zip(makes, pool.map(lambda make: make(), makes.values()), strict=True))


def cells_inside(area: Area, grid: Grid) -> NDArray[np.bool_]:
    """Return where the centres of the grid's cells lie in the area."""
    project = Transformer.from_crs("EPSG:4326", f"EPSG:{grid.epsg}", always_xy=True)
    outline = shapely.transform(area.geometry, project.transform, interleaved=False)
    shape = grid.height, grid.width
    inside: NDArray[np.bool_] = geometry_mask([outline], out_shape=shape, transform=grid.transform, invert=True)
    return inside


def _class_percent(classes: NDArray[np.uint8]) -> dict[str, float]:
    """Return how much of what is seen is of each class, in percent, by the names of those there are."""
    counts = np.bincount(classes, minlength=LAST_CLASS + 1)
    names = {one["value"]: one["name"] for one in SENTINEL2.mask_meanings["classification:classes"]}
    return {names[one]: round(100.0 * int(n) / classes.size, 4) for one, n in enumerate(counts) if n}


def _is_too_cloudy(area: Area, cloud_percent: float | None) -> bool:
    limit = area.max_cloud_cover
    return limit is not None and cloud_percent is not None and cloud_percent > limit


def _clear_fraction(stacked: StackedBands, seen: NDArray[np.bool_], area: Area, grid: Grid) -> float:
    """Of the cells that are `seen` of the area those that are clear, as the pixel table will have it."""
    settings, margin = pixel_settings(area), surroundings_px(grid)
    has_data = np.logical_and.reduce([numbers != NODATA for numbers in stacked.bands.values()])
    valid, probable = np.pad(has_data, margin), None
    if stacked.cloud is not None:
        probable = np.pad(is_probable(stacked.cloud, settings.max_cloud_probability), margin)
    dilation_px = settings.cloud_dilation_m / grid.resolution_m
    clear = compute_clear_mask(stacked.around, valid, settings.clear_classes, dilation_px, probable)
    return round(float(clear[margin:-margin, margin:-margin][seen].mean()), 4)


def _recipe(content: str, area: Area, grid: Grid, of_reader: Sequence[str]) -> str:
    """A fingerprint of what the stacked scene depends on: the `content` of its item, the area, how it is made."""
    ingredients = (
        content,
        asdict(grid),
        area.bands,
        SURROUNDINGS_M,
        shapely.to_wkb(area.geometry, hex=True),
        *(() if area.cloud_mask == "scl" else (area.cloud_mask,)),
        *(() if area.max_cloud_probability is None else (area.max_cloud_probability,)),
        *of_reader,
    )
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True, default=str).encode()).hexdigest()
