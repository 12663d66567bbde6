"""A basin as one area: memory in all, time a cell against 1000 x 1000 cells, and the same plumes however it is cut.

BASIN_SIDE says how many rows and columns it has: 5490, a whole tile, for the figures of the documentation; with
BASIN_CUTTINGS=1 it is cut in one way alone. Each run's seconds and memory are told on standard error at its end.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from figures import Figure
from jobs import JOBS, peak_memory
from methane_tables import DAYS_APART, WIND_M_S, write_wind
from numpy.typing import NDArray
from pixel_rows import pixel_rows
from plumewatch import storage
from plumewatch.methane.evaluation.planted import PlantedPlume, plume_column
from plumewatch.methane.evaluation.scenes import FIRST_DAY, grid_place, simulate_area
from plumewatch.methane.passes import Pass
from plumewatch.methane.retrieval import compute_transmittance
from plumewatch.sentinel2.pixel_plan import WINDOW_PX, WINDOWS_IN_TASK
from plumewatch.tables import PIXELS, PLUMES

SIDE = int(os.environ.get("BASIN_SIDE", "1830"))
PIECE, DATES, SEED = 915, 6, 11  # a basin is put together of pieces that mirror each other: no seam
SMALL = 1000
PLUME_SIDE, PLUMES_APART, RATES_KG_H = 250, 230, (3_000.0, 15_000.0)
FILE_ROWS, FILE_COLS = WINDOW_PX, WINDOW_PX * WINDOWS_IN_TASK  # as the raster job writes them
CUTTINGS = (840, 600, 720)[: int(os.environ.get("BASIN_CUTTINGS", "3"))]  # the first is the job's own
LIMITS = {"memory": "<= 6", "time": "<= 1.3", "ids": ">= 1", "rates": "<= 0.01"}
GB = 1e9


def basin() -> Iterator[Figure]:
    """Yield the memory and the time of a basin, and how its plumes differ between cuttings."""
    with TemporaryDirectory(prefix="plumewatch-bench-") as name:
        folder = Path(name)
        area = simulate_area(SEED, size=PIECE, n_references=DATES - 1, clouds=False)
        day = ""
        for side in (SMALL, SIDE):
            day = _write(folder / str(side), area.passes, side)
        small_s, small_gb = _run(folder / str(SMALL), day, CUTTINGS[0])
        accepted = []
        for block in CUTTINGS:
            seconds, gb = _run(folder / str(SIDE), day, block)
            accepted.append(_accepted(folder / str(SIDE) / "plumes"))
            shutil.rmtree(folder / str(SIDE) / "plumes")
            if block == CUTTINGS[0]:
                yield from _costs(seconds, gb, small_s, small_gb)
        yield from _equality(accepted)


def _costs(seconds: float, gb: float, small_s: float, small_gb: float) -> Iterator[Figure]:
    note = f"{SIDE} x {SIDE} cells, {DATES} dates, local[2], start-up included"
    yield Figure("basin, memory in all", gb, "GB", small_gb, f"{SMALL} x {SMALL}", gb, LIMITS["memory"], note)
    per_cell, small_per_cell = 1e6 * seconds / SIDE**2, 1e6 * small_s / SMALL**2
    yield Figure(
        "basin, time a cell", per_cell, "us", small_per_cell, f"{SMALL} x {SMALL}",
        per_cell / small_per_cell, LIMITS["time"], f"{note}; {seconds:.0f} s against {small_s:.0f} s",
    )  # fmt: skip


def _equality(accepted: list[dict[str, float]]) -> Iterator[Figure]:
    first, others = accepted[0], accepted[1:]
    every = set().union(*accepted)
    common = set(first).intersection(*others)
    note = f"blocks of {', '.join(map(str, CUTTINGS))} cells: {[len(one) for one in accepted]} accepted plumes"
    share = len(common) / max(1, len(every))
    yield Figure("basin, plumes of all cuttings", share, "1", 1.0, "all the same", share, LIMITS["ids"], note)
    off = max((abs(other[name] / first[name] - 1.0) for other in others for name in common), default=0.0)
    yield Figure("basin, rates of all cuttings", off, "1", 0.0, "all the same", off, LIMITS["rates"], note)


def _accepted(plumes: Path) -> dict[str, float]:
    rows = storage.read_table(PLUMES, str(plumes)).to_pylist()
    return {row["plume_id"]: row["emission_kg_h"] for row in rows if row["status"] == "accepted"}


def _run(root: Path, day: str, block_px: int) -> tuple[float, float]:
    """Return the seconds and the most memory (GB) that the job takes."""
    arguments = ["--date", day, "--block-px", str(block_px)]
    for name in ("pixels", "plumes", "wind"):
        arguments += [f"--{name}-path", f"file://{root}/{name}"]
    started = time.perf_counter()
    used = peak_memory([sys.executable, str(JOBS / "detect_methane_plumes.py"), *arguments])
    seconds = time.perf_counter() - started
    print(f"side {root.name}, blocks of {block_px}: {seconds:.0f} s, {used / GB:.2f} GB", file=sys.stderr)
    return seconds, used / GB


def _write(root: Path, passes: tuple[Pass, ...], side: int) -> str:
    """Write an area of so many rows and columns with plumes on its last date, and the wind; return that date."""
    rng = np.random.default_rng(SEED)
    place = grid_place(side, side)
    day = ""
    for number, one in enumerate(passes):
        column = _columns(rng, side) if number == len(passes) - 1 else None
        at = FIRST_DAY + timedelta(days=DAYS_APART * number)
        day = f"{at:%Y-%m-%d}"
        keys = {"area": "basin", "date": day}
        path = storage.partition_path(f"{root}/pixels", keys)
        files = []
        for top, left in itertools.product(range(0, side, FILE_ROWS), range(0, side, FILE_COLS)):
            rows, cols = (np.arange(first, min(first + n, side)) for first, n in ((top, FILE_ROWS), (left, FILE_COLS)))
            bands = {"b11": _mirrored(one.b11, rows, cols), "b12": _mirrored(one.b12, rows, cols)}
            if column is not None:
                gas = compute_transmittance(column[np.ix_(rows, cols)], one.platform, one.air_mass_factor)
                bands = {"b11": bands["b11"] * gas.b11, "b12": bands["b12"] * gas.b12}
            shape = (len(rows), len(cols))
            part = replace(
                one,
                observed_at_utc=at,
                scene_index=np.zeros(shape, np.int16),
                is_usable=np.ones(shape, bool),
                n_pixels=shape[0] * shape[1],
                place=place.part(top, left, *shape),
                **{name: band.astype(np.float32) for name, band in bands.items()},
            )
            files.append(f"{top:05d}-{left:05d}.parquet")
            storage.write_part(path, files[-1], storage.parquet_bytes(PIXELS, pixel_rows(part)))
        storage.publish_partition(PIXELS, f"{root}/pixels", keys, files, side**2)
    write_wind(root, day, np.array([[place.longitude0, place.longitude_latitude(side / 2, side / 2)[1].item()]]))
    return day


def _mirrored(band: NDArray[np.float32], rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a part of the piece repeated, each repetition the mirror image of the one beside it."""
    piece = len(band)
    at_rows, at_cols = (np.minimum(at % (2 * piece), 2 * piece - 1 - at % (2 * piece)) for at in (rows, cols))
    return band[np.ix_(at_rows, at_cols)]


def _columns(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Return the column enhancement (mol/m2) of plumes all over, some of them on any cut."""
    column = np.zeros((side, side), np.float32)
    for row in range(0, side - PLUME_SIDE, PLUMES_APART):
        for col in range(0, side - PLUME_SIDE, PLUMES_APART):
            rate = float(np.exp(rng.uniform(*np.log(RATES_KG_H))))
            plume = PlantedPlume(rate, PLUME_SIDE * 0.75, PLUME_SIDE * 0.2, *WIND_M_S)
            column[row : row + PLUME_SIDE, col : col + PLUME_SIDE] += plume_column(rng, PLUME_SIDE, plume)
    return column
