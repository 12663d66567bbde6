"""The page of a map or of a scene: one HTML file with everything in it, that never asks the network for anything.

The program of the page is allowed to run by its hash and may start what it unpacks; a text of a file, however it got
into the page, is not.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

PACKED = {
    "maplibre_css": "maplibre-gl.css",
    "maplibre_js": "maplibre-gl.js",
    "topojson_js": "topojson-client.min.js",
    "countries": "countries-50m.json",
}
"""Place in the template of each vendored file."""
POLICIES = {
    "map": (
        "default-src 'none'; script-src 'sha256-{}' 'strict-dynamic' blob:; style-src 'unsafe-inline'; "
        "img-src data: blob:; worker-src blob:; connect-src blob: data:; base-uri 'none'; form-action 'none'"
    ),
    "scene": (
        "default-src 'none'; script-src 'sha256-{}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ),
}
"""What each page may do; the braces are for the digest of its program."""


def render_page(content: Mapping[str, Any]) -> str:
    """Return the HTML of a map's content; the same content gives the same page."""
    return _page("map", {**content, "licences": _licences()}, {name: _packed(file) for name, file in PACKED.items()})


def render_scene_page(content: Mapping[str, Any]) -> str:
    """Return the HTML of what was found in one scene (`scene_content`); the same content gives the same page."""
    return _page("scene", content, {})


def _page(name: str, content: Mapping[str, Any], more: Mapping[str, str]) -> str:
    """Return the page `name`.html with the style and program of the same name, and the content as JSON."""
    script = _read(f"{name}.js")
    values = {
        "title": html.escape(content["title"]),
        "summary": html.escape(content["summary"]),
        "style": _read(f"{name}.css"),
        "script": script,
        "policy": POLICIES[name].format(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()),
        "content": _json(content),
        **more,
    }
    values["head"] = _filled("head.html", values).rstrip()
    return _filled(f"{name}.html", values)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with its places filled; what looks like a place in a value stays as it is."""
    return re.sub(r"@(\w+)@", lambda match: values[match[1]], _read(template))


def _json(content: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in, whatever its texts are."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return re.sub(r"[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


@lru_cache
def _read(name: str) -> str:
    return resources.files("plumewatch.maps").joinpath(name).read_text(encoding="utf-8")


@lru_cache
def _packed(file: str) -> str:
    text = _read(f"vendor/{file}")
    if file.endswith(".js"):  # the map of the source code isn't vendored: no tool should look for it
        text = re.sub(r"\n//# sourceMappingURL=\S+\s*$", "\n", text)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


@lru_cache
def _licences() -> str:
    """The licences of what the page carries: they ask to be carried along."""
    packages = json.loads(_read("vendor/manifest.json"))["packages"]
    texts = [
        f"{p['name']} {p['version']} ({p['licence']}): {p['what']}\n\n{_read('vendor/' + p['licence_file'])}"
        for p in packages
    ]
    return "\n\n\n".join(texts)
