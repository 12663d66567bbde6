"""Zones of a month counted by Sentinel Hub's Batch Statistical API: all zones of a file by two requests.

The zones go to the storage's bucket as one GeoPackage, and the service delivers a file a zone there: statistics as the
Statistical API answers them (hub_month.py), on cells of one UTM zone, that of the middle of all of them.
https://docs.sentinel-hub.com/api/latest/api/batch-statistical
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import shapely
from sentinelhub.api.batch import SentinelHubBatchStatistical

from plumewatch import storage
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import InputError, PlumewatchError, QuotaUsedUp, ServiceError, is_of_content, reading
from plumewatch.hub_orders.asking import RequestState, service_of, state_of_batch
from plumewatch.hub_orders.orders import DELIVERED, AccessOf, Order, Orders
from plumewatch.progress import followed
from plumewatch.settings import Settings
from plumewatch.tables import ZONAL_STATISTICS
from plumewatch.zones.hub_month import AskedZones, CountedByHub, failed_days, read_asked, zone_failure
from plumewatch.zones.hub_question import (
    Place,
    Question,
    aggregation,
    days_of,
    input_data,
    place_of,
    questions,
    utm_zone,
)
from plumewatch.zones.outlines import lonlat_shapes
from plumewatch.zones.partition import is_of_counted_zones
from plumewatch.zones.plan import Counting
from plumewatch.zones.service_statistics import BY_SERVICE, ZoneDays, read_days, rows_of_zone

ENGINE = f"{BY_SERVICE}_batch"
MOST_ZONES = 700_000  # features of a GeoPackage, documentation.dataspace.copernicus.eu
log = logging.getLogger(__name__)

RESULT = "a result of the Batch Statistical API: JSON with `identifier` and `response`"


@dataclass(frozen=True)
class ZoneStatistics(Order):
    """One of the two requests about the zones of a file."""

    title = "Batch Statistical API"
    kind = "batch_statistics"
    area: str
    """Name of the file of zones."""
    zones_path: str
    """Of the GeoPackage in the bucket, which is called after its content."""
    month: str
    question: Question
    resolution_m: float
    places_px: tuple[tuple[int, int], ...]
    """Columns and rows of each zone's box."""

    @property
    def what(self) -> str:
        """The month, and which of the two."""
        return f"{self.month} {self.question.what}"

    @property
    def units(self) -> float:
        """Those that the Statistical API would take for all zones."""
        return sum(self.question.units(*px) for px in self.places_px)

    def asked(self) -> dict[str, Any]:
        """As what JSON holds."""
        return {"zones": self.zones_path, "month": self.month, "size": self.resolution_m, **self.question._asdict()}

    def create(self, hub: SentinelHub, path: str, access: AccessOf) -> str:
        """Make the request; nothing is charged yet."""
        client = service_of(SentinelHubBatchStatistical, hub)
        return client.create(
            input_features=access.to(self.zones_path),
            input_data=input_data(hub.data_collection),
            aggregation=aggregation(self.question.script, *days_of(self.month), self.resolution_m),
            calculations=self.question.calculations,
            output=access.to(path),
        ).request_id

    def start(self, hub: SentinelHub, request_id: str) -> None:
        """Have it begin."""
        service_of(SentinelHubBatchStatistical, hub).start_job(request_id)

    def state(self, hub: SentinelHub, request_id: str, path: str) -> RequestState:
        """As the service says."""
        return state_of_batch(service_of(SentinelHubBatchStatistical, hub).get_request(request_id))


def count_by_batch(
    settings: Settings,
    zones_path: str,
    month: str,
    names: Sequence[str],
    statistics: Sequence[str],
    *,
    resolution_m: float = 20.0,
    start_from: str | None = None,
    layer: str | None = None,
    zone_id_column: str | None = None,
) -> CountedByHub:
    """Have bands and indices counted over the zones of a file in a month (YYYY-MM), into zonal_statistics.

    To be called again until nothing is `waiting`: the requests that are under way are found again, whoever asks. A zone
    that can't be asked for or has no answer is a failure and keeps its stored rows, a day that the service can't
    compute a failure whose zone has its other days. Who has settled those calls `forget`, so that a later run counts
    anew: until then the same answers are found again.

    Raises ParameterError, ConfigurationError (no account, no bucket, a plan without this API), InputError and
    ServiceError as `count_by_hub` does, and where a request fails as a whole.
    """
    counting = Counting(tuple(names), tuple(statistics), (f"engine={ENGINE}", f"resolution_m={resolution_m:g}"))
    asked = read_asked(settings, zones_path, month, counting, start_from, layer, zone_id_column)
    orders = Orders(settings, asked.zones.name)
    found = CountedByHub(failed=asked.refused, path=asked.partition.path)
    places = _places(asked, resolution_m, found)
    if not places:
        return found
    features = _write_features(orders.root, asked, places)
    sizes_px = tuple((place.width, place.height) for place in places.values())
    both = [
        ZoneStatistics(asked.zones.name, features, month, question, resolution_m, sizes_px)
        for question in questions(names, statistics)
    ]
    try:
        states = [orders.go_on(order) for order in both]
    except QuotaUsedUp as error:
        found.used_up = error
        return found
    if not all(state.is_done for state in states):
        found.waiting = ", ".join(
            f"{order.what} {state.percent:.0f} %" for order, state in zip(both, states, strict=True)
        )
        return found
    answers = [_read_results(storage.join(state.delivered_to, state.request_id)) for state in states]
    _publish(asked, places, answers, counting, found, zones_path, orders.hub.url)
    found.forget = lambda: orders.forget(*both)
    return found


def _places(asked: AskedZones, size_m: float, found: CountedByHub) -> dict[int, Place]:
    """Where the zones are asked for, by number, all in one UTM zone; those that can't be are failures."""
    if len(asked.wanted) > MOST_ZONES:
        raise InputError(asked.zones.name, f"{len(asked.wanted)} zones", f"at most {MOST_ZONES} at once")
    shapes = [asked.zones.zones[number] for number in asked.wanted]
    outlines = dict(zip(asked.wanted, lonlat_shapes(shapes, asked.zones.crs), strict=True))
    polygons = [one for one in outlines.values() if one.area]
    epsg = utm_zone(shapely.MultiPoint([one.centroid for one in polygons]).centroid) if polygons else None
    places = {}
    for number, outline in outlines.items():
        try:
            places[number] = place_of(asked.ids[number], outline, size_m, epsg)
        except InputError as error:
            found.failed.append(zone_failure(asked.zones, asked.ids[number], error))
    return places


def _write_features(root: str, asked: AskedZones, places: Mapping[int, Place]) -> str:
    """Write the zones as a GeoPackage, called after its content, into the bucket; return its path."""
    import geopandas

    ids, shapes = [asked.ids[number] for number in places], [place.shape for place in places.values()]
    [epsg] = {place.epsg for place in places.values()}
    content = json.dumps([epsg, ids, [shapely.to_wkb(shape, hex=True) for shape in shapes]])
    path = storage.join(root, DELIVERED, "zones", f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.gpkg")
    if not storage.exists(path):
        frame = geopandas.GeoDataFrame({"identifier": ids}, geometry=shapes, crs=epsg)
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "zones.gpkg"
            frame.to_file(local, layer="zones", driver="GPKG")
            storage.write_bytes(path, local.read_bytes())
    return path


def _read_results(path: str) -> dict[str, Any]:
    """What was delivered to a folder, by zone; a file that can't be read is named, and its zone has no result."""
    found = {}
    for file in followed(storage.visible_files(path, ".json"), "results", "zones"):
        try:
            zone_id, content = read_result(file)
        except InputError as error:
            if not is_of_content(error):  # refused now, it may be read, and needs no new order, later
                raise
            log.warning("left out: %s", error)
        else:
            found[zone_id] = content
    return found


def read_result(file: str) -> tuple[str, dict[str, Any]]:
    """Return the identifier of a zone and what was delivered of it; InputError for a file of another form."""
    with reading(file, RESULT):
        content = dict(storage.read_json(file))
        return str(content["identifier"]), content


def _publish(
    asked: AskedZones,
    places: Mapping[int, Place],
    answers: Sequence[Mapping[str, Any]],
    counting: Counting,
    found: CountedByHub,
    zones_path: str,
    url: str,
) -> None:
    rows: list[dict[str, Any]] = []
    counted = []
    for number in places:
        zone_id = asked.ids[number]
        try:
            clear, seen = (days_of_zone(zone_id, answer) for answer in answers)
            of_zone = rows_of_zone(zone_id, counting.names, counting.statistics, clear, seen)
            found.failed += failed_days(asked.zones, zone_id, of_zone, url, clear, seen)
        except PlumewatchError as error:
            found.failed.append(zone_failure(asked.zones, zone_id, error))
            continue
        rows += of_zone
        counted.append(number)
    left = sorted(set(asked.wanted) - set(counted))
    found.zones = len(counted)
    found.is_over = is_of_counted_zones(asked.zones, set(asked.ids) - {asked.ids[number] for number in counted})
    table: pa.Table = ZONAL_STATISTICS.from_pylist(rows)
    found.rows = table.num_rows
    if counted:
        asked.partition.write(table, left, [zones_path])


def days_of_zone(zone_id: str, answers: Mapping[str, Any]) -> ZoneDays:
    """Return what was delivered of a zone; ServiceError where it is nothing, or an error in its place."""
    if (content := answers.get(zone_id)) is None:
        raise ServiceError(f"{zone_id}: no result among the {len(answers)} that were delivered")
    if "response" not in content:
        raise ServiceError(f"{zone_id}: {json.dumps(content.get('error', 'no response'))}")
    return read_days(zone_id, content["response"])
