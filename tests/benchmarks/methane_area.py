"""One area of 500 x 500 pixels with 8 references: the whole search against reading its pixels, one thread each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from figures import Figure, time_in_turns
from methane_tables import write_area, write_wind
from plumewatch import storage
from plumewatch.gases import MULTI_PASS
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.dates.stored_passes import READ_COLUMNS
from plumewatch.methane.dates.worker import AreaDates, detect_area_dates
from plumewatch.methane.evaluation.scenes import FIELDS, PlantedPlume, simulate_area
from plumewatch.tables import PIXELS

SIZE, REFERENCES, SEED = 500, 8, 7
PLUME = PlantedPlume(5_000.0, 250.0, 200.0, 2.5, 1.5)
FURTHER_BANDS = ("b02", "b03", "b04", "b08", "b8a")
NAME = "field"
ROUNDS = 5
MAX_RATIO = "<= 10"


def search_of_an_area() -> Iterator[Figure]:
    """Time of all steps but the Isolation Forest and the drawing, and of reading the same columns as arrays.

    Once for a table with bands 11 and 12 alone, once for one with further bands: then both have more to read.
    """
    pa.set_cpu_count(1)  # Arrow's own threads: the environment only holds those of the numerical libraries
    pa.set_io_thread_count(1)
    for bands in ((), FURTHER_BANDS):
        with TemporaryDirectory(prefix="plumewatch-bench-") as folder:
            yield _figure(Path(folder), bands)


def _figure(root: Path, bands: tuple[str, ...]) -> Figure:
    area = simulate_area(
        SEED, size=SIZE, n_references=REFERENCES, ground=FIELDS, plumes=(PLUME,), clouds=False, other_bands=bands
    )
    days = write_area(root, NAME, area)
    place = area.passes[-1].place
    wind = write_wind(root, days[-1], np.array([[place.longitude0, place.longitude_latitude(0, 0)[1].item()]]))
    task = AreaDates(
        area=NAME,
        dates=(days[-1],),
        pixels_root=f"{root}/pixels",
        plumes_path=f"{root}/plumes",
        method=MULTI_PASS,
        wind_path=wind,
        details_path=None,
        anomalies_path=None,
        forest=ForestSettings(),
    )
    _check(detect_area_dates(task)[0], len(days))
    search_s, read_s = time_in_turns([partial(detect_area_dates, task), partial(_read, root)], ROUNDS)
    note = (
        f"{SIZE} x {SIZE} pixels, {REFERENCES} references, bands 11, 12 and {len(bands)} further ones; read, laid on "
        "the grid, aligned, compared, searched, described, published"
    )
    baseline_is = f"the project's reader brings the same columns of the same {len(days)} partitions into arrays"
    name = "search of an area" + (", further bands" if bands else "")
    return Figure(name, search_s, "s", read_s, baseline_is, search_s / read_s, MAX_RATIO, note)


def _check(report: dict, partitions: int) -> None:
    if report["outcomes"] != ["searched"] or len(report["dates_read"]) != partitions or not report["rows_written"]:
        raise RuntimeError(f"{report}; a search with {partitions - 1} references and a plume expected")


def _read(root: Path) -> int:
    """Read the columns that the search needs as numpy arrays, text as Arrow's; return the number of values."""
    n = 0
    for partition in storage.list_partitions(PIXELS, f"{root}/pixels"):
        rows = storage.read_table(PIXELS, partition.path, READ_COLUMNS)
        for field, column in zip(rows.schema, rows.columns, strict=True):
            n += len(column) if pa.types.is_string(field.type) else column.to_numpy().size
    return n
