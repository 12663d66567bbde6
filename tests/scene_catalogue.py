"""A catalogue on loopback with many small scenes, of which some fail, each in a way of its own; it counts requests."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from sentinel2_scenes import NORTH, SIZE_M, WEST, source_item, write_raster
from slow_catalogue import landing_page

SHAPE = (60, 64)
AREA = "dune"
PAGE_ITEMS = 100
PAGE = b"<!DOCTYPE html><html><body>We are down for maintenance</body></html>"

KINDS = {
    "missing": ("ServiceError", 404, False),
    "unsigned": ("ServiceError", 403, False),
    "down": ("ServiceError", 500, True),
    "mended": ("ServiceError", 503, True),  # until somebody mends it
    "slow": ("ServiceError", None, True),
    "page": ("ServiceError", None, True),
    "cut_off": ("InputError", None, False),
    "lacks_asset": ("InputError", None, False),
    "contradicts": ("InputError", None, False),
}
"""What may be wrong with a scene, and what is to be said of it: error class, HTTP status, whether it may heal."""


@dataclass
class SceneCatalogue:
    """What is served, and what was asked for."""

    faults: dict[str, str] = field(default_factory=dict)
    """Kind of the fault by scene."""
    scenes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Items by id, without addresses."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests for rasters, by scene."""
    rasters: dict[str, bytes] = field(default_factory=dict)
    """Files by the names of bands, which all scenes have the same, or of scene and band."""
    is_mended: bool = False
    """Whether the scenes of kind `mended` are served by now."""
    slow_s: float = 3.0
    """How long those of kind `slow` take."""
    pause_s: float = 0.0
    """How long each raster takes."""
    url: str = ""
    """Address of the STAC API."""

    def add(self, day: str, number: int, kind: str | None = None) -> str:
        """Add a scene of a day, of the tile and minute that follow from its number; return its id."""
        tile = f"40R{'CDEFGH'[number // 20 % 6]}{'NPQRSTUVWX'[number % 10]}"
        scene_id = f"S2{'AB'[number // 10 % 2]}_{tile}_{day.replace('-', '')}_0_L2A"
        properties: dict[str, Any] = {
            "datetime": f"{day}T06:{number % 60:02d}:12.000Z",
            "platform": f"sentinel-2{scene_id[2].lower()}",
            "grid:code": f"MGRS-{tile}",
            "s2:product_uri": f"S2A_MSIL2A_X_N0511_R020_T{tile}_X.SAFE",
        }
        if kind == "contradicts":  # an offset that no product of this baseline has
            properties |= {"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "03.01"}
            properties["s2:product_uri"] = properties["s2:product_uri"].replace("N0511", "N0301")
        bands = [band for band in ("B11", "B12", "SCL") if not (kind == "lacks_asset" and band == "B11")]
        hrefs = {band: f"assets/{scene_id}/{band}.tif" for band in bands}
        assert scene_id not in self.scenes
        self.scenes[scene_id] = source_item(hrefs, scene_id=scene_id, **properties)
        if kind:
            self.faults[scene_id] = kind
        return scene_id

    def item(self, scene_id: str) -> dict[str, Any]:
        """Return an item with addresses."""
        item = self.scenes[scene_id]
        assets = {key: {**asset, "href": f"{self.url}/{asset['href']}"} for key, asset in item["assets"].items()}
        links = [{"rel": "self", "href": f"{self.url}/items/{scene_id}"}]
        return {**item, "assets": assets, "links": links}

    def found(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer a search by its period, in pages."""
        first, last = (text[:10] for text in asked["datetime"].split("/"))
        ids = [i for i, item in self.scenes.items() if first <= item["properties"]["datetime"][:10] <= last]
        start = int(asked.get("token", 0))
        links = []
        if ids[start + PAGE_ITEMS :]:
            body = {**asked, "token": str(start + PAGE_ITEMS)}
            links = [{"rel": "next", "href": f"{self.url}/search", "method": "POST", "body": body}]
        page = [self.item(i) for i in ids[start : start + PAGE_ITEMS]]
        return {"type": "FeatureCollection", "features": page, "links": links}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    catalogue: SceneCatalogue

    def setup(self) -> None:
        self.disable_nagle_algorithm = True
        super().setup()

    def do_GET(self) -> None:
        if match := re.fullmatch(r"/items/(.*)", self.path):
            return self.answer(200, json.dumps(self.catalogue.item(match[1])).encode(), "application/geo+json")
        if match := re.fullmatch(r"/assets/(.*)/(\w+)\.tif", self.path):
            return self.raster(match[1], match[2])
        return self.answer(200, json.dumps(landing_page(self.catalogue.url)).encode(), "application/json")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200, json.dumps(self.catalogue.found(asked)).encode(), "application/geo+json")

    def raster(self, scene_id: str, band: str) -> None:
        catalogue = self.catalogue
        catalogue.asked[scene_id] += 1
        kind = catalogue.faults.get(scene_id)
        content = (
            catalogue.rasters.get(f"{scene_id}/{band}") or catalogue.rasters["nothing" if kind == "no_data" else band]
        )
        time.sleep(catalogue.pause_s)
        status = {"missing": 404, "unsigned": 403, "down": 500}.get(kind or "")
        if kind == "mended" and not catalogue.is_mended:
            status = 503
        if kind == "busy" and catalogue.asked[scene_id] == 1:  # once, then it is good
            status = 500
        if status:
            return self.answer(status, b"no", "text/plain")
        if kind == "page":
            return self.answer(200, PAGE, "text/html")
        if kind == "slow":
            time.sleep(catalogue.slow_s)
        if kind == "cut_off":
            content = content[: len(content) // 2]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self.answer(200, content, "image/tiff")
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first > last:
            return self.answer(416, b"", "image/tiff")
        where = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return self.answer(206, content[first : last + 1], "image/tiff", **where)

    def answer(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # who asked has lost its patience, or its life

    def log_message(self, *_: object) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of those who ended while they were answered."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def scene_catalogue() -> Iterator[SceneCatalogue]:
    """Serve an empty catalogue on loopback until the block ends."""
    catalogue, rng = SceneCatalogue(), np.random.default_rng(13)
    arrays: dict[str, Any] = {b: rng.integers(1, 9000, SHAPE).astype(np.uint16) for b in ("B11", "B12")}
    arrays |= {"SCL": np.full(SHAPE, 5, np.uint8), "nothing": np.zeros(SHAPE, np.uint16)}
    with tempfile.TemporaryDirectory() as folder:
        for band, array in arrays.items():
            path = write_raster(Path(folder) / f"{band}.tif", array)
            catalogue.rasters[band] = Path(path).read_bytes()
    handler = type("Handler", (_Handler,), {"catalogue": catalogue})
    with _Server(("127.0.0.1", 0), handler) as server:
        catalogue.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield catalogue
        server.shutdown()


def write_area(folder: Path, name: str = AREA, **properties: Any) -> None:
    """Write an area of 20 x 16 cells in the middle of the scenes."""
    from pyproj import Transformer

    to_lonlat = Transformer.from_crs("EPSG:32640", "EPSG:4326", always_xy=True)
    x = [WEST + (col + 0.5) * SIZE_M for col in (20, 39)]
    y = [NORTH - (row + 0.5) * SIZE_M for row in (20, 35)]
    corners = [to_lonlat.transform(*corner) for corner in ((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]))]
    geometry = shapely.geometry.mapping(shapely.Polygon(corners))
    properties = {"name": name, "crs": "EPSG:32640", **properties}
    folder.mkdir(parents=True, exist_ok=True)
    feature = {"type": "Feature", "properties": properties, "geometry": geometry}
    (folder / f"{name}.geojson").write_text(json.dumps(feature))
