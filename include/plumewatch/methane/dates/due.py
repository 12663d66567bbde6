"""Which days are to be detected again when the pixels of one have come or changed."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from plumewatch import storage
from plumewatch.gases import CH4
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.tables import PIXELS, PLUMES


def days_to_detect(storage_root: str, key: str) -> list[str]:
    """Return the days to detect now that `key` has pixels: itself, and those that refer to older pixels of it.

    A later day within reach is among them where it has pixels of an area and its plumes are older than the area's
    pixels of `key`, or not there yet. So the outcome depends neither on the order in which days come in nor on a task
    that died between writing and handing on; a manifest that says the same is never rewritten and keeps its age.
    """
    pixels, plumes = (storage.join(storage_root, table.name) for table in (PIXELS, PLUMES))
    of_key = {p.keys["area"]: p for p in storage.list_partitions(PIXELS, pixels, {"date": key})}
    reach = range(1, plume_thresholds().references.max_days_back + 1)
    later = [str(date.fromisoformat(key) + timedelta(days=n)) for n in reach]
    days = {key} if of_key else set()
    for partition in storage.list_partitions(PIXELS, pixels, {"area": set(of_key), "date": later}) if of_key else []:
        keys = {"method": CH4.method, **partition.keys}
        detected_at = _manifest_time(storage.partition_path(plumes, keys))
        changed_at = _manifest_time(of_key[partition.keys["area"]].path)
        if detected_at is None or changed_at is None or detected_at <= changed_at:
            days.add(partition.keys["date"])
    return sorted(days)


def _manifest_time(partition_path: str) -> datetime | None:
    return storage.modified_at(storage.join(partition_path, storage.MANIFEST))
