"""What items state by STAC 1.0, 1.1 and its extensions: versions, lists of bands, deprecation, stores of arrays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from known_pixels import lonlat_polygon, write_area
from known_source import AREA
from plumewatch import storage
from plumewatch.catalogues import stac
from plumewatch.catalogues.stac import StacApi, StacCatalogue, read_item
from plumewatch.errors import InputError
from plumewatch.models import DEFAULT_COLLECTION, Area
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.day_search import search_day
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.sentinel2.search import search_scenes
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.sentinel2.stored_scene import StoredScene, read_scene
from plumewatch.settings import Settings
from sentinel2_scenes import SCENE_ID, source_item

DAY = date(2025, 8, 21)
NEW = "S2A_40RDN_20250821_1_L2A"
DUNE = Area("dune", shapely.box(56.9, 24.3, 57.0, 24.4))


class Given(StacCatalogue):
    """A catalogue whose answer is known."""

    def __init__(self, *items: dict[str, Any]) -> None:
        super().__init__(StacApi("http://host"), DEFAULT_COLLECTION)
        self.items = items

    def search_items(self, *_: Any) -> Iterator[dict[str, Any]]:
        return iter(self.items)


@pytest.mark.parametrize("version", ["0.6.0", "0.9.0", "2.0.0", "latest", "", None, 0.9, 10, ["1.0.0"], True])
def test_an_item_of_another_stac_is_refused_by_its_version(version: object, tmp_path: Path) -> None:
    item = source_item({"B11": "B11.tif"}) | {"stac_version": version}
    (tmp_path / "item.json").write_text(json.dumps(item))
    with pytest.raises(InputError, match=r"item\.json: stac_version .*; allowed: 1\.0\.0, 1\.1\.0"):
        read_item(str(tmp_path / "item.json"))
    found = search_scenes(DUNE, DAY, DAY, Given(item, source_item({}, scene_id=NEW)))
    assert [ref.scene_id for ref in found.scenes] == [NEW]
    (failure,) = found.failed
    assert failure.scene_id == SCENE_ID and "stac_version" in failure.message


@pytest.mark.parametrize("version", ["1.0.0", "1.0.0-beta.2", "1.0.1", "1.1.0", "1.2.0"])
def test_an_item_of_stac_1_is_read(version: str, tmp_path: Path) -> None:
    item = source_item({"B11": "B11.tif"}) | {"stac_version": version}
    (tmp_path / "item.json").write_text(json.dumps(item))
    assert read_item(str(tmp_path / "item.json")).id == SCENE_ID


def made(content: dict[str, Any]) -> pystac.Item:
    return pystac.Item.from_dict(content, migrate=False)


@pytest.fixture
def bare(source: Callable[..., dict[str, Any]], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """An item of no known catalogue that states no offset, nor a baseline that would decide one."""
    content = source(arrays, offset=None)
    for name in ("earthsearch:boa_offset_applied", "s2:processing_baseline", "s2:product_uri"):
        del content["properties"][name]
    return content


PACKED = {"raster:scale": 1e-4, "raster:offset": -0.1}
OFFSETS: dict[str, tuple[dict[str, Any], dict[str, Any], float]] = {
    "bands of assets": ({}, {"bands": [{"name": "BAND", **PACKED}]}, -0.1),
    "bands of the item": ({"bands": [{"name": "B11", **PACKED}, {"name": "B12", **PACKED}]}, {}, -0.1),
    "common names": ({"bands": [{"name": "1", "eo:common_name": b, **PACKED} for b in ("swir16", "swir22")]}, {}, -0.1),
    "eo:bands of the item": ({"eo:bands": [{"name": b, "common_name": b, **PACKED} for b in ("B11", "B12")]}, {}, -0.1),
    "both, and the asset's counts": (
        {"bands": [{"name": b, **PACKED} for b in ("B11", "B12")]},
        {"bands": [{"name": "BAND", "raster:offset": 0.0}]},
        0,
    ),
    "an asset, before the item's bands": (
        {"bands": [{"name": b, **PACKED} for b in ("B11", "B12")]}, {"raster:scale": 1e-4, "raster:offset": 0.0}, 0
    ),
    "two lists of one asset": (
        {}, {"eo:bands": [{"name": "BAND"}], "raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, -0.1
    ),
    "digital numbers": ({"bands": [{"name": b, "raster:offset": -1000} for b in ("B11", "B12")]}, {}, -0.1),
}  # fmt: skip


@pytest.mark.parametrize("how", OFFSETS)
def test_offsets_are_found_wherever_bands_are_listed(bare: dict[str, Any], tmp_path: Path, how: str) -> None:
    properties, asset, offset = OFFSETS[how]
    bare["properties"] |= properties
    for key, band in (("swir16", "B11"), ("swir22", "B12")):
        bare["assets"][key] |= json.loads(json.dumps(asset).replace("BAND", band))
        with rasterio.open(bare["assets"][key]["href"], "r+") as target:
            target.write(np.full((120, 130), 3000, np.uint16), 1)
    written = fetch_scene(made(bare), AREA, str(tmp_path / "scenes"))
    with rasterio.open(Path(written).with_suffix(".tif")) as found:
        assert set(np.unique(found.read())) == {3000 + round(offset * 1e4)}


@pytest.mark.parametrize(
    ("properties", "asset", "text"),
    [
        ({}, {}, "no telling what its pixels carry"),
        ({"bands": [{"name": "B04", **PACKED}]}, {}, "no telling"),
        ({"bands": [{"name": "B11", "nodata": 65535}]}, {}, "no-data value 65535 in the item"),
        ({"nodata": 65535}, {}, "no-data value 65535 in the item"),
        ({"bands": "B11"}, {}, "bands of an asset or an item as a list of objects"),
        ({"eo:bands": [11, 12]}, {}, "bands of an asset or an item as a list of objects"),
        ({"bands": {"B11": PACKED}}, {}, "bands of an asset or an item as a list of objects"),
        ({}, {"bands": [{"name": "B11"}], "eo:bands": [{"name": "B12"}]}, "asset swir16 with bands B12, B11"),
        ({}, {"eo:bands": [10]}, "bands of an asset as a list of objects"),
        ({"bands": [{"name": "B11", "raster:offset": -0.3}]}, {}, "offset -0.3"),
    ],
)
def test_lists_of_bands_that_say_nothing_or_something_else_are_refused(
    bare: dict[str, Any], tmp_path: Path, properties: dict[str, Any], asset: dict[str, Any], text: str
) -> None:
    bare["properties"] |= properties
    bare["assets"]["swir16"] |= asset
    with pytest.raises(InputError) as error:
        fetch_scene(made(bare), AREA, str(tmp_path / "scenes"))
    assert text in str(error.value) and not (tmp_path / "scenes").exists()


STORES = [
    ("s3://bucket/S2A.zarr/measurements/reflectance/r20m/b11", "application/vnd+zarr"),
    ("https://host/S2A.zarr/measurements/b11", None), ("https://host/S2A.ZARR", "application/octet-stream"),
    ("https://host/b11", "application/vnd.zarr; version=3"), ("https://host/S2A.nc", None),
    ("https://host/S2A", "application/netcdf"), ("https://host/S2A.h5?token=secret", "application/x-hdf5"),
]  # fmt: skip


@pytest.mark.parametrize(("href", "kind"), STORES)
@pytest.mark.parametrize("key", ["swir16", "scl"])
def test_a_store_of_arrays_is_named_as_such_before_anything_is_asked_for(
    source: Callable, arrays: dict, tmp_path: Path, key: str, href: str, kind: str | None
) -> None:
    content = source(arrays)
    content["assets"][key] = {"href": href, "type": kind}
    with pytest.raises(InputError, match=rf"{SCENE_ID}: asset {key} as .*host|bucket.*; allowed: a GeoTIFF") as error:
        fetch_scene(made(content), AREA, str(tmp_path / "scenes"))
    assert "secret" not in str(error.value) and (kind or "a store") in str(error.value)


@pytest.mark.parametrize(("href", "kind"), STORES)
def test_a_geotiff_beside_a_store_is_taken_and_cloud_in_a_store_is_left(
    source: Callable, arrays: dict, tmp_path: Path, href: str, kind: str | None
) -> None:
    content = source(arrays)
    content["assets"]["B11"] = content["assets"]["swir16"]
    content["assets"]["swir16"] = content["assets"]["cloud"] = {"href": href, "type": kind}
    written = Path(fetch_scene(made(content), AREA, str(tmp_path / "scenes")))
    assert written.exists() and not written.with_name(f"{SCENE_ID}_cloud.tif").exists()


@pytest.fixture
def catalogue(
    source: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Ingest what a catalogue has (properties by id), and return the ids that are stored then."""
    write_area(tmp_path / "mine" / "dune.geojson", lonlat_polygon((10, 10), (50, 10), (50, 50), (10, 50)))
    settings = Settings(storage_root=str(tmp_path), areas=str(tmp_path / "mine"))

    def ingest(products: dict[str, dict[str, Any]]) -> list[str]:
        items = []
        shutil.rmtree(tmp_path / "catalogue", ignore_errors=True)
        for scene_id, properties in products.items():
            shown = {b: np.full((60, 60), v, np.uint16) for b, v in (("B11", 4000), ("B12", 3600))}
            path = tmp_path / "catalogue" / scene_id / "item.json"
            link = {"rel": "self", "href": str(path)}
            arrays = {**shown, "SCL": np.full((60, 60), 5, np.uint8)}
            items.append(source(arrays, scene_id=scene_id, links=(link,), **properties))
            path.write_text(json.dumps(items[-1]))
        monkeypatch.setattr(stac, "search_items", lambda *_: iter(items))
        for scene in search_day(settings, "2025-08-21", []).scenes:
            fetch_area_scene(settings, "dune", scene.item_href, scene.older)
        return [s.scene_id for s in list_scenes(str(tmp_path / "scenes"))]

    return ingest


NEWER = {"s2:processing_baseline": "05.12", "s2:sequence": "7", "updated": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("stated", [True, "true", "True"])
def test_a_deprecated_product_serves_where_it_is_the_only_one(catalogue: Callable, stated: object) -> None:
    newer = {**NEWER, "deprecated": stated}
    assert catalogue({NEW: newer}) == [NEW]
    assert catalogue({SCENE_ID: {}, NEW: newer}) == [SCENE_ID]
    assert catalogue({SCENE_ID: {"deprecated": True}, NEW: newer}) == [NEW]


@pytest.mark.parametrize("stated", [False, "false", None])
def test_a_product_that_is_not_deprecated_wins_by_its_newness(catalogue: Callable, stated: object) -> None:
    assert catalogue({SCENE_ID: {}, NEW: {**NEWER, "deprecated": stated}}) == [NEW]


def test_one_that_is_deprecated_after_it_was_stacked_is_withdrawn(catalogue: Callable) -> None:
    assert catalogue({SCENE_ID: {}, NEW: NEWER}) == [NEW]
    assert catalogue({SCENE_ID: {}, NEW: {**NEWER, "deprecated": True}}) == [SCENE_ID]


def test_the_stacked_scene_knows_that_it_is_deprecated(catalogue: Callable, tmp_path: Path) -> None:
    catalogue({NEW: {**NEWER, "deprecated": True}})
    [paths] = list_scenes(str(tmp_path / "scenes"))
    scene = read_scene(paths)
    assert storage.read_json(paths.item)["properties"]["deprecated"] is True and scene.newness[0] is False
    assert StoredScene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


@pytest.mark.parametrize("stated", ["yes", 1, 0, [], {"by": "x"}])
def test_a_word_for_deprecated_that_is_none_is_refused(stated: object) -> None:
    found = search_scenes(DUNE, DAY, DAY, Given(source_item({}, deprecated=stated)))
    (failure,) = found.failed
    assert found.scenes == () and "; allowed: true or false" in failure.message
