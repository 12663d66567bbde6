"""The table of what failed: one row per area, scene and stage, merged by everyone who handles the scene."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from plumewatch import storage
from plumewatch.models import FailedScene
from plumewatch.tables import FAILED_SCENES

_COPIED = ("area", "scene_id", "asset", "stage", "error_class", "http_status", "message", "attempts", "is_retryable")

Scene = tuple[str | None, str]
"""Area (None for OCO-2) and scene id."""


def record_failed_scenes(
    storage_root: str, dag_id: str, key: str, run_id: str, failures: Sequence[FailedScene]
) -> None:
    """Add or renew the rows of `failures` in the partition of `dag_id` and `key`.

    A scene that failed before keeps the time of its first failure; a healed one is open again.
    """
    if not failures:
        return
    now = datetime.now(UTC)

    def change(existing: pa.Table) -> pa.Table:
        rows = {_identity(row): row for row in existing.to_pylist()}
        for failure in failures:
            identity = (failure.area, failure.scene_id, failure.stage)
            rows[identity] = _row(failure, run_id, rows.get(identity), now)
        return FAILED_SCENES.from_pylist(list(rows.values()))

    storage.change_rows(FAILED_SCENES, _root(storage_root), {"dag_id": dag_id, "key": key}, change)


def heal_scenes(storage_root: str, dag_id: str, key: str, scenes: Sequence[Scene], stage: str) -> None:
    """Mark the rows of scenes that went through as healed; scenes that never failed get no row."""
    now = datetime.now(UTC)
    healed = {(area, scene_id, stage) for area, scene_id in scenes}

    def change(existing: pa.Table) -> pa.Table:
        rows = existing.to_pylist()
        for row in rows:
            if _identity(row) in healed and row["healed_at_utc"] is None:
                row["healed_at_utc"] = now
        return FAILED_SCENES.from_pylist(rows)

    open_now = {
        _identity(row)
        for row in read_failed_scenes(storage_root, dag_id, key).to_pylist()
        if row["healed_at_utc"] is None
    }
    if open_now & healed:
        storage.change_rows(FAILED_SCENES, _root(storage_root), {"dag_id": dag_id, "key": key}, change)


def heal_older(
    storage_root: str, dag_id: str, key: str, run_id: str, areas: Collection[str] | None, but_stage: str | None = None
) -> None:
    """Mark as healed what earlier runs left open and `run_id`, which looked at it again, did not find failing.

    `areas` narrows to what was looked at (None: all); rows without an area always count. `but_stage` is left alone: its
    scenes are healed one by one.
    """
    now = datetime.now(UTC)

    def is_over(row: dict[str, Any]) -> bool:
        looked_at = areas is None or row["area"] is None or row["area"] in areas
        return row["healed_at_utc"] is None and row["run_id"] != run_id and row["stage"] != but_stage and looked_at

    def change(existing: pa.Table) -> pa.Table:
        rows = [row | ({"healed_at_utc": now} if is_over(row) else {}) for row in existing.to_pylist()]
        return FAILED_SCENES.from_pylist(rows)

    if any(is_over(row) for row in read_failed_scenes(storage_root, dag_id, key).to_pylist()):
        storage.change_rows(FAILED_SCENES, _root(storage_root), {"dag_id": dag_id, "key": key}, change)


def read_failed_scenes(storage_root: str, dag_id: str, key: str) -> pa.Table:
    """Return the rows of one partition, healed ones included."""
    return storage.read_table(
        FAILED_SCENES, _root(storage_root), FAILED_SCENES.schema.names, where={"dag_id": dag_id, "key": key}
    )


def _root(storage_root: str) -> str:
    return storage.join(storage_root, FAILED_SCENES.name)


def _identity(row: dict[str, Any]) -> tuple[str | None, str, str]:
    return row["area"], row["scene_id"], row["stage"]


def _row(failure: FailedScene, run_id: str, former: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    return {
        "run_id": run_id,
        **{name: getattr(failure, name) for name in _COPIED},
        "first_failed_at_utc": former["first_failed_at_utc"] if former else now,
        "last_failed_at_utc": now,
        "healed_at_utc": None,
    }
