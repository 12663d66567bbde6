"""What a STAC item says of a scene, and which of several items are the same acquisition."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import shapely
from shapely.geometry import shape

from plumewatch.constants import LISTED, SENTINEL2_HALF_ORBIT_S
from plumewatch.errors import InputError, reading
from plumewatch.geodesy import split_at_180
from plumewatch.keys import is_file_name
from plumewatch.sensors.known import sensor_of_item, sensor_of_platform
from plumewatch.sensors.sensor import Sensor

OWN_SHARE = 0.05  # an item that shows less than this share of its ground alone adds nothing but another processing
HALF_ORBIT = timedelta(seconds=SENTINEL2_HALF_ORBIT_S)
MADE = ("s2:generation_time", "processing:datetime")
CHANGED = ("updated", "published", "created")
NO_CONTENT = ("updated", "datetime")
"""Properties that may be others though nothing has changed: some catalogues state as `updated` when they were asked."""
OF_FILE = ("file:checksum", "checksum:multihash", "checksum", "file:size")
DEGREES_PER_HOUR = 15.0

Newness = tuple[bool, tuple[int, int], int, str, str]


@dataclass(frozen=True)
class SceneRef:
    """One acquisition of one tile, as the catalogue describes it."""

    scene_id: str
    """The item's id."""
    item_href: str
    """Where the item itself is (its self link)."""
    observed_at_utc: datetime
    """Time of acquisition."""
    platform: str
    """sentinel-2a, landsat-8 ..."""
    relative_orbit: int | None
    """1 to 143, of Landsat the path (1 to 233); None where the item doesn't say."""
    tile: str
    """MGRS tile, like 29RKH, of Landsat path and row, like 038037."""
    cloud_cover: float | None
    """Percent of the tile, None where the item doesn't say."""
    baseline: tuple[int, int] | None
    """Processing baseline; of Landsat collection and tier."""
    sequence: int
    """Counts the products of one acquisition of a tile."""
    updated: str
    """When the product was made and the item last changed, as text that sorts; empty where it doesn't say."""
    footprint: Any
    """shapely geometry in longitude and latitude, cut at 180 degrees however the item writes it."""
    is_deprecated: bool = False
    """Whether the catalogue says that another product is to be used in its place."""
    content: str = ""
    """Fingerprint of all that the item says of its product, `content_of`."""

    @property
    def acquisition(self) -> tuple[str, date, str, int | None]:
        """What items of one acquisition share: tile, its solar day, platform, relative orbit.

        Not the time: processing again moves it by milliseconds or minutes, and on one relative orbit a satellite comes
        by once in ten days. The day is that of the tile's meridian, as a pass at 10:30 solar time may be at 0:00 UTC.
        """
        meridian_deg = sensor_of_platform(self.platform).meridian_deg(self.tile, self.footprint)
        solar_day = (self.observed_at_utc + timedelta(hours=meridian_deg / DEGREES_PER_HOUR)).date()
        return self.tile, solar_day, self.platform, self.relative_orbit

    @property
    def newness(self) -> Newness:
        """Orders the products of one acquisition; the greatest is to be used."""
        return not self.is_deprecated, self.baseline or (0, 0), self.sequence, self.updated, self.scene_id


def scene_ref(item: Mapping[str, Any], href: str, sensor: Sensor | None = None) -> SceneRef:
    """Return what a STAC item (as a dict) of a sensor says, of the one that it names where None.

    InputError names the item and what it lacks.
    """
    name, properties = str(item.get("id") or href), item.get("properties") or {}
    with reading(name, f"an item of {sensor.title if sensor else 'a sensor'}"):
        sensor = sensor or sensor_of_item(name, properties)
        if not is_file_name(name):
            raise InputError(href, f"id {name!r}", "an id that files can be named by")
        return SceneRef(
            scene_id=name,
            item_href=href,
            observed_at_utc=observed_at_utc(name, properties),
            platform=sensor.platform(name, properties),
            relative_orbit=sensor.relative_orbit(properties),
            tile=sensor.tile(name, properties),
            cloud_cover=_percent(name, properties.get("eo:cloud_cover")),
            baseline=sensor.baseline(properties),
            sequence=sensor.sequence(name, properties),
            updated=updated_of(properties),
            footprint=split_at_180(shape(item["geometry"])),
            is_deprecated=is_deprecated(name, properties),
            content=content_of(item),
        )


def _percent(name: str, stated: Any) -> float | None:
    percent = None if stated is None else float(stated)
    if percent is not None and not 0.0 <= percent <= 100.0:
        raise InputError(name, f"eo:cloud_cover {stated!r}", "0 to 100 percent")
    return percent


def select_newest(refs: Sequence[SceneRef]) -> tuple[list[SceneRef], list[SceneRef]]:
    """Return the scenes to use and the ones that another product of the same acquisition replaces, both sorted by id.

    The newest product of an acquisition (baseline, sequence, updated) is used, before a deprecated one whatever that
    is; an older one too where its footprint shows ground that the newer ones don't: receiving stations may split one
    acquisition.
    """
    used, replaced = [], []
    for group in _by_acquisition(refs):
        shown = shapely.Polygon()
        for ref in sorted(group, key=lambda r: r.newness, reverse=True):
            own = ref.footprint.difference(shown).area
            if shown.is_empty or own > OWN_SHARE * ref.footprint.area:
                used.append(ref)
                shown = shown.union(ref.footprint)
            else:
                replaced.append(ref)
    return sorted(used, key=lambda r: r.scene_id), sorted(replaced, key=lambda r: r.scene_id)


def _by_acquisition(refs: Sequence[SceneRef]) -> list[list[SceneRef]]:
    """Group the products of an acquisition; one that states no orbit belongs to what was seen within half an orbit."""
    groups: dict[Any, list[SceneRef]] = {}
    for ref in sorted(refs, key=lambda r: (r.relative_orbit is None, r.observed_at_utc, r.scene_id)):
        key: Any = ref.acquisition
        if ref.relative_orbit is None:
            near = (k for k, group in groups.items() if k[:3] == key[:3] and _is_near(ref, group))
            key = next(near, (*key, ref.observed_at_utc))
        groups.setdefault(key, []).append(ref)
    return list(groups.values())


def _is_near(ref: SceneRef, group: Sequence[SceneRef]) -> bool:
    return any(abs(ref.observed_at_utc - other.observed_at_utc) < HALF_ORBIT for other in group)


def is_level_1c(collection: str | None) -> bool:
    """Whether a collection is of top-of-atmosphere reflectance, by its name."""
    return "l1c" in (collection or "")


def observed_at_utc(name: str, properties: Mapping[str, Any]) -> datetime:
    """Return the time of acquisition; InputError where the properties of item `name` have none."""
    text = properties.get("datetime") or properties.get("start_datetime")
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise InputError(name, f"datetime {text!r}", "an ISO 8601 time") from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def is_deprecated(name: str, properties: Mapping[str, Any]) -> bool:
    """Return what the STAC version extension says: that another product is to be used in its place."""
    stated = properties.get("deprecated")
    if stated is not None and str(stated).lower() not in ("true", "false"):
        raise InputError(name, f"deprecated {stated!r}", "true or false")
    return str(stated).lower() == "true"


def updated_of(properties: Mapping[str, Any]) -> str:
    """Return when a product was made and when its item was last changed, so that the text of a newer one is greater.

    An item may be changed without its product being a new one, so that the former comes first. Empty where none is
    said.

    >>> updated_of({"updated": "2025-08-21T14:00:00+04:00"})
    ' 2025-08-21T10:00:00.000000+00:00'
    """
    times = (next((t for name in names if (t := _as_utc(properties.get(name)))), "") for names in (MADE, CHANGED))
    return " ".join(times).rstrip()


def content_of(item: Mapping[str, Any]) -> str:
    """Return a fingerprint of all that an item says of its product, so that a later look tells whether that is another.

    These are its id, collection, time, footprint and properties (baseline, times of making, `created`, cloud cover ...)
    but `updated`; and of each asset the name of its file, its size and its checksum, where stated. Folders, hosts and
    signatures in addresses don't count: they are others at each look in some catalogues.
    """
    properties = dict(item.get("properties") or {})
    time = _as_utc(properties.get("datetime") or properties.get("start_datetime"))
    files = {
        key: [re.sub(r"[?#].*", "", str(asset.get("href"))).rpartition("/")[2], *map(asset.get, OF_FILE)]
        for key, asset in dict(item.get("assets") or {}).items()
        if not asset.get(LISTED)
    }
    said = {name: value for name, value in properties.items() if name not in NO_CONTENT and value is not None}
    content = (item.get("id"), item.get("collection"), time, item.get("geometry"), said, files)
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _as_utc(text: Any) -> str:
    """A time in a form that sorts; empty where it is none."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return ""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")
