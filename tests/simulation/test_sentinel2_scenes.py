"""The scenes are COGs and items like Earth Search's, and show what the truth says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from plumewatch.areas import grid_of, read_areas
from plumewatch.sun import solar_angles_deg
from rasterio.errors import RasterioIOError
from rasterio.warp import transform
from rasterio.windows import Window
from rio_cogeo import cog_validate

World = tuple[Path, dict[str, Any]]
FILES = ("B11.tif", "B12.tif", "SCL.tif", "CLD_20m.tif")


def scene_folder(world: World, scene_id: str) -> Path:
    return world[0] / "catalogue" / "sentinel-2-l2a" / scene_id


def read(world: World, scene_id: str, file: str) -> np.ndarray:
    with rasterio.open(scene_folder(world, scene_id) / file) as source:
        return source.read(1)


def item(world: World, scene_id: str) -> dict[str, Any]:
    return json.loads((scene_folder(world, scene_id) / f"{scene_id}.json").read_text())


def test_files_are_cogs_on_the_tiles_grid_and_cover_the_area(world: World) -> None:
    grids = {area.name: grid_of(area) for area in read_areas(str(world[0] / "areas"))}
    for scene in world[1]["scenes"]:
        for file in FILES:
            if file == "B12.tif" and scene["truncated_asset"]:
                continue
            path = scene_folder(world, scene["scene_id"]) / file
            assert cog_validate(path)[0]
            with rasterio.open(path) as source:
                grid = grids[scene["area"]]
                assert source.crs.to_epsg() == grid.epsg and source.nodata == 0 and source.res == (20.0, 20.0)
                assert source.transform.c % 20 == 0 and source.transform.f % 20 == 0
                if "40QEJ" not in scene["scene_id"]:
                    assert source.bounds.left <= grid.bounds[0] and source.bounds.bottom <= grid.bounds[1]
                    assert source.bounds.right >= grid.bounds[2] and source.bounds.top >= grid.bounds[3]
                    assert (source.transform.c, source.transform.f) != (grid.west, grid.north)


def test_truncated_file_cannot_be_read_anywhere(world: World) -> None:
    bad = world[1]["bad_files"]["truncated_scenes"]
    assert [scene["truncated_asset"] for scene in bad] == ["swir22"]
    for corner in ((0, 0), (310, 0), (150, 150), (310, 310)):
        path = scene_folder(world, bad[0]["scene_id"]) / "B12.tif"
        with rasterio.open(path) as source, pytest.raises(RasterioIOError):
            source.read(1, window=Window(*corner, 8, 8))
    assert read(world, bad[0]["scene_id"], "B11.tif").min() > 0


def test_cloud_cover_is_that_of_the_classes(world: World) -> None:
    for scene in world[1]["scenes"]:
        scl = read(world, scene["scene_id"], "SCL.tif")
        truth = 100 * np.isin(scl, (8, 9, 10)).sum() / (scl != 0).sum()
        assert item(world, scene["scene_id"])["properties"]["eo:cloud_cover"] == pytest.approx(truth, abs=1e-4)
    assert [s["cloud_cover_percent"] for s in world[1]["all_cloud_scenes"]] == [100.0]
    cloudy = next(s for s in world[1]["scenes"] if 10 < s["cloud_cover_percent"] < 60)
    classes = set(np.unique(read(world, cloudy["scene_id"], "SCL.tif")))
    assert {3, 4, 5, 6, 8, 9, 10} <= classes


def test_items_are_those_of_earth_search_with_its_offset_trap(world: World, real_data: Path) -> None:
    real = json.loads((real_data / "stac_items" / "earth-search.aws.element84.com_sentinel-2-l2a.json").read_text())
    for scene in world[1]["scenes"]:
        content = item(world, scene["scene_id"])
        unknown = content["properties"].keys() - real["properties"].keys()
        assert not unknown
        for key in ("swir16", "swir22"):
            assert content["assets"][key].keys() <= real["assets"][key].keys()
            assert content["assets"][key]["raster:bands"] == real["assets"][key]["raster:bands"]
        assert content["properties"]["earthsearch:boa_offset_applied"] is True
    b12 = read(world, world[1]["scenes"][0]["scene_id"], "B12.tif")
    assert 0.4 < np.median(b12) * 1e-4 < 0.55  # with the stated offset it would be 0.1 less


def test_catalogue_is_a_static_catalogue(world: World) -> None:
    catalogue = pystac.Catalog.from_file(str(world[0] / "catalogue" / "catalog.json"))
    items = list(catalogue.get_items(recursive=True))
    assert sorted(i.id for i in items) == sorted(s["scene_id"] for s in world[1]["scenes"])
    assert all(Path(a.get_absolute_href() or "").is_file() for i in items for a in i.assets.values())


def test_two_tiles_of_a_pass_agree_where_they_overlap(world: World) -> None:
    scenes = [s for s in world[1]["scenes"] if s["area"] == "qarn_alam"]
    both = [s["scene_id"] for s in scenes if s["date"] == "2025-09-02"]
    assert [i[4:9] for i in both] == ["40QDJ", "40QEJ"]
    first, second = (read(world, scene_id, "B12.tif") for scene_id in both)
    assert np.array_equal(first[:, -second.shape[1] :], second)
    takes = {item(world, i)["properties"]["s2:datatake_id"] for i in both}
    times = {item(world, i)["properties"]["datetime"] for i in both}
    assert len(takes) == 1 and len(times) == 2


def test_swath_edge_is_nodata(world: World) -> None:
    scene_id = "S2B_31RGR_20250827_0_L2A"
    scl, b11 = read(world, scene_id, "SCL.tif"), read(world, scene_id, "B11.tif")
    assert np.array_equal(scl == 0, b11 == 0) and 0.02 < (b11 == 0).mean() < 0.2
    assert item(world, scene_id)["properties"]["s2:nodata_pixel_percentage"] == pytest.approx(100 * (b11 == 0).mean())


def test_a_plume_darkens_b12_where_the_truth_has_it(world: World) -> None:
    """Ratio B12 / B11 against a clear date: lower by more than ten standard errors near the source, downwind."""
    for plume in world[1]["plumes"]:
        if not plume["must_be_found"]:
            continue
        clear = next(s["scene_id"] for s in world[1]["scenes"] if s["area"] == plume["area"])
        ratio = []
        for scene_id in (plume["scene_id"], clear):
            b12, b11 = (read(world, scene_id, f).astype(float) for f in ("B12.tif", "B11.tif"))
            ratio.append(b12 / b11)
        change = ratio[0] / ratio[1]
        change /= np.median(change)
        with rasterio.open(scene_folder(world, plume["scene_id"]) / "B12.tif") as source:
            (x,), (y,) = transform("EPSG:4326", source.crs, [plume["longitude"]], [plume["latitude"]])
            speed = np.hypot(plume["wind_u_m_s"], plume["wind_v_m_s"])
            downwind = (x + 150 * plume["wind_u_m_s"] / speed, y + 150 * plume["wind_v_m_s"] / speed)
            row, col = source.index(*downwind)
        there = change[row - 5 : row + 6, col - 5 : col + 6]
        assert there.mean() < 1 - 10 * np.std(change) / np.sqrt(there.size)


def test_sun_stands_where_the_almanac_has_it() -> None:
    """Overhead on the equator near noon of an equinox; low where the real item of 2025-07-31 was taken."""
    zenith, _ = solar_angles_deg(0.0, 0.0, 1742472420.0)  # 2025-03-20 12:07 UTC
    assert zenith < 0.5
    zenith, azimuth = solar_angles_deg(-59.39732, -60.42638, 1753967962.93)  # S2B_20EPT_20250731_0_L2A
    assert zenith == pytest.approx(90 - 4.164, abs=2.0) and azimuth == pytest.approx(39.5, abs=2.0)
