"""What the storage holds of keys: the rows that maps are made from, and one detection with all that is known of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.gases import Gas
from plumewatch.hand_offs import waiting_keys
from plumewatch.keys import is_file_name, is_key
from plumewatch.maps.content import MapRows, detection_told
from plumewatch.models import Area
from plumewatch.pages.wording import time_text
from plumewatch.reviews import read_detections, read_reviews
from plumewatch.statuses import ACCEPTED, CONFIRM, REJECT
from plumewatch.tables import COMBINED, MATCHES, OBSERVATIONS, REPORTED_PLUMES, SOURCES

VERDICT_TEXTS = {CONFIRM: "confirmed", REJECT: "rejected"}


def stored_keys(gas: Gas, storage_root: str, among: Collection[str] | None = None) -> list[str]:
    """Return the keys of which the storage says something, in their order: those looked at, and those matched.

    `among` narrows what is looked for; None: all.
    """
    found = set()
    for table, column in ((OBSERVATIONS, "key"), (MATCHES, "period")):
        root = storage.join(storage_root, table.name)
        where: dict[str, Any] = {"gas": gas.name} | ({} if among is None else {column: among})
        found |= {p.keys[column] for p in storage.list_partitions(table, root, where)}
    return sorted(key for key in found if is_key(key, gas.key_format))


def read_map_rows(gas: Gas, keys: Sequence[str], storage_root: str, areas: Sequence[Area] = ()) -> MapRows:
    """Return what is stored of a gas's keys; pictures and pages are left to whom they concern."""
    waiting = waiting_keys(storage_root, gas)
    return MapRows(
        detections=read_detections(storage_root, gas, keys),
        matches=_matches(gas, keys, storage_root),
        sources=read_sources(storage_root),
        observations=storage.read_table(
            OBSERVATIONS, storage.join(storage_root, OBSERVATIONS.name), where={"gas": gas.name, "key": keys}
        ),
        areas=areas,
        waits_since_utc=next((waiting[key] for key in keys if key in waiting), None),
        reports=storage.read_table(REPORTED_PLUMES, storage.join(storage_root, REPORTED_PLUMES.name)).to_pylist(),
    )


def read_sources(storage_root: str) -> pa.Table:
    """Return the sources of all gases, each emitter once."""
    return storage.read_table(SOURCES, storage.join(storage_root, SOURCES.name), where={"inventory": COMBINED})


def _matches(gas: Gas, keys: Sequence[str], storage_root: str) -> pa.Table:
    where = {"gas": gas.name, "period": keys}
    return storage.read_table(MATCHES, storage.join(storage_root, MATCHES.name), where=where)


@dataclass(frozen=True)
class StoredDetection:
    """One detection of the default method, as it is stored."""

    row: Mapping[str, Any]
    """Its row of `plumes` or `peaks`, with the partitions."""
    told: Mapping[str, Any]
    """What is told of it (`content.detection_told`)."""
    picture: str | None
    """Path of its picture, None where there is none."""
    item: str | None
    """Path of its scene's STAC item, None where there is none."""
    reviews: Sequence[str]
    """What people said of it, in words, in the order of time."""


def find_detection(gas: Gas, key: str, name: str, storage_root: str) -> StoredDetection | None:
    """Return a detection of a key by its id on the map (of a refused one: id and status); None where there is none.

    `name` is compared with what is stored, and leads to no path unless it is there.
    """
    detection_id, _, status = name.partition(" ")
    rows = read_detections(storage_root, gas, key)
    same_id = rows.filter(pc.equal(pc.cast(rows[gas.id_column], pa.string()), detection_id)).to_pylist()
    if not same_id:
        return None
    # A verdict may have changed the status since the map was drawn.
    wanted = min(same_id, key=lambda row: (row["status"] != (status or ACCEPTED), row["status"]))
    row = {column: None if value != value else value for column, value in wanted.items()}
    matches = _matches(gas, [key], storage_root)
    matches = matches.filter(pc.equal(matches["detection_id"], detection_id))
    told = detection_told(gas, row, matches, read_sources(storage_root))
    said = review_texts(read_reviews(storage_root, gas.name), detection_id)
    return StoredDetection(row, told, stored_picture(gas, row, storage_root), _item(row, storage_root), said)


def stored_picture(gas: Gas, row: Mapping[str, Any], storage_root: str) -> str | None:
    """Return where the picture of a detection (a row with its partitions) is, None where there is none."""
    return _there(storage.join(storage_root, gas.picture_of(row)), str(row[gas.id_column]))


def review_texts(reviews: pa.Table, detection_id: str) -> list[str]:
    """Return what people said of a detection (rows of `reviews`), in words, in the order of time."""
    said = reviews.filter(pc.equal(reviews["detection_id"], detection_id)).to_pylist()
    said.sort(key=lambda review: review["at"])
    return [
        f"{VERDICT_TEXTS[review['verdict']]} by {review['by']}, {time_text(review['at'])}"
        + (f": {review['comment']}" if review["comment"] else "")
        for review in said
    ]


def _item(row: Mapping[str, Any], storage_root: str) -> str | None:
    if not row.get("scene_id"):
        return None
    folder = storage.partition_path(storage.join(storage_root, "scenes"), {"area": row["area"], "date": row["date"]})
    return _there(storage.join(folder, f"{row['scene_id']}.json"), row["scene_id"])


def _there(path: str, name: str) -> str | None:
    """The path of a file that is called by a name, if that leads nowhere else and the file is there."""
    return path if is_file_name(name) and storage.is_file(path) else None
