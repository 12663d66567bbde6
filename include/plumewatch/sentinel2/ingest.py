"""The steps of the daily ingest after its search: each scene fetched, the wind, what is missing of the day."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, cast

from plumewatch import storage
from plumewatch.areas import log_unreadable, read_areas
from plumewatch.catalogues.catalogue import Catalogue
from plumewatch.catalogues.services import SENTINEL_HUB, catalogue_of
from plumewatch.errors import ConfigurationError, PlumewatchError, QuotaUsedUp, redact
from plumewatch.gases import CH4
from plumewatch.models import Area, FailedScene
from plumewatch.observations import waiting_scenes, write_observations
from plumewatch.rasters.scene_store import ScenePaths, scene_paths
from plumewatch.sentinel2 import replaced
from plumewatch.sentinel2.day_search import named_areas, observation_of
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.settings import Settings
from plumewatch.statuses import FAILED, FETCH_STAGE, SKIPPED_DUPLICATE, WAITING_FOR_QUOTA
from plumewatch.tables import PIXELS
from plumewatch.wind.product import requests_of_day
from plumewatch.wind.providers import fetch_wind

SCENES = "scenes"
"""Folder of the stacked scenes below the storage root."""
log = logging.getLogger(__name__)


def fetch_area_scene(settings: Settings, area_name: str, item_href: str, older: Sequence[str] = ()) -> str:
    """Stack one scene onto the area's grid and return the path of the STAC item written.

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
        written = _fetch(catalogue, item_href, areas[0], root)
    except PlumewatchError as error:
        if not error.is_retryable and not isinstance(error, QuotaUsedUp):
            _fetch_older(catalogue, item_href, older, areas[0], root)
        raise
    replaced.withdraw_replaced(root, storage.parent(written), older)
    return written


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
        for key, boxes in bounds.items()
        for p in fetch_wind(settings, requests_of_day(date.fromisoformat(key), boxes))
    ]


def withdraw_over_midnight(settings: Settings, scenes: Sequence[Mapping[str, Any]]) -> list[ScenePaths]:
    """Withdraw what newer products of the same acquisitions replace where midnight UTC lies between the two.

    `scenes` are those that were to be fetched. The pixels of the days of those returned are to be made again.
    """
    roots = settings.table_root(SCENES), settings.table_root(PIXELS.name)
    days = sorted({(scene["area"], scene["key"]) for scene in scenes})
    return [scene for area, day in days for scene in replaced.withdraw_over_midnight(*roots, area, day)]


def record_missing_scenes(
    settings: Settings,
    key: str,
    scenes: Sequence[Mapping[str, Any]],
    failed: Collection[tuple[str, str]] = (),
    withdrawn: Collection[ScenePaths] = (),
) -> int:
    """Write an observation `failed` for each scene of the day that isn't stored, or that is in `failed` (area, id).

    Return their number. One that was `withdrawn` is a duplicate and no failure, and one that waits for its service's
    quota goes on to wait.
    """
    root = settings.table_root(SCENES)
    missing = [
        s
        for s in scenes
        if (s["area"], s["scene_id"]) in failed
        or not storage.exists(scene_paths(root, s["area"], key, s["scene_id"]).item)
    ]
    waiting = waiting_scenes(settings.storage_root, CH4.name, key)
    duplicates = {(scene.area, scene.scene_id) for scene in withdrawn if scene.date == key}

    def outcome(scene: tuple[str, str]) -> str:
        return SKIPPED_DUPLICATE if scene in duplicates else WAITING_FOR_QUOTA if scene in waiting else FAILED

    rows = [
        {**observation_of(s["area"], outcome((s["area"], s["scene_id"]))), "scene_id": s["scene_id"]} for s in missing
    ]
    areas = {s["area"] for s in scenes}
    write_observations(settings.storage_root, CH4.name, key, FETCH_STAGE, rows, areas=areas)
    return sum(row["outcome"] == FAILED for row in rows)
