"""A STAC API on loopback whose answers take a stated time each; run as a program it prints its address and serves.

It counts: GET /asked tells of landing pages, searches, connections, and the most requests that began within a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONFORMS = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]


class JsonHandler(BaseHTTPRequestHandler):
    """Answers with JSON, and keeps connections as services do."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def landing_page(url: str) -> dict[str, Any]:
    """What a STAC API says at its address: that it can be searched, and where."""
    search = {"rel": "search", "href": f"{url}/search", "method": "POST", "type": "application/geo+json"}
    catalogue = {"type": "Catalog", "id": "test", "stac_version": "1.0.0", "description": "-", "conformsTo": CONFORMS}
    return {**catalogue, "links": [{"rel": "self", "href": url}, search]}


class SlowCatalogue(JsonHandler):
    """Finds a scene wherever it is asked."""

    answer_s = 0.0
    counts: Counter[str] = Counter()  # noqa: RUF012
    began: list[float] = []  # noqa: RUF012
    lock = threading.Lock()

    def setup(self) -> None:
        with self.lock:
            self.counts["connections"] += 1
        super().setup()

    def count(self, kind: str) -> None:
        with self.lock:
            self.counts[kind] += 1
            self.began.append(time.monotonic())
        time.sleep(self.answer_s)

    def do_GET(self) -> None:
        if self.path == "/asked":
            most = max((sum(0 <= t - first < 1.0 for t in self.began) for first in self.began), default=0)
            self.counts["connections"] -= 1  # this one
            self.answer({**self.counts, "most_in_a_second": most})
            self.counts.clear()
            self.began.clear()
            return
        self.count("landing pages")
        self.answer(landing_page(f"http://{self.headers['Host']}"))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.count("searches")
        day = asked["datetime"][:10]
        item = {
            "type": "Feature", "stac_version": "1.0.0", "id": f"S2A_40RDN_{day.replace('-', '')}_0_L2A", "links": [],
            "collection": asked["collections"][0], "geometry": asked["intersects"], "assets": {},
            "properties": {"datetime": f"{day}T06:48:12Z", "platform": "sentinel-2a", "eo:cloud_cover": 1.0},
        }  # fmt: skip
        self.answer({"type": "FeatureCollection", "features": [item], "links": []})


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 64


@contextmanager
def slow_catalogue(answer_s: float) -> Iterator[str]:
    """Yield the address of a server in a process of its own."""
    command = [sys.executable, str(Path(__file__)), str(answer_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


if __name__ == "__main__":
    SlowCatalogue.answer_s = float(sys.argv[1])
    with Server(("127.0.0.1", 0), SlowCatalogue) as of_process:
        print(f"http://127.0.0.1:{of_process.server_port}", flush=True)
        of_process.serve_forever()
