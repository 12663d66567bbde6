"""The files that a worker writes, against numbers worked out the plain way: the same to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from known_pixels import lonlat_polygon
from plumewatch.models import Grid
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.bands import CLEAR_CLASSES
from plumewatch.sentinel2.pixel_files import write_pixel_file
from plumewatch.sentinel2.pixel_plan import PixelSettings, plan_partition, plan_tasks, plan_windows
from plumewatch.sentinel2.stored_scene import read_scene
from plumewatch.tables import PIXELS
from pyproj import Transformer
from scipy import ndimage
from sentinel2_scenes import EPSG, NORTH, SCENE_ID, SIZE_M, WEST, write_stacked

SHAPE = (560, 1300)  # six windows in two tasks, of which the first has three of the first row and one of the second
DILATION_M, STEP = 60.0, 64
CLOUDY = (3, 8, 9, 10)


def coordinates(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear between the cells of a lattice, as the docstring of compute_coordinates says."""
    rows, cols = (np.arange(0, n + STEP, STEP) for n in (grid.height, grid.width))
    x, y = np.meshgrid(WEST + (cols + 0.5) * SIZE_M, NORTH - (rows + 0.5) * SIZE_M)
    to_lonlat = Transformer.from_crs(f"EPSG:{EPSG}", "EPSG:4326", always_xy=True).transform
    longitude, latitude = to_lonlat(x, y)
    corner = to_lonlat(WEST, NORTH)[0]
    row, col = np.arange(grid.height), np.arange(grid.width)
    below, right = (row % STEP / STEP)[:, None], col % STEP / STEP

    def between(nodes: np.ndarray) -> np.ndarray:
        wide = nodes[:, col // STEP] * (1.0 - right) + nodes[:, col // STEP + 1] * right
        return wide[row // STEP] * (1.0 - below) + wide[row // STEP + 1] * below

    relative = (longitude - corner + 180.0) % 360.0 - 180.0
    return (between(relative) + corner + 180.0) % 360.0 - 180.0, between(latitude)


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole windows", "an area with edges"])
def test_bit_for_bit(tmp_path: Path, is_whole: bool) -> None:
    rng = np.random.default_rng(8)
    b11, b12 = rng.integers(0, 9000, (2, *SHAPE)).astype(np.uint16)
    scl = np.where(rng.random(SHAPE) < 0.002, rng.choice(CLOUDY, SHAPE), rng.choice([2, 4, 5, 6, 7, 11], SHAPE))
    b11[rng.random(SHAPE) < 0.01] = b12[:40, :90] = 0
    cloud = rng.integers(0, 101, SHAPE).astype(np.uint8)
    cloud[rng.random(SHAPE) < 0.1] = 255
    write_stacked(tmp_path, b11, b12, scl.astype(np.uint8), cloud=cloud, scale=0.0001, offset=-0.0123)
    [paths] = list_scenes(str(tmp_path))
    partition, _ = plan_partition([read_scene(paths)], None)
    outline = lonlat_polygon((40.2, 30.1), (1290.3, 5.2), (900.4, 555.3), (500.1, 300.7), (20.3, 500.9))
    windows = [(window, is_whole) for window in plan_windows(partition)]
    area = None if is_whole else shapely.to_wkb(outline)
    tasks = plan_tasks(partition, windows, area, f"{tmp_path}/out", PixelSettings(CLEAR_CLASSES, DILATION_M))
    said = [write_pixel_file(json.loads(task)) for task in tasks]
    files = [pq.read_table(f"{tmp_path}/out/{one['file']}") for one in said]
    assert all(file.schema.equals(PIXELS.schema) for file in files)  # texts are texts to whoever reads them
    for file in files:
        row, col = file["row"].to_numpy().astype(int), file["col"].to_numpy().astype(int)
        assert (np.diff(row * SHAPE[1] + col) > 0).all()
    found = pa.concat_tables(files).sort_by([("row", "ascending"), ("col", "ascending")])

    longitude, latitude = coordinates(partition.grid)
    is_inside = np.ones(SHAPE, bool) if is_whole else shapely.contains_xy(outline, longitude, latitude)
    assert is_inside.sum() > 0 and is_inside.all() == is_whole
    reflectance = [np.where(n == 0, np.nan, n * 0.0001 + -0.0123).astype(np.float32) for n in (b11, b12)]
    is_valid = (b11 > 0) & (b12 > 0)
    distance_px = ndimage.distance_transform_edt(~np.isin(scl, CLOUDY))
    is_clear = is_valid & np.isin(scl, CLEAR_CLASSES) & (distance_px > DILATION_M / SIZE_M)
    row, col = np.indices(SHAPE)
    expected = {
        "row": row.astype(np.int32), "col": col.astype(np.int32), "longitude": longitude, "latitude": latitude,
        "b11": reflectance[0], "b12": reflectance[1], "b_diff": reflectance[0] - reflectance[1],
        "scl": scl.astype(np.uint8), "is_clear": is_clear,
    }  # fmt: skip
    for name, values in expected.items():
        assert found[name].to_numpy().tobytes() == values[is_inside].tobytes(), name
    percent = found["cloud_probability_percent"]
    has_cloud = is_valid & (cloud != 255)
    np.testing.assert_array_equal(percent.is_valid().to_numpy(), has_cloud[is_inside])
    np.testing.assert_array_equal(percent.fill_null(0).to_numpy(), np.where(has_cloud, cloud, 0)[is_inside])
    for name, value in (("scene_id", SCENE_ID), ("platform", "sentinel-2a"), ("relative_orbit", 20), ("epsg", EPSG)):
        assert set(found[name].unique().to_pylist()) == {value}
    assert sum(one["rows"] for one in said) == is_inside.sum()
    assert sum(one["clear"] for one in said) == (is_clear & is_inside).sum()
    assert sum(one["no_data"] for one in said) == (~is_valid & is_inside).sum()
