"""Sentinel Hub's asynchronous, batch and BYOC services on loopback, which deliver to a bucket as the service does."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from affine import Affine
from plumewatch import http, storage
from plumewatch.catalogues import hub_client
from plumewatch.rasters.cog import cog_bytes

KEY, SECRET = "delivery-key", "delivery-secret"
COST = 12.5
ASYNC, BATCH, STATISTICS, BYOC = (
    "/api/v1/async/process",
    "/api/v2/batch/process",
    "/api/v1/statistics/batch",
    "/api/v1/byoc",
)


@dataclass
class OrderService:
    """What was asked for, and how far it is; what a test wants of it, it sets here."""

    url: str = ""
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: `api`, `payload`, `status`, and how often it was looked at."""
    looks: int = 2
    """So often a request is looked at until it is done."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by method and kind."""
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By the beginning of a path what it is refused with: status and message."""
    outcome: dict[str, Any] = field(default_factory=lambda: {"status": "DONE"})
    """What a request ends with."""
    results: dict[str, Callable[[str], Any]] = field(default_factory=dict)
    """Of the batch of statistics: by an output of the script, the result of a zone by its identifier."""
    drop_answers: int = 0
    """So many requests are done and not answered: the connection breaks."""
    collections: dict[str, dict[str, Any]] = field(default_factory=dict)
    tiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    tile_outcome: dict[str, Any] = field(default_factory=lambda: {"status": "INGESTED"})

    def settings(self, root: str, **changed: Any) -> Any:
        """Settings with an account of the service, and a storage in a bucket that it is let into."""
        from plumewatch.settings import Settings

        account = {
            "sh_client_id": f"c{self.url}", "sh_client_secret": "s", "sh_base_url": self.url,
            "sh_token_url": f"{self.url}/token", "sh_bucket_access_key": KEY, "sh_bucket_secret_key": SECRET,
        }  # fmt: skip
        return Settings(root, **{**account, **changed})

    def create(self, api: str, payload: dict[str, Any]) -> dict[str, Any]:
        name = str(uuid.uuid4())
        status = "PROCESSING" if api == ASYNC else "CREATED"
        self.requests[name] = {"api": api, "payload": payload, "status": status, "looks": 0, "ended": {}}
        return self.told(name)

    def told(self, name: str) -> dict[str, Any]:
        """As the batch services tell of a request."""
        one = self.requests[name]
        found = {
            "id": name, "request": {}, "domainAccountId": "d", "status": one["status"],
            "created": "2025-08-01T00:00:00Z", "completionPercentage": 100 if one["status"] == "DONE" else 40,
        }  # fmt: skip
        return {**found, **one["ended"]}

    def look(self, name: str) -> None:
        """A request goes on each time it is looked at, and is delivered when it is done."""
        one = self.requests[name]
        if one["status"] != "PROCESSING":
            return
        one["looks"] += 1
        if one["looks"] >= self.looks:
            one["status"], one["ended"] = self.outcome["status"], {"costPU": COST, **self.outcome}
            if self.outcome["status"] == "FAILED" and one["api"] == ASYNC:
                to = one["payload"]["output"]["delivery"]["s3"]["url"]
                storage.write_json(f"{to}/{name}/error.json", {"error": {"message": self.outcome["error"]}})
            if self.outcome["status"] == "DONE":
                self.deliver(name, one["api"], one["payload"])

    def deliver(self, name: str, api: str, payload: dict[str, Any]) -> None:
        if api == STATISTICS:
            to, features = payload["output"]["s3"], payload["input"]["features"]["s3"]
            assert (features["accessKey"], features["secretAccessKey"]) == (to["accessKey"], SECRET)
            script = payload["aggregation"]["evalscript"]
            result = next(make for output, make in self.results.items() if f'id: "{output}"' in script)
            for number, identifier in enumerate(self.zones_of(features["url"]), 1):
                content = {"id": number, "identifier": identifier, **result(identifier)}
                storage.write_json(f"{to['url']}/{name}/{number}.json", content)
            return
        process = payload if api == ASYNC else payload["processRequest"]
        to = process["output"]["delivery"]["s3"] if api == ASYNC else payload["output"]["delivery"]["s3"]
        bands = {f"b{i}": None for i in range(process["evalscript"].count("Math.round"))}
        size = (process["output"]["height"], process["output"]["width"]) if api == ASYNC else (10, 10)
        for tile in [name] if api == ASYNC else ["40RDN_0_0", "40RDN_0_1"]:
            values = {band: np.full(size, 7, np.uint16) for band in bands}
            cog = cog_bytes(
                values, "EPSG:32640", Affine(20, 0, 5e5, 0, -20, 27e5), nodata=0, overview_resampling="AVERAGE"
            )
            storage.write_bytes(f"{to['url']}/{tile}/bands.tif", cog)
            storage.write_bytes(f"{to['url']}/{tile}/dataMask.tif", cog)

    @staticmethod
    def zones_of(path: str) -> list[str]:
        """Identifiers of the GeoPackage that a request names, in its one system."""
        import geopandas

        with storage.local_copy(path) as local:
            frame = geopandas.read_file(local)
        assert frame.crs.is_projected and list(frame.columns) == ["identifier", "geometry"]
        return list(frame["identifier"])


class _Handler(BaseHTTPRequestHandler):
    service: OrderService

    def answer(self) -> None:
        service, parts = self.service, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if parts.path == "/token":
            return self.say(200, {"access_token": "t", "expires_in": 600})
        assert self.headers["Authorization"] == "Bearer t"
        api = next(one for one in (ASYNC, BATCH, STATISTICS, BYOC) if parts.path.startswith(one))
        rest = parts.path.removeprefix(api).strip("/").split("/") if parts.path != api else []
        service.asked[f"{self.command} {api} {len(rest)}"] += 1
        for prefix, (status, message) in service.refused.items():
            if parts.path.startswith(prefix):
                return self.say(status, {"error": {"status": status, "message": message, "code": "COMMON_FORBIDDEN"}})
        payload = json.loads(body) if body else {}
        if api == BYOC:
            return self.byoc(rest, payload, parse_qs(parts.query))
        if self.command == "POST" and not rest:
            made = service.create(api, payload)
            if service.drop_answers:
                service.drop_answers -= 1
                return self.connection.close()
            return self.say(
                200 if api == ASYNC else 201, {"id": made["id"], "status": "RUNNING"} if api == ASYNC else made
            )
        if self.command == "POST":
            assert rest[1] == "start" and service.requests[rest[0]]["status"] in ("CREATED", "STOPPED")
            service.requests[rest[0]] |= {"status": "PROCESSING", "ended": {}}
            return self.say(204, None)
        if rest[0] not in service.requests:
            return self.say(404, {"error": {"status": 404, "message": "Not found", "code": "COMMON_NOT_FOUND"}})
        service.look(rest[0])
        if api == ASYNC and service.requests[rest[0]]["status"] != "PROCESSING":
            return self.say(404, {"error": {"status": 404, "message": "Not found", "code": "COMMON_NOT_FOUND"}})
        return self.say(200, service.told(rest[0]))

    def byoc(self, rest: list[str], payload: dict[str, Any], query: dict[str, list[str]]) -> None:
        service = self.service
        if rest == ["collections"] and self.command == "GET":
            return self.say(200, {"data": list(service.collections.values()), "links": {}})
        if rest == ["collections"]:
            name = str(uuid.uuid4())
            service.collections[name] = {**payload, "id": name}
            return self.say(201, {"data": service.collections[name]})
        if self.command == "GET":
            for tile in service.tiles.values():
                if tile["status"] == "CREATED" and (tile := service.tiles[tile["id"]]):
                    tile["looks"] += 1
                    if tile["looks"] >= service.looks:
                        tile |= service.tile_outcome
            found = [tile for tile in service.tiles.values() if tile["path"] == query["path"][0]]
            return self.say(200, {"data": found, "links": {}})
        if rest[-1] == "reingest":
            service.tiles[rest[-2]] |= {"status": "CREATED", "looks": 0}
            return self.say(204, None)
        name = str(uuid.uuid4())
        service.tiles[name] = {**payload, "id": name, "status": "CREATED", "looks": 0}
        return self.say(201, {"data": service.tiles[name]})

    do_GET = do_POST = do_PUT = answer

    def say(self, status: int, content: Any) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def order_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[OrderService]:
    """The services, served on loopback until the test ends."""
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    monkeypatch.setattr(hub_client, "REQUESTS_PER_S", 1000.0)
    service = OrderService()
    handler = type("Handler", (_Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield service
        server.shutdown()


def write_area(folder: Path) -> None:
    """Write an area of 40 x 30 cells of 20 m."""
    properties = {
        "name": "field",
        "catalogue": "sentinel_hub",
        "bbox": [57.0, 24.4, 57.0076, 24.4052],
        "bands": ["B04", "B08"],
    }
    collection = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": properties, "geometry": None}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "field.geojson").write_text(json.dumps(collection))
