"""What who runs it has to know, as plain values: what failed, which days of which areas were looked at, which units are
spent, and how new each table is. Each reads its own table alone, of it the columns that are shown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.catalogues.processing_units import next_month, used_units
from plumewatch.gases import CH4, Gas
from plumewatch.http import side_by_side
from plumewatch.keys import DAY, MONTH, days_between, is_key
from plumewatch.maps.looked_at import FIRST_TOLD, UNHEARD_OF, looked_at, not_searched_text, searched_text
from plumewatch.observations import read_observations
from plumewatch.pages.outcomes import OUTCOME_TEXTS
from plumewatch.pages.wording import time_text
from plumewatch.statuses import NO_INPUT, SKIPPED_DUPLICATE, WAITING_FOR_QUOTA
from plumewatch.storage import Partition
from plumewatch.table import Table
from plumewatch.tables import FAILED_SCENES, OBSERVATIONS, PROCESSING_UNITS, SCENE_GAPS, TABLES

Row = Mapping[str, Any]

FAILED_COLUMNS = (
    "run_id", "area", "scene_id", "asset", "stage", "error_class", "http_status", "message", "attempts",
    "first_failed_at_utc", "last_failed_at_utc", "is_retryable",
)  # fmt: skip
MAX_FAILED = 1000  # the latest ones; the page says of how many
MISSING = "missing"
"""State of an area's day of which the gap fill has reported something that isn't there."""
STATES = {
    **{outcome: OUTCOME_TEXTS[outcome] for outcome in FIRST_TOLD if outcome != UNHEARD_OF},
    NO_INPUT: "no scene, or no pixels of it",
    UNHEARD_OF: "another outcome",
    MISSING: "missing",
}
"""What a day of an area may be in the calendar, in words."""
NOTHING_CAME = (NO_INPUT, SKIPPED_DUPLICATE)
"""Outcomes that an open gap contradicts: then the day is missing."""
DAYS_SHOWN = 90
"""With which the page begins."""
TABLES_TOLD_S = 300.0  # how long what was listed of all tables is told: each listing asks for every file's name
_listed: dict[str, tuple[float, list[dict[str, Any]]]] = {}
_listing = threading.Lock()


def last_day(storage_root: str, today: date) -> str | None:
    """Return the day with which the page ends; None where nothing is on record.

    The last one of which anything is on record, looked at, failed or missing; but where in `DAYS_SHOWN` days before it
    no scene came and nothing failed, as after a world of last year was looked at, the last one before. Where only
    months of orbits are, the end of the last of them. What lies after `today` doesn't count.
    """
    looked_at, troubled = (
        {partition.keys[table.partitions[-1]] for table in tables for partition in _partitions(table, storage_root, {})}
        for tables in ((OBSERVATIONS,), (FAILED_SCENES, SCENE_GAPS))
    )
    past = [key for key in looked_at | troubled if key <= str(today)]
    if days := sorted(key for key in past if is_key(key, DAY)):
        return _last_with_scenes(storage_root, days, troubled) or days[-1]
    months = [datetime.strptime(key, MONTH).replace(tzinfo=UTC) for key in past if is_key(key, MONTH)]
    return str(min(next_month(max(months)) - timedelta(days=1), today)) if months else None


def _last_with_scenes(storage_root: str, days: Sequence[str], troubled: set[str]) -> str | None:
    """The last of some days, in their order, such that of those it is shown with one has a scene or trouble."""
    came = [outcome for outcome in FIRST_TOLD if outcome != NO_INPUT]
    while days:
        shown_from = str(date.fromisoformat(days[-1]) - timedelta(days=DAYS_SHOWN - 1))
        shown = [day for day in days if day >= shown_from]
        if not troubled.isdisjoint(shown):  # no table has to be read
            return days[-1]
        if any(rank < len(came) for _, _, rank in _ranked_outcomes(storage_root, shown, [*came, NO_INPUT])):
            return days[-1]
        days = days[: -len(shown)]
    return None


def failed_dags(storage_root: str) -> list[str]:
    """Return the DAGs of which failures are on record."""
    root = storage.join(storage_root, FAILED_SCENES.name)
    return sorted({partition.keys["dag_id"] for partition in storage.list_partitions(FAILED_SCENES, root)})


def failed_scenes(storage_root: str, dag_ids: Collection[str], since: str) -> list[Row]:
    """Return what is failed and not healed of these DAGs, of days and months from `since` (a day) on, the latest first.

    Rows of `failed_scenes` with their partitions.
    """
    partitions = [
        partition
        for partition in _partitions(FAILED_SCENES, storage_root, {"dag_id": dag_ids})
        if partition.keys["key"] >= since[: len(partition.keys["key"])]
    ]
    is_open = pc.field("healed_at_utc").is_null()
    rows = _read(FAILED_SCENES, partitions, FAILED_COLUMNS, is_open).to_pylist()
    rows.sort(key=lambda row: (row["last_failed_at_utc"], row["key"], str(row["area"]), row["scene_id"]), reverse=True)
    return rows


def failure_shown(row: Row) -> dict[str, Any]:
    """Return what is shown of a row of `failed_scenes`: times as texts, absent texts as empty ones."""
    texts = {name: str(row[name] or "") for name in ("dag_id", "key", "area", "scene_id", "asset", "stage", "message")}
    reason = f"{row['error_class']} {row['http_status']}" if row["http_status"] else str(row["error_class"])
    return {
        **texts,
        "reason": reason,
        "attempts": row["attempts"],
        "first": time_text(row["first_failed_at_utc"]),
        "last": time_text(row["last_failed_at_utc"]),
        "is_retryable": bool(row["is_retryable"]),
    }


def calendar_of_areas(storage_root: str, first: str, last: str, areas: Collection[str]) -> dict[str, Any]:
    """Return what came of each day from `first` to `last` of each area: of `areas`, and of those that have rows.

    `areas` of the result have `cells`: number of the day, number of the state in `states`, and how many scenes of it
    are missing. The rule is that of the map (`looked_at.FIRST_TOLD`). A day without a cell: nothing is on record.
    """
    days = days_between(date.fromisoformat(first), date.fromisoformat(last))
    number = {day: n for n, day in enumerate(days)}
    state = {name: n for n, name in enumerate(STATES)}
    order = [*FIRST_TOLD]
    cells: dict[tuple[str, str], list[int]] = {}
    for key, area, rank in _ranked_outcomes(storage_root, days, order):
        cells[area, key] = [number[key], state[order[rank]], 0]
    for key, area, n_open, is_waiting in _open_gaps(storage_root, days):
        cell = cells.setdefault((area, key), [number[key], state[MISSING], 0])
        cell[2] = n_open
        if cell[1] in {state[name] for name in NOTHING_CAME}:
            cell[1] = state[WAITING_FOR_QUOTA if is_waiting else MISSING]
    by_area: dict[str, list[list[int]]] = {area: [] for area in sorted(areas)}
    for (area, _), cell in sorted(cells.items()):
        by_area.setdefault(area, []).append(cell)
    return {
        "days": days,
        "states": [[name, text] for name, text in STATES.items()],
        "areas": [{"name": area, "cells": by_area[area]} for area in sorted(by_area)],
    }


def _ranked_outcomes(storage_root: str, days: Sequence[str], order: Sequence[str]) -> list[tuple[str, str, int]]:
    """Day, area, and the first in `order` of the outcomes of its rows of `observations`."""
    partitions = _partitions(OBSERVATIONS, storage_root, {"gas": CH4.name, "key": days})
    rows = _read(OBSERVATIONS, partitions, ["area", "outcome"])
    rows = rows.filter(pc.is_valid(rows["area"]))
    unheard = pa.scalar(order.index(UNHEARD_OF), pa.int32())
    rank = pc.fill_null(pc.index_in(rows["outcome"], value_set=pa.array(order)), unheard)
    least = rows.append_column("rank", rank).group_by(["key", "area"]).aggregate([("rank", "min")])
    return list(zip(*(least[name].to_pylist() for name in ("key", "area", "rank_min")), strict=True))


def _open_gaps(storage_root: str, days: Sequence[str]) -> list[tuple[str, str, int, bool]]:
    """Day, area, how many scenes of it are missing (of a whole day: one), and whether all wait for a quota."""
    partitions = _partitions(SCENE_GAPS, storage_root, {"date": days})
    is_open = pc.field("filled_at_utc").is_null()
    rows = _read(SCENE_GAPS, partitions, ["area", "reason"], is_open)
    rows = rows.append_column("waits", pc.equal(rows["reason"], WAITING_FOR_QUOTA))
    counted = rows.group_by(["date", "area"]).aggregate([("reason", "count"), ("waits", "all")])
    columns = ("date", "area", "reason_count", "waits_all")
    return list(zip(*(counted[name].to_pylist() for name in columns), strict=True))


def months_looked_at(gas: Gas, storage_root: str, months: Sequence[str]) -> list[list[str]]:
    """Return of each month that has rows, the newest first: the month, what was searched, and what wasn't and why."""
    found = read_observations(storage_root, gas.name, months)
    told = {month: looked_at(gas, rows) for month, rows in found.items() if rows}
    return [
        [month, searched_text(gas, told[month]), not_searched_text(told[month])] for month in sorted(told, reverse=True)
    ]


def units_spent(storage_root: str, monthly_units: float, moment: datetime) -> list[dict[str, Any]]:
    """Return what each account of Sentinel Hub has spent in each month, the newest first, and of this one what is left.

    `left` is None for months that are over. Accounts have the ledger's names, which don't tell whose they are.
    """
    partitions = _partitions(PROCESSING_UNITS, storage_root, {})
    rows = _read(PROCESSING_UNITS, partitions, ["spent_units", "predicted_units", "n_requests", "is_refused"])
    this_month, found = moment.strftime(MONTH), []
    for partition in sorted(partitions, key=lambda p: (p.keys["month"], p.keys["account"]), reverse=True):
        account, month = partition.keys["account"], partition.keys["month"]
        own = rows.filter(pc.and_(pc.equal(rows["account"], account), pc.equal(rows["month"], month)))
        used, is_now = used_units(own), month == this_month
        found.append(
            {
                "account": account,
                "month": month,
                "used": round(used, 2),
                "monthly": monthly_units,
                "left": round(max(monthly_units - used, 0.0), 2) if is_now else None,
                "until": str(next_month(moment)) if is_now else None,
                "n_requests": pc.sum(own["n_requests"]).as_py() or 0,
                "was_refused": bool(pc.any(own["is_refused"]).as_py()),
            }
        )
    return found


def tables_written(storage_root: str) -> list[dict[str, Any]]:
    """Return of each table that is stored how many partitions it has, of which keys, and when it was last written.

    One listing a table; nothing is opened. What was listed is told for TABLES_TOLD_S; who asks while it is listed waits
    for that listing.
    """
    with _listing:
        listed = _listed.get(storage_root)
        if listed is None or time.monotonic() - listed[0] > TABLES_TOLD_S:
            listed = time.monotonic(), _list_tables(storage_root)
            _listed[storage_root] = listed
        return listed[1]


def _list_tables(storage_root: str) -> list[dict[str, Any]]:
    def describe(table: Table) -> dict[str, Any] | None:
        folders, n_bytes, written_at = set(), 0, datetime.min.replace(tzinfo=UTC)
        for file in storage.each_stored_file(storage.join(storage_root, table.name)):
            folders.add(storage.parent(file.path))
            n_bytes += file.n_bytes
            written_at = max(written_at, file.modified_at)
        if not folders:
            return None
        found = [storage.keys_in_path(table, folder) for folder in folders]
        whole = [keys for keys in found if len(keys) == len(table.partitions)]
        last_column = [keys[table.partitions[-1]] for keys in whole]
        return {
            "name": table.name,
            "n_partitions": len(whole),
            "first": min(last_column, default=""),
            "last": max(last_column, default=""),
            "n_bytes": n_bytes,
            "written_at": written_at.astimezone(UTC).isoformat(timespec="seconds"),
        }

    described = side_by_side(describe, TABLES.values(), "tables listed", "tables")
    return sorted((one for one in described if one), key=lambda one: str(one["name"]))


def _partitions(table: Table, storage_root: str, where: Mapping[str, Any]) -> list[Partition]:
    return storage.list_partitions(table, storage.join(storage_root, table.name), where)


def _read(
    table: Table, partitions: Sequence[Partition], columns: Sequence[str], filter: pc.Expression | None = None
) -> pa.Table:
    """Some columns of partitions, with those of the partitions themselves."""
    wanted = [*columns, *table.partitions]

    def read(partition: Partition) -> pa.Table:
        rows = storage.read_table(table, partition.path, wanted, filter=filter)
        return rows.select(wanted)

    found = side_by_side(read, partitions, f"{table.name} read", "partitions") if partitions else []
    empty = pa.schema([table.full_schema().field(name) for name in wanted]).empty_table()
    return pa.concat_tables([empty, *found], promote_options="permissive")
