"""What rasters and assets of a source scene say of themselves is compared with what can be before they are stacked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from known_source import AREA, SHAPE
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.sentinel2.stored_scene import read_scene
from sentinel2_scenes import SCENE_ID, write_raster


@pytest.mark.parametrize("band", ["B11", "SCL"])
def test_what_a_geotiff_says_of_itself_is_compared(source: Callable, arrays: dict, tmp_path: Path, band: str) -> None:
    content = source(arrays, offset=0.0)
    del content["properties"]["earthsearch:boa_offset_applied"]
    with rasterio.open(tmp_path / "catalogue" / SCENE_ID / f"{band}.tif", "r+") as target:
        target.scales, target.offsets = (1e-4,), (-0.1,)
    with pytest.raises(InputError, match=r"offset 0.0 in the item and -0.1 in|SCL.tif: numbers with scale 0.0001 and"):
        fetch_scene(pystac.Item.from_dict(content, migrate=False), AREA, str(tmp_path / "scenes"))
    assert not (tmp_path / "scenes").exists()


@pytest.mark.parametrize("key", ["swir16", "swir22", "scl"])
@pytest.mark.parametrize(
    "stated", [{"raster:bands": [{"nodata": 65535}]}, {"bands": [{"nodata": "255"}]}, {"nodata": 1}, {"nodata": "nan"}]
)
def test_another_no_data_value_in_the_item_is_refused(
    item: pystac.Item, tmp_path: Path, key: str, stated: dict
) -> None:
    item.assets[key].extra_fields = stated
    with pytest.raises(InputError, match=r"\.tif: no-data value \w+ in the item; allowed: 0"):
        fetch_scene(item, AREA, str(tmp_path / "scenes"))


@pytest.mark.parametrize("stated", [{"raster:bands": [{"nodata": 0}]}, {"bands": [{"nodata": "0"}]}, {"nodata": None}])
def test_no_data_of_0_in_the_item_is_served(item: pystac.Item, tmp_path: Path, stated: dict) -> None:
    item.assets["swir16"].extra_fields = stated
    assert Path(fetch_scene(item, AREA, str(tmp_path / "scenes"))).exists()


@pytest.mark.parametrize(
    ("key", "stated"),
    [
        ("swir16", {"eo:bands": [{"name": "B12"}]}),
        ("swir16", {"eo:bands": [{"name": "swir22", "common_name": "swir22"}]}),
        ("swir22", {"eo:bands": [{"name": "B11"}, {"name": "B12"}]}),
        ("swir22", {"bands": [{"name": "B11"}]}),
        ("swir22", {"bands": [{"eo:common_name": "swir16"}]}),
        ("scl", {"eo:bands": [{"name": "B11"}]}),
    ],
)
def test_an_asset_of_other_bands_than_its_key_says_is_refused(
    item: pystac.Item, tmp_path: Path, key: str, stated: dict
) -> None:
    item.assets[key].extra_fields = stated
    with pytest.raises(InputError, match=rf"asset {key} with bands .*; allowed: \w+ alone"):
        fetch_scene(item, AREA, str(tmp_path / "scenes"))


@pytest.mark.parametrize("name", ["B11", "swir16", "SWIR 1", 11])
def test_an_asset_of_the_band_that_its_key_says_is_served(item: pystac.Item, tmp_path: Path, name: object) -> None:
    item.assets["swir16"].extra_fields = {"eo:bands": [{"name": name}]}
    assert Path(fetch_scene(item, AREA, str(tmp_path / "scenes"))).exists()


@pytest.mark.parametrize("key", ["swir16", "swir22", "scl"])
@pytest.mark.parametrize("count", [2, 3])
def test_a_file_of_several_bands_is_refused(
    item: pystac.Item, arrays: dict, tmp_path: Path, key: str, count: int
) -> None:
    path = tmp_path / "several.tif"
    write_raster(path, *[arrays["SCL" if key == "scl" else "B11"]] * count)
    item.assets[key].href = str(path)
    with pytest.raises(InputError, match=rf"several\.tif: {count} bands; allowed: a file of one band"):
        fetch_scene(item, AREA, str(tmp_path / "scenes"))


CANNOT_BE = ("B11", 115, "u1"), ("SCL", 260, "u2"), ("SCL", 12, "u1"), ("CLD", 101, "u1"), ("CLD", 300, "u2")


@pytest.mark.parametrize(("band", "value", "kind"), CANNOT_BE)
def test_pixels_that_cannot_be(
    source: Callable, arrays: dict, tmp_path: Path, band: str, value: int, kind: str
) -> None:
    content = source({**arrays, band: np.full(SHAPE, value, kind)})
    with pytest.raises(InputError, match=rf"{band}\.tif: .*(\d+ pixels of {value}|type uint8); allowed: "):
        fetch_scene(pystac.Item.from_dict(content, migrate=False), AREA, str(tmp_path / "scenes"))


def lonlat_raster(path: Path, array: np.ndarray, size_deg: float) -> str:
    """The same place in longitude and latitude."""
    height, width = array.shape
    place = {"crs": "EPSG:4326", "transform": rasterio.Affine(size_deg, 0, 56.9, 0, -size_deg, 24.5)}
    profile = {"count": 1, "dtype": array.dtype, "height": height, "width": width, "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as target:
        target.write(array, 1)
    return str(path)


NAMES = {"swir16": "B11", "swir22": "B12", "red": "B04"}


@pytest.mark.parametrize(
    ("key", "size_m", "area", "is_copied"),
    [
        ("swir16", 60.0, {}, True), ("swir22", 40.0, {}, True), ("swir16", 30.0, {}, True),
        ("swir22", 120.0, {"resolution_m": 60.0}, True), ("red", 120.0, {}, True), ("red", 72.0, {}, True),
        ("swir16", 5120.0, {}, True),
        ("swir16", 20.0, {}, False), ("swir16", 10.0, {}, False), ("swir16", 60.0, {"resolution_m": 60.0}, False),
        ("red", 60.0, {}, False), ("swir22", 20.0, {"crs": "EPSG:32639"}, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_lonlat", [False, True])
def test_cells_that_are_copies_of_coarser_pixels_are_named_and_known(
    source: Callable, arrays: dict, tmp_path: Path, key: str, size_m: float, area: dict, is_copied: bool,
    is_lonlat: bool, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """As of a file of an overview alone, whatever its item states."""
    item = pystac.Item.from_dict(source({**arrays, "B04": arrays["B11"]}), migrate=False)
    path = tmp_path / "coarse.tif"
    if is_lonlat:
        lonlat_raster(path, arrays["B11"], size_m / 110_800)  # metres of a degree of latitude at 24.4 N
    else:
        write_raster(path, arrays["B11"], size_m=size_m)
    item.assets[key].href = str(path)
    written = fetch_scene(item, replace(AREA, bands=("B11", "B12", "B04"), **area), str(tmp_path / "scenes"))
    stated = storage.read_json(written)["properties"]["plumewatch:source_pixel_m"]
    assert stated[NAMES[key]] == pytest.approx(size_m, rel=0.02) and set(stated) == {"B11", "B12", "B04"}
    assert (f"copies of coarser pixels: {NAMES[key]} of " in caplog.text) is is_copied
    [paths] = list_scenes(str(tmp_path / "scenes"))
    assert read_scene(paths).source_pixel_m == pytest.approx(20.0 if key == "red" else max(size_m, 20.0), rel=0.02)


@pytest.mark.parametrize("stated", [{"B11": "coarse"}, {"B12": 0}, {"B11": -20.0}, {"B11": [20]}, "20", [20.0, 20.0]])
def test_a_size_of_source_pixels_that_is_none_is_refused(item: pystac.Item, tmp_path: Path, stated: object) -> None:
    written = Path(fetch_scene(item, AREA, str(tmp_path / "scenes")))
    content = json.loads(written.read_text())
    content["properties"]["plumewatch:source_pixel_m"] = stated
    written.write_text(json.dumps(content))
    [paths] = list_scenes(str(tmp_path / "scenes"))
    with pytest.raises(InputError, match=rf"{SCENE_ID}\.json: "):
        read_scene(paths)
