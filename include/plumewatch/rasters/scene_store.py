"""The folder of stacked scenes: `area=A/date=D/<scene_id>.tif`, `_scl.tif`, `_around.tif`, `_cloud.tif`, `.json`.

The item is written last. A scene without its item was never published; one whose item fits its files is complete. One
that was looked at and left has `_<scene_id>.skipped.json` alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumewatch import storage
from plumewatch.errors import InputError, reading
from plumewatch.models import FailedScene
from plumewatch.rasters.reading import begins_as_page, read_raster

PARTITIONS = ("area", "date")
STORED_ITEM = "the STAC item of a stacked scene"
MULTIHASH_SHA256 = "1220"  # multihash code of SHA2-256 and its length of 32 bytes, as file:checksum wants it
AROUND = "around"  # the classification with the surroundings of the grid: scenes that were stacked elsewhere have none
SKIP_NOTE = ".skipped.json"
RASTERS = ("data", "scl", "cloud", AROUND)
NEEDED = ("data", "scl")  # what each scene has, whoever stacked it


@dataclass(frozen=True)
class ScenePaths:
    """Where the files of one stacked scene are."""

    area: str
    """Area of interest."""
    date: str
    """UTC date of acquisition, YYYY-MM-DD."""
    scene_id: str
    """Id of the scene."""
    folder: str
    """Partition folder."""

    @property
    def item(self) -> str:
        """The STAC item."""
        return storage.join(self.folder, f"{self.scene_id}.json")

    @property
    def skip_note(self) -> str:
        """What says that the scene was looked at and left, such as for its cloud."""
        return storage.join(self.folder, f"_{self.scene_id}{SKIP_NOTE}")

    def raster(self, kind: str) -> str:
        """The bands (`data`), the scene classification (`scl`, `around`) or the cloud probability (`cloud`)."""
        suffix = "" if kind == "data" else f"_{kind}"
        return storage.join(self.folder, f"{self.scene_id}{suffix}.tif")

    def failure(self, error: Exception, stage: str) -> FailedScene:
        """Return how an error of the scene is recorded."""
        return FailedScene.from_exception(error, scene_id=self.scene_id, stage=stage, area=self.area)


def scene_paths(scenes_root: str, area: str, date: str, scene_id: str, sensor: str | None = None) -> ScenePaths:
    """Return where a scene of an area and a date is kept below `scenes_root`, which may part them by `sensor` too."""
    of_sensor = {} if sensor is None else {"sensor": sensor}
    folder = storage.partition_path(scenes_root, {"area": area, **of_sensor, "date": date})
    return ScenePaths(area, date, scene_id, folder)


def list_scenes(path: str, dates: Sequence[str] | None = None) -> list[ScenePaths]:
    """Return the scenes at or below `path` (the root or a partition folder), of `dates` or of all, sorted by path.

    A raster whose item is missing is listed too: reading the item says so.
    """
    found: dict[str, ScenePaths] = {}
    for file in storage.list_files(path):
        name = file.rsplit("/", 1)[-1]
        keys = storage.folder_keys(PARTITIONS, storage.parent(file))
        if name.startswith((".", "_")) or not set(PARTITIONS) <= keys.keys():
            continue
        if odd := [f"{key}={value}" for key, value in keys.items() if not storage.is_partition_value(key, value)]:
            storage.name_unread(storage.parent(file), ", ".join(odd), "area=.../date=YYYY-MM-DD")
            continue
        scene_id = _scene_id(name)
        if scene_id and (dates is None or keys["date"] in dates):
            scene = ScenePaths(keys["area"], keys["date"], scene_id, storage.parent(file))
            found[scene.item] = scene
    return [found[item] for item in sorted(found)]


def versions_of(scenes: Sequence[ScenePaths]) -> dict[str, str | None]:
    """Return which version of each scene there is: the checksum of its item by the item's path, None without one."""
    found: dict[str, str | None] = {}
    for scene in scenes:
        try:
            found[scene.item] = checksum(storage.read_bytes(scene.item))
        except FileNotFoundError:
            found[scene.item] = None
    return found


@contextlib.contextmanager
def unchanged(folders: Sequence[str]) -> Iterator[None]:
    """Keep other runs from publishing or withdrawing scenes of partition folders' areas.

    Where no run of ours can: a folder on a disk that never had a lock, or that may not be written to, is left as it is.
    """
    with contextlib.ExitStack() as held:
        for area in sorted({storage.parent(folder) for folder in folders}):
            if not storage.is_local(area) or storage.exists(storage.join(area, storage.LOCK)):
                try:
                    held.enter_context(storage.lock(area))
                except OSError as error:
                    if not isinstance(error, PermissionError) and error.errno != errno.EROFS:
                        raise
        yield


def _scene_id(name: str) -> str | None:
    if name.endswith(".json"):
        return name.removesuffix(".json")
    if name.endswith(".tif"):
        return name.removesuffix(".tif").removesuffix("_scl").removesuffix("_cloud").removesuffix(f"_{AROUND}")
    return None


def withdraw_scene(scenes_root: str, area: str, date: str, scene_id: str) -> None:
    """Remove a stacked scene that a newer product replaces, the item first; nothing there is fine."""
    paths = scene_paths(scenes_root, area, date, scene_id)
    with storage.lock(storage.parent(paths.folder)):
        storage.delete(paths.skip_note)
        withdraw_scene_files(paths)


def withdraw_scene_files(paths: ScenePaths) -> None:
    """Remove item and rasters of a scene, the item first; nothing there is fine."""
    storage.delete(paths.item)
    for kind in RASTERS:
        storage.delete(paths.raster(kind))


def publish_scene(paths: ScenePaths, rasters: dict[str, bytes], item: dict[str, Any]) -> None:
    """Write the rasters (`data`, `scl`, `cloud`, `around`) and then the item, which makes them a scene.

    One writer at a time in an area: two runs may fetch the same scene at once.
    """
    with storage.lock(storage.parent(paths.folder)):
        storage.delete(paths.skip_note)
        storage.delete(paths.item)  # an older item must not vouch for half of the new files
        for kind, content in rasters.items():
            storage.write_bytes(paths.raster(kind), content)
        storage.write_json(paths.item, item)


def note_skip(paths: ScenePaths, why: dict[str, Any]) -> None:
    """Remove what is stored of a scene, and note why it was left."""
    with storage.lock(storage.parent(paths.folder)):
        withdraw_scene_files(paths)
        storage.write_json(paths.skip_note, why)


def read_skip_note(paths: ScenePaths) -> dict[str, Any] | None:
    """Return why a scene was left, None where it wasn't."""
    try:
        note: dict[str, Any] = storage.read_json(paths.skip_note)
        return note if isinstance(note, dict) else None
    except (FileNotFoundError, ValueError):
        return None


def read_item(paths: ScenePaths) -> dict[str, Any]:
    """Return the item of a stacked scene, with its properties; InputError where it is missing or none."""
    try:
        content = storage.read_bytes(paths.item)
    except FileNotFoundError as error:
        raise InputError(paths.item, "no item beside the raster: never published whole", STORED_ITEM) from error
    with reading(paths.item, STORED_ITEM, "not JSON"):
        item = json.loads(content)
    if not isinstance(item, dict) or not isinstance(item.get("properties"), dict):
        raise InputError(paths.item, "JSON without properties", STORED_ITEM)
    return item


def checksums_of(paths: ScenePaths, item: Mapping[str, Any], needed: Sequence[str] = NEEDED) -> dict[str, Any]:
    """Return what an item states of its rasters, by kind; nothing where it states none of those that are `needed`."""
    with reading(paths.item, STORED_ITEM):
        assets = dict(item.get("assets") or {})
        stated = {kind: asset.get("file:checksum") for kind, asset in assets.items() if kind in RASTERS}
    return stated if all(stated.get(kind) for kind in needed) else {}


def find_damage(paths: ScenePaths, item: Mapping[str, Any], needed: Sequence[str] = NEEDED) -> str | None:
    """Return what is wrong with the first file of a stacked scene that isn't whole, by its name; None where all are.

    Files are held against the checksums of their item. Where it states none, as that of another tool, they are read
    whole. A page (HTML, XML, JSON) that was saved as a raster is told as such, whatever the item says.
    """
    stated = checksums_of(paths, item, needed)
    for kind in stated or needed:
        if damage := _damage(paths.raster(kind), stated.get(kind)):
            return damage
    return None


def _damage(path: str, stated: str | None) -> str | None:
    try:
        content = storage.read_bytes(path)
    except FileNotFoundError:
        return f"{path}: no such file"
    if begins_as_page(content):
        return f"{path}: a page (HTML, XML or JSON) of {len(content)} bytes in place of a raster"
    if stated:
        fits = checksum(content) == stated
        return None if fits else f"{path}: {len(content)} bytes that aren't what its item says (file:checksum)"
    try:
        read_raster(path, lambda source: source.read())
    except InputError as error:
        return str(error)
    return None


def checksum(content: bytes) -> str:
    """Return the SHA-256 of a file as a multihash in hexadecimal digits."""
    return MULTIHASH_SHA256 + hashlib.sha256(content).hexdigest()
