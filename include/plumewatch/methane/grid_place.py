"""Where the cells of an area's grid lie: as its grid says, or, where nobody says it, as their own places do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from plumewatch.geodesy import wrap_longitude
from plumewatch.methane.mask_window import window_around
from plumewatch.methane.smoothing import Mask
from plumewatch.models import Grid

FIT_POINTS = 4096  # pixels that a cubic of 10 terms per coordinate is fitted to
STRIP_HALF_WIDTH_PX = 0.1  # of what joins the pieces of an outline

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GridPlace(ABC):
    """Where the cells of a window of the area's grid lie."""

    row0: int
    """Row of the window's first cell on the area's grid."""
    col0: int
    """Column of the window's first cell on the area's grid."""
    height: int
    """Rows of the window."""
    width: int
    """Columns of the window."""
    longitude0: float
    """Longitude that others are relative to, so that an area may lie across the antimeridian."""

    def part(self, row: int, col: int, height: int, width: int) -> GridPlace:
        """Return a window of this one, or one beside it, that begins at a row and column of it."""
        return PlaceOfPart(self.row0 + row, self.col0 + col, height, width, self.longitude0, self)

    @abstractmethod
    def relative_degrees(self, row: Floats, col: Floats) -> tuple[Floats, Floats]:
        """Return longitude relative to longitude0, and latitude, of cells counted from the window's first."""

    def longitude_latitude(self, row: ArrayLike, col: ArrayLike) -> tuple[Floats, Floats]:
        """Return longitude and latitude in degrees of cells counted from the window's first; its centre is (0, 0)."""
        east, latitude = self.relative_degrees(np.asarray(row, dtype=float), np.asarray(col, dtype=float))
        return wrap_longitude(east + self.longitude0), latitude

    def polygon(self, mask: Mask) -> shapely.Geometry:
        """Return the outline of the cells of `mask` (height x width) in longitude and latitude, one polygon.

        Pieces that don't touch are joined by a strip a fifth of a cell wide.
        """
        around = window_around(mask)
        edges = np.diff(np.pad(mask[around].astype(np.int8), ((0, 0), (1, 1))), axis=1)
        rows, starts = (at + part.start for at, part in zip(np.nonzero(edges == 1), around, strict=True))
        ends = np.nonzero(edges == -1)[1] + around[1].start
        outline = _joined(shapely.union_all(shapely.box(starts - 0.5, rows - 0.5, ends - 0.5, rows + 0.5)))

        def moved(points: Floats) -> Floats:
            east, latitude = self.relative_degrees(points[:, 1], points[:, 0])
            return np.column_stack([east + self.longitude0, latitude])

        return shapely.normalize(shapely.transform(outline, moved))


@dataclass(frozen=True, eq=False)
class KnownPlace(GridPlace):
    """On a grid that the pixel table's manifest states."""

    grid: Grid
    """The area's."""

    def part(self, row: int, col: int, height: int, width: int) -> GridPlace:
        """Return a window of this one, on the same grid."""
        return replace(self, row0=self.row0 + row, col0=self.col0 + col, height=height, width=width)

    def relative_degrees(self, row: Floats, col: Floats) -> tuple[Floats, Floats]:
        """Return the places of the grid."""
        longitude, latitude = self.grid.longitude_latitude(self.row0 + row + 0.5, self.col0 + col + 0.5)
        return wrap_longitude(longitude - self.longitude0), latitude


@dataclass(frozen=True, eq=False)
class FittedPlace(GridPlace):
    """On a grid that nobody states, such as that of a table of others: cubic polynomials in row and column."""

    coefficients: Floats
    """(10 terms, 2): longitude relative to longitude0, and latitude, in degrees."""

    def relative_degrees(self, row: Floats, col: Floats) -> tuple[Floats, Floats]:
        """Return what was fitted."""
        place = _cubic_terms(row, col, self.height, self.width) @ self.coefficients
        return place[..., 0], place[..., 1]


@dataclass(frozen=True, eq=False)
class PlaceOfPart(GridPlace):
    """Where the cells of a part of another window lie."""

    whole: GridPlace
    """That knows the places."""

    def relative_degrees(self, row: Floats, col: Floats) -> tuple[Floats, Floats]:
        """Return the places of the whole."""
        return self.whole.relative_degrees(self.row0 - self.whole.row0 + row, self.col0 - self.whole.col0 + col)


def find_grid_place(
    row: NDArray[np.int64], col: NDArray[np.int64], longitude: Floats, latitude: Floats, grid: Grid | None = None
) -> GridPlace:
    """Return the smallest window that holds the cells, placed by `grid`, or fitted to their own places without one.

    `row` and `col` are counted on the area's grid, `longitude` and `latitude` are in degrees; all are one-dimensional,
    a value a cell. Within 100 km a cubic follows UTM to better than a centimetre.
    """
    row0, col0 = int(row.min()), int(col.min())
    height, width = int(row.max()) - row0 + 1, int(col.max()) - col0 + 1
    window = row0, col0, height, width, float(longitude[0])
    if grid is not None:
        return KnownPlace(*window, grid)
    some = np.unique(np.linspace(0, len(row) - 1, FIT_POINTS).astype(np.int64))
    place = np.column_stack([wrap_longitude(longitude[some] - longitude[0]), latitude[some]])
    terms = _cubic_terms((row[some] - row0).astype(float), (col[some] - col0).astype(float), height, width)
    coefficients = np.linalg.lstsq(terms, place, rcond=None)[0].astype(np.float64)
    return FittedPlace(*window, coefficients)


def distance_deg(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    """Return the distances of places near each other, in degrees of latitude."""
    east = wrap_longitude(one[0] - other[0]) * np.cos(np.radians(other[1]))
    return np.hypot(east, one[1] - other[1])


def median_distance_deg(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> float:
    """Return the median distance of places near each other, in degrees of latitude."""
    return float(np.median(distance_deg(one, other)))


def _cubic_terms(row: Floats, col: Floats, height: int, width: int) -> Floats:
    """Return the 10 terms of a cubic in row and column, both scaled to about -1 to 1."""
    scale = max(height, width) / 2
    r, c = (row - height / 2) / scale, (col - width / 2) / scale
    one = np.ones(np.broadcast(r, c).shape)
    return np.stack([one, r, c, r * r, r * c, c * c, r**3, r * r * c, r * c * c, c**3], axis=-1)


def _joined(shape: shapely.Geometry) -> shapely.Geometry:
    """Return one polygon: pieces are joined to the largest one by strips along their shortest connections."""
    pieces = sorted(shapely.get_parts(shape), key=lambda piece: (-piece.area, piece.bounds))
    whole = pieces.pop(0)
    while pieces:
        nearest = min(range(len(pieces)), key=lambda i: whole.distance(pieces[i]))
        piece = pieces.pop(nearest)
        strip = shapely.shortest_line(whole, piece)
        if not strip.length:  # they touch at a corner
            strip = strip.centroid
        whole = shapely.union_all([whole, piece, strip.buffer(STRIP_HALF_WIDTH_PX)])
    return whole
