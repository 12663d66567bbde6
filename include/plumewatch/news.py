"""Which detections of a day or month are news: strong ones, and the first ones of their source or place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.pages.wording import chance_text, emission_text, place_text, probability_text, time_text
from plumewatch.reviews import read_detections
from plumewatch.settings import NEW_SOURCE, NEWS_KINDS, RATE
from plumewatch.statuses import ACCEPTED, UNKNOWN_SOURCE
from plumewatch.tables import COMBINED, MATCHES, SOURCE_ESTIMATES, SOURCES, TIME

LEAST_PROBABILITY = 0.5  # news is more probable than not
KIND_TEXTS = {NEW_SOURCE: "the first here", RATE: "strong"}
SAME_PLACE_KM = {CH4.name: 2.0, CO2.name: 50.0}
"""How far apart detections without a source are of one place: a plume's length; how far a peak lies downwind."""


@dataclass(frozen=True)
class News:
    """One detection that is news."""

    detection_id: str
    longitude: float
    latitude: float
    observed_at_utc: datetime | None
    emission: float | None
    """In the gas's unit; None where it has no rate."""
    emission_low: float | None
    emission_high: float | None
    probability: float | None
    """That there is a plume, without the sources upwind."""
    source: str | None
    """Name of the most probable source; None: in no inventory, or not matched."""
    source_probability: float | None
    """That it is the one; of None, that it is in no inventory."""
    kinds: tuple[str, ...]
    """Why it is news."""
    picture: str
    """Path of its picture, whether that is there or not."""

    def line(self, gas: Gas) -> str:
        """All of it in one line, for people."""
        source = self.source or "in no inventory"
        sure = "" if self.source_probability is None else f" ({chance_text(self.source_probability)})"
        why = ", ".join(KIND_TEXTS[kind] for kind in self.kinds)
        chance = "" if self.probability is None else f", {probability_text(self.probability)}"
        rate = emission_text(gas, self.emission, self.emission_low, self.emission_high)
        place = place_text(self.longitude, self.latitude)
        return f"{time_text(self.observed_at_utc)}, {place}: {rate}{chance}; {source}{sure}; {why}"


def find_news(
    storage_root: str, gas: Gas, key: str, kinds: Collection[str], least_rate: float | None, since: datetime
) -> list[News]:
    """Return the detections of a key that are news, strongest first.

    `kinds` are those of NEWS_KINDS that count, and from `least_rate` on (in the unit of the gas; None: from any) a rate
    does. What was observed before `since` is no news, nor is what people have rejected.
    """
    columns = [
        gas.id_column, "longitude", "latitude", "observed_at_utc", "status", "probability", gas.emission_column,
        f"{gas.emission_column}_low", f"{gas.emission_column}_high", *gas.table.partitions,
    ]  # fmt: skip
    stored = _accepted(read_detections(storage_root, gas, columns=columns))
    of_key = stored.filter(pc.equal(stored[gas.key_column], key))
    matched = _first_ranked(storage_root, gas, key)
    found = []
    for row in of_key.to_pylist():
        detection_id = str(row[gas.id_column])
        match = matched.get(detection_id, {})
        rate, at = row[gas.emission_column], row["observed_at_utc"]
        if at is not None and at < since:
            continue
        is_told = {
            NEW_SOURCE: NEW_SOURCE in kinds and _is_first(row, match, stored, gas),
            RATE: RATE in kinds and rate is not None and rate >= (least_rate or 0.0),
        }
        if why := tuple(kind for kind in NEWS_KINDS if is_told[kind]):
            found.append(
                News(
                    detection_id,
                    row["longitude"],
                    row["latitude"],
                    at,
                    rate,
                    row[f"{gas.emission_column}_low"],
                    row[f"{gas.emission_column}_high"],
                    row["probability"],
                    match.get("name"),
                    match.get("probability"),
                    why,
                    storage.join(storage_root, gas.picture_of(row)),
                )
            )
    return sorted(found, key=lambda news: (-(news.emission or 0.0), news.detection_id))


def _accepted(detections: pa.Table) -> pa.Table:
    """Those that are accepted, and more probable than not where a probability is known."""
    probable = pc.fill_null(pc.greater_equal(detections["probability"], LEAST_PROBABILITY), True)
    return detections.filter(pc.and_(pc.equal(detections["status"], ACCEPTED), probable))


def _first_ranked(storage_root: str, gas: Gas, key: str) -> dict[str, dict[str, Any]]:
    """The first-ranked match of each detection of a key, with the source's `name` and when it was `first_seen`."""
    where = {"gas": gas.name, "period": key}
    columns = ["detection_id", "source_id", "probability", "rank", "status"]
    rows = storage.read_table(MATCHES, storage.join(storage_root, MATCHES.name), columns, where=where)
    first = rows.filter(pc.equal(rows["rank"], 1)).to_pylist()
    ids = pa.array(sorted({row["source_id"] for row in first if row["source_id"]}), pa.string())
    named = _by_id(storage_root, SOURCES, {"inventory": COMBINED}, "name", ids)
    seen = _by_id(storage_root, SOURCE_ESTIMATES, {"gas": gas.name}, "first_seen", ids)
    return {
        row["detection_id"]: {**row, "name": named.get(row["source_id"]), "first_seen": seen.get(row["source_id"])}
        for row in first
    }


def _by_id(storage_root: str, table: Any, where: dict[str, str], column: str, ids: pa.Array) -> dict[str, Any]:
    root = storage.join(storage_root, table.name)
    rows = storage.read_table(table, root, ["source_id", column], where, pc.field("source_id").isin(ids))
    return dict(zip(rows["source_id"].to_pylist(), rows[column].to_pylist(), strict=True))


def _is_first(row: dict[str, Any], match: dict[str, Any], stored: pa.Table, gas: Gas) -> bool:
    """Whether no earlier pass saw its source or, where it has none, anything at its place."""
    at = row["observed_at_utc"]
    if match.get("source_id") and match["status"] != UNKNOWN_SOURCE:  # of others no estimate says when they were seen
        return at is None or match["first_seen"] is None or match["first_seen"] >= at
    others = stored.filter(pc.not_equal(stored[gas.id_column].cast(pa.string()), str(row[gas.id_column])))
    earlier = others if at is None else others.filter(pc.less(others["observed_at_utc"], pa.scalar(at, TIME)))
    distance = great_circle_distance_km(
        row["longitude"], row["latitude"], *(earlier[name].to_numpy() for name in ("longitude", "latitude"))
    )
    return not np.any(distance <= SAME_PLACE_KM[gas.name])
