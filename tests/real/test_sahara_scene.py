"""The real Sahara scene S2A_29RKH of 2020-02-19 (B11, B12, SCL) through stack and pixel table."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely
from plumewatch import storage
from plumewatch.catalogues.stac import read_item
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.models import Area
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.tables import PIXELS
from pyproj import Transformer
from shapely.geometry import mapping

from tools.checkout import CHECKOUT

JOB = CHECKOUT / "spark_jobs" / "rasters_to_pixels.py"
SCENE_ID = "S2A_29RKH_20200219_0_L2A"
SOURCE_SIZE_M, CELL_SIZE_M = 200.0, 20.0  # the scene was thinned out; the area's cells divide its pixels
OUTLINE = shapely.Polygon([(-11.500, 24.700), (-11.400, 24.720), (-11.412, 24.800), (-11.488, 24.787)])


@pytest.fixture(scope="module")
def scene(real_data: Path) -> Path:
    return real_data / "sentinel2" / SCENE_ID


@pytest.fixture(scope="module")
def pixels(scene: Path, spark: object, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The pixel table of an area in the scene, by way of the item, the stack and the job."""
    folder = tmp_path_factory.mktemp("sahara")
    content = json.loads((scene / f"{SCENE_ID}.json").read_text())
    for asset in content["assets"].values():
        asset["href"] = f"file://{scene}/{asset['href'].rsplit('/', 1)[-1]}"
    (folder / "item.json").write_text(json.dumps(content))
    fetch_scene(read_item(str(folder / "item.json")), Area("sahara", OUTLINE), str(folder / "scenes"))
    feature = {"type": "Feature", "geometry": mapping(OUTLINE), "properties": {"name": "sahara"}}
    (folder / "areas.geojson").write_text(json.dumps(feature))
    spec = importlib.util.spec_from_file_location("rasters_to_pixels", JOB)
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    paths = {"scenes": folder / "scenes", "pixels": folder / "pixels", "areas": folder / "areas.geojson"}
    job.run(job.parse_arguments([part for name, path in paths.items() for part in (f"--{name}-path", str(path))]))
    return storage.read_table(PIXELS, str(folder / "pixels"))


def source_places(pixels: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Row and column (with fractions) of the source raster at the table's longitudes and latitudes."""
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32629", always_xy=True)
    x, y = to_utm.transform(pixels["longitude"].to_numpy(), pixels["latitude"].to_numpy())
    return (2_800_020 - y) / SOURCE_SIZE_M, (x - 199_980) / SOURCE_SIZE_M


def test_values_are_the_source_pixels(pixels: pa.Table, scene: Path) -> None:
    """By the published longitude and latitude alone, every row finds its own values in the source file."""
    row, col = (place.astype(int) for place in source_places(pixels))
    for column, name, scale in (("b11", "B11", 1e-4), ("b12", "B12", 1e-4), ("scl", "SCL", 1)):
        with rasterio.open(scene / f"{name}.tif") as source:
            numbers = source.read(1)
        np.testing.assert_array_equal(
            pixels[column].to_numpy(), (numbers[row, col] * scale).astype(pixels[column].to_numpy().dtype)
        )
    assert len(np.unique(pixels["b11"].to_numpy())) > 500  # not one value for all


def test_coordinates_are_right_to_a_tenth_of_a_pixel(pixels: pa.Table) -> None:
    row, col = source_places(pixels)
    cells = SOURCE_SIZE_M / CELL_SIZE_M
    for place in (row * cells, col * cells):  # centres of 20 m cells: whole numbers and a half
        assert np.abs(place - np.floor(place) - 0.5).max() < 0.1
    first = pixels.slice(0, 1).to_pylist()[0]
    to_lonlat = Transformer.from_crs("EPSG:32629", "EPSG:4326", always_xy=True)
    west = np.floor(to_lonlat.transform(*OUTLINE.bounds[:2], direction="INVERSE")[0] / 20) * 20
    assert abs(west - (199_980 + col[0] * SOURCE_SIZE_M - (first["col"] + 0.5) * CELL_SIZE_M)) < 2 * CELL_SIZE_M


def test_every_cell_of_the_area_once_and_none_beside(pixels: pa.Table) -> None:
    inside = shapely.contains_xy(OUTLINE.buffer(1e-7), pixels["longitude"].to_numpy(), pixels["latitude"].to_numpy())
    assert inside.all()
    west, south, east, north = OUTLINE.bounds
    per_degree_m2 = 1e6 * float(
        great_circle_distance_km(west, 24.75, east, 24.75)
        / (east - west)
        * great_circle_distance_km(0, south, 0, north)
        / (north - south)
    )
    assert pixels.num_rows == pytest.approx(OUTLINE.area * per_degree_m2 / CELL_SIZE_M**2, rel=0.01)
    cells = pixels.select(["row", "col"]).group_by(["row", "col"]).aggregate([])
    assert cells.num_rows == pixels.num_rows


def test_what_the_item_says_of_the_scene(pixels: pa.Table) -> None:
    first = pixels.slice(0, 1).to_pylist()[0]
    assert (first["scene_id"], first["platform"], first["relative_orbit"], first["epsg"]) == (
        SCENE_ID,
        "sentinel-2a",
        37,
        32629,
    )
    assert str(first["observed_at_utc"]) == "2020-02-19 11:34:25.405000+00:00"
    assert first["solar_zenith_deg"] == pytest.approx(90 - 48.293248, abs=1e-4)
    assert 0.3 < np.median(pixels["b11"].to_numpy()) < 0.7 and pixels["is_clear"].to_numpy().mean() > 0.9
