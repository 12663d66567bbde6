from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from known_source import AREA, RNG, SHAPE, TO_LONLAT, area_of
from plumewatch import storage
from plumewatch.areas import grid_of
from plumewatch.errors import InputError
from plumewatch.models import Area
from plumewatch.rasters.scene_store import list_scenes, withdraw_scene
from plumewatch.sentinel2 import item_bands
from plumewatch.sentinel2.stack import fetch_scene
from rio_cogeo.cogeo import cog_validate
from sentinel2_scenes import EPSG, NORTH, SCENE_ID, SIZE_M, WEST


def cut(array: np.ndarray, area: Area) -> np.ndarray:
    """The part of a source array on the area's grid, by arithmetic."""
    grid = grid_of(area)
    row, col = round((NORTH - grid.north) / SIZE_M), round((grid.west - WEST) / SIZE_M)
    return array[row : row + grid.height, col : col + grid.width]


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read()


def test_pixels_on_the_grid_are_the_sources(item: pystac.Item, arrays: dict, tmp_path: Path) -> None:
    written = Path(fetch_scene(item, AREA, str(tmp_path / "scenes")))
    assert written == tmp_path / "scenes" / "area=dune" / "date=2025-08-21" / f"{SCENE_ID}.json"
    data = written.with_suffix(".tif")
    np.testing.assert_array_equal(read(data), [cut(arrays["B11"], AREA), cut(arrays["B12"], AREA)])
    np.testing.assert_array_equal(read(data.with_stem(f"{SCENE_ID}_scl"))[0], cut(arrays["SCL"], AREA))
    assert not data.with_stem(f"{SCENE_ID}_cloud").exists()
    with rasterio.open(data) as found:
        grid = grid_of(AREA)
        assert (found.transform, found.crs.to_epsg(), found.shape) == (grid.transform, EPSG, (grid.height, grid.width))
        assert (found.descriptions, found.scales, found.offsets) == (("B11", "B12"), (1e-4, 1e-4), (0.0, 0.0))
        assert (found.nodata, set(found.dtypes), found.compression.value) == (0, {"uint16"}, "ZSTD")
        assert found.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"


def test_cogs_are_valid_and_large_ones_have_overviews(source: Callable, tmp_path: Path) -> None:
    big = {b: RNG.integers(1, 9000, (700, 900)).astype(np.uint16) for b in ("B11", "B12")}
    big["SCL"] = np.full((700, 900), 5, np.uint8)
    area = area_of(0, 0, 900, 700)
    written = Path(fetch_scene(pystac.Item.from_dict(source(big), migrate=False), area, str(tmp_path)))
    for path in written.parent.glob("*.tif"):
        assert cog_validate(path, quiet=True, strict=True) == (True, [], []), path
        with rasterio.open(path) as found:
            assert found.overviews(1) == [2] and found.profile["blockxsize"] == 512


def test_the_item_says_where_it_came_from_and_what_it_shows(item: pystac.Item, arrays: dict, tmp_path: Path) -> None:
    for asset in item.assets.values():
        asset.href = f"file://{asset.href}"
    item.set_self_href("https://host/items/x?token=secret")
    written = Path(fetch_scene(item, AREA, str(tmp_path)))
    read_back = pystac.Item.from_file(str(written))
    properties = json.loads(written.read_text())["properties"]
    grid = grid_of(AREA)
    assert properties["proj:transform"] == [20.0, 0.0, grid.west, 0.0, -20.0, grid.north]
    assert (properties["proj:epsg"], properties["proj:shape"]) == (EPSG, [grid.height, grid.width])
    assert (properties["platform"], properties["sat:relative_orbit"]) == ("sentinel-2a", 20)
    assert (properties["view:sun_elevation"], properties["view:incidence_angle"]) == (62.5, 4.25)
    assert properties["plumewatch:tile_cloud_cover"] == 3.5
    assert properties["plumewatch:reflectance"]["kind"] == "L2A surface reflectance"
    assert "offset applied True" in properties["plumewatch:reflectance"]["decided_by"]
    # The outline runs through the outermost centres: which of them are inside is a matter of rounding.
    inner = cut(arrays["SCL"], AREA)[1:-1, 1:-1]
    assert properties["eo:cloud_cover"] == pytest.approx(100 * np.mean(inner == 9), abs=5)
    assert read_back.get_single_link("derived_from").target == "https://host/items/x?token=***"
    assert "secret" not in written.read_text()
    for asset in read_back.assets.values():
        content = (written.parent / Path(asset.href).name).read_bytes()
        assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
        assert asset.extra_fields["file:size"] == len(content)
    for name in ("projection", "raster", "eo", "view", "sat", "processing"):
        assert any(f"/{name}/" in url for url in read_back.stac_extensions), name


def test_cloud_cover_of_the_area_counts_valid_cells_whose_centres_lie_in_it(source: Callable, tmp_path: Path) -> None:
    scl = RNG.choice(np.array([0, 3, 5, 8, 9, 10, 11], np.uint8), SHAPE)
    scl[:60, :60] = 9  # the corner that the triangle leaves out is all cloud
    bands = dict.fromkeys(("B11", "B12"), np.full(SHAPE, 3000, np.uint16))
    corners = [(WEST + c * SIZE_M, NORTH - r * SIZE_M) for c, r in ((100.3, 10.2), (110.6, 90.1), (10.4, 100.7))]
    area = Area("dune", shapely.Polygon([TO_LONLAT.transform(*c) for c in corners]), crs=f"EPSG:{EPSG}")
    written = fetch_scene(pystac.Item.from_dict(source({**bands, "SCL": scl}), migrate=False), area, str(tmp_path))
    x, y = np.meshgrid(WEST + (np.arange(130) + 0.5) * SIZE_M, NORTH - (np.arange(120) + 0.5) * SIZE_M)
    inside = scl[shapely.contains_xy(shapely.Polygon(corners), x, y) & (scl != 0)]
    assert storage.read_json(written)["properties"]["eo:cloud_cover"] == pytest.approx(
        100 * np.isin(inside, (8, 9, 10)).mean(), abs=1e-3
    )


def test_the_offset_trap_and_the_offset(source: Callable, arrays: dict, tmp_path: Path) -> None:
    trap = pystac.Item.from_dict(source(arrays), migrate=False)
    np.testing.assert_array_equal(
        read(Path(fetch_scene(trap, AREA, str(tmp_path / "a"))).with_suffix(".tif"))[0], cut(arrays["B11"], AREA)
    )
    carried = {**arrays, "B11": arrays["B11"] + np.uint16(1000), "B12": arrays["B12"] + np.uint16(1000)}
    c1 = source(carried, scene_id="S2A_T40RDN_20250821T064812_L2A", collection="sentinel-2-c1-l2a")
    del c1["properties"]["earthsearch:boa_offset_applied"]
    written = Path(fetch_scene(pystac.Item.from_dict(c1, migrate=False), AREA, str(tmp_path / "b")))
    np.testing.assert_array_equal(read(written.with_suffix(".tif"))[0], cut(arrays["B11"], AREA))
    assert storage.read_json(str(written))["properties"]["plumewatch:reflectance"]["source_offset"] == -0.1


def test_cloud_probability_is_stacked_where_it_is_a_geotiff(source: Callable, arrays: dict, tmp_path: Path) -> None:
    cloud = RNG.integers(0, 101, SHAPE).astype(np.uint8)
    arrays["SCL"][60:, :] = 0
    content = source({**arrays, "CLD": cloud})
    written = Path(fetch_scene(pystac.Item.from_dict(content, migrate=False), AREA, str(tmp_path / "a")))
    found = read(written.with_name(f"{SCENE_ID}_cloud.tif"))[0]
    np.testing.assert_array_equal(found, np.where(cut(arrays["SCL"], AREA) == 0, 255, cut(cloud, AREA)))
    content["assets"]["cloud"] |= {"href": "s3://sentinel-s2-l2a/qi/CLD_20m.jp2", "type": "image/jp2"}
    written = Path(fetch_scene(pystac.Item.from_dict(content, migrate=False), AREA, str(tmp_path / "b")))
    assert not written.with_name(f"{SCENE_ID}_cloud.tif").exists()


def test_further_bands_and_an_area_without_methane(source: Callable, arrays: dict, tmp_path: Path) -> None:
    red = RNG.integers(1, 9000, SHAPE).astype(np.uint16)
    item = pystac.Item.from_dict(source({**arrays, "B04": red}), migrate=False)
    written = Path(fetch_scene(item, area_of(30, 20, 40, 50, bands=("B04",)), str(tmp_path)))
    with rasterio.open(written.with_suffix(".tif")) as found:
        assert found.descriptions == ("B04",)
        np.testing.assert_array_equal(found.read(1), cut(red, AREA))


def test_beyond_the_tile_there_is_no_data_and_the_grid_stays(item: pystac.Item, arrays: dict, tmp_path: Path) -> None:
    area = area_of(-20, -10, 60, 40)
    written = Path(fetch_scene(item, area, str(tmp_path)))
    found, grid = read(written.with_suffix(".tif"))[0], grid_of(area)
    row, col = round((grid.north - NORTH) / SIZE_M), round((WEST - grid.west) / SIZE_M)
    assert (found[:row] == 0).all() and (found[:, :col] == 0).all()
    np.testing.assert_array_equal(found[row:, col:], arrays["B11"][: grid.height - row, : grid.width - col])


def test_a_missing_asset_is_named_with_what_the_item_has(source: Callable, arrays: dict, tmp_path: Path) -> None:
    del arrays["B12"]
    with pytest.raises(InputError, match=r"no asset for B12 \(it has scl, swir16\); allowed: swir22 or B12"):
        fetch_scene(pystac.Item.from_dict(source(arrays), migrate=False), AREA, str(tmp_path / "scenes"))
    assert not (tmp_path / "scenes").exists()


def test_a_truncated_source_leaves_nothing_behind(item: pystac.Item, tmp_path: Path) -> None:
    path = Path(item.assets["swir22"].href)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(InputError, match=r"B12\.tif: cut off or no raster"):
        fetch_scene(item, AREA, str(tmp_path / "scenes"))
    assert not (tmp_path / "scenes").exists()


def test_repetition_gives_the_same_bytes(item: pystac.Item, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        fetch_scene(item, AREA, str(tmp_path / folder))
    first, second = (
        {p.name: p.read_bytes() for p in (tmp_path / folder).rglob("S2*") if p.is_file()} for folder in ("a", "b")
    )
    assert len(first) == 4 and first == second


class TestResume:
    @pytest.fixture
    def stacked(self, item: pystac.Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
        """Fetch the scene, and on later calls return how many rasters were read again."""
        reads: list[str] = []
        original = item_bands.read_raster

        def counted(href: str, *how: object) -> object:
            reads.append(href)
            return original(href, *how)

        monkeypatch.setattr(item_bands, "read_raster", counted)

        def fetch(area: Area = AREA) -> int:
            reads.clear()
            fetch_scene(item, area, str(tmp_path / "scenes"))
            return len(reads)

        assert fetch() == 3
        return fetch

    def test_what_is_complete_is_left_alone(self, stacked: Callable[..., int]) -> None:
        assert stacked() == 0

    @pytest.mark.parametrize(
        "name", [f"{SCENE_ID}.tif", f"{SCENE_ID}_scl.tif", f"{SCENE_ID}_around.tif", f"{SCENE_ID}.json"]
    )
    def test_a_damaged_or_missing_file_is_fetched_again(self, stacked: Callable, tmp_path: Path, name: str) -> None:
        [path] = (tmp_path / "scenes").rglob(name)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + b"?")
        assert stacked() == 3 and path.read_bytes() == whole
        path.unlink()
        assert stacked() == 3 and path.read_bytes() == whole

    def test_another_grid_or_a_newer_item_is_fetched_again(self, stacked: Callable, item: pystac.Item) -> None:
        assert stacked(area_of(30, 20, 41, 50)) == 3
        assert stacked() == 3
        item.properties["updated"] = "2026-01-01T00:00:00Z"
        assert stacked() == 0
        item.properties["created"] = "2026-01-01T00:00:00Z"
        assert stacked() == 3
        assert stacked() == 0


def test_a_replaced_scene_is_withdrawn_whole(item: pystac.Item, tmp_path: Path) -> None:
    fetch_scene(item, AREA, str(tmp_path))
    item.id = "S2A_40RDN_20250821_1_L2A"
    fetch_scene(item, AREA, str(tmp_path))
    assert len(list_scenes(str(tmp_path))) == 2
    withdraw_scene(str(tmp_path), "dune", "2025-08-21", SCENE_ID)
    withdraw_scene(str(tmp_path), "dune", "2025-08-21", "never there")
    assert [s.scene_id for s in list_scenes(str(tmp_path))] == [item.id]
    assert len(list((tmp_path / "area=dune" / "date=2025-08-21").iterdir())) == 4


SUN = ("view:sun_elevation", "view:sun_azimuth", "s2:mean_solar_zenith", "s2:mean_solar_azimuth")


@pytest.mark.parametrize(
    ("stated", "elevation", "azimuth", "origin"),
    [
        ({}, 65.9, 117.1, "computed"),  # 24.4 N 57 E, 06:48 UTC: an hour and a half before noon in August
        ({"view:sun_azimuth": 110.0}, 65.9, 117.1, "computed"),
        ({"datetime": "2025-08-21T08:15:00Z"}, 77.5, 178.0, "computed"),  # noon: 90 - 24.4 + declination of 11.9
        ({"datetime": "2025-12-21T08:10:00Z"}, 42.2, 180.0, "computed"),
        ({"view:sun_elevation": None}, 65.9, 117.1, "computed"),
        ({"view:sun_elevation": 62.5, "view:sun_azimuth": 110.0}, 62.5, 110.0, "as stated"),
        ({"s2:mean_solar_zenith": "27.5", "s2:mean_solar_azimuth": 110.0}, 62.5, 110.0, "as stated"),
    ],
)
def test_where_no_sun_is_stated_it_is_computed(
    item: pystac.Item, tmp_path: Path, stated: dict, elevation: float, azimuth: float, origin: str
) -> None:
    for name in SUN:
        item.properties.pop(name, None)
    item.properties |= stated
    found = storage.read_json(fetch_scene(item, AREA, str(tmp_path)))["properties"]
    got = found["view:sun_elevation"], found["view:sun_azimuth"]
    assert got == (pytest.approx(elevation, abs=0.5), pytest.approx(azimuth, abs=3)), got
    assert origin in found["plumewatch:sun"]
