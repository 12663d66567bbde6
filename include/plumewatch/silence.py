"""Where nothing has come for too long: areas without a clear scene, months without soundings, runs that wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from plumewatch import storage
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.keys import MONTH
from plumewatch.statuses import NO_INPUT, SEARCHED
from plumewatch.storage import Partition
from plumewatch.tables import OBSERVATIONS

MONTHS_LATE, MONTHS_WATCHED = 3, 4
"""A month of OCO-2 Lite files is published some two months after its end: what is due is three to six months old."""


def silent_areas(storage_root: str, names: Iterable[str], days: int, today: date) -> dict[str, str]:
    """Return why each area that has had no clear scene in the last `days` days has none; others aren't there.

    A clear scene is one that was searched for methane, as `observations` say.
    """
    keys = {str(today - timedelta(days=n)) for n in range(days + 1)}
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in names}
    for partition in _partitions(storage_root, CH4, keys):
        rows = storage.read_table(OBSERVATIONS, partition.path, ["area", "outcome"])
        for area, outcome in zip(rows["area"].to_pylist(), rows["outcome"].to_pylist(), strict=True):
            if area in outcomes:
                outcomes[area][outcome] += 1
    return {
        name: f"no clear scene in {days} days: {_counted(counts) or 'no run has looked'}"
        for name, counts in outcomes.items()
        if not counts[SEARCHED]
    }


def silent_months(storage_root: str, today: date) -> dict[str, str]:
    """Return why each month whose soundings are due has none, by its key; others aren't there.

    Nothing is due of months before the first that was looked at.
    """
    first = today.year * 12 + today.month - 1 - MONTHS_LATE
    due = [f"{n // 12}-{n % 12 + 1:02d}" for n in range(first, first - MONTHS_WATCHED, -1)]
    assert all(date.fromisoformat(f"{month}-01").strftime(MONTH) == month for month in due)
    stored = {partition.keys["key"]: partition for partition in _partitions(storage_root, CO2)}
    found = {month: Counter[str]() for month in due if stored and month >= min(stored)}
    for month in found.keys() & stored.keys():
        rows = storage.read_table(OBSERVATIONS, stored[month].path, ["outcome"])
        found[month].update(rows["outcome"].to_pylist())
    return {
        month: f"no soundings: {_counted(counts) or 'no run has looked'}"
        for month, counts in found.items()
        if not set(counts) - {NO_INPUT}
    }


def _partitions(storage_root: str, gas: Gas, keys: set[str] | None = None) -> list[Partition]:
    where: dict[str, str | set[str]] = {"gas": gas.name} | ({} if keys is None else {"key": keys})
    return storage.list_partitions(OBSERVATIONS, storage.join(storage_root, OBSERVATIONS.name), where)


def _counted(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {outcome.replace('_', ' ')}" for outcome, n in sorted(outcomes.items()))
