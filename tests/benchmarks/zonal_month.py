"""The job zonal_statistics on a month of scenes: against rasterstats, and against exactextract called once a raster.

All count NDVI's mean, median, minimum, maximum and deviation of the same rasters; rasterstats and exactextract get NDVI
ready made, with cloud as no data, where the job reads bands and classes and does that itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import exactextract
import geopandas
import h3
import numpy as np
import rasterio
import rasterstats
import shapely
from figures import Figure, time_in_turns
from jobs import load_job
from plumewatch.spark_session import get_spark
from sentinel2_scenes import EPSG, NORTH, SIZE_M, WEST, write_stacked

SIDE_PX, SEED = 1000, 5
MONTH, N_POLYGONS, N_HEXAGONS = "2025-08", 71, 10_000
ROUNDS, N_REPEATS = 3, 8  # so often repeated rasterstats has half a minute of work
STATISTICS = ("mean", "median", "min", "max", "std")
EXACT = ["mean", "median", "min", "max", "stdev"]
LIMITS = {"rasterstats": ">= 4", "exactextract": "<= 1.5", "growth": "<= 1.1"}
LONGEST_M, SHORTEST_M = 2500.0, 300.0


def polygons() -> Iterator[Figure]:
    """71 polygons of a city's size over 19 dates, repeated, so that there is work of some time."""
    rng = np.random.default_rng(SEED)
    corners = rng.uniform((WEST, NORTH - SIDE_PX * SIZE_M), (WEST + SIDE_PX * SIZE_M, NORTH), (N_POLYGONS, 2))
    radii = rng.uniform(SHORTEST_M, LONGEST_M, N_POLYGONS)
    shapes = [shapely.Point(x, y).buffer(r, quad_segs=40) for (x, y), r in zip(corners, radii, strict=True)]
    repeated = geopandas.GeoDataFrame(geometry=shapes * N_REPEATS, crs=EPSG)
    yield from _against("zones.polygons", 19, repeated)


def hexagons() -> Iterator[Figure]:
    """10,000 hexagons over 12 dates."""
    inside = geopandas.GeoSeries(
        [shapely.box(WEST, NORTH - SIDE_PX * SIZE_M, WEST + SIDE_PX * SIZE_M, NORTH)], crs=EPSG
    )
    [outline] = inside.to_crs(4326)
    resolution = next(
        r for r in range(15) if len(h3.h3shape_to_cells(h3.geo_to_h3shape(shapely.geometry.mapping(outline)), r)) > 9000
    )
    cells = h3.h3shape_to_cells(h3.geo_to_h3shape(shapely.geometry.mapping(outline)), resolution)[:N_HEXAGONS]
    shapes = [shapely.Polygon([(x, y) for y, x in h3.cell_to_boundary(cell)]) for cell in cells]
    frame = geopandas.GeoDataFrame(geometry=geopandas.GeoSeries(shapes, crs=4326).to_crs(EPSG))
    yield from _against("zones.hexagons", 12, frame)


def _against(name: str, n_dates: int, zones: Any) -> Iterator[Figure]:
    spark = get_spark("bench")
    with TemporaryDirectory() as folder:
        root = Path(folder)
        zones.to_file(root / "zones.gpkg")
        rasters = _write_month(root, n_dates)
        half = zones.sample(frac=0.5, random_state=SEED)
        half.to_file(root / "half.gpkg")
        job = load_job("zonal_statistics")
        _run(job, root, "zones.gpkg")  # warm
        of_a_date = partial(_rasterstats, rasters[0], zones)
        of_files = [partial(_run, job, root, file) for file in ("zones.gpkg", "half.gpkg")]
        own, own_half, by_date = time_in_turns([*of_files, of_a_date], ROUNDS)
        [by_exact] = time_in_turns([lambda: _exact(rasters, zones)], 1)
        by_rasterstats = by_date * n_dates
        note = f"{len(zones)} zones, {n_dates} dates of {SIDE_PX} x {SIDE_PX} cells, by date and month, local[2]"
        yield Figure(
            f"{name}.rasterstats", own, "s", by_rasterstats, "rasterstats, scaled from one date",
            by_rasterstats / own, LIMITS["rasterstats"], note,
        )  # fmt: skip
        yield Figure(
            f"{name}.exactextract", own, "s", by_exact, "exactextract, all dates in one call, without the month",
            own / by_exact, LIMITS["exactextract"], note,
        )  # fmt: skip
        yield Figure(
            f"{name}.growth", own, "s", 2.0 * own_half, "twice the time of half of the zones", own / (2.0 * own_half),
            LIMITS["growth"], note,
        )  # fmt: skip
    spark.stop()


def _write_month(root: Path, n_dates: int) -> list[str]:
    """Write stacked scenes, and the NDVI of what is clear in them as rasters; return the paths of these."""
    rng = np.random.default_rng(SEED)
    shape = (SIDE_PX, SIDE_PX)
    scl = np.full(shape, 4, np.uint8)
    scl[:200, :300] = 9
    rasters = []
    for number in range(1, n_dates + 1):
        day = f"{MONTH}-{number:02d}"
        red, nir = (rng.integers(300, 6000, shape).astype(np.uint16) for _ in range(2))
        write_stacked(
            root / "scenes", red, nir, scl, date=day, scene_id=f"S2A_40RDN_{day.replace('-', '')}_0_L2A",
            further={"B04": red, "B08": nir},
        )  # fmt: skip
        ndvi = np.where(scl == 4, (nir * 1.0 - red) / (nir * 1.0 + red), -9.0).astype(np.float32)
        path = root / f"ndvi_{number}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", dtype="float32", count=1, height=SIDE_PX, width=SIDE_PX, nodata=-9.0,
            crs=f"EPSG:{EPSG}", transform=rasterio.Affine(SIZE_M, 0, WEST, 0, -SIZE_M, NORTH), tiled=True,
        ) as target:  # fmt: skip
            target.write(ndvi, 1)
        rasters.append(str(path))
    return rasters


def _run(job: Any, root: Path, zones: str) -> None:
    shutil.rmtree(root / "statistics", ignore_errors=True)
    arguments = job.parse_arguments(
        [
            "--scenes-path", str(root / "scenes"), "--zones-path", str(root / zones), "--month", MONTH,
            "--statistics-path", str(root / "statistics"), "--index", "ndvi", "--statistics", ",".join(STATISTICS),
        ]
    )  # fmt: skip
    if job.run(arguments).failed:
        raise RuntimeError("scenes failed")


def _exact(rasters: Sequence[str], zones: Any) -> None:
    exactextract.exact_extract(list(rasters), zones, EXACT, output="pandas", strategy="feature-sequential")


def _rasterstats(raster: str, zones: Any) -> None:
    rasterstats.zonal_stats(zones.geometry, raster, stats=list(STATISTICS))
