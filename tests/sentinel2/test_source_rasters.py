"""What rasters and assets of a source scene say of themselves is compared with what can be before they are stacked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from known_source import AREA, SHAPE
from plumewatch.errors import InputError
from plumewatch.sentinel2.stack import fetch_scene
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
