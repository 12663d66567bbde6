"""Processor time of a million soundings, without Spark: out of a Lite file, and searched for peaks; one thread each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from figures import Figure
from oco2_granules import _paths, _write_day, read_variables
from orbits import simulate_orbit
from plumewatch.oco2.granules.granule import read_granule
from plumewatch.oco2.peaks import find_peaks
from plumewatch.oco2.track import compute_track
from plumewatch.storage.parquet import encoding
from plumewatch.tables import SOUNDINGS

ORBITS, SHARE = 7, 0.17
MILLION = 1e6


def processor_time() -> Iterator[Figure]:
    """Processor seconds a million soundings."""
    with TemporaryDirectory(prefix="plumewatch-bench-") as folder:
        file, n = _write_day(Path(folder), 0)
        paths = _paths(file)
        own_s = _seconds(lambda: _extract(file, Path(folder, "rows.parquet")))
        read_s = _seconds(lambda: read_variables(file, paths))
    name, baseline_is = "extraction of a granule, processor", "netCDF4 reads the same variables"
    own, read = own_s / n * MILLION, read_s / n * MILLION
    yield Figure(name, own, "s/million", read, baseline_is, own / read, note=f"{n} soundings; rows written as Parquet")
    orbits = [simulate_orbit(number, SHARE) for number in range(1, 1 + ORBITS)]
    n = sum(map(len, orbits))
    own_s, along_s = (_seconds(lambda step=step: list(map(step, orbits))) for step in (_search, compute_track))
    name, baseline_is = "search for peaks, processor", "distances along the orbit alone"
    own, along = own_s / n * MILLION, along_s / n * MILLION
    yield Figure(name, own, "s/million", along, baseline_is, own / along, note=f"{n} soundings of {ORBITS} orbits")


def _extract(file: str, target: Path) -> None:
    rows = read_granule(file).soundings
    pq.write_table(rows, target, **encoding(SOUNDINGS, rows.schema))


def _search(soundings: pa.Table) -> None:
    find_peaks(compute_track(soundings))


def _seconds(step: Callable[[], object]) -> float:
    """Processor seconds of a step, which was done once before."""
    step()
    started = time.process_time()
    step()
    return time.process_time() - started
