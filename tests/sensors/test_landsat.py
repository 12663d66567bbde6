"""What Landsat's products say: masks, packing, names, and what of a collection isn't served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import shapely
from landsat_scenes import (
    CIRRUS,
    CLEAR,
    CLOUD,
    DILATED,
    FILL,
    SHADOW,
    SNOW,
    WATER,
    landsat_item,
    landsat_numbers,
)
from plumewatch.errors import InputError
from plumewatch.models import Area
from plumewatch.sensors.known import sensor_of_collection, sensor_of_item, sensor_of_platform
from plumewatch.sensors.landsat import LANDSAT
from plumewatch.sensors.sentinel2 import SENTINEL2
from plumewatch.sentinel2.reflectance import normalise
from plumewatch.sentinel2.scene import scene_ref, select_newest
from plumewatch.sentinel2.stack import fetch_scene

DAY = "2024-05-03"


@pytest.mark.parametrize(
    "number, scene_class",
    [
        (FILL, 0), (CLEAR, 7), (WATER, 6), (CLOUD, 9), (SHADOW, 3), (CIRRUS, 10), (SNOW, 11), (DILATED, 8),
        (55052, 9),  # cloud and cirrus, of LC08_L2SP_001062_20201031
        (CLOUD | 1 << 1, 9),  # the margin of another cloud
        (0, 0),
    ],
)  # fmt: skip
def test_bits_of_the_mask_are_classes(number: int, scene_class: int) -> None:
    assert LANDSAT.translation is not None and LANDSAT.translation.shape == (65536,)
    assert LANDSAT.translation[number] == scene_class


def test_numbers_are_reflectance_of_collection_2() -> None:
    item = landsat_item({"B11": "x_SR_B6.TIF"}, DAY)
    rule = LANDSAT.rule("a", "landsat-c2-l2", item["properties"], item["assets"]["swir16"])
    reflectance = np.array([[0.0123, 0.25, 0.9, 1.2, np.nan]])
    found, n_clipped = normalise(landsat_numbers(reflectance), rule)
    np.testing.assert_allclose(found[0, :4], np.rint(reflectance[0, :4] * 1e4), atol=1)
    assert found[0, 4] == 0 and n_clipped == 0
    dark, n_clipped = normalise(np.array([[5000]], np.uint16), rule)  # -0.0625, over-corrected water
    assert dark.tolist() == [[1]] and n_clipped == 1


@pytest.mark.parametrize(
    "changed, bands, tags, allowed",
    [
        ({"landsat:correction": "L1TP"}, {}, (1.0, 0.0), "Level 2"),
        ({"landsat:correction": None}, {}, (1.0, 0.0), "Level 2"),
        ({}, {"scale": 2e-5, "offset": -0.1}, (1.0, 0.0), "scale 2.75e-05 with offset -0.2"),
        ({}, {}, (1e-4, 0.0), "scale 2.75e-05 with offset -0.2"),
        ({}, {"scale": "x"}, (1.0, 0.0), "scale 2.75e-05 with offset -0.2"),
    ],
    ids=["level 1", "no level", "level 1 by its packing", "another packing in the file", "no number"],
)
def test_other_numbers_are_refused(
    changed: dict[str, Any], bands: dict[str, Any], tags: tuple[float, float], allowed: str
) -> None:
    properties = {**landsat_item({}, DAY)["properties"], **changed}
    with pytest.raises(InputError, match=f"^a: .*; allowed: .*{allowed}"):
        LANDSAT.rule("a", "landsat-c2-l2", properties, {"href": "b.tif", "raster:bands": [bands]}, tags)


def test_the_level_may_stand_in_the_name_of_a_file() -> None:
    properties = {**landsat_item({}, DAY)["properties"], "landsat:correction": None}
    href = "https://a/LC08_L2SP_163033_20240503_20240511_02_T1_SR_B6.TIF?sig=x"
    assert LANDSAT.rule("a", None, properties, {"href": href}).offset == -0.2


def test_an_item_is_a_scene_of_a_path_and_row() -> None:
    ref = scene_ref(landsat_item({}, DAY, unit=9), "href")
    assert (ref.platform, ref.relative_orbit, ref.tile, ref.baseline) == ("landsat-9", 163, "163033", (2, 2))
    assert ref.acquisition == ("163033", ref.observed_at_utc.date(), "landsat-9", 163) and ref.cloud_cover == 2.5
    bare = {"platform": "LANDSAT_8", "datetime": f"{DAY}T00:00:00Z"}
    item = {**landsat_item({}, DAY), "properties": bare, "id": "LC08_L2SR_081119_20200101_20200823_02_T2"}
    assert (scene_ref(item, "href").tile, scene_ref(item, "href").relative_orbit) == ("081119", None)
    wrong = {**landsat_item({}, DAY), "properties": {**bare, "landsat:wrs_path": "234"}}
    with pytest.raises(InputError, match="path 234"):
        scene_ref(wrong, "href")


def test_of_one_acquisition_the_better_tier_and_the_later_processing_count() -> None:
    def ref(tier: str, made: str) -> Any:
        item = landsat_item({}, DAY, **{"landsat:collection_category": tier})
        return scene_ref({**item, "id": f"LC08_L2SP_163033_20240503_{made}_02_{tier}"}, "href")

    real_time, first, again = ref("RT", "20240504"), ref("T1", "20240511"), ref("T1", "20240601")
    assert select_newest([first, real_time, again]) == ([again], [real_time, first])
    row_below = scene_ref({**landsat_item({}, DAY, path_row="163034"), "geometry": again.footprint}, "href")
    assert select_newest([again, row_below]) == ([again, row_below], [])  # another part of the same pass


def test_sensors_are_known_by_collection_platform_and_name() -> None:
    for of_landsat in ("landsat-c2-l2", "landsat-c2l2-sr", "Landsat-8"):
        assert sensor_of_collection(of_landsat) is LANDSAT
    for other in (None, "sentinel-2-l2a", "my-fields"):
        assert sensor_of_collection(other) is SENTINEL2
    assert sensor_of_platform("landsat-9") is LANDSAT and sensor_of_platform("sentinel-2c") is SENTINEL2
    assert sensor_of_item("LC08_L2SP_1", {}) is LANDSAT and sensor_of_item("S2A_40RDN", {}) is SENTINEL2
    assert sensor_of_item("mine", {"constellation": "landsat"}) is LANDSAT
    assert sensor_of_item("LC08_copy", {"platform": "sentinel-2a"}) is SENTINEL2


def test_zones_of_the_north_are_those_of_the_south_too() -> None:
    assert LANDSAT.utm_epsg(-63.1, -17.8) == 32620 and SENTINEL2.utm_epsg(-63.1, -17.8) == 32720


def test_rasters_whose_readers_pay_are_not_read(tmp_path: Path) -> None:
    bucket = "s3://usgs-landsat/collection02/level-2/standard/oli-tirs/2024/163/033/"
    hrefs = {band: f"{bucket}{band}.TIF" for band in ("B11", "B12", "QA_PIXEL")}
    area = Area("a", shapely.box(54.0, 38.0, 54.1, 38.1), collection="landsat-c2-l2", resolution_m=30.0)
    with pytest.raises(InputError, match="swir16 in a bucket whose readers pay: s3://usgs-landsat/"):
        fetch_scene(pystac.Item.from_dict(landsat_item(hrefs, DAY)), area, str(tmp_path))


def test_satellites_before_the_eighth_are_left() -> None:
    assert not LANDSAT.is_served({"platform": "landsat-7"}) and LANDSAT.is_served({"platform": "LANDSAT_9"})
    with pytest.raises(InputError, match="platform 'LANDSAT_7'; allowed: landsat-8, landsat-9"):
        LANDSAT.platform("LE07_L2SP_044033_20210329_20210424_02_T1_SR", {"platform": "LANDSAT_7"})
    assert LANDSAT.flaw_of_collection("landsat-c2-l1") and LANDSAT.flaw_of_collection("landsat-c2l2-st")
    assert not LANDSAT.flaw_of_collection("landsat-c2-l2") and not LANDSAT.flaw_of_collection("landsat-c2l2-sr")
