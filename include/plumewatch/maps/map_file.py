"""The map of a gas and key: read from the storage, written to `maps/<gas>/<key>.html`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote, unquote

import pyarrow as pa

from plumewatch import storage
from plumewatch.evidence.page_files import pages_there, source_page_path
from plumewatch.gases import Gas
from plumewatch.maps.content import map_content
from plumewatch.maps.map_page import render_map
from plumewatch.maps.stored_rows import read_map_rows
from plumewatch.models import Area
from plumewatch.statuses import ACCEPTED

MAPS = "maps"
MAX_PICTURE_BYTES = 80_000
MAX_PICTURES_BYTES = 450_000  # all pictures of a map, so that it stays below 1.5 MB; a month's orbits are 0.4 MB more


def write_map(gas: Gas, key: str, storage_root: str, areas: Sequence[Area] = ()) -> str:
    """Write the map of a gas's date or month from what the storage holds; return its path.

    `areas` are outlined, searched or not; what came of each is what `observations` says.
    """
    rows = read_map_rows(gas, [key], storage_root, areas)
    rows = replace(
        rows,
        pictures=_pictures(gas, rows.detections, storage_root),
        scene_pages=_scene_pages(gas, rows.detections, storage_root),
        source_pages=_source_pages(gas, storage_root, rows.detections),
    )
    path = map_path(storage_root, gas, key)
    storage.write_bytes(path, render_map(map_content(gas, key, rows)).encode())
    return path


def map_path(storage_root: str, gas: Gas, key: str) -> str:
    """Return where the map of a gas and key is."""
    return storage.join(storage_root, MAPS, gas.name, f"{key}.html")


def _scene_pages(gas: Gas, detections: pa.Table, storage_root: str) -> dict[str, str]:
    """Where the page of each accepted detection's scene is, relative to the map, by id; only pages that there are."""
    pages: dict[str, str] = {}
    if "scene_id" not in gas.table.schema.names:
        return pages
    for row in detections.to_pylist():
        from plumewatch.methane.details.scene_pages import scene_page_path  # brings along what detects: half a second

        below_root = scene_page_path(gas.details, row["area"], row["date"], row["scene_id"])
        if row["status"] == ACCEPTED and storage.exists(storage.join(storage_root, below_root)):
            pages[row[gas.id_column]] = f"../../{quote(below_root, safe='/=')}"
    return pages


def _source_pages(gas: Gas, storage_root: str, detections: pa.Table) -> dict[str, str]:
    """Where the pages of sources are, relative to the map, by id; only pages that there are."""
    paths = pages_there(storage_root, gas) if detections.num_rows else set()
    ids = {unquote(path.rsplit("/", 1)[-1].removesuffix(".html")) for path in paths}
    return {name: f"../../{quote(path)}" for name in ids if (path := source_page_path(gas, name)) in paths}


def _pictures(gas: Gas, detections: pa.Table, storage_root: str) -> dict[str, str]:
    """Pictures of the accepted detections in base64, by id: the small ones, highest rates first, as many as fit."""
    accepted = [row for row in detections.to_pylist() if row["status"] == ACCEPTED]
    pictures: dict[str, str] = {}
    total = 0
    for row in sorted(accepted, key=lambda row: (-(row[gas.emission_column] or 0.0), str(row[gas.id_column]))):
        file = storage.join(storage_root, gas.picture_of(row))
        picture = storage.read_bytes(file) if storage.exists(file) else b""
        if 0 < len(picture) <= MAX_PICTURE_BYTES and total + len(picture) <= MAX_PICTURES_BYTES:
            pictures[str(row[gas.id_column])] = base64.b64encode(picture).decode()
            total += len(picture)
    return pictures
