"""Scenes that a catalogue got, or changed, after their day was ingested: found by what was seen of it before.

What an area's catalogue showed at the last look is kept, each item with a fingerprint of what it says of its product
(`scene.content_of`), in `.late_scenes/<catalogue>/<area>.json` below the storage root. An item is late where it isn't
in there, or says something else since. `updated` alone is no change: there are catalogues in which it is the time of
the question, or of a nightly index, and each look would fetch all scenes again. One time for all items would not do
either: a catalogue may list an item hours after it wrote the time into it.

Only days that the ingest has looked at count, so that a fresh install fetches nothing old. At the first look at such a
day what is stored with the same content, or recorded as left out, was seen by the ingest itself. An item beyond the
area's `max_items` is late only once it is remembered and changes: nothing is fetched of it before.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from plumewatch import storage
from plumewatch.catalogues.services import catalogue_of
from plumewatch.failures import FailureBook, Row, identity_of
from plumewatch.gases import CH4
from plumewatch.models import Area
from plumewatch.progress import followed
from plumewatch.rasters.scene_store import scene_paths
from plumewatch.sentinel2.day_search import DaySearch, search_areas
from plumewatch.sentinel2.ingest import SCENES
from plumewatch.sentinel2.scene import SceneRef, updated_of
from plumewatch.sentinel2.scene_item import SOURCE_CONTENT
from plumewatch.sentinel2.search import FoundScenes
from plumewatch.settings import Settings
from plumewatch.statuses import FAILED
from plumewatch.tables import FAILED_SCENES, OBSERVATIONS

FOLDER = ".late_scenes"
FOUND = "found.json"
"""What a run has found, until it is handed over."""
LONGEST_LOOK_BACK_DAYS = 365

log = logging.getLogger(__name__)

Seen = dict[str, tuple[str, str]]
"""Day and content by item id."""


@dataclass
class LateScenes:
    """What came or changed since the last look."""

    days: dict[str, set[str]] = field(default_factory=dict)
    """Areas to ingest again, by day."""
    seen: dict[str, Seen] = field(default_factory=dict)
    """What is to be remembered, by the path of its file."""
    wind: dict[str, Seen] = field(default_factory=dict)
    """The same, of the wind of each day: by day it and what is stored of its wind."""
    n_late: int = 0
    """Items that are late."""
    search: DaySearch = field(default_factory=DaySearch)
    """What failed, and which areas answered."""

    is_of_all: bool = True
    """Whether all areas were looked at."""

    @property
    def n_items(self) -> int:
        """Items that the catalogues showed."""
        return sum(map(len, self.seen.values()))

    def record(self, book: FailureBook, key: str) -> None:
        """Write what failed under the key of this look, and heal what failed in earlier ones, whatever their key."""
        answered, unasked = {area for _, area in self.search.searched}, {area for _, area, _ in self.search.unasked}
        failing = {failure.identity for _, failure in self.search.failed}

        def is_over(row: Row) -> bool:
            area = row["area"]
            is_looked_at = area is None or area in answered or (self.is_of_all and area not in unasked)
            return is_looked_at and identity_of(row) not in failing

        root = storage.join(book.storage_root, FAILED_SCENES.name)
        earlier = storage.list_partitions(FAILED_SCENES, root, {"dag_id": book.dag_id})
        for each in sorted({partition.keys["key"] for partition in earlier} | {key}):
            book.settle(each, [failure for _, failure in self.search.failed if each == key], is_over)


def search_late_scenes(settings: Settings, key: str, names: Sequence[str], look_back_days: int) -> LateScenes:
    """Find what the catalogues of the areas called `names`, of all where empty, show of late in the days before `key`.

    Asked are `look_back_days` days up to `key`, which is included. What cannot be searched is among `search.failed`.
    """
    last, late = date.fromisoformat(key), LateScenes(is_of_all=not names)
    first = last - timedelta(days=look_back_days)

    @cache
    def of_day(day: str) -> list[dict[str, Any]]:
        root, where = settings.table_root(OBSERVATIONS.name), {"gas": CH4.name, "key": day}
        columns = ["area", "scene_id", "outcome"]
        return storage.read_table(OBSERVATIONS, root, columns, where=where).to_pylist()

    found = search_areas(settings, names, first, last, key, late.search)
    for area, result in followed(found, "what was found compared with what was seen", "areas"):
        late.search.searched.add((key, area.name))
        path = _path(settings, area)
        before = remembered(path)
        seen = {i: entry for i, entry in before.items() if not str(first) <= entry[0] <= str(last)}
        oldest = str(last - timedelta(days=LONGEST_LOOK_BACK_DAYS))
        seen = {i: entry for i, entry in seen.items() if entry[0] >= oldest}
        for failure in result.failed:
            log.warning("%s: not looked at, as its day's ingest says too: %s", failure.where, failure.message)
        beyond = {ref.scene_id for ref in result.beyond_max_items}
        for ref in _shown(result):
            day = str(ref.observed_at_utc.date())
            rows = [row for row in of_day(day) if row["area"] == area.name]
            if not rows and not storage.exists(_folder(settings, area, day)):
                continue  # the ingest hasn't looked at this day
            seen[ref.scene_id] = (day, ref.content)
            is_unwanted = ref.scene_id in beyond and ref.scene_id not in before  # the ingest leaves it, too
            is_same = before.get(ref.scene_id) in ((day, ref.content), (day, ref.updated))  # by older looks the time
            if not (is_unwanted or is_same or _was_seen(settings, area, ref, before, rows)):
                late.days.setdefault(day, set()).add(area.name)
                late.n_late += 1
        late.seen[path] = seen
    return late


def runs_of(late: LateScenes, now: datetime) -> list[dict[str, Any]]:
    """Return the runs of the daily ingest that fetch what is late: logical date, id and conf of each.

    The logical date lies in the day, at the time of day of `now`, so that no two runs share it.
    """
    at = now.astimezone(UTC).time()
    runs = []
    for day, areas in sorted(late.days.items()):
        moment = datetime.combine(date.fromisoformat(day), time(at.hour, at.minute, at.second, at.microsecond, UTC))
        run_id = f"late__{day}__{now.astimezone(UTC):%Y%m%dT%H%M%S}"
        runs.append({"logical_date": moment.isoformat(), "trigger_run_id": run_id, "conf": {"areas": sorted(areas)}})
    return runs


def keep_found(settings: Settings, late: LateScenes) -> None:
    """Write down what is to be remembered once the runs are there."""
    storage.write_json(_found(settings), {**late.seen, **late.wind})


def remember_found(settings: Settings) -> int:
    """Remember what was found, as it has been handed over; return the number of areas."""
    path, root, found = _found(settings), storage.join(settings.storage_root, FOLDER), {}
    if storage.exists(path):
        try:
            found = {str(file): _seen(seen) for file, seen in storage.read_json(path).items()}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            log.warning("%s: not readable (%s): the next look finds again what this one found", path, error)
    ours = {file: seen for file, seen in found.items() if storage.parent(storage.parent(file)) == root}
    for file, seen in ours.items():
        storage.write_json(file, seen)
    storage.delete(path)
    return len(ours)


def _was_seen(
    settings: Settings, area: Area, ref: SceneRef, before: Collection[str], rows: Iterable[Mapping[str, Any]]
) -> bool:
    """Whether the ingest of its day saw an item that isn't remembered."""
    if ref.scene_id in before:
        return False  # and has changed
    stored = _stored(settings, area, ref)
    if stored is None:
        return ref.scene_id in {row["scene_id"] for row in rows if row["outcome"] != FAILED}
    content = stored.get(SOURCE_CONTENT)  # scenes that were stacked before it was written have times alone
    return content == ref.content if content else updated_of(stored) == ref.updated


def _stored(settings: Settings, area: Area, ref: SceneRef) -> dict[str, Any] | None:
    """Properties of the stacked scene, None where it isn't there."""
    day = str(ref.observed_at_utc.date())
    path = scene_paths(settings.table_root(SCENES), area.name, day, ref.scene_id).item
    return dict(storage.read_json(path)["properties"]) if storage.exists(path) else None


def _shown(result: FoundScenes) -> list[SceneRef]:
    """All items of a search that say what they must, whatever the ingest makes of them."""
    return [*result.scenes, *(skipped.scene for skipped in result.skipped), *result.beyond_max_items]


def remembered(path: str) -> Seen:
    """Return what was seen at the last look; nothing where that isn't to be read: the observations tell most of it."""
    try:
        return _seen(storage.read_json(path))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        log.warning("%s: not readable (%s), so taken as not there; it is written anew", path, error)
        return {}


def _seen(stored: Any) -> Seen:
    return {str(scene_id): (str(day), str(updated)) for scene_id, (day, updated) in stored.items()}


def _path(settings: Settings, area: Area) -> str:
    catalogue = catalogue_of(area, settings)
    place = urlsplit(catalogue.url)._replace(query="")  # an account may stand in an address
    address = f"{place.netloc.rpartition('@')[2]}{place.path} {catalogue.collection}"
    name = re.sub(r"[^A-Za-z0-9.]+", "-", address)
    return storage.join(settings.storage_root, FOLDER, name, f"{area.name}.json")


def _folder(settings: Settings, area: Area, day: str) -> str:
    return storage.partition_path(settings.table_root(SCENES), {"area": area.name, "date": day})


def _found(settings: Settings) -> str:
    return storage.join(settings.storage_root, FOLDER, FOUND)
