"""The pages of scenes: read from `anomalies`, `plumes` and `plume_details`, written beside the details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.gases import ISOLATION_FOREST
from plumewatch.methane.details.scene_content import METHODS, MethodRows, scene_content
from plumewatch.observations import stated_observations
from plumewatch.pages.page import render_page
from plumewatch.tables import ANOMALIES, PLUMES

SUFFIX = ".html"
PACKAGE = "plumewatch.methane.details"
POLICY = "default-src 'none'; script-src 'sha256-{}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render_scene(content: Mapping[str, Any]) -> str:
    """Return the HTML of what was found in one scene (`scene_content`); the same content gives the same page."""
    return render_page(PACKAGE, "scene", POLICY, content)


def scene_page_path(details_root: str, area: str, date: str, scene_id: str) -> str:
    """Return where the page of a scene is; what a file's name can't hold of the scene's is percent-encoded."""
    return storage.join(_folder(details_root, ISOLATION_FOREST, area, date), quote(scene_id, safe="") + SUFFIX)


def write_scene_pages(details_root: str, plumes_root: str, anomalies_root: str, area: str, date: str) -> list[str]:
    """Write the page of each scene that has anomalies on a date and return their paths; remove pages of others.

    A page shows what all methods have stored so far: any method's run may call this at its end. Nothing is done
    where isolation_forest has not been run.
    """
    anomalies_path = storage.partition_path(anomalies_root, {"area": area, "date": date})
    if not storage.exists(anomalies_path):
        return []
    anomalies = storage.read_table(ANOMALIES, anomalies_path)
    methods = [_rows_of(method, details_root, plumes_root, area, date) for method in METHODS]
    written = []
    for scene_id in sorted(set(anomalies["scene_id"].to_pylist())):
        rows = anomalies.filter(pc.equal(anomalies["scene_id"], scene_id))
        page = render_scene(scene_content(area, date, scene_id, rows, methods))
        path = scene_page_path(details_root, area, date, scene_id)
        storage.write_bytes(path, page.encode())
        written.append(path)
    names = {_name(path) for path in written}
    for path in storage.list_files(_folder(details_root, ISOLATION_FOREST, area, date), SUFFIX):
        if _name(path) not in names:
            storage.delete(path)
    return written


def _rows_of(method: str, details_root: str, plumes_root: str, area: str, date: str) -> MethodRows:
    path = _folder(plumes_root, method, area, date)
    if not storage.exists(path):
        return MethodRows(method, None)
    details = storage.list_files(_folder(details_root, method, area, date))
    return MethodRows(
        method=method,
        plumes=storage.read_table(PLUMES, path),
        observations=stated_observations(path),
        files=frozenset(_name(file) for file in details),
    )


def _folder(root: str, method: str, area: str, date: str) -> str:
    return storage.partition_path(root, {"method": method, "area": area, "date": date})


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
