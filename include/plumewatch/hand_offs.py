"""Keys that were handed on to detection and haven't been detected since.

Airflow forgets the event of an asset while the DAG that waits for it is paused. So who hands a key on leaves a file
here first, and a run of the detection takes away, at its end, what was there before it began; what stays, waits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.gases import CH4, Gas
from plumewatch.maps.map_file import map_path
from plumewatch.tables import PIXELS, PLUMES

FOLDER = ".hand_offs"
WRITTEN_AT = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True)
class HandOff:
    """One key, handed on once."""

    key: str
    """The day or month."""
    at: datetime
    """When (UTC)."""
    path: str
    """Its file."""


def record_hand_offs(storage_root: str, gas: Gas, keys: Iterable[str], by: str, methods: Collection[str] = ()) -> None:
    """Note that `by` (a dag_id) hands `keys` on to the detection of a gas now."""
    at = datetime.now(UTC).strftime(WRITTEN_AT)
    for key in keys:
        storage.write_json(_join(storage_root, gas, f"{key}_{at}_{by}.json"), {"methods": sorted(methods)})


def waiting_hand_offs(storage_root: str, gas: Gas) -> list[HandOff]:
    """Return what no run of the detection has taken away, by key and time."""
    return [_hand_off(path) for path in storage.list_files(_join(storage_root, gas), ".json")]


def requested_methods(storage_root: str, gas: Gas, key: str) -> list[str]:
    """Return the default method, then those that the waiting hand-offs of a key ask for."""
    files = [waiting.path for waiting in waiting_hand_offs(storage_root, gas) if waiting.key == key]
    return list(
        dict.fromkeys([gas.method, *(method for file in files for method in storage.read_json(file)["methods"])])
    )


def take_hand_offs(storage_root: str, gas: Gas, key: str, before: datetime) -> None:
    """Take away the hand-offs of a key from before a run began: it has done what they asked, or has said why not."""
    for waiting in waiting_hand_offs(storage_root, gas):
        if waiting.key == key and waiting.at < before:
            storage.delete(waiting.path)


def undetected_keys(storage_root: str, gas: Gas, unchanged_for: timedelta) -> list[str]:
    """Return the keys whose input is newer than their detection, or has none, and hasn't changed for so long.

    The input is `pixels` for methane and `peaks` for CO2. The detection of a key ends with its map; pixels of an area
    count as detected by their plumes too, as published cases have no map. What was handed on is found faster by
    `waiting_hand_offs`: this is for tables that came in another way, by a job by hand or from another Airflow.
    """
    storage_root, latest = storage.absolute(storage_root), datetime.now(UTC) - unchanged_for
    table = PIXELS if gas is CH4 else gas.table
    undetected = set()
    detected_at = _manifest_times(storage_root, PLUMES.name) if gas is CH4 else {}
    mapped_at = storage.modified_times(storage.parent(map_path(storage_root, gas, "any")))
    for below_root, changed_at in _manifest_times(storage_root, table.name).items():
        keys = dict(part.split("=", 1) for part in below_root.split("/") if "=" in part)
        if keys.get("method", gas.method) != gas.method or gas.key_column not in keys:
            continue
        key = keys[gas.key_column]
        done = [mapped_at.get(map_path(storage_root, gas, key)), detected_at.get(f"method={gas.method}/{below_root}")]
        if changed_at < latest and not any(at and at > changed_at for at in done):
            undetected.add(key)
    return sorted(undetected)


def _manifest_times(storage_root: str, table: str) -> dict[str, datetime]:
    """When each manifest of a table was written, by its folder below the table's root."""
    root, end = storage.join(storage_root, table), f"/{storage.MANIFEST}"
    times = storage.modified_times(root)
    return {path.removesuffix(end)[len(root) + 1 :]: at for path, at in times.items() if path.endswith(end)}


def _join(storage_root: str, gas: Gas, *parts: str) -> str:
    return storage.join(storage_root, FOLDER, gas.name, *parts)


def _hand_off(path: str) -> HandOff:
    name = path.rsplit("/", 1)[-1]
    try:
        key, at, _ = name.split("_", 2)
        return HandOff(key, datetime.strptime(at, WRITTEN_AT).replace(tzinfo=UTC), path)
    except ValueError as error:
        raise InputError(path, "a foreign file", "KEY_TIME_DAG.json, as hand-offs are written; remove it") from error
