"""Rasters over real HTTP on loopback, with the faults of real services."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
import requests
from plumewatch import storage
from plumewatch.errors import InputError, ServiceError
from plumewatch.public_hosts import PublicHosts
from plumewatch.rasters import reading as rasters
from plumewatch.rasters.access import Access
from plumewatch.rasters.reading import open_raster, read_raster
from plumewatch.storage.buckets import Buckets
from rasterio.errors import RasterioError
from sentinel2_scenes import write_raster

NUMBERS = np.random.default_rng(1).integers(1, 9000, (700, 700)).astype(np.uint16)


class Files(BaseHTTPRequestHandler):
    """One file with range support; after `good_first` requests the `faults` are answered, one a request."""

    content = b""
    kind = "image/tiff"
    faults: list[int] = []  # noqa: RUF012
    good_first = 0
    fault = b"fault"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if Files.good_first:
            Files.good_first -= 1
        elif self.faults:
            return self.send(self.faults.pop(0), self.fault, {})
        asked = self.headers.get("Range")
        if not asked:
            return self.send(200, self.content, {})
        first, last = (int(n or 0) for n in asked.removeprefix("bytes=").split("-"))
        last = min(last, len(self.content) - 1)
        if first > last:
            return self.send(416, b"", {})
        where = {"Content-Range": f"bytes {first}-{last}/{len(self.content)}"}
        return self.send(206, self.content[first : last + 1], where)

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": self.kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def href(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(rasters.REMOTE_ENVIRONMENT, "GDAL_HTTP_RETRY_DELAY", 0.01)
    Files.content, Files.kind, Files.faults = (
        Path(write_raster(tmp_path / "a.tif", NUMBERS)).read_bytes(),
        "image/tiff",
        [],
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/scene/B11.tif?sig=secret"
        server.shutdown()


def read(href: str) -> np.ndarray:
    return read_raster(href, lambda source: source.read(1))


def test_a_remote_raster(href: str) -> None:
    np.testing.assert_array_equal(read(href), NUMBERS)


def test_a_hiccup_is_ridden_out(href: str) -> None:
    Files.faults = [503, 503]
    np.testing.assert_array_equal(read(href), NUMBERS)


@pytest.mark.parametrize(("status", "is_retryable"), [(404, False), (403, False), (503, True)])
def test_the_status_of_a_refusal_is_known(href: str, status: int, is_retryable: bool) -> None:
    Files.faults = [status] * 50
    with pytest.raises(ServiceError, match=f"HTTP {status}") as caught:
        read(href)
    assert (caught.value.http_status, caught.value.is_retryable) == (status, is_retryable)
    assert "secret" not in str(caught.value)


def test_a_link_that_expires_midway(href: str) -> None:
    """The header is read, the pixels are refused: GDAL then says no more than that reading failed."""
    Files.good_first, Files.faults = 2, [403] * 50
    with pytest.raises(ServiceError, match="HTTP 403") as caught, open_raster(href) as source:
        source.read(1)
    assert caught.value.http_status == 403


def test_a_failure_is_not_remembered(href: str) -> None:
    Files.faults = [404] * 20
    with pytest.raises(ServiceError):
        read(href)
    Files.faults = []
    np.testing.assert_array_equal(read(href), NUMBERS)


def test_nobody_there() -> None:
    with pytest.raises(ServiceError) as caught:
        read("http://127.0.0.1:9/B11.tif")
    assert caught.value.is_retryable and caught.value.http_status is None


@pytest.mark.parametrize("kept", [0.01, 0.3, 0.95])
def test_a_truncated_file_is_an_error_that_names_it_and_never_a_hole(href: str, tmp_path: Path, kept: float) -> None:
    whole = Files.content
    Files.content = whole[: int(kept * len(whole))]
    with pytest.raises(InputError, match=r"B11\.tif.*cut off"):
        read(href)
    local = tmp_path / "cut.tif"
    local.write_bytes(Files.content)
    for path in (str(local), f"file://{local}"):
        with pytest.raises(InputError, match=r"cut\.tif: cut off"):
            read(path)


def test_a_connection_that_breaks_once_is_not_a_broken_file(href: str) -> None:
    calls = []

    def read_second_time(source: object) -> int:
        calls.append(source)
        if len(calls) == 1:
            raise InputError(href, "cut off", "a file")
        return 7

    assert (read_raster(href, read_second_time), len(calls)) == (7, 2)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/html; charset=utf-8", b"<html>maintenance</html>"),
        ("text/plain", b"come back later"),
        ("application/xml", b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>"),
        ("application/json", b'{"message": "busy"}'),
        ("application/octet-stream", b"\n  <!DOCTYPE html><html></html>"),
        ("image/tiff", b"\xef\xbb\xbf<html>a proxy that keeps the type</html>"),
        ("", b"<HTML>no type at all</HTML>"),
    ],
)
def test_a_page_instead_of_a_raster_may_be_gone_the_next_time(href: str, kind: str, content: bytes) -> None:
    Files.content, Files.kind = content, kind
    with pytest.raises(ServiceError, match=rf"B11\.tif.*a page of type {kind or 'unknown'} with HTTP 20") as caught:
        read(href)
    assert caught.value.is_retryable and "secret" not in str(caught.value)


def test_an_empty_file(href: str) -> None:
    Files.content, Files.kind = b"", "image/tiff"
    with pytest.raises(InputError, match="an empty file"):
        read(href)


@pytest.mark.parametrize("status", [401, 403, 409])
def test_a_refusal_says_that_assets_must_be_signed(href: str, status: int) -> None:
    Files.faults = [status] * 50
    with pytest.raises(
        ServiceError, match=rf"HTTP {status}: this service.* signed .*; allowed: that one, a catalogue of open"
    ):
        read(href.split("?")[0])
    Files.faults = [status] * 50
    with pytest.raises(ServiceError, match=f"HTTP {status}: the signature in the address .* has expired"):
        read(href)


@pytest.mark.parametrize("status", [401, 403, 409])
@pytest.mark.parametrize(
    ("href", "hint"),
    [
        ("https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/B11.tif", "on Azure, as Planetary Computer's, may"),
        ("http://S2.BLOB.core.windows.net:443/B11.tif?x=1", "on Azure, as Planetary Computer's, may"),
        ("https://s2.blob.core.windows.net/B11.tif?se=2025&sig=abc", "the signature in the address isn't accepted"),
        ("https://host/blob.core.windows.net/B11.tif", "this service's assets may"),
        ("https://blob.core.windows.net.host.org/B11.tif", "this service's assets may"),
    ],
)
def test_a_refusal_of_azure_names_the_catalogue_that_signs(
    monkeypatch: pytest.MonkeyPatch, href: str, hint: str, status: int
) -> None:
    answer = requests.Response()
    answer.status_code, answer.raw = status, io.BytesIO()
    monkeypatch.setattr(requests.Session, "get", lambda *_, **__: answer)
    error = rasters._classify_http(href, "HTTP", None)
    assert (error.http_status, error.is_retryable) == (status, False)
    assert hint in str(error) and "abc" not in str(error)


def test_a_local_raster_may_have_its_position_beside_it(real_data: Path) -> None:
    with open_raster(str(real_data / "sentinel2/S2A_33TWM_20230815_0_L2A/B04.tif")) as source:
        assert (source.crs.to_epsg(), source.transform.c) == (32633, 499_980)


@pytest.mark.parametrize("error", [MemoryError("full"), KeyError("B11"), AttributeError("x"), TypeError("x"),
                                   ValueError("x"), IndexError(3), OSError(28, "no space")], ids=repr)  # fmt: skip
def test_an_error_of_the_block_is_the_blocks_and_not_the_files(tmp_path: Path, error: Exception) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBERS)

    def work(source: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        read_raster(path, work)
    assert caught.value is error


def test_no_memory_to_open_a_raster_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    path = write_raster(tmp_path / "a.tif", NUMBERS)
    monkeypatch.setattr(rasters, "DatasetReader", full)
    with pytest.raises(MemoryError):
        read(path)


def test_a_text_that_is_damaged_is_found_where_it_is_read(tmp_path: Path) -> None:
    path = Path(write_raster(tmp_path / "a.tif", NUMBERS))
    with rasterio.open(path, "r+") as source:
        source.set_band_description(1, "B11")
    path.write_bytes(path.read_bytes().replace(b"B11", b"\xff\xfe1"))
    with pytest.raises(InputError, match=r"a\.tif: cut off or no raster .*can't decode"):
        read_raster(str(path), lambda source: source.descriptions)


def test_a_local_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tif: no such file"):
        read(str(tmp_path / "none.tif"))


def test_what_isnt_local_is_read_through_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBERS)
    monkeypatch.setattr(storage, "is_local", lambda _: False)
    with open_raster(path) as source:
        np.testing.assert_array_equal(source.read(1), NUMBERS)
    (tmp_path / "cut.tif").write_bytes(Path(path).read_bytes()[:9000])
    with pytest.raises(InputError, match=r"cut\.tif"):
        read(str(tmp_path / "cut.tif"))


@pytest.fixture(scope="module")
def jp2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """As a band of Sentinel-2 at 20 m: several blocks, which OpenJPEG would read in threads."""
    numbers = np.add.outer(np.arange(1500), np.arange(1500)).astype(np.uint16) + 1
    path = tmp_path_factory.mktemp("jp2") / "B11.jp2"
    options = {"QUALITY": 100, "REVERSIBLE": "YES", "BLOCKXSIZE": 512, "BLOCKYSIZE": 512}
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", width=1500, height=1500, count=1, dtype="uint16", crs="EPSG:32640",
        transform=rasterio.Affine(20, 0, 5e5, 0, -20, 27e5), **options,
    ) as target:  # fmt: skip
        target.write(numbers, 1)
    return path, numbers


@pytest.mark.parametrize("how", ["local", "file system", "http", "guarded"])
def test_a_jpeg_2000_of_several_blocks_is_read_whole_or_refused(
    href: str, jp2: tuple[Path, np.ndarray], tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In threads of its own OpenJPEG leaves blocks that it can't read as memory was, and says nothing."""
    path, numbers = jp2
    whole, cut = path.read_bytes(), tmp_path / "cut.jp2"
    cut.write_bytes(whole[: len(whole) // 5])
    if how == "file system":
        monkeypatch.setattr(storage, "is_local", lambda _: False)
    access = Access()
    access.guard = PublicHosts(frozenset({"127.0.0.1"})) if how == "guarded" else None
    is_remote = how in ("http", "guarded")
    window = rasterio.windows.Window(100, 300, 1300, 1100)
    for file, content in ((path, whole), (cut, cut.read_bytes())):
        Files.content = content
        address = href.replace("B11.tif", "B11.jp2") if is_remote else str(file)
        if file == cut:
            with pytest.raises(InputError, match=r"jp2"):
                read_raster(address, lambda source: source.read(1), access)
        else:
            for _ in range(2):
                found = read_raster(address, lambda source: source.read(1, window=window), access)
                np.testing.assert_array_equal(found, numbers[300:1400, 100:1400])


def test_what_gdal_says_of_a_retry_shows_no_signature(href: str, caplog: pytest.LogCaptureFixture) -> None:
    signed = f"{href.split('?')[0]}?sv=2024&sig=TOPSECRET&se=2030"
    Files.faults = [503]
    np.testing.assert_array_equal(read(signed), NUMBERS)
    [told] = [record.getMessage() for record in caplog.records if "503" in record.getMessage()]
    assert "B11.tif?sv=***&sig=***" in told and "Retrying" in told
    assert "TOPSECRET" not in caplog.text and "2030" not in caplog.text
    Files.faults = [503]
    np.testing.assert_array_equal(read(href.split("?")[0]), NUMBERS)
    assert re.search(r"B11\.tif\. Retrying", caplog.text)


SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>reduce your request rate</Message></Error>"


@pytest.mark.parametrize("good_first", [0, 1, 2, 3])
def test_a_bucket_that_is_busy_in_the_middle_of_a_read_is_no_damaged_file(
    href: str, monkeypatch: pytest.MonkeyPatch, good_first: int
) -> None:
    for name, value in {"ENDPOINT_URL": href.split("/scene")[0], "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "s",
                        "DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(Buckets, "retries", 1)
    monkeypatch.setattr(Buckets, "default_block_size", 2**16)  # bytes of a request
    np.testing.assert_array_equal(read("s3://scene/whole/B11.tif"), NUMBERS)
    monkeypatch.setattr(Files, "fault", SLOW_DOWN)
    Files.good_first, Files.faults = good_first, [503] * 200
    with pytest.raises(ServiceError, match=r"s3://scene/B11\.tif: OSError: .*(reduce your request rate|503)") as caught:
        read("s3://scene/B11.tif")
    assert caught.value.is_retryable and Files.good_first == 0
    Files.faults = []
    with pytest.raises(ServiceError, match="OSError"), open_raster("s3://scene/B11.tif") as source:
        Files.faults = [503] * 200
        with contextlib.suppress(RasterioError):  # as a codec may that makes do with what it got
            source.read(1)
    Files.faults = []
    np.testing.assert_array_equal(read("s3://scene/B11.tif"), NUMBERS)
    Files.content = Files.content[:9000]
    with pytest.raises(InputError, match=r"s3://scene/cut/B11\.tif: cut off"):
        read("s3://scene/cut/B11.tif")
