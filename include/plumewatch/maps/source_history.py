"""What is known of one source: how often it was looked at, how often it was seen, how much it emitted, since when.

All of it is what the detections have written of the source: its rows of `source_passes`, and of `source_estimates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.evidence.estimates import passes_that_saw, read_source_passes, rejected_by_people
from plumewatch.gases import CH4, DETECTION, Gas
from plumewatch.maps.detections_shown import known_rows
from plumewatch.maps.stored_rows import read_sources
from plumewatch.pages.outcomes import limit_text, range_text, share_text
from plumewatch.pages.wording import chance_text, digits_text, emission_text, match_text, rate_text, time_text
from plumewatch.tables import SOURCE_ESTIMATES, SOURCE_PASSES

Row = Mapping[str, Any]

NOT_LOOKED_AT = {
    "ch4": "No pass that was searched has looked at it.",
    "co2": "No orbit that was searched has passed it so that it would have seen its plume.",
}
"""By the name of the gas."""
MAX_SEEN = 200  # detections in the table, the newest ones; the page of the source has all


def source_history(
    gas: Gas, passes: pa.Table, estimate: Row | None, rejected: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return what is told of a source, as texts: `lines`, and `seen`, its detections, the newest first.

    `passes` are its rows of `source_passes`, `estimate` is its row of `source_estimates`; detections that people have
    `rejected` since are none.
    """
    order = pc.sort_indices(passes, [("observed_at_utc", "ascending"), ("detection_id", "ascending")])
    passes = passes.take(order)
    is_seen = passes_that_saw(passes, rejected)
    rows = known_rows(passes)
    seen = [row for row, was in zip(rows, is_seen, strict=True) if was]
    unseen = [row for row, was in zip(rows, is_seen, strict=True) if not was]
    lines = [_looked_text(gas, rows)]
    if rows:
        lines.append(_seen_text(len(rows), seen))
    if estimate and estimate["emission"] is not None:
        lines.append(_emission_text(gas, estimate))
    if limit := range_text([row["detection_limit"] for row in unseen], lambda value: limit_text(gas, value)):
        lines.append(f"Detection limit when it was looked at and not seen: {limit}.")
    table = [
        [
            time_text(row["observed_at_utc"]),
            emission_text(gas, row["emission"], row["emission_low"], row["emission_high"]),
            chance_text(row["probability"]),
        ]
        for row in seen[-MAX_SEEN:]
    ]
    return {"lines": lines, "seen": table[::-1]}


def _looked_text(gas: Gas, rows: Sequence[Row]) -> str:
    if not rows:
        return NOT_LOOKED_AT[gas.name]
    what = "Looked at by" if gas is CH4 else "Passed, so that its plume would have been seen, by"
    noun = "pass" if gas is CH4 else "orbit"
    plural = ("es" if gas is CH4 else "s") if len(rows) > 1 else ""
    text = f"{what} {len(rows)} {noun}{plural}, {_days(rows)}"
    chances = range_text([row["visible_fraction"] for row in rows], share_text)
    return f"{text}; the chance that it was not hidden: {chances}." if chances else f"{text}."


def _seen_text(n_looked: int, seen: Sequence[Row]) -> str:
    return f"Seen by {len(seen)} of {n_looked}, {_days(seen)}." if seen else "Not seen so far."


def _days(rows: Sequence[Row]) -> str:
    """The first and the last day of rows in the order of time."""
    days = [f"{row['observed_at_utc']:%Y-%m-%d}" for row in rows if row["observed_at_utc"] is not None]
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "at unknown times"


def _emission_text(gas: Gas, estimate: Row) -> str:
    much = emission_text(gas, estimate["emission"], estimate["emission_low"], estimate["emission_high"])
    text = f"All passes together: {much}"
    if estimate["ratio"] is not None:
        listed = rate_text(gas, estimate["inventory_emission"])
        text += f", {digits_text(estimate['ratio'])} times the {listed} of the inventory"
    return f"{text} ({match_text(estimate['status'])})." if estimate["status"] else f"{text}."


def read_source_history(gas: Gas, source_id: str, storage_root: str) -> dict[str, Any] | None:
    """Return the history of a source (`source_history`) from what is stored; None where no source has that id."""
    sources = read_sources(storage_root)
    wanted = pc.and_(pc.equal(sources["source_id"], source_id), pc.equal(sources["gas"], gas.name))
    if not pc.any(wanted).as_py():
        return None
    root = storage.join(storage_root, SOURCE_PASSES.name)
    if not storage.list_partitions(SOURCE_PASSES, root, {"gas": gas.name}):
        return {"lines": [f"No pass is on record: {DETECTION[gas.name]} hasn't written any yet."], "seen": []}
    estimates = storage.read_table(
        SOURCE_ESTIMATES,
        storage.join(storage_root, SOURCE_ESTIMATES.name),
        where={"gas": gas.name},
        filter=pc.field("source_id") == source_id,
    )
    return source_history(
        gas,
        read_source_passes(storage_root, gas, source_id=source_id),
        next(iter(known_rows(estimates)), None),
        rejected_by_people(storage_root, gas),
    )
