"""Areas of interest: files that a user edits, and the grid that all scenes of an area share."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from plumewatch import storage
from plumewatch.constants import METRES_PER_KM
from plumewatch.errors import ConfigurationError, InputError
from plumewatch.geodesy import great_circle_distance_km, utm_epsg
from plumewatch.models import Area, Grid

SUFFIXES = (".geojson", ".json", ".gpkg", ".shp")
CATALOGUES = ("stac", "sentinel_hub")
BAND_ALIASES = {
    "swir16": "B11",
    "swir1": "B11",
    "swir22": "B12",
    "swir2": "B12",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "nir": "B08",
    "nir08": "B8A",
}  # earth-search and Landsat names
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
METHANE_BANDS = ("B11", "B12")
SENTINEL2_SWIR_RESOLUTION_M = 20.0  # of B11 and B12, Sentinel-2 User Handbook
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
MAX_CELLS = 20_000 * 20_000  # more than a Sentinel-2 tile at 10 m (10,980 x 10,980) three times over


def read_areas(*paths: str) -> list[Area]:
    """Return the areas of all files in the given folders (or of single files), sorted by name.

    Raises InputError that names the file and the feature where one cannot be used, or where two have the same name.
    """
    areas: dict[str, Area] = {}
    for path in paths:
        for file in storage.list_files(path):
            if file.lower().endswith(SUFFIXES):
                for area in _read_file(file):
                    if area.name in areas:
                        raise InputError(
                            file,
                            f"area {area.name!r} is also in {areas[area.name].file}",
                            "a name of its own for each area",
                        )
                    areas[area.name] = area
    return [areas[name] for name in sorted(areas)]


def select_areas(areas: list[Area], names: list[str] | None) -> list[Area]:
    """Return the areas called `names`, all where empty; ConfigurationError lists the known ones."""
    known = {area.name: area for area in areas}
    unknown = sorted(set(names or ()) - known.keys())
    if unknown:
        raise ConfigurationError(f"unknown area {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    return [known[name] for name in names] if names else areas


def grid_of(area: Area) -> Grid:
    """Return the grid of an area: its CRS or the UTM zone of its centroid, edges at multiples of the resolution.

    Sentinel-2 tiles have their edges at multiples of 20 m too: a scene in the same zone falls on it unresampled.
    """
    from pyproj import Transformer

    epsg = _epsg(area)
    resolution = area.resolution_m
    project: Any = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)
    west, south, east, north = project.transform_bounds(*area.geometry.bounds, densify_pts=21)
    left, top = math.floor(west / resolution) * resolution, math.ceil(north / resolution) * resolution
    grid = Grid(
        epsg, left, top, resolution, math.ceil((east - left) / resolution), math.ceil((top - south) / resolution)
    )
    if grid.width * grid.height > MAX_CELLS:
        raise InputError(
            area.file,
            f"area {area.name!r} has {grid.width} x {grid.height} cells of {resolution} m",
            f"at most {MAX_CELLS} cells: split the area or take a coarser resolution_m",
        )
    return grid


def _epsg(area: Area) -> int:
    if area.crs is None:
        centre = area.geometry.centroid
        return utm_epsg(centre.x, centre.y)
    match = re.fullmatch(r"(?i)(?:EPSG:)?(\d{4,6})", area.crs)
    if not match:
        raise InputError(
            area.file, f"area {area.name!r} has crs {area.crs!r}", "EPSG:<number> of a projected CRS in metres"
        )
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_epsg(int(match[1]))
    except CRSError as error:
        raise InputError(area.file, f"area {area.name!r} has crs {area.crs}", "an EPSG code that exists") from error
    if not crs.is_projected or crs.axis_info[0].unit_name != "metre":
        raise InputError(area.file, f"area {area.name!r} has crs {area.crs} ({crs.name})", "a projected CRS in metres")
    return int(match[1])


def _read_file(file: str) -> list[Area]:
    if file.lower().endswith((".geojson", ".json")):
        try:
            content = json.loads(storage.read_bytes(file))
        except ValueError as error:
            raise InputError(
                file, f"not JSON ({error})", "a GeoJSON FeatureCollection, Feature, Polygon or MultiPolygon"
            ) from error
        features = _geojson_features(content)
    else:
        features = _vector_features(file)
    if not features:
        raise InputError(file, "no features", "one feature an area")
    return [_area(file, number, feature) for number, feature in enumerate(features, 1)]


def _geojson_features(content: Any) -> list[dict[str, Any]]:
    """The features of a FeatureCollection, a Feature, or a bare geometry."""
    if not isinstance(content, dict):
        return []
    if "coordinates" in content:
        return [{"geometry": content}]
    return content.get("features", [content])


def _vector_features(file: str) -> list[dict[str, Any]]:
    import geopandas
    from pyogrio.errors import DataSourceError

    try:
        with storage.local_copy(file) as local:
            frame = geopandas.read_file(local)
    except DataSourceError as error:
        raise InputError(file, f"not readable ({error})", "a GeoPackage or Shapefile") from error
    if frame.crs is None:
        raise InputError(file, "no coordinate reference system", "a file that states its CRS")
    return json.loads(frame.to_crs(4326).to_json())["features"]


def _area(file: str, number: int, feature: dict[str, Any]) -> Area:
    properties = {k: v for k, v in (feature.get("properties") or {}).items() if v is not None}
    where = f"feature {number}"

    def refuse(found: str, allowed: str) -> InputError:
        return InputError(file, f"{where}: {found}", allowed)

    name = str(properties.get("name", "") or Path(file).stem)
    if not NAME.fullmatch(name):
        raise refuse(f"name {name!r}", "letters, digits, '-' and '_': it becomes a folder")
    catalogue = str(properties.get("catalogue", "stac"))
    if catalogue not in CATALOGUES:
        raise refuse(f"catalogue {catalogue!r}", " or ".join(CATALOGUES))
    geometry = _geometry(feature, properties, refuse)
    resolution = _resolution_m(geometry, properties)
    if resolution is None or not 0 < resolution <= 10_000:
        raise refuse(f"resolution_m {properties.get('resolution_m')!r}", "metres between 0 and 10000")
    cloud = properties.get("max_cloud_cover")
    if cloud is not None and (_number(cloud) is None or not 0 <= float(cloud) <= 100):
        raise refuse(f"max_cloud_cover {cloud!r}", "percent from 0 to 100")
    max_items = properties.get("max_items")
    if max_items is not None and (_number(max_items) is None or int(max_items) < 1):
        raise refuse(f"max_items {max_items!r}", "a number of at least 1")
    crs = properties.get("crs")
    return Area(
        name=name,
        geometry=geometry,
        catalogue=catalogue,
        stac_api=properties.get("stac_api"),
        collection=properties.get("collection"),
        max_cloud_cover=None if cloud is None else float(cloud),
        bands=_bands(properties.get("bands"), refuse),
        crs=None if crs is None else str(crs),
        resolution_m=resolution,
        max_items=None if max_items is None else int(max_items),
        file=file,
    )


def _resolution_m(geometry: Any, properties: dict[str, Any]) -> float | None:
    """The stated resolution; else the square cell by which width_px x height_px cells cover the area; else 20 m."""
    if "resolution_m" in properties or not {"width_px", "height_px"} <= properties.keys():
        return _number(properties.get("resolution_m", SENTINEL2_SWIR_RESOLUTION_M))
    width, height = _number(properties["width_px"]), _number(properties["height_px"])
    if not width or not height:
        return None
    west, south, east, north = geometry.bounds
    middle = (south + north) / 2
    wide_km = great_circle_distance_km(west, middle, (west + east) / 2, middle) * 2
    high_km = great_circle_distance_km(west, south, west, north)
    return float(max(wide_km / width, high_km / height)) * METRES_PER_KM


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _bands(value: Any, refuse: Any) -> tuple[str, ...]:
    if value is None:
        return METHANE_BANDS
    names = value if isinstance(value, list) else re.split(r"[,\s]+", str(value).strip("[] "))
    bands = tuple(
        dict.fromkeys(BAND_ALIASES.get(str(n).strip("'\" ").lower(), str(n).strip("'\" ").upper()) for n in names)
    )
    unknown = [b for b in bands if b not in BANDS]
    if unknown or not bands:
        raise refuse(f"bands {unknown or value!r}", ", ".join(BANDS) + " and the aliases " + ", ".join(BAND_ALIASES))
    return bands


def _geometry(feature: dict[str, Any], properties: dict[str, Any], refuse: Any) -> Any:
    import shapely
    from shapely.geometry import box, shape

    bbox = properties.get("bbox")
    if feature.get("geometry"):
        try:
            geometry = shape(feature["geometry"])
        except (shapely.errors.ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise refuse(f"geometry that cannot be read ({error})", "a Polygon or MultiPolygon") from error
    elif bbox is not None:
        corners = bbox if isinstance(bbox, list) else re.split(r"[,\s]+", str(bbox).strip("[] "))
        numbers = [_number(c) for c in corners]
        if len(numbers) != 4 or None in numbers:
            raise refuse(f"bbox {bbox!r}", "west, south, east, north in degrees")
        geometry = box(*numbers)
    else:
        raise refuse("neither a geometry nor a bbox", "a Polygon, a MultiPolygon or the property bbox")
    if geometry.geom_type not in ("Polygon", "MultiPolygon") or geometry.is_empty:
        raise refuse(
            f"a {geometry.geom_type}{' that is empty' if geometry.is_empty else ''}", "a Polygon or MultiPolygon"
        )
    if not geometry.is_valid:
        raise refuse(
            f"geometry that is not valid ({shapely.is_valid_reason(geometry)})", "a polygon that does not cross itself"
        )
    west, south, east, north = geometry.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise refuse(
            f"bounds {geometry.bounds}", "longitude from -180 to 180 and latitude from -90 to 90 degrees (WGS 84)"
        )
    return geometry
