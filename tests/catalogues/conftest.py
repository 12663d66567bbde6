"""Lets the tests import `service_hosts`, and puts a proxy on loopback in front of all hosts, over real HTTP."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from plumewatch import http

sys.path.insert(0, str(Path(__file__).parent))

from service_hosts import Hosts


class Server(ThreadingHTTPServer):
    """Takes as many connections at once as bands are read side by side."""

    request_queue_size = 64


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Hosts of the world, all behind a proxy on loopback that requests and GDAL find in the environment."""
    found = Hosts()

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            url = urlsplit(self.path)
            status, body, headers = found.answers[str(url.hostname)](url, self)
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET
        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    with Server(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        yield found
        server.shutdown()
