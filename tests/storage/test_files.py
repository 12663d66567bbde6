"""Files: writes that fail, schemes and buckets that cannot be used."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from plumewatch import storage
from plumewatch.errors import ConfigurationError
from plumewatch.tables import SOURCES


def test_a_failed_write_leaves_the_former_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"
    storage.write_json(str(file), {"a": 1})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        storage.write_json(str(file), {"a": 2})
    monkeypatch.undo()
    assert json.loads(file.read_text()) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_scheme_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'gs'"):
        storage.exists("gs://bucket/x")


def test_a_bucket_that_may_not_be_listed_is_no_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    settings = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in (settings | keys).items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3").clear_instance_cache()
    try:
        for path in ("s3://bucket", "s3://bucket/prefix"):
            with pytest.raises(PermissionError, match="no access"):
                storage.list_files(path)
            with pytest.raises(PermissionError, match="no access"):
                storage.list_partitions(SOURCES, path)
    finally:
        server.shutdown()
        server.server_close()
        fsspec.filesystem("s3").clear_instance_cache()
