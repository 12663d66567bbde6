"""An index of an area's stacked scenes: `area=A/items.parquet`, stac-geoparquet that any reader of GeoParquet opens."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import shape

from plumewatch import storage
from plumewatch.errors import InputError, reading
from plumewatch.http import side_by_side
from plumewatch.rasters.scene_store import ScenePaths, list_scenes
from plumewatch.sentinel2.scene import observed_at_utc
from plumewatch.sentinel2.scene_item import EXTENSIONS

INDEX = "items.parquet"
READ_AT_ONCE = 16  # small files; a bucket answers each after some 20 ms
COMPRESSION = "zstd(3)"
TEXTS = (
    "platform", "constellation", "grid:code", "s2:processing_baseline", "s2:product_uri", "processing:level",
    "plumewatch:area", "plumewatch:cloud_probability", "plumewatch:recipe",
)  # fmt: skip
NUMBERS = (
    "gsd", "eo:cloud_cover", "proj:epsg", "sat:relative_orbit", "view:sun_elevation", "view:sun_azimuth",
    "view:incidence_angle", "plumewatch:tile_cloud_cover", "plumewatch:covered_fraction",
)  # fmt: skip
LISTS = ("proj:shape", "proj:transform")
OF_ASSETS = {"type": str, "title": str, "file:size": int, "file:checksum": str}
AN_ITEM = "the STAC item of a stacked scene, with a time and a place"

log = logging.getLogger(__name__)


def write_scene_index(scenes_root: str, area: str) -> str | None:
    """Write the index of an area anew from the items of its scenes and return its path, None where it has no scene.

    One row a scene, sorted by time and id; a column has one type, whatever an item states. Links of assets are relative
    to the index. It is replaced at once, and by one writer at a time. An item that cannot be used is named in the log.
    """
    folder = storage.join(scenes_root, f"area={area}")
    path = storage.join(folder, INDEX)
    with storage.lock(folder):
        found = side_by_side(_row, list_scenes(folder), path, "items", threads=READ_AT_ONCE)
        rows = [row for row in found if row is not None]
        if not rows:
            storage.delete(path)
            return None
        rows.sort(key=lambda row: (row["properties"]["datetime"], row["id"]))
        with tempfile.TemporaryDirectory(prefix="plumewatch-") as scratch:
            import rustac

            local = Path(scratch) / INDEX
            rustac.write_sync(str(local), rows, format="geoparquet", parquet_compression=COMPRESSION)
            storage.write_bytes(path, local.read_bytes())
    return path


def _row(paths: ScenePaths) -> dict[str, Any] | None:
    """Return what the index says of a scene, None where its item cannot be used."""
    try:
        with reading(paths.item, AN_ITEM):
            item = storage.read_json(paths.item)
            outline, stated = shape(item["geometry"]), item["properties"]
            properties = {
                "datetime": observed_at_utc(paths.item, stated).isoformat().replace("+00:00", "Z"),
                **{name: str(stated[name]) for name in TEXTS if stated.get(name) is not None},
                **{name: float(stated[name]) for name in NUMBERS if stated.get(name) is not None},
                **{name: [float(n) for n in stated[name]] for name in LISTS if stated.get(name) is not None},
            }
            return {
                "type": "Feature",
                "stac_version": "1.0.0",
                "stac_extensions": [u for p, u in sorted(EXTENSIONS.items()) if any(f"{p}:" in n for n in properties)],
                "id": paths.scene_id,
                "geometry": shapely.geometry.mapping(outline),
                "bbox": list(outline.bounds),
                "properties": properties,
                "links": [{"rel": "self", "href": f"./date={paths.date}/{paths.scene_id}.json"}],
                "assets": {name: _asset(paths, asset) for name, asset in item["assets"].items()},
            }
    except InputError as error:  # the pixel job refuses it by name
        log.warning("not in the index: %s", error)
        return None


def _asset(paths: ScenePaths, asset: Mapping[str, Any]) -> dict[str, Any]:
    href = f"./date={paths.date}/{asset['href'].removeprefix('./')}"
    return {"href": href, **{name: kind(asset[name]) for name, kind in OF_ASSETS.items() if name in asset}}
