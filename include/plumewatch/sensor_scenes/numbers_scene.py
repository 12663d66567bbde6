"""A scene that is neither reflectance nor classes, on the grid as a COG with its STAC item: radar, pictures."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pystac
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from shapely.geometry import mapping

from plumewatch import __version__
from plumewatch.errors import InputError, reading, redact
from plumewatch.models import Area, Grid
from plumewatch.rasters.access import Access
from plumewatch.rasters.cog import cog_bytes
from plumewatch.rasters.reading import read_raster
from plumewatch.rasters.regrid import lonlat_bounds, pixel_size_m, read_by_tie_points, read_on_grid
from plumewatch.rasters.scene_store import ScenePaths, checksum, find_damage, publish_scene, read_item, scene_paths
from plumewatch.sensors.sensor import Numbers, Sensor
from plumewatch.sentinel2.item_bands import name_of_item
from plumewatch.sentinel2.scene import content_of, observed_at_utc
from plumewatch.sentinel2.scene_item import (
    COPIED,
    EXTENSIONS,
    FOOTPRINT,
    RECIPE,
    SOURCE_CONTENT,
    SOURCE_PIXEL_M,
    grid_properties,
)
from plumewatch.sentinel2.stack import cells_inside, item_dict

ONLY = ("data",)
"""The one raster of such a scene."""

log = logging.getLogger(__name__)


def fetch_numbers(
    item: pystac.Item,
    sensor: Sensor,
    bands: Sequence[str],
    area: Area,
    grid: Grid,
    root: str,
    access: Access,
    further: Mapping[str, Any],
) -> str:
    """Put the numbers of an item's bands on a grid, and return the path of the STAC item that was written.

    Written are `<scene_id>.tif` (the bands as they are measured) and last the item; `further` goes into its properties.
    Where several pixels fall on a cell it is their mean, elsewhere they are interpolated; a raster that has tie points
    alone is placed by those. A scene that is there already, made from the same item in the same way, is left alone.

    Raises ServiceError where a service doesn't deliver a file, InputError where one cannot be used.
    """
    name, numbers = name_of_item(item), sensor.numbers(item.id, item.collection_id)
    if numbers is None:
        raise InputError(name, f"an item of {sensor.title}, which are reflectance", "radar or pictures")
    observed_at = observed_at_utc(name, item.properties)
    paths = scene_paths(root, area.name, observed_at.date().isoformat(), item.id, sensor.name)
    content = content_of(item_dict(item))
    outline = shapely.to_wkb(area.geometry, hex=True)
    ingredients = (content, asdict(grid), list(bands), asdict(numbers), outline, dict(further))
    recipe = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()
    if _is_made_by(recipe, paths):
        log.info("%s: already on the grid", paths.item)
        return paths.item
    hrefs = [_href(item, sensor, band) for band in bands]
    with ThreadPoolExecutor(min(map(access.connections, hrefs))) as pool:
        places = [sensor.places.get(band, 1) for band in bands]
        read = list(pool.map(partial(_read, grid=grid, access=access, numbers=numbers), hrefs, places))
    values = dict(zip(bands, (one for one, _ in read), strict=True))
    seen = np.logical_or.reduce([one != numbers.nodata for one in values.values()])
    inside = cells_inside(area, grid)
    cog = cog_bytes(values, grid.crs, grid.transform, nodata=numbers.nodata, overview_resampling="AVERAGE")
    sizes_m = {band: size for band, (_, size) in zip(bands, read, strict=True) if math.isfinite(size)}
    with reading(name, f"an item of {sensor.title}"):
        said = {
            **_stated(item, sensor, numbers),
            "plumewatch:area": area.name,
            "plumewatch:covered_fraction": round(float((seen & inside).sum() / max(inside.sum(), 1)), 4),
            SOURCE_PIXEL_M: sizes_m,
            RECIPE: recipe,
            SOURCE_CONTENT: content,
            **further,
        }
        written = _item(item, sensor, bands, grid, numbers, said, cog)
    publish_scene(paths, {"data": cog}, written)
    return paths.item


def _is_made_by(recipe: str, paths: ScenePaths) -> bool:
    try:
        item = read_item(paths)
    except InputError:
        return False
    return item["properties"].get(RECIPE) == recipe and find_damage(paths, item, ONLY) is None


def _href(item: pystac.Item, sensor: Sensor, band: str) -> str:
    asset = item.assets[str(sensor.find_asset(item.assets, band))]
    href = asset.get_absolute_href() or asset.href
    if href.startswith(sensor.paid_buckets):
        raise InputError(name_of_item(item), f"{band} in a bucket whose readers pay: {href}", "another catalogue")
    return href


def _read(href: str, band: int, *, grid: Grid, access: Access, numbers: Numbers) -> tuple[NDArray[Any], float]:
    """Return a band on the grid, and the size of its pixels in metres (NaN: it is placed by tie points)."""
    shown = redact(href)

    def read(source: DatasetReader) -> tuple[NDArray[Any], float]:
        if source.count < band:
            raise InputError(shown, f"{source.count} bands", f"{band} at least")
        if source.dtypes[band - 1] != numbers.dtype:
            raise InputError(shown, f"pixels of type {source.dtypes[band - 1]}", f"{numbers.dtype}: {numbers.quantity}")
        nodata = source.nodatavals[band - 1]
        if nodata is not None and nodata != numbers.nodata:
            raise InputError(shown, f"no-data value {nodata:g}", f"{numbers.nodata:g}")
        size_m = pixel_size_m(source, grid)
        take = read_by_tie_points if source.crs is None and source.gcps[0] else read_on_grid
        resampling = Resampling.bilinear if size_m >= grid.resolution_m else Resampling.average
        values = take(source, grid, resampling, numbers.nodata, shown, band)
        return np.where(np.isfinite(values), values, numbers.nodata).astype(numbers.dtype), round(size_m, 2)

    return read_raster(href, read, access)


def _stated(item: pystac.Item, sensor: Sensor, numbers: Numbers) -> dict[str, Any]:
    """Return what the source item says that the new one repeats."""
    stated = item.properties
    return {
        "platform": sensor.platform(item.id, stated),
        "constellation": sensor.name,
        "instruments": list(sensor.instruments),
        "eo:cloud_cover": stated.get("eo:cloud_cover", stated.get("tile:clouds_percent")),
        "sat:relative_orbit": sensor.relative_orbit(stated),
        "processing:level": sensor.level.split()[0],
        "processing:lineage": "Cut out and put on the area's grid from the assets of the source item",
        "processing:software": {"plumewatch": __version__, "gdal": rasterio.__gdal_version__},
        "plumewatch:quantity": numbers.quantity,
        FOOTPRINT: item.geometry,
        **{name: stated.get(name) for name in (*sensor.copied, *COPIED)},
    }


def _item(
    source: pystac.Item,
    sensor: Sensor,
    bands: Sequence[str],
    grid: Grid,
    numbers: Numbers,
    said: Mapping[str, Any],
    cog: bytes,
) -> dict[str, Any]:
    west, south, east, north = lonlat_bounds(grid)
    properties = {**grid_properties(grid), **{key: value for key, value in said.items() if value is not None}}
    item = pystac.Item(
        id=source.id,
        geometry=mapping(shapely.box(west, south, east, north)),
        bbox=[west, south, east, north],
        datetime=observed_at_utc(source.id, source.properties),
        properties=properties,
        stac_extensions=[EXTENSIONS[name] for name in ("eo", "file", "processing", "proj", "raster", "sat")],
    )
    band = {"data_type": numbers.dtype, "nodata": numbers.nodata, "spatial_resolution": grid.resolution_m}
    fields = {
        "eo:bands": [sensor.eo_band(one) for one in bands],
        "raster:bands": [band] * len(bands),
        "file:size": len(cog),
        "file:checksum": checksum(cog),
    }
    title = f"{numbers.quantity}: {', '.join(bands)}"
    asset = pystac.Asset(
        f"./{source.id}.tif", title=title, media_type=pystac.MediaType.COG, roles=["data"], extra_fields=fields
    )
    item.add_asset("data", asset)
    made_from = redact(source.get_self_href() or source.id)
    item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, made_from, pystac.MediaType.GEOJSON))
    return item.to_dict(include_self_link=False, transform_hrefs=False)
