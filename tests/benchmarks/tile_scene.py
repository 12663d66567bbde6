"""A stacked scene as large as a whole tile, put together from a small one: the real Sahara, else a simulated desert."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from plumewatch.rasters.cog import cog_bytes
from plumewatch.rasters.scene_store import ScenePaths, publish_scene, scene_paths
from plumewatch.simulation.random_streams import random_stream
from plumewatch.simulation.surfaces import make_surface, under_clouds, with_noise

REAL = "S2A_29RKH_20200219_0_L2A"
AREA, DATE = "tile", "2020-02-19"
EPSG, WEST, NORTH, SIZE_M = 32629, 199_980.0, 2_800_020.0, 20.0  # of tile 29RKH
QUANTIFICATION = 10_000
SMALL_PX, CLOUDY, SEED = 549, 0.05, 7  # of the simulated desert: as large as the real scene, with as much cloud
EDGE, EDGE_SLOPE = 0.1, 0.2  # share of the upper side without data, and how steeply the swath's edge crosses the tile
GAINS = (0.9, 1.1)  # so that no piece of ground repeats itself digit by digit

Bands = dict[str, NDArray[Any]]


def small_scene() -> tuple[Bands, str]:
    """Return B11, B12 and SCL of a desert as digital numbers, and what it is."""
    folder = Path(os.environ.get("PLUMEWATCH_TEST_DATA", ""), "sentinel2", REAL)
    if folder.is_dir():
        return {band: _read(folder / f"{band}.tif") for band in ("B11", "B12", "SCL")}, f"real ground of {REAL}"
    rng = random_stream(SEED, "tile")
    ground = make_surface(SEED, AREA, SMALL_PX, [(0.0, 0.0)], 0.0)
    seen = with_noise(under_clouds(ground, rng, CLOUDY), rng)
    numbers = (np.rint(band * QUANTIFICATION).astype(np.uint16) for band in (seen.b11, seen.b12))
    return dict(zip(("B11", "B12"), numbers, strict=True)) | {"SCL": seen.scl}, "simulated ground: no real data here"


def write_tile(scenes: Path, small: Bands, size: int) -> ScenePaths:
    """Write a scene of size x size cells below `scenes`, as the project stacks them, and return where it is."""
    whole = _tiled(small, size)
    paths = scene_paths(str(scenes), AREA, DATE, REAL)
    place = Affine(SIZE_M, 0.0, WEST, 0.0, -SIZE_M, NORTH)
    bands = {band: whole[band] for band in ("B11", "B12")}
    crs = f"EPSG:{EPSG}"
    rasters = {
        "data": cog_bytes(bands, crs, place, nodata=0, overview_resampling="AVERAGE", scale=1 / QUANTIFICATION),
        "scl": cog_bytes({"SCL": whole["SCL"]}, crs, place, nodata=0, overview_resampling="NEAREST"),
    }
    stated = {
        "datetime": f"{DATE}T11:20:35.123Z", "platform": "sentinel-2a", "sat:relative_orbit": 80,
        "view:sun_elevation": 47.9, "view:incidence_angle": 4.25,
    }  # fmt: skip
    item = {"type": "Feature", "stac_version": "1.0.0", "id": REAL, "geometry": None, "links": [], "assets": {}}
    publish_scene(paths, rasters, json.loads(json.dumps({**item, "properties": stated})))
    return paths


def _read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as source:
        return source.read(1)


def _tiled(small: Bands, size: int) -> Bands:
    """Lay the small scene out side by side, each time turned, flipped and brightened otherwise, up to an edge."""
    rng = np.random.default_rng(SEED)
    side = small["SCL"].shape[0]
    many = -(-size // side)
    whole = {band: np.empty((many * side, many * side), values.dtype) for band, values in small.items()}
    for i, j in np.ndindex(many, many):
        turns, is_flipped, gain = rng.integers(4), rng.integers(2), rng.uniform(*GAINS)
        for band, values in small.items():
            piece = np.rot90(values, turns)
            piece = np.fliplr(piece) if is_flipped else piece
            if band != "SCL":  # noise of one digit: a gain alone would leave out some numbers
                piece = np.rint(piece * gain + rng.uniform(-0.5, 0.5, piece.shape))
            whole[band][i * side : (i + 1) * side, j * side : (j + 1) * side] = piece
    row, col = np.ogrid[:size, :size]
    is_beyond = col + EDGE_SLOPE * row < EDGE * size
    return {band: np.where(is_beyond, 0, values[:size, :size]) for band, values in whole.items()}
