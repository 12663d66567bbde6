"""Answers that drip, or don't end: each session of the project gives them up, whoever reads them."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import shapely
from plumewatch import http
from plumewatch.catalogues import hub_client, stac
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.constants import LOWEST_BYTES_S
from plumewatch.errors import ServiceError
from plumewatch.oco2.archive.cmr import search_granules
from plumewatch.rasters import reading
from plumewatch.rasters.reading import read_raster
from plumewatch.settings import Settings
from plumewatch.storage import buckets

SILENCE_S = 0.4
DRIP_S = 0.02  # 50 bytes/s
LONG_S = 20.0  # what a dripping answer would take to its end
KNOWN = b"0123456789" * 100


class Dripper(BaseHTTPRequestHandler):
    """What it does is the address, of other addresses `otherwise`."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    otherwise = "body"

    def do_GET(self) -> None:
        self.asked.append(self.path)
        getattr(self, self.path.rpartition("/")[2], getattr(self, self.otherwise))()

    do_POST = do_GET

    def do_HEAD(self) -> None:
        self.begin(int(LONG_S / DRIP_S))

    def token(self) -> None:
        content = json.dumps({"access_token": "one", "expires_in": 600}).encode()
        self.begin(len(content))
        self.wfile.write(content)

    def body(self, status: int = 200) -> None:
        n_bytes = int(LONG_S / DRIP_S)
        self.begin(n_bytes, status)
        self.drip(b"x" * n_bytes)

    def busy(self) -> None:
        self.body(503)

    def headers_alone(self) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * int(LONG_S / DRIP_S))

    def chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(int(LONG_S / DRIP_S)):
            self.drip(b"1\r\nx\r\n")

    def in_two(self) -> None:
        """A pause that a silence may have, twice as long as all else, and then the rest at once."""
        self.begin(len(KNOWN))
        time.sleep(0.7 * SILENCE_S)
        self.wfile.write(KNOWN[:600])
        time.sleep(0.7 * SILENCE_S)
        self.wfile.write(KNOWN[600:])

    def steady(self) -> None:
        """Longer than a silence may last, at a rate that is allowed."""
        self.begin(len(KNOWN))
        for begin in range(0, len(KNOWN), 50):
            self.wfile.write(KNOWN[begin : begin + 50])
            time.sleep(0.04)

    def fast_then_dripping(self) -> None:
        self.begin(10**6 + int(LONG_S / DRIP_S))
        self.wfile.write(b"x" * 10**6)
        self.drip(b"x" * int(LONG_S / DRIP_S))

    def at_once(self) -> None:
        self.begin(10**6)
        self.wfile.write(b"x" * 10**6)

    def endless(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 10000)

    def packed(self) -> None:
        content = gzip.compress(b"\0" * 10**6)
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def begin(self, n_bytes: int, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(n_bytes))
        self.end_headers()

    def drip(self, content: bytes) -> None:
        for begin in range(len(content)):
            self.wfile.write(content[begin : begin + 1])
            time.sleep(DRIP_S)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # given up
            self.close_connection = True

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(http, "TIMEOUT_S", (1.0, SILENCE_S))
    for reader in (hub_client, stac):
        monkeypatch.setattr(reader, "TIMEOUT_S" if reader is hub_client else "SEARCH_TIMEOUT_S", (1.0, SILENCE_S))
    monkeypatch.setattr(http, "PATIENCE_S", SILENCE_S)
    monkeypatch.setattr(Dripper, "otherwise", "body")
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    Dripper.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Dripper) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("how", ["body", "headers_alone", "chunks", "fast_then_dripping"])
def test_an_answer_that_drips_is_given_up(service: str, how: str) -> None:
    started = time.monotonic()
    with http.http_session() as session, pytest.raises(ServiceError, match="slower than 1000 bytes/s") as caught:
        http.download(session, f"{service}/{how}")
    assert caught.value.is_retryable and service in str(caught.value)
    assert time.monotonic() - started < 4 * SILENCE_S


@pytest.mark.parametrize("how", ["in_two", "steady"])
def test_one_that_is_slow_or_pauses_comes_whole(service: str, how: str) -> None:
    with http.http_session() as session:
        assert http.download(session, f"{service}/{how}") == KNOWN


def test_a_reader_that_takes_its_time_costs_a_fast_host_nothing(service: str) -> None:
    with http.http_session() as session, http.ask(session, f"{service}/at_once", stream=True) as answer:
        pieces = answer.iter_content(10_000)
        n_bytes = len(next(pieces))
        time.sleep(2 * SILENCE_S)
        assert n_bytes + sum(map(len, pieces)) == 10**6


def test_what_a_busy_service_drips_beside_its_status_is_not_waited_for(service: str) -> None:
    started = time.monotonic()
    with http.http_session() as session, pytest.raises(ServiceError, match="HTTP 503"):
        http.download(session, f"{service}/busy")
    assert len(Dripper.asked) == 1 + http.RETRIES and time.monotonic() - started < 3 * SILENCE_S


def test_a_host_that_drips_costs_its_patience_once(service: str) -> None:
    with http.one_patience_per_host(), http.http_session() as session:
        for _ in range(5):
            with pytest.raises(ServiceError, match="slower than"):
                http.download(session, f"{service}/body")
    assert Dripper.asked == ["/body"]


@pytest.mark.parametrize("how", ["endless", "packed"])
def test_an_answer_ends_however_it_is_read(service: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 50_000)
    with http.http_session() as session:
        with pytest.raises(ServiceError, match="more than 50000 bytes") as caught:
            http.download(session, f"{service}/{how}")
        assert caught.value.is_retryable
        with pytest.raises(requests.RequestException, match="more than 50000 bytes"):
            session.post(f"{service}/{how}", timeout=http.TIMEOUT_S)


def test_it_is_the_same_through_a_proxy(service: str) -> None:
    with http.http_session() as session, pytest.raises(ServiceError, match="slower than"):
        session.proxies = {"http": service}
        http.download(session, "http://catalogue.invalid/body")


def search_stac(service: str, folder: Path) -> Any:
    api = stac.StacCatalogue(stac.StacApi(f"{service}/body"), "sentinel-2-l2a")
    return list(api.search_items(shapely.box(54, 38, 55, 39), date(2025, 8, 21), date(2025, 8, 21)))


def ask_for_a_token(service: str, folder: Path) -> Any:
    return hub(service, folder, "body").check_account()


def ask_the_hub(service: str, folder: Path) -> Any:
    return hub(service, folder, "token").check_account()


def hub(service: str, folder: Path, token: str) -> SentinelHub:
    account = {"sh_client_id": str(folder), "sh_client_secret": "s", "sh_token_url": f"{service}/{token}"}
    return SentinelHub(Settings(str(folder), sh_base_url=service, **account), "dune")


def ask_cmr(service: str, folder: Path) -> Any:
    return search_granules(service, "2019-06")


ASKING = [search_stac, ask_for_a_token, ask_the_hub, ask_cmr]


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize("how", ["body", "chunks"])
def test_each_service_s_reader_gives_it_up(service: str, tmp_path: Path, ask: Any, how: str) -> None:
    Dripper.otherwise, started = how, time.monotonic()
    with pytest.raises(ServiceError, match="slower than 1000 bytes/s") as caught:
        ask(service, tmp_path)
    assert caught.value.is_retryable and time.monotonic() - started < 4 * SILENCE_S


def test_what_the_hub_answers_ends(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 50_000)
    Dripper.otherwise = "endless"
    with pytest.raises(ServiceError, match="more than 50000 bytes") as caught:
        ask_the_hub(service, tmp_path)
    assert caught.value.is_retryable


def test_a_raster_that_drips_is_given_up(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reading.REMOTE_ENVIRONMENT["GDAL_HTTP_LOW_SPEED_LIMIT"] == LOWEST_BYTES_S
    monkeypatch.setitem(reading.REMOTE_ENVIRONMENT, "GDAL_HTTP_LOW_SPEED_TIME", 1)  # the shortest that there is
    monkeypatch.setattr(reading, "PROBE_TIMEOUT_S", (1.0, SILENCE_S))
    started = time.monotonic()
    with pytest.raises(ServiceError, match="slower than 1000 bytes/s") as caught:
        read_raster(f"{service}/body", lambda source: source.read())
    assert caught.value.is_retryable and time.monotonic() - started < 0.5 * LONG_S


def test_an_object_that_drips_out_of_a_bucket_is_given_up(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"ENDPOINT_URL": service, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "us-east-1"}
    for name, value in keys.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(buckets, "SILENCE_S", SILENCE_S)
    started = time.monotonic()
    with pytest.raises(ServiceError, match="slower than 1000 bytes/s") as caught:
        read_raster("s3://scene/body", lambda source: source.read())
    assert caught.value.is_retryable and time.monotonic() - started < 0.5 * LONG_S
