"""What was looked at: rows of `observations`, so that nothing seen is a statement too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.errors import ConfigurationError, InputError, reading
from plumewatch.orbits import OCO2, sensors_of
from plumewatch.statuses import (
    DETECTION_STAGE,
    FAILED,
    FETCH_STAGE,
    OBSERVATION_STAGES,
    SEARCH_STAGE,
    WAITING_FOR_QUOTA,
)
from plumewatch.tables import OBSERVATIONS


def write_observations(
    storage_root: str,
    gas: str,
    key: str,
    stage: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    areas: Collection[str] = (),
    scenes: Collection[str] | None = None,
    orbits: Collection[int] = (),
    sensor: str = OCO2,
) -> None:
    """Replace the rows of `stage` for the given areas or orbits of a gas and key by `rows` (dicts by column name).

    Of the areas only what is said of these `scenes`, where they are given. `sensor` is whose orbits these are.
    """

    def owns(existing: pa.Table) -> pa.ChunkedArray:
        is_orbit = pc.is_in(existing["orbit"], value_set=pa.array(sorted(orbits), pa.int32()))
        is_orbit = pc.and_(is_orbit, pc.equal(sensors_of(existing), sensor))
        is_area = pc.is_in(existing["area"], value_set=pa.array(sorted(areas), pa.string()))
        if scenes is not None:
            is_area = pc.and_(is_area, pc.is_in(existing["scene_id"], value_set=pa.array(sorted(scenes), pa.string())))
        return pc.or_kleene(is_area, is_orbit)

    _replace(storage_root, gas, key, stage, rows, owns)


def _replace(
    storage_root: str,
    gas: str,
    key: str,
    stage: str,
    rows: Sequence[Mapping[str, Any]],
    owns: Callable[[pa.Table], pa.ChunkedArray],
) -> None:
    """Replace of the rows of a stage those that are owned."""
    if stage not in OBSERVATION_STAGES:
        raise ConfigurationError(f"stage {stage!r}; allowed: {', '.join(OBSERVATION_STAGES)}")
    table = OBSERVATIONS.from_pylist([{**row, "stage": stage} for row in rows])
    root = storage.join(storage_root, OBSERVATIONS.name)
    storage.replace_rows(
        OBSERVATIONS,
        root,
        {"gas": gas, "key": key},
        table,
        lambda existing: pc.and_kleene(owns(existing), pc.equal(existing["stage"], stage)),
    )


def read_observations(storage_root: str, gas: str, keys: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a gas by key, as dicts by column name; keys without rows have an empty list."""
    root = storage.join(storage_root, OBSERVATIONS.name)
    found: dict[str, list[dict[str, Any]]] = {key: [] for key in keys}
    for partition in storage.list_partitions(OBSERVATIONS, root, {"gas": gas, "key": keys}) if keys else []:
        rows = storage.read_table(OBSERVATIONS, partition.path, OBSERVATIONS.schema.names)
        found[partition.keys["key"]] += rows.to_pylist()
    return found


def areas_observed(storage_root: str, gas: str, key: str) -> set[str]:
    """Return the areas of which more is known than that they could not be searched."""
    rows = _rows(storage_root, ["area", "outcome", "stage", "scene_id", "missing_setting"], gas=gas, key=key)
    return {r["area"] for r in rows if r["area"] is not None and not _is_unsearched(r)}


def waiting_scenes(storage_root: str, gas: str, key: str) -> set[tuple[str, str]]:
    """Return area and id of the scenes whose fetch waits until their service gives again."""
    rows = _rows(storage_root, ["area", "outcome", "stage", "scene_id"], gas=gas, key=key)
    return {(r["area"], r["scene_id"]) for r in rows if (r["outcome"], r["stage"]) == (WAITING_FOR_QUOTA, FETCH_STAGE)}


def note_waiting(storage_root: str, gas: str, key: str, area: str, scene_id: str, *, is_waiting: bool) -> None:
    """Write that the fetch of a scene waits until its service gives again, or forget it: it failed otherwise."""
    if is_waiting or (area, scene_id) in waiting_scenes(storage_root, gas, key):
        row = {"area": area, "scene_id": scene_id, "outcome": WAITING_FOR_QUOTA, "detected": False}
        rows = [row] if is_waiting else []
        write_observations(storage_root, gas, key, FETCH_STAGE, rows, areas={area}, scenes={scene_id})


def waiting_days(storage_root: str, gas: str, first: str, last: str) -> set[tuple[str, str]]:
    """Return the keys, from `first` to `last`, and areas of which something waits until its service gives again."""
    rows = _rows(storage_root, ["key", "area", "outcome"], gas=gas)
    waiting = {(row["key"], row["area"]) for row in rows if row["outcome"] == WAITING_FOR_QUOTA}
    return {(key, area) for key, area in waiting if first <= key <= last}


def without_waiting(storage_root: str, gas: str, scenes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those of the scenes (with `key`, `area`, `scene_id`) that don't wait until their service gives again."""
    waiting = {key: waiting_scenes(storage_root, gas, key) for key in {scene["key"] for scene in scenes}}
    return [scene for scene in scenes if (scene["area"], scene["scene_id"]) not in waiting[scene["key"]]]


def _rows(storage_root: str, columns: list[str], **where: str) -> list[dict[str, Any]]:
    """These columns of the partitions of which these are the keys."""
    rows: list[dict[str, Any]] = storage.read_table(
        OBSERVATIONS, storage.join(storage_root, OBSERVATIONS.name), columns, where=where
    ).to_pylist()
    return rows


def _is_unsearched(row: Mapping[str, Any]) -> bool:
    """Whether a row says that an area wasn't searched: it failed, has to wait, or nobody could ask."""
    is_waiting = row["outcome"] == WAITING_FOR_QUOTA and row["scene_id"] is None
    return row["stage"] == SEARCH_STAGE and (row["outcome"] == FAILED or is_waiting or bool(row["missing_setting"]))


def write_detection_observations(storage_root: str, gas: str, key: str, partitions: Sequence[storage.Partition]) -> int:
    """Write what the detection jobs left under `observations` in the manifests of a key; return the number of rows.

    `partitions` are all of the key: what none of them states any more was said of soundings or scenes that are gone.
    """
    rows = [row for partition in partitions for row in stated_observations(partition.path)]
    _replace(storage_root, gas, key, DETECTION_STAGE, rows, lambda existing: pc.is_valid(existing["stage"]))
    return len(rows)


def stated_observations(partition: str) -> list[dict[str, Any]]:
    """Return what the manifest of a partition folder states under `observations`, none where it states nothing.

    They have the columns and types of the table `observations`; InputError names the manifest of others.
    """
    stated = (storage.read_manifest(partition) or {}).get("observations", [])
    manifest, known = storage.join(partition, storage.MANIFEST), OBSERVATIONS.schema.names
    with reading(manifest, "observations with columns of the table `observations`"):
        rows = [_from_json(row) for row in stated]
        if unknown := {name for row in rows for name in row} - set(known):
            raise InputError(manifest, f"observations with {', '.join(sorted(unknown))}", ", ".join(known))
        OBSERVATIONS.from_pylist(rows)
    return rows


def _from_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest is JSON: its times are text, and so are the bytes of a track."""
    text, track = row.get("observed_at_utc"), row.get("track")
    values = {"observed_at_utc": datetime.fromisoformat(text) if text else None}
    return {**row, **values, **({"track": bytes.fromhex(track)} if track else {})}
