"""Reads every table again and again: `python -m tools.faults.reading ROOT FILE WIPES` until it is ended.

What a reader mustn't see is a line of FILE: an error, rows that aren't as many as the manifest says of the write that
they are of, a key that stands twice. The manifest of a table with one file a partition is that within the file, which
is one write; the one beside it comes after it, and is to be the same in the end (`overdue`). The last line counts what
was read. Nothing is said of what was read while the whole storage was emptied for the next round (`emptied`, by which
WIPES grows).
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from plumewatch import storage
from plumewatch.at_hand.cleaning import find_overdue
from plumewatch.table import Table
from plumewatch.tables import TABLES

PAUSE_S = 2.0  # readers take a share of the machine, not all that is left


def read_all(root: str) -> tuple[int, list[str]]:
    """Read all tables of a storage root once; return how many partitions, and what is wrong with them."""
    n_read, problems = 0, []
    for table in TABLES.values():
        path = storage.join(root, table.name)
        try:
            for partition in storage.list_partitions(table, path):
                problems += _read(table, partition.path)
                n_read += 1
        except Exception as error:  # noqa: BLE001 - whatever a reader gets is what this is about
            problems.append(f"{path}: {type(error).__name__}: {error}")
    return n_read, problems


def overdue(root: str) -> list[str]:
    """Return what differs where no writer is at work any more: manifests of another write than the file beside them."""
    return [
        f"DIFFERENT {path.removeprefix(f'{root}/')}: the manifest is of another write than the file"
        for path in find_overdue(root, timedelta(0))
    ]


def _read(table: Table, path: str) -> list[str]:
    file = storage.join(path, storage.DATA_FILE)
    before = storage.read_manifest(path)
    told = storage.manifest_within(file) if table.is_small else None
    rows = storage.read_table(table, path)
    if before is None or storage.read_manifest(path) != before:
        return []  # written meanwhile: which of the two was read can't be told
    if told is not None and storage.manifest_within(file) != told:
        return []
    problems = []
    expected = before["rows"] if told is None else json.loads(told)["rows"]
    if rows.num_rows != expected:
        problems.append(f"{path}: {rows.num_rows} rows where its manifest says {expected}")
    if table.is_small and rows.group_by(list(table.sort_by)).aggregate([]).num_rows != rows.num_rows:
        problems.append(f"{path}: a row stands twice")
    return problems


@contextmanager
def emptied(wipes: Path) -> Iterator[None]:
    """The storage is being emptied."""
    with wipes.open("a", buffering=1) as file:
        file.write("begun\n")
        yield
        file.write("done\n")


def _wipes(wipes: Path) -> str:
    return wipes.read_text() if wipes.exists() else ""


def main() -> None:
    """Read until SIGTERM."""
    root, file, wipes = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    n_rounds = n_read = 0
    with file.open("a", buffering=1) as out:
        try:
            while True:
                before = _wipes(wipes)
                n, problems = read_all(root)
                n_rounds, n_read = n_rounds + 1, n_read + n
                if _wipes(wipes) == before and not before.endswith("begun\n"):
                    out.writelines(f"{problem}\n" for problem in problems)
                time.sleep(PAUSE_S)
        finally:
            out.write(f"{n_rounds} times all tables, {n_read} partitions\n")


if __name__ == "__main__":
    main()
