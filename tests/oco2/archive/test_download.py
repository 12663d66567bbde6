"""Downloads: resumed, checked, and the token shown to nobody else."""

from __future__ import annotations

import gzip
import hashlib
import logging
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from earthdata_archive import TOKEN, Archive, serve_archive
from plumewatch import http
from plumewatch.errors import ConfigurationError, InputError, PlumewatchError, ServiceError
from plumewatch.oco2.archive import download as module
from plumewatch.oco2.archive.download import download_granule
from plumewatch.oco2.archive.earthdata import EarthdataSession
from plumewatch.oco2.archive.file_head import HDF5_MAGIC
from plumewatch.oco2.archive.listing import StatedContent

NAME = "oco2_LtCO2_160831_B11210Ar_240910224028s.nc4"
CONTENT = HDF5_MAGIC + bytes(range(256)) * 16_000  # 4 MB


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    monkeypatch.setattr(module, "BACKOFF_S", 0.0)
    with serve_archive() as served:
        yield served


def fetch(archive: Archive, folder: Path, stated: StatedContent | None = None, token: str = TOKEN) -> Path:
    with EarthdataSession(token, archive.url) as session:
        return download_granule(session, f"{archive.url}/data/{NAME}", folder / NAME, stated)


def ranges(archive: Archive) -> list[str | None]:
    return [headers.get("range") for headers in archive.downloads()]


def test_a_file_comes_whole_and_is_left_the_second_time(archive: Archive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT)
    exact = StatedContent(len(CONTENT), len(CONTENT), "sha256", hashlib.sha256(CONTENT).hexdigest())
    assert fetch(archive, tmp_path, exact).read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    fetch(archive, tmp_path)
    assert ranges(archive) == [None]


def test_a_broken_transfer_goes_on_where_it_broke(archive: Archive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT, cuts=[1_500_000, 1_000_000])
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    first, second, third = ranges(archive)
    assert first is None and second is not None and third is not None
    assert 1_400_000 < int(second[6:-1]) <= 1_500_000 and 2_300_000 < int(third[6:-1]) <= 2_500_000


def test_one_that_breaks_again_and_again_can_be_tried_later_and_goes_on(archive: Archive, tmp_path: Path) -> None:
    stored = archive.add(NAME, CONTENT, cuts=[1_100_000, 0, 0, 0])
    with pytest.raises(ServiceError, match="broken off 4 times") as caught:
        fetch(archive, tmp_path)
    assert caught.value.is_retryable and not (tmp_path / NAME).exists() and stored.cuts == []
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert ranges(archive)[-1] is not None


def test_a_killed_process_leaves_a_part_that_the_next_goes_on_with(archive: Archive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT, cuts=[2_200_000])
    script = f"""
        import signal
        from pathlib import Path
        from plumewatch.oco2.archive import download as module
        from plumewatch.oco2.archive.earthdata import EarthdataSession
        module.time.sleep = lambda _: (print("broken off", flush=True), signal.pause())
        session = EarthdataSession({TOKEN!r}, {archive.url!r})
        module.download_granule(session, "{archive.url}/data/{NAME}", Path({str(tmp_path)!r}) / {NAME!r})
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None and process.stdout.readline() == b"broken off\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / NAME).exists()
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert len(ranges(archive)) == 2 and int(str(ranges(archive)[1])[6:-1]) > 2_000_000


def leave_a_part(archive: Archive, tmp_path: Path, n_bytes: int, validator: str | None = None) -> None:
    folder = tmp_path / f"{NAME}.download"
    folder.mkdir()
    (folder / "part").write_bytes(CONTENT[:n_bytes])
    tag = f'"{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"'
    (folder / "validator").write_text(validator or tag)


def test_a_part_that_is_whole_already_needs_no_byte(archive: Archive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT)
    leave_a_part(archive, tmp_path, len(CONTENT))
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert ranges(archive) == [f"bytes={len(CONTENT)}-"]


def test_an_object_that_has_changed_is_fetched_anew(archive: Archive, tmp_path: Path) -> None:
    newer = HDF5_MAGIC + b"new" * 600_000
    archive.add(NAME, newer)
    leave_a_part(archive, tmp_path, 1_000_000)
    assert fetch(archive, tmp_path).read_bytes() == newer


def test_a_part_longer_than_the_object_is_thrown_away(archive: Archive, tmp_path: Path) -> None:
    tag = f'"{hashlib.md5(CONTENT[:1000], usedforsecurity=False).hexdigest()}"'
    archive.add(NAME, CONTENT[:1000])
    leave_a_part(archive, tmp_path, 5000, tag)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT[:1000]


def test_a_server_without_ranges_begins_anew(archive: Archive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT, cuts=[1_500_000], knows_ranges=False)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


def test_a_part_without_its_validator_is_not_trusted(archive: Archive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT)
    leave_a_part(archive, tmp_path, 1000)
    (tmp_path / f"{NAME}.download" / "validator").unlink()
    (tmp_path / f"{NAME}.download" / "part").write_bytes(b"something else")
    assert fetch(archive, tmp_path).read_bytes() == CONTENT and ranges(archive) == [None]


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (StatedContent(len(CONTENT) + 1, len(CONTENT) + 1), "4096008 bytes; the catalogue states 4096009 to 4096009"),
        (StatedContent(0, len(CONTENT), "md5", "0" * 32), "the catalogue states 0000"),
    ],
)
def test_another_size_or_checksum_is_refused(
    archive: Archive, tmp_path: Path, stated: StatedContent, message: str
) -> None:
    archive.add(NAME, CONTENT)
    with pytest.raises(ServiceError, match=message) as caught:
        fetch(archive, tmp_path, stated)
    assert caught.value.is_retryable and not (tmp_path / NAME).exists()
    assert fetch(archive, tmp_path).read_bytes() == CONTENT and ranges(archive) == [None, None]


def test_a_page_with_status_200_says_what_to_approve(archive: Archive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT, is_page=True)
    with pytest.raises(InputError, match=r"an HTML page \(Earthdata Login\).*NASA GESDISC DATA ARCHIVE") as caught:
        fetch(archive, tmp_path)
    assert not caught.value.is_retryable and list(tmp_path.iterdir()) == [] and len(archive.downloads()) == 1
    archive.add(NAME, CONTENT)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(("content", "found"), [(b"", "an empty answer"), (b"\x1f\x8bgzip", "a file that begins with")])
def test_what_is_no_hdf5_is_refused(archive: Archive, tmp_path: Path, content: bytes, found: str) -> None:
    archive.add(NAME, content)
    with pytest.raises(PlumewatchError, match=found):
        fetch(archive, tmp_path)


@pytest.mark.parametrize(
    ("status", "message", "is_retryable"),
    [
        (401, "EARTHDATA_TOKEN is refused", False),
        (403, "may not have this file.*NASA GESDISC DATA ARCHIVE", False),
        (404, "HTTP 404", False),
        (500, "HTTP 500", True),
    ],
)
def test_a_refusal_is_clear(archive: Archive, tmp_path: Path, status: int, message: str, is_retryable: bool) -> None:
    archive.add(NAME, CONTENT, status=status)
    with pytest.raises(ServiceError, match=message) as caught:
        fetch(archive, tmp_path)
    assert (caught.value.http_status, caught.value.is_retryable) == (status, is_retryable)


def test_a_wrong_token_is_refused_and_never_shown(
    archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive.add(NAME, CONTENT)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ServiceError) as caught:
        fetch(archive, tmp_path, token="wrong-token")
    assert caught.value.http_status == 401
    assert "wrong-token" not in str(caught.value) + caplog.text
    with pytest.raises(ConfigurationError) as bad:
        EarthdataSession("two words")
    assert "two words" not in str(bad.value)


def test_the_token_stays_with_nasa_over_redirects(archive: Archive, tmp_path: Path) -> None:
    with serve_archive() as store:  # another port: another origin
        store.add(NAME, CONTENT)
        archive.add(NAME, CONTENT, redirect=f"{store.url}/data/{NAME}?signature=abc")
        store.objects[NAME].cuts = [1_500_000]
        assert fetch(archive, tmp_path).read_bytes() == CONTENT
        assert [headers["authorization"] for headers in archive.downloads()] == [f"Bearer {TOKEN}"] * 2
        assert len(store.downloads()) == 2 and all("authorization" not in h for h in store.downloads())
        assert "range" in store.downloads()[1]


def test_the_token_goes_on_to_another_of_the_trusted_hosts(archive: Archive, tmp_path: Path) -> None:
    other = "oco2_LtCO2_160830_B11210Ar_240910224028s.nc4"
    archive.add(other, CONTENT)
    archive.add(NAME, CONTENT, redirect=f"{archive.url}/data/{other}")
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("url", "is_trusted"),
    [
        ("https://data.gesdisc.earthdata.nasa.gov/data/x.nc4", True),
        ("https://urs.earthdata.nasa.gov/oauth/authorize", True),
        ("http://data.gesdisc.earthdata.nasa.gov/data/x.nc4", False),
        ("https://nasa.gov.evil.example/x", False),
        ("https://evilnasa.gov/x", False),
        ("https://d1.cloudfront.net/x?Signature=1", False),
        ("https://user@evil.example/nasa.gov", False),
        ("http://127.0.0.1:8080/x", True),
        ("http://127.0.0.1:8081/x", False),
    ],
)
def test_who_is_trusted(url: str, is_trusted: bool) -> None:
    assert EarthdataSession(TOKEN, "http://127.0.0.1:8080").is_trusted(url) is is_trusted


def test_a_netrc_is_not_looked_at(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    archive.add(NAME, CONTENT)
    fetch(archive, tmp_path)
    assert [h["authorization"] for h in archive.downloads()] == [f"Bearer {TOKEN}"]


@contextmanager
def serve(pieces: Iterable[bytes], **headers: str) -> Iterator[str]:
    """A server that sends pieces, each in a packet of its own, and never says how many there will be."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                for piece in pieces:
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{NAME}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_body_that_is_longer_than_stated_is_stopped(tmp_path: Path) -> None:
    sent: list[int] = []

    def pieces() -> Iterator[bytes]:
        for n in range(2_000):  # 200 MB where nobody stops it
            sent.append(n)
            yield CONTENT[:100_000]

    with (
        serve(pieces()) as url,
        EarthdataSession() as session,
        pytest.raises(ServiceError, match="more than the 300000 bytes that the file may have"),
    ):
        download_granule(session, url, tmp_path / NAME, StatedContent(1, 300_000))
    assert len(sent) < 1_500 and list(tmp_path.iterdir()) == []


def test_a_body_of_no_stated_length_ends_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 500_000, raising=False)
    with (
        serve([CONTENT[:100_000]] * 10) as url,
        EarthdataSession() as session,
        pytest.raises(ServiceError, match="more than the 500000 bytes"),
    ):
        download_granule(session, url, tmp_path / NAME)


def test_a_file_whose_first_bytes_come_one_by_one_is_one(tmp_path: Path) -> None:
    pieces = [*(CONTENT[n : n + 1] for n in range(20)), CONTENT[20:10_000]]
    with serve(pieces) as url, EarthdataSession() as session:
        assert download_granule(session, url, tmp_path / NAME).read_bytes() == CONTENT[:10_000]


def test_an_encoding_that_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    with (
        serve([gzip.compress(CONTENT)], **{"Content-Encoding": "gzip"}) as url,
        EarthdataSession() as session,
        pytest.raises(ServiceError, match="sent in the encoding gzip"),
    ):
        download_granule(session, url, tmp_path / NAME)


def test_a_file_that_is_there_is_compared_too(archive: Archive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT)
    (tmp_path / NAME).write_bytes(b"put there by somebody else")
    assert fetch(archive, tmp_path, StatedContent(len(CONTENT), len(CONTENT))).read_bytes() == CONTENT
