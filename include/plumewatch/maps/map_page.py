"""The HTML of a map: one file with all that it shows, or one that reads it from where it lies (Airflow, a site).

Template, style and program are the same; only where content and vendored files come from differs.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from plumewatch.pages.page import read_resource, render_page

PACKAGE = "plumewatch.maps"
PROGRAM = ("world", "elements", "icons", "layers", "ground", "measure", "told", "list", "map")
"""Parts of the program, in `program/`, that all maps have."""
PACKED = {
    "maplibre_css": "maplibre-gl.css",
    "maplibre_js": "maplibre-gl.js",
    "topojson_js": "topojson-client.min.js",
    "countries": "countries-50m.json",
}
"""Name in the page of each vendored file that it carries."""
CSS, SCRIPT, JSON = "text/css", "text/javascript", "application/json"
ASSETS = {
    "maplibre-gl.css": ("vendor/maplibre-gl.css", CSS),
    "maplibre-gl.js": ("vendor/maplibre-gl.js", SCRIPT),
    "topojson-client.min.js": ("vendor/topojson-client.min.js", SCRIPT),
    "countries-50m.json": ("vendor/countries-50m.json", JSON),
    "world.js": ("program/world.js", SCRIPT),
    "map_worker.js": ("program/map_worker.js", SCRIPT),
}
"""What lies in `assets/` beside a page that reads its content: file and media type by name."""
LEVEL = 7  # of zlib: 9 takes three times as long, 0.4 s for each process that draws a map, and saves 1 % of the page
_ALL = "default-src 'none'; script-src 'sha256-{}' 'strict-dynamic' blob:; base-uri 'none'; form-action 'none'; "
POLICY = _ALL + "style-src 'unsafe-inline'; img-src data: blob:; worker-src blob:; connect-src blob: data:"
SERVED_POLICY = (
    _ALL
    + "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; worker-src 'self' blob:; "
    + "connect-src 'self' blob: data:"
)


def render_map(content: Mapping[str, Any]) -> str:
    """Return the HTML of a map's content (`map_content`); the same content gives the same page."""
    packed = "\n".join(
        f'<script type="text/plain" id="packed-{name.replace("_", "-")}">{_packed(file)}</script>'
        for name, file in PACKED.items()
    )
    parts = [f"program/{part}.js" for part in (*PROGRAM, "embedded")]
    return render_page(PACKAGE, "map", POLICY, {**content, "licences": _licences()}, parts=parts, packed=packed)


def render_served_map(content: Mapping[str, Any], tiles: str | None = None, attribution: str | None = None) -> str:
    """Return the HTML of a page that reads what it shows: `feed` of the content says from whom (`airflow`, `site`).

    `tiles` is the address of map tiles to be shown behind ({z}, {x}, {y}); the page may ask their origin besides.
    """
    policy, behind = SERVED_POLICY, {}
    if tiles:
        parts = urlsplit(tiles)
        origin = f"{parts.scheme}://{parts.netloc}"
        policy = policy.replace("img-src", f"img-src {origin}").replace("connect-src", f"connect-src {origin}")
        behind = {"tiles": {"url": tiles, "attribution": attribution or ""}}
    programs = [f"program/{part}.js" for part in (*PROGRAM, "vendored", "rasters", "cells", "served")]
    shown = {**content, **behind, "licences": _licences()}
    return render_page(PACKAGE, "map", policy, shown, parts=programs, packed="")


def render_operations(content: Mapping[str, Any]) -> str:
    """Return the HTML of the operations page, which reads what it shows from where it lies."""
    parts = [f"program/{part}.js" for part in ("elements", "vendored", "ground", "new_area", "operations")]
    return render_page(PACKAGE, "operations", SERVED_POLICY, content, parts=parts)


@lru_cache
def read_asset(name: str) -> bytes:
    """Return one of `ASSETS`. Raises KeyError for any other name."""
    return _without_source_map(ASSETS[name][0]).encode()


def _without_source_map(file: str) -> str:
    """A text of the package; the map of a program's source code isn't vendored, no tool should look for it."""
    text = read_resource(PACKAGE, file)
    return re.sub(r"\n//# sourceMappingURL=\S+\s*$", "\n", text) if file.endswith(".js") else text


@lru_cache
def _packed(file: str) -> str:
    return base64.b64encode(zlib.compress(_without_source_map(f"vendor/{file}").encode(), LEVEL)).decode()


@lru_cache
def _licences() -> str:
    """The licences of what the page carries: they ask to be carried along."""
    packages = json.loads(read_resource(PACKAGE, "vendor/manifest.json"))["packages"]
    texts = [
        f"{p['name']} {p['version']} ({p['licence']}): {p['what']}\n\n"
        + read_resource(PACKAGE, "vendor/" + p["licence_file"])
        for p in packages
    ]
    return "\n\n\n".join(texts)
