"""The steps of the daily ingest: what a run of a day does in each of its tasks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from plumewatch import storage
from plumewatch.areas import WHOLE_SEARCH, log_unreadable, read_areas, select_areas
from plumewatch.catalogues.stac import read_item
from plumewatch.errors import ConfigurationError, PlumewatchError, redact, some_of
from plumewatch.failures import FailureBook, NothingDone, went_through
from plumewatch.gases import CH4
from plumewatch.http import one_patience_per_host
from plumewatch.models import Area, FailedScene
from plumewatch.observations import areas_observed, write_observations
from plumewatch.rasters.scene_store import ScenePaths, scene_paths
from plumewatch.sentinel2 import replaced
from plumewatch.sentinel2.scene import SceneRef
from plumewatch.sentinel2.search import FoundScenes, SkippedScene, search_scenes
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.settings import Settings
from plumewatch.statuses import FAILED, FETCH_STAGE, NO_INPUT, SEARCH_STAGE, SKIPPED_DUPLICATE
from plumewatch.tables import PIXELS
from plumewatch.wind.product import requests_of_day
from plumewatch.wind.providers import fetch_wind

SCENES = "scenes"
"""Folder of the stacked scenes below the storage root."""
NAMES_SHOWN = 20

PAUSES_S = (30.0, 60.0)
"""What goes by before areas without an answer are asked again: what goes by before a task is tried again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundScene:
    """A scene to fetch for an area."""

    key: str
    """Its date (UTC), the partition that it lands in."""
    area: str
    """Name of the area."""
    scene_id: str
    """The item's id."""
    item_href: str
    """Where its STAC item is."""
    older: tuple[str, ...] = ()
    """Where the items of older products of its acquisition are, the newest first."""


@dataclass
class DaySearch:
    """What the catalogues have for one run."""

    scenes: list[FoundScene] = field(default_factory=list)
    """To be fetched, sorted by area, time and id."""
    skipped: list[tuple[str, str, SkippedScene]] = field(default_factory=list)
    """Key, area and scene that isn't fetched, with its reason."""
    failed: list[tuple[str, FailedScene]] = field(default_factory=list)
    """Key and what failed: a search, or an item that cannot be used."""
    searched: set[tuple[str, str]] = field(default_factory=set)
    """Keys and areas whose search was answered for that whole day."""
    no_areas: str | None = None
    """Where no area is given: that, and what to do."""

    @property
    def n_items(self) -> int:
        """Items that the catalogues returned."""
        items = [f for _, f in self.failed if f.area is not None and f.scene_id != WHOLE_SEARCH]
        return len(self.scenes) + len(self.skipped) + len(items)

    @property
    def n_skipped(self) -> int:
        """Scenes that are left on purpose."""
        return len(self.skipped)

    @property
    def unanswered(self) -> list[str]:
        """Areas whose search failed and may go well when it is tried again."""
        return sorted({str(failure.area) for _, failure in self.failed if _may_be_answered(vars(failure))})

    def add(self, later: DaySearch) -> None:
        """Add what a later search found of the areas that had no answer."""
        self.scenes += later.scenes
        self.skipped += later.skipped
        self.failed = [f for f in self.failed if not _may_be_answered(vars(f[1]))] + later.failed
        self.searched |= later.searched

    def raise_if_all_failed(self) -> None:
        """Raise where there is nothing to fetch and something failed: an empty day must not look like a good one."""
        if self.failed and not self.scenes:
            raise NothingDone([failure for _, failure in self.failed])

    def record(self, book: FailureBook) -> None:
        """Write the observations (nothing there, too cloudy, duplicate, failed) and the failed scenes of the search.

        An area whose search failed keeps what is known of its day from an earlier one.
        """
        for key in sorted({key for key, _ in self.searched} | {key for key, _ in self.failed}):
            areas = {area for day, area in self.searched if day == key}
            failures = [failure for day, failure in self.failed if day == key]
            unsearched = {f.area for f in failures if f.area and f.scene_id == WHOLE_SEARCH} - areas
            unsearched -= areas_observed(book.storage_root, CH4.name, key)
            rows = self._observations(key, areas) + [_observation(area, FAILED) for area in sorted(unsearched)]
            write_observations(book.storage_root, CH4.name, key, SEARCH_STAGE, rows, areas=areas | unsearched)
            over = went_through(SEARCH_STAGE, [(area, WHOLE_SEARCH) for area in areas])
            book.settle(key, failures, over)

    def _observations(self, key: str, areas: set[str]) -> list[dict[str, Any]]:
        rows = [_observation(area, skipped.outcome, skipped.scene) for day, area, skipped in self.skipped if day == key]
        items = [f for day, f in self.failed if day == key and f.area in areas and f.scene_id != WHOLE_SEARCH]
        rows += [{**_observation(str(f.area), FAILED), "scene_id": f.scene_id} for f in items]
        seen = {s.area for s in self.scenes if s.key == key} | {row["area"] for row in rows}
        return rows + [_observation(area, NO_INPUT) for area in sorted(areas - seen)]


def search_as_asked(settings: Settings, key: str, params: Mapping[str, Any], names: Sequence[str]) -> DaySearch:
    """Search the day `key` in the areas called `names`, or their newest scenes, as the params of a run ask."""
    search = search_newest if params["newest"] else search_day
    return search(settings, key, names, look_back_days=params["look_back_days"])


def search_day(settings: Settings, key: str, names: Sequence[str], **_: Any) -> DaySearch:
    """Search the day `key` (YYYY-MM-DD) in the catalogues of the areas called `names`, of all where empty.

    An area whose search fails is among `failed` and doesn't stop the others; a host that doesn't answer is waited for
    once, and the areas that it was to be asked for then fail at once, for the same reason.
    """
    day, found = date.fromisoformat(key), DaySearch()
    for area, result in _search_areas(settings, names, day, day, key, found):
        found.searched.add((key, area.name))
        found.scenes += [_found(area, ref, result) for ref in result.scenes]
        found.skipped += [(key, area.name, skipped) for skipped in result.skipped]
        found.failed += [(key, failure) for failure in result.failed]
    return found


def search_newest(settings: Settings, key: str, names: Sequence[str], *, look_back_days: int) -> DaySearch:
    """Find the newest day with a usable scene of each area, at most `look_back_days` before the day `key`.

    All usable scenes of that day are taken: an area may lie across tiles. They land under their own day.
    """
    last, found = date.fromisoformat(key), DaySearch()
    first = last - timedelta(days=look_back_days)
    for area, result in _search_areas(settings, names, first, last, key, found):
        found.failed += [(key, failure) for failure in result.failed]
        if not result.scenes:
            log.info("%s: no usable scene from %s to %s", area.name, first, last)
            found.searched.add((key, area.name))
            continue
        newest = str(result.scenes[-1].observed_at_utc.date())
        found.searched.add((newest, area.name))
        found.scenes += [s for s in (_found(area, ref, result) for ref in result.scenes) if s.key == newest]
        found.skipped += [
            (newest, area.name, s) for s in result.skipped if str(s.scene.observed_at_utc.date()) == newest
        ]
    return found


def search_until_answered(search: Callable[[Sequence[str]], DaySearch], names: Sequence[str]) -> DaySearch:
    """Search the areas called `names`, which had no answer, after a pause, and once more those that still have none.

    What is found is recorded by the caller when all is done: if the process dies meanwhile, nothing counts as searched.
    """
    found = DaySearch()
    for pause_s in PAUSES_S:
        if names:
            log.warning("no answer yet of %s; searched again in %.0f s", some_of(names, NAMES_SHOWN), pause_s)
            time.sleep(pause_s)
            found.add(search(names))
            names = found.unanswered
    return found


def unanswered_areas(book: FailureBook, key: str) -> list[str]:
    """Return the areas whose search failed in this run and may go well when it is tried again."""
    return sorted(row["area"] for row in book.open_rows_of_run(key) if _may_be_answered(row))


def areas_to_search(book: FailureBook, key: str, names: Sequence[str]) -> Sequence[str]:
    """Return which areas to search: those called `names` (all where empty), but what had an answer isn't asked again.

    That is so where an earlier try of the run found nothing at all, so that nothing of it is wanted any more.
    """
    stopped = any(row["error_class"] == NothingDone.__name__ for row in book.open_rows_of_run(key))
    return (stopped and unanswered_areas(book, key)) or names


def fetch_area_scene(settings: Settings, area_name: str, item_href: str, older: Sequence[str] = ()) -> str:
    """Stack one scene onto the area's grid and return the path of the STAC item written.

    Then older products that it replaces are withdrawn: they came in before it. Where it can't be used for good, the
    first of the `older` products that can be is stacked in its place; the error is raised all the same.
    """
    failures: list[FailedScene] = []
    areas = _areas(settings, [area_name], failures)
    if not areas:
        why = next((f.message for f in failures if f.area == area_name), "no file of it can be used: the log says why")
        raise ConfigurationError(f"area {area_name}: {why}")
    root = settings.table_root(SCENES)
    try:
        written = fetch_scene(read_item(item_href), areas[0], root)
    except PlumewatchError as error:
        if not error.is_retryable:
            _fetch_older(settings, areas[0], item_href, older)
        raise
    replaced.withdraw_replaced(root, storage.parent(written), older)
    return written


def _fetch_older(settings: Settings, area: Area, item_href: str, older: Sequence[str]) -> None:
    """Stack the first usable one of the older products of a scene; where there is none, or none to be had, say so."""
    for href in older:
        try:
            written = fetch_scene(read_item(href), area, settings.table_root(SCENES))
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

    Return their number. One that was `withdrawn` is a duplicate and no failure.
    """
    root = settings.table_root(SCENES)
    missing = [
        s
        for s in scenes
        if (s["area"], s["scene_id"]) in failed
        or not storage.exists(scene_paths(root, s["area"], key, s["scene_id"]).item)
    ]
    duplicates = {(scene.area, scene.scene_id) for scene in withdrawn if scene.date == key}
    rows = [
        {
            **_observation(s["area"], SKIPPED_DUPLICATE if (s["area"], s["scene_id"]) in duplicates else FAILED),
            "scene_id": s["scene_id"],
        }
        for s in missing
    ]
    areas = {s["area"] for s in scenes}
    write_observations(settings.storage_root, CH4.name, key, FETCH_STAGE, rows, areas=areas)
    return sum(row["outcome"] == FAILED for row in rows)


def _areas(settings: Settings, names: Sequence[str], failures: list[FailedScene] | None = None) -> list[Area]:
    """The areas called `names`, all where empty, that can be used; `failures` takes what of their files can't be.

    Raises ConfigurationError where there is no area of a name, nor one that failed.
    """
    failed: list[FailedScene] = []
    areas = read_areas(*settings.area_folders, on_failure=failed.append)
    named = {failure.area for failure in failed if failure.area}
    try:
        chosen = select_areas(areas, [name for name in names if name not in named])
    except ConfigurationError as error:
        files = "; ".join(failure.message for failure in failed if failure.area is None)
        raise ConfigurationError(f"{error}; not read: {files}" if files else str(error)) from error
    if failures is not None:
        failures += [f for f in failed if not names or f.area is None or f.area in names]
    return chosen if not names or set(names) - named else []


@one_patience_per_host()
def _search_areas(
    settings: Settings, names: Sequence[str], first: date, last: date, key: str, found: DaySearch
) -> Iterable[tuple[Area, FoundScenes]]:
    failures: list[FailedScene] = []
    areas = _areas(settings, list(names), failures)
    found.failed += [(key, failure) for failure in failures]
    if not areas and not failures:
        folders = " or ".join(settings.area_folders)
        found.no_areas = f"there is no area of interest, so nothing is searched: put one into {folders}"
    answered = []
    for area in areas:
        try:
            if area.catalogue != "stac":
                raise ConfigurationError(
                    f"area {area.name}: catalogue {area.catalogue!r} is not served yet; allowed: stac"
                )
            answered.append((area, search_scenes(area, first, last, settings.stac_api)))
        except PlumewatchError as error:
            failure = FailedScene.from_exception(error, scene_id=WHOLE_SEARCH, stage=SEARCH_STAGE, area=area.name)
            found.failed.append((key, failure))
    return answered


def _may_be_answered(failure: Mapping[str, Any]) -> bool:
    is_search = failure["stage"] == SEARCH_STAGE and failure["scene_id"] == WHOLE_SEARCH
    return bool(is_search and failure["area"] and failure["is_retryable"])


def _found(area: Area, ref: SceneRef, result: FoundScenes) -> FoundScene:
    duplicates = [s.scene for s in result.skipped if s.outcome == SKIPPED_DUPLICATE]
    older = sorted((d for d in duplicates if d.acquisition == ref.acquisition), key=lambda d: d.newness, reverse=True)
    day = str(ref.observed_at_utc.date())
    return FoundScene(day, area.name, ref.scene_id, ref.item_href, tuple(d.item_href for d in older))


def _observation(area: str, outcome: str, scene: SceneRef | None = None) -> dict[str, Any]:
    return {
        "area": area,
        "scene_id": scene.scene_id if scene else None,
        "observed_at_utc": scene.observed_at_utc if scene else None,
        "outcome": outcome,
        "clear_fraction": None if scene is None or scene.cloud_cover is None else 1.0 - scene.cloud_cover / 100.0,
        "detected": False,
    }
