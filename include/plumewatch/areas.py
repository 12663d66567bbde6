"""Areas of interest: files that a user edits, and the grid that all scenes of an area share."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from plumewatch import storage
from plumewatch.area_files import AREA_FILE, NAME, PROPERTIES, SUFFIXES, name_of, read_features, unread_files
from plumewatch.area_geometry import number_of, read_geometry
from plumewatch.errors import InputError, ParameterError, PlumewatchError, reading, redact
from plumewatch.geodesy import TRUE_GRID
from plumewatch.models import DEFAULT_COLLECTION, SENTINEL_HUB, STAC, Area, FailedScene, Grid, OnFailure
from plumewatch.reference.loading import read_reference
from plumewatch.sensors.known import sensor_of_collection
from plumewatch.sensors.sensor import METHANE_BANDS, Sensor
from plumewatch.settings import address_flaw
from plumewatch.statuses import SEARCH_STAGE

CATALOGUES = (STAC, SENTINEL_HUB)
PERCENT = "percent from 0 to 100"
MAX_CELLS = 20_000 * 20_000  # more than a Sentinel-2 tile at 10 m (10,980 x 10,980) three times over
COUNTED_CELLS = 1_000_000  # of a larger grid an area that isn't a hairline holds some
MAX_RESOLUTION_M = 10_000.0
SMALLEST_CELL = 0.995  # of a pixel of the sensor: the least size that methane is looked for in was rounded so
RESOLUTION_STEP = 1.0005  # cells that are larger by so much are tried next, until few enough cover the area
WHOLE_SEARCH = "search"
"""scene_id of a failed_scenes row where a whole search failed, before any scene was known."""

log = logging.getLogger(__name__)


def read_areas(*paths: str, on_failure: OnFailure | None = None) -> list[Area]:
    """Return the areas of all files in the given folders (or of single files), sorted by name.

    With `on_failure`, a file or feature that cannot be used, and areas that have the same name, are told as a failed
    search, by the area's name or else the file's, and the others go on.

    Raises InputError, without `on_failure`, that names the file and the feature where one cannot be used, or where two
    have the same name; ServiceError where a bucket doesn't deliver a file.
    """

    def tell(error: Exception, file: str, where: str, area: str | None = None) -> None:
        if on_failure is None:
            raise error
        scene_id = WHOLE_SEARCH if area else f"{file.rsplit('/', 1)[-1]} {where}".strip()
        on_failure(FailedScene.from_exception(error, scene_id=scene_id, stage=SEARCH_STAGE, area=area, asset=file))

    areas: dict[str, list[Area]] = {}
    for path in paths:
        for file, reason in unread_files(path):
            log.warning("%s: %s", file, reason)
        for file in storage.visible_files(path):
            if file.lower().endswith(SUFFIXES):
                for found in _areas_of(file):
                    if isinstance(found, Area):
                        areas.setdefault(found.name, []).append(found)
                    else:
                        tell(*found)
    for name, found_areas in areas.items():
        if len(found_areas) > 1:
            first, second = (area.file for area in found_areas[:2])
            error = InputError(second, f"area {name!r} is also in {first}", "a name of its own for each area")
            tell(error, second, "", name)
    return [areas[name][0] for name in sorted(areas) if len(areas[name]) == 1]


def log_unreadable(failure: FailedScene) -> None:
    """Name what can't be used of area files in the log: for steps after the search, which records it."""
    log.warning("left out: %s", failure.message)


def _areas_of(file: str) -> Iterator[Area | tuple[Exception, str, str, str | None]]:
    """Yield the areas of a file, and what of it cannot be used: error, file, where in it, and the name if known."""
    try:
        features = read_features(file)
    except (PlumewatchError, OSError) as error:
        yield error, file, "", None
        return
    for where, feature in features:
        properties = feature.get("properties") if isinstance(feature, dict) else None
        stated = properties.get("name") if isinstance(properties, dict) else None
        try:
            with reading(f"{file}, {where}", AREA_FILE):  # GEOS's errors too, of shapes that nobody thought of
                area = _area(file, where, feature)
        except PlumewatchError as error:
            yield error, file, where, stated if isinstance(stated, str) and NAME.fullmatch(stated) else None
        else:
            yield area


def select_areas(areas: list[Area], names: list[str] | None) -> list[Area]:
    """Return the areas called `names`, all where empty; ParameterError lists the known ones."""
    known = {area.name: area for area in areas}
    unknown = sorted(set(names or ()) - known.keys())
    if unknown:
        raise ParameterError(f"unknown area {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    return [known[name] for name in names] if names else areas


def grid_of(area: Area) -> Grid:
    """Return the grid of an area: its CRS or the UTM zone of its centroid, edges at multiples of the resolution.

    Sentinel-2 tiles have their edges at multiples of 20 m too, those of Landsat half a pixel beside multiples of 30 m,
    and so has the grid: a scene in the same zone falls on it unresampled.

    Raises InputError where lengths or directions on it wouldn't be true, or it would have too many cells.
    """
    epsg, resolution = _epsg(area), area.resolution_m
    left, top, width, height = _lattice(_extent(area, epsg), resolution, _sensor(area).edge_m)
    grid = Grid(epsg, left, top, resolution, width, height)
    if grid.width * grid.height > MAX_CELLS:
        raise InputError(
            area.file,
            f"area {area.name!r} has {grid.width} x {grid.height} cells of {resolution} m",
            f"at most {MAX_CELLS} cells: split the area or take a coarser resolution_m",
        )
    if not (distortion := grid.distortion).is_allowed:
        found = f"area {area.name!r} on {grid.crs} has {distortion}"
        raise InputError(area.file, found, f"{TRUE_GRID}; without crs it is on the UTM zone of its centre")
    return grid


def _extent(area: Area, epsg: int) -> tuple[float, float, float, float]:
    """West, south, east, north in metres."""
    extent = _transformer(epsg).transform_bounds(*area.geometry.bounds, densify_pts=21)
    if not all(map(math.isfinite, extent)):
        raise InputError(area.file, f"area {area.name!r} lies where EPSG:{epsg} has no places", "a CRS made for there")
    return extent


def _lattice(
    extent: tuple[float, float, float, float], resolution: float, edge_m: float
) -> tuple[float, float, int, int]:
    """Left and upper edge in metres, and how many columns and rows of cells cover the extent."""
    west, south, east, north = extent
    left = math.floor((west - edge_m) / resolution) * resolution + edge_m
    top = math.ceil((north - edge_m) / resolution) * resolution + edge_m
    return left, top, math.ceil((east - left) / resolution), math.ceil((top - south) / resolution)


@lru_cache(maxsize=64)
def _transformer(epsg: int) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)


def _epsg(area: Area) -> int:
    if area.crs is None:
        centre = area.geometry.centroid
        return _sensor(area).utm_epsg(centre.x, centre.y)
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


def _area(file: str, where: str, feature: Any) -> Area:
    def refuse(found: str, allowed: str) -> InputError:
        return InputError(file, f"{where}: {found}", allowed)

    if not isinstance(feature, dict):
        raise refuse("null" if feature is None else f"a {type(feature).__name__}", "a Feature")
    stated = feature.get("properties") or {}
    if not isinstance(stated, dict):
        raise refuse(f"properties that are a {type(stated).__name__}", "an object of names and values")
    properties = {k: v.strip() if isinstance(v, str) else v for k, v in stated.items() if v is not None}
    if unknown := sorted(map(str, properties.keys() - set(PROPERTIES))):
        log.warning("%s: %s: not used: %s; known: %s", file, where, ", ".join(unknown), ", ".join(PROPERTIES))
    name = name_of(file, properties)
    if not NAME.fullmatch(name):
        raise refuse(f"name {name!r}", "letters, digits, '-' and '_': it becomes a folder")
    catalogue = str(properties.get("catalogue", STAC))
    if catalogue not in CATALOGUES:
        raise refuse(f"catalogue {catalogue!r}", " or ".join(CATALOGUES))
    for one in ("stac_api", "collection", "evalscript"):
        if not isinstance(properties.get(one, ""), str):
            raise refuse(f"{one} {properties[one]!r}", "a text")
    if flaw := address_flaw(properties.get("stac_api") or "http://none"):
        raise refuse(f"stac_api {redact(properties['stac_api'])!r}: {flaw}", "an address such as https://host/v1")
    if catalogue == SENTINEL_HUB and properties.get("collection", DEFAULT_COLLECTION) != DEFAULT_COLLECTION:
        raise refuse(
            f"collection {properties['collection']!r} of {SENTINEL_HUB}", f"{DEFAULT_COLLECTION}, or none stated"
        )
    sensor = sensor_of_collection(properties.get("collection"))
    if allowed := sensor.flaw_of_collection(properties.get("collection") or ""):
        raise refuse(f"collection {properties['collection']!r}", allowed)
    if catalogue == SENTINEL_HUB and str(properties.get("cloud_mask", "scl")).lower() != "scl":
        raise refuse(f"cloud_mask {properties['cloud_mask']!r} of {SENTINEL_HUB}", "scl, or none stated")
    if "evalscript" in properties and catalogue != SENTINEL_HUB:
        raise refuse(f"an evalscript for the catalogue {catalogue}", f"the catalogue {SENTINEL_HUB}, or no evalscript")
    resolution = number_of(properties.get("resolution_m", sensor.pixel_m))
    if resolution is None or not 0 < resolution <= MAX_RESOLUTION_M:
        raise refuse(f"resolution_m {properties.get('resolution_m')!r}", f"metres between 0 and {MAX_RESOLUTION_M:g}")
    crs = properties.get("crs")
    area = Area(
        name=name,
        geometry=read_geometry(feature, properties, refuse),
        catalogue=catalogue,
        stac_api=properties.get("stac_api") or None,
        collection=properties.get("collection"),
        bands=_bands(properties.get("bands"), sensor, refuse),
        crs=None if crs is None else str(crs),
        resolution_m=resolution,
        max_items=_count(properties, "max_items", refuse),
        evalscript=_beside(file, properties.get("evalscript")),
        file=file,
        **_clouds(properties, sensor, refuse),
    )
    width_px, height_px = (_count(properties, one, refuse) for one in ("width_px", "height_px"))
    if "resolution_m" not in properties and (width_px or height_px):
        if not (width_px and height_px):
            raise refuse("only one of width_px and height_px", "both, or resolution_m")
        area = _with_most_cells(area, width_px, height_px, refuse)
    _check_cells(area, refuse)
    return area


def _beside(file: str, path: str | None) -> str | None:
    """A path that is written in an area's file: from that file's folder on, unless it is a whole one."""
    if path is None or "://" in path or path.startswith("/"):
        return path
    return storage.join(storage.parent(file), path)


def _clouds(properties: dict[str, Any], sensor: Sensor, refuse: Any) -> dict[str, Any]:
    """Return what a feature says of clouds, by the names of Area."""
    found: dict[str, Any] = {}
    for name, most, allowed in (
        ("cloud_dilation_m", MAX_RESOLUTION_M, f"metres from 0 to {MAX_RESOLUTION_M:g}"),
        ("max_cloud_cover", 100.0, PERCENT),
        ("max_cloud_probability", 100.0, PERCENT),
    ):
        if name in properties:
            found[name] = number_of(properties[name])
            if found[name] is None or not 0 <= found[name] <= most:
                raise refuse(f"{name} {properties[name]!r}", allowed)
            if allowed == PERCENT and 0 < found[name] < 1:
                raise refuse(f"{name} {properties[name]!r}, less than one percent", f"{PERCENT}: 40, and not 0.4")
    if "cloud_mask" in properties:
        found["cloud_mask"] = str(properties["cloud_mask"]).lower()
        if found["cloud_mask"] not in sensor.cloud_masks:
            raise refuse(f"cloud_mask {properties['cloud_mask']!r} of {sensor.title}", ", ".join(sensor.cloud_masks))
    if "clear_classes" in properties:
        stated, last = properties["clear_classes"], read_reference("sentinel2.json")["scene_classification"]["last"]
        numbers = [number_of(one) for one in (stated if isinstance(stated, list) else re.split(r"[,\s]+", str(stated)))]
        if not numbers or not all(n is not None and n.is_integer() and 0 < n <= last for n in numbers):
            raise refuse(f"clear_classes {stated!r}", f"classes of the scene classification, 1 to {last}")
        found["clear_classes"] = tuple(sorted({int(n) for n in numbers if n is not None}))
    return found


def _with_most_cells(area: Area, width_px: int, height_px: int, refuse: Any) -> Area:
    """Return the area with the smallest cells, not below those of the methane bands, of which so many cover it."""
    extent, sensor = _extent(area, _epsg(area)), _sensor(area)
    resolution = max((extent[2] - extent[0]) / width_px, (extent[3] - extent[1]) / height_px)
    if _is_for_methane(area):
        resolution = max(resolution, sensor.pixel_m)
    while resolution <= MAX_RESOLUTION_M:
        _, _, width, height = _lattice(extent, resolution, sensor.edge_m)
        if width <= width_px and height <= height_px:
            return replace(area, resolution_m=float(resolution))
        resolution *= RESOLUTION_STEP
    raise refuse(
        f"width_px {width_px} and height_px {height_px}", f"so many that cells are at most {MAX_RESOLUTION_M:g} m"
    )


def _sensor(area: Area) -> Sensor:
    return sensor_of_collection(area.collection)


def _is_for_methane(area: Area) -> bool:
    return set(METHANE_BANDS) <= set(area.bands)


def _check_cells(area: Area, refuse: Any) -> None:
    """Refuse cells that the detection isn't tuned for, and an area in which no cell has its centre."""
    import shapely

    least, most = methane_pixel_sizes_m()
    least = max(least, SMALLEST_CELL * _sensor(area).pixel_m)
    if _is_for_methane(area) and not least <= area.resolution_m <= most:
        raise refuse(
            f"cells of {area.resolution_m:g} m (resolution_m, or width_px and height_px)",
            f"{least:g} to {most:g} m, what the methane detection is tuned for, or other bands than B11 and B12",
        )
    grid = grid_of(area)
    if grid.width * grid.height > COUNTED_CELLS:
        return
    outline = shapely.transform(area.geometry, _transformer(grid.epsg).transform, interleaved=False)
    x = grid.west + (np.arange(grid.width) + 0.5) * grid.resolution_m
    y = grid.north - (np.arange(grid.height) + 0.5) * grid.resolution_m
    inside = outline.representative_point()
    if shapely.contains_xy(outline, x[np.abs(x - inside.x).argmin()], y[np.abs(y - inside.y).argmin()]):
        return  # so it is of all but slivers, which are asked cell by cell
    if not shapely.contains_xy(outline, *np.meshgrid(x, y)).any():
        raise refuse(
            f"area {area.name!r}, smaller than a pixel: no cell of {grid.resolution_m:g} m has its centre in it",
            "an area that holds the centre of a cell: some hundred metres around a source",
        )


@lru_cache(maxsize=1)
def methane_pixel_sizes_m() -> tuple[float, float]:
    """Return the least and the largest pixel that the methane detection is tuned for."""
    least, most = read_reference("methane_detection.yaml")["pixels"]["sizes_m"]["value"]
    return float(least), float(most)


def _count(properties: dict[str, Any], name: str, refuse: Any) -> int | None:
    if name not in properties:
        return None
    number = number_of(properties[name])
    if number is None or number < 1 or not number.is_integer():
        raise refuse(f"{name} {properties[name]!r}", "a whole number of at least 1")
    return int(number)


def _bands(value: Any, sensor: Sensor, refuse: Any) -> tuple[str, ...]:
    if value is None:
        return METHANE_BANDS
    names = value if isinstance(value, list) else re.split(r"[,\s]+", str(value).strip("[] "))
    bands = tuple(
        dict.fromkeys(sensor.aliases.get(str(n).strip("'\" ").lower(), str(n).strip("'\" ").upper()) for n in names)
    )
    unknown = [b for b in bands if b not in sensor.bands]
    if unknown or not bands:
        allowed = f"{', '.join(sensor.bands)} and the aliases {', '.join(sensor.aliases)} of {sensor.title}"
        raise refuse(f"bands {unknown or value!r}", allowed)
    return bands
