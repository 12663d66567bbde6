"""Older products in the folder of stacked scenes: they go when newer ones of the same acquisition are there, whole."""

from __future__ import annotations

import logging
from typing import Any

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.rasters.scene_store import ScenePaths, is_complete, list_scenes, withdraw_scene
from plumewatch.sentinel2.scene import HALF_ORBIT, SceneRef, scene_ref, select_newest
from plumewatch.sentinel2.scene_item import FOOTPRINT

log = logging.getLogger(__name__)


def withdraw_replaced(scenes_root: str, folder: str) -> list[str]:
    """Remove the products of a partition folder that newer ones replace, and return their ids.

    Only scenes whose files are all there and as their items say are looked at: a newer product that cannot be stacked
    costs no older one, and of two that replace an older one together both must be there. `select_newest` decides, as at
    the search. One that lies in the folder of the day before or after, as processing again moved its time over
    midnight, is named and stays: its pixels and what was found in them are of another key.
    """
    refs, paths = _whole_scenes(folder)
    used, replaced = select_newest(refs)
    for ref in replaced:
        scene = paths[ref.item_href]
        log.info("%s: a newer product of the same acquisition is stacked; withdrawn", scene.item)
        withdraw_scene(scenes_root, scene.area, scene.date, scene.scene_id)
    _name_others_over_midnight(folder, used)
    return [ref.scene_id for ref in replaced]


def _whole_scenes(folder: str) -> tuple[list[SceneRef], dict[str, ScenePaths]]:
    refs, paths = [], {}
    for scene in list_scenes(folder):
        if ref := _whole_scene(scene):
            refs.append(ref)
            paths[ref.item_href] = scene
    return refs, paths


def _name_others_over_midnight(folder: str, refs: list[SceneRef]) -> None:
    for shift in (-HALF_ORBIT, HALF_ORBIT):
        days = {(ref.observed_at_utc + shift).date() for ref in refs} - {ref.observed_at_utc.date() for ref in refs}
        for day in sorted(days):
            beside, _ = _whole_scenes(storage.join(storage.parent(folder), f"date={day}"))
            _, replaced = select_newest([*refs, *beside])
            for ref in replaced:
                log.warning(
                    "%s: a newer product of this acquisition is of the day before or after, so both are searched; "
                    "remove its files, and its day from pixels and plumes where it has no other scene",
                    ref.item_href,
                )


def _whole_scene(scene: ScenePaths) -> SceneRef | None:
    """Return what a stacked scene is a product of, None where it isn't whole or wasn't stacked here."""
    try:
        item: dict[str, Any] = storage.read_json(scene.item)
        properties = item["properties"]
        if not is_complete(scene, properties["plumewatch:recipe"]):
            return None
        return scene_ref({**item, "geometry": properties.get(FOOTPRINT) or item["geometry"]}, scene.item)
    except (FileNotFoundError, ValueError, KeyError, TypeError, InputError):
        return None  # the pixel job names it
