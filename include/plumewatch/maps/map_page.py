"""The HTML of a map: its content beside the vendored map program, the countries, and their licences."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from plumewatch.pages.page import read_resource, render_page

PACKAGE = "plumewatch.maps"
PACKED = {
    "maplibre_css": "maplibre-gl.css",
    "maplibre_js": "maplibre-gl.js",
    "topojson_js": "topojson-client.min.js",
    "countries": "countries-50m.json",
}
"""Place in the template of each vendored file."""
LEVEL = 7  # of zlib: 9 takes three times as long, 0.4 s for each process that draws a map, and saves 1 % of the page
POLICY = (
    "default-src 'none'; script-src 'sha256-{}' 'strict-dynamic' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; worker-src blob:; connect-src blob: data:; base-uri 'none'; form-action 'none'"
)


def render_map(content: Mapping[str, Any]) -> str:
    """Return the HTML of a map's content (`map_content`); the same content gives the same page."""
    packed = {name: _packed(file) for name, file in PACKED.items()}
    return render_page(PACKAGE, "map", POLICY, {**content, "licences": _licences()}, **packed)


@lru_cache
def _packed(file: str) -> str:
    text = read_resource(PACKAGE, f"vendor/{file}")
    if file.endswith(".js"):  # the map of the source code isn't vendored: no tool should look for it
        text = re.sub(r"\n//# sourceMappingURL=\S+\s*$", "\n", text)
    return base64.b64encode(zlib.compress(text.encode(), LEVEL)).decode()


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
