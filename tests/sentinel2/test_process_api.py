"""The bands of scenes by Sentinel Hub's Process API: those of the files, on any grid, and what can go wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import shapely
from numpy.typing import NDArray
from plumewatch import storage
from plumewatch.areas import grid_of, read_areas
from plumewatch.catalogues import hub_client
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import InputError, PlumewatchError, QuotaUsedUp, ServiceError
from plumewatch.models import Area
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.sentinel2.item_bands import StackedBands, read_bands
from plumewatch.sentinel2.process_api import ProcessApi
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.simulation.sentinel_hub import PROCESS

CLEAR, CUT, TWO_TILES = "2025-08-30", "2025-08-27", "2025-09-02"


@pytest.fixture
def served(serve_hub: Callable[..., Any], served_world: tuple[Path, dict[str, Any], str]) -> Any:
    return serve_hub(served_world[0])


def area_of(served: Any, name: str = "hassi_messaoud", **changed: Any) -> Area:
    found = next(area for area in read_areas(str(served.hub.folder / "areas")) if area.name == name)
    return replace(found, **{"catalogue": "sentinel_hub", **changed})


def items_on(hub: SentinelHub, area: Area, day: str) -> list[pystac.Item]:
    found = hub.search_items(area.geometry, date.fromisoformat(day), date.fromisoformat(day))
    return [hub.read_item(hub.item_href(item)) for item in found]


def of_files(served: Any, item_id: str, area: Area) -> StackedBands:
    """What the files of the same scene show."""
    content, folder = served.hub.scenes[item_id]
    source = pystac.Item.from_dict(content, href=str(folder / f"{content['id']}.json"), migrate=False)
    return read_bands(source, area, grid_of(area))


def by_api(served: Any, storage_root: str, area: Area, day: str = CLEAR) -> Iterator[tuple[pystac.Item, StackedBands]]:
    hub = SentinelHub(served.settings(storage_root), area.name)
    for item in items_on(hub, area, day):
        yield item, ProcessApi(hub, area).read(item, grid_of(area))


def n_processed(served: Any) -> int:
    return sum(path == PROCESS for path, _ in served.hub.seen)


def assert_same(made: StackedBands, expected: StackedBands) -> None:
    for band, values in expected.bands.items():
        assert made.bands[band].dtype == values.dtype and np.array_equal(made.bands[band], values)
    assert np.array_equal(made.scl, expected.scl) and np.array_equal(made.around, expected.around)
    assert np.array_equal(made.cloud, expected.cloud) and made.n_clipped == expected.n_clipped
    assert made.source_pixel_m == expected.source_pixel_m


@pytest.mark.parametrize(("name", "day", "n"), [("hassi_messaoud", CUT, 1), ("qarn_alam", TWO_TILES, 2)])
def test_pixels_are_those_of_the_files_each_tile_its_own(
    served: Any, storage_root: str, name: str, day: str, n: int
) -> None:
    area = area_of(served, name)
    found = list(by_api(served, storage_root, area, day))
    for item, made in found:
        assert_same(made, of_files(served, item.id, area))
        assert made.rule.offset == 0.0 and made.properties["plumewatch:process_api"]["resampling"] == "nearest"
    assert len(found) == n


def test_a_neighbouring_tile_of_the_same_second_is_taken_away_again(served: Any, storage_root: str) -> None:
    """Both tiles of a datatake in the second that is asked for: each scene ends where its own tile ends."""
    both = [item for item, _ in served.hub.scenes.values() if item["properties"]["datetime"].startswith(TWO_TILES)]
    whole, eastern = sorted((i for i in both if "40Q" in i["id"]), key=lambda i: i["id"])
    eastern["properties"]["datetime"] = whole["properties"]["datetime"]
    area = area_of(served, "qarn_alam")
    results = {item.id: made for item, made in by_api(served, storage_root, area, TWO_TILES)}
    for item_id, made in results.items():
        expected = of_files(served, item_id, area)
        assert np.array_equal(made.bands["B12"], expected.bands["B12"]) and np.array_equal(made.scl, expected.scl)
    assert len(results) == 2


def test_an_item_whose_tile_is_stated_in_degrees_has_its_pixels(served: Any, storage_root: str) -> None:
    area = area_of(served)
    hub = SentinelHub(served.settings(storage_root), area.name)
    [item] = items_on(hub, area, CUT)
    item.properties["proj:bbox"] = list(shapely.geometry.shape(item.geometry).bounds)
    made = ProcessApi(hub, area).read(item, grid_of(area))
    assert_same(made, of_files(served, item.id, area))
    item.properties["proj:bbox"] = [0.0, 0.0, 1.0, 1.0]
    n_asked = n_processed(served)
    with pytest.raises(InputError, match="isn't where its footprint is"):
        ProcessApi(hub, area).read(item, grid_of(area))
    assert n_processed(served) == n_asked


def test_large_grids_are_put_together_without_a_seam(served: Any, storage_root: str) -> None:
    west, south, east, _ = area_of(served).geometry.bounds
    area = area_of(served, resolution_m=2.0, geometry=shapely.box(west, south, east, south + 0.003))
    [(item, made)] = by_api(served, storage_root, area)
    sizes = [(body["output"]["width"], body["output"]["height"]) for path, body in served.hub.seen if path == PROCESS]
    assert len(sizes) == 5 and max(map(max, sizes)) <= 2500 and grid_of(area).width > 2500
    assert_same(made, of_files(served, item.id, area))


def test_another_projection_and_resolution_are_resampled_as_files_are(served: Any, storage_root: str) -> None:
    area = area_of(served, crs="EPSG:32632", resolution_m=30.0)
    [(item, made)] = by_api(served, storage_root, area)
    assert made.properties["plumewatch:process_api"]["resampling"] == "bilinear"
    expected = of_files(served, item.id, area)
    assert np.array_equal(made.scl, expected.scl) and np.array_equal(made.around, expected.around)
    difference = made.bands["B12"].astype(int) - expected.bands["B12"].astype(int)
    at_most = np.percentile(np.abs(difference), [90, 99])  # of a texture of 380; GDAL places to 1/8 px
    assert at_most[0] <= 1 and at_most[1] <= 10 and abs(difference.mean()) < 0.1 and (made.bands["B12"] > 0).all()


def test_a_scene_is_stored_and_its_item_says_how_it_came(served: Any, storage_root: str) -> None:
    settings = served.settings(storage_root)
    area = area_of(served)
    write_area(settings, area)
    hub = SentinelHub(settings, area.name)
    [item] = items_on(hub, area, CLEAR)
    path = fetch_area_scene(settings, area.name, hub.item_href(item.to_dict(include_self_link=False))).path
    stored = storage.read_json(path)["properties"]
    source = served.hub.scenes[item.id][0]["properties"]
    assert stored["plumewatch:process_api"]["evalscript"] == "written for the area's bands"
    assert len(stored["plumewatch:process_api"]["evalscript_sha256"]) == 64
    assert stored["plumewatch:source_pixel_m"] == {"B11": 20.0, "B12": 20.0}
    assert stored["view:incidence_angle"] == pytest.approx(source["view:incidence_angle"])
    assert stored["view:sun_elevation"] == pytest.approx(source["view:sun_elevation"], abs=1e-3)
    assert (stored["sat:relative_orbit"], stored["s2:processing_baseline"]) == (8, "05.11")
    assert "Process API" in stored["processing:lineage"] and stored["plumewatch:reflectance"]["source_offset"] == 0.0
    asked, spent = n_processed(served), hub.ledger.state().used_units
    api = ProcessApi(hub, area)
    assert asked == 3 and spent == pytest.approx(api.predicted_units(grid_of(area)), abs=1e-5)
    fetch_area_scene(settings, area.name, f"x/{item.id}")
    assert n_processed(served) == asked and hub.ledger.state().used_units == spent  # what is whole costs nothing
    assert pystac.Item.from_dict(storage.read_json(path), migrate=False).id == item.id


def write_area(settings: Any, area: Area, **properties: Any) -> None:
    said = {"name": area.name, "catalogue": "sentinel_hub", **properties}
    feature = {"type": "Feature", "properties": said, "geometry": shapely.geometry.mapping(area.geometry)}
    storage.write_json(storage.join(settings.storage_root, "areas", f"{area.name}.geojson"), feature)


def test_an_own_evalscript_makes_the_bands_and_a_new_one_makes_them_anew(
    served: Any, storage_root: str, tmp_path: Path
) -> None:
    settings, area = served.settings(storage_root), area_of(served)
    write_area(settings, area, evalscript="half.js")
    script = tmp_path / "storage" / "areas" / "half.js"
    text = ProcessApi(SentinelHub(settings, area.name), area).bands_script.text
    script.write_text(text.replace("10000 *", "5000 *"))
    [found] = read_areas(storage.join(storage_root, "areas"))
    [(item, made)] = by_api(served, storage_root, found)
    expected = np.floor(of_files(served, item.id, area).bands["B11"] / 2 + 0.5)
    assert np.abs(made.bands["B11"] - expected).max() <= 1
    assert made.properties["plumewatch:process_api"]["evalscript"] == "the area's own"
    before = ProcessApi(SentinelHub(settings, area.name), found).recipe
    script.write_text(text.replace("10000 *", "2500 *"))
    assert ProcessApi(SentinelHub(settings, area.name), found).recipe != before
    script.write_text(text.replace("B12", "B13"))
    with pytest.raises(InputError, match=r"half\.js: input B13"):
        ProcessApi(SentinelHub(settings, area.name), found)
    script.unlink()
    with pytest.raises(InputError, match=r"half\.js: not readable"):
        ProcessApi(SentinelHub(settings, area.name), found)


def test_valid_pixels_without_reflectance_are_counted_and_no_data_stay_none(served: Any, storage_root: str) -> None:
    def darken(raster: NDArray[Any]) -> NDArray[Any]:
        changed = raster.copy()
        changed[0, :2, :5] = 0
        return changed

    served.hub.faults.append(("raster", lambda r: darken(r) if r.dtype == np.uint16 else r))
    [(_, made)] = by_api(served, storage_root, area_of(served))
    assert made.n_clipped == 10 and (made.bands["B11"][:2, :5] == 1).all() and (made.bands["B12"] > 1).all()
    served.hub.faults.append(("raster", lambda r: np.zeros_like(r) if r.dtype == np.uint8 else r))
    [(_, empty)] = by_api(served, storage_root, area_of(served))
    assert not empty.bands["B11"].any() and empty.n_clipped == 0


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (("html", None), ServiceError, "isn't a whole TAR .*Maintenance"),
        (("error_body", None), ServiceError, "isn't a whole TAR .*Illegal request"),
        (("cut", 20_000), ServiceError, r"TAR|cut off"),
        (("cut", 0), ServiceError, "isn't a whole TAR"),
        (("raster", lambda r: r[:, 1:]), InputError, "bands.tif: 2 x 259 x 257 of uint16; allowed: 2 x 259 x 258"),
        (("raster", lambda r: r.astype(float)), InputError, "bands.tif: 2 x 259 x 258 of float64; allowed: .*uint16"),
        (("error", 400), ServiceError, "HTTP 400: Something went wrong"),
        (("too_many", 600_000), ServiceError, "HTTP 429: asked too often .it asks for a pause of 600 s"),
    ],
    ids=["page", "error body", "cut", "empty", "shape", "type", "refused", "too long a pause"],
)
def test_an_answer_that_is_none_is_an_error_by_name(
    served: Any, storage_root: str, fault: Any, error: type[PlumewatchError], message: str
) -> None:
    served.hub.faults.append(fault)
    started = time.monotonic()
    with pytest.raises(error, match=message) as raised:
        list(by_api(served, storage_root, area_of(served)))
    assert time.monotonic() - started < 5
    assert served.url in str(raised.value) and "simulated-secret" not in str(raised.value)
    assert raised.value.is_retryable == (error is ServiceError and fault != ("error", 400))


def test_what_passes_is_waited_for(served: Any, storage_root: str) -> None:
    served.hub.faults += [("too_many", 400), ("too_many", 300), ("error", 500), ("withdrawn", None), ("slow", 0.2)]
    started = time.monotonic()
    [(item, made)] = by_api(served, storage_root, area_of(served))
    assert 0.9 <= time.monotonic() - started < 8
    assert_same(made, of_files(served, item.id, area_of(served)))


def test_a_month_that_is_used_up_by_the_ledger_asks_nothing(served: Any, storage_root: str) -> None:
    area = area_of(served)
    hub = SentinelHub(served.settings(storage_root, sh_monthly_units=0.5), area.name)
    [first, second] = [items_on(hub, area, day)[0] for day in (CLEAR, CUT)]
    api = ProcessApi(hub, area)
    api.read(first, grid_of(area))
    asked = n_processed(served)
    with pytest.raises(QuotaUsedUp, match=r"of 0\.5 are left of this month"):
        fetch_scene(second, area, storage.join(storage_root, "scenes"), reader=api)
    assert n_processed(served) == asked and not storage.exists(storage.join(storage_root, "scenes"))


def test_a_month_that_is_used_up_by_the_service_says_so(served: Any, storage_root: str) -> None:
    served.hub.units_left = 0.01
    with pytest.raises(QuotaUsedUp, match=r"Insufficient processing units .* has units again from") as raised:
        list(by_api(served, storage_root, area_of(served)))
    assert raised.value.until.day == 1 and not raised.value.is_retryable
    state = SentinelHub(served.settings(storage_root), "any").ledger.state()
    assert state.was_refused and state.used_units == pytest.approx(0.0)


def test_what_nobody_says_the_price_of_counts_as_predicted(
    served: Any, storage_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = area_of(served)
    hub = SentinelHub(served.settings(storage_root), area.name, retries=0)
    api, [item] = ProcessApi(hub, area), items_on(hub, area, CLEAR)
    predicted = api.predicted_units(grid_of(area))
    served.hub.faults += [("unpriced", None), ("error", 400)]
    with pytest.raises(ServiceError, match="HTTP 400"):
        api.read(item, grid_of(area))
    of_bands = hub.ledger.state().used_units
    assert 0 < of_bands < predicted  # the first request's, and nothing of one that was refused
    monkeypatch.setattr(hub_client, "TIMEOUT_S", (10.0, 0.1))
    served.hub.faults.append(("slow", 0.5))
    with pytest.raises(ServiceError, match="no answer"):
        api.read(item, grid_of(area))
    assert hub.ledger.state().used_units == pytest.approx(2 * of_bands)


def test_the_service_is_asked_for_just_this_acquisition(served: Any, storage_root: str) -> None:
    list(by_api(served, storage_root, area_of(served)))
    bodies = [body for path, body in served.hub.seen if path == PROCESS]
    [source] = {json.dumps(body["input"]["data"][0]["dataFilter"]["timeRange"]) for body in bodies}
    assert json.loads(source) == {"from": "2025-08-30T10:18:40Z", "to": "2025-08-30T10:18:42Z"}
    grid = grid_of(area_of(served))
    assert bodies[0]["input"]["bounds"]["bbox"] == list(grid.bounds)
    assert all(body["input"]["data"][0]["processing"]["harmonizeValues"] is True for body in bodies)
