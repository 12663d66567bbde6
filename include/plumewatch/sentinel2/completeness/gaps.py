"""What is missing of the scenes that the catalogues have, area by area and day by day, and why.

Expected is what a search finds to be fetched; present is a stored scene whose files are what its item says, with its
pixels in the table; what is neither, and wasn't left on purpose, is a gap. One is due unless it failed for good: then
there is something that fetching it now may fill. What waits for a quota is due too: the ledger of the service refuses
it for nothing while the month is used up. Days before an area's first are no run's business unless they are asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.gases import CH4
from plumewatch.http import side_by_side
from plumewatch.models import Area
from plumewatch.observations import read_observations
from plumewatch.rasters.scene_store import ScenePaths, list_scenes
from plumewatch.sensors.sensor import METHANE_BANDS
from plumewatch.sentinel2.day_search import DaySearch, FoundScene
from plumewatch.sentinel2.ingest import SCENES
from plumewatch.sentinel2.presence import AreaDay, find_flaws, find_pixels, known_areas
from plumewatch.settings import Settings
from plumewatch.statuses import (
    BROKEN,
    CANNOT_HEAL,
    FAILED,
    FETCH_SCENE,
    FETCH_STAGE,
    MAY_HEAL,
    NO_PIXELS,
    NOT_FETCHED,
    NOT_SEARCHED,
    PIXELS_STAGE,
    SEARCH_STAGE,
    SKIPPED_CLOUD,
    SKIPPED_DUPLICATE,
    WAITING_FOR_QUOTA,
)
from plumewatch.tables import OBSERVATIONS, SCENE_GAPS


@dataclass(frozen=True)
class Gap:
    """A scene that is expected and not there, or a day of an area that nobody has looked at."""

    key: str
    """Its date (UTC)."""
    area: str
    """Name of the area."""
    scene_id: str | None
    """The scene; None for the whole day of the area."""
    reason: str
    """One of `statuses.GAP_REASONS`."""
    message: str
    """What was found."""
    is_due: bool
    """Whether fetching it now may fill it."""
    stored: str | None = None
    """Where its item is, where the scene is stored whole and just its pixels are missing."""

    @property
    def where(self) -> str:
        """Day, area and scene."""
        return f"{self.key} {self.area} {self.scene_id or 'whole day'}"


def find_gaps(
    settings: Settings, found: DaySearch, book: FailureBook, *, are_days_asked_for: bool = True
) -> tuple[list[Gap], set[AreaDay]]:
    """Return what is missing of what a search found, by what is stored, observed and recorded as failed.

    And the days that lie before the first that any run has looked at of their area: there nothing is due, unless
    somebody has asked for these days.
    """
    days = sorted({day for day, _ in found.searched})
    known = _Known(settings, days, book)
    before = set() if are_days_asked_for else {each for each in found.searched if known.is_before_first(*each)}
    gaps, of_day = [], Counter((scene.key, scene.area) for scene in found.scenes)
    for key, area in sorted(found.searched):
        is_before = (key, area) in before
        if is_before or not known.was_searched(key, area):
            n_scenes = of_day[key, area]
            which = f" or an earlier one of {area}, and nobody has asked for it by from or to" if is_before else ""
            message = f"no run has looked at this day{which}; the catalogue has {n_scenes or 'no'} scenes to fetch"
            gaps.append(Gap(key, area, None, NOT_SEARCHED, message, is_due=bool(n_scenes) and not is_before))
    known.look_into(found.scenes)
    of_scenes = [gap for scene in found.scenes if (gap := known.gap(scene))]
    gaps += [replace(gap, is_due=gap.is_due and (gap.key, gap.area) not in before) for gap in of_scenes]
    return _sorted(gaps), before


def _sorted(gaps: Iterable[Gap]) -> list[Gap]:
    return sorted(gaps, key=lambda gap: (gap.key, gap.area, gap.scene_id or ""))


class _Known:
    """What is stored, observed and recorded of some days."""

    def __init__(self, settings: Settings, days: Sequence[str], book: FailureBook) -> None:
        self._root = settings.storage_root
        self._stored: dict[AreaDay, dict[str, ScenePaths]] = {}
        for paths in list_scenes(settings.table_root(SCENES), days) if days else []:
            self._stored.setdefault((paths.date, paths.area), {})[paths.scene_id] = paths
        self._observed: dict[AreaDay, list[Mapping[str, Any]]] = {}
        for day, rows in read_observations(self._root, CH4.name, days).items():
            for row in rows:
                is_search_failed = (row["outcome"], row["stage"]) == (FAILED, SEARCH_STAGE) and not row["scene_id"]
                if not (is_search_failed or row["missing_setting"]):
                    self._observed.setdefault((day, row["area"]), []).append(row)
        rows_of = zip(days, side_by_side(book.rows, days, "failures of days read", "days"), strict=True)
        self._failed = {
            (day, row["area"], row["scene_id"], row["stage"]): row
            for day, rows in rows_of
            for row in rows
            if row["stage"] in (FETCH_SCENE, PIXELS_STAGE)
        }
        self._areas = known_areas(settings)
        self._pixels, self._for_methane = find_pixels(settings, days, self._areas), methane_areas(self._areas)
        reports = storage.read_table(SCENE_GAPS, storage.join(self._root, SCENE_GAPS.name), where={"date": days})
        reported = reports.to_pylist()
        left_alone = [r for r in reported if not (r["scene_id"] or r["is_due"] or r["filled_at_utc"])]
        self._reported = {(r["date"], r["area"]) for r in reported} - {(r["date"], r["area"]) for r in left_alone}
        observed = storage.join(self._root, OBSERVATIONS.name)
        first = storage.read_table(OBSERVATIONS, observed, ["key", "area"], where={"gas": CH4.name})
        words = [*self._stored, *((day, str(area)) for day, area, *_ in self._failed)]
        words += zip(first["key"].to_pylist(), first["area"].to_pylist(), strict=True)
        self._first: dict[str, str] = {}
        self._flaws: dict[ScenePaths, str | None] = {}
        for day, area in words:
            self._first[area] = min(day, self._first.get(area, day))

    def look_into(self, scenes: Iterable[FoundScene]) -> None:
        """Look whether those of the scenes that are stored are whole, before `gap` is asked."""
        stored = (self._paths(scene) for scene in scenes if not self._was_left(scene))
        self._flaws = find_flaws([paths for paths in stored if paths], self._areas)

    def is_before_first(self, key: str, area: str) -> bool:
        """Whether no run, but one that reports gaps, has left a word of an area's day or of an earlier one."""
        return key < self._first.get(area, "9")

    def was_searched(self, key: str, area: str) -> bool:
        """Whether some run has looked at an area's day and left a word of it."""
        has_failed = any((day, of) == (key, area) for day, of, *_ in self._failed)
        return has_failed or any((key, area) in known for known in (self._observed, self._stored, self._reported))

    def gap(self, scene: FoundScene) -> Gap | None:
        """Return what is missing of a scene, None where it is there."""
        reason = self._reason(scene)
        if reason is None:
            return None
        paths = self._paths(scene) if reason[0] == NO_PIXELS else None
        return Gap(scene.key, scene.area, scene.scene_id, *reason, stored=paths.item if paths else None)

    def _reason(self, scene: FoundScene) -> tuple[str, str, bool] | None:
        if self._was_left(scene):
            return None
        paths = self._paths(scene)
        flaw = self._flaws[paths] if paths else None
        if paths and flaw is None:
            return self._without_pixels(scene)
        failed = self._open_row(scene, FETCH_SCENE)
        if failed and not failed["is_retryable"]:
            return CANNOT_HEAL, failed["message"], False
        if flaw:
            return BROKEN, flaw, True
        if self._waits_for_quota(scene):
            return WAITING_FOR_QUOTA, "its service had given all that it gives in a month", True
        if failed:
            return MAY_HEAL, failed["message"], True
        return NOT_FETCHED, "not stored, and nothing says why", True

    def _was_left(self, scene: FoundScene) -> bool:
        return was_left(self._observed.get((scene.key, scene.area), ()), scene.scene_id)

    def _paths(self, scene: FoundScene) -> ScenePaths | None:
        return self._stored.get((scene.key, scene.area), {}).get(scene.scene_id)

    def _without_pixels(self, scene: FoundScene) -> tuple[str, str, bool] | None:
        if scene.area not in self._for_methane or self._pixels.has(scene.key, scene.area, scene.scene_id):
            return None
        failed = self._open_row(scene, PIXELS_STAGE)
        if failed and not failed["is_retryable"]:
            return CANNOT_HEAL, failed["message"], False
        is_outdated = (scene.key, scene.area) in self._pixels.outdated
        why = (
            "its pixels are those of the area as it was" if is_outdated else "stored whole, but not in the pixel table"
        )
        return NO_PIXELS, failed["message"] if failed else why, True

    def _open_row(self, scene: FoundScene, stage: str) -> Mapping[str, Any] | None:
        row = self._failed.get((scene.key, scene.area, scene.scene_id, stage))
        return row if row and row["healed_at_utc"] is None else None

    def _waits_for_quota(self, scene: FoundScene) -> bool:
        rows = self._observed.get((scene.key, scene.area), ())
        return any(r["outcome"] == WAITING_FOR_QUOTA and r["scene_id"] in (None, scene.scene_id) for r in rows)


def was_left(observed: Iterable[Mapping[str, Any]], scene_id: str) -> bool:
    """Whether a scene was left on purpose when it was fetched, by the observations of its area's day."""
    left = (SKIPPED_CLOUD, SKIPPED_DUPLICATE)
    return any((r["scene_id"], r["stage"]) == (scene_id, FETCH_STAGE) and r["outcome"] in left for r in observed)


def methane_areas(areas: Mapping[str, Area]) -> set[str]:
    """Return which areas have a pixel table."""
    return {name for name, area in areas.items() if set(METHANE_BANDS) <= set(area.bands)}
