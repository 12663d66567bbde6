"""Scenes of Landsat of known pixels, as catalogues have them: numbers of surface reflectance and QA_PIXEL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import mapping

SIZE_M = 30.0
CLEAR, WATER, FILL, CLOUD, SHADOW, CIRRUS, SNOW, DILATED = 21824, 21952, 1, 22280, 23888, 54852, 30048, 21762
"""Values of QA_PIXEL as products have them: USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide, table 6-3."""
KEYS = {"B02": "blue", "B04": "red", "B08": "nir08", "B11": "swir16", "B12": "swir22", "QA_PIXEL": "qa_pixel"}


def scene_id(day: str, unit: int = 8, path_row: str = "163033") -> str:
    """An id as the Planetary Computer gives it."""
    return f"LC0{unit}_L2SP_{path_row}_{day.replace('-', '')}_02_T1"


def landsat_numbers(reflectance: NDArray[Any]) -> NDArray[np.uint16]:
    """Reflectance as products of Collection 2 Level 2 have it, 0 where it is NaN."""
    with np.errstate(invalid="ignore"):
        numbers = np.rint((reflectance + 0.2) / 2.75e-5)
        return np.where(np.isfinite(reflectance), numbers, 0).astype(np.uint16)


def landsat_item(
    hrefs: Mapping[str, str], day: str, unit: int = 8, path_row: str = "163033", footprint: Any = None, **changed: Any
) -> dict[str, Any]:
    """A STAC item of the collection landsat-c2-l2 over assets by band, in the form of the Planetary Computer."""
    footprint = footprint or shapely.box(52.5, 37.5, 58.5, 39.5)
    assets: dict[str, Any] = {}
    for band, href in hrefs.items():
        assets[KEYS[band]] = {"href": href, "type": "image/tiff; application=geotiff; profile=cloud-optimized"}
        if band == "QA_PIXEL":
            assets[KEYS[band]]["raster:bands"] = [{"nodata": 1, "data_type": "uint16"}]
        else:
            assets[KEYS[band]]["raster:bands"] = [
                {"nodata": 0, "data_type": "uint16", "scale": 2.75e-05, "offset": -0.2}
            ]
    properties = {
        "datetime": f"{day}T06:58:10.123456Z", "platform": f"landsat-{unit}", "instruments": ["oli", "tirs"],
        "eo:cloud_cover": 2.5, "view:off_nadir": 0, "view:sun_elevation": 58.0, "view:sun_azimuth": 130.0,
        "landsat:wrs_path": path_row[:3], "landsat:wrs_row": path_row[3:], "landsat:wrs_type": "2",
        "landsat:collection_category": "T1", "landsat:collection_number": "02", "landsat:correction": "L2SP",
        "created": f"{day}T20:00:00Z", **changed,
    }  # fmt: skip
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": scene_id(day, unit, path_row),
        "collection": "landsat-c2-l2", "geometry": mapping(footprint), "bbox": list(footprint.bounds),
        "properties": properties, "links": [], "assets": assets,
    }  # fmt: skip
