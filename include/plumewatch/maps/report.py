"""The report of each month as a file: `reports/<month>.html`, which opens by double click without network.

`python -m plumewatch.maps.report` writes those of all months from what is stored; each map that a DAG draws brings the
report of its month up to date. What a report tells of a day stands in `reports/parts/<gas>/<key>.json`, so that another
day of the month costs the reading of that day alone.
"""

from __future__ import annotations

import json
import logging
import sys
from calendar import monthrange
from collections.abc import Sequence
from typing import Any

from plumewatch import storage
from plumewatch.gases import CH4, GASES, Gas
from plumewatch.http import side_by_side
from plumewatch.maps.by_hand import write_by_hand
from plumewatch.maps.report_page import key_summary, render_report
from plumewatch.maps.stored_rows import read_map_rows, stored_keys
from plumewatch.models import Area
from plumewatch.progress import followed

REPORTS, PARTS = "reports", "parts"
VERSION = 1  # of the parts: counted up when `key_summary` tells anything else

log = logging.getLogger(__name__)


def refresh_reports(gas: Gas, keys: Sequence[str], storage_root: str, areas: Sequence[Area] = ()) -> list[str]:
    """Bring the reports of the months of some keys up to date, and return their paths.

    A month that has no report yet is read as a whole; parts that can't be read, or are of another version, are remade.
    `areas` are those of methane, whichever the gas.
    """
    months = sorted({key[:7] for key in keys})
    wanted = {(gas.name, key) for key in keys}
    for month in months:
        if not storage.exists(report_path(storage_root, month)):
            wanted |= {(g.name, key) for g in GASES.values() for key in stored_keys(g, storage_root, _keys_of(month))}
        wanted |= {of for of, summary in _read_parts(storage_root, month).items() if summary is None}
    for name in GASES:
        write_parts(GASES[name], sorted(key for of, key in wanted if of == name), storage_root, areas)
    return [_write_report(storage_root, month) for month in months]


def write_parts(gas: Gas, keys: Sequence[str], storage_root: str, areas: Sequence[Area] = ()) -> None:
    """Write what reports tell of some keys; they themselves follow with the next `refresh_reports` of their months."""
    for key in followed(keys, "keys of reports", "keys") if keys else ():
        rows = read_map_rows(gas, [key], storage_root, areas if gas is CH4 else ())
        part = {"version": VERSION, **key_summary(gas, key, rows)}
        storage.write_json(_part(storage_root, gas.name, key), part)


def write_reports(storage_root: str, areas: Sequence[Area] = ()) -> list[str]:
    """Write the reports of all months of which anything is stored, and return their paths."""
    return sorted(
        {
            path
            for gas in GASES.values()
            for path in refresh_reports(gas, stored_keys(gas, storage_root), storage_root, areas)
        }
    )


def report_path(storage_root: str, month: str) -> str:
    """Return where the report of a month is."""
    return storage.join(storage_root, REPORTS, f"{month}.html")


def _part(storage_root: str, gas: str, key: str) -> str:
    return storage.join(storage_root, REPORTS, PARTS, gas, f"{key}.json")


def _keys_of(month: str) -> list[str]:
    """A month and its days."""
    year, number = map(int, month.split("-"))
    return [month, *(f"{month}-{day:02d}" for day in range(1, monthrange(year, number)[1] + 1))]


def _write_report(storage_root: str, month: str) -> str:
    """Put a month's parts together; of two that do so at once, the later has to see the part of the other."""
    path, folder = report_path(storage_root, month), storage.join(storage_root, REPORTS, PARTS)
    with storage.lock(folder):
        # A part that an older program has put in meanwhile is left out until the next map: it remakes it.
        summaries = [summary for summary in _read_parts(storage_root, month).values() if summary is not None]
        storage.write_bytes(path, render_report(month, summaries).encode())
    return path


def _read_parts(storage_root: str, month: str) -> dict[tuple[str, str], Any]:
    """What is told of a month's keys, by gas and key; None where it can't be read or is of another version."""
    there = set(storage.list_files(storage.join(storage_root, REPORTS, PARTS)))
    possible = {_part(storage_root, name, key): (name, key) for name in GASES for key in _keys_of(month)}
    files = [path for path in possible if path in there]
    read = side_by_side(_read_part, files, "parts of a report read", "parts") if files else []
    return dict(zip((possible[path] for path in files), read, strict=True))


def _read_part(path: str) -> Any:
    try:
        part = json.loads(storage.read_bytes(path))
    except ValueError as error:
        log.warning("remade: %s: no JSON (%s)", path, error)
        return None
    return part if isinstance(part, dict) and part.get("version") == VERSION else None


def main() -> int:
    """Command line: write the reports of the settings' storage."""
    return write_by_hand("python -m plumewatch.maps.report", __doc__, write_reports)


if __name__ == "__main__":
    sys.exit(main())
