"""Keys that were handed on to detection, and whether it has begun with them.

Airflow forgets the event of an asset while the DAG that waits for it is paused. So who hands a key on leaves a file
here, and it waits until a run of the detection begins with the key; it goes when that run has gone through. One that
failed doesn't wait again, as its failure was told, but what it was asked to do is done by the next run of its key.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from plumewatch import storage
from plumewatch.gases import Gas
from plumewatch.keys import is_key

FOLDER = ".hand_offs"
WAITING, BEGUN = "waiting", "begun"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HandOff:
    """One key, handed on by one DAG with one choice of methods; again is the same file, written anew."""

    key: str
    """The day or month."""
    methods: tuple[str, ...]
    """Methods beside the default one that were asked for."""
    at: datetime
    """When it was handed on last (UTC), by the storage's clock."""
    path: str
    """Its file: KEY.DAG.METHOD+METHOD.json."""


def record_hand_offs(storage_root: str, gas: Gas, keys: Iterable[str], by: str, methods: Collection[str] = ()) -> None:
    """Note that `by` (a dag_id) hands `keys` on to the detection of a gas."""
    for key in keys:
        name = f"{key}.{by}.{'+'.join(sorted(methods))}.json"
        storage.write_json(storage.join(_folder(storage_root, gas, WAITING), name), {"key": key, "by": by})


def waiting_hand_offs(storage_root: str, gas: Gas) -> list[HandOff]:
    """Return those with which no run of the detection has begun, by key."""
    return list(_read(storage_root, gas, WAITING))


def waiting_keys(storage_root: str, gas: Gas) -> dict[str, datetime]:
    """Return the keys that wait, in their order, and when each was handed on last (UTC)."""
    latest: dict[str, datetime] = {}
    for hand_off in waiting_hand_offs(storage_root, gas):
        latest[hand_off.key] = max(hand_off.at, latest.get(hand_off.key, hand_off.at))
    return latest


def begin_hand_offs(storage_root: str, gas: Gas, key: str) -> list[str]:
    """Begin with a key: it waits no more. Return the methods to run: the default one, then what was asked for.

    What an earlier run of the key began and didn't go through with is asked for still.
    """
    for hand_off in waiting_hand_offs(storage_root, gas):
        if hand_off.key == key:
            name = hand_off.path.rsplit("/", 1)[-1]
            begun = storage.join(_folder(storage_root, gas, BEGUN), name)
            storage.write_bytes(begun, storage.read_bytes(hand_off.path))
            storage.delete(hand_off.path)
    asked = (method for begun in _read(storage_root, gas, BEGUN) if begun.key == key for method in begun.methods)
    return list(dict.fromkeys([gas.method, *asked]))


def finish_hand_offs(storage_root: str, gas: Gas, key: str) -> None:
    """Forget what was begun of a key: its detection has gone through."""
    for hand_off in _read(storage_root, gas, BEGUN):
        if hand_off.key == key:
            storage.delete(hand_off.path)


def _folder(storage_root: str, gas: Gas, state: str) -> str:
    return storage.join(storage_root, FOLDER, gas.name, state)


def _read(storage_root: str, gas: Gas, state: str) -> Iterator[HandOff]:
    for path, at in sorted(storage.modified_times(_folder(storage_root, gas, state)).items()):
        key, *rest = path.rsplit("/", 1)[-1].split(".")
        if is_key(key, gas.key_format) and len(rest) == 3:
            yield HandOff(key, tuple(filter(None, rest[1].split("+"))), at, path)
        elif key:  # a hidden file is being written
            log.warning("%s: no hand-off; allowed: KEY.DAG.METHODS.json", path)
