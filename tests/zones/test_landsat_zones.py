"""Statistics and composites over a stacked scene of Landsat, by the names of its bands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from jobs import load_job
from landsat_scenes import CLEAR, CLOUD, SHADOW, SIZE_M, landsat_item, landsat_numbers
from plumewatch.areas import grid_of, read_areas
from plumewatch.errors import InputError
from plumewatch.sentinel2.stack import fetch_scene
from pyproj import Transformer
from sentinel2_scenes import EPSG, write_raster
from shapely.geometry import mapping

DAY, N = "2025-08-21", 40
WEST, NORTH = 500_025.0, 2_699_985.0  # edges lie at 15 m beside multiples of 30 m
TO_LONLAT = Transformer.from_crs(f"EPSG:{EPSG}", "EPSG:4326", always_xy=True)
RNG = np.random.default_rng(12)


def outline(row: int, col: int, height: int, width: int) -> Any:
    """The cells of the scene, a little within their edges."""
    x, y = (WEST + col * SIZE_M + 4, WEST + (col + width) * SIZE_M - 4), (
        NORTH - (row + height) * SIZE_M + 4, NORTH - row * SIZE_M - 4,
    )  # fmt: skip
    return shapely.Polygon([TO_LONLAT.transform(*c) for c in ((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]))])


def write_area(folder: Path, **properties: Any) -> str:
    said = {"name": "dune", "collection": "landsat-c2-l2", "bands": ["red", "nir", "blue"], "crs": f"EPSG:{EPSG}"}
    folder.mkdir(exist_ok=True)
    feature = {"type": "Feature", "properties": {**said, **properties}, "geometry": mapping(outline(0, 0, N, N))}
    (folder / "dune.geojson").write_text(json.dumps(feature))
    return str(folder)


@pytest.fixture
def reflectance(tmp_path: Path) -> dict[str, np.ndarray]:
    """Stack a scene with a cloud and a shadow; return its reflectance by band, NaN where it isn't clear."""
    bands = {band: RNG.uniform(0.02, 0.6, (N, N)) for band in ("B02", "B04", "B08")}
    mask = np.full((N, N), CLEAR, np.uint16)
    mask[5:8, 5:9], mask[30, 30] = CLOUD, SHADOW
    hrefs = {
        band: write_raster(
            tmp_path / f"{band}.tif", landsat_numbers(values), west=WEST, north=NORTH, size_m=SIZE_M
        )
        for band, values in bands.items()
    }  # fmt: skip
    hrefs["QA_PIXEL"] = write_raster(tmp_path / "qa.tif", mask, west=WEST, north=NORTH, size_m=SIZE_M, nodata=1)
    [area] = read_areas(write_area(tmp_path / "areas", cloud_dilation_m=0))
    assert area.bands == ("B04", "B08", "B02") and grid_of(area).resolution_m == 30.0
    fetch_scene(pystac.Item.from_dict(landsat_item(hrefs, DAY)), area, str(tmp_path / "scenes"))
    return {band: np.where(mask == CLEAR, values, np.nan) for band, values in bands.items()}


def test_indices_are_those_of_its_bands(
    spark: object, reflectance: dict[str, np.ndarray], stored: Callable[[], Any], tmp_path: Path
) -> None:
    zones = {"type": "Feature", "properties": {"zone": "a"}, "geometry": mapping(outline(2, 3, 20, 18))}
    (tmp_path / "zones.geojson").write_text(json.dumps(zones))
    job = load_job("zonal_statistics")
    argv = [
        "--scenes-path",
        tmp_path / "scenes",
        "--zones-path",
        tmp_path / "zones.geojson",
        "--zone-id-column",
        "zone",
    ]
    argv += ["--month", "2025-08", "--statistics-path", tmp_path / "zonal_statistics", "--index", "ndvi", "evi"]
    argv += ["--statistics", "mean,count", "--areas-path", tmp_path / "areas"]
    assert job.run(job.parse_arguments(list(map(str, argv)))).failed == 0
    blue, red, nir = (reflectance[band][2:22, 3:21] for band in ("B02", "B04", "B08"))
    rows = stored()
    rows = rows[rows.scene_id.isna()]
    found = {(row.band_or_index, row.statistic): row for row in rows.itertuples()}
    expected = {
        "ndvi": np.nanmean((nir - red) / (nir + red)),
        "evi": np.nanmean(2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)),
    }
    for name, value in expected.items():
        assert found[name, "mean"].value == pytest.approx(value, rel=2e-3)
        assert (found[name, "mean"].count_clear, found[name, "mean"].count_total) == (20 * 18 - 12, 20 * 18)


def test_a_composite_says_which_bands_of_the_sensor_it_shows(
    spark: object, reflectance: dict[str, np.ndarray], tmp_path: Path
) -> None:
    job = load_job("monthly_composites")
    argv = ["--scenes-path", tmp_path / "scenes", "--composites-path", tmp_path / "composites", "--month", "2025-08"]
    assert job.run(job.parse_arguments(list(map(str, argv)))).rows_written == 1
    folder = tmp_path / "composites" / "area=dune" / "month=2025-08"
    item = pystac.Item.from_file(str(folder / "composite.json"))
    bands = item.assets["median"].extra_fields["eo:bands"]
    assert [(band["name"], band["plumewatch:source_band"]) for band in bands] == [
        ("B02", "2"), ("B04", "4"), ("B08", "5"),
    ]  # fmt: skip
    with rasterio.open(folder / "median.tif") as source:
        assert source.res == (30.0, 30.0) and source.descriptions == ("B02", "B04", "B08")


@pytest.mark.parametrize(
    "properties, allowed",
    [
        ({"bands": ["B8A"]}, "B01, B02, B03, B04, B08, B11, B12"),
        ({"cloud_mask": "s2cloudless"}, "scl"),
        ({"collection": "landsat-c2-l1"}, "landsat-c2-l2"),
        ({"bands": ["swir16", "swir22"], "resolution_m": 20}, "29.85 to 60 m"),
    ],
    ids=["a band of Sentinel-2", "a mask of Sentinel-2", "level 1", "cells smaller than its pixels"],
)
def test_what_landsat_hasn_t_is_refused_in_the_area_s_file(
    tmp_path: Path, properties: dict[str, Any], allowed: str
) -> None:
    with pytest.raises(InputError, match=f"allowed: .*{allowed}"):
        read_areas(write_area(tmp_path / "areas", **properties))
