"""The map of a gas and key: read from the storage, written to `maps/<gas>/<key>.html`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from urllib.parse import quote

import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import ConfigurationError
from plumewatch.maps.content import MapRows, map_content
from plumewatch.maps.map_page import render_map
from plumewatch.methane.details.scene_pages import scene_page_path
from plumewatch.models import Area
from plumewatch.tables import MATCHES, PEAKS, PLUMES, SOURCES

MAPS = "maps"
METHODS = {"ch4": (PLUMES, "multi_pass", "date"), "co2": (PEAKS, "scan", "month")}
"""Table, method and key column of the detections that a map shows."""
COLUMNS = {"ch4": ("plume_id", "emission_kg_h"), "co2": ("peak_id", "emission_kt_h")}
DETAILS = {"ch4": "plume_details", "co2": "peak_details"}
COMBINED = "combined"
MAX_PICTURE_BYTES = 80_000
MAX_PICTURES_BYTES = 450_000  # all pictures of a map, so that it stays below 1.5 MB


def write_map(gas: str, key: str, storage_root: str, areas: Sequence[Area] = ()) -> str:
    """Write the map of a date (ch4) or month (co2) from what the storage holds; return its path.

    `areas` are outlined as searched. Raises ConfigurationError where `gas` is neither.
    """
    if gas not in METHODS:
        raise ConfigurationError(f"gas {gas!r}; allowed: {', '.join(METHODS)}")
    table, method, key_column = METHODS[gas]
    detections = storage.read_table(
        table, storage.join(storage_root, table.name), where={"method": method, key_column: key}
    )
    rows = MapRows(
        detections=detections,
        matches=storage.read_table(
            MATCHES, storage.join(storage_root, MATCHES.name), where={"gas": gas, "period": key}
        ),
        sources=storage.read_table(SOURCES, storage.join(storage_root, SOURCES.name), where={"inventory": COMBINED}),
        areas=areas,
        pictures=_pictures(gas, detections, storage_root),
        scene_pages=_scene_pages(detections, storage_root) if gas == "ch4" else {},
    )
    path = storage.join(storage_root, MAPS, gas, f"{key}.html")
    storage.write_bytes(path, render_map(map_content(gas, key, rows)).encode())
    return path


def _scene_pages(plumes: pa.Table, storage_root: str) -> dict[str, str]:
    """Where the page of each accepted plume's scene is, relative to the map, by plume id; only pages that there are."""
    pages = {}
    for row in plumes.to_pylist():
        below_root = scene_page_path(DETAILS["ch4"], row["area"], row["date"], row["scene_id"])
        if row["status"] == "accepted" and storage.exists(storage.join(storage_root, below_root)):
            pages[row["plume_id"]] = f"../../{quote(below_root, safe='/=')}"
    return pages


def _pictures(gas: str, detections: pa.Table, storage_root: str) -> dict[str, str]:
    """Pictures of the accepted detections in base64, by id: the small ones, highest rates first, as many as fit."""
    table, name, rate = METHODS[gas][0], *COLUMNS[gas]
    accepted = [row for row in detections.to_pylist() if row["status"] == "accepted"]
    pictures: dict[str, str] = {}
    total = 0
    for row in sorted(accepted, key=lambda row: (-(row[rate] or 0.0), str(row[name]))):
        keys = {column: row[column] for column in table.partitions}
        folder = storage.partition_path(storage.join(storage_root, DETAILS[gas]), keys)
        file = storage.join(folder, f"{row[name]}.png")
        picture = storage.read_bytes(file) if storage.exists(file) else b""
        if 0 < len(picture) <= MAX_PICTURE_BYTES and total + len(picture) <= MAX_PICTURES_BYTES:
            pictures[str(row[name])] = base64.b64encode(picture).decode()
            total += len(picture)
    return pictures
