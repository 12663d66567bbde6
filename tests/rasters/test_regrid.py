from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from plumewatch.errors import InputError
from plumewatch.models import Grid
from plumewatch.rasters.regrid import read_on_grid
from pyproj import Transformer
from rasterio.enums import Resampling
from sentinel2_scenes import EPSG, NORTH, SIZE_M, WEST, write_raster

RNG = np.random.default_rng(3)
NUMBERS = RNG.integers(1, 9000, (60, 70)).astype(np.uint16)


def on_grid(path: str, grid: Grid, resampling: Resampling = Resampling.bilinear, fill: int = 0) -> np.ndarray:
    with rasterio.open(path) as source:
        return read_on_grid(source, grid, resampling, fill)


@pytest.mark.parametrize(
    ("col", "row", "width", "height"),
    [(0, 0, 70, 60), (5, 7, 20, 30), (-4, -3, 30, 20), (50, 40, 40, 40), (-10, -10, 100, 100), (69, 59, 5, 5)],
)
def test_on_the_same_lattice_pixels_are_copied(tmp_path: Path, col: int, row: int, width: int, height: int) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBERS)
    found = on_grid(path, Grid(EPSG, WEST + col * SIZE_M, NORTH - row * SIZE_M, SIZE_M, width, height))
    padded = np.pad(NUMBERS, 100)
    np.testing.assert_array_equal(found, padded[100 + row : 100 + row + height, 100 + col : 100 + col + width])


@pytest.mark.parametrize("place", [(WEST + 2000, NORTH), (WEST - 2000, NORTH), (WEST, NORTH + 5000)])
def test_beyond_the_raster_there_is_no_data(tmp_path: Path, place: tuple[float, float]) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBERS)
    assert (on_grid(path, Grid(EPSG, *place, SIZE_M, 30, 30), fill=255) == 255).all()


def test_cells_that_divide_a_pixel_have_its_value(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBERS, size_m=60.0)
    found = on_grid(path, Grid(EPSG, WEST + 80, NORTH - 40, 20.0, 50, 40))
    np.testing.assert_array_equal(found, NUMBERS.repeat(3, 0).repeat(3, 1)[2:42, 4:54])


def test_finer_pixels_are_averaged_into_a_cell(tmp_path: Path) -> None:
    row, col = np.indices((80, 80))
    path = write_raster(tmp_path / "a.tif", (2000 + 20 * row + 40 * col).astype(np.uint16), size_m=10.0)
    found = on_grid(path, Grid(EPSG, WEST + 200, NORTH - 200, 20.0, 15, 15))
    expected = 2000 + 20 * (2 * np.arange(15)[:, None] + 20.5) + 40 * (2 * np.arange(15) + 20.5)
    np.testing.assert_allclose(found, expected, atol=1)


def test_between_pixels_a_plane_stays_a_plane_without_a_shift(tmp_path: Path) -> None:
    row, col = np.indices((60, 70))
    path = write_raster(tmp_path / "a.tif", (2000 + 20 * row + 40 * col).astype(np.uint16))
    found = on_grid(path, Grid(EPSG, WEST + 405, NORTH - 410, SIZE_M, 20, 20))
    expected = 2000 + 20 * (np.arange(20)[:, None] + 20.5) + 40 * (np.arange(20) + 20.25)
    np.testing.assert_allclose(found, expected, atol=1)


@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("epsg", [EPSG, EPSG - 1])
def test_no_data_does_not_bleed_into_its_neighbours(tmp_path: Path, nodata: int | None, epsg: int) -> None:
    """Whether the file states it or not, on a grid between its pixels or in another zone."""
    numbers = np.full((40, 40), 5000, np.uint16)
    numbers[:, 20:] = 0
    path = write_raster(tmp_path / "a.tif", numbers, nodata=nodata)
    west, north = Transformer.from_crs(EPSG, epsg).transform(WEST + 5, NORTH - 5)
    found = on_grid(path, Grid(epsg, west, north, SIZE_M, 30, 30))
    assert set(np.unique(found)) == {0, 5000}


def test_classes_are_never_mixed(tmp_path: Path) -> None:
    scl = RNG.choice(np.array([4, 9], np.uint8), (60, 60))
    path = write_raster(tmp_path / "scl.tif", scl)
    found = on_grid(path, Grid(EPSG, WEST + 7, NORTH - 3, 13.0, 40, 40), Resampling.nearest)
    assert set(np.unique(found)) == {4, 9}


def test_another_projection(tmp_path: Path) -> None:
    """Easting of zone 40 as pixel values, seen from zone 39: each cell has the easting of its own place."""
    _, col = np.indices((200, 200))
    path = write_raster(tmp_path / "a.tif", (1000 + 10 * col).astype(np.uint16))
    to_39 = Transformer.from_crs(f"EPSG:{EPSG}", "EPSG:32639", always_xy=True)
    x, y = to_39.transform(WEST + 1500, NORTH - 1500)
    grid = Grid(32639, round(x / 20) * 20, round(y / 20) * 20, 20.0, 30, 30)
    found = on_grid(path, grid)
    xs, ys = np.meshgrid(grid.west + (np.arange(30) + 0.5) * 20, grid.north - (np.arange(30) + 0.5) * 20)
    eastings, _ = to_39.transform(xs, ys, direction="INVERSE")
    np.testing.assert_allclose(found, 1000 + 10 * ((eastings - WEST) / SIZE_M - 0.5), atol=2)


def test_a_raster_without_position_is_refused(tmp_path: Path, real_data: Path) -> None:
    scene = next((real_data / "sentinel1").rglob("*.tif*"))
    with pytest.raises(InputError, match="without projection or position"):
        on_grid(str(scene), Grid(EPSG, WEST, NORTH, SIZE_M, 3, 3))


@pytest.mark.parametrize(
    "transform",
    [(20, 20, WEST, 20, 20, NORTH), (20, 0, 1e308, 0, -20, NORTH), (20, 0, WEST, 0, -20, float("inf")),
     (1e-300, 0, WEST, 0, -1e-300, NORTH)],
)  # fmt: skip
def test_a_raster_whose_pixels_have_no_area_or_no_place_is_refused(
    tmp_path: Path, transform: tuple[float, ...]
) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBERS)
    with rasterio.open(path, "r+") as target:
        target.transform = rasterio.Affine(*transform)
    with pytest.raises(InputError, match=r"a\.tif: transform .*; allowed: pixels that have an area"):
        on_grid(path, Grid(EPSG, WEST, NORTH, SIZE_M, 30, 30))


@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("shift_m", [0.0, 5.0])
def test_means_of_finer_pixels_leave_out_no_data_that_the_file_does_not_state(
    tmp_path: Path, nodata: int | None, shift_m: float
) -> None:
    numbers = np.full((240, 240), 4000, np.uint16)
    numbers[:, :119] = 0
    path = write_raster(tmp_path / "a.tif", numbers, nodata=nodata, size_m=10.0)
    found = on_grid(path, Grid(EPSG, WEST + shift_m, NORTH - shift_m, 60.0, 39, 39), Resampling.average)
    assert set(np.unique(found)) == {0, 4000}


@pytest.mark.parametrize("fill", [0, 255])
@pytest.mark.parametrize("shift_m", [0.0, 5.0])
@pytest.mark.parametrize("nodata", [None, 0])
def test_what_a_mask_within_the_file_leaves_out_is_no_data(
    tmp_path: Path, fill: int, shift_m: float, nodata: int | None
) -> None:
    numbers = np.full((40, 40), 5000, np.uint16)
    numbers[:, 20:] = 999
    path = write_raster(tmp_path / "a.tif", numbers, nodata=nodata)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
        target.write_mask(numbers == 5000)
    found = on_grid(path, Grid(EPSG, WEST + shift_m, NORTH - shift_m, SIZE_M, 30, 30), fill=fill)
    assert set(np.unique(found)) == {fill, 5000}
