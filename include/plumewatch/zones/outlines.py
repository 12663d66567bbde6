"""Outlines of zones: in degrees, to find the area that holds most of one, and on the grid that it is counted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from plumewatch.geodesy import AroundPoleError, polygons_of, split_at_180, wrap_longitude
from plumewatch.models import Grid
from plumewatch.zones.zone import Zone

WGS84 = CRS.from_epsg(4326)
HALF_TURN_DEG, POLE_DEG = 180.0, 90.0
WIDE_DEG = 60.0  # a metre of UTM is two at 77 degrees from its meridian, and none at 90
AROUND_GRID_DEG = 1.0
PIECES = 20  # of a side whose ends are far apart


def lonlat_shapes(zones: Sequence[Zone], crs: CRS) -> list[Any]:
    """Return the shapes (shapely) in degrees, within -180 to 180, in two pieces where they lie over 180 degrees.

    A side of more than half a turn runs over 180 degrees instead, but one of a whole turn around the globe. Raises
    ValueError where one of the shapes holds nothing, read so.
    """
    is_shifted = is_in_degrees(crs) and not crs.equals(WGS84, ignore_axis_order=True)
    own = [within_180(zone.shape) if is_shifted else zone.shape for zone in zones]
    found = []
    for one, shape in zip(own, shapes_in(own, crs, WGS84), strict=True):
        west, _, east, _ = (one if is_shifted else shape).bounds  # 180 degrees of another datum may be -179.999 here
        if (is_shifted or crs.is_projected) and east - west > HALF_TURN_DEG:
            [shape] = shapes_in([_by_small_steps(one)], crs, WGS84)  # so it is told on which side it is
        found.append(within_180(shape))
    return found


def is_in_degrees(crs: CRS) -> bool:
    """Whether a system is of longitude and latitude in degrees."""
    return bool(crs.is_geographic and crs.axis_info[0].unit_name == "degree")


def shapes_on(grid: Grid, zones: Sequence[Zone], crs: CRS, outlines: Sequence[Any]) -> list[Any]:
    """Return the shapes in the grid's system, corner by corner, valid.

    Of zones so wide that the grid's system doesn't reach all of their corners it is what lies around the grid, by their
    `outlines` in degrees.
    """
    system = CRS.from_epsg(grid.epsg)
    shapes = shapes_in([zone.shape for zone in zones], crs, system)
    boxes = shapely.get_parts(outline_of(grid).buffer(AROUND_GRID_DEG))
    around = shapely.union_all(shapely.envelope(boxes))
    for i, outline in enumerate(outlines):
        if not np.isfinite(shapes[i].bounds).all() or _width_deg(outline) > WIDE_DEG:
            [shapes[i]] = shapes_in([shapely.intersection(outline, around)], WGS84, system)
        if not shapes[i].is_valid:  # straight sides are others in another system: a hole may touch what it was beside
            shapes[i] = shapely.make_valid(shapes[i], method="structure", keep_collapsed=False)
    return shapes


def outline_of(grid: Grid) -> Any:
    """Return the outline of a grid in degrees, in two pieces over 180 degrees."""
    box = shapely.segmentize(shapely.box(*grid.bounds), max(grid.width, grid.height) * grid.resolution_m / PIECES)
    [outline] = shapes_in([box], CRS.from_epsg(grid.epsg), WGS84)
    west, _, east, _ = outline.bounds
    return split_at_180(outline) if east - west > HALF_TURN_DEG else outline


def shapes_in(shapes: Sequence[Any], crs: CRS, wanted: CRS) -> list[Any]:
    """Return shapes (shapely) of system `crs` in another one, corner by corner."""
    import geopandas

    return list(geopandas.GeoSeries(shapes, crs=crs).to_crs(wanted))


def _by_small_steps(shape: Any) -> Any:
    west, south, east, north = shape.bounds
    return shapely.segmentize(shape, max(east - west, north - south) / PIECES)


def within_180(shape: Any) -> Any:
    """Return a shape of a system in degrees as `lonlat_shapes` does, valid where it is over 180 degrees.

    ValueError where it holds nothing.
    """
    west, _, east, _ = shape.bounds
    if not shapely.get_dimensions(shape):  # points
        return shapely.transform(shape, lambda places: np.column_stack([wrap_longitude(places[:, 0]), places[:, 1]]))
    if west >= -HALF_TURN_DEG and east <= HALF_TURN_DEG and east - west <= HALF_TURN_DEG:
        return shape
    polygons = polygons_of(shapely.union_all([_polygon_within_180(part) for part in shapely.get_parts(shape)]))
    if not polygons:
        raise ValueError("a polygon without an area")
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


def _polygon_within_180(polygon: Any) -> Any:
    try:
        return split_at_180(polygon)
    except AroundPoleError:
        holes = [_polygon_within_180(shapely.Polygon(hole)) for hole in polygon.interiors]
        return shapely.difference(_around_pole(polygon), shapely.union_all(holes))


def _around_pole(polygon: Any) -> Any:
    """What lies between the outer ring of a polygon, around a pole, and the pole."""
    longitude, latitude = shapely.get_coordinates(polygon.exterior).T
    longitude = np.unwrap(longitude, period=2 * HALF_TURN_DEG)
    pole = np.copysign(POLE_DEG, latitude.mean())
    ends = [(longitude[-1], pole), (longitude[0], pole)]
    band = shapely.make_valid(shapely.Polygon([*zip(longitude, latitude, strict=True), *ends]))
    parts = []
    for turn in (-2, -1, 0, 1, 2):
        middle = 2 * HALF_TURN_DEG * turn
        piece = band.intersection(shapely.box(middle - HALF_TURN_DEG, -POLE_DEG, middle + HALF_TURN_DEG, POLE_DEG))
        parts.append(shapely.transform(piece, lambda places, middle=middle: places - [middle, 0.0]))
    return shapely.union_all(parts)


def _width_deg(outline: Any) -> float:
    bounds = shapely.bounds(shapely.get_parts(outline))
    return float((bounds[:, 2] - bounds[:, 0]).max())
