"""Scenes of published cases: an area around each site, its scenes and reference scenes, and the wind of the pass.

They go through the same steps and into the same tables as those of the daily ingest, under areas of their own names
(`case_...`). These areas are kept apart from the areas of interest, so that the daily ingest leaves them alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import shapely
from pyproj import Transformer
from shapely.geometry import mapping

from plumewatch import storage
from plumewatch.catalogues.catalogue import Catalogue
from plumewatch.catalogues.services import catalogue_of
from plumewatch.catalogues.stac import StacApi
from plumewatch.errors import PlumewatchError, ServiceError, redact
from plumewatch.failures import FailureBook, went_through
from plumewatch.geodesy import utm_epsg
from plumewatch.http import one_patience_per_host
from plumewatch.methane.cases.published import FILE, PublishedCase, read_cases, select_cases
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.models import STAC, Area, FailedScene
from plumewatch.progress import followed
from plumewatch.sensors.known import sensor_of_collection
from plumewatch.sensors.landsat import LANDSAT
from plumewatch.sensors.sensor import METHANE_BANDS
from plumewatch.sensors.sentinel2 import SENTINEL2
from plumewatch.sentinel2.ingest import SCENES
from plumewatch.sentinel2.scene import SceneRef
from plumewatch.sentinel2.search import FoundScenes, search_scenes
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.settings import Settings
from plumewatch.statuses import SEARCH_STAGE
from plumewatch.wind.product import WindRequest
from plumewatch.wind.providers import fetch_wind

CASE_AREAS = "case_areas"
"""Folder of the areas around the sites below the storage root."""
SIDE_M = 10_000.0  # what the published false alarm rates are given for
LANDSAT_COLLECTION = "landsat-c2-l2"  # the name that all catalogues have for it
LANDSAT_API = "https://planetarycomputer.microsoft.com/api/stac/v1"
"""Asked for Landsat where no other catalogue is set: what Earth Search has lies in a bucket whose readers pay."""
UNTOUCHED_BANDS = {SENTINEL2.name: ("B02", "B04", "B8A"), LANDSAT.name: ("B02", "B04", "B08")}
"""Haze, plants and brightness: what changes in them too is no plume."""
MAX_SCENES = 1000  # of a run: Airflow maps a task over at most 1,024 (core.max_map_length)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseScene:
    """A scene to fetch for an area around a site."""

    area: str
    """Name of the area."""
    scene_id: str
    """The item's id."""
    item_href: str
    """Where its STAC item is."""
    wind_at_utc: str | None = None
    """Time (ISO 8601) at which its wind is wanted; None for reference scenes."""


@dataclass(frozen=True)
class CaseNote:
    """What came of the search of one case."""

    scene_ids: tuple[str, ...] = ()
    """Scenes that show it."""
    missing: str | None = None
    """Why nothing is fetched, None where something is."""


@dataclass
class CaseSearch:
    """What the catalogue has for some cases."""

    scenes: dict[tuple[str, str], CaseScene] = field(default_factory=dict)
    """To be fetched, by area and scene id."""
    notes: dict[str, CaseNote] = field(default_factory=dict)
    """By case."""
    failed: list[FailedScene] = field(default_factory=list)
    """Searches that failed, and items that cannot be used."""

    def record(self, book: FailureBook, key: str) -> None:
        """Write the rows of failed_scenes, and heal those of cases whose search has gone through now."""
        found = {case_id for case_id, note in self.notes.items() if note.scene_ids}
        healed = [(case.area, case.case_id) for case in read_cases() if case.case_id in found]
        book.settle(key, self.failed, went_through(SEARCH_STAGE, healed))


def case_area(name: str) -> Area:
    """Return the area of that name: SIDE_M a side around its first case, in the zone of its tile, of its sensor.

    It depends on the name alone, so that all dates share a grid whichever cases a run is for.
    """
    cases = [case for case in read_cases() if case.area == name]
    first = cases[0]
    zones = [int(case.tile[:2]) for case in cases if case.is_sentinel2 and case.tile]
    epsg = utm_epsg(first.longitude, first.latitude, zones[0] if zones else None)
    to_utm = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)
    collection = None if first.is_sentinel2 else LANDSAT_COLLECTION
    sensor = sensor_of_collection(collection)
    size, edge = sensor.pixel_m, sensor.edge_m
    half = round(SIDE_M / 2 / size) * size
    place = to_utm.transform(first.longitude, first.latitude)
    x, y = (round((metres - edge) / size) * size + edge for metres in place)
    square = shapely.box(x - half, y - half, x + half, y + half)
    outline = shapely.transform(square, lambda e, n: to_utm.transform(e, n, direction="INVERSE"), interleaved=False)
    return Area(name, outline, collection=collection, crs=f"EPSG:{epsg}", resolution_m=size, file=FILE)


def write_case_areas(settings: Settings, names: Sequence[str]) -> str:
    """Write the areas as one GeoJSON file that jobs read, and return its path."""
    features = [
        {
            "type": "Feature",
            "properties": {
                "name": area.name,
                "catalogue": STAC,
                "crs": area.crs,
                "resolution_m": area.resolution_m,
                **({"collection": area.collection} if area.collection else {}),
            },
            "geometry": mapping(area.geometry),
        }
        for area in map(case_area, sorted(set(names)))
    ]
    path = storage.join(settings.storage_root, CASE_AREAS, "cases.geojson")
    storage.write_json(path, {"type": "FeatureCollection", "features": features})
    return path


@one_patience_per_host()
def search_cases(
    settings: Settings, sets: Sequence[str] | None, cases: Sequence[str] | None, max_cases: int | None, fetch: bool
) -> CaseSearch:
    """Choose cases (select_cases), and search the scenes of each and of the days before for references.

    Published products are level 1C; the catalogue is asked for level 2A by place, date and satellite. A catalogue that
    doesn't answer at all is asked once: then, as without `fetch`, the cases are run on what is stored. Other errors are
    in `failed`.
    """
    found, apis = CaseSearch(), dict[str, StacApi]()
    silent = "" if fetch else "nothing is fetched, as asked"
    for case in followed(select_cases(sets or (), cases or (), max_cases), "search", "cases"):
        if silent:
            found.notes[case.case_id] = CaseNote(missing=silent)
            continue
        try:
            found.notes[case.case_id] = _search_case(settings, case, found, apis)
        except PlumewatchError as error:
            if isinstance(error, ServiceError) and error.http_status is None:
                silent = redact(f"the catalogue doesn't answer ({error})")
                log.warning("nothing is fetched: %s", silent)
            else:
                found.failed.append(
                    FailedScene.from_exception(error, scene_id=case.case_id, stage=SEARCH_STAGE, area=case.area)
                )
            found.notes[case.case_id] = CaseNote(missing=silent or redact(str(error)))
    return found


def _catalogue(area: Area, settings: Settings, apis: dict[str, StacApi] | None = None) -> Catalogue:
    """Return where a site's scenes are: the settings' catalogue; of Landsat another one where that is the default."""
    if area.collection == LANDSAT_COLLECTION and settings.stac_api == Settings.stac_api:
        area = replace(area, stac_api=LANDSAT_API)
    return catalogue_of(area, settings, apis)


def _search_case(settings: Settings, case: PublishedCase, found: CaseSearch, apis: dict[str, StacApi]) -> CaseNote:
    """Add the scenes of a case to those `found`."""
    area, day = case_area(case.area), date.fromisoformat(case.observed_on)
    first = day - timedelta(days=plume_thresholds().references.max_days_back)
    result = search_scenes(area, first, day, _catalogue(area, settings, apis))
    found.failed += [failure for failure in result.failed if failure not in found.failed]
    shown = [ref for ref in result.scenes if ref.observed_at_utc.date() == day and _is_pass(case, ref)]
    if not shown:
        return CaseNote(missing=_what_there_is(case, result, day))
    new = {(case.area, ref.scene_id): _case_scene(case, ref, ref in shown) for ref in result.scenes}
    if len(found.scenes | new) > MAX_SCENES:
        return CaseNote(missing=f"a run fetches at most {MAX_SCENES} scenes; run it again for this case")
    for key, scene in new.items():
        if scene.wind_at_utc or key not in found.scenes:  # one case's reference may be the scene of another
            found.scenes[key] = scene
    return CaseNote(tuple(ref.scene_id for ref in shown))


def _is_pass(case: PublishedCase, ref: SceneRef) -> bool:
    is_orbit = None in (case.relative_orbit, ref.relative_orbit) or case.relative_orbit == ref.relative_orbit
    return case.platform in (None, ref.platform) and is_orbit


def _case_scene(case: PublishedCase, ref: SceneRef, is_shown: bool) -> CaseScene:
    wind_at = ref.observed_at_utc.isoformat() if is_shown else None
    return CaseScene(case.area, ref.scene_id, ref.item_href, wind_at)


def _what_there_is(case: PublishedCase, result: FoundScenes, day: date) -> str:
    of_day = sorted(ref.scene_id for ref in result.scenes if ref.observed_at_utc.date() == day)
    there = ", ".join(of_day) if of_day else "none of that day"
    return f"the catalogue has no scene of {case.platform or case.sensor} on {day} (it has {there})"


def fetch_case_scene(settings: Settings, area_name: str, item_href: str) -> str:
    """Stack one scene onto the grid of an area around a site, and return the path of the STAC item written.

    Of the bands that methane leaves as they are those are taken that the item has.
    """
    area = case_area(area_name)
    catalogue = _catalogue(area, settings)
    item = catalogue.read_item(item_href)
    sensor = sensor_of_collection(area.collection)
    untouched = (band for band in UNTOUCHED_BANDS[sensor.name] if sensor.find_asset(item.assets, band))
    bands = (*untouched, *METHANE_BANDS)
    return fetch_scene(item, replace(area, bands=bands), settings.table_root(SCENES), catalogue.access)


def fetch_case_wind(settings: Settings, scenes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Bring the wind of the passes among `scenes` (area, wind_at_utc) into the storage; return the partitions."""
    passes = {(scene["area"], scene["wind_at_utc"]) for scene in scenes if scene["wind_at_utc"]}
    times = {(area, datetime.fromisoformat(at)) for area, at in passes}
    return fetch_wind(settings, [WindRequest(case_area(a).geometry.bounds, at, at) for a, at in sorted(times)])
