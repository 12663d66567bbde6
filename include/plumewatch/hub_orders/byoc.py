"""Our COGs as a collection of Sentinel Hub (Bring Your Own COG), where its APIs and its browser see them.

The composites of months: a tile a month of an area, its bands those of `median.tif`. Registering costs no units. A
collection is found again by its name and a tile by its path; one whose rasters have changed since is read in anew.
https://docs.sentinel-hub.com/api/latest/api/byoc
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sentinelhub import CRS as HubCrs
from sentinelhub import (
    ByocCollection,
    ByocCollectionAdditionalData,
    ByocCollectionBand,
    ByocTile,
    Geometry,
    SentinelHubBYOC,
)

from plumewatch import storage
from plumewatch.errors import InputError, PlumewatchError, ServiceError, reading
from plumewatch.hub_orders.asking import granted, service_of
from plumewatch.hub_orders.orders import NOTES, Orders
from plumewatch.models import FailedScene
from plumewatch.statuses import REGISTRATION_STAGE

TITLE = "BYOC API"
SOURCE = "median"
"""The raster of a composite that holds the bands."""
INGESTED, FAILED = "INGESTED", "FAILED"
BITS = {"uint8": 8, "uint16": 16}
COMPOSITE = "a STAC item of a composite, as monthly_composites.py writes it"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Composite:
    """What is registered of a month of an area."""

    area: str
    month: str
    """YYYY-MM."""
    path: str
    """Of its files within the bucket, with `(BAND)` for the name of a raster."""
    bands: tuple[str, ...]
    first_utc: str
    """Beginning of the month, ISO 8601."""
    outline: dict[str, Any]
    """GeoJSON in degrees."""
    checksum: str
    """Of the raster."""

    @property
    def name(self) -> str:
        """What a failure of it is called."""
        return f"composite {self.month}"


@dataclass
class Registered:
    """What came of a registration."""

    collection_id: str = ""
    """Id of the collection, by which Sentinel Hub's APIs know it (`byoc-<id>`); empty where nothing was registered."""
    done: list[Composite] = field(default_factory=list)
    """Those that it has read in."""
    waiting: list[Composite] = field(default_factory=list)
    """Those that it has not read in yet."""
    failed: list[FailedScene] = field(default_factory=list)
    """Those that it can't, and items that can't be used."""


def read_composites(root: str, area: str, months: Sequence[str], failed: list[FailedScene]) -> list[Composite]:
    """Return the composites of an area below a storage `root` (all months where none is named), those that can't be
    used put into `failed`; InputError where there are none."""
    folder = storage.join(root, "composites", f"area={area}")
    items = [file for file in storage.list_files(folder) if file.endswith("/composite.json")]
    items = [file for file in items if not months or _month_of(file) in months]
    if not items:
        raise InputError(folder, "no composites", "a month that zonal_statistics_monthly has composed")
    found = []
    for file in items:
        try:
            found.append(_composite(file, area))
        except PlumewatchError as error:
            failed.append(_failure(area, f"composite {_month_of(file)}", error))
    return found


def register(orders: Orders, name: str, composites: Sequence[Composite], bucket: str | None = None) -> Registered:
    """Register composites in the collection of a name, which is made where there is none; to be called until none is
    `waiting`. One that can't be read in is asked to be once more by the next call after that.

    All tiles of a collection have the same bands: those of the first composite, or of the collection that is there;
    others are failures by name. `bucket` is what Sentinel Hub calls ours: its own name where None is given.

    Raises ConfigurationError where the account's plan has no BYOC API, ServiceError where it gives no answer.
    """
    hub, found = orders.hub, Registered()
    if not composites:
        return found
    refused = set[str]()
    service = service_of(SentinelHubBYOC, hub)
    notes_path = storage.join(orders.root, NOTES, "byoc", f"{hub.ledger.account}_{name}.json")
    with storage.lock(storage.parent(notes_path)), granted(hub, TITLE):
        notes: dict[str, str] = storage.read_json(notes_path) if storage.exists(notes_path) else {}
        bucket = bucket or storage.inner_path(orders.root).split("/")[0]
        collection = _collection(service, bucket, name, composites[0].bands)
        found.collection_id = str(collection["id"])
        bands = tuple(collection["additionalData"]["bands"])
        for one in composites:
            if set(one.bands) != set(bands):
                error = InputError(one.path, f"bands {', '.join(one.bands)}", f"{', '.join(bands)}, as in {name}")
                found.failed.append(_failure(one.area, one.name, error))
                continue
            tile = _tile(service, found.collection_id, one, notes)
            status = str(tile.get("status"))
            if status == INGESTED:
                found.done.append(one)
            elif status == FAILED:
                told = (tile.get("additionalData") or {}).get("failedIngestionCause", "the service says no more")
                found.failed.append(_failure(one.area, one.name, ServiceError(f"{hub.url}: {one.path}: {told}")))
                refused.add(one.path)
            else:
                found.waiting.append(one)
            storage.write_json(notes_path, notes)
        if refused and not found.waiting:  # not before: two that fail in turn would be waited for without end
            storage.write_json(notes_path, {path: checksum for path, checksum in notes.items() if path not in refused})
    return found


def _collection(service: SentinelHubBYOC, bucket: str, name: str, bands: Sequence[str]) -> dict[str, Any]:
    """The collection of a name and of our bucket."""
    for found in service.iter_collections(search=name):
        if (
            found.get("name") == name
            and found.get("s3Bucket") == bucket
            and (found.get("additionalData") or {}).get("bands")
        ):
            return dict(found)
    described = {
        band: ByocCollectionBand(source=SOURCE, band_index=number, bit_depth=BITS["uint16"], sample_format="UINT")
        for number, band in enumerate(bands, 1)
    }
    made = service.create_collection(ByocCollection(name, bucket, ByocCollectionAdditionalData(described), no_data=0))
    log.info("%s: collection %s of bucket %s is %s", TITLE, name, bucket, made.get("id"))
    return {"additionalData": {"bands": dict.fromkeys(bands)}, **made}


def _tile(service: SentinelHubBYOC, collection_id: str, one: Composite, notes: dict[str, str]) -> dict[str, Any]:
    """The tile of a composite, made where there is none, read in anew where its raster isn't the one of the note."""
    tile = next((dict(found) for found in service.iter_tiles(collection_id, path=one.path)), None)
    if tile is None:
        made = ByocTile(
            one.path,
            cover_geometry=Geometry.from_geojson(one.outline, crs=HubCrs.WGS84),
            sensing_time=datetime.fromisoformat(one.first_utc),
        )
        tile = service.create_tile(collection_id, made)
    elif notes.get(one.path) not in (None, one.checksum) or (one.path not in notes and tile.get("status") == FAILED):
        service.reingest_tile(collection_id, tile)
        tile["status"] = "CREATED"
    notes[one.path] = one.checksum
    return tile


def _composite(file: str, area: str) -> Composite:
    with reading(file, COMPOSITE):
        item = storage.read_json(file)
        asset = item["assets"][SOURCE]
        inside = storage.parent(storage.inner_path(file)).split("/", 1)[1]
        return Composite(
            area, _month_of(file), f"{inside}/(BAND).tif", tuple(band["name"] for band in asset["eo:bands"]),
            str(item["properties"]["start_datetime"]), item["geometry"], str(asset["file:checksum"]),
        )  # fmt: skip


def _month_of(file: str) -> str:
    return storage.parent(file).rsplit("month=", 1)[-1]


def _failure(area: str, name: str, error: Exception) -> FailedScene:
    return FailedScene.from_exception(error, scene_id=name, stage=REGISTRATION_STAGE, area=area)
