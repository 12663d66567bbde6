"""Where the cells of an area's grid lie: longitude and latitude as cubic polynomials in row and column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from plumewatch.geodesy import wrap_longitude
from plumewatch.methane.mask_window import window_around
from plumewatch.methane.smoothing import Mask

FIT_POINTS = 4096  # pixels that a cubic of 10 terms per coordinate is fitted to
STRIP_HALF_WIDTH_PX = 0.1  # of what joins the pieces of an outline

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GridPlace:
    """Where the cells of a window of the area's grid lie, as cubic polynomials in row and column."""

    row0: int
    """Row of the window's first cell on the area's grid."""
    col0: int
    """Column of the window's first cell on the area's grid."""
    height: int
    """Rows of the window."""
    width: int
    """Columns of the window."""
    longitude0: float
    """Longitude that the fitted ones are relative to, so that an area may lie across the antimeridian."""
    coefficients: Floats
    """(10 terms, 2): longitude relative to longitude0, and latitude, in degrees."""

    def longitude_latitude(self, row: ArrayLike, col: ArrayLike) -> tuple[Floats, Floats]:
        """Return longitude and latitude in degrees of cells counted from the window's first; its centre is (0, 0)."""
        terms = _cubic_terms(np.asarray(row, dtype=float), np.asarray(col, dtype=float), self.height, self.width)
        place = terms @ self.coefficients
        return wrap_longitude(place[..., 0] + self.longitude0), place[..., 1]

    def polygon(self, mask: Mask) -> shapely.Geometry:
        """Return the outline of the cells of `mask` (height x width) in longitude and latitude, one polygon.

        Pieces that don't touch are joined by a strip a fifth of a cell wide.
        """
        around = window_around(mask)
        edges = np.diff(np.pad(mask[around].astype(np.int8), ((0, 0), (1, 1))), axis=1)
        rows, starts = (at + part.start for at, part in zip(np.nonzero(edges == 1), around, strict=True))
        ends = np.nonzero(edges == -1)[1] + around[1].start
        outline = _joined(shapely.union_all(shapely.box(starts - 0.5, rows - 0.5, ends - 0.5, rows + 0.5)))

        def to_degrees(points: Floats) -> Floats:
            place = _cubic_terms(points[:, 1], points[:, 0], self.height, self.width) @ self.coefficients
            return np.column_stack([place[:, 0] + self.longitude0, place[:, 1]])

        return shapely.normalize(shapely.transform(outline, to_degrees))


def fit_grid_place(row: NDArray[np.int64], col: NDArray[np.int64], longitude: Floats, latitude: Floats) -> GridPlace:
    """Return the smallest window that holds the cells, with its place fitted to theirs.

    `row` and `col` are counted on the area's grid, `longitude` and `latitude` are in degrees; all are one-dimensional,
    a value a cell. Within 100 km a cubic follows UTM to better than a centimetre.
    """
    row0, col0 = int(row.min()), int(col.min())
    height, width = int(row.max()) - row0 + 1, int(col.max()) - col0 + 1
    some = np.unique(np.linspace(0, len(row) - 1, FIT_POINTS).astype(np.int64))
    longitude0 = float(longitude[0])
    place = np.column_stack([wrap_longitude(longitude[some] - longitude0), latitude[some]])
    terms = _cubic_terms((row[some] - row0).astype(float), (col[some] - col0).astype(float), height, width)
    coefficients = np.linalg.lstsq(terms, place, rcond=None)[0].astype(np.float64)
    return GridPlace(row0, col0, height, width, longitude0, coefficients)


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
