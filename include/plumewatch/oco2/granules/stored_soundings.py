"""What a month of the table `soundings` has already, for granules that could not be had this time."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.oco2.archive.listing import sensor_day_in_name
from plumewatch.tables import SOUNDINGS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredFile:
    """A file of the table that stays in its partition."""

    name: str
    """Name in the partition's folder."""
    granule: str
    """File name of the granule whose soundings it holds."""
    input: str
    """Where that granule was when it was extracted."""
    rows: int
    """Number of soundings."""


def read_stored_files(
    soundings_path: str, month: str, granules: Collection[str], present: Collection[str], settings: Mapping[str, Any]
) -> list[StoredFile]:
    """Return the files that the stored month has of the sensors and UTC days of the named granules, of any version.

    And all of a sensor of which nothing is `present` now, as a folder may hold one sensor's files alone. None of a
    sensor's day of which a granule is present: a day is of one version. None, and a line in the log, where the month
    was extracted with other settings, or where a file can't be read.
    """
    folder = storage.partition_path(soundings_path, {"month": month})
    try:
        manifest = storage.read_manifest(folder)
    except InputError as error:
        log.warning("%s", error)
        return []
    if manifest is None or not {"inputs", "settings"} <= set(manifest):
        return []
    days_present = {day for day in map(sensor_day_in_name, present) if day}
    days = {day for day in map(sensor_day_in_name, granules) if day} - days_present
    sensors = {sensor for sensor, _ in days_present}
    inputs = {path.rsplit("/", 1)[-1]: path for path in manifest["inputs"]}
    told = {name: day for name in inputs if (day := sensor_day_in_name(name))}
    wanted = {name for name, day in told.items() if day in days or day[0] not in sensors}
    if not wanted:
        return []
    if manifest["settings"] != json.loads(json.dumps(settings)):
        log.warning("%s: extracted with other settings, nothing of %s is kept", folder, ", ".join(sorted(wanted)))
        return []
    files = [_stored(folder, name, inputs, wanted) for name in manifest["files"]]
    return [file for file in files if file is not None]


def _stored(folder: str, name: str, inputs: Mapping[str, str], wanted: Collection[str]) -> StoredFile | None:
    try:
        rows = storage.read_parquet(SOUNDINGS, storage.join(folder, name), ["granule"])
    except InputError as error:
        log.warning("%s", error)
        return None
    granules = rows["granule"].unique().to_pylist()
    if len(granules) != 1 or granules[0] not in wanted:
        return None
    return StoredFile(name, granules[0], inputs[granules[0]], rows.num_rows)
