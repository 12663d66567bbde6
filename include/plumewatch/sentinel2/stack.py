"""A scene of a catalogue, cut out and stacked on the grid of an area."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import geometry_mask

from plumewatch.areas import grid_of
from plumewatch.models import Area, Grid
from plumewatch.rasters.access import AS_IS, Access
from plumewatch.rasters.cog import cog_bytes
from plumewatch.rasters.scene_store import AROUND, checksum, is_complete, publish_scene, scene_paths
from plumewatch.sentinel2.bands import (
    CLOUD_CLASSES,
    CLOUD_PROBABILITY,
    NO_CLOUD_DATA,
    NO_DATA_CLASS,
    QUANTIFICATION,
    SCENE_CLASSIFICATION,
    SURROUNDINGS_M,
)
from plumewatch.sentinel2.item_bands import BandReader, name_of_item, read_bands, with_surroundings
from plumewatch.sentinel2.reflectance import NODATA
from plumewatch.sentinel2.scene import observed_at_utc
from plumewatch.sentinel2.scene_item import SceneFacts, build_item

# Properties that tell products apart.
VERSIONED = ("updated", "deprecated", "s2:", "sentinel:", "earthsearch:", "processing:")

log = logging.getLogger(__name__)


def fetch_scene(
    item: pystac.Item, area: Area, scenes_root: str, access: Access = AS_IS, reader: BandReader | None = None
) -> str:
    """Stack a scene on the area's grid and return the path of the STAC item that was written.

    Its files are opened as `access` says, or its bands are had from a `reader`.

    Written are `<scene_id>.tif` (the area's bands, reflectance x 10000, 0 is no data), `_scl.tif`, `_around.tif` (the
    classification with what lies around the grid), where the catalogue has it as GeoTIFF `_cloud.tif`, and last the
    item. Cells that lie in one source pixel keep its value; other reflectance is resampled bilinearly, classes and
    cloud by the nearest pixel. A scene that is there already, made from the same item in the same way, is left alone.

    Raises ServiceError where a service doesn't deliver a file, InputError where an asset is missing, cut off or
    contradicts what the item says.
    """
    grid = grid_of(area)
    recipe = _recipe(item, area, grid, reader.recipe if reader else ())
    day = observed_at_utc(name_of_item(item), item.properties).date().isoformat()
    paths = scene_paths(scenes_root, area.name, day, item.id)
    if is_complete(paths, recipe):
        log.info("%s: already stacked", paths.item)
        return paths.item
    stacked = reader.read(item, grid) if reader else read_bands(item, area, grid, access)
    place = grid.crs, grid.transform
    classes, data = {SCENE_CLASSIFICATION: stacked.scl}, stacked.bands
    rasters = {
        "data": cog_bytes(data, *place, nodata=NODATA, overview_resampling="AVERAGE", scale=1.0 / QUANTIFICATION),
        "scl": cog_bytes(classes, *place, nodata=NO_DATA_CLASS, overview_resampling="NEAREST"),
        AROUND: cog_bytes(
            {SCENE_CLASSIFICATION: stacked.around},
            grid.crs,
            with_surroundings(grid).transform,
            nodata=NO_DATA_CLASS,
            overview_resampling="NEAREST",
        ),
    }
    if stacked.cloud is not None:
        cloud = {CLOUD_PROBABILITY: stacked.cloud}
        rasters["cloud"] = cog_bytes(cloud, *place, nodata=NO_CLOUD_DATA, overview_resampling="NEAREST")
    facts = SceneFacts(
        area=area,
        grid=grid,
        bands=tuple(stacked.bands),
        rule=stacked.rule,
        n_clipped=stacked.n_clipped,
        source_pixel_m=stacked.source_pixel_m,
        cloud_cover_percent=_cloud_cover_percent(stacked.scl, area, grid),
        recipe=recipe,
        properties=stacked.properties,
        files={kind: (len(content), checksum(content)) for kind, content in rasters.items()},
    )
    publish_scene(paths, rasters, build_item(item, facts))
    return paths.item


def _cloud_cover_percent(scl: NDArray[np.uint8], area: Area, grid: Grid) -> float | None:
    """Percent of the area's valid cells (by their centres) that are cloud, None where none is valid."""
    project = Transformer.from_crs("EPSG:4326", f"EPSG:{grid.epsg}", always_xy=True)
    outline = shapely.transform(area.geometry, project.transform, interleaved=False)
    inside = geometry_mask([outline], out_shape=scl.shape, transform=grid.transform, invert=True)
    valid = scl[inside & (scl != NO_DATA_CLASS)]
    return round(100.0 * float(np.isin(valid, CLOUD_CLASSES).mean()), 4) if valid.size else None


def _recipe(item: pystac.Item, area: Area, grid: Grid, of_reader: Sequence[str]) -> str:
    """A fingerprint of what the stacked scene depends on."""
    version = {k: v for k, v in item.properties.items() if k.startswith(VERSIONED)}
    ingredients: Sequence[Any] = (
        item.id,
        item.collection_id,
        version,
        asdict(grid),
        area.bands,
        SURROUNDINGS_M,
        shapely.to_wkb(area.geometry, hex=True),
        *of_reader,
    )
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True, default=str).encode()).hexdigest()
