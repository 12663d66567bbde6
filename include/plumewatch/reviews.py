"""What people say of detections: the table `reviews`, and how their word is heeded.

A review is one person's verdict on one detection: that it is a plume (confirm) or isn't (reject). Reviews are only ever
added, each run of a detection leaves them alone, and of several on one detection the last word counts. A detection that
a later run finds again under another id, as when its references changed, is known by its time and place.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.errors import ParameterError
from plumewatch.gases import CH4, CO2, GASES, Gas
from plumewatch.geodesy import great_circle_distance_km, wrap_longitude
from plumewatch.statuses import ACCEPTED, CONFIRM, REJECT, REJECTED, VERDICTS
from plumewatch.table import floats
from plumewatch.tables import MATCHES, REVIEWS

SAME_WITHIN_KM = {CH4.name: 1.0, CO2.name: 10.0}  # a plume's length; the width of a peak
SAME_WITHIN_S = 60.0  # of one pass: a satellite flies 400 km in it, so that the place decides
MAX_TEXT = 2000  # characters of a comment


def append_review(
    storage_root: str,
    gas: str,
    detection_id: str,
    *,
    longitude: float,
    latitude: float,
    observed_at_utc: datetime | None,
    verdict: str,
    by: str,
    at: datetime,
    comment: str = "",
) -> None:
    """Add a person's verdict (`confirm`, `reject`) on a detection to the table `reviews`, under the partition's lock.

    Place, in degrees, and time are those of the detection; `by` is who says it, `at` when (both times with their zone).
    The same said twice at one time is one row. Raises ParameterError for what can't be.
    """
    _check(gas, detection_id, longitude, latitude, verdict, by, comment)
    for name, when in (("observed_at_utc", observed_at_utc), ("at", at)):
        if when is not None and when.tzinfo is None:
            raise ParameterError(f"{name} {when} without a time zone; allowed: a time with its zone, such as UTC")
    row = {
        "detection_id": detection_id,
        "longitude": float(wrap_longitude(longitude)),
        "latitude": latitude,
        "observed_at_utc": observed_at_utc and observed_at_utc.astimezone(UTC),
        "verdict": verdict,
        "comment": comment.strip() or None,
        "by": by.strip(),
        "at": at.astimezone(UTC),
    }
    added = REVIEWS.from_pylist([row]).select(REVIEWS.schema.names)

    def change(existing: pa.Table) -> pa.Table:
        together = pa.concat_tables([existing, added])
        return together.group_by(REVIEWS.schema.names, use_threads=False).aggregate([])

    storage.change_rows(REVIEWS, storage.join(storage_root, REVIEWS.name), {"gas": gas}, change)


def read_reviews(storage_root: str, gas: str) -> pa.Table:
    """Return all that was ever said of a gas's detections, as rows of `reviews`, by detection and time."""
    return read_reviews_at(storage.join(storage_root, REVIEWS.name), gas)


def read_reviews_at(path: str, gas: str) -> pa.Table:
    """Return what `read_reviews` does of the table at `path`; no such path is nothing said."""
    rows = storage.read_table(REVIEWS, path, REVIEWS.schema.names, where={"gas": gas})
    return rows.sort_by([("detection_id", "ascending"), ("at", "ascending"), ("by", "ascending")])


def last_words(reviews: pa.Table) -> pa.Table:
    """Return the row of each detection that was said last, in the order of ids.

    >>> from plumewatch.tables import REVIEWS
    >>> said = dict(longitude=54.2, latitude=38.5, by="ann")
    >>> first, then = (datetime(2025, 9, day, tzinfo=UTC) for day in (1, 2))
    >>> last_words(REVIEWS.from_pylist([dict(said, detection_id="a", verdict="reject", at=first),
    ...     dict(said, detection_id="a", verdict="confirm", at=then)]))["verdict"].to_pylist()
    ['confirm']
    """
    rows = reviews.sort_by([(name, "ascending") for name in ("detection_id", "at", "by", "verdict")])
    ids = rows["detection_id"].to_numpy(zero_copy_only=False).astype(str)
    return rows.filter(pa.array(np.append(ids[1:] != ids[:-1], np.ones(min(len(ids), 1), bool)).astype(bool)))


def verdicts_of(gas: Gas, detections: pa.Table, reviews: pa.Table) -> pa.Array:
    """Return the last word on each row of the gas's table (`plumes`, `peaks`), null where nobody has said one.

    A review belongs to the detection of its id, else to the nearest one of its pass that has the same place within
    1 km (CH4) or 10 km (CO2), if that has no review of its own.
    """
    ids = detections[gas.id_column].cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
    found = np.full(len(ids), None, object)
    said = last_words(reviews)
    # A refused candidate of an orbit may share its id with an accepted peak: then the accepted one is meant.
    is_accepted = pc.equal(detections["status"], ACCEPTED).to_numpy() if "status" in detections.column_names else None
    at_of: dict[str, list[int]] = {}
    for at in range(len(ids)) if is_accepted is None else np.argsort(~is_accepted, kind="stable"):
        others = at_of.setdefault(ids[at], [])
        if is_accepted is None or is_accepted[at] or not others or not is_accepted[others[0]]:
            others.append(at)
    lon, lat = (floats(detections[name]) for name in ("longitude", "latitude"))
    seconds = _seconds(detections["observed_at_utc"])
    strays = []
    for row, time_s in zip(said.to_pylist(), _seconds(said["observed_at_utc"]), strict=True):
        found[at_of.get(row["detection_id"], [])] = row["verdict"]
        if row["detection_id"] not in at_of and math.isfinite(time_s):
            strays.append((row, time_s))
    is_free = np.array([verdict is None for verdict in found], bool)
    for row, time_s in strays:
        near = np.flatnonzero(is_free & (np.abs(seconds - time_s) <= SAME_WITHIN_S))
        distance = great_circle_distance_km(row["longitude"], row["latitude"], lon[near], lat[near])
        if len(near) and distance.min() <= SAME_WITHIN_KM[gas.name]:
            found[near[np.argmin(distance)]] = row["verdict"]
    return pa.array(found.tolist(), pa.string())


def heeded(gas: Gas, detections: pa.Table, reviews: pa.Table) -> pa.Table:
    """Return rows of the gas's table as people have judged them.

    What was rejected has the status `rejected` and the probability 0, what was confirmed is accepted, and sure.
    """
    if not reviews.num_rows or not detections.num_rows:
        return detections
    verdict = verdicts_of(gas, detections, reviews)
    for word, status, probability in ((REJECT, REJECTED, 0.0), (CONFIRM, ACCEPTED, 1.0)):
        is_said = pc.fill_null(pc.equal(verdict, word), False)
        for name, value in (("status", status), ("probability", probability)):
            if name in detections.column_names:
                at, kind = detections.column_names.index(name), detections.schema.field(name).type
                column = pc.if_else(is_said, pa.scalar(value, kind), detections[name])
                detections = detections.set_column(at, detections.schema.field(name), column)
    return detections


def read_detections(
    storage_root: str, gas: Gas, keys: str | Collection[str] | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the stored detections of a gas's default method as people have judged them: of a key, of some, of all.

    `columns` narrows to some; those by which a detection is known have to be among them (`verdicts_of`).
    """
    where = {"method": gas.method} | ({} if keys is None else {gas.key_column: keys})
    rows = storage.read_table(gas.table, storage.join(storage_root, gas.table.name), columns, where=where)
    return heeded(gas, rows, read_reviews(storage_root, gas.name))


def heed_in_matches(storage_root: str, gas: Gas, key: str) -> int:
    """Take what people rejected out of the `matches` of a key, and the doubt out of what they confirmed.

    A confirmed detection is no false one (`false_detection_probability` 0). Returns how many detections that
    changes; where it is none, nothing is written.
    """
    reviews = read_reviews(storage_root, gas.name)
    root = storage.join(storage_root, MATCHES.name)
    stored = storage.list_partitions(MATCHES, root, {"gas": gas.name, "period": key})
    if not reviews.num_rows or not stored:
        return 0
    [partition] = stored
    where = {"method": gas.method, gas.key_column: key}
    columns = [gas.id_column, "longitude", "latitude", "observed_at_utc"]
    detections = storage.read_table(gas.table, storage.join(storage_root, gas.table.name), columns, where=where)
    verdict = verdicts_of(gas, detections, reviews)
    ids = detections[gas.id_column].cast(pa.string()).combine_chunks()
    by_verdict = {word: ids.filter(pc.fill_null(pc.equal(verdict, word), False)) for word in VERDICTS}
    rows = storage.read_table(MATCHES, partition.path, MATCHES.schema.names)
    n_before = pc.count_distinct(rows["detection_id"]).as_py()
    rows = rows.filter(pc.invert(pc.is_in(rows["detection_id"], by_verdict[REJECT])))
    is_sure = pc.is_in(rows["detection_id"], by_verdict[CONFIRM])
    name = "false_detection_probability"
    doubt = pc.if_else(is_sure, 0.0, rows[name])
    is_made_sure = pc.and_(is_sure, pc.fill_null(pc.not_equal(rows[name], 0.0), True))
    n = n_before - pc.count_distinct(rows["detection_id"]).as_py()
    n += pc.count_distinct(rows["detection_id"].filter(is_made_sure)).as_py()
    if n:
        manifest = storage.read_manifest(partition.path) or {}
        first = rows.filter(pc.equal(rows["rank"], 1))
        versions = manifest.get("versions", {})
        storage.write_partition(
            MATCHES,
            root,
            {"gas": gas.name, "period": key},
            rows.set_column(rows.column_names.index(name), name, doubt),
            inputs=manifest.get("inputs", []),
            settings={**manifest.get("settings", {}), "calibration": versions.get("calibration")},
            counts={c["values"]: c["counts"] for c in first["status"].value_counts().to_pylist()},
        )
    return int(n)


def _seconds(times: pa.ChunkedArray) -> np.ndarray:
    """Times as seconds since 1970, NaN where unknown."""
    micros = times.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy(zero_copy_only=False).astype(float)
    return micros / 1e6


def _check(gas: str, detection_id: str, longitude: float, latitude: float, verdict: str, by: str, comment: str) -> None:
    if gas not in GASES:
        raise ParameterError(f"gas {gas!r}; allowed: {', '.join(GASES)}")
    if verdict not in VERDICTS:
        raise ParameterError(f"verdict {verdict!r}; allowed: {', '.join(VERDICTS)}")
    if not detection_id.strip():
        raise ParameterError("no detection_id; allowed: the plume_id or peak_id of a detection")
    if not (abs(longitude) <= 360.0 and abs(latitude) <= 90.0):
        raise ParameterError(f"place {longitude}, {latitude}; allowed: longitude and latitude in degrees")
    if not by.strip():
        raise ParameterError("nobody who says it; allowed: a name in `by`")
    if len(comment) > MAX_TEXT:
        raise ParameterError(f"a comment of {len(comment)} characters; allowed: at most {MAX_TEXT}")
