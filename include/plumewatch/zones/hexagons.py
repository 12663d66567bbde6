"""Hexagons of H3 as zones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import h3
import numpy as np
import shapely
from pyproj import CRS, Geod

from plumewatch.constants import EARTH_RADIUS_KM
from plumewatch.errors import InputError
from plumewatch.geodesy import unit_vectors
from plumewatch.zones.zone import Zone, Zones

RESOLUTIONS = range(16)  # of H3
MOST_HEXAGONS = 1_000_000  # of one month: some minutes, and a table of some gigabytes
PIECE_KM = 2.0  # of a great circle: 0.08 m from the straight line between its ends
WGS84 = CRS.from_epsg(4326)


def hexagons_over(outlines: Iterable[Any], resolution: int, cell_m: float) -> Zones:
    """Return the hexagons of a resolution that have a part in one of the outlines (shapely, WGS 84 in degrees).

    Their ids are H3's, 15 hexadecimal digits. As with polygons, a cell is in the hexagon that holds its centre; the
    edges are H3's great circles, in pieces of 2 km that are straight in the raster's coordinates: less than 0.1 m off.

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
    if h3.average_hexagon_edge_length(h3.get_resolution(cell), "km") > PIECE_KM:
        corners = _along_great_circles(corners)
    if max(x for x, _ in corners) - min(x for x, _ in corners) > 180.0:
        corners = [(x + 360.0 if x < 0.0 else x, y) for x, y in corners]
    return shapely.Polygon(corners)


def _along_great_circles(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Longitudes and latitudes of a ring, with places in between on the sphere, as H3's edges run."""
    places = unit_vectors(*np.transpose([*corners, corners[0]]))
    ring: list[tuple[float, float]] = []
    for start, end in itertools.pairwise(places):
        pieces = max(1, int(np.linalg.norm(end - start) * EARTH_RADIUS_KM / PIECE_KM))
        share = np.arange(pieces)[:, None] / pieces
        x, y, z = (start * (1.0 - share) + end * share).T
        ring += zip(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))), strict=True)
    return ring
