"""NASA's archive on loopback: CMR's granule search in UMM-G, and files behind a bearer token with byte ranges."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from plumewatch.oco2.archive.listing import parse_granule
from plumewatch.oco2.archive.versions import collections

TOKEN = "eyJ0eXAi.good-token_1"
LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>Earthdata Login</title></head><body>approve</body></html>"
CONCEPT_IDS = {c.version: c.concept_id for c in collections() if c.sensor == "oco2"}


@dataclass
class StoredObject:
    """One file of the archive, and how its server misbehaves."""

    content: bytes
    version: str
    """Version of its collection."""
    size: dict[str, Any] = field(default_factory=dict)
    """What CMR says of its size and checksum."""
    cuts: list[int] = field(default_factory=list)
    """After so many bytes each further answer breaks off."""
    knows_ranges: bool = True
    redirect: str | None = None
    status: int = 200
    is_page: bool = False


@dataclass
class Archive:
    """What the server holds, and what it was asked."""

    url: str = ""
    objects: dict[str, StoredObject] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers (names in lower case) of each request."""
    max_page: int = 2000
    hidden: int = 0
    """Items that the answers leave out, though CMR-Hits counts them."""
    cmr_answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """Answers that CMR gives before it gives the right one."""

    def add(self, name: str, content: bytes, version: str = "11.2r", **how: Any) -> StoredObject:
        """Put a file into a collection."""
        self.objects[name] = StoredObject(content, version, **how)
        return self.objects[name]

    def downloads(self) -> list[dict[str, str]]:
        """Headers of the requests for files."""
        return [headers for path, headers in self.asked if path.startswith("/data/")]

    def item(self, name: str) -> dict[str, Any]:
        """A file as CMR describes it."""
        stored, day = self.objects[name], parse_granule(name).date
        checksum = {"Value": sha256(stored.content).hexdigest(), "Algorithm": "SHA-256"}
        size = stored.size or {"Name": name, "SizeInBytes": len(stored.content), "Checksum": checksum}
        collection = {"ShortName": "OCO2_L2_Lite_FP", "Version": stored.version}
        return {
            "meta": {"concept-type": "granule", "concept-id": f"G{day:%y%m%d}-GES_DISC", "provider-id": "GES_DISC"},
            "umm": {
                "GranuleUR": f"OCO2_L2_Lite_FP.{stored.version}:{name}",
                "CollectionReference": collection,
                "TemporalExtent": {
                    "RangeDateTime": {
                        "BeginningDateTime": f"{day}T00:00:00.000Z",
                        "EndingDateTime": f"{day}T23:59:59.000Z",
                    }
                },
                "RelatedUrls": [
                    {"URL": f"s3://gesdisc-cumulus-prod-protected/{name}", "Type": "GET DATA"},
                    {"URL": f"{self.url}/data/{name}", "Type": "GET DATA"},
                    {"URL": f"{self.url}/opendap/{name}", "Type": "USE SERVICE API", "Subtype": "OPENDAP DATA"},
                ],
                "DataGranule": {"DayNightFlag": "Day", "ArchiveAndDistributionInformation": [size]},
            },
        }


@contextmanager
def serve_archive() -> Iterator[Archive]:
    """Run an archive on a port of its own until the block ends."""
    archive = Archive()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            archive.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            parts = urlsplit(self.path)
            if parts.path == "/search/granules.umm_json":
                self.search({name: values[0] for name, values in parse_qs(parts.query).items()})
            elif (name := parts.path.removeprefix("/data/")) in archive.objects:
                self.send_file(archive.objects[name])
            else:
                self.answer(404, {}, b"no such file")

        def search(self, query: dict[str, str]) -> None:
            if archive.cmr_answers:
                return self.answer(*archive.cmr_answers.pop(0))
            items = [archive.item(n) for n in sorted(archive.objects) if self.is_asked(n, query)]
            start = int(json.loads(self.headers.get("CMR-Search-After", "[0]"))[0])
            page = items[start : len(items) - archive.hidden][: min(int(query["page_size"]), archive.max_page)]
            more = {"CMR-Search-After": json.dumps([start + len(page), "x"])} if page else {}
            body = json.dumps({"hits": len(items), "took": 1, "items": page}).encode()
            self.answer(200, {"CMR-Hits": str(len(items)), "Content-Type": "application/json", **more}, body)

        def is_asked(self, name: str, query: dict[str, str]) -> bool:
            version = archive.objects[name].version
            asked_for = query.get("collection_concept_id"), query.get("version")
            if asked_for not in ((CONCEPT_IDS[version], None), (None, version)):
                return False
            first, _, last = query.get("temporal", "0,9").partition(",")
            return first[:10] <= str(parse_granule(name).date) <= last[:10] or last == "9"

        def send_file(self, stored: StoredObject) -> None:
            if stored.redirect:
                return self.answer(303, {"Location": stored.redirect}, b"")
            if stored.status != 200:
                return self.answer(stored.status, {}, b"refused")
            if stored.is_page:
                return self.answer(200, {"Content-Type": "text/html"}, LOGIN_PAGE)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}" and "signature" not in self.path:
                return self.answer(401, {"WWW-Authenticate": "Bearer"}, b"who are you")
            self.send_bytes(stored)

        def send_bytes(self, stored: StoredObject) -> None:
            content, tag = stored.content, f'"{md5(stored.content, usedforsecurity=False).hexdigest()}"'
            start, asked = 0, self.headers.get("Range", "")
            if stored.knows_ranges and asked and self.headers.get("If-Range") == tag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start and start >= len(content):
                return self.answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
            ranged = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
            cut = stored.cuts.pop(0) if stored.cuts else len(content)
            self.answer(206 if start else 200, {"ETag": tag, **ranged}, content[start:], cut)

        def answer(self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            if cut is not None and cut < len(body):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    archive.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
