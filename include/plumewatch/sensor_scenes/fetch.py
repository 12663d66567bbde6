"""One scene of any sensor on the grid that all share: reflectance with classes, or a raster's numbers as they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pystac

from plumewatch.areas import grid_of
from plumewatch.catalogues.services import catalogue_of
from plumewatch.errors import InputError, PlumewatchError, ServiceError, redact
from plumewatch.models import STAC, Area, Grid
from plumewatch.rasters.access import Access
from plumewatch.rasters.reading import MUST_BE_SIGNED
from plumewatch.sensor_scenes.given import read_given
from plumewatch.sensor_scenes.numbers_scene import fetch_numbers
from plumewatch.sensor_scenes.search import WantedScene, area_named
from plumewatch.sensors.known import sensor_of_collection, sensor_of_item
from plumewatch.sensors.sensor import Sensor, Source
from plumewatch.sentinel2.item_bands import name_of_item
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.settings import Settings

SENSOR_SCENES = "sensor_scenes"
"""Folder below the storage root."""
KEY_TOLD = (
    "Planetary Computer grants some collections to accounts with a key alone, such as sentinel-1-rtc: set "
    "PC_SDK_SUBSCRIPTION_KEY"
)

log = logging.getLogger(__name__)


class FetchedSensorScene(NamedTuple):
    """What became of a scene."""

    path: str
    """Of the STAC item."""
    note: str
    """What else is to be known of it, such as what it stands in for; empty: nothing."""


def shared_grid(area: Area, resolution_m: float | None = None) -> Grid:
    """Return the grid of an area that all sensors are put on: its own, or one of other cells."""
    return grid_of(area if resolution_m is None else replace(area, resolution_m=resolution_m))


def fetch_sensor_scene(
    settings: Settings, wanted: WantedScene, resolution_m: float | None = None
) -> FetchedSensorScene:
    """Put a scene on its area's grid; one that is there, made from the same item in the same way, is left alone.

    A terrain corrected scene of Sentinel-1 that isn't granted (401, 403, 409) is replaced by the product that it was
    made of, which says so.

    Raises ServiceError where a service doesn't deliver, with what to do where it wants a key, and InputError where the
    item or a raster of it cannot be used.
    """
    area = area_named(settings, wanted.area)
    grid = shared_grid(area, resolution_m)
    if wanted.service:
        asked = replace(area, catalogue=STAC, stac_api=wanted.service, collection=wanted.collection)
        catalogue = catalogue_of(asked, settings)
        item, access = catalogue.read_item(wanted.item_href), catalogue.access
    else:
        item, access = read_given(settings, area, wanted.item_href)
    sensor = sensor_of_item(item.id, item.properties)
    try:
        return FetchedSensorScene(_put_on_grid(settings, item, sensor, area, grid, access, {}), "")
    except ServiceError as error:
        if error.http_status not in MUST_BE_SIGNED:
            raise
        refused = ServiceError(f"{error} ({KEY_TOLD})", error.http_status)
        if (other := sensor.stand_in(item.id)) is None:
            raise refused from error
    return _fetch_stand_in(settings, item, sensor, area, grid, refused, other)


def _fetch_stand_in(
    settings: Settings,
    item: pystac.Item,
    sensor: Sensor,
    area: Area,
    grid: Grid,
    refused: ServiceError,
    other: tuple[Source, str],
) -> FetchedSensorScene:
    """Put on the grid what an item that is refused was made of; where that can't be had either, the refusal counts."""
    source, other_id = other
    asked = replace(area, catalogue=STAC, stac_api=getattr(settings, source.setting), collection=source.collection)
    catalogue = catalogue_of(asked, settings)
    href = catalogue.item_href({"id": other_id})
    told = f"stands in for {item.id}, which isn't granted: {refused}"
    log.warning("%s of %s %s", other_id, source.collection, told)
    in_item = {"plumewatch:stands_in_for": {"item": name_of_item(item), "because": str(refused)}}
    try:
        path = _put_on_grid(settings, catalogue.read_item(href), sensor, area, grid, catalogue.access, in_item)
    except PlumewatchError as error:
        log.warning("%s: %s", redact(href), error)
        raise refused from error
    return FetchedSensorScene(path, f"{source.collection} {told}")


def _put_on_grid(
    settings: Settings,
    item: pystac.Item,
    sensor: Sensor,
    area: Area,
    grid: Grid,
    access: Access,
    further: Mapping[str, Any],
) -> str:
    """Put an item's bands on the grid, and return the path of the item that was written."""
    bands = tuple(band for band in sensor.collected if sensor.find_asset(item.assets, band))
    if not bands:
        has = ", ".join(sorted(item.assets)) or "nothing"
        keys = dict.fromkeys(key for band in sensor.collected for key in sensor.asset_keys(band))
        raise InputError(name_of_item(item), f"no band of {sensor.title} (it has {has})", f"one of {', '.join(keys)}")
    root = settings.table_root(SENSOR_SCENES)
    if sensor.mask:
        is_named = sensor_of_collection(item.collection_id) is sensor
        of_sensor = replace(
            area, catalogue=STAC, bands=bands,
            collection=item.collection_id if is_named else sensor.sources[0].collection,
            max_cloud_cover=None, cloud_mask="scl", max_cloud_probability=None, evalscript=None,
        )  # fmt: skip
        return fetch_scene(item, of_sensor, root, access, grid=grid)
    return fetch_numbers(item, sensor, bands, area, grid, root, access, further)
