"""What inventories list and what is left of it where each emitter counts once, by gas, kind and fuel.

python -m plumewatch.inventory.totals FOLDER    # of inventory files, or of the table `sources`
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.inventory.combine import combine_inventories
from plumewatch.inventory.refresh import INVENTORIES, refresh_sources
from plumewatch.models import FailedScene, OnFailure
from plumewatch.tables import COMBINED, SOURCES

UNITS = {"co2": ("Mt", 1e-6), "ch4": ("kt", 1e-3)}
HEADER = ("gas", "kind", "fuel", "before: sources", "a year", "after: sources", "a year")


def read_lists(path: str, on_failure: OnFailure | None = None) -> dict[str, pa.Table]:
    """Return the rows of each inventory: of a folder of their files, or of the table `sources`.

    `on_failure` takes the files and rows that can't be used.
    """
    if any(p.keys["inventory"] != COMBINED for p in storage.list_partitions(SOURCES, path)):
        return _stored(path)
    with tempfile.TemporaryDirectory(prefix="plumewatch-") as root:
        for failure in refresh_sources(path, root).failures:
            if on_failure is not None:
                on_failure(failure)
        return _stored(storage.join(root, SOURCES.name))


def _stored(root: str) -> dict[str, pa.Table]:
    rows = {i.name: storage.read_table(SOURCES, root, where={"inventory": i.name}) for i in INVENTORIES}
    return {name: table.select(SOURCES.schema.names) for name, table in rows.items() if table.num_rows}


def compute_totals(lists: Mapping[str, pa.Table]) -> list[tuple[str, ...]]:
    """Return a row for each gas, kind and fuel: sources and emission of all lists, and of what is left combined."""
    before = _grouped(pa.concat_tables([SOURCES.empty(), *lists.values()]))
    after = _grouped(combine_inventories(lists))
    rows: list[tuple[str, ...]] = []
    for gas in UNITS:
        of_gas = [key for key in sorted(before.keys() | after.keys()) if key[0] == gas]
        rows += [(*key, *_said(before.get(key), gas), *_said(after.get(key), gas)) for key in of_gas]
        if of_gas:
            sums = (tuple(map(sum, zip(*(of.get(k, (0, 0.0)) for k in of_gas), strict=True))) for of in (before, after))
            rows.append((gas, "all", "", *(text for total in sums for text in _said(total, gas))))
    return rows


def _grouped(sources: pa.Table) -> dict[tuple[str, str, str], tuple[int, float]]:
    sources = sources.set_column(sources.column_names.index("fuel"), "fuel", pc.fill_null(sources["fuel"], ""))
    groups = sources.group_by(["gas", "kind", "fuel"]).aggregate([("emission_t_y", "count"), ("emission_t_y", "sum")])
    return {
        (g["gas"], g["kind"], g["fuel"]): (g["emission_t_y_count"], g["emission_t_y_sum"]) for g in groups.to_pylist()
    }


def _said(total: Sequence[float] | None, gas: str) -> tuple[str, str]:
    unit, factor = UNITS[gas]
    count, tonnes = total or (0, 0.0)
    return f"{count}", f"{tonnes * factor:,.1f} {unit}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the totals of a folder, and what of it can't be used; 0 where all could be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="folder or prefix of inventory files, or the table `sources`")
    path = storage.absolute(parser.parse_args(arguments).path)
    logging.basicConfig(level=logging.ERROR)
    failures: list[FailedScene] = []
    lists = read_lists(path, failures.append)
    sys.stdout.write("".join(f"{name}: {rows.num_rows} sources\n" for name, rows in lists.items()) + "\n")
    rows = [HEADER, *compute_totals(lists)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [text.ljust(w) if n < 3 else text.rjust(w) for n, (text, w) in enumerate(zip(row, widths, strict=True))]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    sys.stderr.write("".join(f"not used: {failure.message}\n" for failure in failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
