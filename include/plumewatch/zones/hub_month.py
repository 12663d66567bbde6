"""Zones of a month counted by Sentinel Hub's Statistical API: the rows of the Spark job, without any download.

A zone takes two requests a month: the bands and indices of its clear cells, and its cells that were seen at all. Both
are on cells whose edges are those of the products, in the UTM zone of its middle; of scenes of a day that overlap the
service takes the newest. What it can't do: the margin around cloud, which a pixel alone doesn't know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from sentinelhub import CRS as HubCrs
from sentinelhub import BBox, Geometry, SentinelHubStatistical

from plumewatch.catalogues.hub_client import asking
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import InputError, ParameterError, PlumewatchError, QuotaUsedUp, ServiceError, some_of
from plumewatch.failures import Condition, never
from plumewatch.models import FailedScene
from plumewatch.progress import followed
from plumewatch.settings import Settings
from plumewatch.statuses import STATISTICS_STAGE
from plumewatch.tables import ZONAL_STATISTICS
from plumewatch.zonal_names import INDEX_BANDS
from plumewatch.zones.hub_question import (
    DAYS_SEEN,
    Place,
    Question,
    aggregation,
    days_of,
    input_data,
    place_of,
    questions,
)
from plumewatch.zones.outlines import lonlat_shapes
from plumewatch.zones.partition import ZonePartition, is_of_counted_zones, zone_failure_name
from plumewatch.zones.plan import Counting
from plumewatch.zones.service_statistics import BY_SERVICE, ZoneDays, read_days, rows_of_zone
from plumewatch.zones.zone import Zones, sort_key
from plumewatch.zones.zone_files import read_zones

ATTEMPTS = 2  # of days that the service fails to compute: EXECUTION_ERROR and TIMEOUT may pass
PUBLISHED_AT_ONCE = 50  # zones
MOST_NAMED = 10


def _nothing() -> None:
    """What is to be forgotten where each answer is used at once."""


@dataclass
class CountedByHub:
    """What came of a month."""

    rows: int = 0
    """Rows of the table."""
    zones: int = 0
    """Zones that were counted."""
    failed: list[FailedScene] = field(default_factory=list)
    """Zones and days that could not be."""
    path: str = "-"
    """The partition."""
    used_up: QuotaUsedUp | None = None
    """Why not all zones could be asked for: it says where to go on."""
    is_over: Condition = never
    """Whether a row of `failed_scenes` is of the file and of no zone that wasn't counted now."""
    waiting: str = ""
    """What the service has not delivered yet; nothing is counted until then."""
    forget: Callable[[], None] = _nothing
    """To be called once all of this is settled: has a later run count anew where the answers would else be kept."""


@dataclass(frozen=True)
class AskedZones:
    """The zones of a file that are to be counted."""

    zones: Zones
    """All of the file."""
    wanted: list[int]
    """Numbers of those that are asked for."""
    partition: ZonePartition
    """Where their rows go."""
    refused: list[FailedScene]
    """What the file has besides."""

    @property
    def ids(self) -> list[str]:
        """By number."""
        return [zone.zone_id for zone in self.zones.zones]


def read_asked(
    settings: Settings,
    zones_path: str,
    month: str,
    counting: Counting,
    start_from: str | None,
    layer: str | None,
    zone_id_column: str | None,
) -> AskedZones:
    """Return what is to be counted; raises as `count_by_hub` does, before units are spent."""
    if not counting.names:
        raise ParameterError(f"nothing to count; allowed: {', '.join(INDEX_BANDS)}, or bands as b04")
    refused = dict[str, InputError]()
    zones = read_zones(zones_path, layer, zone_id_column, refused.__setitem__)
    ids = [zone.zone_id for zone in zones.zones]
    if start_from is not None and start_from not in ids:
        raise ParameterError(f"start_from {start_from}: no such zone; allowed: {some_of(ids, MOST_NAMED)}")
    order = sort_key(ids)
    wanted = [number for number, one in enumerate(ids) if start_from is None or order(one) >= order(start_from)]
    kept = sorted(set(range(len(ids))) - set(wanted))
    partition = ZonePartition(settings.table_root(ZONAL_STATISTICS.name), month, zones, counting, kept)
    partition.read()  # says where finished zones don't fit
    return AskedZones(zones, wanted, partition, [zone_failure(zones, where, error) for where, error in refused.items()])


def count_by_hub(
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
    """Count bands and indices over the zones of a file in a month (YYYY-MM) by Sentinel Hub, into zonal_statistics.

    Zones go in the order of their ids, from `start_from` on, and are published after each PUBLISHED_AT_ONCE. A day that
    the service can't compute is a failure of its zone by name, and the month is that of its other days. A zone
    that fails is a failure and keeps its stored rows, and the others go on. Where the month's units are used up it ends
    with `used_up`, and what was counted is published. A month's percentile beyond the bins of EVI_RANGE, INDEX_RANGE or
    REFLECTANCE_RANGE is null.

    Raises ParameterError for no names, or a `start_from` that is no zone; ConfigurationError where there is no account,
    InputError and ServiceError where the file of zones cannot be had.
    """
    counting = Counting(tuple(names), tuple(statistics), (f"engine={BY_SERVICE}", f"resolution_m={resolution_m:g}"))
    asked = read_asked(settings, zones_path, month, counting, start_from, layer, zone_id_column)
    zones, ids, wanted, partition = asked.zones, asked.ids, asked.wanted, asked.partition
    found, not_counted = CountedByHub(failed=asked.refused, path=partition.path), set(ids)
    hub, tables = SentinelHub(settings, zones.name), [ZONAL_STATISTICS.empty()]
    outlines = lonlat_shapes(zones.zones, zones.crs)
    asker = _Asker(hub, zones, month, tuple(names), tuple(statistics), resolution_m)
    left = dict.fromkeys(wanted)
    try:
        for place, number in enumerate(followed(wanted, "zones", "zones"), 1):
            try:
                rows, failed = asker.count(ids[number], outlines[number])
                tables.append(ZONAL_STATISTICS.from_pylist(rows))
                found.failed += failed
                found.zones += 1
                not_counted.remove(ids[number])
                del left[number]
            except QuotaUsedUp as error:
                start = f"{Path(zones_path).stem}:{ids[number]}"
                found.used_up = QuotaUsedUp(f"{error}; go on then with start_from {start}", error.until)
                break
            except PlumewatchError as error:
                found.failed.append(zone_failure(zones, ids[number], error))
            if found.zones and place % PUBLISHED_AT_ONCE == 0:
                partition.write(pa.concat_tables(tables), left, [zones_path])
    finally:
        found.is_over = is_of_counted_zones(zones, not_counted)
        counted = pa.concat_tables(tables)
        found.rows = counted.num_rows
        if found.zones:
            partition.write(counted, left, [zones_path])
    return found


def zone_failure(zones: Zones, zone_id: str, error: Exception) -> FailedScene:
    """Return the failure of a zone, or of a day of one (`7/2025-08-03`)."""
    return FailedScene.from_exception(error, scene_id=zone_failure_name(zones, zone_id), stage=STATISTICS_STAGE)


def failed_days(
    zones: Zones, zone_id: str, rows: Sequence[Mapping[str, Any]], url: str, *answers: ZoneDays
) -> list[FailedScene]:
    """Return the failures of the days of a zone that the service could not compute; ServiceError where its `rows` have
    no other day."""
    told = sorted({day: said for answer in answers for day, said in answer.errors.items()}.items())
    if told and not any(row["scene_id"] for row in rows):
        raise ServiceError(f"{url}: no day of {zone_id} could be computed: {told[0][1]}")
    errors = [(day, ServiceError(f"{url}: {zone_id} on {day}: {said}")) for day, said in told]
    return [zone_failure(zones, f"{zone_id}/{day}", error) for day, error in errors]


@dataclass(frozen=True)
class _Asker:
    """Who asks of the zones of a file in a month."""

    hub: SentinelHub
    zones: Zones
    month: str
    names: tuple[str, ...]
    statistics: tuple[str, ...]
    resolution_m: float

    def count(self, zone_id: str, outline: Any) -> tuple[list[dict[str, Any]], list[FailedScene]]:
        """Return the rows of a zone (its outline in degrees), and its days that could not be computed."""
        place = place_of(zone_id, outline, self.resolution_m)
        clear, seen = (self._ask(zone_id, place, one) for one in questions(self.names, self.statistics))
        rows = rows_of_zone(zone_id, self.names, self.statistics, clear, seen)
        return rows, failed_days(self.zones, zone_id, rows, self.hub.url, clear, seen)

    def _ask(self, zone_id: str, place: Place, question: Question) -> ZoneDays:
        """Return what the service says of a zone; days that it can't compute are asked for once more."""
        units = question.units(place.width, place.height)
        found = self._ask_once(zone_id, place, question, days_of(self.month), units)
        for _ in range(ATTEMPTS - 1):
            for day in sorted(found.errors):
                after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
                try:
                    again = self._ask_once(zone_id, place, question, (day, after), units / DAYS_SEEN)
                except QuotaUsedUp:
                    raise
                except PlumewatchError as error:  # one day's trouble isn't to cost the zone its other days
                    again = ZoneDays({}, {day: str(error)})
                errors = {one: told for one, told in found.errors.items() if one != day}
                found = ZoneDays({**found.days, **again.days}, {**errors, **again.errors})
        return found

    def _ask_once(
        self, zone_id: str, place: Place, question: Question, period: tuple[str, str], units: float
    ) -> ZoneDays:
        hub, crs = self.hub, HubCrs(str(place.epsg))
        asked = SentinelHubStatistical(
            aggregation=aggregation(question.script, *period, self.resolution_m),
            input_data=input_data(hub.data_collection),
            calculations=question.calculations,
            geometry=Geometry(place.shape, crs),
            bbox=BBox(place.bounds, crs),
            config=hub.config,
        )
        with hub.ledger.spending(self.zones.name, zone_id, units) as spending:
            counted = hub.client.counting(spending, units)
            with asking(hub.url, "a Statistical API"), hub.ledger.turn(), counted:
                [answer] = hub.client.download(asked.download_list, max_threads=1)
        return read_days(f"{hub.url}: {zone_id}", answer)
