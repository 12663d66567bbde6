"""Hexagons of H3 as zones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h3
import shapely
from pyproj import CRS, Geod

from plumewatch.errors import InputError
from plumewatch.zones.zone import Zone, Zones

RESOLUTIONS = range(16)  # of H3
MOST_HEXAGONS = 1_000_000  # of one month: some minutes, and a table of some gigabytes
WGS84 = CRS.from_epsg(4326)


def hexagons_over(outlines: Iterable[Any], resolution: int, cell_m: float) -> Zones:
    """Return the hexagons of a resolution that have a part in one of the outlines (shapely, WGS 84 in degrees).

    Their ids are H3's, 15 hexadecimal digits. As with polygons, a cell is in the hexagon that holds its centre; the
    edges are straight in the raster's coordinates, which differ from H3's great circles by less than a metre where
    hexagons have up to some kilometres.

    Raises InputError where the hexagons are smaller than a cell of `cell_m` metres, or too many.
    """
    argument, area_m2 = f"--h3-resolution {resolution}", h3.average_hexagon_area(resolution, "m^2")
    if area_m2 < cell_m**2:
        found = f"hexagons of {area_m2:.3g} m2, cells of {cell_m:g} m"
        raise InputError(argument, found, "hexagons that are larger than a cell")
    parts = [part for outline in outlines for part in shapely.get_parts(outline)]
    geod = Geod(ellps="WGS84")
    expected = sum(abs(geod.geometry_area_perimeter(part)[0]) for part in parts) / area_m2
    if expected > MOST_HEXAGONS:
        raise InputError(argument, f"some {expected:.2g} hexagons", f"at most {MOST_HEXAGONS}")
    cells = sorted({cell for part in parts for cell in _cells_of(part, resolution)})
    return Zones(f"h3_{resolution}", WGS84, tuple(Zone(cell, _outline(cell)) for cell in cells))


def _cells_of(polygon: Any, resolution: int) -> list[str]:
    shape = h3.geo_to_h3shape(shapely.geometry.mapping(polygon))
    return list(h3.h3shape_to_cells_experimental(shape, resolution, contain="overlap"))


def _outline(cell: str) -> Any:
    """The hexagon, its longitudes in one piece over 180 degrees."""
    corners = [(longitude, latitude) for latitude, longitude in h3.cell_to_boundary(cell)]
    if max(x for x, _ in corners) - min(x for x, _ in corners) > 180.0:
        corners = [(x + 360.0 if x < 0.0 else x, y) for x, y in corners]
    return shapely.Polygon(corners)
