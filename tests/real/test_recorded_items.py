"""Every item that a catalogue gave is read, or refused with the reason: searched and fetched over HTTP on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pystac
import pytest
from plumewatch.catalogues.services import catalogue_of
from plumewatch.errors import InputError
from plumewatch.models import Area
from plumewatch.sensors.known import sensor_of_collection
from plumewatch.sentinel2.search import search_scenes
from plumewatch.settings import Settings
from shapely.geometry import box, shape
from slow_catalogue import JsonHandler, landing_page

EARTH_SEARCH, V0 = ("swir16", "swir22", "scl"), ("B11", "B12", "SCL")
# Tile, platform, relative orbit, baseline, assets of B11, B12 and SCL, offset of reflectance; or why it is refused.
OTHER_SATELLITE = r"platform .*; allowed: sentinel-2a"
LEFT_OUT = "of a satellite that is not served"
NO_STAC = r"not a STAC API|isn't STAC|stac_version None"
ITEMS: dict[str, tuple[str, str, int, tuple[int, int], tuple[str, ...], float] | str] = {
    "S2A_31NBJ_20190524_0_L2A.json": ("31NBJ", "sentinel-2a", 22, (2, 12), V0, 0.0),
    "earth-search.aws.element84.com_sentinel-1-grd.json": "no asset for B11",
    "earth-search.aws.element84.com_sentinel-2-c1-l2a.json": (
        "20EPT", "sentinel-2b", 95, (5, 11), EARTH_SEARCH, -0.1,
    ),
    "earth-search.aws.element84.com_sentinel-2-l1c.json": "no asset for SCL",
    "earth-search.aws.element84.com_sentinel-2-l2a.json": ("20EPT", "sentinel-2b", 95, (5, 11), EARTH_SEARCH, 0.0),
    "earth-search.aws.element84.com_sentinel-s2-l2a-cogs.json": ("20EPT", "sentinel-2b", 95, (5, 11), V0, 0.0),
    "planetarycomputer.microsoft.com_landsat-8-c2-l2.json": (
        "197023", "landsat-8", 197, (2, 2), ("SR_B6", "SR_B7", "QA_PIXEL"), -0.2,
    ),
    "planetarycomputer.microsoft.com_naip.json": OTHER_SATELLITE,
    "LC08_L2SP_028030_20200114_20200824_02_T1_SR.json": (
        "028030", "landsat-8", 28, (2, 2), ("swir16", "swir22", "qa_pixel"), -0.2,
    ),
    "LC08_L2SR_081119_20200101_20200823_02_T2.json": "no asset for B11",
    "LE07_L2SP_044033_20210329_20210424_02_T1_SR.json": LEFT_OUT,
    "S2A_28QCH_20200714_0_L2A.json": ("28QCH", "sentinel-2a", 123, (2, 14), V0, 0.0),
    "S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json": ("06VVN", "sentinel-2b", 43, (2, 12), V0, 0.0),
    "cop_dataspace_search.json": NO_STAC,
    "earth_search_search.json": "no asset for SCL",
    "eodag_search_result_creodias.json": NO_STAC,
    "ga_ls8c_ard_3-1-0_088080_2020-05-25_final.stac-item.json": OTHER_SATELLITE,
}  # fmt: skip


@pytest.fixture(scope="module")
def recorded(real_data: Path) -> dict[str, Any]:
    """What lies in the folder, by file name."""
    return {path.name: json.loads(path.read_text()) for path in sorted((real_data / "stac_items").rglob("*.json"))}


@pytest.fixture(scope="module")
def api(recorded: dict[str, Any]) -> Iterator[str]:
    """A STAC API a recorded file, under its name; what is no STAC stands where the landing page would."""

    class Api(JsonHandler):
        def do_GET(self) -> None:
            name, _, rest = unquote(self.path.strip("/")).partition("/")
            content = recorded[name]
            if rest:
                return self.answer(item_of(content))
            if "value" in content:
                return self.answer(content)
            return self.answer(landing_page(f"http://{self.headers['Host']}/{name}"))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            item = item_of(recorded[unquote(self.path.strip("/")).split("/")[0]])
            self.answer({"type": "FeatureCollection", "features": [{**item, "links": []}], "links": []})

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def item_of(content: dict[str, Any]) -> dict[str, Any]:
    return content["features"][0] if "features" in content else content


def test_every_recorded_file_is_looked_at(recorded: dict[str, Any]) -> None:
    assert set(recorded) == set(ITEMS)


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_is_read_or_refused_with_the_reason(recorded: dict[str, Any], api: str, name: str) -> None:
    item, expected = item_of(recorded[name]), ITEMS[name]
    place = shape(item["geometry"]) if "geometry" in item else box(0, 0, 1, 1)
    day = datetime.fromisoformat(item.get("properties", {}).get("datetime", "2020-01-01")).date()
    area = Area("a", place, stac_api=f"{api}/{name}", collection=item.get("collection"))
    catalogue = catalogue_of(area, Settings("/nowhere"))
    try:
        found = search_scenes(area, day, day, catalogue)
    except InputError as error:
        assert isinstance(expected, str) and re.search(expected, str(error)), error
        return
    if found.failed:
        [failure] = found.failed
        assert isinstance(expected, str) and re.search(expected, failure.message), failure.message
        assert not failure.is_retryable
        return
    if not found.scenes:
        assert expected == LEFT_OUT
        return
    [ref] = found.scenes
    read = catalogue.read_item(ref.item_href)
    sensor = sensor_of_collection(item.get("collection"))
    bands = ("B11", "B12", sensor.mask)
    keys = tuple(sensor.find_asset(read.assets, band) for band in bands)
    if isinstance(expected, str):
        assert None in keys and expected == f"no asset for {bands[keys.index(None)]}"
        return
    asset = read.assets[str(keys[0])]
    stated = {"href": asset.href, "raster:bands": [sensor.stated_band(asset.extra_fields, read.properties, "B11")]}
    rule = sensor.rule(ref.scene_id, read.collection_id, read.properties, stated, (1.0, 0.0))
    assert (ref.tile, ref.platform, ref.relative_orbit, ref.baseline, keys, rule.offset) == expected
    assert ref.cloud_cover == item["properties"]["eo:cloud_cover"]
    assert all(isinstance(a, pystac.Asset) and "://" in a.href for a in read.assets.values())
