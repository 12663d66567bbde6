"""Several sensors on one grid: values are those planted, what is missing is named, what is there stays."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from plumewatch import http
from plumewatch.catalogues.data_space import EodataAccess
from plumewatch.catalogues.static import StaticCatalogue
from plumewatch.errors import ConfigurationError, InputError, ParameterError, ServiceError, redact
from plumewatch.public_hosts import PublicHosts
from plumewatch.sensor_scenes.event import Event, event_of
from plumewatch.sensor_scenes.fetch import fetch_sensor_scene, shared_grid
from plumewatch.sensor_scenes.given import GivenAccess
from plumewatch.sensor_scenes.picture import draw_picture
from plumewatch.sensor_scenes.search import area_named, find_given, search_sensors
from sensor_services import AFTER, AREA, BEFORE, DURING, EPSG, LANDSAT_ID, RTC_ID, SensorServices, planted

EVENT = Event(date(2025, 8, 18), date(2025, 8, 22), 15, 15)
SENSORS = ["landsat", "sentinel-2", "sentinel-1", "worldview"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


@pytest.fixture
def services(sensor_services: SensorServices) -> SensorServices:
    sensor_services.add_optical()
    sensor_services.add_radar()
    sensor_services.add_worldview()
    return sensor_services


def search(settings: Any, **asked: Any) -> Any:
    return search_sensors(settings, area_named(settings, AREA), EVENT, **asked)


def fetch_all(settings: Any, scenes: Any) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Fetch, and return path of the raster and item by scene id."""
    found = {}
    for scene in scenes:
        item = Path(fetch_sensor_scene(settings, scene).path)
        content = json.loads(item.read_text())
        found[content["id"]] = item.with_suffix(".tif"), content
    return found


def test_all_sensors_are_on_one_grid_with_the_values_that_were_planted(
    services: SensorServices, tmp_path: Path
) -> None:
    settings = services.settings(tmp_path)
    found = search(settings)
    assert found.failed == [] and [(s.sensor, s.role) for s in found.scenes] == [
        ("landsat", "before"), ("landsat", "during"), ("landsat", "after"),
        ("sentinel-2", "before"), ("sentinel-2", "during"), ("sentinel-2", "after"),
        ("sentinel-1", "before"), ("sentinel-1", "after"), ("worldview", "after"),
    ]  # fmt: skip
    stored = fetch_all(settings, found.scenes)
    assert len(stored) == len(found.scenes)
    grids = set()
    for path, item in stored.values():
        sensor = item["properties"]["constellation"]
        folder = f"sensor_scenes/area={AREA}/sensor={sensor}/date={item['properties']['datetime'][:10]}"
        assert str(path.parent).endswith(folder)
        with rasterio.open(path) as source:
            grids.add((source.crs.to_epsg(), tuple(source.transform), source.shape))
            values, names, nodata = source.read(), source.descriptions, source.nodata
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        x = source.transform.c + (np.arange(source.width) + 0.5) * source.transform.a
        share = planted(x)[None, None]
        expected, step = {
            "landsat": (1e4 * (0.05 + 0.4 * share), 0.4 * 15 / 2),  # half a pixel of 30 m, nearest at worst
            "sentinel-2": (1e4 * (0.05 + 0.4 * share), 2.0),
            "sentinel-1": (0.01 + share, 1e-4),
            "worldview": (20 + 200 * share, 1.0),
        }[sensor]
        assert (values != nodata).all() and np.abs(values - expected).max() < step, sensor
        assert names == tuple(band["name"] for band in item["assets"]["data"]["eo:bands"])
        assert item["properties"]["plumewatch:covered_fraction"] == 1.0
        assert [link["rel"] for link in item["links"]] == ["derived_from"]
    [(epsg, transform, shape)] = grids
    assert epsg == EPSG and transform[0] == 20.0 and shape == (25, 30)


def test_items_say_what_cloud_is_and_how_much_of_the_area_it_hides(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    stored = fetch_all(settings, search(settings, sensors=["landsat", "sentinel-2"]).scenes)
    for _, item in stored.values():
        stated = item["properties"]
        percent, mask = stated["plumewatch:class_percent"], stated["plumewatch:source_mask"]
        assert percent["cloud_high_probability"] == pytest.approx(50, abs=4) and sum(percent.values()) == pytest.approx(
            100
        )
        assert stated["eo:cloud_cover"] == percent["cloud_high_probability"]
        assert {"value": 9, "name": "cloud_high_probability"} in item["assets"]["scl"]["classification:classes"]
        if stated["constellation"] == "landsat":
            bits = {one["name"]: one["offset"] for one in mask["classification:bitfields"]}
            assert mask["name"] == "QA_PIXEL" and (bits["cloud"], bits["cloud_shadow"], bits["water"]) == (3, 4, 7)
            assert bits["cloud_confidence"] == 8 and bits["cirrus_confidence"] == 14
        else:
            assert mask["name"] == "SCL" and len(mask["classification:classes"]) == 12
        assert any("classification" in url for url in item["stac_extensions"])


def test_other_cells_are_those_of_the_run(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    [scene] = search(settings, sensors=["worldview"]).scenes
    item = Path(fetch_sensor_scene(settings, scene, resolution_m=1.0).path)
    with rasterio.open(item.with_suffix(".tif")) as source:
        assert source.res == (1.0, 1.0) and 490 <= source.height < 500 and 590 <= source.width < 600


def test_where_nothing_is_found_nothing_has_failed(sensor_services: SensorServices, tmp_path: Path) -> None:
    sensor_services.files["catalog.json"] = {"stac_version": "1.0.0", "type": "Catalog", "links": []}
    found = search(sensor_services.settings(tmp_path))
    assert found.scenes == [] and found.failed == []
    assert len(found.notes) == 4 and all(f"nothing of {AREA} from 2025-08-03 to 2025-09-06" in n for n in found.notes)


def test_a_static_catalogue_is_walked_where_it_may_have_something(services: SensorServices, tmp_path: Path) -> None:
    found = search(services.settings(tmp_path), sensors=["worldview"])
    assert [scene.scene_id for scene in found.scenes] == [f"40-031133012001-{AFTER}-10300100DD82D200"]
    assert services.asked["never.json"] == 0 and services.asked["catalog.json"] == 1
    services.refused["flood/ard/a_"] = 500
    assert [f.http_status for f in search(services.settings(tmp_path), sensors=["worldview"]).failed] == [500]


def test_a_branch_over_180_degrees_is_walked_on_both_sides(sensor_services: SensorServices) -> None:
    sensor_services.add_worldview()
    branch = sensor_services.files["flood/ard/a_collection.json"]
    branch["extent"]["spatial"]["bbox"] = [[170.0, -25.0, -170.0, -10.0]]
    sensor_services.files["catalog.json"]["links"] = [{"rel": "child", "href": "./flood/ard/a_collection.json"}]
    catalogue = StaticCatalogue(f"{sensor_services.url}/maxar/catalog.json", "maxar")
    day = date.fromisoformat(AFTER)
    found = {x: len(list(catalogue.search_items(shapely.Point(x, -20.5), day, day))) for x in (-175.4, 175.0, 0.0)}
    assert found == {-175.4: 1, 175.0: 1, 0.0: 0}


def test_what_wants_a_key_is_explained_and_replaced_by_what_it_was_made_of(
    services: SensorServices, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    services.refused["rtc_vv"] = 403
    settings = services.settings(tmp_path)
    scene = search(settings, sensors=["sentinel-1"]).scenes[0]
    fetched = fetch_sensor_scene(settings, scene)
    assert "sentinel-1-grd stands in for" in fetched.note and "PC_SDK_SUBSCRIPTION_KEY" in fetched.note
    item = json.loads(Path(fetched.path).read_text())
    assert item["id"] == RTC_ID.format(BEFORE.replace("-", "")).removesuffix("_rtc")
    assert "neither calibrated nor terrain corrected" in item["properties"]["plumewatch:quantity"]
    assert item["properties"]["plumewatch:stands_in_for"]["item"].endswith("_rtc")
    with rasterio.open(Path(fetched.path).with_suffix(".tif")) as source:
        x = source.transform.c + (np.arange(source.width) + 0.5) * source.transform.a
        assert np.abs(source.read(1) - (100 + 1000 * planted(x)[None])).max() <= 1.5  # by its tie points
    services.refused["sentinel-1-grd"] = 404
    with pytest.raises(ServiceError, match=r"HTTP 403.*set PC_SDK_SUBSCRIPTION_KEY") as refused:
        fetch_sensor_scene(replace(settings, storage_root=str(tmp_path / "other")), scene)
    assert refused.value.http_status == 403 and not refused.value.is_retryable


def test_a_collection_that_is_not_answered_is_replaced_by_the_next(services: SensorServices, tmp_path: Path) -> None:
    del services.items["sentinel-1-rtc"]
    found = search(services.settings(tmp_path), sensors=["sentinel-1"])
    assert {scene.collection for scene in found.scenes} == {"sentinel-1-grd"} and found.failed == []


def test_a_run_again_leaves_what_is_whole_and_makes_what_is_not(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    scenes = search(settings).scenes
    stored = fetch_all(settings, scenes)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path, _ in stored.values()}
    services.asked.clear()
    [broken] = [path for path, item in stored.values() if item["properties"]["constellation"] == "worldview"]
    broken.write_bytes(before[broken][0][:-100])
    fetch_all(settings, scenes)
    asked = {name for name in services.asked if name.endswith(".tif")}
    assert asked == {"10300100DD82D200-visual.tif"}
    assert {path: path.read_bytes() for path in before} == {path: content for path, (content, _) in before.items()}
    assert [path for path, (_, at) in before.items() if path.stat().st_mtime_ns != at] == [broken]


@pytest.mark.parametrize(
    "name, changed, message",
    [
        ("rtc_vv.tif", lambda content: content[:3000], "cut off or no raster"),
        ("rtc_vv.tif", "grd_vv.tif", "pixels of type uint16; allowed: float32: gamma nought"),
        ("10300100DD82D200-visual.tif", "sentinel2_SCL.tif", "1 bands; allowed: 2 at least"),
    ],
    ids=["cut off", "another kind of radar", "one band"],
)
def test_a_raster_that_is_not_what_it_should_be_is_refused_by_name(
    services: SensorServices, tmp_path: Path, name: str, changed: Any, message: str
) -> None:
    content = services.rasters[name]
    services.rasters[name] = services.rasters[changed] if isinstance(changed, str) else changed(content)
    settings = services.settings(tmp_path)
    scene = search(settings, sensors=["sentinel-1" if name == "rtc_vv.tif" else "worldview"]).scenes[0]
    with pytest.raises(InputError, match=f"{name}.*{message}"):
        fetch_sensor_scene(settings, scene)
    assert not list((tmp_path / "storage").rglob("*.json"))


def test_items_by_their_addresses(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    area = area_named(settings, AREA)
    landsat = f"{services.url}/pc/collections/landsat-c2-l2/items/{LANDSAT_ID}"
    worldview = f"{services.url}/maxar/flood/tiles/a.json"
    services.files["naip.json"] = {**services.files["flood/tiles/a.json"], "id": "m_3_ne", "properties": {
        "datetime": f"{DURING}T00:00:00Z", "platform": "naip"}}  # fmt: skip
    beside = {"type": "Polygon", "coordinates": [[[10, 10], [11, 10], [11, 11], [10, 10]]]}
    services.files["beside.json"] = {**services.files["flood/tiles/a.json"], "geometry": beside}
    wrong = [f"{services.url}/maxar/{name}.json" for name in ("naip", "beside", "missing")]
    found = find_given(settings, area, [landsat, worldview, landsat, *wrong], None)
    assert [(s.sensor, s.role, s.date) for s in found.scenes] == [
        ("landsat", "given", BEFORE), ("worldview", "given", AFTER),
    ]  # fmt: skip
    assert [f.scene_id for f in found.failed] == wrong
    assert all(
        told in failure.message for told, failure in zip(("naip", "nothing of area", "404"), found.failed, strict=True)
    )
    assert set(fetch_all(settings, found.scenes)) == {LANDSAT_ID, f"40-031133012001-{AFTER}-10300100DD82D200"}
    assert [s.role for s in find_given(settings, area, [landsat], EVENT).scenes] == ["before"]


def test_what_has_gone_well_is_told_by_the_names_that_failures_have(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    services.files["a.json?sig=secret"] = services.files["flood/tiles/a.json"]
    signed = f"{services.url}/maxar/a.json?sig=secret"
    given = find_given(settings, area_named(settings, AREA), [signed, f"{services.url}/maxar/missing.json"], None)
    assert given.gone_well == [redact(signed)] and "secret" not in given.gone_well[0]
    services.refused["catalog.json"] = 403
    found = search(settings, sensors=["sentinel-1", "worldview"])
    assert [f.scene_id for f in found.failed] == ["worldview search"]
    assert found.gone_well == [*(scene.scene_id for scene in found.scenes), "sentinel-1 search"]


@pytest.mark.parametrize(
    "address",
    [
        "/etc/item.json", "item.json", "file:///etc/item.json", "/vsicurl/http://host.org/item.json",
        "s3://bucket/item.json", "http://169.254.169.254/latest", "http://127.1/a.json", "http://2130706433/a.json",
        "http://10.0.0.1/a.json", "http://[::1]/a.json", "http://[::ffff:10.0.0.1]/a.json", "http://localhost/a.json",
        "http://minio:9000/a.json", "http://metadata.google.internal/", "http://10.0.0.1\\@host.org/a.json",
        "http://%31%30.0.0.1/a.json", "http://[::1/a.json", "ftp://host.org/a.json",
    ],
)  # fmt: skip
def test_addresses_that_only_the_worker_reaches_are_refused_by_name(tmp_path: Path, address: str) -> None:
    settings = SensorServices(url="https://catalogue.org").settings(tmp_path)
    found = find_given(settings, area_named(settings, AREA), [address], None)
    [failure] = found.failed
    assert found.scenes == [] and (failure.error_class, failure.is_retryable) == ("InputError", False)
    assert (
        failure.message.startswith(redact(address)) and "allowed: http:// or https:// with a public" in failure.message
    )
    with pytest.raises(InputError, match="or s3://eodata/"):
        GivenAccess(EodataAccess("", None, None), PublicHosts()).filesystem(address)


def test_rasters_of_given_items_are_held_to_the_same(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    (tmp_path / "own.tif").write_bytes(services.rasters["10300100DD82D200-visual.tif"])
    services.files["flood/tiles/a.json"]["assets"]["visual"]["href"] = f"file://{tmp_path}/own.tif"
    [scene] = find_given(
        settings, area_named(settings, AREA), [f"{services.url}/maxar/flood/tiles/a.json"], None
    ).scenes
    with pytest.raises(InputError, match=r"own.tif: an address that may not be given; allowed: .*s3://eodata/"):
        fetch_sensor_scene(settings, scene)
    access = GivenAccess(EodataAccess("", None, None), PublicHosts(frozenset({"10.0.0.1"})))
    for href in ("https://host.org/a b.tif", "http://8.8.8.8/a.tif", "http://10.0.0.1:9000/a.tif"):
        assert access.signed(href) == href
    with pytest.raises(ConfigurationError, match="CDSE_S3_ACCESS_KEY"):  # it is asked for the Data Space's own keys
        access.filesystem("s3://eodata/a.jp2")


def test_a_picture_shows_the_cells_of_its_run(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    area, root = area_named(settings, AREA), settings.table_root("sensor_scenes")
    scenes = search(settings, sensors=["landsat"]).scenes
    told = [vars(scene) for scene in scenes]
    coarse, fine = shared_grid(area), shared_grid(area, 10.0)
    fetch_all(settings, scenes)
    all_coarse = draw_picture(root, AREA, coarse, told)
    assert len(all_coarse.shown) == 3 and draw_picture(root, AREA, fine, told) == (None, [], [])
    fetch_sensor_scene(settings, scenes[0], resolution_m=10.0)
    [one_fine, two_coarse] = [draw_picture(root, AREA, grid, told) for grid in (fine, coarse)]
    assert one_fine.shown == [scenes[0].scene_id] and two_coarse.shown == [scene.scene_id for scene in scenes[1:]]
    assert len({one_fine.path, two_coarse.path, all_coarse.path}) == 3


def test_scenes_of_two_bands_and_of_three_stand_side_by_side(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    scenes = search(settings, sensors=["landsat"]).scenes
    stored = fetch_all(settings, scenes)
    path, _ = stored[scenes[0].scene_id]
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        target.set_band_description(3, "B03")
    root, grid = settings.table_root("sensor_scenes"), shared_grid(area_named(settings, AREA))
    assert len(draw_picture(root, AREA, grid, [vars(scene) for scene in scenes]).shown) == 3


def test_images_stand_side_by_side(services: SensorServices, tmp_path: Path) -> None:
    services.refused["rtc_vv"] = 403
    settings = services.settings(tmp_path)
    scenes = search(settings).scenes
    root, grid = settings.table_root("sensor_scenes"), shared_grid(area_named(settings, AREA))
    assert draw_picture(root, AREA, grid, [vars(scene) for scene in scenes]) == (None, [], [])
    fetch_all(settings, scenes)
    path, shown, failures = draw_picture(root, AREA, grid, [vars(scene) for scene in scenes])
    assert failures == [] and len(shown) == len(scenes) and path is not None and f"area={AREA}/side_by_side_" in path
    first = Path(path).read_bytes()
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] > 900 and pixels.shape[0] > 1200
    coloured = (np.ptp(pixels, axis=2) == 0) & (pixels[..., 0] < 250)
    assert coloured.mean() > 0.25  # nine images of planted greys
    assert (
        draw_picture(root, AREA, grid, [vars(scene) for scene in scenes])[0] == path
        and Path(path).read_bytes() == first
    )


def test_an_event_is_days_in_order() -> None:
    assert event_of(None, None, 1, 1) is None
    with pytest.raises(ParameterError, match="the first day first"):
        event_of("2025-08-20", "2025-08-19", 1, 1)
    with pytest.raises(ParameterError, match="one with its first day"):
        event_of(None, "2025-08-19", 1, 1)
    assert [EVENT.role(date(2025, 8, day)) for day in (17, 18, 22, 23)] == ["before", "during", "during", "after"]


def test_an_unknown_sensor_is_refused(services: SensorServices, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="sensors spot; allowed: landsat, sentinel-2, sentinel-1, worldview"):
        search(services.settings(tmp_path), sensors=["spot"])
