"""A thousand small areas in one job detect_methane_plumes in local[2]: the time grows with them, and no faster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from figures import Figure
from jobs import load_job
from methane_tables import copy_areas, write_area, write_wind
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.spark_session import get_spark

AREAS, QUARTER, WARM_UP = 1_000, 250, 20
WRITTEN, SIZE, REFERENCES = 5, 64, 3
PLUME = PlantedPlume(6_000.0, 32.0, 20.0, 2.5, 1.5)
MAX_GROWTH = "<= 1.15"  # of the time an area takes when there are four times as many
TURNS = ("warm-up", "quarter", "whole", "quarter")


def thousand_areas() -> Iterator[Figure]:
    """Time an area of 1,000 in one job, against 250 in the same session, each with wind around all of its areas."""
    with TemporaryDirectory(prefix="plumewatch-bench-") as folder:
        sizes = {"whole": AREAS, "quarter": QUARTER, "warm-up": WARM_UP}
        day = _write(Path(folder), sizes)
        job = load_job("detect_methane_plumes")
        get_spark("bench")
        taken: dict[str, list[float]] = {}
        for name in TURNS:
            root = Path(folder, name)
            started = time.perf_counter()
            result = job.run(job.parse_arguments(_arguments(root, day)))
            seconds = time.perf_counter() - started
            wanted = sizes[name] * (1 + REFERENCES) * SIZE**2
            if result.failed or result.rows_read != wanted:
                raise RuntimeError(f"{name}: {result}; {wanted} pixels expected")
            taken.setdefault(name, []).append(seconds / sizes[name])
        # The mean of before and after: a machine that gets busier or calmer does so for both sizes.
        whole, quarter = (sum(taken[name]) / len(taken[name]) for name in ("whole", "quarter"))
    note = (
        f"{SIZE} x {SIZE} pixels and {REFERENCES} references an area, with wind, local[2], start-up excluded; "
        f"{whole * AREAS:.0f} s in all"
    )
    yield Figure(
        "a thousand areas in one job", whole, "s/area", quarter, f"{QUARTER} areas",
        whole / quarter, MAX_GROWTH, note,
    )  # fmt: skip


def _write(folder: Path, sizes: dict[str, int]) -> str:
    """Write the pixels and the wind of each size, and return the date to search."""
    names = [f"area{seed}" for seed in range(WRITTEN)]
    for seed, name in enumerate(names):
        area = simulate_area(seed, size=SIZE, n_references=REFERENCES, plumes=(PLUME,) if seed % 2 else ())
        day = write_area(folder / "written", name, area)[-1]
    here = [[area.passes[-1].place.longitude0, float(area.passes[-1].place.longitude_latitude(0, 0)[1])]]
    rng = np.random.default_rng(0)
    for name, count in sizes.items():
        copy_areas(folder / name, folder / "written", names, count)
        # The pixels are all of one place, so the wind of the other places is there to be read past.
        elsewhere = rng.uniform((-180.0, -60.0), (180.0, 30.0), (count - 1, 2))
        write_wind(folder / name, day, np.concatenate([here, elsewhere]))
    return day


def _arguments(root: Path, day: str) -> list[str]:
    paths = {"--pixels-path": "pixels", "--plumes-path": "plumes", "--wind-path": "wind"}
    return [part for name, table in paths.items() for part in (name, f"file://{root}/{table}")] + ["--date", day]
