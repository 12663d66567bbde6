"""Files over loopback HTTP as from far away: an answer takes a while, and all that is asked for is counted.

`python distant_files.py FOLDER DELAY_S` serves a folder in a process of its own. A path's first part is ignored, so
that no client has what it asks for in a cache: /3/B11.tif is the file B11.tif.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

COUNTS = "/counts"


class Counter:
    """Requests and bytes of their answers, since they were asked for last."""

    lock = threading.Lock()
    requests = 0
    sent = 0


class Files(BaseHTTPRequestHandler):
    """Files with ranges, on connections that stay open."""

    protocol_version = "HTTP/1.1"
    folder = Path()
    delay_s = 0.0

    def setup(self) -> None:
        """Send small answers at once."""
        self.disable_nagle_algorithm = True
        super().setup()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path == COUNTS:
            with Counter.lock:
                body = json.dumps([Counter.requests, Counter.sent]).encode()
                Counter.requests = Counter.sent = 0
            return self.answer(200, body, {})
        time.sleep(self.delay_s)
        file = self.folder / Path(self.path.split("?")[0]).name
        if not file.is_file():
            return self.count(404, b"none", {})
        size, asked = file.stat().st_size, self.headers.get("Range")
        with file.open("rb") as content:
            if not asked:
                return self.count(200, content.read(), {})
            first, last = (int(n or 0) for n in asked.removeprefix("bytes=").split("-"))
            last = min(last or size, size - 1)
            content.seek(first)
            return self.count(206, content.read(last + 1 - first), {"Content-Range": f"bytes {first}-{last}/{size}"})

    def count(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        with Counter.lock:
            Counter.requests += 1
            Counter.sent += len(body) if self.command == "GET" else 0
        self.answer(status, body, headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Accept-Ranges": "bytes", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def distant_files(folder: Path, delay_s: float) -> Iterator[str]:
    """Serve a folder in another process and yield its address."""
    command = [sys.executable, __file__, str(folder), str(delay_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def take_counts(address: str) -> tuple[int, int]:
    """Return requests and bytes sent since this was asked last."""
    with urlopen(address + COUNTS, timeout=30) as answer:
        requests, sent = json.load(answer)
    return requests, sent


if __name__ == "__main__":
    Files.folder, Files.delay_s = Path(sys.argv[1]), float(sys.argv[2])
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()
