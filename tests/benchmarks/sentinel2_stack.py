"""One scene of an area of 25 x 25 km out of a whole tile that is far away: stacked, against odc-stac reading it."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import odc.stac
import pystac
import rasterio
from affine import Affine
from distant_files import distant_files, take_counts
from figures import Figure, time_in_turns
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from plumewatch.areas import grid_of
from plumewatch.models import Area, Grid
from plumewatch.rasters.reading import read_raster
from plumewatch.rasters.regrid import read_on_grid
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.simulation.surfaces import make_surface
from pyproj import Transformer
from rasterio.enums import Resampling
from shapely import box, transform

from tools.checkout import CHECKOUT

EPSG, WEST, NORTH, CELL_M, TILE_PX = 32629, 199_980.0, 2_800_020.0, 20.0, 5490
SCENE_ID = "S2A_29RKH_20200219_0_L2A"
KEYS = {"B11": "swir16", "B12": "swir22", "SCL": "scl"}
CORNER_M, SIDE_M = 32_000.0, 25_000.0  # from the tile's upper left corner
DELAY_S = 0.05
POOL = 4
ROUNDS = 7
BLOCK_PX = 1024  # of Earth Search's sentinel-2-l2a
MAX_RATIO = "<= 1.5"
REAL_DATA = Path(os.environ.get("PLUMEWATCH_TEST_DATA", CHECKOUT.parent / "shared" / "data"))


def stack_of_a_scene() -> Iterator[Figure]:
    """Time from the item to the published scene, and of odc.stac.load to arrays of the same bands on the same grid."""
    with TemporaryDirectory(prefix="plumewatch-bench-") as name:
        folder = Path(name)
        texture = write_tile(folder)
        area = _area()
        grid = grid_of(area)
        with distant_files(folder, DELAY_S) as address:
            rounds, counts = itertools.count(), {"ours": [], "theirs": []}

            def ours() -> None:
                number, started_s = next(rounds), time.process_time()
                fetch_scene(_item(f"{address}/{number}"), area, str(folder / "scenes" / str(number)))
                counts["ours"].append((*take_counts(address), time.process_time() - started_s))

            def theirs() -> None:
                item, started_s = _item(f"{address}/{next(rounds)}"), time.process_time()
                load(item, grid)
                counts["theirs"].append((*take_counts(address), time.process_time() - started_s))

            _check(folder, _item(f"{address}/check"), area, grid)
            take_counts(address)
            stack_s, load_s = time_in_turns([ours, theirs], ROUNDS)
        asked = {who: [statistics.median(values) for values in zip(*c, strict=True)] for who, c in counts.items()}
    (requests, sent, cpu_s), (their_requests, their_sent, their_cpu_s) = asked["ours"], asked["theirs"]
    note = (
        f"{grid.width} x {grid.height} cells of {texture}, {DELAY_S * 1e3:.0f} ms a request; {requests:.0f} requests "
        f"and {sent / 1e6:.1f} MB, against {their_requests:.0f} and {their_sent / 1e6:.1f} MB; "
        f"{cpu_s:.2f} s of processor time against {their_cpu_s:.2f} s; ours with the "
        "surroundings of the classification, three COGs and the item, written"
    )
    baseline_is = f"odc.stac.load of B11, B12 and SCL on the same grid, pool of {POOL}, nothing written"
    yield Figure("stack of one scene", stack_s, "s", load_s, baseline_is, stack_s / load_s, MAX_RATIO, note)


def scene_of_another_zone() -> Iterator[Figure]:
    """Time to read three bands that are at hand onto the grid of the neighbouring UTM zone, and of odc.stac.load."""
    with TemporaryDirectory(prefix="plumewatch-bench-") as name:
        texture, item = write_tile(Path(name)), _item(f"file://{name}")
        middle_m = CORNER_M + SIDE_M / 2
        to_other = Transformer.from_crs(EPSG, EPSG - 1, always_xy=True)
        x, y = to_other.transform(WEST + middle_m, NORTH - middle_m)
        west, north = (round(edge / CELL_M) * CELL_M for edge in (x - SIDE_M / 2, y + SIDE_M / 2))
        grid = Grid(EPSG - 1, west, north, CELL_M, round(SIDE_M / CELL_M), round(SIDE_M / CELL_M))

        def ours() -> dict[str, NDArray]:
            def read(band: str) -> NDArray:
                how = Resampling.nearest if band == "SCL" else Resampling.bilinear
                return read_raster(f"{name}/{band}.tif", lambda source: read_on_grid(source, grid, how, 0))

            with ThreadPoolExecutor(len(KEYS)) as pool:
                return dict(zip(KEYS, pool.map(read, KEYS), strict=True))

        def theirs() -> dict[str, NDArray]:
            return load(item, grid, {"*": "bilinear", KEYS["SCL"]: "nearest"})

        expected = theirs()
        for band, values in ours().items():
            np.testing.assert_array_equal(values, expected[band], err_msg=band)
        own_s, load_s = time_in_turns([ours, theirs], ROUNDS)
    note = f"{grid.width} x {grid.height} cells of {texture}, B11, B12 and SCL, the same numbers in every cell"
    yield Figure(
        "scene of another zone", own_s, "s", load_s, f"odc.stac.load, pool of {POOL}", own_s / load_s, MAX_RATIO, note
    )


def write_tile(folder: Path) -> str:
    """Write B11.tif, B12.tif and SCL.tif of a whole tile, as COGs, and return what they show."""
    bands, texture = _texture()
    profile = {
        "driver": "COG", "count": 1, "height": TILE_PX, "width": TILE_PX, "crs": f"EPSG:{EPSG}", "nodata": 0,
        "transform": Affine(CELL_M, 0, WEST, 0, -CELL_M, NORTH), "compress": "DEFLATE", "predictor": "YES",
        "blocksize": BLOCK_PX, "num_threads": 2,
    }  # fmt: skip
    for band, numbers in bands.items():
        with rasterio.open(folder / f"{band}.tif", "w", dtype=numbers.dtype, **profile) as target:
            target.write(numbers, 1)
    return texture


def _texture() -> tuple[dict[str, NDArray], str]:
    real = REAL_DATA / "sentinel2" / SCENE_ID
    if real.is_dir():
        bands = {}
        for band in KEYS:
            with rasterio.open(real / f"{band}.tif") as source:
                bands[band] = source.read(1)
        texture = f"the real scene {SCENE_ID}"
    else:
        ground = make_surface(1, "bench", 512, [(0.0, 0.0)], 500.0)
        numbers = [np.rint(b * 1e4).astype(np.uint16) for b in (ground.b11, ground.b12)]
        bands = dict(zip(KEYS, [*numbers, ground.scl], strict=True))
        texture = "a simulated surface"
    # Mirrored at each edge: mere repetition would be within what DEFLATE looks back.
    missing = [(0, TILE_PX - size) for size in bands["SCL"].shape]
    return {b: np.pad(n, missing, mode="symmetric") for b, n in bands.items()}, f"{texture}, mirrored up to a tile"


def _area() -> Area:
    west, north = WEST + CORNER_M + CELL_M / 2, NORTH - CORNER_M - CELL_M / 2
    outline = box(west, north - SIDE_M + CELL_M, west + SIDE_M - CELL_M, north)
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    return Area("bench", transform(outline, to_lonlat.transform, interleaved=False), crs=f"EPSG:{EPSG}")


def _item(address: str) -> pystac.Item:
    bands = [{"nodata": 0, "scale": 1e-4, "offset": 0.0, "data_type": "uint16"}]
    grid = {"proj:shape": [TILE_PX, TILE_PX], "proj:transform": [CELL_M, 0, WEST, 0, -CELL_M, NORTH]}
    assets = {
        key: {"href": f"{address}/{band}.tif", "type": pystac.MediaType.COG, **grid, "raster:bands": bands}
        for band, key in KEYS.items()
    }
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    side_m = TILE_PX * CELL_M
    outline = transform(box(WEST, NORTH - side_m, WEST + side_m, NORTH), to_lonlat.transform, interleaved=False)
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": SCENE_ID, "collection": "sentinel-2-l2a", "links": [],
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.0.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "geometry": outline.__geo_interface__, "bbox": list(outline.bounds), "assets": assets,
        "properties": {
            "datetime": "2020-02-19T11:34:25.405000Z", "platform": "sentinel-2a", "proj:epsg": EPSG,
            "s2:processing_baseline": "02.14", "view:sun_elevation": 48.3, "earthsearch:boa_offset_applied": False,
            "s2:product_uri": "S2A_MSIL2A_20200219T112111_N0214_R037_T29RKH_20200219T123947.SAFE",
        },
    }  # fmt: skip
    return pystac.Item.from_dict(json.loads(json.dumps(item)), migrate=False)


def load(item: pystac.Item, grid: Grid, resampling: Any = "nearest") -> dict[str, NDArray]:
    """The bands by odc-stac, with the settings of GDAL that its documentation advises."""
    geobox = GeoBox((grid.height, grid.width), grid.transform, grid.crs)
    odc.stac.configure_rio(cloud_defaults=True)
    keys = list(KEYS.values())
    bands = odc.stac.load([item], bands=keys, geobox=geobox, pool=POOL, resampling=resampling)
    return {band: bands[key].values[0] for band, key in KEYS.items()}


def _check(folder: Path, item: pystac.Item, area: Area, grid: Grid) -> None:
    """Both give the same numbers; this also loads what both load once a process."""
    written = Path(fetch_scene(item, area, str(folder / "scenes" / "check")))
    found = load(item, grid)
    data, scl = written.with_suffix(".tif"), written.with_name(f"{SCENE_ID}_scl.tif")
    with rasterio.open(data) as bands, rasterio.open(scl) as classes:
        stacked = dict(zip(KEYS, [*bands.read(), classes.read(1)], strict=True))
    for band, numbers in stacked.items():
        np.testing.assert_array_equal(numbers, found[band], err_msg=band)
