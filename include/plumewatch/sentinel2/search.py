"""Scenes of an area in some days: what its catalogue has, and what of it to use."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from plumewatch.catalogues.catalogue import Catalogue
from plumewatch.catalogues.stac import check_version
from plumewatch.errors import InputError
from plumewatch.keys import DAY, is_key
from plumewatch.models import Area, FailedScene
from plumewatch.sensors.known import sensor_of_collection
from plumewatch.sentinel2.scene import SceneRef, scene_ref, select_newest
from plumewatch.statuses import SEARCH_STAGE, SKIPPED_CLOUD, SKIPPED_DUPLICATE

Order = Callable[[SceneRef], tuple[Any, ...]]
"""What scenes of a day are sorted by."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SkippedScene:
    """A scene that the catalogue has and that isn't used: a row of `observations`."""

    scene: SceneRef
    """The scene."""
    outcome: str
    """`skipped_cloud` or `skipped_duplicate`."""
    reason: str
    """What was found and what is allowed."""


@dataclass(frozen=True)
class FoundScenes:
    """What a catalogue has of an area."""

    scenes: tuple[SceneRef, ...]
    """To be fetched, sorted by time and id."""
    skipped: tuple[SkippedScene, ...] = ()
    """Not to be fetched: too much cloud, or another product of the same acquisition is newer."""
    failed: tuple[FailedScene, ...] = ()
    """Items that don't say what they must."""
    beyond_max_items: tuple[SceneRef, ...] = ()
    """More than the area's max_items of a day; the least cloudy, or the newest, were taken."""
    days_of_failed: Mapping[str, str] = field(default_factory=dict)
    """The days (YYYY-MM-DD) that failed items state, by the names in `failed`, where they state one."""

    @property
    def without_cloud_cover(self) -> tuple[str, ...]:
        """Ids of the scenes that were taken although their items don't state a cloud cover."""
        return tuple(ref.scene_id for ref in self.scenes if ref.cloud_cover is None)


def search_scenes(area: Area, start: date, end: date, catalogue: Catalogue, newest_first: bool = False) -> FoundScenes:
    """Return the scenes that the catalogue of an area has from `start` to `end`, both included (UTC dates).

    Of more than the area's `max_items` of a day the least cloudy are taken, or, if so asked, the newest.
    Cloud cover is compared here and not asked of the service: some ignore the filter in silence, and a scene that is
    too cloudy is to be known by name.

    Raises ServiceError (retryable unless the service refuses the request) and InputError where the answer isn't STAC.
    """
    refs: dict[str, SceneRef] = {}
    failed = []
    days_of_failed = {}
    others: Counter[str] = Counter()
    sensor = sensor_of_collection(catalogue.collection)
    for item in catalogue.search_items(area.geometry, start, end):
        try:
            href = catalogue.item_href(item)
            check_version(item, href)
            stated = item.get("properties")
            if isinstance(stated, dict) and not sensor.is_served(stated):
                others[str(stated["platform"])] += 1
                continue
            ref = scene_ref(item, href, sensor)
        except InputError as error:
            name = str(item.get("id") or error.file)
            failed.append(FailedScene.from_exception(error, scene_id=name, stage=SEARCH_STAGE, area=area.name))
            if day := _stated_day(item):
                days_of_failed[failed[-1].scene_id] = day
            continue
        in_time = start <= ref.observed_at_utc.date() <= end
        if not (in_time and ref.footprint.intersects(area.geometry)):
            continue
        if item.get("collection") not in (None, catalogue.collection):
            others[str(item["collection"])] += 1
        elif ref.scene_id not in refs or ref.newness > refs[ref.scene_id].newness:  # pages may repeat an item
            refs[ref.scene_id] = ref
    if others:
        found = ", ".join(f"{n} items of {name}" for name, n in sorted(others.items()))
        log.warning("%s: left out: %s; allowed: items of %s", area.name, found, catalogue.collection)
    chosen = _choose(area, list(refs.values()), failed, _newest_first if newest_first else _clearest_first)
    return replace(chosen, days_of_failed=days_of_failed)


def _stated_day(item: Mapping[str, Any]) -> str | None:
    """Return the UTC day that an item which cannot be used states all the same, None where that is none."""
    properties = item.get("properties")
    day = str(properties.get("datetime") if isinstance(properties, dict) else "")[: len("YYYY-MM-DD")]
    return day if is_key(day, DAY) else None


def _choose(area: Area, refs: list[SceneRef], failed: list[FailedScene], order: Order) -> FoundScenes:
    newest, replaced = select_newest(refs)
    skipped = [SkippedScene(r, SKIPPED_DUPLICATE, "a newer product of the same acquisition is used") for r in replaced]
    clear = []
    for ref in newest:
        if area.max_cloud_cover is not None and (ref.cloud_cover or 0.0) > area.max_cloud_cover:
            reason = f"cloud cover {ref.cloud_cover:.1f} %; allowed: at most {area.max_cloud_cover:g} %"
            skipped.append(SkippedScene(ref, SKIPPED_CLOUD, reason))
        else:
            clear.append(ref)
    scenes, beyond = _at_most(clear, area.max_items, order)
    result = FoundScenes(
        scenes=tuple(sorted(scenes, key=_by_time)),
        skipped=tuple(sorted(skipped, key=lambda s: _by_time(s.scene))),
        failed=tuple(sorted(failed, key=lambda f: f.scene_id)),
        beyond_max_items=tuple(sorted(beyond, key=_by_time)),
    )
    if result.without_cloud_cover:
        log.warning("%s: taken without a stated cloud cover: %s", area.name, ", ".join(result.without_cloud_cover))
    if beyond:
        left = ", ".join(ref.scene_id for ref in beyond)
        log.warning("%s: more than max_items=%s a day; left out: %s", area.name, area.max_items, left)
    return result


def _at_most(refs: list[SceneRef], max_items: int | None, order: Order) -> tuple[list[SceneRef], list[SceneRef]]:
    """Part the scenes of each day: the first `max_items` in the `order`, and the rest."""
    by_day: dict[date, list[SceneRef]] = {}
    for ref in sorted(refs, key=order):
        by_day.setdefault(ref.observed_at_utc.date(), []).append(ref)
    taken = [ref for day in by_day.values() for ref in day[:max_items]]
    beyond = [ref for day in by_day.values() for ref in day[len(day) if max_items is None else max_items :]]
    return taken, beyond


def _clearest_first(ref: SceneRef) -> tuple[Any, ...]:
    return ref.cloud_cover is None, ref.cloud_cover or 0.0, ref.scene_id


def _newest_first(ref: SceneRef) -> tuple[Any, ...]:
    return -ref.observed_at_utc.timestamp(), ref.scene_id


def _by_time(ref: SceneRef) -> tuple[Any, str]:
    return ref.observed_at_utc, ref.scene_id
