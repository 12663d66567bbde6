"""Older products in the folder of stacked scenes: they go when newer ones of the same acquisition are there, whole."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from plumewatch import storage
from plumewatch.errors import InputError, redact
from plumewatch.rasters.scene_store import PARTITIONS, ScenePaths, list_scenes, withdraw_scene
from plumewatch.sentinel2.presence import find_flaw
from plumewatch.sentinel2.scene import SceneRef, scene_ref, select_newest
from plumewatch.sentinel2.scene_item import FOOTPRINT
from plumewatch.tables import PIXELS

log = logging.getLogger(__name__)


def withdraw_replaced(scenes_root: str, folder: str, older: Collection[str] = ()) -> list[str]:
    """Remove the products of a partition folder that newer ones replace, and return their ids.

    `older` are the items that the catalogue has replaced, as it may deprecate one after it was stacked.

    Only scenes whose files are all there and as their items say count: a newer product that cannot be stacked
    costs no older one, and of two that replace an older one together both must be there. `select_newest` decides, as at
    the search. Files are read of those alone that may replace one another.
    """
    found = _products(list_scenes(folder), {redact(href) for href in older})
    alike = Counter(_seen(ref) for _, ref in found)
    refs, paths = _whole([(scene, ref) for scene, ref in found if alike[_seen(ref)] > 1])
    return [scene.scene_id for scene in _withdraw(scenes_root, select_newest(refs)[1], paths)]


def withdraw_products(scenes_root: str, folder: str, hrefs: Collection[str]) -> None:
    """Remove the scenes of a partition folder that were stacked from the items at `hrefs`."""
    found = _products(list_scenes(folder), {redact(href) for href in hrefs})
    refs, paths = _whole([(scene, ref) for scene, ref in found if ref.is_deprecated])
    _withdraw(scenes_root, refs, paths, "left for its cloud")


def withdraw_over_midnight(scenes_root: str, pixels_root: str, area: str, day: str) -> list[ScenePaths]:
    """Remove the products of a day, or of the one before or after, that newer ones on the other side replace.

    Processing again may move the time of an acquisition over midnight UTC, and so into another folder. A date that has
    no scene of the area left has no pixels of it either; the others' pixels are the caller's to make again.
    """
    around = [str(date.fromisoformat(day) + timedelta(days=shift)) for shift in (-1, 0, 1)]
    folders = [storage.partition_path(scenes_root, {"area": area, "date": one}) for one in around]
    found = _products([scene for folder in folders for scene in list_scenes(folder)])
    days: dict[Any, set[str]] = {}
    for scene, ref in found:
        days.setdefault(_seen(ref), set()).add(scene.date)
    refs, paths = _whole([(scene, ref) for scene, ref in found if len(days[_seen(ref)]) > 1])
    withdrawn = _withdraw(scenes_root, select_newest(refs)[1], paths)
    for one in sorted({scene.date for scene in withdrawn}):
        empty_if_bare(pixels_root, storage.partition_path(scenes_root, {"area": area, "date": one}))
    return withdrawn


def _withdraw(
    scenes_root: str, refs: list[SceneRef], paths: dict[str, ScenePaths], newer_is: str = "stacked"
) -> list[ScenePaths]:
    withdrawn = [paths[ref.item_href] for ref in refs]
    for scene in withdrawn:
        log.info("%s: a newer product of the same acquisition is %s; withdrawn", scene.item, newer_is)
        withdraw_scene(scenes_root, scene.area, scene.date, scene.scene_id)
    return withdrawn


def empty_if_bare(pixels_root: str, folder: str) -> None:
    """Leave a partition of pixels without rows where no scene is left in the partition `folder` of scenes."""
    keys = storage.folder_keys(PARTITIONS, folder)
    if not list_scenes(folder) and storage.exists(storage.partition_path(pixels_root, keys)):
        storage.publish_partition(PIXELS, pixels_root, keys, [], 0)


def _products(scenes: Iterable[ScenePaths], older: Collection[str] = ()) -> list[tuple[ScenePaths, SceneRef]]:
    """Return what scenes that were stacked here are products of, by their items; those of `older` are deprecated."""
    found = []
    for scene in scenes:
        item = _item(scene)
        if item is not None and (ref := _ref(scene, item)):
            sources = {link["href"] for link in item.get("links") or () if link.get("rel") == "derived_from"}
            found.append((scene, replace(ref, is_deprecated=ref.is_deprecated or not sources.isdisjoint(older))))
    return found


def _seen(ref: SceneRef) -> Any:
    """Return what products of one acquisition share, whether they state an orbit or not."""
    return ref.acquisition[:3]


def _whole(products: Iterable[tuple[ScenePaths, SceneRef]]) -> tuple[list[SceneRef], dict[str, ScenePaths]]:
    """Return those of the products that are whole, and where they are."""
    whole = [(scene, ref) for scene, ref in products if find_flaw(scene) is None]
    return [ref for _, ref in whole], {ref.item_href: scene for scene, ref in whole}


def _ref(scene: ScenePaths, item: dict[str, Any]) -> SceneRef | None:
    """Return what the item of a scene says, None where that isn't enough."""
    try:
        return scene_ref({**item, "geometry": item["properties"].get(FOOTPRINT) or item["geometry"]}, scene.item)
    except (KeyError, TypeError, AttributeError, InputError):
        return None  # the pixel job names it


def _item(scene: ScenePaths) -> dict[str, Any] | None:
    """Return the item of a scene that was stacked here, None of any other."""
    try:
        item: dict[str, Any] = storage.read_json(scene.item)
        return item if item["properties"]["plumewatch:recipe"] else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
