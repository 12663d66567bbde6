"""Scenes of the Copernicus Data Space: JPEG 2000 in a bucket of its own, on a real S3 server with its own keys."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from plumewatch.areas import grid_of
from plumewatch.catalogues.data_space import EodataAccess
from plumewatch.catalogues.services import catalogue_of
from plumewatch.errors import ConfigurationError, InputError
from plumewatch.models import Area
from plumewatch.rasters.reading import read_raster
from plumewatch.sentinel2.item_bands import read_bands
from plumewatch.sentinel2.scene import scene_ref
from plumewatch.settings import Settings
from sentinel2_scenes import NORTH, SIZE_M, WEST
from shapely.geometry import box, mapping

from tools.checks.finding import State
from tools.checks.sources import check_catalogues

API = "https://stac.dataspace.copernicus.eu/v1"
SCENE = "S2A_MSIL2A_20250821T064621_N0511_R020_T40RDN_20250821T102030"
FOLDER = f"Sentinel-2/MSI/L2A/2025/08/21/{SCENE}.SAFE/GRANULE/L2A_T40RDN/IMG_DATA/R20m"
AREA = Area("dune", box(57.0004, 24.4004, 57.0046, 24.4056), crs="EPSG:32640", stac_api=API)
NUMBERS = {"B11": 4000, "B12": 3600, "SCL": 5}


def item() -> dict[str, Any]:
    """As the Data Space's STAC 1.1 API writes it: bands by their resolution, s3 addresses, https beside them."""
    assets = {}
    for band in NUMBERS:
        path = f"{FOLDER}/T40RDN_20250821T064621_{band}_20m.jp2"
        stated: dict[str, Any] = {"data_type": "uint8"}
        if band != "SCL":
            stated = {"data_type": "uint16", "nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1}
            stated["bands"] = [{"name": band}]
        https = f"https://download.dataspace.copernicus.eu/odata/v1/Products(id)/Nodes({SCENE}.SAFE)/$value"
        assets[f"{band}_20m"] = {
            "href": f"s3://eodata/{path}", "type": "image/jp2", "gsd": 20, "proj:code": "EPSG:32640", **stated,
            "alternate": {"https": {"href": https, "auth:refs": ["oidc"]}}, "auth:refs": ["s3"],
        }  # fmt: skip
    footprint = box(56.5, 24.0, 57.5, 25.0)
    properties = {
        "datetime": "2025-08-21T06:46:21.024000Z", "platform": "sentinel-2a", "eo:cloud_cover": 1.25,
        "grid:code": "MGRS-40RDN", "processing:version": "05.11", "sat:relative_orbit": 20,
        "processing:datetime": "2025-08-21T10:20:30Z", "published": "2025-08-21T11:00:00Z",
        "updated": "2025-08-21T11:00:00Z",
    }  # fmt: skip
    return {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": SCENE, "collection": "sentinel-2-l2a",
        "geometry": mapping(footprint), "bbox": list(footprint.bounds), "properties": properties, "links": [],
        "assets": assets,
    }  # fmt: skip


@pytest.fixture
def settings(s3_server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The bucket eodata on a server that knows the Data Space's keys alone; the storage's keys are others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    found = Settings(
        str(tmp_path / "storage"),
        cdse_s3_endpoint=s3_server["AWS_ENDPOINT_URL"],
        cdse_s3_access_key=s3_server["AWS_ACCESS_KEY_ID"],
        cdse_s3_secret_key=s3_server["AWS_SECRET_ACCESS_KEY"],
    )
    fs, _ = catalogue_of(AREA, found).access.filesystem("s3://eodata/x")
    if not fs.exists("eodata"):
        fs.mkdir("eodata")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-storages")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "own-token")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    rng = np.random.default_rng(4)
    for band, asset in item()["assets"].items():
        number = NUMBERS[band.removesuffix("_20m")]
        is_class = band.startswith("SCL")
        noise = rng.integers(0, 1 if is_class else 300, (700, 700))
        path = tmp_path / "a.jp2"
        write_jp2(path, (noise + number).astype(np.uint8 if is_class else np.uint16))
        fs.pipe(asset["href"].removeprefix("s3://"), path.read_bytes())
    return found


def write_jp2(path: Path, array: np.ndarray) -> None:
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", dtype=array.dtype, count=1, height=array.shape[0], width=array.shape[1],
        crs="EPSG:32640", transform=Affine(SIZE_M, 0, WEST, 0, -SIZE_M, NORTH), quality="100", reversible="YES",
    ) as target:  # fmt: skip
        target.write(array, 1)


def read(settings: Settings, href: str | None = None) -> np.ndarray:
    href = href or item()["assets"]["B11_20m"]["href"]
    return read_raster(href, lambda source: source.read(1), catalogue_of(AREA, settings).access)


def test_a_scene_in_jpeg_2000_is_read_by_the_keys_of_the_data_space(settings: Settings) -> None:
    catalogue = catalogue_of(AREA, settings)
    shown = read_bands(pystac.Item.from_dict(item(), migrate=False), AREA, grid_of(AREA), catalogue.access)
    assert set(shown.bands) == {"B11", "B12"} and np.all(shown.scl == 5)
    assert 3000 <= shown.bands["B11"].min() <= shown.bands["B11"].max() < 3300  # 4000 to 4299, less the offset of 1000
    assert shown.rule.offset == -0.1


@pytest.mark.parametrize("key", ["CLD_20m", "qi_cloud"])
def test_a_cloud_probability_in_jpeg_2000_is_read(settings: Settings, tmp_path: Path, key: str) -> None:
    """As the product has it, MSK_CLDPRB_20m.jp2, whatever the catalogue calls it."""
    access, scene = catalogue_of(AREA, settings).access, item()
    href = f"s3://eodata/Sentinel-2/{SCENE}.SAFE/GRANULE/L2A/QI_DATA/MSK_CLDPRB_20m.jp2"
    percent = np.random.default_rng(6).integers(0, 101, (700, 700)).astype(np.uint8)
    write_jp2(tmp_path / "cloud.jp2", percent)
    fs, path = access.filesystem(href)
    fs.pipe(path, (tmp_path / "cloud.jp2").read_bytes())
    scene["assets"][key] = {"href": href, "type": "image/jp2"}
    grid = grid_of(AREA)
    shown = read_bands(pystac.Item.from_dict(scene, migrate=False), AREA, grid, access)
    row, col = round((NORTH - grid.north) / SIZE_M), round((grid.west - WEST) / SIZE_M)
    expected = percent[row : row + grid.height, col : col + grid.width]
    assert np.array_equal(shown.cloud, expected) and shown.cloud_from == "CLD of the source"


@pytest.mark.parametrize(
    ("href", "extra"),
    [
        ("s3://sentinel-s2-l2a/tiles/40/R/DN/2025/8/21/0/qi/CLD_20m.jp2", {}),
        ("s3://of-somebody/CLD_20m.jp2", {"storage:requester_pays": True}),
    ],
)
def test_one_that_the_reader_pays_for_is_left(settings: Settings, href: str, extra: dict[str, Any]) -> None:
    scene = item()
    scene["assets"]["cloud"] = {"href": href, "type": "image/jp2", **extra}
    access = catalogue_of(AREA, settings).access
    shown = read_bands(pystac.Item.from_dict(scene, migrate=False), AREA, grid_of(AREA), access)
    assert shown.cloud is None and shown.cloud_from is None


def test_files_of_its_scenes_are_read_one_after_the_other(settings: Settings) -> None:
    """A free account has four connections, and four tasks fetch scenes at a time."""
    under_way, most = [], []

    class Counted(EodataAccess):
        def filesystem(self, href: str) -> Any:
            under_way.append(href)
            most.append(len(under_way))
            time.sleep(0.1)
            under_way.remove(href)
            return super().filesystem(href)

    keys = settings.cdse_s3_access_key, settings.cdse_s3_secret_key
    access = Counted(settings.cdse_s3_endpoint, *keys)
    read_bands(pystac.Item.from_dict(item(), migrate=False), AREA, grid_of(AREA), access)
    assert len(most) == 3 and max(most) == 1
    assert access.connections("https://host/B11.tif") == access.connections("s3://mine/B11.tif") == 4


def test_its_items_say_tile_orbit_baseline_and_when_they_changed() -> None:
    ref = scene_ref(item(), "http://c/a")
    assert (ref.tile, ref.relative_orbit, ref.baseline, ref.platform) == ("40RDN", 20, (5, 11), "sentinel-2a")
    assert ref.updated.startswith("2025-08-21T10:20:30")


def test_keys_that_are_missing_are_named_and_the_storages_are_not_tried(settings: Settings) -> None:
    without = replace(settings, cdse_s3_secret_key=None)
    with pytest.raises(ConfigurationError, match=r"^s3://eodata/.*jp2: CDSE_S3_SECRET_KEY not set; allowed: keys of"):
        read(without)
    with pytest.raises(ConfigurationError, match="CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY not set"):
        read(replace(without, cdse_s3_access_key=None))


def test_keys_that_are_refused_are_named(settings: Settings) -> None:
    refused = r"no access to bucket .*CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY"
    with pytest.raises(PermissionError, match=refused) as caught:
        read(replace(settings, cdse_s3_secret_key="wrong-key"))
    assert "AWS_" not in str(caught.value)


def test_what_is_not_there_or_no_raster_is_named(settings: Settings) -> None:
    fs, _ = catalogue_of(AREA, settings).access.filesystem("s3://eodata/x")
    with pytest.raises(InputError, match=r"s3://eodata/none\.jp2: no such file"):
        read(settings, "s3://eodata/none.jp2")
    fs.pipe("eodata/half.jp2", b"\x00\x00\x00\x0cjP  \r\n\x87\n")
    with pytest.raises(InputError, match=r"s3://eodata/half\.jp2: cut off or no raster"):
        read(settings, "s3://eodata/half.jp2")


def test_other_addresses_are_read_by_the_storages_keys(settings: Settings) -> None:
    access = EodataAccess(settings.cdse_s3_endpoint, "key", "secret")
    for href in ("s3://eodata-of-mine/a.tif", "s3://mine/eodata/a.tif"):
        fs, inner = access.filesystem(href)
        assert fs.key is None and inner == href.removeprefix("s3://")
    assert access.filesystem("s3://eodata/a.tif")[0].key == "key"
    assert isinstance(access.filesystem("/a.tif")[0], type(fsspec.filesystem("file")))


def test_make_check_asks_for_the_keys_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    chosen = Settings(str(tmp_path), stac_api=API, cdse_s3_access_key="a")
    away, keys = check_catalogues(chosen, [])
    assert (away.state, keys.state) == (State.PROBLEM, State.MISSING)
    assert keys.text.startswith("CDSE_S3_SECRET_KEY not set: scenes of https://stac.dataspace")
    assert len(list(check_catalogues(replace(chosen, cdse_s3_secret_key="b"), []))) == 1
