"""Zones of a month counted by Sentinel Hub's Statistical API: the rows of the Spark job, without any download.

A zone takes two requests a month: the bands and indices of its clear cells, and its cells that were seen at all. Both
are on cells whose edges are those of the products, in the UTM zone of its middle; of scenes of a day that overlap the
service takes the newest. What it can't do: the margin around cloud, which a pixel alone doesn't know.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS
from sentinelhub import CRS as HubCrs
from sentinelhub import BBox, Geometry, SentinelHubRequest, SentinelHubStatistical

from plumewatch.catalogues.hub_client import asking
from plumewatch.catalogues.processing_units import predict_units
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import InputError, ParameterError, PlumewatchError, QuotaUsedUp, ServiceError, some_of
from plumewatch.geodesy import utm_epsg
from plumewatch.models import FailedScene
from plumewatch.progress import followed
from plumewatch.sentinel2.bands import CLEAR_CLASSES, SCENE_CLASSIFICATION
from plumewatch.sentinel2.evalscript import DATA_MASK, FIRST_LINE, FLOAT32
from plumewatch.settings import Settings
from plumewatch.statuses import STATISTICS_STAGE
from plumewatch.tables import ZONAL_STATISTICS
from plumewatch.zonal_names import INDEX_BANDS, bands_of
from plumewatch.zones.indices import index_constants
from plumewatch.zones.outlines import lonlat_shapes, shapes_in
from plumewatch.zones.partition import ZonePartition
from plumewatch.zones.plan import Counting
from plumewatch.zones.service_statistics import DayStatistics, ZoneDays, percents_of, pool_days, read_days
from plumewatch.zones.zone import Zones, sort_key
from plumewatch.zones.zone_files import read_zones

MOST_PX = 2500  # a side, docs.sentinel-hub.com/api/latest/reference
DAYS_SEEN = 15  # of a month at most, by two satellites on orbits that overlap: what is set aside for
BINS = 1000  # of a histogram: of an index 0.002, of reflectance 0.0018
EVI_RANGE, INDEX_RANGE, REFLECTANCE_RANGE = (-3.0, 3.0), (-1.0, 1.0), (-0.2, 1.6)
"""Of the histogram's bins; EVI has three times as many, as it is a quotient without limits."""
SEEN = "seen"
ATTEMPTS = 2  # of days that the service fails to compute: EXECUTION_ERROR and TIMEOUT may pass
PUBLISHED_AT_ONCE = 50  # zones
MOST_NAMED = 10
BY_SERVICE = "sentinel_hub"
"""Begins the `scene_id` of a day, and says in the manifest who counted."""

log = logging.getLogger(__name__)


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
    of_zones: str = ""
    """Begins the names of the file's zones that fail."""
    not_counted: set[str] = field(default_factory=set)
    """Ids of the file's zones that failed or weren't asked for."""

    def is_over(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of `failed_scenes` is of the file and of no zone that wasn't counted now."""
        name = str(row["scene_id"])
        if row["area"] is not None or not name.startswith(self.of_zones):
            return False
        zone = name.removeprefix(self.of_zones)
        return not {zone, zone.rpartition("/")[0]} & self.not_counted  # of a zone, or of a day of it


def count_by_hub(
    settings: Settings,
    zones_path: str,
    month: str,
    names: Sequence[str],
    statistics: Sequence[str],
    *,
    resolution_m: float = 20.0,
    start_from: str | None = None,
) -> CountedByHub:
    """Count bands and indices over the zones of a file in a month (YYYY-MM) by Sentinel Hub, into zonal_statistics.

    Zones go in the order of their ids, from `start_from` on, and are published after each PUBLISHED_AT_ONCE. A day that
    the service can't compute is a failure of its zone by name; the zone has its other days then, and no month. A zone
    that fails is a failure and keeps its stored rows, and the others go on. Where the month's units are used up it ends
    with `used_up`, and what was counted is published. A month's percentile beyond the bins of EVI_RANGE, INDEX_RANGE or
    REFLECTANCE_RANGE is null.

    Raises ParameterError for no names, or a `start_from` that is no zone; ConfigurationError where there is no account,
    InputError and ServiceError where the file of zones cannot be had.
    """
    if not names:
        raise ParameterError(f"nothing to count; allowed: {', '.join(INDEX_BANDS)}, or bands as b04")
    found, refused = CountedByHub(), dict[str, InputError]()
    zones = read_zones(zones_path, None, None, refused.__setitem__)
    found.of_zones = f"zones={zones.name}/"
    for where, error in refused.items():
        found.failed.append(_failure(zones, where, error))
    ids = [zone.zone_id for zone in zones.zones]
    found.not_counted = set(ids)
    if start_from is not None and start_from not in ids:
        raise ParameterError(f"start_from {start_from}: no such zone; allowed: {some_of(ids, MOST_NAMED)}")
    order = sort_key(ids)
    wanted = [number for number, one in enumerate(ids) if start_from is None or order(one) >= order(start_from)]
    kept = sorted(set(range(len(ids))) - set(wanted))
    constants = (f"engine={BY_SERVICE}", f"resolution_m={resolution_m:g}")
    partition = ZonePartition(
        settings.table_root(ZONAL_STATISTICS.name), month, zones, Counting(tuple(names), tuple(statistics), constants),
        kept,
    )  # fmt: skip
    found.path = partition.path
    partition.read()  # said before units are spent where finished zones don't fit
    hub, tables = SentinelHub(settings, zones.name), [ZONAL_STATISTICS.empty()]
    outlines = lonlat_shapes(zones.zones, zones.crs)
    left = dict.fromkeys(wanted)
    try:
        for place, number in enumerate(followed(wanted, "zones", "zones"), 1):
            question = _Question(hub, zones, number, outlines[number], month, tuple(names), resolution_m)
            try:
                tables.append(_count_zone(question, statistics, found))
                found.zones += 1
                found.not_counted.remove(ids[number])
                del left[number]
            except QuotaUsedUp as error:
                start = f"{zones.name}:{ids[number]}"
                found.used_up = QuotaUsedUp(f"{error}; go on then with start_from {start}", error.until)
                break
            except PlumewatchError as error:
                found.failed.append(_failure(zones, ids[number], error))
            if found.zones and place % PUBLISHED_AT_ONCE == 0:
                partition.write(pa.concat_tables(tables), left, [zones_path])
    finally:
        rows = pa.concat_tables(tables)
        found.rows = rows.num_rows
        if found.zones:
            partition.write(rows, left, [zones_path])
    return found


def _failure(zones: Zones, zone_id: str, error: Exception) -> FailedScene:
    return FailedScene.from_exception(error, scene_id=f"zones={zones.name}/{zone_id}", stage=STATISTICS_STAGE)


@dataclass(frozen=True)
class _Question:
    """What is asked of one zone."""

    hub: SentinelHub
    zones: Zones
    number: int
    outline: Any
    """In degrees."""
    month: str
    names: tuple[str, ...]
    resolution_m: float

    @property
    def zone_id(self) -> str:
        return self.zones.zones[self.number].zone_id

    def place(self) -> tuple[Any, Any, int, int]:
        """Return outline and box in a UTM zone, and how many cells the box has; InputError if too many.

        The UTM zone is that of the largest piece's middle, the box's edges are multiples of a cell's size, as those of
        the products are.
        """
        if not self.outline.area:
            raise InputError(self.zone_id, f"a {self.outline.geom_type}", "polygons: points by the engine spark")
        middle = max(shapely.get_parts(self.outline), key=shapely.area).centroid  # pieces: both sides of 180 degrees
        size = self.resolution_m
        epsg = utm_epsg(middle.x, middle.y)
        [shape] = shapes_in([self.outline], CRS.from_epsg(4326), CRS.from_epsg(epsg))
        west, south, east, north = (
            turn(edge / size) * size
            for turn, edge in zip((math.floor, math.floor, math.ceil, math.ceil), shape.bounds, strict=True)
        )
        width, height = round((east - west) / size), round((north - south) / size)
        if max(width, height) > MOST_PX:
            raise InputError(self.zone_id, f"{width} x {height} cells of {size:g} m", f"at most {MOST_PX} a side")
        crs = HubCrs(str(epsg))
        shape = shapely.make_valid(shape, method="structure", keep_collapsed=False)  # without lines where pieces touch
        return Geometry(shape, crs), BBox((west, south, east, north), crs), width, height

    def days(self) -> tuple[str, str]:
        """Return the first day of the month, and the first of the next one."""
        first = date.fromisoformat(f"{self.month}-01")
        return first.isoformat(), (first + timedelta(days=31)).replace(day=1).isoformat()


def _count_zone(question: _Question, statistics: Sequence[str], found: CountedByHub) -> pa.Table:
    """Return the rows of a zone; days that could not be computed are put among the failures."""
    percents, names = percents_of(statistics), question.names
    clear = _ask(question, clear_script(names), len(_bands(names)) + 1, _calculations(names, percents))
    seen = _ask(question, seen_script(), 1, {"default": {"statistics": {"default": {}}}})
    errors = {**seen.errors, **clear.errors}
    for day, told in sorted(errors.items()):
        error = ServiceError(f"{question.hub.url}: {question.zone_id} on {day}: {told}")
        found.failed.append(_failure(question.zones, f"{question.zone_id}/{day}", error))
    rows: list[dict[str, Any]] = []
    days = sorted(day for day, of_day in seen.days.items() if of_day[SEEN].count and day not in errors)
    for name in names:
        of_name = [(clear.days[day][name], seen.days[day][SEEN].count) for day in days if day in clear.days]
        for day, (one, total) in zip((day for day in days if day in clear.days), of_name, strict=True):
            rows += _rows(question.zone_id, f"{BY_SERVICE}_{day}", name, statistics, one, total)
        if not errors:
            pooled = pool_days([one for one, _ in of_name], percents)
            rows += _rows(question.zone_id, None, name, statistics, pooled, sum(total for _, total in of_name))
    return ZONAL_STATISTICS.from_pylist(rows)


def _rows(
    zone_id: str, scene_id: str | None, name: str, statistics: Sequence[str], one: DayStatistics, total: int
) -> list[dict[str, Any]]:
    if one.count > total:
        raise InputError(zone_id, f"{one.count} clear cells of {total} that were seen", "no more than were seen")
    counts = {"count_clear": one.count, "count_total": total, "clear_fraction": one.count / total if total else None}
    of_all = {"zone_id": zone_id, "scene_id": scene_id, "band_or_index": name, **counts}
    values = ((statistic, one.value(statistic)) for statistic in statistics)
    return [
        {**of_all, "statistic": statistic, "value": value if np.isfinite(value) else None}
        for statistic, value in values
    ]


def _ask(question: _Question, script: str, n_bands: int, calculations: dict[str, Any]) -> ZoneDays:
    """Return what the service says of a zone; days that it can't compute are asked for once more."""
    shape, box, width, height = question.place()
    units = predict_units(width, height, n_bands, is_32_bit=True, n_samples=DAYS_SEEN)
    first, last = question.days()
    found = _ask_once(question, script, (shape, box), (first, last), units, calculations)
    for _ in range(ATTEMPTS - 1):
        for day in sorted(found.errors):
            after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
            again = _ask_once(question, script, (shape, box), (day, after), units / DAYS_SEEN, calculations)
            errors = {one: told for one, told in found.errors.items() if one != day}
            found = ZoneDays({**found.days, **again.days}, {**errors, **again.errors})
    return found


def _ask_once(
    question: _Question,
    script: str,
    place: tuple[Any, Any],
    period: tuple[str, str],
    units: float,
    calculations: dict[str, Any],
) -> ZoneDays:
    hub = question.hub
    asked = SentinelHubStatistical(
        aggregation=SentinelHubStatistical.aggregation(
            evalscript=script,
            time_interval=(f"{period[0]}T00:00:00Z", f"{period[1]}T00:00:00Z"),
            aggregation_interval="P1D",
            resolution=(question.resolution_m, question.resolution_m),
        ),
        input_data=[
            SentinelHubRequest.input_data(hub.data_collection, other_args={"processing": {"harmonizeValues": True}})
        ],
        calculations=calculations,
        geometry=place[0],
        bbox=place[1],
        config=hub.config,
    )
    with hub.ledger.spending(question.zones.name, question.zone_id, units) as spending:
        counted = hub.client.counting(spending, units)
        with asking(hub.url, "a Statistical API"), hub.ledger.turn(), counted:
            [answer] = hub.client.download(asked.download_list, max_threads=1)
    return read_days(f"{hub.url}: {question.zone_id}", answer)


def _bands(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(band for name in names for band in bands_of(name)))


def clear_script(names: Sequence[str]) -> str:
    """Return the evalscript of bands and indices, an output each, of the cells that are clear.

    >>> "ndvi: [(s.B08 - s.B04) / (s.B08 + s.B04 + 1e-10)]" in clear_script(["ndvi"])
    True
    """
    c, bands = index_constants(), _bands(names)
    values = []
    for name in names:
        of_index = [f"s.{band}" for band in bands_of(name)]
        if name == "evi":
            nir, red, blue = of_index
            k = c.evi
            below = f"{nir} + {k.C1:g} * {red} - {k.C2:g} * {blue} + {k.L:g} + {c.all.eps:g}"
            values.append(f"{name}: [{k.G:g} * ({nir} - {red}) / ({below})]")
        elif name in INDEX_BANDS:
            one, other = of_index
            values.append(f"{name}: [({one} - {other}) / ({one} + {other} + {c.all.eps:g})]")
        else:
            values.append(f"{name}: [{of_index[0]}]")
    inputs = ", ".join(f'"{band}"' for band in (*bands, SCENE_CLASSIFICATION, DATA_MASK))
    units = ", ".join(f'"{unit}"' for unit in (*("REFLECTANCE" for _ in bands), "DN", "DN"))
    outputs = ", ".join(f'{{id: "{name}", bands: 1, sampleType: "{FLOAT32}"}}' for name in names)
    is_clear = f"[{', '.join(map(str, CLEAR_CLASSES))}].includes(s.{SCENE_CLASSIFICATION})"
    return f"""{FIRST_LINE}
function setup() {{
  return {{input: [{{bands: [{inputs}], units: [{units}]}}], output: [{outputs}, {{id: "{DATA_MASK}", bands: 1}}]}};
}}
function evaluatePixel(s) {{
  return {{{", ".join(values)}, {DATA_MASK}: [s.{DATA_MASK} && {is_clear} ? 1 : 0]}};
}}
"""


def seen_script() -> str:
    """Return the evalscript of the cells that were seen at all."""
    output = f'{{id: "{SEEN}", bands: 1, sampleType: "UINT8"}}, {{id: "{DATA_MASK}", bands: 1}}'
    return f"""{FIRST_LINE}
function setup() {{
  return {{input: ["{SCENE_CLASSIFICATION}", "{DATA_MASK}"], output: [{output}]}};
}}
function evaluatePixel(s) {{
  return {{{SEEN}: [1], {DATA_MASK}: [s.{DATA_MASK}]}};
}}
"""


def _calculations(names: Sequence[str], percents: Sequence[float]) -> dict[str, Any]:
    """What is computed of each output: statistics, percentiles, and the histogram that a month's are had from."""
    found: dict[str, Any] = {}
    for name in names:
        low, high = EVI_RANGE if name == "evi" else INDEX_RANGE if name in INDEX_BANDS else REFLECTANCE_RANGE
        n_bins = 3 * BINS if name == "evi" else BINS
        statistics = {"default": {"percentiles": {"k": list(percents), "interpolation": "linear"}}} if percents else {}
        histogram = {"default": {"nBins": n_bins, "lowEdge": low, "highEdge": high}}
        found[name] = {"statistics": statistics or {"default": {}}, "histograms": histogram}
    return found
