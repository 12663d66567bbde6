from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import shapely
from landsat_scenes import landsat_item
from plumewatch import http
from plumewatch.catalogues.services import catalogue_of
from plumewatch.catalogues.stac import read_item
from plumewatch.errors import InputError, ServiceError
from plumewatch.models import Area
from plumewatch.sentinel2 import search
from plumewatch.sentinel2.search import FoundScenes
from plumewatch.settings import Settings
from sentinel2_scenes import SCENE_ID, source_item
from slow_catalogue import landing_page

DAY = date(2025, 8, 21)
AREA = Area("dune", shapely.box(56.9, 24.3, 57.0, 24.4), max_cloud_cover=40.0)
PAGE = 2


class StacApi(BaseHTTPRequestHandler):
    """A STAC API with item search, small pages and the faults that a test asks for."""

    items: list[dict[str, Any]] = []  # noqa: RUF012
    faults: list[tuple[int, bytes]] = []  # noqa: RUF012
    searches: list[dict[str, Any]] = []  # noqa: RUF012

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, content: object, status: int = 200, raw: bytes | None = None) -> None:
        body = json.dumps(content).encode() if raw is None else raw
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if raw is None else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path.startswith("/items/"):
            if self.faults:
                status, body = self.faults.pop(0)
                return self.answer(None, status, body)
            found = [i for i in self.items if i["id"] == self.path.rsplit("/", 1)[-1]]
            return self.answer(found[0]) if found else self.answer({}, 404)
        return self.answer(landing_page(self.root))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.faults:
            status, body = self.faults.pop(0)
            return self.answer(None, status, body)
        self.searches.append(asked)
        start = int(asked.get("token", 0))
        page = self.items[start : start + PAGE]
        links = []
        if start + PAGE < len(self.items):
            body = {**asked, "token": str(start + PAGE)}
            links = [{"rel": "next", "href": f"{self.root}/search", "method": "POST", "body": body}]
        return self.answer({"type": "FeatureCollection", "features": page, "links": links})

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    StacApi.items, StacApi.faults, StacApi.searches = [], [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), StacApi) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def item(scene_id: str, **changed: Any) -> dict[str, Any]:
    return source_item({"B11": "b11.tif"}, scene_id=scene_id, **changed)


def search_scenes(area: Area, first: date, last: date, api: str) -> FoundScenes:
    return search.search_scenes(area, first, last, catalogue_of(area, Settings("/nowhere", stac_api=api)))


def test_scenes_of_all_pages_by_time(api: str) -> None:
    StacApi.items = [
        item(f"S2{letter}_40RDN_20250821_0_L2A", datetime=f"2025-08-21T{at}Z", platform=f"sentinel-2{letter.lower()}")
        for letter, at in (("A", "06:48:12"), ("B", "06:20:00"), ("C", "07:00:00"))
    ]
    found = search_scenes(AREA, DAY, DAY, api)
    assert [ref.platform for ref in found.scenes] == ["sentinel-2b", "sentinel-2a", "sentinel-2c"]
    first = found.scenes[0]
    assert (first.tile, first.relative_orbit, first.cloud_cover, first.baseline) == ("40RDN", 20, 3.5, (5, 11))
    assert first.observed_at_utc == datetime(2025, 8, 21, 6, 20, tzinfo=UTC)
    assert first.item_href == f"{api}/collections/sentinel-2-l2a/items/S2B_40RDN_20250821_0_L2A"
    asked = StacApi.searches[0]
    assert asked["collections"] == ["sentinel-2-l2a"]
    assert asked["datetime"] == "2025-08-21T00:00:00Z/2025-08-21T23:59:59.999Z"
    assert len(StacApi.searches) == 2 and "query" not in asked and "filter" not in asked


def test_self_link_is_the_item_href(api: str) -> None:
    StacApi.items = [item(SCENE_ID, links=({"rel": "self", "href": f"{api}/items/{SCENE_ID}"},))]
    [ref] = search_scenes(AREA, DAY, DAY, api).scenes
    read = read_item(ref.item_href)
    assert (read.id, read.assets["swir16"].href) == (SCENE_ID, f"{api}/items/b11.tif")


def test_the_areas_own_api_and_collection_come_first(api: str) -> None:
    StacApi.items = [item(SCENE_ID, collection="sentinel-2-c1-l2a")]
    area = Area("dune", AREA.geometry, stac_api=api, collection="sentinel-2-c1-l2a")
    assert len(search_scenes(area, DAY, DAY, "http://127.0.0.1:1/none").scenes) == 1


def test_cloud_is_compared_here_and_an_unknown_one_is_kept_and_noted(api: str) -> None:
    StacApi.items = [
        item("S2A_40RDN_20250821_0_L2A", **{"eo:cloud_cover": 40.0}),
        item("S2A_40RCN_20250821_0_L2A", **{"eo:cloud_cover": 40.1, "grid:code": "MGRS-40RCN"}),
        item("S2A_40REN_20250821_0_L2A", **{"eo:cloud_cover": None, "grid:code": "MGRS-40REN"}),
    ]
    found = search_scenes(AREA, DAY, DAY, api)
    assert {ref.scene_id for ref in found.scenes} == {"S2A_40RDN_20250821_0_L2A", "S2A_40REN_20250821_0_L2A"}
    assert found.without_cloud_cover == ("S2A_40REN_20250821_0_L2A",)
    [skipped] = found.skipped
    assert (skipped.scene.scene_id, skipped.outcome) == ("S2A_40RCN_20250821_0_L2A", "skipped_cloud")
    assert skipped.reason == "cloud cover 40.1 %; allowed: at most 40 %"


def test_what_was_not_asked_for_is_dropped(api: str) -> None:
    elsewhere = shapely.box(10, 10, 11, 11)
    StacApi.items = [
        item(SCENE_ID),
        item("S2A_40RDN_20250822_0_L2A", datetime="2025-08-22T06:48:12Z"),
        item("S1A_IW", collection="sentinel-1-grd"),
        item("S2A_32PQQ_20250821_0_L2A", footprint=elsewhere),
    ]
    found = search_scenes(AREA, DAY, DAY, api)
    assert [ref.scene_id for ref in found.scenes] == [SCENE_ID] and not found.skipped


def test_an_item_that_says_too_little_stops_no_other(api: str) -> None:
    broken = item("S2A_40RDN_20250821_1_L2A")
    del broken["properties"]["datetime"]
    StacApi.items = [broken, item(SCENE_ID)]
    found = search_scenes(AREA, DAY, DAY, api)
    assert [ref.scene_id for ref in found.scenes] == [SCENE_ID]
    [failure] = found.failed
    assert (failure.scene_id, failure.stage, failure.area, failure.is_retryable) == (
        broken["id"],
        "search",
        "dune",
        False,
    )
    assert "datetime" in failure.message


def test_at_most_max_items_a_day_the_least_cloudy(api: str) -> None:
    covers = {"RCN": 30.0, "RDN": 5.0, "REN": None, "RFN": 10.0}
    StacApi.items = [
        item(
            f"S2A_40{tile}_202508{day}_0_L2A",
            datetime=f"2025-08-{day}T06:48:12Z",
            **{"grid:code": f"MGRS-40{tile}", "eo:cloud_cover": cover},
        )
        for tile, cover in covers.items()
        for day in (20, 21)
    ]
    found = search_scenes(Area("dune", AREA.geometry, max_items=2), date(2025, 8, 20), DAY, api)
    assert [ref.scene_id[4:18] for ref in found.scenes] == [
        "40RDN_20250820", "40RFN_20250820", "40RDN_20250821", "40RFN_20250821",
    ]  # fmt: skip
    assert len(found.beyond_max_items) == 4


def test_a_busy_service_is_asked_again(api: str) -> None:
    StacApi.items = [item(SCENE_ID)]
    StacApi.faults = [(503, b"busy"), (429, b"slow down")]
    assert len(search_scenes(AREA, DAY, DAY, api).scenes) == 1
    assert StacApi.faults == []


@pytest.mark.parametrize(("status", "is_retryable"), [(503, True), (429, True), (400, False), (403, False)])
def test_a_service_that_stays_away(api: str, status: int, is_retryable: bool) -> None:
    StacApi.faults = [(status, b"no")] * 20
    with pytest.raises(ServiceError) as caught:
        search_scenes(AREA, DAY, DAY, api)
    assert (caught.value.http_status, caught.value.is_retryable) == (status, is_retryable)


def test_no_service_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1") as caught:
        search_scenes(AREA, DAY, DAY, "http://127.0.0.1:9/stac?token=secret")
    assert caught.value.is_retryable and "secret" not in str(caught.value)


def test_a_page_of_maintenance_is_a_failure_of_the_service(api: str) -> None:
    StacApi.faults = [(200, b"<html>maintenance</html>")]
    with pytest.raises(ServiceError, match="JSON") as caught:
        search_scenes(AREA, DAY, DAY, api)
    assert caught.value.is_retryable


def test_read_item_errors(api: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        read_item(f"{api}/items/none")
    assert (caught.value.http_status, caught.value.is_retryable) == (404, False)
    StacApi.faults = [(200, b"[]")]
    with pytest.raises(InputError, match="not a STAC item"):
        read_item(f"{api}/items/none")
    (tmp_path / "page.json").write_text("<html>")
    with pytest.raises(InputError, match=r"page\.json: not JSON"):
        read_item(str(tmp_path / "page.json"))
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match=r"list\.json: not a STAC item"):
        read_item(str(tmp_path / "list.json"))
    with pytest.raises(InputError, match="no such file"):
        read_item(str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    "page", [b"<html>maintenance</html>", b"", b"busy", b'{"type": "Feature", "id"', b"\xff\xfe", b"[" * 100_000]
)
def test_a_page_in_place_of_an_item_may_be_gone_the_next_time(api: str, page: bytes) -> None:
    StacApi.faults = [(200, page)]
    with pytest.raises(ServiceError, match=r"items/none: an answer that isn't JSON") as caught:
        read_item(f"{api}/items/none")
    assert caught.value.is_retryable


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_assets_of_a_file_are_beside_it_whatever_its_self_link_says(tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "scene" / "item.json"
    path.parent.mkdir()
    elsewhere = ({"rel": "self", "href": "s3://bucket/x/item.json"},)
    path.write_text(json.dumps(source_item({"B11": "B11.tif", "B12": "../B12.tif"}, links=elsewhere)))
    read = read_item(f"{scheme}{path}")
    assert read.assets["swir16"].href == f"{scheme}{tmp_path}/scene/B11.tif"
    assert read.assets["swir22"].href == f"{scheme}{tmp_path}/B12.tif"


@pytest.mark.parametrize("west, east", [(179.5, -179.5), (179.5, 180.5), (-180.5, -179.5), (179.5, 540.5 - 360.0)])
@pytest.mark.parametrize("side", [(179.90, 179.98), (-179.98, -179.90)])
def test_footprints_over_180_degrees_are_found_from_both_sides(
    api: str, west: float, east: float, side: tuple[float, float]
) -> None:
    footprint = {"type": "Polygon", "coordinates": [[[west, -18], [east, -18], [east, -16], [west, -16], [west, -18]]]}
    StacApi.items = [item("S2A_60KZF_20250821_0_L2A") | {"geometry": footprint}]
    area = Area("fiji", shapely.box(side[0], -17.0, side[1], -16.9))
    assert len(search_scenes(area, DAY, DAY, api).scenes) == 1
    assert search_scenes(Area("far", shapely.box(0, -17, 1, -16.9)), DAY, DAY, api).scenes == ()


def test_a_footprint_around_a_pole_is_a_failure_by_name(api: str) -> None:
    pole = {"type": "Polygon", "coordinates": [[[0, 80], [90, 80], [180, 80], [-90, 80], [0, 80]]]}
    StacApi.items = [item(SCENE_ID) | {"geometry": pole}]
    (failure,) = search_scenes(AREA, DAY, DAY, api).failed
    assert failure.scene_id == SCENE_ID and "a ring around a pole" in failure.message


@pytest.mark.parametrize(
    "outline",
    [
        shapely.box(179.5, -17, 180.5, -16), shapely.force_3d(shapely.box(5, 1, 6, 2), 7.0),
        shapely.Polygon([(0, 0), (0, 1), (0, 1), (1, 1), (0, 0)]), shapely.box(190, 1, 191, 2),
        shapely.box(5, 1, 6, 2, ccw=False),
    ],
)  # fmt: skip
def test_the_geometry_that_is_sent_is_as_rfc_7946_wants_it(api: str, outline: shapely.Geometry) -> None:
    search_scenes(Area("a", outline), DAY, DAY, api)
    sent = StacApi.searches[0]["intersects"]
    polygons = sent["coordinates"] if sent["type"] == "MultiPolygon" else [sent["coordinates"]]
    for (ring,) in polygons:
        assert ring[0] == ring[-1] and all(len(place) == 2 and -180 <= place[0] <= 180 for place in ring)
        assert all(one != other for one, other in pairwise(ring))
        assert shapely.LinearRing(ring).is_ccw


VERSIONS = [{"s2:processing_baseline": b} for b in ("05.11", "05.00", "05.09", "05.10")]


@pytest.mark.parametrize("shift", range(4))
def test_of_one_id_on_several_pages_the_newest_is_used(api: str, shift: int) -> None:
    StacApi.items = [item(SCENE_ID, **stated) for stated in VERSIONS[shift:] + VERSIONS[:shift]]
    [ref] = search_scenes(AREA, DAY, DAY, api).scenes
    assert ref.baseline == (5, 11)


def test_an_item_without_collection_is_taken_and_those_of_others_are_named(
    api: str, caplog: pytest.LogCaptureFixture
) -> None:
    bare = item(SCENE_ID)
    del bare["collection"]
    StacApi.items = [bare, *(item(f"S2A_40RDN_20250821_{n}_L2A", collection="S2_L2A") for n in (1, 2))]
    assert [ref.scene_id for ref in search_scenes(AREA, DAY, DAY, api).scenes] == [SCENE_ID]
    assert "dune: left out: 2 items of S2_L2A; allowed: items of sentinel-2-l2a" in caplog.text


def test_of_landsat_an_item_of_another_form_is_told_and_the_search_goes_on(api: str) -> None:
    good = landsat_item({}, str(DAY)) | {"geometry": shapely.geometry.mapping(AREA.geometry)}
    StacApi.items = [{**good, "id": "odd", "properties": "x"}, good]
    found = search_scenes(replace(AREA, collection="landsat-c2-l2"), DAY, DAY, api)
    assert [ref.scene_id for ref in found.scenes] == [good["id"]]
    assert [one.scene_id for one in found.failed] == ["odd"]
