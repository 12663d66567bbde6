"""What has been told once and isn't told again: a small file a subject, below `.told/` of the storage root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumewatch import storage

TOLD = ".told"


def read_told(storage_root: str, *subject: str) -> dict[str, Any]:
    """Return what was noted of a subject, such as a setting's name, or `news`, a gas and a key; empty where nothing."""
    path = _path(storage_root, *subject)
    return dict(storage.read_json(path)) if storage.exists(path) else {}


def note_told(storage_root: str, *subject: str, told: Mapping[str, Any]) -> None:
    """Note what was told of a subject, once it has been: told twice is better than never."""
    storage.write_json(_path(storage_root, *subject), dict(told))


def forget_told(storage_root: str, *subject: str) -> None:
    """Forget what was told of a subject, so that it is told again."""
    storage.delete(_path(storage_root, *subject))


def _path(storage_root: str, *subject: str) -> str:
    return storage.join(storage_root, TOLD, *subject) + ".json"
