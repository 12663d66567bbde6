"""The raster job on a standalone cluster: two workers against one, each with a processor of this machine to itself.

The driver and the master run on whichever has time.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Figure
from jobs import JOBS
from plumewatch.rasters.scene_store import scene_paths
from spark_cluster import SparkCluster, spark_cluster
from tile_scene import AREA, DATE, REAL, small_scene, write_tile

TILE_PX, TILES = 5490, 14  # dates of one tile of 20 m: some 420 million pixels, a minute and a half of one processor
ROUNDS = 3
LIMIT = ">= 1.6"


def two_workers() -> Iterator[Figure]:
    """Seconds of the job, its start included, with one worker and with two."""
    small, ground = small_scene()
    with TemporaryDirectory(prefix="plumewatch-bench-") as folder:
        scenes = Path(folder, "scenes")
        write_tile(scenes, small, TILE_PX)
        for day in range(TILES - 1):
            _copy(scenes, f"2020-03-{day + 1:02d}")
        taken: dict[int, list[float]] = {1: [], 2: []}
        for number in range(ROUNDS):
            for workers in (1, 2):
                with spark_cluster(Path(folder, f"{number}-{workers}"), {}, workers, is_pinned=True) as cluster:
                    taken[workers].append(_seconds(cluster, scenes, Path(folder, "pixels")))
                print(f"{workers} workers: {taken[workers][-1]:.1f} s", file=sys.stderr)
        one, two = (statistics.median(taken[workers]) for workers in (1, 2))
    every = "; ".join(f"{n}: {', '.join(f'{s:.1f}' for s in seconds)}" for n, seconds in taken.items())
    note = f"{TILES} x {TILE_PX} x {TILE_PX} pixels, {ground}; start of the job included; seconds by workers {every}"
    yield Figure("raster job, two workers", two, "s", one, "one worker of one core", one / two, LIMIT, note)


def _copy(scenes: Path, day: str) -> None:
    """Give another date the files of the tile."""
    first, other = (Path(scene_paths(str(scenes), AREA, date, REAL).item) for date in (DATE, day))
    other.parent.mkdir(parents=True)
    for file in first.parent.iterdir():
        if file != first:
            (other.parent / file.name).hardlink_to(file)
    other.write_text(first.read_text().replace(DATE, day))


def _seconds(cluster: SparkCluster, scenes: Path, pixels: Path) -> float:
    shutil.rmtree(pixels, ignore_errors=True)
    command = [sys.executable, str(JOBS / "rasters_to_pixels.py")]
    command += ["--scenes-path", str(scenes), "--pixels-path", str(pixels)]
    started = time.perf_counter()
    done = subprocess.run(command, env=cluster.driver_environment(), stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode or json.loads(done.stdout.splitlines()[-1])["rows_written"] != TILES * TILE_PX**2:
        raise RuntimeError(f"exit code {done.returncode}: {done.stdout}")
    return seconds
