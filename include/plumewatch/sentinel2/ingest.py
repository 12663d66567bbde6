"""The steps of the daily ingest after its search: each scene fetched, the wind, what is missing of the day."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, cast

from plumewatch import storage
from plumewatch.areas import log_unreadable, read_areas
from plumewatch.catalogues.catalogue import Catalogue
from plumewatch.catalogues.services import catalogue_of
from plumewatch.errors import ConfigurationError, PlumewatchError, QuotaUsedUp, redact
from plumewatch.failures import FailureBook, went_through
from plumewatch.gases import CH4
from plumewatch.models import SENTINEL_HUB, Area, FailedScene
from plumewatch.observations import read_observations, waiting_scenes, write_observations
from plumewatch.progress import followed
from plumewatch.rasters.scene_store import SKIP_NOTE, ScenePaths, read_skip_note, scene_paths
from plumewatch.sentinel2 import replaced
from plumewatch.sentinel2.day_search import named_areas, observation_of
from plumewatch.sentinel2.scene_index import INDEX, write_scene_index
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.settings import Settings
from plumewatch.statuses import FAILED, FETCH_STAGE, INDEX_STAGE, SKIPPED_CLOUD, SKIPPED_DUPLICATE, WAITING_FOR_QUOTA
from plumewatch.tables import PIXELS
from plumewatch.wind.product import requests_of_day
from plumewatch.wind.providers import fetch_wind


class FetchedScene(NamedTuple):
    """What became of a scene."""

    path: str
    """Of the STAC item, or of the note that says why it was left."""
    written: int
    """1 where it is stacked."""
    skipped: int
    """1 where it was left, as it is too cloudy over the area."""


SCENES = "scenes"
"""Folder of the stacked scenes below the storage root."""
log = logging.getLogger(__name__)


def fetch_area_scene(
    settings: Settings, area_name: str, item_href: str, older: Sequence[str] = (), stored: str | None = None
) -> FetchedScene:
    """Stack one scene onto the area's grid, and return what was written: a scene, or the note that it is too cloudy.

    One whose item is `stored`, and that is known to be whole, is left as it is, without a look into the catalogue.
    Then older products that it replaces are withdrawn: they came in before it. Where it can't be used for good, the
    first of the `older` products that can be is stacked in its place; the error is raised all the same.
    """
    failures: list[FailedScene] = []
    areas = named_areas(settings, [area_name], failures)
    if not areas:
        why = next((f.message for f in failures if f.area == area_name), "no file of it can be used: the log says why")
        raise ConfigurationError(f"area {area_name}: {why}")
    root, catalogue = settings.table_root(SCENES), catalogue_of(areas[0], settings)
    try:
        written = stored or _fetch(catalogue, item_href, areas[0], root)
    except PlumewatchError as error:
        if not error.is_retryable and not isinstance(error, QuotaUsedUp):
            _fetch_older(catalogue, item_href, older, areas[0], root)
        raise
    if written.endswith(SKIP_NOTE):
        replaced.withdraw_products(root, storage.parent(written), older)
        replaced.empty_if_bare(settings.table_root(PIXELS.name), storage.parent(written))
        return FetchedScene(written, 0, 1)
    replaced.withdraw_replaced(root, storage.parent(written), older)
    return FetchedScene(written, 1, 0)


def _fetch(catalogue: Catalogue, href: str, area: Area, root: str) -> str:
    reader = None
    if area.catalogue == SENTINEL_HUB:
        from plumewatch.sentinel2.process_api import ProcessApi  # its client takes a second to import

        reader = ProcessApi(cast(Any, catalogue), area)
    return fetch_scene(catalogue.read_item(href), area, root, catalogue.access, reader)


def _fetch_older(catalogue: Catalogue, item_href: str, older: Sequence[str], area: Area, root: str) -> None:
    """Stack the first usable one of the older products of a scene; where there is none, or none to be had, say so."""
    for href in older:
        try:
            written = _fetch(catalogue, href, area, root)
        except PlumewatchError as error:
            log.warning("%s", error)
            continue
        if written.endswith(SKIP_NOTE):
            log.warning("%s: %s is too cloudy to serve in place of %s", area.name, redact(href), redact(item_href))
            return
        log.warning("%s: %s serves in place of %s", area.name, written, redact(item_href))
        return
    log.warning("%s: no older product serves in place of %s", area.name, redact(item_href))


def fetch_area_wind(settings: Settings, days: Iterable[tuple[str, str]]) -> list[str]:
    """Bring the wind of (date, area) pairs into the storage and return the partitions written."""
    bounds: dict[str, list[Any]] = {}
    by_name = {area.name: area for area in read_areas(*settings.area_folders, on_failure=log_unreadable)}
    for key, name in sorted(days):
        if name not in by_name:
            raise ConfigurationError(f"area {name} has scenes, but no file of it can be used: the log says why")
        bounds.setdefault(key, []).append(by_name[name].geometry.bounds)
    return [
        p
        for key, boxes in followed(bounds.items(), "wind", "days")
        for p in fetch_wind(settings, requests_of_day(date.fromisoformat(key), boxes))
    ]


def settle_scenes(settings: Settings, scenes: Sequence[Mapping[str, Any]]) -> list[ScenePaths]:
    """Withdraw what newer products of the same acquisitions replace where midnight UTC lies between the two.

    `scenes` are those that were to be fetched. The pixels of the days of those returned are to be made again.
    """
    roots = settings.table_root(SCENES), settings.table_root(PIXELS.name)
    days = followed(sorted({(s["area"], s["key"]) for s in scenes}), "older products withdrawn", "days of areas")
    return [scene for area, day in days for scene in replaced.withdraw_over_midnight(*roots, area, day)]


def index_scenes(settings: Settings, book: FailureBook, key: str, areas: Iterable[str]) -> None:
    """Write the index of each area's scenes anew; one that can't be written is a failure under `key`, by name."""
    failures, written = [], []
    for area in followed(sorted(set(areas)), "indices of scenes written", "areas"):
        try:
            write_scene_index(settings.table_root(SCENES), area)
            written.append((area, INDEX))
        except Exception as error:  # noqa: BLE001 - the others have theirs, and nothing else is read from it
            failures.append(FailedScene.from_exception(error, scene_id=INDEX, stage=INDEX_STAGE, area=area))
    book.settle(key, failures, went_through(INDEX_STAGE, written))


def record_missing_scenes(
    settings: Settings,
    key: str,
    scenes: Sequence[Mapping[str, Any]],
    failed: Collection[tuple[str, str]] = (),
    withdrawn: Collection[ScenePaths] = (),
    are_all_of_day: bool = True,
) -> int:
    """Write an observation `failed` for each scene of the day that isn't stored, or that is in `failed` (area, id).

    Return their number. One that was `withdrawn` is a duplicate, one left for its cloud `skipped_cloud`, one that
    waits for its service's quota goes on to wait: no failures.
    Unless the `scenes` are all that their areas have of the day, what was written of others stays.
    """
    root = settings.table_root(SCENES)
    waiting = waiting_scenes(settings.storage_root, CH4.name, key)
    duplicates = {(scene.area, scene.scene_id) for scene in withdrawn if scene.date == key}
    rows = []
    for scene in scenes:
        area, scene_id = scene["area"], scene["scene_id"]
        paths = scene_paths(root, area, key, scene_id)
        is_failed = (area, scene_id) in failed
        if not is_failed and (note := read_skip_note(paths)):
            at = datetime.fromisoformat(note["observed_at_utc"])
            seen = {name: note[name] for name in ("outcome", "clear_fraction", "covered_fraction")}
            rows.append({**observation_of(area, SKIPPED_CLOUD), **seen, "scene_id": scene_id, "observed_at_utc": at})
        elif is_failed or not storage.exists(paths.item):
            outcome = WAITING_FOR_QUOTA if (area, scene_id) in waiting else FAILED
            outcome = SKIPPED_DUPLICATE if (area, scene_id) in duplicates else outcome
            rows.append({**observation_of(area, outcome), "scene_id": scene_id})
    areas = {s["area"] for s in scenes}
    kept = [] if are_all_of_day else _observed_of_others(settings, key, scenes)
    write_observations(settings.storage_root, CH4.name, key, FETCH_STAGE, [*kept, *rows], areas=areas)
    return sum(row["outcome"] == FAILED for row in rows)


def _observed_of_others(settings: Settings, key: str, scenes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what was written at fetch of other scenes of the areas on this day."""
    looked_at = {(s["area"], s["scene_id"]) for s in scenes}
    areas = {area for area, _ in looked_at}
    return [
        row
        for row in read_observations(settings.storage_root, CH4.name, [key])[key]
        if row["stage"] == FETCH_STAGE and row["area"] in areas and (row["area"], row["scene_id"]) not in looked_at
    ]
