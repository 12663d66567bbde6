"""STAC items and a static catalogue in the form of Earth Search v1, collection sentinel-2-l2a.

Its trap is kept: pixels have the offset of baseline 04.00 already applied (`earthsearch:boa_offset_applied` is true)
and the items nevertheless state `offset: -0.1`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.models import DEFAULT_COLLECTION
from plumewatch.simulation.sentinel2_plan import CELL_M, Acquisition, PlannedArea
from plumewatch.simulation.surfaces import SCL_NODATA

COLLECTION = DEFAULT_COLLECTION
BASELINE = "05.11"
EXTENSIONS = [
    "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "https://stac-extensions.github.io/mgrs/v1.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
]
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
STATED_OFFSET = -0.1
SCALE = 1e-4
DATATAKE_LEAD = timedelta(seconds=22)  # a datatake starts before it reaches the tile
NEXT_TILE_LATER = timedelta(seconds=4)
PROCESSING_DELAY = timedelta(hours=5, minutes=12)
# key: file, title, data type, roles, band (name, centre and width in micrometres)
ASSETS: dict[str, tuple[str, str, str, list[str], tuple[str, float, float] | None]] = {
    "swir16": ("B11.tif", "SWIR 1.6μm - 20m", "uint16", ["data", "reflectance"], ("B11", 1.61, 0.143)),
    "swir22": ("B12.tif", "SWIR 2.2μm - 20m", "uint16", ["data", "reflectance"], ("B12", 2.19, 0.242)),
    "scl": ("SCL.tif", "Scene classification map (SCL)", "uint8", ["data"], None),
    "cloud": ("CLD_20m.tif", "Cloud Probabilities", "uint8", ["data", "cloud"], None),
}
SCL_PROPERTIES = {
    "s2:cloud_shadow_percentage": (3,),
    "s2:vegetation_percentage": (4,),
    "s2:not_vegetated_percentage": (5,),
    "s2:water_percentage": (6,),
    "s2:medium_proba_clouds_percentage": (8,),
    "s2:high_proba_clouds_percentage": (9,),
    "s2:thin_cirrus_percentage": (10,),
}


def scene_id(acquisition: Acquisition, tile: str) -> str:
    """Return Earth Search's id, such as S2B_31RGR_20250830_0_L2A."""
    return f"{acquisition.unit}_{tile}_{acquisition.date.replace('-', '')}_0_L2A"


def product_name(item: dict[str, Any]) -> str:
    """Return the name of the product that an item describes, by which Sentinel Hub names the scene.

    >>> product_name({"properties": {"s2:product_uri": "S2B_MSIL2A_20250830T101819_N0511_R008_T31RGR_X.SAFE"}})
    'S2B_MSIL2A_20250830T101819_N0511_R008_T31RGR_X'
    """
    return str(item["properties"]["s2:product_uri"]).removesuffix(".SAFE")


def stac_item(
    area: PlannedArea,
    acquisition: Acquisition,
    order: int,
    corner: tuple[float, float],
    scl: NDArray[np.uint8],
    footprint: list[list[float]],
) -> dict[str, Any]:
    """Return the item of a scene; its links and assets are relative to the item's own file.

    `order` is the number of its tile among those of the area, `corner` the left and upper edge of the rasters (m),
    `scl` the scene classification, `footprint` a closed ring of longitude and latitude, counter-clockwise.
    """
    lons, lats = zip(*footprint, strict=True)
    placed = {
        "proj:shape": list(scl.shape),
        "proj:transform": [CELL_M, 0.0, corner[0], 0.0, -CELL_M, corner[1]],
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": EXTENSIONS,
        "id": scene_id(acquisition, area.tiles[order]),
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [footprint]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": _properties(area, acquisition, order, scl),
        "links": [
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
        ],
        "assets": {key: _asset(key) | placed for key in ASSETS},
    }


def _stamp(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _properties(area: PlannedArea, acquisition: Acquisition, order: int, scl: NDArray[np.uint8]) -> dict[str, Any]:
    time, unit, tile = area.time_of(acquisition), acquisition.unit, area.tiles[order]
    taken = time - DATATAKE_LEAD
    generated = taken + PROCESSING_DELAY
    updated = _stamp(generated + timedelta(hours=1))
    baseline = "N" + BASELINE.replace(".", "")
    take = f"{taken:%Y%m%dT%H%M%S}"
    orbit = area.orbits[acquisition.is_side_view]
    zenith, azimuth = area.sun_deg(acquisition)
    with_data = scl != SCL_NODATA
    classes, counts = np.unique(scl[with_data], return_counts=True)
    percent = {int(c): 100.0 * float(n) / int(counts.sum()) for c, n in zip(classes, counts, strict=True)}
    return {
        "created": updated,
        "updated": updated,
        "datetime": _stamp(time + order * NEXT_TILE_LATER),
        "platform": f"sentinel-2{unit[-1].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": round(sum(percent.get(c, 0.0) for c in (8, 9, 10)), 6),
        "proj:epsg": area.epsg,
        "mgrs:utm_zone": int(tile[:2]),
        "mgrs:latitude_band": tile[2],
        "mgrs:grid_square": tile[3:],
        "grid:code": f"MGRS-{tile}",
        "view:azimuth": 103.0,
        "view:incidence_angle": area.view_zenith_deg[acquisition.is_side_view],
        "view:sun_azimuth": azimuth,
        "view:sun_elevation": 90.0 - zenith,
        "s2:nodata_pixel_percentage": round(100.0 * float(1.0 - with_data.mean()), 6),
        **{n: round(sum(percent.get(c, 0.0) for c in classes), 6) for n, classes in SCL_PROPERTIES.items()},
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": BASELINE,
        "s2:product_uri": f"{unit}_MSIL2A_{take}_{baseline}_R{orbit:03d}_T{tile}_{generated:%Y%m%dT%H%M%S}.SAFE",
        "s2:generation_time": _stamp(generated),
        "s2:datatake_id": f"G{unit}_{take}_0{orbit:05d}_N{BASELINE}",
        "s2:sequence": "0",
        "earthsearch:boa_offset_applied": True,
    }


def _asset(key: str) -> dict[str, Any]:
    file, title, data_type, roles, band = ASSETS[key]
    raster: dict[str, Any] = {"nodata": 0, "data_type": data_type, "spatial_resolution": 20}
    asset: dict[str, Any] = {"href": f"./{file}", "type": COG_TYPE, "title": title, "gsd": 20, "roles": roles}
    if band:
        raster |= {"scale": SCALE, "offset": STATED_OFFSET}
        name, centre, width = band
        asset["eo:bands"] = [
            {"name": name, "common_name": key, "center_wavelength": centre, "full_width_half_max": width}
        ]
    return asset | {"raster:bands": [raster]}


def write_catalogue(folder: str, items: list[dict[str, Any]]) -> None:
    """Write catalog.json, the collection and, in a folder each, the items of a static catalogue."""
    items = sorted(items, key=lambda item: item["id"])
    lon = [x for item in items for x in item["bbox"][0::2]]
    lat = [y for item in items for y in item["bbox"][1::2]]
    times = sorted(item["properties"]["datetime"] for item in items)
    collection = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": COLLECTION,
        "title": "Sentinel-2 Level-2A, simulated",
        "description": "Scenes of the simulated world in the form of Sentinel-2 L2A. Made up: no pixel was measured.",
        "license": "Apache-2.0",
        "extent": {
            "spatial": {"bbox": [[min(lon), min(lat), max(lon), max(lat)]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            *({"rel": "item", "href": f"./{i['id']}/{i['id']}.json", "type": "application/geo+json"} for i in items),
        ],
    }
    catalogue = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "plumewatch-simulation",
        "description": "The catalogue of the simulated world.",
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            {"rel": "child", "href": f"./{COLLECTION}/collection.json", "type": "application/json"},
        ],
    }
    storage.write_json(storage.join(folder, "catalog.json"), catalogue)
    storage.write_json(storage.join(folder, COLLECTION, "collection.json"), collection)
    for item in items:
        storage.write_json(storage.join(folder, COLLECTION, item["id"], f"{item['id']}.json"), item)
