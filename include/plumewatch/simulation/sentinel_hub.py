"""A Sentinel Hub of the simulated world: its token endpoint, Catalog and Process API, in the service's own formats.

It renders the world's GeoTIFFs where, how large and in what projection it is asked to, by the evalscript it is given:
what `setup()` names, made of what `evaluatePixel()` returns as far as that is a band, a number times a band, or either
rounded. All else is refused as the service refuses a script that fails. It is stricter than the service in nothing.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import tarfile
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from shapely.geometry import box, mapping, shape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from plumewatch.errors import InputError
from plumewatch.sentinel2.evalscript import Evalscript, read_script
from plumewatch.simulation.stac_catalogue import COLLECTION, product_name

CLIENT_ID, CLIENT_SECRET = "simulated-client", "simulated-secret"
"""The one account; made up as all else."""
HUB_PATH = "/sentinel_hub"
"""Where the simulated world's server has it."""
CATALOG, TOKEN, PROCESS = "/api/v1/catalog/1.0.0", "/oauth/token", "/api/v1/process"
TOKEN_LIFE_S = 600  # as on the Copernicus Data Space
MOST_PX, MOST_M_PER_PX = 2500, 1500.0
DN_PER_REFLECTANCE = 10000.0
ASSETS = {"B11": "swir16", "B12": "swir22", "SCL": "scl", "CLD": "cloud"}
REFLECTANCE = ("B11", "B12")
ANGLES = {
    "sunZenithAngles": lambda stated: 90.0 - stated["view:sun_elevation"],
    "sunAzimuthAngles": lambda stated: stated["view:sun_azimuth"],
    "viewZenithMean": lambda stated: stated["view:incidence_angle"],
    "viewAzimuthMean": lambda stated: stated["view:azimuth"],
}
TYPES = {"UINT8": "uint8", "UINT16": "uint16", "FLOAT32": "float32", "AUTO": "uint8"}
RESAMPLING = {"NEAREST": Resampling.nearest, "BILINEAR": Resampling.bilinear, "BICUBIC": Resampling.cubic}
RETURNED = re.compile(r"(\w+)\s*:\s*\[([^\]]*)\]")
TERM = re.compile(r"(?P<round>Math\.round\()?\s*(?:(?P<factor>\d+(?:\.\d+)?)\s*\*\s*)?\w+\.(?P<band>\w+)\s*\)?")
QUOTA = ("ACCESS_INSUFFICIENT_PROCESSING_UNITS", "Insufficient processing units or requests available in your account.")
REASONS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}


class Refused(Exception):
    """A request that the service answers with an error."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers

    def answer(self) -> Response:
        """Return the error as the service words it."""
        reason = REASONS.get(self.status, "Internal Server Error")
        error = {"status": self.status, "reason": reason, "message": str(self), "code": self.code}
        return JSONResponse({"error": error}, self.status, headers=self.headers)


@dataclass
class Hub:
    """The service and its state; what a test wants of it, it sets here."""

    folder: Path
    """Of the simulated world."""
    token_life_s: float = TOKEN_LIFE_S
    """How long a token lives."""
    units_left: float = float("inf")
    """Processing units that the account has left this month."""
    faults: deque[tuple[str, Any]] = field(default_factory=deque)
    """What goes wrong with the next requests of the Process API, one each: see `_faulty`."""
    seen: list[tuple[str, Any]] = field(default_factory=list)
    """Path and body of each request so far."""
    tokens: dict[str, float] = field(default_factory=dict)
    """Tokens and when they end, seconds since 1970."""

    @cached_property
    def scenes(self) -> dict[str, tuple[dict[str, Any], Path]]:
        """Items of the world's catalogue and their folders, by the name of their product, in order of time."""
        found = {}
        for file in (self.folder / "catalogue" / COLLECTION).glob("*/*.json"):
            item = json.loads(file.read_text())
            found[product_name(item)] = item, file.parent
        return dict(sorted(found.items(), key=lambda scene: scene[1][0]["properties"]["datetime"]))

    def check_token(self, request: Request) -> None:
        """Refuse a request without a token that is good now."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0.0) <= time.time():
            raise Refused(401, "COMMON_UNAUTHORIZED", "You are not authorized! Your OAuth token is missing or expired.")


def make_hub_app(hub: Hub) -> Starlette:
    """Return the web application of a hub; who mounts it below a path makes that a part of SH_BASE_URL."""

    async def token(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            told = "Invalid client or Invalid client credentials"
            return JSONResponse({"error": "invalid_client", "error_description": told}, 401)
        new = secrets.token_urlsafe(24)
        hub.tokens[new] = time.time() + hub.token_life_s
        return JSONResponse({"access_token": new, "expires_in": hub.token_life_s, "token_type": "Bearer"})

    async def search(request: Request) -> Response:
        body = await _body(hub, request)
        found = [item for item in _items(hub, str(request.base_url)) if _is_asked_for(item, body)]
        first, limit = int(body.get("next", 0)), int(body.get("limit", 10))
        page = found[first : first + limit]
        context: dict[str, int] = {"limit": limit, "returned": len(page)}
        if first + limit < len(found):
            context["next"] = first + limit
        return JSONResponse({"type": "FeatureCollection", "features": page, "links": [], "context": context})

    async def one_item(request: Request) -> Response:
        hub.check_token(request)
        for item in _items(hub, str(request.base_url)):
            if item["id"] == request.path_params["id"]:
                return JSONResponse(item)
        raise Refused(404, "COMMON_NOT_FOUND", f"Item {request.path_params['id']} not found")

    async def collection(request: Request) -> Response:
        hub.check_token(request)
        return JSONResponse({"type": "Collection", "stac_version": "1.0.0", "id": COLLECTION})

    async def process(request: Request) -> Response:
        body = await _body(hub, request)
        fault = hub.faults.popleft() if hub.faults else ("", None)
        return await run_in_threadpool(_faulty, hub, body, request.headers.get("Accept", ""), *fault)

    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return error.answer()

    routes = [
        Route(TOKEN, token, methods=["POST"]),
        Route(f"{CATALOG}/search", search, methods=["POST"]),
        Route(f"{CATALOG}/collections/{COLLECTION}", collection),
        Route(f"{CATALOG}/collections/{COLLECTION}/items/{{id}}", one_item),
        Route(PROCESS, process, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={Refused: refuse})


async def _body(hub: Hub, request: Request) -> dict[str, Any]:
    hub.check_token(request)
    body = json.loads(await request.body())
    hub.seen.append((request.url.path, body))
    return dict(body)


def _items(hub: Hub, base_url: str) -> list[dict[str, Any]]:
    """All items as the Catalog words them, the newest first."""
    return [_catalog_item(name, item, base_url.rstrip("/")) for name, (item, _) in reversed(hub.scenes.items())]


def _catalog_item(name: str, item: dict[str, Any], base_url: str) -> dict[str, Any]:
    stated, placed = item["properties"], next(iter(item["assets"].values()))
    size_m, _, west, _, _, north = placed["proj:transform"]
    height, width = placed["proj:shape"]
    tile = [west, north - height * size_m, west + width * size_m, north]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC::CRS84"}}
    collection = f"{base_url}{CATALOG}/collections/{COLLECTION}"
    links = {"self": f"{collection}/items/{name}", "parent": collection, "collection": collection}
    return {
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/eo/v1.0.0/schema.json"],
        "id": name,
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "crs": crs, "coordinates": [item["geometry"]["coordinates"]]},
        "bbox": item["bbox"],
        "properties": {
            "datetime": stated["datetime"][:19] + "Z",  # whole seconds
            "platform": stated["platform"],
            "instruments": ["msi"],
            "constellation": "sentinel-2",
            "gsd": 10,
            "eo:cloud_cover": round(stated["eo:cloud_cover"], 2),
            "proj:epsg": stated["proj:epsg"],
            "proj:bbox": tile,
            "proj:geometry": mapping(box(*tile)),
        },
        "assets": {"data": {"href": f"s3://eodata/{name}.SAFE", "title": "s3", "type": "inode/directory"}},
        "collection": COLLECTION,
        "links": [{"rel": rel, "href": href, "type": "application/json"} for rel, href in links.items()],
    }


def _is_asked_for(item: dict[str, Any], body: dict[str, Any]) -> bool:
    first, last = map(_moment, body["datetime"].split("/"))
    if body.get("collections") != [COLLECTION] or not first <= _moment(item["properties"]["datetime"]) <= last:
        return False
    place = shape(body["intersects"]) if "intersects" in body else box(*body["bbox"])
    return bool(shape(item["geometry"]).intersects(place))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _faulty(hub: Hub, body: dict[str, Any], accept: str, fault: str, detail: Any) -> Response:
    """Answer a request of the Process API, with a fault if one is wanted.

    `too_many` (milliseconds to wait), `error` (status), `slow` (seconds), `html`, `error_body` (status 200 all the
    same), `cut` (bytes that are left of the TAR), `raster` (what is made of each raster: an array in, an array out),
    `withdrawn` (all tokens).
    """
    if fault == "too_many":
        raise Refused(429, "RATE_LIMIT_EXCEEDED", "You have exceeded your rate limit", {"Retry-After": str(detail)})
    if fault == "error":
        raise Refused(int(detail), "RENDERER_EXCEPTION", "Something went wrong")
    if fault == "html":
        return Response("<html><body>Maintenance</body></html>", media_type="text/html")
    if fault == "error_body":
        return JSONResponse({"error": {"status": 400, "message": "Illegal request", "code": "COMMON_BAD_PAYLOAD"}})
    if fault == "withdrawn":
        hub.tokens.clear()
        raise Refused(401, "COMMON_UNAUTHORIZED", "You are not authorized!")
    if fault == "slow":
        time.sleep(float(detail))
    content, units = _processed(hub, body, accept, detail if fault == "raster" else None)
    if fault == "cut":
        content = content[: int(detail)]
    headers = {"X-ProcessingUnits-Spent": f"{units:.6f}"}
    return Response(content, media_type="application/x-tar", headers=headers)


def _processed(hub: Hub, body: dict[str, Any], accept: str, change: Any = None) -> tuple[bytes, float]:
    """Return the TAR of rasters that a request asks for, and what it costs."""
    try:
        script = read_script("evalscript", body["evalscript"])
    except InputError as error:
        raise Refused(400, "RENDERER_EXCEPTION", str(error)) from error
    width, height = int(body["output"]["width"]), int(body["output"]["height"])
    bounds, epsg = body["input"]["bounds"]["bbox"], int(body["input"]["bounds"]["properties"]["crs"].rsplit("/", 1)[1])
    metres = max((bounds[2] - bounds[0]) / width, (bounds[3] - bounds[1]) / height)
    if max(width, height) > MOST_PX or metres > MOST_M_PER_PX:
        told = f"{width} x {height} px of {metres:g} m; at most {MOST_PX} px a side, {MOST_M_PER_PX:g} m per pixel"
        raise Refused(400, "COMMON_BAD_PAYLOAD", told)
    wanted = [response["identifier"] for response in body["output"]["responses"]]
    if len(wanted) > 1 and "tar" not in accept:
        raise Refused(400, "COMMON_BAD_PAYLOAD", "several responses need Accept: application/tar")
    units = max(width * height / 512**2, 0.01) * len(set(script.inputs) - {"dataMask"}) / 3
    units = max(units * (2 if any(o.sample_type == "FLOAT32" for o in script.outputs) else 1), 0.005)
    if units > hub.units_left:
        raise Refused(403, *QUOTA)
    place = {"crs": f"EPSG:{epsg}", "transform": from_bounds(*bounds, width, height), "width": width, "height": height}
    samples = _samples(hub, body["input"]["data"][0], script, place)
    outputs = {output.name: output for output in script.outputs}
    terms = dict(RETURNED.findall(body["evalscript"][body["evalscript"].index("evaluatePixel") :]))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in wanted:
            if name not in outputs or name not in terms:
                raise Refused(400, "RENDERER_EXCEPTION", f"Output {name} requested but missing from function setup()")
            raster = np.stack([_evaluated(term, samples) for term in terms[name].split(",")])
            if len(raster) != outputs[name].n_bands:
                raise Refused(400, "RENDERER_EXCEPTION", f"Output {name} requires {outputs[name].n_bands} components")
            raster = raster.astype(TYPES[outputs[name].sample_type])
            content = _geotiff(raster if change is None else change(raster), place)
            member = tarfile.TarInfo(f"{name}.tif")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    hub.units_left -= units
    return packed.getvalue(), units


def _samples(hub: Hub, data: dict[str, Any], script: Evalscript, place: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Return each input band where the request wants it: of the newest scene of its time that shows anything there."""
    first, last = (_moment(data["dataFilter"]["timeRange"][name]) for name in ("from", "to"))
    processing = data.get("processing", {})
    shape_px = place["height"], place["width"]
    samples = {band: np.zeros(shape_px) for band in script.inputs}
    for item, folder in hub.scenes.values():
        if data["type"] != COLLECTION or not first <= _moment(item["properties"]["datetime"]) <= last:
            continue
        is_seen = _warped(item, folder, "SCL", place, {}) != 0
        for band in script.inputs:
            if band == "dataMask":
                values: NDArray[Any] = is_seen.astype(float)
            elif band in ANGLES:
                values = np.full(shape_px, ANGLES[band](item["properties"]))
            elif band in ASSETS:
                values = _warped(item, folder, band, place, processing)
                values = values / DN_PER_REFLECTANCE if band in REFLECTANCE else values
            else:
                raise Refused(400, "RENDERER_EXCEPTION", f"the simulated world has no band {band}")
            samples[band] = np.where(is_seen, values, samples[band])
    return samples


def _warped(
    item: dict[str, Any], folder: Path, band: str, place: dict[str, Any], processing: dict[str, Any]
) -> NDArray[Any]:
    """A band's file where the request wants it; refused as a fault of the service where it can't be read."""
    file = folder / item["assets"][ASSETS[band]]["href"].removeprefix("./")
    try:
        with rasterio.open(file) as source:
            is_finer = place["transform"].a < source.res[0]
            how = RESAMPLING[processing.get("upsampling" if is_finer else "downsampling", "NEAREST")]
            with WarpedVRT(source, resampling=how, nodata=0, **place) as warped:
                return np.asarray(warped.read(1))
    except rasterio.errors.RasterioError as error:
        raise Refused(500, "RENDERER_EXCEPTION", "Internal Server Error") from error


def _evaluated(term: str, samples: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """What one component of an output says, such as Math.round(10000 * sample.B11)."""
    match = TERM.fullmatch(term.strip())
    if match is None or match["band"] not in samples:
        raise Refused(400, "RENDERER_EXCEPTION", f"Failed to evaluate script! {term.strip()!r}")
    values = samples[match["band"]] * float(match["factor"] or 1.0)
    return np.floor(values + 0.5) if match["round"] else values


def _geotiff(raster: NDArray[Any], place: dict[str, Any]) -> bytes:
    count, height, width = raster.shape
    profile = {**place, "count": count, "height": height, "width": width, "dtype": raster.dtype.name}
    with MemoryFile() as file:
        with file.open(driver="GTiff", compress="deflate", **profile) as target:
            target.write(raster)
        return bytes(file.read())
