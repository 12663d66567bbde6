"""What the catalogues have of a day, or newest, for all areas: searched area by area, recorded, asked again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from plumewatch.areas import WHOLE_SEARCH, read_areas, select_areas
from plumewatch.catalogues.services import catalogue_of
from plumewatch.catalogues.stac import StacApi
from plumewatch.errors import ConfigurationError, PlumewatchError, QuotaUsedUp, some_of
from plumewatch.failures import FailureBook, NothingDone, Row, went_through
from plumewatch.gases import CH4
from plumewatch.http import one_patience_per_host, side_by_side
from plumewatch.keys import days_between
from plumewatch.missing_settings import HUB_ACCOUNT, missing_hub_account
from plumewatch.models import SENTINEL_HUB, Area, FailedScene
from plumewatch.observations import areas_observed, write_observations
from plumewatch.sentinel2.scene import SceneRef
from plumewatch.sentinel2.search import FoundScenes, SkippedScene, search_scenes
from plumewatch.settings import Settings
from plumewatch.statuses import FAILED, NO_INPUT, SEARCH_STAGE, SKIPPED_DUPLICATE, WAITING_FOR_QUOTA

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
    stored: str | None = None
    """Where its item is stored, where it is there whole and just its pixels are wanted."""


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
    unasked: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    """Key and area whose catalogue wasn't asked, or refused for this month, and what its observation says of it."""
    all_areas: set[str] | None = None
    """All areas that there are, where all were to be searched and each is known by its name."""
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
    def without_account(self) -> list[str]:
        """Areas whose catalogue needs an account that isn't there."""
        return [area for _, area, row in self.unasked if row.get("missing_setting")]

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
        self.unasked += later.unasked

    def only(self, is_wanted: Callable[[tuple[str, str]], bool]) -> DaySearch:
        """Return what was found of the keys and areas that are wanted; failures of whole searches and files stay."""
        failed = [
            (day, f)
            for day, f in self.failed
            if f.area is None or f.scene_id == WHOLE_SEARCH or is_wanted((day, f.area))
        ]
        return replace(
            self,
            scenes=[scene for scene in self.scenes if is_wanted((scene.key, scene.area))],
            skipped=[each for each in self.skipped if is_wanted(each[:2])],
            failed=failed,
            searched={each for each in self.searched if is_wanted(each)},
        )

    def raise_if_all_failed(self) -> None:
        """Raise where there is nothing to fetch and something failed: an empty day must not look like a good one."""
        if self.failed and not self.scenes:
            raise NothingDone([failure for _, failure in self.failed])

    def record(self, book: FailureBook) -> None:
        """Write the observations (nothing there, too cloudy, duplicate, failed) and the failed scenes of the search.

        An area whose search failed keeps what is known of its day from an earlier one.
        """
        for key in sorted({str(row[0]) for row in (*self.searched, *self.failed, *self.unasked)}):
            areas = {area for day, area in self.searched if day == key}
            failures = [failure for day, failure in self.failed if day == key]
            unsearched = {f.area for f in failures if f.area and f.scene_id == WHOLE_SEARCH} - areas
            told: dict[str, Mapping[str, Any]] = {area: {"outcome": FAILED} for area in unsearched}
            told |= {area: row for day, area, row in self.unasked if day == key and area not in areas}
            unsearched = told.keys() - areas_observed(book.storage_root, CH4.name, key)
            rows = self.observations(key, areas)
            rows += [{**observation_of(area, FAILED), **told[area]} for area in sorted(unsearched)]
            write_observations(book.storage_root, CH4.name, key, SEARCH_STAGE, rows, areas=areas | unsearched)
            over = went_through(SEARCH_STAGE, [(area, WHOLE_SEARCH) for area in areas])
            book.settle(key, failures, lambda row, over=over: over(row) or self._is_of_none(row))  # type: ignore[misc]

    def _is_of_none(self, row: Row) -> bool:
        """Whether a failed search was of an area that has been removed since."""
        if self.all_areas is None or (row["stage"], row["scene_id"]) != (SEARCH_STAGE, WHOLE_SEARCH):
            return False
        return row["area"] is not None and row["area"] not in self.all_areas

    def observations(self, key: str, areas: set[str]) -> list[dict[str, Any]]:
        """Return the rows of `observations` of a day's search in these areas: skipped, failed, nothing there."""
        rows = [
            observation_of(area, skipped.outcome, skipped.scene) for day, area, skipped in self.skipped if day == key
        ]
        items = [f for day, f in self.failed if day == key and f.area in areas and f.scene_id != WHOLE_SEARCH]
        rows += [{**observation_of(str(f.area), FAILED), "scene_id": f.scene_id} for f in items]
        seen = {s.area for s in self.scenes if s.key == key} | {row["area"] for row in rows}
        return rows + [observation_of(area, NO_INPUT) for area in sorted(areas - seen)]


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
    for area, result in search_areas(settings, names, day, day, key, found):
        found.searched.add((key, area.name))
        found.scenes += [_found(area, ref, result) for ref in result.scenes]
        found.skipped += [(key, area.name, skipped) for skipped in result.skipped]
        found.failed += [(key, failure) for failure in result.failed]
    return found


def search_days(settings: Settings, first: date, last: date, key: str, names: Sequence[str]) -> DaySearch:
    """Search the days from `first` to `last`, both included, at once, in the areas called `names`, of all where empty.

    Each scene is under its own day. Failures of whole areas, of area files, and of items that state no day of these
    are under `key`.
    """
    found, days = DaySearch(), days_between(first, last)
    for area, result in search_areas(settings, names, first, last, key, found):
        found.searched |= {(day, area.name) for day in days}
        found.scenes += [_found(area, ref, result) for ref in result.scenes]
        found.skipped += [(str(s.scene.observed_at_utc.date()), area.name, s) for s in result.skipped]
        stated = [result.days_of_failed.get(failure.scene_id, key) for failure in result.failed]
        found.failed += [(day if day in days else key, f) for day, f in zip(stated, result.failed, strict=True)]
    return found


def search_newest(settings: Settings, key: str, names: Sequence[str], *, look_back_days: int) -> DaySearch:
    """Find the newest day with a usable scene of each area, at most `look_back_days` before the day `key`.

    All usable scenes of that day are taken, as an area may lie across tiles; of an area with `max_items` so many, the
    newest first. They land under their own day.
    """
    last, found = date.fromisoformat(key), DaySearch()
    first = last - timedelta(days=look_back_days)
    for area, result in search_areas(settings, names, first, last, key, found, newest_first=True):
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


def named_areas(settings: Settings, names: Sequence[str], failures: list[FailedScene] | None = None) -> list[Area]:
    """Return the areas called `names`, all where empty, that can be used.

    `failures` takes what of their files can't be.

    Raises ConfigurationError where there is no area of a name, nor one that failed.
    """
    failed: list[FailedScene] = []
    areas = read_areas(*settings.area_folders, on_failure=failed.append)
    named = {failure.area for failure in failed if failure.area}
    try:
        chosen = select_areas(areas, [name for name in names if name not in named])
    except ConfigurationError as error:
        files = "; ".join(failure.message for failure in failed if failure.area is None)
        raise type(error)(f"{error}; not read: {files}" if files else str(error)) from error
    if failures is not None:
        failures += [f for f in failed if not names or f.area is None or f.area in names]
    return chosen if not names or set(names) - named else []


def observation_of(area: str, outcome: str, scene: SceneRef | None = None) -> dict[str, Any]:
    """Return the row of `observations` of an area, or of one of its scenes, at search or fetch."""
    return {
        "area": area,
        "scene_id": scene.scene_id if scene else None,
        "observed_at_utc": scene.observed_at_utc if scene else None,
        "outcome": outcome,
        "clear_fraction": None if scene is None or scene.cloud_cover is None else 1.0 - scene.cloud_cover / 100.0,
        "detected": False,
    }


@one_patience_per_host()
def search_areas(
    settings: Settings,
    names: Sequence[str],
    first: date,
    last: date,
    key: str,
    found: DaySearch,
    *,
    newest_first: bool = False,
) -> Collection[tuple[Area, FoundScenes]]:
    """Search the areas called `names`, all where empty, from `first` to `last`, and return those that had an answer.

    What fails is added to what was `found`, under `key`. A host that doesn't answer is waited for once.
    """
    failures: list[FailedScene] = []
    areas = named_areas(settings, list(names), failures)
    found.failed += [(key, failure) for failure in failures]
    if not names and all(failure.area for failure in failures):
        found.all_areas = {area.name for area in areas} | {str(failure.area) for failure in failures}
    if not areas and not failures:
        folders = " or ".join(settings.area_folders)
        found.no_areas = f"there is no area of interest, so nothing is searched: put one into {folders}"
    has_no_account = missing_hub_account(settings) is not None
    unasked = [area for area in areas if area.catalogue == SENTINEL_HUB and has_no_account]
    found.unasked += [(key, a.name, {"outcome": NO_INPUT, "missing_setting": HUB_ACCOUNT}) for a in unasked]
    areas = [area for area in areas if area not in unasked]
    apis: dict[str, StacApi] = {}

    def search(area: Area) -> FoundScenes | PlumewatchError:
        try:
            return search_scenes(area, first, last, catalogue_of(area, settings, apis), newest_first)
        except PlumewatchError as error:
            return error

    answered = []
    for area, answer in zip(areas, side_by_side(search, areas, "search", "areas"), strict=True):
        if isinstance(answer, FoundScenes):
            answered.append((area, answer))
        elif isinstance(answer, QuotaUsedUp):
            log.warning("%s: %s", area.name, answer)
            found.unasked.append((key, area.name, {"outcome": WAITING_FOR_QUOTA}))
        else:
            failure = FailedScene.from_exception(answer, scene_id=WHOLE_SEARCH, stage=SEARCH_STAGE, area=area.name)
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
