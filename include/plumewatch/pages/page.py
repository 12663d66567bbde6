"""One HTML file with everything in it, that never asks the network for anything: how every page is put together.

A page is a template, a style and a program of one name in the package that it belongs to. The program is allowed to
run by its hash and may start what it unpacks; a text of a file, however it got into the page, is not.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

HEAD = ("plumewatch.pages", "head.html")
"""What all pages begin with: package and file."""


def render_page(
    package: str, name: str, policy: str, content: Mapping[str, Any], *, parts: Sequence[str] = (), **more: str
) -> str:
    """Return the page `name`.html of a package with its `name`.css, its `name`.js, and the content as JSON.

    `content` has a `title` and a `summary`; the same content gives the same page. `policy` is what the page may do
    (Content-Security-Policy), with braces for the digest of its program; `parts` are the files of a program that is in
    several, in their order; `more` are further places of the template.
    """
    style = read_resource(package, f"{name}.css")
    script = "\n".join(read_resource(package, part) for part in parts or (f"{name}.js",))
    allowed = policy.format(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())
    head = render_head(content["title"], content["summary"], style, allowed)
    values = {"head": head, "script": script, "content": _json(content), **more}
    return _filled(read_resource(package, f"{name}.html"), values)


def render_head(title: str, summary: str, style: str, policy: str) -> str:
    """Return what a page begins with, up to its headline and summary (plain texts)."""
    texts = {"title": html.escape(title), "summary": html.escape(summary)}
    return _filled(read_resource(*HEAD), texts | {"style": style, "policy": policy}).rstrip()


@lru_cache
def read_resource(package: str, file: str) -> str:
    """Return a text file of a package."""
    return resources.files(package).joinpath(file).read_text(encoding="utf-8")


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with its places filled; what looks like a place in a value stays as it is."""
    return re.sub(r"@(\w+)@", lambda match: values[match[1]], template)


def _json(content: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in, whatever its texts are."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return re.sub(r"[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)
