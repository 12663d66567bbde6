"""A bucket that isn't there or may not be used is named, with what was tried and what to do, whatever is asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.compute as pc
import pytest
from plumewatch import storage
from plumewatch.errors import InputError, may_heal
from plumewatch.oco2.archive.listing import read_listing
from plumewatch.tables import SOURCES
from plumewatch.wind.layouts import list_wind_files
from stored_rows import sources

KEYS = {"inventory": "x"}


class Refusing(BaseHTTPRequestHandler):
    """Answers whatever it is asked with one status and one code."""

    protocol_version = "HTTP/1.1"  # which knows Expect: 100-continue
    status, code = 403, "AccessDenied"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f"<Error><Code>{self.code}</Code><Message>as asked</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """Let an S3 server refuse everything in one way."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    settings = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in (settings | keys).items():
        monkeypatch.setenv(name, value)

    def answer(status: int, code: str) -> None:
        monkeypatch.setattr(Refusing, "status", status)
        monkeypatch.setattr(Refusing, "code", code)

    yield answer
    server.shutdown()
    server.server_close()


def _upload(path: str, folder: Path) -> None:
    (folder / "x").write_text("x")
    storage.upload(folder / "x", path)


def _copy(path: str) -> None:
    with storage.local_copy(path):
        pass


ASKED: dict[str, Callable[[str, Path], object]] = {
    "listing": lambda path, _: storage.list_files(path),
    "listing partitions": lambda path, _: storage.list_partitions(SOURCES, path),
    "whether it is there": lambda path, _: storage.exists(path),
    "when it was written": lambda path, _: storage.modified_at(path),
    "a table": lambda path, _: storage.read_table(SOURCES, path),
    "granules": lambda path, _: read_listing(path),
    "removing": lambda path, _: storage.delete(path),
    "reading": lambda path, _: storage.read_bytes(f"{path}/x"),
    "a manifest": lambda path, _: storage.read_manifest(path),
    "a copy": lambda path, _: _copy(f"{path}/x"),
    "writing": lambda path, _: storage.write_bytes(f"{path}/x", b"x"),
    "bringing a file": lambda path, folder: _upload(f"{path}/x", folder),
    "a partition": lambda path, _: storage.write_partition(SOURCES, path, KEYS, sources("a")),
    "its own rows": lambda path, _: storage.replace_rows(
        SOURCES, path, KEYS, sources("a"), lambda rows: pc.is_valid(rows["name"])
    ),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_bucket_that_is_not_there_is_no_empty_one(
    asked: str, refuse: Callable[[int, str], None], tmp_path: Path
) -> None:
    refuse(404, "NoSuchBucket")
    with pytest.raises(InputError, match=r"s3://absent/t.*: no bucket 'absent' \(\w+ing( at)? it: NoSuchBucket\)") as e:
        ASKED[asked]("s3://absent/t", tmp_path)
    assert "make it, or correct the address, AWS_ENDPOINT_URL" in str(e.value) and not may_heal(e.value)


@pytest.mark.parametrize(
    ("asked", "code"),
    [("listing", "AccessDenied"), ("a table", "InvalidAccessKeyId"), ("reading", "AccessDenied"),
     ("writing", "SignatureDoesNotMatch"), ("its own rows", "ExpiredToken"), ("writing", "403")],
)  # fmt: skip
def test_a_bucket_without_access_is_no_empty_one(
    asked: str, code: str, refuse: Callable[[int, str], None], tmp_path: Path
) -> None:
    refuse(403, code)
    with pytest.raises(PermissionError, match=r"s3://mine/t.*: no access to bucket 'mine' \(\w+ing( at)? it: ") as e:
        ASKED[asked]("s3://mine/t", tmp_path)
    assert re.search(rf"{code}|403", str(e.value)) and "allowed: keys that may list, read and write" in str(e.value)
    assert not may_heal(e.value)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (409, "OperationAborted", "OperationAborted: as asked"),
        (400, "AuthorizationHeaderMalformed", "AuthorizationHeaderMalformed.*AWS_REGION"),
        (400, "InvalidBucketName", "InvalidBucketName: as asked"),
        (418, "Teapot", "Teapot: as asked"),
    ],
)
def test_other_refusals_name_the_bucket(status: int, code: str, says: str, refuse: Callable[[int, str], None]) -> None:
    refuse(status, code)
    with pytest.raises(OSError, match=rf"s3://mine/t/x: bucket 'mine' refused \(writing it: {says}"):
        storage.write_bytes("s3://mine/t/x", b"x")
    with pytest.raises(OSError, match=rf"s3://mine/t/x: bucket 'mine' refused \(reading it: {says}"):
        storage.read_bytes("s3://mine/t/x")


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchBucket"), (403, "AccessDenied")])
@pytest.mark.parametrize("path", ["s3://mine", "s3://mine/prefix"])
def test_a_whole_bucket_is_asked_too(path: str, status: int, code: str, refuse: Callable[[int, str], None]) -> None:
    refuse(status, code)
    for ask in (storage.exists, storage.list_files, lambda path: storage.list_partitions(SOURCES, path)):
        with pytest.raises((InputError, PermissionError), match=r"s3://mine.*'mine' \(listing|looking at it"):
            ask(path)


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchBucket"), (403, "AccessDenied")])
def test_wind_in_such_a_bucket_is_told(status: int, code: str, refuse: Callable[[int, str], None]) -> None:
    refuse(status, code)
    told: list[tuple[str, str]] = []
    assert list_wind_files("s3://mine/wind", [], lambda error, asset: told.append((str(error), asset))) == []
    assert [asset for _, asset in told] == ["s3://mine/wind"] and "bucket 'mine'" in told[0][0]
