"""Rasters of Planetary Computer, signed just before they are read: tokens and blobs over real HTTP."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs

import numpy as np
import pytest
from plumewatch.catalogues.services import catalogue_of
from plumewatch.errors import ServiceError
from plumewatch.models import Area
from plumewatch.rasters.reading import read_raster
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.sentinel2.search import search_scenes
from plumewatch.settings import Settings
from sentinel2_scenes import source_item, write_raster
from service_hosts import Answer, Hosts, ranged
from shapely.geometry import box, mapping

API = "http://planetarycomputer.microsoft.com/api/stac/v1"
TOKENS = "/api/sas/v1/token/"
BLOBS = "sentinel2l2a01.blob.core.windows.net"
SCENE = "S2A_MSIL2A_20250821T064621_R020_T40RDN_20250821T102030"
EXPIRED = b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>Signature not valid"
HREF = f"{API}/collections/sentinel-2-l2a/items/{SCENE}"
NUMBERS = {"B11": 4000, "B12": 3600, "SCL": 5}
AREA = Area("dune", box(57.0004, 24.4004, 57.0046, 24.4056), crs="EPSG:32640", stac_api=API)


class PlanetaryComputer:
    """The STAC API, the tokens and the blobs of one scene. A signature holds for so many seconds, or so many reads."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        hosts.answers = {"planetarycomputer.microsoft.com": self.api, BLOBS: self.blob}
        self.token_s, self.reads_left, self.given = 2700.0, 10**6, 0
        self.keys: list[str | None] = []
        self.answer_in_place: list[Answer] = []
        self.files: dict[str, bytes] = {}
        self.is_closed = False
        rng = np.random.default_rng(3)
        for band, number in NUMBERS.items():
            noise = rng.integers(0, 1 if band == "SCL" else 300, (700, 700))
            array = (noise + number).astype(np.uint8 if band == "SCL" else np.uint16)
            self.files[f"/sentinel2-l2/{band}.tif"] = Path(write_raster(folder / f"{band}.tif", array)).read_bytes()

    def api(self, url: SplitResult, handler: BaseHTTPRequestHandler) -> Answer:
        if url.path.startswith(TOKENS):
            return self.token(url, handler)
        return 200, json.dumps(self.stac(url)).encode(), {}

    def stac(self, url: SplitResult) -> dict[str, Any]:
        if url.path.endswith("/search"):
            return {"type": "FeatureCollection", "features": [self.item()], "links": []}
        if "/items/" in url.path:
            return self.item()
        links = [
            {"rel": "self", "href": API},
            {"rel": "search", "href": f"{API}/search", "method": "POST", "type": "application/geo+json"},
        ]
        conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
        return {
            "type": "Catalog", "id": "pc", "stac_version": "1.0.0", "description": "-", "conformsTo": conforms,
            "links": links,
        }  # fmt: skip

    def item(self) -> dict[str, Any]:
        item = source_item(
            {}, SCENE, links=({"rel": "self", "href": f"{API}/collections/sentinel-2-l2a/items/{SCENE}"},)
        )
        kind = "image/tiff; application=geotiff; profile=cloud-optimized"
        item["assets"] = {b: {"href": f"http://{BLOBS}/sentinel2-l2/{b}.tif", "type": kind} for b in NUMBERS}
        item["geometry"] = mapping(box(56.5, 24.0, 57.5, 25.0))
        kept = ("datetime", "eo:cloud_cover", "s2:processing_baseline")
        item["properties"] = {k: v for k, v in item["properties"].items() if k in kept} | {
            "platform": "Sentinel-2A", "s2:mgrs_tile": "40RDN", "sat:relative_orbit": 20, "proj:epsg": 32640,
        }  # fmt: skip
        return item

    def token(self, url: SplitResult, handler: BaseHTTPRequestHandler) -> Answer:
        assert url.path == f"{TOKENS}sentinel2l2a01/sentinel2-l2"
        if self.answer_in_place:
            return self.answer_in_place.pop(0)
        self.keys.append(handler.headers.get("Ocp-Apim-Subscription-Key"))
        self.given += 1
        self.reads_left = 10**6 if self.given > 1 else self.reads_left
        ends = (datetime.now(UTC) + timedelta(seconds=self.token_s)).isoformat()
        token = f"st=2025-01-01&se={ends[:10]}&sp=rl&sig=secret{self.given}"
        return 200, json.dumps({"msft:expiry": ends, "token": token}).encode(), {}

    def blob(self, url: SplitResult, handler: BaseHTTPRequestHandler) -> Answer:
        if parse_qs(url.query).get("sig") != [f"secret{self.given}"] or self.reads_left <= 0 or self.is_closed:
            return 403, EXPIRED, {"Content-Type": "application/xml"}
        self.reads_left -= 1
        return ranged(self.files[url.path], handler)


@pytest.fixture
def service(hosts: Hosts, tmp_path: Path) -> PlanetaryComputer:
    return PlanetaryComputer(hosts, tmp_path / "blobs")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "areas").mkdir()
    feature = {
        "type": "Feature", "geometry": mapping(AREA.geometry),
        "properties": {"name": "dune", "catalogue": "stac", "stac_api": API, "crs": "EPSG:32640"},
    }  # fmt: skip
    (tmp_path / "areas" / "dune.geojson").write_text(json.dumps(feature))
    sas = f"http://planetarycomputer.microsoft.com{TOKENS.rstrip('/')}"
    return Settings(str(tmp_path / "storage"), areas=str(tmp_path / "areas"), pc_sas_url=sas)


def test_a_scene_is_stacked_by_one_token_and_nobody_else_sees_a_signature(
    service: PlanetaryComputer, hosts: Hosts, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "plumewatch")
    [ref] = search_scenes(AREA, date(2025, 8, 21), date(2025, 8, 21), catalogue_of(AREA, settings)).scenes
    assert service.given == 0 and "sig=" not in ref.item_href
    written = Path(fetch_area_scene(settings, "dune", ref.item_href).path)
    assert service.given == 1 and service.keys == [None]
    stored = [p.read_bytes() for p in written.parent.iterdir() if p.suffix == ".json"]
    assert len(stored) == 1 and b"secret" not in stored[0] and "secret" not in caplog.text
    assert all("sig=" not in url for url in hosts.asked if BLOBS not in url)


def test_a_signature_that_ends_in_the_middle_of_a_scene_is_renewed(
    service: PlanetaryComputer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    whole = Path(fetch_area_scene(settings, "dune", HREF).path).with_suffix(".tif").read_bytes()
    for reads in (1, 3, 5):
        service.given, service.reads_left = 0, reads
        again = Settings(settings.storage_root + str(reads), areas=settings.areas, pc_sas_url=settings.pc_sas_url)
        assert Path(fetch_area_scene(again, "dune", HREF).path).with_suffix(".tif").read_bytes() == whole
        assert service.given == 2
    assert "read again with a new signature" in caplog.text and "secret" not in caplog.text


def read(service: PlanetaryComputer, settings: Settings) -> Any:
    href = f"http://{BLOBS}/sentinel2-l2/B11.tif"
    return read_raster(href, lambda source: source.read(1), catalogue_of(AREA, settings).access)


def test_one_that_is_refused_again_is_the_end(service: PlanetaryComputer, settings: Settings) -> None:
    service.is_closed = True
    with pytest.raises(ServiceError, match="HTTP 403: the signature in the address isn't accepted") as caught:
        read(service, settings)
    assert caught.value.http_status == 403 and not caught.value.is_retryable
    assert service.given == 2 and "secret" not in str(caught.value)


def test_a_token_that_ends_within_a_minute_serves_no_second_raster(
    service: PlanetaryComputer, settings: Settings
) -> None:
    access = catalogue_of(AREA, settings).access
    hrefs = [f"http://{BLOBS}/sentinel2-l2/{band}.tif" for band in NUMBERS]
    assert len({access.signed(href) for href in hrefs}) == 3 and service.given == 1
    service.token_s = 59.0
    assert access.renew(hrefs[0], access.signed(hrefs[0]))
    assert [access.signed(href)[-7:] for href in hrefs] == ["secret2", "secret3", "secret4"]


@pytest.mark.parametrize(
    "href", [f"http://{BLOBS}/sentinel2-l2/a.tif?se=2025&sig=x", "http://host/a.tif", "https://blob.core.windows.net/a"]
)
def test_what_is_signed_or_no_blob_is_left_alone(service: PlanetaryComputer, settings: Settings, href: str) -> None:
    access = catalogue_of(AREA, settings).access
    assert access.signed(href) == href and not access.renew(href, href) and service.given == 0


def test_the_key_of_an_account_goes_to_the_tokens_alone(
    service: PlanetaryComputer, settings: Settings, hosts: Hosts
) -> None:
    with_key = replace(settings, pc_subscription_key="my-key")
    assert read(service, with_key).shape == (700, 700) and service.keys == ["my-key"]
    assert "my-key" not in repr(with_key) + "".join(hosts.asked)
    service.answer_in_place = [(401, b"{}", {})]
    with pytest.raises(ServiceError, match="HTTP 401: PC_SDK_SUBSCRIPTION_KEY isn't accepted"):
        read(service, with_key)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([(200, b"<html>maintenance</html>", {})], "no token for signatures"),
        ([(200, b'{"msft:expiry": "2030-01-01T00:00:00Z"}', {})], "no token for signatures"),
        ([(404, b"{}", {})], "HTTP 404"),
        ([(503, b"{}", {})] * 6, "HTTP 503"),
    ],
)
def test_no_token_is_an_error_of_the_service_that_gives_them(
    service: PlanetaryComputer, settings: Settings, answers: list[Answer], message: str
) -> None:
    service.answer_in_place = answers
    with pytest.raises(ServiceError, match=rf"api/sas/v1/token/sentinel2l2a01/sentinel2-l2: .*{message}"):
        read(service, settings)


def test_a_busy_service_is_asked_again_when_it_says(service: PlanetaryComputer, settings: Settings) -> None:
    service.answer_in_place = [(429, b"{}", {"Retry-After": "1"}), (500, b"{}", {})]
    began = time.monotonic()
    assert read(service, settings).shape == (700, 700) and time.monotonic() - began >= 1.0


def test_a_band_that_is_refused_last_does_not_undo_what_another_has_renewed(
    service: PlanetaryComputer, settings: Settings
) -> None:
    access = catalogue_of(AREA, settings).access
    first, second = (f"http://{BLOBS}/sentinel2-l2/{band}.tif" for band in ("B11", "B12"))
    old = access.signed(first), access.signed(second)
    assert access.renew(first, old[0]) and access.signed(first).endswith("secret2")
    assert access.renew(second, old[1]) and access.signed(second).endswith("secret2") and service.given == 2
