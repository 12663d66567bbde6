"""The square of a scene's own tile, by what its item states: the service fills in of neighbours what lies beyond."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom
from shapely.geometry import mapping, shape

from plumewatch.errors import InputError, reading
from plumewatch.geodesy import split_at_180
from plumewatch.models import Grid

DEGREES_EPSG = 4326  # WGS 84, in which GeoJSON and the bbox of an item are (RFC 7946)
TURN_DEG, POLE_DEG = 360.0, 90.0  # no square of a tile in metres lies within so many of its projection's origin
SMOOTH_PARTS = 20  # of a tile's edge, some 5 km, for its outline in another projection

log = logging.getLogger(__name__)


def own_tile(item: pystac.Item) -> tuple[Any, int] | None:
    """Return the square of the scene's tile and its EPSG code; None where the item doesn't state them.

    A `proj:bbox` of numbers that can't be metres is taken as longitude and latitude, as `bbox` is: what it encloses is
    up to some kilometres wider than the tile. InputError where it isn't where the scene's footprint is.
    """
    with reading(item.id, "proj:code or proj:epsg, and proj:bbox, of the projection extension"):
        code, bbox = item.properties.get("proj:code"), item.properties.get("proj:bbox")
        stated = str(code).removeprefix("EPSG:") if code else item.properties.get("proj:epsg")
        if stated is None or bbox is None:
            return None
        west, south, east, north = map(float, bbox)
        epsg, outline = int(stated), shapely.box(west, south, east, north)
        if CRS.from_epsg(epsg).is_projected and max(abs(west), abs(east)) <= TURN_DEG and _is_latitude(south, north):
            log.warning("%s: proj:bbox %s isn't in metres of EPSG:%d: taken as degrees", item.id, bbox, epsg)
            epsg, outline = DEGREES_EPSG, shapely.box(west, south, east + TURN_DEG * (east < west), north)
        shown = split_at_180(shape(item.geometry)) if item.geometry else None
        if shown is not None and not split_at_180(_on(outline, epsg, DEGREES_EPSG)).intersects(shown):
            found = f"proj:bbox {bbox} in EPSG:{epsg}, which isn't where its footprint is"
            raise InputError(item.id, found, "the tile's edges in metres of proj:code or proj:epsg")
    return outline, epsg


def in_own_tile(item: pystac.Item, grid: Grid) -> NDArray[np.bool_]:
    """Return which cells have their centre in the scene's own tile; all where the item doesn't state it."""
    if (tile := own_tile(item)) is None:
        return np.ones((grid.height, grid.width), dtype=bool)
    outline = _on(*tile, grid.epsg)
    shapely.prepare(outline)
    if outline.contains(shapely.box(*grid.bounds)):
        return np.ones((grid.height, grid.width), dtype=bool)
    return geometry_mask([outline], (grid.height, grid.width), grid.transform, invert=True)


def _is_latitude(south: float, north: float) -> bool:
    return max(abs(south), abs(north)) <= POLE_DEG


def _on(outline: Any, epsg: int, other_epsg: int) -> Any:
    """An outline in another projection."""
    if epsg == other_epsg:
        return outline
    west, south, east, north = outline.bounds
    smooth = shapely.segmentize(outline, max(east - west, north - south) / SMOOTH_PARTS)
    return shape(transform_geom(CRS.from_epsg(epsg), CRS.from_epsg(other_epsg), mapping(smooth)))
