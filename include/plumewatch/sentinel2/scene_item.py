"""The STAC item beside a stacked scene: what it shows, where it came from, how it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pystac
import rasterio
import shapely
from shapely.geometry import mapping

from plumewatch import __version__
from plumewatch.errors import reading, redact
from plumewatch.geodesy import degrees_of
from plumewatch.models import Area, Grid
from plumewatch.rasters.regrid import lonlat_bounds
from plumewatch.sensors.known import sensor_of_collection
from plumewatch.sensors.sensor import ReflectanceRule, Sensor
from plumewatch.sensors.sentinel2 import QUANTIFICATION, SENTINEL2
from plumewatch.sentinel2.bands import SURROUNDINGS_M
from plumewatch.sentinel2.granule_angles import GranuleAngles
from plumewatch.sentinel2.reflectance import NODATA
from plumewatch.sentinel2.scene import is_level_1c, observed_at_utc
from plumewatch.sun import solar_angles_deg

COG = pystac.MediaType.COG
EXTENSIONS = {
    "classification": "https://stac-extensions.github.io/classification/v1.1.0/schema.json",
    "eo": "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "grid": "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "proj": "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.1.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "sat": "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
    "view": "https://stac-extensions.github.io/view/v1.0.0/schema.json",
}
COPIED = ("processing:datetime", "published", "created", "updated", "deprecated")
"""By these, and those of the sensor, products of one acquisition are known, and which of them is the newest."""
FOOTPRINT = "plumewatch:source_footprint"
"""Property with the geometry of the source item: what the product shows, wherever the area is."""
RECIPE = "plumewatch:recipe"
"""Property with a fingerprint of all that a scene depends on: those that were stacked elsewhere have none."""
SOURCE_PIXEL_M = "plumewatch:source_pixel_m"
"""Property with the size of the source's pixels by band: cells that are smaller are copies."""
SOURCE_CONTENT = "plumewatch:source_content"
"""Property by which a look at the catalogue tells whether it has the same product (`scene.content_of`)."""
RIGHT_ANGLE_DEG = 90.0
BY_GRANULE = "mean of the tile, by the granule's metadata"


@dataclass(frozen=True)
class SceneFacts:
    """What stacking adds to what the source item says."""

    area: Area
    """The area of interest."""
    grid: Grid
    """Its grid, which the rasters are on."""
    bands: tuple[str, ...]
    """Bands of the stack, in their order."""
    rule: ReflectanceRule
    """How digital numbers became reflectance."""
    n_clipped: int
    """Valid pixels below reflectance 0.0001, which are 0.0001 now."""
    source_pixel_m: Mapping[str, float]
    """Size of the source's pixels by band."""
    cloud_cover_percent: float | None
    """Of what is seen of the area; None where nothing was valid."""
    covered_fraction: float
    """What is seen of the area."""
    cloud_from: str | None
    """Where the cloud probability comes from, None where there is none."""
    class_percent: Mapping[str, float]
    """How much of what is seen of the area is of each class of the classification, by name."""
    angles: GranuleAngles | None
    """Of the granule, where the source item doesn't state its own."""
    recipe: str
    """Fingerprint of all that the scene depends on."""
    source_content: str
    """Fingerprint of what the source item says of its product."""
    files: dict[str, tuple[int, str]]
    """Size in bytes and checksum of the rasters `data`, `scl`, `cloud`, `around`."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it; goes before what is said here."""


def build_item(source: pystac.Item, facts: SceneFacts) -> dict[str, Any]:
    """Return the STAC item of a stacked scene as a dict, without any time of its own making."""
    west, south, east, north = lonlat_bounds(facts.grid)
    made_from, sensor = redact(source.get_self_href() or source.id), sensor_of_collection(facts.area.collection)
    with reading(made_from, f"an item of {sensor.title}"):
        properties = _properties(source, facts, sensor)
        observed_at = observed_at_utc(source.id, source.properties)
    item = pystac.Item(
        id=source.id,
        geometry=mapping(shapely.box(west, south, east, north)),
        bbox=[west, south, east, north],
        datetime=observed_at,
        properties=properties,
        stac_extensions=[url for prefix, url in sorted(EXTENSIONS.items()) if _is_used(prefix, properties)],
        collection=None,
        assets=_assets(source.id, facts, sensor),
    )
    item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, made_from, pystac.MediaType.GEOJSON))
    # Without resolving links: looking for the root of the source's catalogue would be a request.
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def grid_properties(grid: Grid) -> dict[str, Any]:
    """Return what an item says of the grid that its rasters are on."""
    return {
        "gsd": grid.resolution_m,
        "proj:epsg": grid.epsg,
        "proj:shape": [grid.height, grid.width],
        "proj:transform": list(grid.transform)[:6],
    }


def _is_used(prefix: str, properties: dict[str, Any]) -> bool:
    return prefix in ("classification", "eo", "file", "raster") or any(
        name.startswith(f"{prefix}:") for name in properties
    )


def _properties(source: pystac.Item, facts: SceneFacts, sensor: Sensor) -> dict[str, Any]:
    stated = source.properties
    grid = facts.grid
    is_l1c = is_level_1c(source.collection_id)
    kind = "L1C top-of-atmosphere reflectance" if is_l1c else sensor.level
    incidence, view_from = stated.get("view:incidence_angle"), "as stated"
    if incidence is None and facts.angles is not None:
        incidence, view_from = facts.angles.view_zenith_deg, BY_GRANULE
    elif incidence is None:
        view_from = "not stated by the source, 0 is used"
    elevation, azimuth, sun_from = _sun(source, grid, facts.angles)
    properties = {
        "platform": sensor.platform(source.id, stated),
        "constellation": sensor.name,
        "instruments": list(sensor.instruments),
        **grid_properties(grid),
        "eo:cloud_cover": facts.cloud_cover_percent,
        "sat:relative_orbit": sensor.relative_orbit(stated),
        "view:sun_elevation": elevation,
        "view:sun_azimuth": azimuth,
        "view:incidence_angle": incidence,
        "processing:level": kind.split()[0],
        "processing:lineage": "Cut out, put on the area's grid and stacked from the assets of the source item",
        "processing:software": {"plumewatch": __version__, "gdal": rasterio.__gdal_version__},
        "plumewatch:area": facts.area.name,
        "plumewatch:covered_fraction": facts.covered_fraction,
        "plumewatch:cloud_probability": facts.cloud_from,
        "plumewatch:source_mask": {"name": sensor.mask, **sensor.mask_meanings},
        "plumewatch:class_percent": dict(facts.class_percent),
        "plumewatch:tile_cloud_cover": stated.get("eo:cloud_cover"),
        "plumewatch:reflectance": {
            "kind": kind,
            "source_scale": facts.rule.scale,
            "source_offset": facts.rule.offset,
            "decided_by": facts.rule.reason,
            "clipped_pixels": facts.n_clipped,
        },
        "plumewatch:view_zenith": view_from,
        "plumewatch:sun": sun_from,
        SOURCE_PIXEL_M: {band: size for band, size in facts.source_pixel_m.items() if math.isfinite(size)},
        FOOTPRINT: source.geometry,
        RECIPE: facts.recipe,
        SOURCE_CONTENT: facts.source_content,
        **{name: stated.get(name) for name in (*sensor.copied, *COPIED)},
        **facts.properties,
    }
    return {name: value for name, value in properties.items() if value is not None}


def _sun(source: pystac.Item, grid: Grid, angles: GranuleAngles | None) -> tuple[float, float | None, str]:
    """Return elevation and azimuth of the sun in degrees, and where they come from.

    By the item, else by the granule's metadata. Where neither has an elevation both are computed for the middle of the
    grid: a scene's angles differ from that by less than a degree.
    """
    stated = source.properties
    elevation, zenith = stated.get("view:sun_elevation"), stated.get("s2:mean_solar_zenith")
    azimuth = stated.get("view:sun_azimuth", stated.get("s2:mean_solar_azimuth"))
    if elevation is None and zenith is not None:
        elevation = RIGHT_ANGLE_DEG - float(zenith)
    if elevation is not None:
        return float(elevation), azimuth, "as stated"
    if angles is not None:
        return round(RIGHT_ANGLE_DEG - angles.sun_zenith_deg, 6), angles.sun_azimuth_deg, BY_GRANULE
    west, north, east, south = grid.west, grid.north, grid.bounds[2], grid.bounds[1]
    longitude, latitude = degrees_of(grid.crs).transform((west + east) / 2, (north + south) / 2)
    time = observed_at_utc(source.id, stated).timestamp()
    computed, azimuth = (round(float(angle), 2) for angle in solar_angles_deg(longitude, latitude, time))
    return round(RIGHT_ANGLE_DEG - computed, 2), azimuth, "not stated by the source, computed from time and place"


def _assets(scene_id: str, facts: SceneFacts, sensor: Sensor) -> dict[str, pystac.Asset]:
    resolution = {"spatial_resolution": facts.grid.resolution_m}
    reflectance = {"data_type": "uint16", "nodata": NODATA, "scale": 1.0 / QUANTIFICATION, "offset": 0.0, **resolution}
    classes = {"raster:bands": [{"data_type": "uint8", "nodata": 0, **resolution}], **SENTINEL2.mask_meanings}
    described: dict[str, tuple[str, str, dict[str, Any]]] = {
        "data": (
            f"{scene_id}.tif",
            "Reflectance x 10000: " + ", ".join(facts.bands),
            {"eo:bands": [sensor.eo_band(b) for b in facts.bands], "raster:bands": [reflectance] * len(facts.bands)},
        ),
        "scl": (
            f"{scene_id}_scl.tif",
            "Scene classification",
            classes,
        ),
        "around": (
            f"{scene_id}_around.tif",
            f"Scene classification, and that of the surroundings (up to {SURROUNDINGS_M:g} m) of the grid",
            classes,
        ),
        "cloud": (
            f"{scene_id}_cloud.tif",
            "Cloud probability",
            {"raster:bands": [{"data_type": "uint8", "nodata": 255, "unit": "%", **resolution}]},
        ),
    }
    assets = {}
    for kind, (size, file_checksum) in facts.files.items():
        href, title, fields = described[kind]
        fields = {**fields, "file:size": size, "file:checksum": file_checksum}
        assets[kind] = pystac.Asset(f"./{href}", title=title, media_type=COG, roles=["data"], extra_fields=fields)
    return assets
