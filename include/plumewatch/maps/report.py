"""The report of each month as a file: `reports/<month>.html`, which opens by double click without network.

`python -m plumewatch.maps.report` writes those of all months from what is stored; each map that a DAG draws brings the
report of its month up to date. What a report tells of a day stands in `reports/parts/<gas>/<key>.json`, so that another
day of the month costs the reading of that day alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from calendar import monthrange
from collections.abc import Sequence
from typing import Any

from plumewatch import storage
from plumewatch.areas import log_unreadable, read_areas
from plumewatch.errors import PlumewatchError, reading
from plumewatch.gases import CH4, GASES, Gas
from plumewatch.http import side_by_side
from plumewatch.maps.report_page import key_summary, render_report
from plumewatch.maps.stored_rows import read_map_rows, stored_keys
from plumewatch.models import Area
from plumewatch.progress import followed
from plumewatch.settings import Settings, export_aws_settings

REPORTS, PARTS = "reports", "parts"
FORM = "what python -m plumewatch.maps.report writes of a day or month: remove the file and run that"

log = logging.getLogger(__name__)


def refresh_reports(gas: Gas, keys: Sequence[str], storage_root: str, areas: Sequence[Area] = ()) -> list[str]:
    """Bring the reports of the months of some keys up to date, and return their paths.

    A month that has no report yet is read as a whole.
    """
    months = sorted({key[:7] for key in keys})
    wanted = {(gas.name, key) for key in keys}
    for month in months:
        if not storage.exists(report_path(storage_root, month)):
            wanted |= {(g.name, key) for g in GASES.values() for key in stored_keys(g, storage_root, _keys_of(month))}
    for name, key in followed(sorted(wanted), "keys of reports", "keys"):
        rows = read_map_rows(GASES[name], [key], storage_root, areas if name == CH4.name else ())
        storage.write_json(_part(storage_root, name, key), key_summary(GASES[name], key, rows))
    return [_write_report(storage_root, month) for month in months]


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
        files = [file for file in storage.list_files(folder) if file.rsplit("/", 1)[-1].startswith(month)]
        summaries = side_by_side(_read_part, files, "parts of a report read", "parts")
        storage.write_bytes(path, render_report(month, summaries).encode())
    return path


def _read_part(path: str) -> Any:
    with reading(path, FORM):
        return json.loads(storage.read_bytes(path))


def main() -> int:
    """Command line: write the reports of the settings' storage."""
    argparse.ArgumentParser(prog="python -m plumewatch.maps.report", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    export_aws_settings()
    try:
        settings = Settings.load()
        areas = read_areas(*settings.area_folders, on_failure=log_unreadable)
        for path in write_reports(settings.storage_root, areas):
            log.info("%s", path)
    except (PlumewatchError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
