"""The job rasters_to_pixels on a whole tile: against writing its rows, against pandas, against Sedona, by size."""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from figures import Figure
from jobs import JOBS, load_job, peak_memory
from plumewatch import storage
from plumewatch.rasters.scene_store import ScenePaths
from plumewatch.sentinel2.bands import CLEAR_CLASSES
from plumewatch.spark_session import get_spark
from plumewatch.storage.parquet import ROW_GROUP_ROWS, encoding
from plumewatch.tables import PIXELS
from pyproj import Transformer
from tile_scene import DATE, EPSG, SIZE_M, small_scene, write_tile

TILE_PX, TENTH_PX, WINDOW_PX = 5490, 1736, 512  # a tile of 20 m; a tenth of its pixels; what Sedona gets
ROUNDS, THREADS = 3, 2
HELD = 4  # tables of a row group that are held in memory and written again and again: all would be 3 GB
LIMITS = {
    "write": ">= 0.5", "pandas": ">= 2", "sedona": ">= 20", "size": "<= 1", "memory": "<= 1", "growth": "<= 1",
}  # fmt: skip
MOST_BYTES_PX, MOST_MEMORY, MOST_GROWTH = 13.5, 2 * 1024**3, 11.0


@dataclass(frozen=True)
class Job:
    """The job on one scene, in the session of this process."""

    root: Path
    """Its scenes, and where its table goes."""
    scene: ScenePaths
    """The one scene."""
    pixels: int
    """Cells, each of which is a row."""

    @property
    def arguments(self) -> list[str]:
        """Of the command line."""
        return ["--scenes-path", f"{self.root}/scenes", "--pixels-path", f"{self.root}/pixels"]

    @property
    def files(self) -> list[str]:
        """What it wrote."""
        return storage.list_files(f"{self.root}/pixels", ".parquet")

    def run(self) -> None:
        """Write the table."""
        shutil.rmtree(self.root / "pixels", ignore_errors=True)
        job = load_job("rasters_to_pixels")
        result = job.run(job.parse_arguments(self.arguments))
        if result.failed or result.rows_written != self.pixels:
            raise RuntimeError(f"{result}; {self.pixels} rows expected")


def whole_tile() -> Iterator[Figure]:
    """Pixels a second of the job, start-up excluded, and what it takes of the disk and the memory."""
    small, ground = small_scene()
    spark = get_spark("bench")
    with TemporaryDirectory(prefix="plumewatch-bench-") as folder:
        tile, tenth = (_job(Path(folder, str(px)), small, px) for px in (TILE_PX, TENTH_PX))
        tenth.run()  # starts the workers
        steps: dict[str, Callable[[], object]] = {"tile": tile.run, "tenth": tenth.run}
        tile.run()
        held = [pq.read_table(file) for file in tile.files[:: -(-len(tile.files) // HELD)]]
        steps["write"] = lambda: _write_again(held, tile.pixels, Path(folder, "again"))
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for name in [name for _ in range(ROUNDS) for name in steps]:
            seconds[name].append(_seconds(steps[name]))
        job_s, tenth_s, write_s = (statistics.median(seconds[name]) for name in ("tile", "tenth", "write"))
        own = tile.pixels / job_s
        note = f"{TILE_PX} x {TILE_PX} pixels, {ground}; median of {ROUNDS}; Spark in local[2], started before"

        limit = tile.pixels / write_s
        held_is = f"pyarrow in {THREADS} threads writes the same columns in the same encodings from memory"
        yield Figure("rasters to pixels", own, "pixels/s", limit, held_is, own / limit, LIMITS["write"], note)

        by_pandas = tenth.pixels / _seconds(lambda: _pandas(tenth.scene, Path(folder, "pandas.parquet")))
        pandas_is = f"one process: rasterio, pyproj and pandas.to_parquet, {TENTH_PX} x {TENTH_PX} pixels"
        name = "rasters to pixels, of pandas"
        yield Figure(name, own, "pixels/s", by_pandas, pandas_is, own / by_pandas, LIMITS["pandas"])

        window = _job(Path(folder, "window"), small, WINDOW_PX)
        _explode(spark, window.scene)
        exploded = window.pixels / min(_seconds(lambda: _explode(spark, window.scene)) for _ in range(ROUNDS))
        sedona_is = f"Sedona's RS_PixelAsCentroids of both bands, warm, {WINDOW_PX} x {WINDOW_PX} pixels"
        name = "rasters to pixels, of Sedona"
        yield Figure(name, own, "pixels/s", exploded, sedona_is, own / exploded, LIMITS["sedona"])

        name, growth = "ten times the pixels", job_s / tenth_s / (tile.pixels / tenth.pixels / 10)
        linear = "at most 11 times the time"
        yield Figure(name, growth, "times", MOST_GROWTH, linear, growth / MOST_GROWTH, LIMITS["growth"])

        each = sum(Path(file).stat().st_size for file in tile.files) / tile.pixels
        yield Figure(
            "pixel table on disk", each, "bytes/pixel", MOST_BYTES_PX, "allowed", each / MOST_BYTES_PX, LIMITS["size"]
        )
        spark.stop()
        used = peak_memory([sys.executable, str(JOBS / "rasters_to_pixels.py"), *tile.arguments])
        whole = "allowed for the driver, its JVM and the Python workers"
        shown = (used / 2**30, MOST_MEMORY / 2**30)
        yield Figure(
            "rasters to pixels, memory", shown[0], "GiB", shown[1], whole, used / MOST_MEMORY, LIMITS["memory"]
        )


def _job(root: Path, small: Any, size: int) -> Job:
    return Job(root, write_tile(root / "scenes", small, size), size * size)


def _seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def _write_again(held: list[pa.Table], n: int, folder: Path) -> None:
    """Write n rows in files of a row group."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    def write(part: tuple[int, pa.Table]) -> None:
        number, rows = part
        rows = rows.slice(0, n - number * ROW_GROUP_ROWS)
        pq.write_table(
            rows, folder / f"{number}.parquet", row_group_size=ROW_GROUP_ROWS, **encoding(PIXELS, rows.schema)
        )

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, enumerate(islice(cycle(held), -(-n // ROW_GROUP_ROWS)))))


def _pandas(scene: ScenePaths, target: Path) -> None:
    """The same table as one would write it at first: all of a raster at once, in one process."""
    with rasterio.open(scene.raster("data")) as source:
        b11, b12 = (np.where(band == 0, np.nan, band * 1e-4).astype(np.float32) for band in source.read())
        place = source.transform
    with rasterio.open(scene.raster("scl")) as source:
        scl = source.read(1)
    row, col = np.indices(b11.shape, np.int32)
    x, y = place @ (col + 0.5, row + 0.5)
    longitude, latitude = Transformer.from_crs(EPSG, 4326, always_xy=True).transform(x, y)
    is_clear = np.isfinite(b11) & np.isfinite(b12) & np.isin(scl, CLEAR_CLASSES)
    columns = {
        "row": row, "col": col, "longitude": longitude, "latitude": latitude, "b11": b11, "b12": b12,
        "b_diff": b11 - b12, "scl": scl, "is_clear": is_clear,
    }  # fmt: skip
    frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
    frame["scene_id"], frame["platform"], frame["relative_orbit"] = scene.scene_id, "sentinel-2a", np.int16(80)
    frame["observed_at_utc"] = pd.Timestamp(f"{DATE}T11:20:35.123Z")
    frame["epsg"], frame["pixel_size_m"] = np.int32(EPSG), np.float32(SIZE_M)
    frame["cloud_probability_percent"] = pd.array([pd.NA], "UInt8").repeat(len(frame))
    frame["solar_zenith_deg"], frame["view_zenith_deg"] = np.float32(42.1), np.float32(4.25)
    frame.to_parquet(target)


def _explode(spark: Any, scene: ScenePaths) -> None:
    rasters = spark.read.format("binaryFile").load(scene.raster("data"))
    for band in (1, 2):
        cells = rasters.selectExpr(f"explode(RS_PixelAsCentroids(RS_FromGeoTiff(content), {band})) AS cell")
        cells.selectExpr("ST_X(cell.geom)", "ST_Y(cell.geom)", "cell.value").write.format("noop").mode(
            "overwrite"
        ).save()
