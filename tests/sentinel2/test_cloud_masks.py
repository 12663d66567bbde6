"""What an area says of clouds: which scenes are left, where a probability comes from, which cells are clear."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pystac
import pytest
import rasterio
from known_pixels import RNG, lonlat_polygon, pixels, write_area
from known_source import AREA, SHAPE, area_of
from plumewatch import storage
from plumewatch.areas import read_areas
from plumewatch.errors import InputError
from plumewatch.gases import CH4
from plumewatch.models import Area
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.bands import S2CLOUDLESS_BANDS
from plumewatch.sentinel2.clouds import PixelSettings, pixel_settings
from plumewatch.sentinel2.ingest import fetch_area_scene, record_missing_scenes
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.settings import Settings
from plumewatch.tables import OBSERVATIONS
from s2cloudless import S2PixelCloudDetector
from sentinel2_scenes import SCENE_ID, write_stacked

KEY = "2025-08-21"
OLD = {"s2:processing_baseline": "03.01", "s2:product_uri": "S2A_MSIL2A_20210821T064621_N0301_R020_T40RDN.SAFE"}


@pytest.fixture
def cloudy(source: Callable[..., dict[str, Any]], tmp_path: Path) -> str:
    """Where the item of a scene is: of what it shows of the area's 40 x 50 cells 60 % is cloud, 20 % isn't seen."""
    bands = dict.fromkeys(("B11", "B12"), np.full(SHAPE, 3000, np.uint16))
    scl = np.full(SHAPE, 5, np.uint8)
    scl[20:30], scl[30:54] = 0, 9  # rows of the area: 20 to 69
    path = tmp_path / "item.json"
    path.write_text(json.dumps(source({**bands, "SCL": scl})))
    return str(path)


def settings_with(tmp_path: Path, **properties: Any) -> Settings:
    corners = [(30.5, 20.5), (69.5, 20.5), (69.5, 69.5), (30.5, 69.5)]
    write_area(tmp_path / "mine" / "dune.geojson", lonlat_polygon(*corners), **properties)
    return Settings(storage_root=str(tmp_path), areas=str(tmp_path / "mine"))


def stored(settings: Settings) -> list[str]:
    return [scene.scene_id for scene in list_scenes(settings.table_root("scenes"))]


def test_a_scene_over_the_areas_limit_is_a_skip_on_record(cloudy: str, tmp_path: Path) -> None:
    """The item says 3.5 % of the tile. Seen are rows 30 to 69, cloud rows 30 to 53, clear those from 57 on."""
    settings = settings_with(tmp_path, max_cloud_cover=50)
    fetched = fetch_area_scene(settings, "dune", cloudy)
    assert (fetched.written, fetched.skipped, stored(settings)) == (0, 1, [])
    assert record_missing_scenes(settings, KEY, [{"area": "dune", "scene_id": SCENE_ID, "key": KEY}]) == 0
    where = {"gas": CH4.name, "key": KEY}
    [row] = storage.read_table(OBSERVATIONS, settings.table_root("observations"), None, where=where).to_pylist()
    assert (row["outcome"], row["scene_id"], row["stage"]) == ("skipped_cloud", SCENE_ID, "fetch")
    assert row["observed_at_utc"].isoformat() == "2025-08-21T06:48:12.123000+00:00"
    assert row["clear_fraction"] == pytest.approx(13 / 40, abs=0.02)
    assert row["covered_fraction"] == pytest.approx(0.8, abs=0.02)


def test_a_skip_holds_until_the_limit_or_the_item_changes(cloudy: str, tmp_path: Path) -> None:
    """What was left isn't read again; another limit takes it, or takes it away, its pixels too."""
    settings = settings_with(tmp_path, max_cloud_cover=50)
    fetch_area_scene(settings, "dune", cloudy)
    moved = (tmp_path / "catalogue").rename(tmp_path / "gone")
    assert fetch_area_scene(settings, "dune", cloudy).skipped == 1
    moved.rename(tmp_path / "catalogue")
    fetched = fetch_area_scene(settings_with(tmp_path, max_cloud_cover=70), "dune", cloudy)
    assert (fetched.written, stored(settings)) == (1, [SCENE_ID]) and not list(tmp_path.rglob("*.skipped.json"))
    assert storage.read_json(fetched.path)["properties"]["eo:cloud_cover"] == pytest.approx(60, abs=2)
    assert storage.read_json(fetched.path)["properties"]["plumewatch:covered_fraction"] == pytest.approx(0.8, abs=0.02)
    assert fetch_area_scene(settings_with(tmp_path), "dune", cloudy).written == 1  # no limit: all are taken
    fetch_area_scene(settings_with(tmp_path, max_cloud_cover=50), "dune", cloudy)
    assert stored(settings) == [] and not list((tmp_path / "scenes").rglob("*.tif"))


def test_where_the_newest_product_is_too_cloudy_the_older_one_goes_too(
    source: Callable[..., dict[str, Any]], cloudy: str, tmp_path: Path
) -> None:
    """What is said of the ground by an older processing is no better than what the newer one says of the cloud."""
    shown = {**dict.fromkeys(("B11", "B12"), np.full(SHAPE, 3000, np.uint16)), "SCL": np.full(SHAPE, 5, np.uint8)}
    older = tmp_path / "older.json"
    older.write_text(json.dumps(source(shown, scene_id="S2A_40RDN_20250821_7_L2A")))
    settings = settings_with(tmp_path, max_cloud_cover=50)
    assert fetch_area_scene(settings, "dune", str(older)).written == 1
    assert fetch_area_scene(settings, "dune", cloudy, [str(older)]).skipped == 1
    assert stored(settings) == []


def test_a_note_of_an_earlier_run_hides_no_failure(cloudy: str, tmp_path: Path) -> None:
    fetch_area_scene(settings_with(tmp_path, max_cloud_cover=50), "dune", cloudy)
    settings = settings_with(tmp_path, max_cloud_cover=70)
    next((tmp_path / "catalogue").rglob("B12.tif")).write_bytes(b"no raster")
    with pytest.raises(InputError, match=r"B12\.tif"):
        fetch_area_scene(settings, "dune", cloudy)
    assert record_missing_scenes(settings, KEY, [{"area": "dune", "scene_id": SCENE_ID, "key": KEY}]) == 1


def test_a_probability_above_the_areas_limit_is_cloud(source: Callable, tmp_path: Path) -> None:
    bands = dict.fromkeys(("B11", "B12"), np.full(SHAPE, 3000, np.uint16))
    cloud = np.zeros(SHAPE, np.uint8)
    cloud[20:45] = 65
    item = pystac.Item.from_dict(source({**bands, "SCL": np.full(SHAPE, 5, np.uint8), "CLD": cloud}), migrate=False)
    covers = []
    for limit in (64.0, 65.0, None):
        written = fetch_scene(item, replace(AREA, max_cloud_probability=limit), str(tmp_path / str(limit)))
        covers.append(storage.read_json(written)["properties"]["eo:cloud_cover"])
    assert covers == [pytest.approx(50, abs=2), 0, 0]


def ten_bands(seed: int = 1) -> dict[str, np.ndarray]:
    """Dark ground on the left, bright cloud on the right, of a texture."""
    texture = np.random.default_rng(seed).integers(0, 200, SHAPE)
    left = np.indices(SHAPE)[1] < 50
    dark = {"B01": 1200, "B02": 900, "B04": 700, "B05": 900, "B08": 2500, "B8A": 2600, "B09": 900, "B10": 15,
            "B11": 1900, "B12": 1100}  # fmt: skip
    return {b: (np.where(left, dark[b], 600 if b == "B10" else 7000) + texture).astype(np.uint16) for b in dark}


def test_s2cloudless_on_request_where_its_bands_are_there(source: Callable, tmp_path: Path) -> None:
    arrays = {**ten_bands(), "SCL": np.full(SHAPE, 5, np.uint8)}
    item = pystac.Item.from_dict(source(arrays, collection="sentinel-2-l1c"), migrate=False)
    area = replace(area_of(30, 20, 40, 50), cloud_mask="s2cloudless")
    written = Path(fetch_scene(item, area, str(tmp_path)))
    with (
        rasterio.open(written.with_suffix(".tif")) as data,
        rasterio.open(written.with_name(f"{SCENE_ID}_cloud.tif")) as cloud,
    ):
        assert data.descriptions == ("B11", "B12")
        found = cloud.read(1)
    cut = np.stack([arrays[b][20:70, 30:70] for b in S2CLOUDLESS_BANDS], axis=-1)[None] / 1e4
    exact = S2PixelCloudDetector(average_over=None, dilation_size=None).get_cloud_probability_maps(cut)[0]
    np.testing.assert_array_equal(found, np.rint(100 * exact))
    assert np.median(found[:, :20]) < 40 < np.median(found[:, 20:])
    properties = storage.read_json(str(written))["properties"]
    assert properties["plumewatch:cloud_probability"] == "s2cloudless"
    assert properties["eo:cloud_cover"] == pytest.approx(100 * np.mean(found > 40), abs=3)


def test_s2cloudless_says_which_band_is_missing_and_that_it_is_for_level_1c(source: Callable, tmp_path: Path) -> None:
    area = replace(AREA, cloud_mask="s2cloudless")
    arrays = {**ten_bands(), "SCL": np.full(SHAPE, 5, np.uint8)}
    written = fetch_scene(pystac.Item.from_dict(source(arrays), migrate=False), area, str(tmp_path))
    assert "trained on Level-1C" in storage.read_json(written)["properties"]["plumewatch:cloud_probability"]
    without = pystac.Item.from_dict(source({b: a for b, a in arrays.items() if b != "B10"}), migrate=False)
    with pytest.raises(
        InputError, match=r"no asset for B10, which s2cloudless needs \(Level-2A .* allowed: items with"
    ):
        fetch_scene(without, area, str(tmp_path / "other"))


def test_qa60_where_it_is_to_be_relied_on(source: Callable, tmp_path: Path) -> None:
    area, bands = replace(AREA, cloud_mask="qa60"), dict.fromkeys(("B11", "B12"), np.full(SHAPE, 3000, np.uint16))
    qa60 = RNG.choice(np.array([0, 1024, 2048, 3072], np.uint16), SHAPE)
    arrays = {**bands, "SCL": np.full(SHAPE, 5, np.uint8), "QA60": qa60}
    written = Path(
        fetch_scene(pystac.Item.from_dict(source(arrays, offset=0.0, **OLD), migrate=False), area, str(tmp_path))
    )
    with rasterio.open(written.with_name(f"{SCENE_ID}_cloud.tif")) as cloud:
        np.testing.assert_array_equal(cloud.read(1), np.where(qa60[20:70, 30:70] > 0, 100, 0))
    assert storage.read_json(str(written))["properties"]["eo:cloud_cover"] == pytest.approx(75, abs=3)
    with pytest.raises(InputError, match=r"QA60 of processing baseline 05\.11; allowed: one before 04\.00"):
        fetch_scene(pystac.Item.from_dict(source(arrays), migrate=False), area, str(tmp_path / "new"))
    odd = {**arrays, "QA60": qa60 + np.uint16(1)}
    with pytest.raises(InputError, match=r"QA60\.tif: bits .*allowed: 0, 1024"):
        fetch_scene(pystac.Item.from_dict(source(odd, offset=0.0, **OLD), migrate=False), area, str(tmp_path / "odd"))


def test_what_an_area_says_comes_before_the_projects_values(tmp_path: Path) -> None:
    settings_with(tmp_path, clear_classes=[5, "4"], cloud_dilation_m="20", max_cloud_probability=30, cloud_mask="scl")
    [area] = read_areas(str(tmp_path / "mine"))
    assert pixel_settings(area) == PixelSettings((4, 5), 20.0, 30.0)
    assert pixel_settings(area, (6,), 0.0) == PixelSettings((6,), 0.0, 30.0)
    assert pixel_settings(Area("a", None, cloud_mask="s2cloudless")).max_cloud_probability == 40.0


def test_the_pixel_table_follows_the_area(run: Callable, scenes: Path, tmp_path: Path) -> None:
    """Two areas of one look at two settings: class 2 is clear in one; in the other 51 % and 20 m around it aren't."""
    shape = (40, 50)
    scl, cloud = np.full(shape, 5, np.uint8), np.full(shape, 50, np.uint8)
    scl[5, 5], cloud[20, 20] = 2, 51
    b11 = np.full(shape, 3000, np.uint16)
    for name in ("dune", "field"):
        write_stacked(scenes, b11, b11, scl, cloud=cloud, area=name)
    outline = lonlat_polygon((2.4, 2.4), (47.6, 2.4), (47.6, 37.6), (2.4, 37.6))  # its grid begins at row 2, column 2
    write_area(tmp_path / "mine" / "a.geojson", outline, "dune", clear_classes="2,5", cloud_dilation_m=0)
    write_area(tmp_path / "mine" / "b.geojson", outline, "field", cloud_dilation_m=20, max_cloud_probability=50)
    run("--areas-path", tmp_path / "mine", own_dilation=True)
    table = pixels(tmp_path)
    around = {(20, 20), (19, 20), (21, 20), (20, 19), (20, 21)}
    for name, expected in (("dune", set()), ("field", {(5, 5), *around})):
        hidden = table.filter(pc.and_(pc.equal(table["area"], name), pc.invert(table["is_clear"])))
        assert set(zip((hidden["row"].to_numpy() + 2), (hidden["col"].to_numpy() + 2), strict=True)) == expected, name
    manifest = storage.read_manifest(f"{tmp_path}/pixels/area=field/date={KEY}")
    assert manifest["settings"]["max_cloud_probability"] == 50 and manifest["settings"]["cloud_dilation_m"] == 20
