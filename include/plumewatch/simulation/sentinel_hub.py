"""A Sentinel Hub of the simulated world: its token endpoint, Catalog and Process API, in the service's own formats."""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from shapely.geometry import box, mapping, shape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from plumewatch.simulation.hub_pixels import QUOTA, Refused, moment, render
from plumewatch.simulation.stac_catalogue import COLLECTION, product_name

CLIENT_ID, CLIENT_SECRET = "simulated-client", "simulated-secret"
"""The one account; made up as all else."""
HUB_PATH = "/sentinel_hub"
"""Where the simulated world's server has it."""
CATALOG, TOKEN, PROCESS = "/api/v1/catalog/1.0.0", "/oauth/token", "/api/v1/process"
TOKEN_LIFE_S = 600  # as on the Copernicus Data Space


@dataclass
class Hub:
    """The service and its state; what a test wants of it, it sets here."""

    folder: Path
    """Of the simulated world."""
    token_life_s: float = TOKEN_LIFE_S
    """How long a token lives."""
    units_left: float = float("inf")
    """Processing units that the account has left this month."""
    most_items: int = 100
    """Items of a page of the Catalog."""
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
        if hub.units_left <= 0:
            raise Refused(403, *QUOTA)
        found = [item for item in _items(hub, str(request.base_url)) if _is_asked_for(item, body)]
        first, limit = int(body.get("next", 0)), min(int(body.get("limit", 10)), hub.most_items)
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
    first, last = map(moment, body["datetime"].split("/"))
    if body.get("collections") != [COLLECTION] or not first <= moment(item["properties"]["datetime"]) <= last:
        return False
    place = shape(body["intersects"]) if "intersects" in body else box(*body["bbox"])
    return bool(shape(item["geometry"]).intersects(place))


def _faulty(hub: Hub, body: dict[str, Any], accept: str, fault: str, detail: Any) -> Response:
    """Answer a request of the Process API, with a fault if one is wanted.

    `too_many` (milliseconds to wait), `error` (status), `slow` (seconds), `html`, `error_body` (status 200 all the
    same), `cut` (bytes that are left of the TAR), `raster` (what is made of each raster: an array in, an array out),
    `withdrawn` (all tokens), `unpriced` (a good answer that doesn't say its units).
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
    content, units = render(hub.scenes, body, accept, hub.units_left, detail if fault == "raster" else None)
    hub.units_left -= units
    if fault == "cut":
        content = content[: int(detail)]
    headers = {} if fault == "unpriced" else {"X-ProcessingUnits-Spent": f"{units:.6f}"}
    return Response(content, media_type="application/x-tar", headers=headers)
