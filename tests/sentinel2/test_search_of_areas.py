"""The search of a day over several areas: each has its own answer, whatever the others get."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import shapely
from plumewatch import http
from plumewatch.catalogues import stac
from plumewatch.sentinel2.day_search import search_day, search_newest
from plumewatch.settings import Settings
from sentinel2_scenes import source_item
from shapely.geometry import mapping, shape
from slow_catalogue import landing_page

DAY = "2025-08-21"
AREAS = ("good", "refused", "cut_off", "page", "slow", "busy", "broken")
PLACES = {name: shapely.box(56.0 + n / 10, 24.3, 56.05 + n / 10, 24.35) for n, name in enumerate(AREAS)}


class Api(BaseHTTPRequestHandler):
    """A STAC API that answers by the place that it is asked for."""

    items: list[dict[str, Any]] = []  # noqa: RUF012
    busy: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.answer(200, json.dumps(landing_page(f"http://{self.headers['Host']}")).encode())

    def do_POST(self) -> None:
        asked = shape(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["intersects"])
        [name] = [name for name, place in PLACES.items() if place.equals(asked)]
        whole = json.dumps({"type": "FeatureCollection", "features": self.items, "links": []}).encode()
        if name == "refused":
            return self.answer(400, b'{"code": "BadRequest", "description": "Invalid GeoJSON geometry"}')
        if name == "page":
            return self.answer(200, b"<html><body>Down for maintenance</body></html>", "text/html")
        if name == "cut_off":
            return self.answer(200, whole, cut=len(whole) // 2)
        if name == "broken":
            return self.answer(500, b"{}")
        if name == "busy" and not self.busy:
            self.busy.append(name)
            return self.answer(429, b"{}", after="1")
        if name == "slow":
            time.sleep(1.0)
        return self.answer(200, whole)

    def answer(
        self, status: int, body: bytes, kind: str = "application/json", after: str = "", cut: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if after:
            self.send_header("Retry-After", after)
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *_: object) -> None: ...


class Server(ThreadingHTTPServer):
    request_queue_size = 64


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    monkeypatch.setattr(http, "PATIENCE_S", 1.0)
    monkeypatch.setattr(stac, "SEARCH_TIMEOUT_S", (2.0, 0.5))
    features = [
        {"type": "Feature", "geometry": mapping(place), "properties": {"name": name, "max_items": 1}}
        for name, place in PLACES.items()
    ]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    Api.busy.clear()
    with Server(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield Settings(str(tmp_path), areas=str(tmp_path / "mine"), stac_api=url)
        server.shutdown()


def scene(sequence: int, cloud: float, at: str = "06:48:12") -> dict[str, Any]:
    tile = f"40R{'CDE'[sequence]}N"
    properties = {"eo:cloud_cover": cloud, "grid:code": f"MGRS-{tile}", "datetime": f"{DAY}T{at}Z"}
    footprint = shapely.box(55.0, 24.0, 57.0, 25.0)
    return source_item({}, f"S2A_{tile}_20250821_0_L2A", footprint=footprint, **properties)


def test_each_area_has_its_own_answer_and_what_can_heal_is_known(settings: Settings) -> None:
    Api.items = [scene(0, 1.0)]
    began = time.monotonic()
    found = search_day(settings, DAY, [])
    assert {s.area for s in found.scenes} == {"good", "busy"} and time.monotonic() - began >= 1.0
    failed = {failure.area: failure for _, failure in found.failed}
    assert set(failed) == set(AREAS) - {"good", "busy"}
    assert "Invalid GeoJSON geometry" in failed["refused"].message and failed["refused"].http_status == 400
    assert found.unanswered == sorted(set(failed) - {"refused"})
    assert "isn't JSON" in failed["page"].message and "500" in failed["broken"].message
    assert "timed out" in failed["slow"].message and "no answer" in failed["cut_off"].message


def test_of_more_than_max_items_a_day_takes_the_clearest_and_newest_the_newest(settings: Settings) -> None:
    Api.items = [scene(0, 1.0, "06:48:12"), scene(1, 30.0, "06:48:27"), scene(2, 60.0, "06:48:20")]
    [clearest] = search_day(settings, DAY, ["good"]).scenes
    assert clearest.scene_id == "S2A_40RCN_20250821_0_L2A"
    newest = search_newest(settings, "2025-08-24", ["good"], look_back_days=10)
    assert [(s.key, s.scene_id) for s in newest.scenes] == [(DAY, "S2A_40RDN_20250821_0_L2A")]
