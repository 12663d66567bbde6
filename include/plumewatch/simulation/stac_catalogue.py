"""STAC items and a static catalogue in the form of Earth Search v1, collection sentinel-2-l2a.

Its trap is kept: pixels have the offset of baseline 04.00 already applied (`earthsearch:boa_offset_applied` is true)
and the items nevertheless state `offset: -0.1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from plumewatch import storage

COLLECTION = "sentinel-2-l2a"
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


@dataclass(frozen=True)
class ItemFacts:
    """What an item says about its scene."""

    unit: str
    """S2A, S2B or S2C."""
    tile: str
    """MGRS name such as 31RGR."""
    observed_at_utc: datetime
    """Moment of the image."""
    datatake_at_utc: datetime
    """Start of the datatake, the same for all tiles of a pass."""
    relative_orbit: int
    """1 to 143."""
    epsg: int
    """CRS of the rasters."""
    transform: tuple[float, float, float, float, float, float]
    """Affine coefficients a to f of the 20 m rasters."""
    shape: tuple[int, int]
    """Rows, columns."""
    footprint: list[list[float]]
    """Closed ring of longitude and latitude, counter-clockwise."""
    sun_azimuth_deg: float
    """From north, clockwise."""
    sun_elevation_deg: float
    """Above the horizon."""
    view_zenith_deg: float
    """Angle from the vertical."""
    scl_percent: dict[int, float]
    """Share of each class of the scene classification among cells with data, percent."""
    nodata_percent: float
    """Share of cells without data."""

    @property
    def scene_id(self) -> str:
        """Earth Search's id, such as S2B_31RGR_20250830_0_L2A."""
        return f"{self.unit}_{self.tile}_{self.observed_at_utc:%Y%m%d}_0_L2A"


def stac_item(facts: ItemFacts) -> dict[str, Any]:
    """Return the item of a scene; its links and assets are relative to the item's own file."""
    ring = facts.footprint
    lons, lats = [p[0] for p in ring], [p[1] for p in ring]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": EXTENSIONS,
        "id": facts.scene_id,
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": _properties(facts),
        "links": [
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
        ],
        "assets": {key: _asset(key, facts) for key in ASSETS},
    }


def _stamp(time: datetime, pattern: str = "%Y-%m-%dT%H:%M:%S.%f") -> str:
    return time.strftime(pattern)[:-3] + "Z"


def _properties(facts: ItemFacts) -> dict[str, Any]:
    generated = facts.datatake_at_utc + PROCESSING_DELAY
    updated = _stamp(generated + timedelta(hours=1))
    baseline = "N" + BASELINE.replace(".", "")
    take = f"{facts.datatake_at_utc:%Y%m%dT%H%M%S}"
    cloud = sum(facts.scl_percent.get(c, 0.0) for c in (8, 9, 10))
    return {
        "created": updated,
        "updated": updated,
        "datetime": _stamp(facts.observed_at_utc),
        "platform": f"sentinel-2{facts.unit[-1].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": round(cloud, 6),
        "proj:epsg": facts.epsg,
        "mgrs:utm_zone": int(facts.tile[:2]),
        "mgrs:latitude_band": facts.tile[2],
        "mgrs:grid_square": facts.tile[3:],
        "grid:code": f"MGRS-{facts.tile}",
        "view:azimuth": 103.0,
        "view:incidence_angle": facts.view_zenith_deg,
        "view:sun_azimuth": facts.sun_azimuth_deg,
        "view:sun_elevation": facts.sun_elevation_deg,
        "s2:nodata_pixel_percentage": round(facts.nodata_percent, 6),
        **{n: round(sum(facts.scl_percent.get(c, 0.0) for c in classes), 6) for n, classes in SCL_PROPERTIES.items()},
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": BASELINE,
        "s2:product_uri": f"{facts.unit}_MSIL2A_{take}_{baseline}_R{facts.relative_orbit:03d}_T{facts.tile}"
        f"_{generated:%Y%m%dT%H%M%S}.SAFE",
        "s2:generation_time": _stamp(generated),
        "s2:datatake_id": f"G{facts.unit}_{take}_0{facts.relative_orbit:05d}_N{BASELINE}",
        "s2:sequence": "0",
        "earthsearch:boa_offset_applied": True,
    }


def _asset(key: str, facts: ItemFacts) -> dict[str, Any]:
    file, title, data_type, roles, band = ASSETS[key]
    raster: dict[str, Any] = {"nodata": 0, "data_type": data_type, "spatial_resolution": 20}
    asset: dict[str, Any] = {"href": f"./{file}", "type": COG_TYPE, "title": title, "gsd": 20, "roles": roles}
    if band:
        raster |= {"scale": SCALE, "offset": STATED_OFFSET}
        name, centre, width = band
        asset["eo:bands"] = [
            {"name": name, "common_name": key, "center_wavelength": centre, "full_width_half_max": width}
        ]
    return asset | {
        "proj:shape": list(facts.shape),
        "proj:transform": list(facts.transform),
        "raster:bands": [raster],
    }


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
