"""The Data Space's OData catalogue: products over real HTTP, their files out of a real bucket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import test_data_space
from plumewatch import http
from plumewatch.areas import grid_of
from plumewatch.catalogues import odata
from plumewatch.catalogues.answering import why_unreachable
from plumewatch.catalogues.services import catalogue_of
from plumewatch.constants import LISTED
from plumewatch.errors import ConfigurationError, InputError, ServiceError
from plumewatch.sentinel2.item_bands import read_bands
from plumewatch.sentinel2.scene import content_of
from plumewatch.sentinel2.search import search_scenes
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.settings import Settings
from shapely.geometry import box, mapping
from test_data_space import AREA, FOLDER, SCENE

DAY = date(2025, 8, 21)
settings = test_data_space.settings  # a fixture
ID = "72ac8773-c55d-526a-a9a9-22ddb9b595ef"


def product(name: str = SCENE, uuid: str = ID, **changed: Any) -> dict[str, Any]:
    said = {"cloudCover": 1.25, "relativeOrbitNumber": 20, "tileId": "40RDN", "productType": "S2MSI2A"}
    said |= {"processingDate": "2025-08-21T10:20:30.000000Z", "platformSerialIdentifier": "A"}
    return {
        "@odata.mediaContentType": "application/octet-stream", "Id": uuid, "Name": f"{name}.SAFE", "Online": True,
        "ContentLength": 1_000_000, "OriginDate": "2025-08-21T10:50:00.000000Z",
        "PublicationDate": "2025-08-21T11:00:00.000000Z", "ModificationDate": "2025-08-21T11:00:10.000000Z",
        "S3Path": f"/eodata/{FOLDER.split('/GRANULE')[0].replace(SCENE, name)}",
        "Checksum": [{"Value": "ab12", "Algorithm": "MD5", "ChecksumDate": "2025-08-21T11:00:05Z"}],
        "ContentDate": {"Start": "2025-08-21T06:46:21.024000Z", "End": "2025-08-21T06:46:21.024000Z"},
        "GeoFootprint": mapping(box(56.5, 24.0, 57.5, 25.0)),
        "Attributes": [{"@odata.type": "#OData.CSC.Attribute", "Name": n, "Value": v} for n, v in said.items()],
        **changed,
    }  # fmt: skip


class OData(BaseHTTPRequestHandler):
    """Two products a page; what it was asked is kept."""

    products: list[Any]
    asked: list[dict[str, list[str]]]
    fault: tuple[int, bytes] | None
    following: str | None

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        self.asked.append(query)
        if self.fault:
            return self.answer(*self.fault)
        if url.path.endswith(")"):
            [found] = [p for p in self.products if url.path.endswith(f"/odata/v1/Products({p['Id']})")]
            return self.answer(200, json.dumps(found).encode())
        assert url.path == "/odata/v1/Products"
        skipped = int(query.get("$skip", ["0"])[0])
        content = {"@odata.context": "$metadata#Products", "value": self.products[skipped : skipped + 2]}
        if self.products[skipped + 2 :]:
            host = self.following or f"http://{self.headers['Host']}"
            content["@odata.nextLink"] = f"{host}/odata/v1/Products?%24skip={skipped + 2}"
        self.answer(200, json.dumps(content).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    OData.products, OData.asked, OData.fault, OData.following = [product()], [], None, None
    with ThreadingHTTPServer(("127.0.0.1", 0), OData) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/odata/v1"
        server.shutdown()


def of(url: str, found: Settings, **changed: Any) -> Any:
    return catalogue_of(replace(AREA, stac_api=url, **changed), found)


@pytest.mark.parametrize("end", ["", "/", "/Products", "/Products/"])
def test_a_product_is_found_and_its_pixels_are_read(url: str, settings: Settings, tmp_path: Any, end: str) -> None:
    catalogue = of(url + end, settings)
    [scene] = search_scenes(AREA, DAY, DAY, catalogue).scenes
    assert (scene.scene_id, scene.tile, scene.relative_orbit, scene.baseline) == (SCENE, "40RDN", 20, (5, 11))
    assert (scene.platform, scene.cloud_cover) == ("sentinel-2a", 1.25) and scene.item_href.endswith(f"/Products({ID})")
    [asked] = OData.asked
    assert "Value eq 'S2MSI2A'" in asked["$filter"][0] and "SRID=4326;POLYGON ((57.0" in asked["$filter"][0]
    assert "ge 2025-08-21T00:00:00.000Z and ContentDate/Start lt 2025-08-22T00:00:00.000Z" in asked["$filter"][0]
    item = catalogue.read_item(scene.item_href)
    shown = read_bands(item, AREA, grid_of(AREA), catalogue.access)
    assert shown.rule.offset == -0.1 and np.all(shown.scl == 5)
    assert 3000 <= shown.bands["B11"].min() <= shown.bands["B11"].max() < 3300
    path = fetch_scene(item, AREA, str(tmp_path / "scenes"), catalogue.access)
    assert json.loads(open(path).read())["properties"]["plumewatch:source_content"] == scene.content  # noqa: PTH123, SIM115


def test_all_pages_are_read_and_an_odd_product_is_named(url: str, settings: Settings) -> None:
    other, third = SCENE.replace("T40RDN", "T40RCN"), SCENE.replace("T40RDN", "T40RCM")
    OData.products = [product(), product(other, "b"), {"Name": "odd.SAFE"}, product(third, "c", GeoFootprint=None), 7]
    found = search_scenes(AREA, DAY, DAY, of(url, settings))
    assert {s.scene_id for s in found.scenes} | {s.scene.scene_id for s in found.skipped} >= {SCENE}
    assert {f.scene_id for f in found.failed} == {"odd.SAFE", third, "7"} and len(OData.asked) == 3


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ((400, b'{"detail": "no such filter"}'), ServiceError, "HTTP 400: .*no such filter"),
        ((503, b""), ServiceError, "HTTP 503"),
        ((200, b"<html>Maintenance</html>"), ServiceError, "isn't JSON"),
        ((200, b"[]"), InputError, "JSON that is a list; allowed: an OData catalogue"),
        ((200, b'{"value": 5}'), InputError, "without a list of products"),
    ],
)
def test_an_answer_that_is_none_is_named(
    url: str,
    settings: Settings,
    fault: Any,
    error: Any,
    message: str,
) -> None:
    OData.fault = fault
    with pytest.raises(error, match=message):
        list(of(url, settings).search_items(AREA.geometry, DAY, DAY))


def test_a_page_at_another_host_is_not_asked_for(url: str, settings: Settings) -> None:
    OData.products, OData.following = [product(uuid=str(n)) for n in range(3)], "http://elsewhere.invalid"
    with pytest.raises(ServiceError, match=r"another host, http://elsewhere.invalid"):
        list(of(url, settings).search_items(AREA.geometry, DAY, DAY))


def test_a_full_page_without_another_is_no_whole_answer(
    url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(odata, "PAGE_PRODUCTS", 1)
    with pytest.raises(ServiceError, match="more than it shows"):
        list(of(url, settings).search_items(AREA.geometry, DAY, DAY))


def test_a_product_without_files_keys_or_of_another_level_is_refused_by_name(url: str, settings: Settings) -> None:
    OData.products = [product(SCENE.replace("T40RDN", "T40RCN"))]
    with pytest.raises(InputError, match=r"T40RCN.*SAFE: .*allowed: GRANULE"):
        of(url, settings).read_item(f"{url}/Products({ID})")
    with pytest.raises(ConfigurationError, match="CDSE_S3_ACCESS_KEY not set"):
        of(url, replace(settings, cdse_s3_access_key=None)).read_item(f"{url}/Products({ID})")
    with pytest.raises(ConfigurationError, match="collection 'sentinel-2-l1c'; allowed: sentinel-2-l2a or SENTINEL-2"):
        of(url, settings, collection="sentinel-2-l1c")
    assert of(url, settings, collection="SENTINEL-2").collection == "SENTINEL-2"


def test_make_check_asks_it(url: str) -> None:
    assert why_unreachable(url) is None and why_unreachable(f"{url}/Products") is None
    OData.fault = (200, b"{}")
    assert why_unreachable(url) == "an answer that isn't OData"


def test_what_a_listing_adds_is_no_other_content() -> None:
    said = {"id": "a", "properties": {}, "assets": {"product": {"href": "s3://eodata/a.SAFE"}}}
    listed = {**said["assets"], "B11_20m": {"href": "s3://eodata/a.SAFE/b.jp2", LISTED: True}}
    assert content_of(said) == content_of({**said, "assets": listed})
