"""A stacked scene as the pixel table needs it: what its item says, and the grid and bands of its raster."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from rasterio.io import DatasetReader

from plumewatch.errors import InputError, reading
from plumewatch.models import Grid
from plumewatch.rasters.reading import open_raster
from plumewatch.rasters.regrid import is_place
from plumewatch.rasters.scene_store import STORED_ITEM, ScenePaths, read_item
from plumewatch.sensors.known import sensor_of_item
from plumewatch.sensors.sensor import METHANE_BANDS, Sensor
from plumewatch.sentinel2.reflectance import NODATA
from plumewatch.sentinel2.scene import (
    Newness,
    is_deprecated,
    observed_at_utc,
    updated_of,
)
from plumewatch.sentinel2.scene_item import SOURCE_PIXEL_M

RIGHT_ANGLE_DEG = 90.0
UNKNOWN_VIEW_ZENITH_DEG = 0.0  # straight down: off by at most 12 degrees at the swath's edge
MOST_CELLS = 100_000  # a side: 2,000 km of 20 m, more than UTM serves; a damaged header says millions
SQUARE_PX = 1e-9  # relative difference of the sides of a pixel


@dataclass(frozen=True)
class StoredScene:
    """One stacked scene."""

    paths: ScenePaths
    """Its files, area and date."""
    platform: str
    """sentinel-2a, landsat-8 ..."""
    observed_at_utc: str | None
    """ISO 8601, None where the item has no time."""
    relative_orbit: int | None
    """1 to 143, of Landsat the path (1 to 233); None where unknown."""
    solar_zenith_deg: float | None
    """None where unknown."""
    view_zenith_deg: float
    """0 where unknown."""
    grid: Grid
    """Of its rasters."""
    bands: tuple[str | None, ...]
    """Sentinel-2 names of the raster's bands in their order, None for others."""
    scales: tuple[float, ...]
    """reflectance = number x scale + offset, by band."""
    offsets: tuple[float, ...]
    """See scales."""
    nodata: float
    """Number that means no data."""
    tile: str
    """MGRS tile, of Landsat path and row; empty where unknown."""
    newness: Newness
    """Orders the products of one acquisition of a tile: the greatest is the newest."""
    item_sha256: str
    """Of the item, which holds the rasters' checksums: names of files follow from it, so versions differ in them."""

    source_pixel_m: float | None = None
    """Size of the pixels that the methane bands were stacked from, None where the item doesn't say."""

    @property
    def has_methane_bands(self) -> bool:
        """Whether there is a pixel table of it."""
        return set(METHANE_BANDS) <= set(self.bands)

    @property
    def overpass(self) -> tuple[str, int]:
        """Platform and relative orbit: the scenes of one pass over the area (-1: orbit unknown)."""
        return self.platform, -1 if self.relative_orbit is None else self.relative_orbit

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StoredScene:
        """Return the scene that `to_dict` described."""
        lists = {name: tuple(content[name]) for name in ("bands", "scales", "offsets")}
        is_current, baseline, *rest = content["newness"]
        return cls(
            **{
                **content,
                **lists,
                "newness": (is_current, tuple(baseline), *rest),
                "paths": ScenePaths(**content["paths"]),
                "grid": Grid(**content["grid"]),
            }
        )


def read_scene(paths: ScenePaths) -> StoredScene:
    """Return what the item and the raster's header say; InputError names the file that cannot be used."""
    item = read_item(paths)
    with open_raster(paths.raster("data")) as source:
        bands = _bands(source, paths, item)
        scales, offsets = _scales(source, item, paths)
        grid = raster_grid(source, paths.raster("data"))
        nodata = NODATA if source.nodata is None else source.nodata
    facts: dict[str, Any] = {"grid": grid, "bands": bands, "scales": scales, "offsets": offsets, "nodata": nodata}
    return StoredScene(paths=paths, **facts, **item_facts(paths, item))


def item_facts(paths: ScenePaths, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the item of a stacked scene says of it, by fields of StoredScene; InputError where that can't be."""
    properties = item["properties"]
    with reading(paths.item, STORED_ITEM):
        sensor = sensor_of_item(paths.scene_id, properties)
        elevation, incidence = (_angle(properties, name) for name in ("view:sun_elevation", "view:incidence_angle"))
        return {
            "platform": sensor.platform(paths.scene_id, properties),
            "observed_at_utc": _observed(paths, properties),
            "relative_orbit": sensor.relative_orbit(properties),
            "solar_zenith_deg": None if elevation is None else RIGHT_ANGLE_DEG - elevation,
            "view_zenith_deg": UNKNOWN_VIEW_ZENITH_DEG if incidence is None else incidence,
            "tile": _tile(paths, properties, sensor),
            "newness": (
                not is_deprecated(paths.item, properties),
                sensor.baseline(properties) or (0, 0),
                sensor.sequence(paths.scene_id, properties),
                updated_of(properties),
                paths.scene_id,
            ),
            "source_pixel_m": _source_pixel_m(properties),
            "item_sha256": hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest(),
        }


def stated_grid(paths: ScenePaths, item: Mapping[str, Any]) -> tuple[Grid, tuple[str, ...]]:
    """Return grid and bands of a scene that was stacked here, as its item says; InputError where it doesn't."""
    with reading(paths.item, STORED_ITEM):
        height, width = map(int, item["properties"]["proj:shape"])
        cell_m, _, west, _, _, north = map(float, item["properties"]["proj:transform"])
        grid = Grid(int(item["properties"]["proj:epsg"]), west, north, cell_m, width, height)
        if not is_place(grid.transform):
            raise InputError(paths.item, f"proj:transform {item['properties']['proj:transform']}", "metres on the grid")
        return grid, tuple(str(band["name"]) for band in item["assets"]["data"]["eo:bands"])


def _angle(properties: Mapping[str, Any], name: str) -> float | None:
    angle = None if properties.get(name) is None else float(properties[name])
    if angle is not None and not abs(angle) <= RIGHT_ANGLE_DEG:
        raise ValueError(f"{name} {angle}, no angle from -90 to 90 degrees")
    return angle


def _source_pixel_m(properties: Mapping[str, Any]) -> float | None:
    stated = properties.get(SOURCE_PIXEL_M) or {}
    sizes = [float(size) for band, size in stated.items() if band in METHANE_BANDS]
    if not all(0 < size < np.inf for size in sizes):
        raise ValueError(f"{SOURCE_PIXEL_M} {stated}, no sizes in metres")
    return max(sizes, default=None)


def raster_grid(source: DatasetReader, name: str) -> Grid:
    """Return the grid of an open raster; InputError where its cells aren't squares in metres with north up."""
    a, b, west, d, e, north = tuple(source.transform)[:6]
    crs = source.crs
    epsg = None if crs is None else crs.to_epsg()
    if epsg is None or not crs.is_projected or crs.linear_units_factor[1] != 1.0:
        raise InputError(name, f"coordinate reference system {crs}", "a projected EPSG system in metres")
    if not is_place(source.transform) or b or d or a <= 0 or abs(a + e) > SQUARE_PX * a:
        raise InputError(name, f"transform {tuple(source.transform)[:6]}", "square cells, north up")
    if max(source.shape) > MOST_CELLS:
        raise InputError(name, f"{source.width} x {source.height} cells", f"at most {MOST_CELLS} a side")
    return Grid(epsg, west, north, a, source.width, source.height)


def _observed(paths: ScenePaths, properties: Mapping[str, Any]) -> str | None:
    if not properties.get("datetime"):
        return None
    time: datetime = observed_at_utc(paths.item, properties)
    if time.date().isoformat() != paths.date:
        raise InputError(paths.item, f"datetime {properties['datetime']} under date={paths.date}", "its own UTC date")
    return time.isoformat()


def _tile(paths: ScenePaths, properties: Mapping[str, Any], sensor: Sensor) -> str:
    try:
        return sensor.tile(paths.scene_id, properties)
    except InputError:
        return ""  # a scene of one's own need not be of a tile


def _bands(source: DatasetReader, paths: ScenePaths, item: Mapping[str, Any]) -> tuple[str | None, ...]:
    sensor = sensor_of_item(paths.scene_id, item["properties"])
    bands = tuple(sensor.band_of(description) for description in source.descriptions)
    known = [band for band in bands if band]
    if not known or len(set(known)) != len(known):
        raise InputError(paths.raster("data"), f"bands described as {source.descriptions}", "B01 to B12, each once")
    return bands


def _scales(
    source: DatasetReader, item: Mapping[str, Any], paths: ScenePaths
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and offset by the raster's tags, else (whole numbers without tags) by the item."""
    name, kind = paths.raster("data"), source.dtypes[0]  # rasterio's names: some, complex_int16, numpy doesn't know
    if kind.startswith("complex"):
        raise InputError(name, f"pixels of type {kind}", "real numbers")
    if not kind.startswith(("int", "uint")) or any(scale != 1.0 for scale in source.scales):
        return _checked_scales(name, source.scales, source.offsets)
    with reading(paths.item, STORED_ITEM):
        for asset in (item.get("assets") or {}).values():
            stated = asset.get("raster:bands") or []
            is_this = str(asset.get("href", "")).rsplit("/", 1)[-1] == name.rsplit("/", 1)[-1]
            if is_this and len(stated) == source.count and all("scale" in band for band in stated):
                scales, offsets = zip(*((band["scale"], band.get("offset", 0.0)) for band in stated), strict=True)
                return _checked_scales(paths.item, scales, offsets)
    raise InputError(name, "whole numbers without scale", "scale and offset as tags or in raster:bands")


def _checked_scales(
    name: str, scales: Sequence[Any], offsets: Sequence[Any]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return them as numbers, by which digital numbers become reflectance."""
    found = tuple(map(float, scales)), tuple(map(float, offsets))
    if not all(0.0 < scale < np.inf for scale in found[0]) or not np.isfinite(found[1]).all():
        raise InputError(name, f"scales {list(scales)} with offsets {list(offsets)}", "scales above 0, and numbers")
    return found
