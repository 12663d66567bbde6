"""What is known of one source: how often it was looked at, how often it was seen, how much it emitted, since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from plumewatch import storage
from plumewatch.gases import CH4, Gas
from plumewatch.maps.detections_shown import known_rows
from plumewatch.maps.stored_rows import read_sources
from plumewatch.models import Area
from plumewatch.pages.outcomes import limit_text, range_text
from plumewatch.pages.wording import chance_text, rate_text
from plumewatch.statuses import SEARCHED
from plumewatch.tables import MATCHES, OBSERVATIONS

Row = Mapping[str, Any]

NOT_ON_RECORD = "Which orbits passed so near that they would have seen it isn't on record."


def source_history(
    gas: Gas, source: Row, observations: pa.Table, matches: pa.Table, areas: Sequence[Area]
) -> dict[str, Any]:
    """Return what is told of a source (a row of `sources`), as texts: `lines`, and `seen`, the newest first.

    `observations` (with `key`) and `matches` (with `period`) are those of the gas. Methane is looked for wherever an
    area that holds the source was searched; of CO2 an orbit's rows say which sources it passed (`source_id`).
    """
    looked = _looked(gas, source, observations, areas)
    first_rank = pc.and_(pc.equal(matches["source_id"], source["source_id"]), pc.equal(matches["rank"], 1))
    seen = sorted(known_rows(matches.filter(first_rank)), key=lambda row: (row["period"], row["detection_id"]))
    keys, seen_keys = sorted({row["key"] for row in looked}), sorted({row["period"] for row in seen})
    lines = [_looked_text(keys)] if keys or gas is CH4 else [NOT_ON_RECORD]
    lines.append(_seen_text(gas, keys, seen_keys, [row["detected_emission"] for row in seen]))
    limits = [row["detection_limit"] for row in looked if row["key"] not in seen_keys]
    if limit := range_text(limits, lambda value: limit_text(gas, value)):
        lines.append(f"Detection limit when it was looked at and not seen: {limit}.")
    table = [[r["period"], rate_text(gas, r["detected_emission"]), chance_text(r["probability"])] for r in seen]
    return {"lines": lines, "seen": table[::-1]}


def _looked(gas: Gas, source: Row, observations: pa.Table, areas: Sequence[Area]) -> list[Row]:
    rows = [row for row in known_rows(observations) if row["outcome"] == SEARCHED]
    if gas is not CH4:
        return [row for row in rows if row["source_id"] == source["source_id"]]
    place = shapely.Point(source["longitude"], source["latitude"])
    holding = {area.name for area in areas if area.geometry.covers(place)}
    return [row for row in rows if row["area"] in holding]


def _looked_text(keys: Sequence[str]) -> str:
    if not keys:
        return "No area that holds it was searched."
    if len(keys) == 1:
        return f"Looked at once, {keys[0]}."
    return f"Looked at {len(keys)} times, {keys[0]} to {keys[-1]}."


def _seen_text(gas: Gas, looked: Sequence[str], seen: Sequence[str], rates: Sequence[float | None]) -> str:
    if not seen:
        return "Not seen so far."
    often = f"Seen on {len(seen)} of {len(looked)}" if looked else f"Seen {len(seen)} times"
    known = [rate for rate in rates if rate is not None]
    much = f"; {rate_text(gas, sum(known) / len(known))} on average when it was seen" if known else ""
    return f"{often}, {' to '.join(dict.fromkeys((seen[0], seen[-1])))}{much}."


def read_source_history(gas: Gas, source_id: str, storage_root: str, areas: Sequence[Area]) -> dict[str, Any] | None:
    """Return the history of a source (`source_history`) from what is stored; None where no source has that id."""
    sources = read_sources(storage_root)
    wanted = pc.and_(pc.equal(sources["source_id"], source_id), pc.equal(sources["gas"], gas.name))
    found = known_rows(sources.filter(wanted))
    if not found:
        return None
    of_gas = {"gas": gas.name}
    observations = storage.read_table(OBSERVATIONS, storage.join(storage_root, OBSERVATIONS.name), where=of_gas)
    matches = storage.read_table(MATCHES, storage.join(storage_root, MATCHES.name), where=of_gas)
    return source_history(gas, found[0], observations, matches, areas)
