"""Landsat, Sentinel-2, Sentinel-1 and WorldView on loopback: catalogues of two kinds and rasters of known values."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from landsat_scenes import CLEAR, CLOUD, landsat_item, landsat_numbers, scene_id
from numpy.typing import NDArray
from pyproj import Transformer
from sentinel2_scenes import source_item
from slow_catalogue import JsonHandler, landing_page

EPSG, OTHER_EPSG = 32640, 32639
WEST, NORTH = 500_000.0, 2_700_000.0
AREA = "harbour"
BEFORE, DURING, AFTER = "2025-08-10", "2025-08-20", "2025-08-28"
GRADIENT_M = 20_000.0  # over which planted values go from 0 to 1, eastwards
FOOTPRINT = shapely.box(56.5, 24.0, 57.5, 25.0)
RTC_ID = "S1A_IW_GRDH_1SDV_{0}T021500_{0}T021525_060328_077F7E_rtc"
TO_DEGREES = Transformer.from_crs(f"EPSG:{EPSG}", "EPSG:4326", always_xy=True)


def planted(x: NDArray[Any]) -> NDArray[np.float64]:
    """What every sensor sees at an easting of EPSG:32640: a share from 0 to 1, linear in place."""
    return (np.asarray(x) - (WEST - 4000.0)) / GRADIENT_M


def write_planted(
    path: Path,
    make: Callable[[NDArray[Any]], NDArray[Any]],
    dtype: str,
    nodata: float | None,
    size_m: float,
    epsg: int = EPSG,
    bands: int = 1,
    tie_points: bool = False,
) -> bytes:
    """Write a raster around the area whose pixels are `make(planted value)`, and return the file."""
    to_own = Transformer.from_crs(f"EPSG:{EPSG}", f"EPSG:{epsg}", always_xy=True)
    left, top = to_own.transform(WEST - 1000.0, NORTH + 1000.0)
    left, top = (np.floor(left / size_m) * size_m, np.ceil(top / size_m) * size_m)
    n = int(4000.0 / size_m)
    transform = Affine(size_m, 0.0, left, 0.0, -size_m, top)
    x, y = np.meshgrid(left + (np.arange(n) + 0.5) * size_m, top - (np.arange(n) + 0.5) * size_m)
    easting, _ = to_own.transform(x, y, direction="INVERSE")
    values = make(planted(easting)).astype(dtype)
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": dtype, "count": bands, "height": n, "width": n, "nodata": nodata, "tiled": True,
        "blockxsize": 256, "blockysize": 256, "compress": "deflate",
    }  # fmt: skip
    if tie_points:
        to_degrees = Transformer.from_crs(f"EPSG:{epsg}", "EPSG:4326", always_xy=True)
        profile |= {"crs": "EPSG:4326", "gcps": []}
        for row in np.linspace(0, n, 5):
            for col in np.linspace(0, n, 5):
                place = to_degrees.transform(left + col * size_m, top - row * size_m)
                profile["gcps"].append(rasterio.control.GroundControlPoint(row, col, *place, 0.0))
    else:
        profile |= {"crs": f"EPSG:{epsg}", "transform": transform}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as target:
        for band in range(1, bands + 1):
            target.write(values, band)
    return path.read_bytes()


@dataclass
class SensorServices:
    """What is served, and what was asked for."""

    items: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By collection."""
    files: dict[str, Any] = field(default_factory=dict)
    """Files of the static catalogue by path: JSON, or a status."""
    rasters: dict[str, bytes] = field(default_factory=dict)
    """By the last part of their address."""
    refused: dict[str, int] = field(default_factory=dict)
    """Statuses of addresses that contain a text."""
    moved: dict[str, str] = field(default_factory=dict)
    """Where addresses that contain a text redirect to."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by the last part of their address."""
    url: str = ""
    """Address of the server."""

    def add_optical(self, days: tuple[str, ...] = (BEFORE, DURING, AFTER)) -> None:
        """Add a scene of Landsat and one of Sentinel-2 for each day."""
        for day in days:
            hrefs = {band: f"{self.url}/rasters/landsat_{band}.tif" for band in ("B02", "B04", "B08", "QA_PIXEL")}
            item = landsat_item(hrefs, day, path_row="160043", footprint=FOOTPRINT)
            self._add("landsat-c2-l2", "pc", item)
            hrefs = {band: f"{self.url}/rasters/sentinel2_{band}.tif" for band in ("B02", "B04", "B08", "SCL")}
            name = f"S2A_40RDN_{day.replace('-', '')}_0_L2A"
            self._add("sentinel-2-l2a", "es", source_item(hrefs, name, datetime=f"{day}T06:48:12.123Z"))

    def add_radar(self, days: tuple[str, ...] = (BEFORE, AFTER)) -> None:
        """Add a terrain corrected scene of Sentinel-1, and what it was made of, for each day."""
        for day in days:
            name = RTC_ID.format(day.replace("-", ""))
            for collection, one in (("sentinel-1-rtc", name), ("sentinel-1-grd", name.removesuffix("_rtc"))):
                kind = collection[-3:]
                assets = {"vv": {"href": f"{self.url}/rasters/{kind}_vv.tif"}}
                properties = {
                    "datetime": f"{day}T02:15:12Z", "platform": "SENTINEL-1A", "sat:relative_orbit": 130,
                    "sat:orbit_state": "descending",
                }  # fmt: skip
                self._add(collection, "pc", _item(one, properties, assets))

    def add_worldview(self, day: str = AFTER) -> None:
        """Make the static catalogue: an event at the area with a scene of a day, a dead link, and one far away."""
        item = _item(
            f"40/031133012001/{day}/10300100DD82D200",
            {
                "datetime": f"{day}T07:01:02Z", "platform": "WV02", "utm_zone": 40, "quadkey": "031133012001",
                "tile:clouds_percent": 12, "gsd": 0.5, "catalog_id": "10300100DD82D200",
            },
            {"visual": {"href": "./10300100DD82D200-visual.tif"}},
        )  # fmt: skip
        here, far = list(FOOTPRINT.bounds), [10.0, 40.0, 11.0, 41.0]
        self.files |= {
            "catalog.json": _branch(
                child=["./flood/collection.json", "./gone/collection.json", "./far/collection.json"]
            ),
            "flood/collection.json": _branch(here, child=["./ard/a_collection.json", "./ard/old_collection.json"]),
            "far/collection.json": _branch(far, child=["./never.json"]),
            "flood/ard/a_collection.json": _branch(here, day, item=["../tiles/a.json"]),
            "flood/ard/old_collection.json": _branch(here, "2020-01-01", item=["./never.json"]),
            "flood/tiles/a.json": item,
        }

    def _add(self, collection: str, service: str, item: dict[str, Any]) -> None:
        href = f"{self.url}/{service}/collections/{collection}/items/{item['id']}"
        item = {**item, "collection": collection, "links": [{"rel": "self", "href": href}]}
        self.items.setdefault(collection, []).append(item)

    def found(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer a search by collection and period."""
        first, last = (text[:10] for text in asked["datetime"].split("/"))
        items = self.items.get(asked["collections"][0], ())
        there = [item for item in items if first <= item["properties"]["datetime"][:10] <= last]
        return {"type": "FeatureCollection", "features": there, "links": []}

    def settings(self, root: Path, **changed: Any) -> Any:
        """Settings whose catalogues are these, with one area."""
        from plumewatch.settings import Settings

        write_area(root / "areas")
        services = {"stac_api": "es", "pc_stac_api": "pc", "maxar_catalogue": "maxar/catalog.json"}
        addresses = {name: f"{self.url}/{path}" for name, path in services.items()}
        return Settings(str(root / "storage"), areas=str(root / "areas"), **{**addresses, **changed})


def write_area(folder: Path) -> None:
    """Write the area: 30 x 25 cells of 20 m."""
    corners = [
        (WEST + 205, NORTH - 205),
        (WEST + 795, NORTH - 205),
        (WEST + 795, NORTH - 695),
        (WEST + 205, NORTH - 695),
    ]
    outline = shapely.Polygon([TO_DEGREES.transform(*corner) for corner in corners])
    properties = {"name": AREA, "crs": f"EPSG:{EPSG}"}
    feature = {"type": "Feature", "properties": properties, "geometry": shapely.geometry.mapping(outline)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{AREA}.geojson").write_text(json.dumps(feature))


def _item(name: str, properties: dict[str, Any], assets: dict[str, Any]) -> dict[str, Any]:
    place = {"geometry": shapely.geometry.mapping(FOOTPRINT), "bbox": list(FOOTPRINT.bounds)}
    item = {"type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": name, "links": []}
    return {**item, **place, "properties": properties, "assets": assets}


def _branch(bbox: list[float] | None = None, day: str | None = None, **links: list[str]) -> dict[str, Any]:
    span = [None, None] if day is None else [f"{day}T00:00:00Z", f"{day}T23:59:59Z"]
    extent = {} if bbox is None else {"extent": {"spatial": {"bbox": [bbox]}, "temporal": {"interval": [span]}}}
    named = [{"rel": rel, "href": href} for rel, hrefs in links.items() for href in hrefs]
    return {"type": "Collection", "stac_version": "1.0.0", "id": "a", "description": "-", "links": named, **extent}


class _Handler(JsonHandler):
    services: SensorServices

    def do_GET(self) -> None:
        services, last = self.services, self.path.rsplit("/", 1)[-1]
        services.asked[last] += 1
        if status := next((status for text, status in services.refused.items() if text in self.path), None):
            return self.answer_bytes(status, b"no", "text/plain")
        if place := next((place for text, place in services.moved.items() if text in self.path), None):
            return self.answer_bytes(302, b"", "text/plain", Location=place)
        if last.endswith(".tif"):
            return self.raster(services.rasters[last])
        if self.path.startswith("/maxar/"):
            content = services.files.get(self.path.removeprefix("/maxar/"), 404)
            return self.answer_bytes(404, b"no", "text/plain") if content == 404 else self.answer(content)
        if "/items/" in self.path:
            items = services.items.get(self.path.split("/collections/")[1].split("/")[0], ())
            item = next((item for item in items if item["id"] == last), None)
            return self.answer_bytes(404, b"no", "text/plain") if item is None else self.answer(item)
        return self.answer(landing_page(f"{services.url}{self.path}"))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.answer(self.services.found(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

    def raster(self, content: bytes) -> None:
        asked = self.headers.get("Range")
        if not asked:
            return self.answer_bytes(200, content, "image/tiff")
        first, last = (int(n or len(content)) for n in asked.removeprefix("bytes=").split("-"))
        last = min(last, len(content) - 1)
        where = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return self.answer_bytes(206, content[first : last + 1], "image/tiff", **where)

    def answer_bytes(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@pytest.fixture(scope="session")
def planted_rasters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The rasters of all sensors, written once."""
    folder = tmp_path_factory.mktemp("sensors")

    def write(name: str, *arguments: Any, **named: Any) -> bytes:
        return write_planted(folder / name, *arguments, **named)

    def reflectance(share: NDArray[Any]) -> NDArray[Any]:
        return 0.05 + 0.4 * share

    rasters = {}
    for band in ("B02", "B04", "B08"):
        rasters[f"landsat_{band}.tif"] = write(
            f"l{band}.tif", lambda v: landsat_numbers(reflectance(v)), "uint16", 0, 30.0
        )
        rasters[f"sentinel2_{band}.tif"] = write(
            f"s{band}.tif", lambda v: np.rint(1e4 * reflectance(v)), "uint16", 0, 10.0
        )
    middle = float(planted(np.array(WEST + 500.0)))
    qa = lambda v: np.where(v < middle, CLOUD, CLEAR)  # noqa: E731
    rasters["landsat_QA_PIXEL.tif"] = write("qa.tif", qa, "uint16", 1, 30.0)
    rasters["sentinel2_SCL.tif"] = write("scl.tif", lambda v: np.where(v < middle, 9, 5), "uint8", 0, 20.0)
    rasters["rtc_vv.tif"] = write("rtc.tif", lambda v: 0.01 + v, "float32", -32768.0, 10.0, epsg=OTHER_EPSG)
    rasters["grd_vv.tif"] = write(
        "grd.tif", lambda v: np.rint(100 + 1000 * v), "uint16", None, 10.0, epsg=OTHER_EPSG, tie_points=True
    )
    rasters["10300100DD82D200-visual.tif"] = write("wv.tif", lambda v: np.rint(20 + 200 * v), "uint8", 0, 2.0, bands=3)
    return rasters


@pytest.fixture
def sensor_services(planted_rasters: dict[str, bytes]) -> Iterator[SensorServices]:
    """The services without any scene, served on loopback until the test ends."""
    services = SensorServices(rasters=dict(planted_rasters))
    handler = type("Handler", (_Handler,), {"services": services})
    with _Server(("127.0.0.1", 0), handler) as server:
        services.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield services
        server.shutdown()


LANDSAT_ID = scene_id(BEFORE, path_row="160043")
"""Id of the scene of Landsat before the event."""
