"""The table `scene_gaps`: what is missing, since when, what of it is fetched, and what has been filled."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import some_of
from plumewatch.failures import FailureBook, NothingDone, identity_of
from plumewatch.gases import CH4
from plumewatch.models import FailedScene
from plumewatch.observations import read_observations, waiting_days, write_observations
from plumewatch.progress import followed
from plumewatch.rasters.scene_store import ScenePaths, scene_paths
from plumewatch.sentinel2.completeness.gaps import Gap, find_gaps, methane_areas, was_left
from plumewatch.sentinel2.day_search import DaySearch, FoundScene, search_days, search_until_answered
from plumewatch.sentinel2.ingest import SCENES
from plumewatch.sentinel2.presence import AreaDay, find_flaws, find_pixels, known_areas
from plumewatch.settings import Settings
from plumewatch.statuses import FETCH_SCENE, NOT_SEARCHED, SEARCH_STAGE
from plumewatch.tables import SCENE_GAPS

LINES_SHOWN, NAMES_SHOWN = 200, 20  # gaps in a log, names in a line

WAITING_DAYS = 365
"""How far before the days of a report scenes that wait for a quota are looked for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GapReport:
    """What is missing in some days."""

    found: DaySearch
    """What the catalogues have."""
    gaps: list[Gap]
    """Sorted by day, area and scene."""
    told: list[FailedScene] = field(default_factory=list)
    """What failed in the search and was recorded; what had failed for good before isn't told again."""
    before: set[AreaDay] = field(default_factory=set)
    """Days that lie before the first of their area: reported, and otherwise left alone."""

    @property
    def due(self) -> list[FoundScene]:
        """The scenes to fetch, the newest day first."""
        due = {(gap.key, gap.area, gap.scene_id): gap.stored for gap in self.gaps if gap.is_due}
        of_scene = {scene: (scene.key, scene.area, scene.scene_id) for scene in self.found.scenes}
        scenes = [replace(scene, stored=due[of]) for scene, of in of_scene.items() if of in due]
        return sorted(scenes, key=lambda scene: scene.key, reverse=True)

    @property
    def days_without_scenes(self) -> set[str]:
        """Days of which some area was looked at for the first time, and of which no scene is to be fetched."""
        new = {gap.key for gap in self.gaps if gap.reason == NOT_SEARCHED and (gap.key, gap.area) not in self.before}
        return new - {scene.key for scene in self.due}

    def raise_if_only_failed(self) -> None:
        """Raise where there is nothing to fetch, and the search failed somewhere as it had not before."""
        if self.told and not self.due:
            raise NothingDone(self.told)


def report_gaps(
    settings: Settings,
    first: date,
    last: date,
    names: Sequence[str],
    book: FailureBook,
    key: str,
    *,
    are_days_asked_for: bool = True,
) -> GapReport:
    """Search the days from `first` to `last`, both included, and write down what is missing of them.

    `names` are the areas, all where empty. Written are the table `scene_gaps`, the observations of the search, and what
    failed in it (of whole areas under `key`); open rows of scenes that are there by now, or that the catalogue has
    replaced, are healed. An area without an answer is asked again twice; then its part of `scene_gaps` stays as it is.

    Unless somebody has asked for these days, the days of the WAITING_DAYS before `first` of which a scene waits for a
    quota are looked at too, and days before an area's first are reported only.
    """
    waiting: set[AreaDay] = set()
    if not are_days_asked_for:
        earliest, latest = first - timedelta(days=WAITING_DAYS), first - timedelta(days=1)
        waiting = waiting_days(settings.storage_root, CH4.name, str(earliest), str(latest))
    found = search_days(settings, first, last, key, names)
    found = _with_waiting(settings, found, waiting, first, key)

    def search_again(areas: Sequence[str]) -> DaySearch:
        again = _with_waiting(settings, search_days(settings, first, last, key, areas), waiting, first, key)
        return again.only(lambda day: day not in found.searched)

    if found.unanswered:
        found.add(search_until_answered(search_again, found.unanswered))
    now = datetime.now(UTC)
    gaps, before = find_gaps(settings, found, book, are_days_asked_for=are_days_asked_for)
    report = GapReport(found, gaps, before=before)
    _write_report(settings.storage_root, report, book.run_id, now)
    days = sorted({day for day, _ in found.searched} | {day for day, _ in found.failed})
    for day in followed(days, "what the search found written", "days"):
        report.told.extend(_record_search(report, book, day, are_all_areas=not names))
    _log_gaps(report)
    return report


def _with_waiting(
    settings: Settings, found: DaySearch, waiting: Collection[AreaDay], first: date, key: str
) -> DaySearch:
    """Return a search with the `waiting` days, which lie before `first`, of the areas that it was of: one search each.

    An area that has no answer isn't asked once more here.
    """
    areas = {area for _, area in found.searched}
    days = {(day, area) for day, area in waiting if area in areas}
    if not days:
        return found
    earliest, latest = date.fromisoformat(min(day for day, _ in days)), first - timedelta(days=1)
    names = sorted({area for _, area in days})
    more = search_days(settings, earliest, latest, key, names).only(days.__contains__)
    return replace(
        found,
        scenes=[*found.scenes, *more.scenes],
        skipped=[*found.skipped, *more.skipped],
        failed=[*found.failed, *more.failed],
        searched=found.searched | more.searched,
        unasked=[*found.unasked, *more.unasked],
    )


def close_gaps(settings: Settings, keys: Collection[str], run_id: str) -> list[dict[str, Any]]:
    """Mark what has been filled of the gaps that a run reported for these days, and return the rows still open."""
    root, left = storage.join(settings.storage_root, SCENE_GAPS.name), []
    areas, observed = known_areas(settings), read_observations(settings.storage_root, CH4.name, keys)
    pixels, for_methane = find_pixels(settings, keys, areas), methane_areas(areas)

    def paths_of(key: str, row: Mapping[str, Any]) -> ScenePaths:
        return scene_paths(settings.table_root(SCENES), row["area"], key, row["scene_id"])

    def of_run(key: str) -> list[dict[str, Any]]:
        rows = storage.read_table(SCENE_GAPS, root, SCENE_GAPS.schema.names, where={"date": key}).to_pylist()
        return [row for row in rows if row["run_id"] == run_id and row["filled_at_utc"] is None]

    of_scenes = [paths_of(key, row) for key in sorted(keys) for row in of_run(key) if row["scene_id"]]
    flaws = find_flaws(of_scenes, areas)

    def is_there(key: str, row: Mapping[str, Any]) -> bool:
        if was_left([of for of in observed[key] if of["area"] == row["area"]], row["scene_id"]):
            return True
        has_pixels = row["area"] not in for_methane or pixels.has(key, row["area"], row["scene_id"])
        return has_pixels and flaws[paths_of(key, row)] is None

    for key in followed(sorted(keys), "gaps closed", "days"):
        change = partial(_closed, run_id=run_id, is_there=partial(is_there, key))
        path = storage.change_rows(SCENE_GAPS, root, {"date": key}, change)
        rows = storage.read_table(SCENE_GAPS, path, SCENE_GAPS.schema.names).to_pylist()
        left += [{**row, "key": key} for row in rows if row["run_id"] == run_id and row["filled_at_utc"] is None]
    return left


def _closed(existing: pa.Table, run_id: str, is_there: Callable[[Mapping[str, Any]], bool]) -> pa.Table:
    """Return the rows of a day, a time at those of a run that are filled now; an area's day is when its scenes are."""
    rows, now = existing.to_pylist(), datetime.now(UTC)
    own = [row for row in rows if row["run_id"] == run_id and row["filled_at_utc"] is None]
    for row in own:
        if row["scene_id"] and is_there(row):
            row["filled_at_utc"] = now
    open_areas = {row["area"] for row in own if row["scene_id"] and row["filled_at_utc"] is None}
    for row in own:
        if not row["scene_id"] and row["area"] not in open_areas:
            row["filled_at_utc"] = now
    return SCENE_GAPS.from_pylist(rows)


def days_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the days and areas of gaps, for a line of a log."""
    return some_of(sorted({f"{row['key']} {row['area']}" for row in rows}), NAMES_SHOWN)


def _write_report(storage_root: str, report: GapReport, run_id: str, now: datetime) -> None:
    """Write the gaps by day, in place of those of the same areas; what was missing before keeps its first time."""
    root = storage.join(storage_root, SCENE_GAPS.name)
    known = {p.keys["date"] for p in storage.list_partitions(SCENE_GAPS, root)}
    by_day: dict[str, list[Gap]] = {day: [] for day, _ in sorted(report.found.searched)}
    for gap in report.gaps:
        by_day[gap.key].append(gap)
    for day, gaps in followed(by_day.items(), "gaps written", "days"):
        areas = {area for key, area in report.found.searched if key == day}

        def change(existing: pa.Table, day: str = day, gaps: list[Gap] = gaps, areas: set[str] = areas) -> pa.Table:
            rows = existing.to_pylist()
            since = {
                (row["area"], row["scene_id"]): row["first_missed_at_utc"]
                for row in rows
                if row["filled_at_utc"] is None
            }
            own = [
                {
                    **{name: getattr(gap, name) for name in ("area", "scene_id", "reason", "message", "is_due")},
                    "run_id": run_id,
                    "first_missed_at_utc": since.get((gap.area, gap.scene_id), now),
                    # The search has looked at it now: where nothing is to be fetched, that is all.
                    "filled_at_utc": now
                    if gap.scene_id is None and not gap.is_due and (day, gap.area) not in report.before
                    else None,
                }
                for gap in gaps
            ]
            return SCENE_GAPS.from_pylist([*(row for row in rows if row["area"] not in areas), *own])

        if gaps or day in known:
            storage.change_rows(SCENE_GAPS, root, {"date": day}, change)


def _record_search(report: GapReport, book: FailureBook, day: str, *, are_all_areas: bool) -> list[FailedScene]:
    """Record what the search found of a day, as the ingest does, and return what failed and is told.

    Healed are the searches that were answered, items that can be used by now, and scenes that are missing no more.
    """
    found = report.found.only(lambda each: each not in report.before)
    areas = {area for key, area in found.searched if key == day}
    if areas:
        rows = found.observations(day, areas)
        write_observations(book.storage_root, CH4.name, day, SEARCH_STAGE, rows, areas=areas)
    failing = {failure.identity for _, failure in found.failed}
    missing = {(gap.area, gap.scene_id) for gap in report.gaps if gap.key == day}
    is_answered = are_all_areas and bool(areas) and not found.failed

    def is_over(row: Mapping[str, Any]) -> bool:
        if row["stage"] == SEARCH_STAGE:
            is_of_these = row["area"] in areas or (row["area"] is None and bool(areas))
            return is_of_these and identity_of(row) not in failing
        if row["stage"] == FETCH_SCENE:
            return row["area"] in areas and (row["area"], row["scene_id"]) not in missing
        return row["stage"] == f"{SEARCH_STAGE}_scenes" and is_answered

    earlier = [row for row in book.open_rows(day) if row["run_id"] != book.run_id]  # a try tells again
    known = {identity_of(row) for row in earlier if not row["is_retryable"]}
    told = [failure for key, failure in found.failed if key == day and failure.identity not in known]
    book.settle(day, told, is_over)
    return told


def _log_gaps(report: GapReport) -> None:
    """Name each gap, and count them by area and reason."""
    for gap in report.gaps[:LINES_SHOWN]:
        log.warning("GAP %s: %s%s: %s", gap.where, gap.reason, "" if gap.is_due else ", not fetched now", gap.message)
    if (more := len(report.gaps) - LINES_SHOWN) > 0:
        log.warning("GAP and %s more; all are in %s", more, SCENE_GAPS.name)
    expected = Counter(scene.area for scene in report.found.scenes)
    for area in sorted({area for _, area in report.found.searched}):
        reasons = Counter(gap.reason for gap in report.gaps if gap.area == area)
        told = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items())) or "nothing"
        log.info("%s: expected %s scenes; missing: %s", area, expected[area], told)
