"""All sensors, and which of them a collection, an item or a platform is of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plumewatch.sensors.landsat import LANDSAT
from plumewatch.sensors.sensor import Sensor
from plumewatch.sensors.sentinel1 import SENTINEL1
from plumewatch.sensors.sentinel2 import SENTINEL2
from plumewatch.sensors.worldview import WORLDVIEW

SENSORS: tuple[Sensor, ...] = (LANDSAT, SENTINEL2, SENTINEL1, WORLDVIEW)
"""A new one is a module and an entry here."""


def sensor_of_collection(collection: str | None) -> Sensor:
    """Return the sensor of a collection, by its name: Sentinel-2, unless it names another.

    >>> sensor_of_collection("landsat-c2-l2").name, sensor_of_collection(None).name
    ('landsat', 'sentinel-2')
    """
    return _marked(collection) or SENTINEL2


def sensor_of_platform(platform: str) -> Sensor:
    """Return the sensor of a platform (`landsat-8`): Sentinel-2, unless it names another."""
    return _marked(platform) or SENTINEL2


def sensor_of_item(name: str, properties: Mapping[str, Any]) -> Sensor:
    """Return the sensor that item `name` is of, by what it states of platform and constellation, else by its id."""
    stated = " ".join(str(properties.get(key) or "") for key in ("platform", "constellation")).strip()
    return _marked(stated or name) or SENTINEL2


def _marked(text: str | None) -> Sensor | None:
    return next((sensor for sensor in SENSORS if re.search(sensor.marks, (text or "").lower())), None)
