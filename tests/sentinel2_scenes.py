"""Scenes of known pixels: as a catalogue has them, and as they are stacked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry import mapping

EPSG = 32640
WEST, NORTH, SIZE_M = 500_000.0, 2_700_000.0, 20.0
SCENE_ID = "S2A_40RDN_20250821_0_L2A"

KEYS = {
    "B01": "coastal", "B02": "blue", "B04": "red", "B05": "rededge1", "B08": "nir", "B8A": "nir08", "B09": "nir09",
    "B10": "cirrus", "B11": "swir16", "B12": "swir22", "SCL": "scl", "CLD": "cloud", "QA60": "QA60",
}  # fmt: skip


def write_raster(
    path: Path, *bands: NDArray[Any], west: float = WEST, north: float = NORTH, size_m: float = SIZE_M,
    epsg: int = EPSG, nodata: float | None = 0, names: tuple[str, ...] = (), scale: float | None = None,
    offset: float = 0.0, mask: NDArray[np.bool_] | None = None,
) -> str:  # fmt: skip
    """Write a tiled GeoTIFF without any help of the code under test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = bands[0].shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype=bands[0].dtype, count=len(bands), height=height, width=width, nodata=nodata,
        crs=f"EPSG:{epsg}", transform=Affine(size_m, 0, west, 0, -size_m, north), tiled=True, blockxsize=256,
        blockysize=256, compress="deflate",
    ) as target:  # fmt: skip
        target.write(np.stack(bands))
        target.descriptions = names or (None,) * len(bands)
        if scale is not None:
            target.scales, target.offsets = (scale,) * len(bands), (offset,) * len(bands)
        if mask is not None:
            target.write_mask(mask)
    return str(path)


def source_properties(**changed: Any) -> dict[str, Any]:
    """Properties of an item of Earth Search's sentinel-2-l2a, with its offset trap."""
    return {
        "datetime": "2025-08-21T06:48:12.123000Z", "platform": "sentinel-2a", "eo:cloud_cover": 3.5, "proj:epsg": EPSG,
        "grid:code": "MGRS-40RDN", "view:sun_elevation": 62.5, "view:sun_azimuth": 110.0, "view:incidence_angle": 4.25,
        "s2:processing_baseline": "05.11", "s2:sequence": "0", "earthsearch:boa_offset_applied": True,
        "s2:product_uri": "S2A_MSIL2A_20250821T064621_N0511_R020_T40RDN_20250821T102030.SAFE",
        "updated": "2025-08-21T12:00:00.000Z", **changed,
    }  # fmt: skip


def source_item(
    hrefs: Mapping[str, str], scene_id: str = SCENE_ID, offset: float | None = -0.1, collection: str = "sentinel-2-l2a",
    footprint: Any = None, links: tuple[dict, ...] = (), **properties: Any,
) -> dict[str, Any]:  # fmt: skip
    """A STAC item of Earth Search over assets by band."""
    assets: dict[str, Any] = {}
    for band, href in hrefs.items():
        assets[KEYS[band]] = {"href": href, "type": "image/tiff; application=geotiff; profile=cloud-optimized"}
        if band.startswith("B") and offset is not None:
            assets[KEYS[band]]["raster:bands"] = [
                {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": offset}
            ]
    footprint = footprint or shapely.box(56.5, 24.0, 57.5, 25.0)
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": scene_id, "collection": collection,
        "geometry": mapping(footprint), "bbox": list(footprint.bounds), "properties": source_properties(**properties),
        "links": list(links), "assets": assets,
    }  # fmt: skip


def write_stacked(
    root: Path, b11: NDArray[Any], b12: NDArray[Any], scl: NDArray[Any], *, area: str = "dune",
    date: str = "2025-08-21", scene_id: str = SCENE_ID, cloud: NDArray[Any] | None = None,
    further: Mapping[str, NDArray[Any]] | None = None, properties: Mapping[str, Any] | None = None,
    scale: float | None = 0.0001, offset: float = 0.0, **place: Any,
) -> Path:  # fmt: skip
    """Write a stacked scene in the contract's form, by hand; return its folder."""
    folder = root / f"area={area}" / f"date={date}"
    bands = {"B11": b11, "B12": b12, **(further or {})}
    write_raster(folder / f"{scene_id}.tif", *bands.values(), names=tuple(bands), scale=scale, offset=offset, **place)
    write_raster(folder / f"{scene_id}_scl.tif", scl, **place)
    if cloud is not None:
        write_raster(folder / f"{scene_id}_cloud.tif", cloud, nodata=255, **place)
    stated = {
        "datetime": f"{date}T06:48:12.123Z", "platform": f"sentinel-2{scene_id[2].lower()}", "sat:relative_orbit": 20,
        "view:sun_elevation": 62.5, "view:incidence_angle": 4.25, **(properties or {}),
    }  # fmt: skip
    item = {"type": "Feature", "stac_version": "1.0.0", "id": scene_id, "geometry": None, "links": [], "assets": {}}
    (folder / f"{scene_id}.json").write_text(json.dumps({**item, "properties": stated}))
    return folder
