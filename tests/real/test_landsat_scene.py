"""A real scene of Landsat 8, thinned to 600 m: its numbers and its mask become reflectance and classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pystac
import rasterio
import shapely
from landsat_scenes import landsat_item
from plumewatch.areas import grid_of, read_areas
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.presence import find_flaw
from plumewatch.sentinel2.stack import fetch_scene
from shapely.geometry import mapping

NAME, DAY = "LC08_L2SP_001062_20201031_20201106_02_T2", "2020-10-31"


def test_a_real_scene_is_stacked_with_its_clouds(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "landsat" / NAME
    files = {"B04": "SR_B4", "B08": "SR_B5", "QA_PIXEL": "QA_PIXEL"}
    hrefs = {band: str(folder / f"{NAME}_{file}.TIF") for band, file in files.items()}
    item = landsat_item(hrefs, DAY, path_row="001062", footprint=shapely.box(-67.0, -3.2, -64.5, -1.5))
    outline = shapely.box(-66.0, -2.8, -65.2, -2.2)  # south of the equator, in a zone of the north
    said = {"name": "amazon", "collection": "landsat-c2-l2", "bands": ["red", "nir"], "resolution_m": 600}
    area_file = tmp_path / "amazon.geojson"
    area_file.write_text(json.dumps({"type": "Feature", "properties": said, "geometry": mapping(outline)}))
    [area] = read_areas(str(area_file))
    assert grid_of(area).epsg == 32620
    fetch_scene(pystac.Item.from_dict(item), area, str(tmp_path / "scenes"))
    [paths] = list_scenes(str(tmp_path / "scenes"))
    assert find_flaw(paths, area) is None
    with rasterio.open(paths.raster("scl")) as classes, rasterio.open(hrefs["QA_PIXEL"]) as mask:
        found, numbers = classes.read(1), mask.read(1)
    assert set(np.unique(numbers)) == {1, 22280, 23888, 55052} and set(np.unique(found)) <= {0, 3, 9}
    assert np.mean(found == 9) > 0.9  # its item states a cover of 99.94 %
    with rasterio.open(paths.raster("data")) as data, rasterio.open(hrefs["B08"]) as source:
        nir = data.read(2)[found > 0] * data.scales[1]
        numbers = source.read(1)
    expected = np.median(numbers[numbers > 0] * 2.75e-5 - 0.2)
    assert abs(np.median(nir) - expected) < 0.15 and 0.2 < np.median(nir) < 1.2
