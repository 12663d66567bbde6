"""Distances and directions on the mean sphere, and UTM zones; angles in degrees, scalars or arrays that broadcast."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod, Transformer

from plumewatch.constants import EARTH_RADIUS_KM

Floats = NDArray[np.float64]

UTM_NORTH, UTM_SOUTH = 32600, 32700  # EPSG codes before the zone's number
UTM_ZONES, UTM_ZONE_DEG = 60, 6.0  # zone 1 starts at 180 W

MAX_SCALE_ERROR = 0.02  # of lengths on a grid: 4 % of an area, small beside the other errors of a rate
MAX_TURN_DEG = 7.5  # of a grid's north: half the step between the directions in which plumes are looked for
TRUE_GRID = f"lengths true to {MAX_SCALE_ERROR:.0%} and a north true to {MAX_TURN_DEG:g} degrees"
SEGMENTS = 4  # along each side of a grid, whose lengths are compared
ELLIPSOID = Geod(ellps="WGS84")
N_DEGREE_CELLS = 360 * 180


def wrap_longitude(longitude: ArrayLike) -> Floats:
    """Return the longitude in [-180, 180) degrees.

    >>> float(wrap_longitude(190.0))
    -170.0
    """
    from_west = np.asarray(longitude, dtype=float) + 180.0
    if not (from_west.size and from_west.min() >= 0.0 and from_west.max() < 360.0):  # the remainder takes its time
        from_west %= 360.0
        from_west = np.where(from_west == 360.0, 0.0, from_west)  # of what is less than a rounding below 0
    from_west -= 180.0
    return from_west


def degree_cells(longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.intp]:
    """Return the number of the 1-degree cell that each place lies in, row by row from 180 W and 90 S.

    A pole is in the outermost row.

    >>> degree_cells([-179.5, -179.5, 0.5], [-89.5, -88.5, 90.0]).tolist()
    [0, 360, 64620]
    """
    column = np.floor(wrap_longitude(longitude) + 180.0)
    row = np.clip(np.floor(np.asarray(latitude, dtype=float) + 90.0), 0, 179)
    return np.asarray(row * 360 + column).astype(np.intp)


def great_circle_distance_km(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Return the distance in km by the haversine formula, exact also for near and antipodal points.

    >>> round(float(great_circle_distance_km(0, 0, 0, 1)), 3)
    111.195
    """
    x1, y1, x2, y2 = map(_radians, (lon1, lat1, lon2, lat2))
    h = np.sin((y2 - y1) / 2) ** 2 + np.cos(y1) * np.cos(y2) * np.sin((x2 - x1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arctan2(np.sqrt(h), np.sqrt(np.maximum(0.0, 1.0 - h)))


def initial_bearing_deg(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Return the direction from point 1 to point 2 in degrees from north, clockwise, in [0, 360)."""
    x1, y1, x2, y2 = map(_radians, (lon1, lat1, lon2, lat2))
    east = np.sin(x2 - x1) * np.cos(y2)
    north = np.cos(y1) * np.sin(y2) - np.sin(y1) * np.cos(y2) * np.cos(x2 - x1)
    return np.degrees(np.arctan2(east, north)) % 360.0


def destination(
    lon: ArrayLike, lat: ArrayLike, bearing_deg: ArrayLike, distance_km: ArrayLike
) -> tuple[Floats, Floats]:
    """Return longitude and latitude in degrees after `distance_km` along the great circle from `bearing_deg`."""
    x, y, bearing = map(_radians, (lon, lat, bearing_deg))
    angle = np.asarray(distance_km, dtype=float) / EARTH_RADIUS_KM
    sin_y2 = np.sin(y) * np.cos(angle) + np.cos(y) * np.sin(angle) * np.cos(bearing)
    x2 = x + np.arctan2(np.sin(bearing) * np.sin(angle) * np.cos(y), np.cos(angle) - np.sin(y) * sin_y2)
    return wrap_longitude(np.degrees(x2)), np.degrees(np.arcsin(np.clip(sin_y2, -1.0, 1.0)))


def local_offset_km(lon0: ArrayLike, lat0: ArrayLike, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """Return how far east and north (km) of an origin a point lies, on its azimuthal equidistant plane."""
    distance = great_circle_distance_km(lon0, lat0, lon, lat)
    bearing = np.radians(initial_bearing_deg(lon0, lat0, lon, lat))
    return distance * np.sin(bearing), distance * np.cos(bearing)


def along_and_across(east: Floats, north: Floats, to_east: Floats, to_north: Floats) -> tuple[Floats, Floats]:
    """Return how far an offset lies along a direction, and to the left of it; the direction is a unit vector.

    >>> along_and_across(np.array([3.0]), np.array([4.0]), np.array([1.0]), np.array([0.0]))
    (array([3.]), array([4.]))
    """
    return east * to_east + north * to_north, north * to_east - east * to_north


def index_pairs(near: Collection[Collection[int]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return what a tree found near each of some points (`query_ball_point`) as pairs: the point, what is near it.

    >>> [one.tolist() for one in index_pairs([[4], [], [0, 7]])]
    [[0, 2, 2], [4, 0, 7]]
    """
    point = np.repeat(np.arange(len(near)), [len(found) for found in near])
    return point, np.array([index for found in near for index in found], dtype=np.intp)


def angle_between_deg(first_deg: ArrayLike, second_deg: ArrayLike) -> Floats:
    """Return the angle between two directions, 0 to 180 degrees.

    >>> float(angle_between_deg(350.0, 20.0))
    30.0
    """
    return np.abs(wrap_longitude(np.asarray(first_deg, dtype=float) - np.asarray(second_deg, dtype=float)))


def unit_vectors(longitude: ArrayLike, latitude: ArrayLike) -> Floats:
    """Return points on the unit sphere, shape (..., 3): distances there have no antimeridian and no poles.

    >>> unit_vectors([0.0, 90.0], [0.0, 0.0]).round(6).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    lon, lat = _radians(longitude), _radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def distance_to_chord(distance_km: float) -> float:
    """Return the straight distance on the unit sphere of a great-circle distance."""
    return float(2 * np.sin(distance_km / (2 * EARTH_RADIUS_KM)))


def chord_to_distance_km(chord: ArrayLike) -> Floats:
    """Return the great-circle distance of a straight one on the unit sphere; of infinity, half the way around.

    >>> round(float(chord_to_distance_km(distance_to_chord(80.0))), 9)
    80.0
    """
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(np.asarray(chord, dtype=float) / 2, 1.0))


def utm_epsg(longitude: float, latitude: float, zone: int | None = None) -> int:
    """Return the EPSG code of the UTM zone (WGS 84) of a place; of a stated `zone`, that of the place's hemisphere.

    Zones are 6 degrees wide all over the globe (the exceptions around Norway and Svalbard are not made); a boundary
    belongs to the zone east of it, the equator to the north, longitude 180 to zone 1.

    >>> utm_epsg(54.2, 38.5), utm_epsg(-180.0, -0.1), utm_epsg(180.0, 0.0), utm_epsg(54.2, 38.5, zone=39)
    (32640, 32701, 32601, 32639)
    """
    own = int((longitude + 180.0) // UTM_ZONE_DEG) % UTM_ZONES + 1
    return (UTM_NORTH if latitude >= 0 else UTM_SOUTH) + (own if zone is None else zone)


def _radians(degrees: ArrayLike) -> Floats:
    return np.radians(np.asarray(degrees, dtype=float))


@lru_cache(maxsize=8)
def degrees_of(crs: str) -> Transformer:
    """Return the transform from a projected CRS (`EPSG:...`) to longitude and latitude."""
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def degree_cell_middles(number: ArrayLike) -> tuple[Floats, Floats]:
    """Return longitude and latitude of the middles of the cells that `degree_cells` numbers.

    >>> [float(place) for place in degree_cell_middles(360)]
    [-179.5, -88.5]
    """
    row, column = np.divmod(np.asarray(number), 360)
    return column - 179.5, row - 89.5


class AroundPoleError(ValueError):
    """A ring runs around a pole: what it holds isn't said by its corners alone."""


def split_at_180(outline: shapely.Geometry) -> shapely.Geometry:
    """Return polygons as RFC 7946 (3.1.9, 3.1.6) writes them: within -180 to 180 degrees, cut at the antimeridian.

    Two-dimensional, valid, without repeated points, outer rings counterclockwise. A ring that steps over more than half
    the globe from one corner to the next runs over the antimeridian instead; longitudes may be any number of turns off.
    A step of whole turns is one of no length, but goes around the globe where the ring would hold nothing else.
    Raises ValueError where there is no polygon, or none with an area, and AroundPoleError where a ring runs around a
    pole.

    >>> split_at_180(shapely.box(179.0, 0.0, 181.0, 1.0)).bounds
    (-180.0, 0.0, 180.0, 1.0)
    >>> [part.bounds for part in split_at_180(shapely.box(-179.5, 0.0, 179.5, 1.0)).geoms]
    [(-180.0, 0.0, -179.5, 1.0), (179.5, 0.0, 180.0, 1.0)]
    >>> split_at_180(shapely.box(0.0, 20.0, 360.0, 30.0)).bounds
    (-180.0, 20.0, 180.0, 30.0)
    """
    pieces = polygons_of(shapely.force_2d(outline))
    if not pieces:
        raise ValueError(f"a {outline.geom_type} without a polygon")
    parts = [part for polygon in pieces for part in _within_180(polygon)]
    whole = parts[0] if len(parts) == 1 else shapely.union_all(parts)
    polygons = polygons_of(shapely.make_valid(whole))
    if not polygons:
        raise ValueError(f"a {outline.geom_type} without an area")
    tidy = shapely.remove_repeated_points(shapely.MultiPolygon(polygons) if len(polygons) > 1 else polygons[0])
    return shapely.orient_polygons(tidy)


def polygons_of(shape: shapely.Geometry) -> list[shapely.Polygon]:
    """Return the polygons of a geometry; what is made valid may hold a multipolygon beside lines."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]


def _within_180(polygon: shapely.Polygon) -> list[shapely.Geometry]:
    rings = [_continuous(shapely.get_coordinates(ring)) for ring in (polygon.exterior, *polygon.interiors)]
    middle = _middle(rings[0])
    for ring in rings[1:]:  # holes on the same turn as what is around them
        ring[:, 0] += 360.0 * np.round((middle - _middle(ring)) / 360.0)
    outline = shapely.make_valid(shapely.Polygon(rings[0], rings[1:]))
    west, south, east, north = outline.bounds
    first, last = (int((end + 180.0) // 360.0) for end in (west, np.nextafter(east, west)))
    pieces = []
    for turn in range(first, last + 1):
        box = shapely.box(360.0 * turn - 180.0, south - 1.0, 360.0 * turn + 180.0, north + 1.0)
        piece = outline.intersection(box) if last > first else outline
        pieces.append(shapely.transform(piece, lambda places, turned=360.0 * turn: places - [turned, 0.0]))
    return pieces


def _middle(ring: Floats) -> float:
    """Longitude in the middle of a ring, wherever most of its corners are."""
    return float(ring[:, 0].min() + ring[:, 0].max()) / 2.0


def _continuous(ring: Floats) -> Floats:
    """A ring whose longitudes don't jump by a turn of the globe.

    -180 and 180 on a parallel are one place, as after a cut at the antimeridian, or the ends of a side all around the
    globe: that where the ring would run around a pole else, or hold nothing.
    """
    steps = np.diff(ring, axis=0)
    jumps = np.where(np.abs(steps[:, 0]) > 180.0, np.round(steps[:, 0] / 360.0), 0.0)
    is_around = (jumps != 0.0) & (steps[:, 0] == 360.0 * jumps) & (steps[:, 1] == 0.0)
    readings = [_without_jumps(ring, jumps)]
    if is_around.any():
        readings.append(_without_jumps(ring, np.where(is_around, 0.0, jumps)))
    closed = [found for found in readings if abs(found[-1, 0] - found[0, 0]) <= 180.0]
    if not closed:
        raise AroundPoleError("a ring around a pole")
    return next((found for found in closed[:-1] if polygons_of(shapely.make_valid(shapely.Polygon(found)))), closed[-1])


def _without_jumps(ring: Floats, jumps: Floats) -> Floats:
    """The ring, after each step so many turns of the globe further west."""
    found = ring.copy()
    found[1:, 0] -= 360.0 * np.cumsum(jumps)
    return found


@dataclass(frozen=True)
class Distortion:
    """How far a grid's cells are from what they are stated to be, where it is farthest."""

    scale: float
    """Length on the earth over length on the grid."""
    turn_deg: float
    """Angle between the grid's directions and true ones, 0 to 180."""
    cells: float
    """What the scale's error adds up to along a side."""

    @property
    def is_allowed(self) -> bool:
        """Whether lengths, areas and angles on the grid may be taken for true; half a cell is never told."""
        is_long = abs(self.scale - 1.0) > MAX_SCALE_ERROR and self.cells > 0.5
        return not is_long and self.turn_deg <= MAX_TURN_DEG

    def __str__(self) -> str:
        return f"lengths {self.scale:.2f} times those stated, and a north {self.turn_deg:.0f} degrees off"


def compute_distortion(
    place: Callable[[Floats, Floats], tuple[Floats, Floats]], height: float, width: float, cell_m: float
) -> Distortion:
    """Return what a grid of square cells does to lengths and directions, along both of its axes.

    `place` gives longitude and latitude of row and column, counted from 0 to `height` and `width` cells of `cell_m`;
    rows run southwards. Lengths are those on the WGS 84 ellipsoid. NaN, which is not allowed, where a place is none.
    """
    row, col = np.meshgrid(np.linspace(0, height, SEGMENTS + 1), np.linspace(0, width, SEGMENTS + 1), indexing="ij")
    lon, lat = place(row, col)
    found = [Distortion(1.0, 0.0, 0.0)]
    ends = ((slice(1, None), slice(-1)), (slice(-1), slice(1, None)))
    for extent, axis, towards in ((height, 0, 0.0), (width, 1, 90.0)):
        if not extent:
            continue
        here, there = ((n, slice(None)) if axis == 0 else (slice(None), n) for n in ends[axis])
        out, back, length_m = ELLIPSOID.inv(lon[here], lat[here], lon[there], lat[there])
        scale = length_m * SEGMENTS / (extent * cell_m)
        off = np.radians([out - towards, np.asarray(back) + 180.0 - towards])
        turn = np.abs(np.degrees(np.arctan2(np.sin(off).sum(axis=0), np.cos(off).sum(axis=0))))  # in the middle
        worst = float(scale.ravel()[np.argmax(np.abs(np.log(np.maximum(scale, 1e-9))))])
        found.append(Distortion(worst, float(turn.max()), abs(worst - 1.0) * extent))
    return Distortion(
        max((one.scale for one in found), key=lambda scale: abs(np.log(max(scale, 1e-9)))),
        max(one.turn_deg for one in found),
        max(one.cells for one in found),
    )
