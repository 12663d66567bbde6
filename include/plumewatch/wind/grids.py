"""Regular grids of longitude and latitude, as weather services have them, and the cut-outs around places."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.geodesy import wrap_longitude

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east reaches over the antimeridian."""

MARGIN_DEG = 1.0  # more than a cell of any product (MERRA-2: 0.625 degrees), so that every place has its four corners


def width_deg(west: float, east: float) -> float:
    """Return how wide bounds are that may go over 180: 360 where both ends are one meridian, stated as 360 apart.

    >>> width_deg(170.0, -170.0), width_deg(-180.0, 180.0), width_deg(5.0, 5.0)
    (20.0, 360.0, 0.0)
    """
    return 360.0 if east == west + 360.0 else (east - west) % 360.0


@dataclass(frozen=True, order=True)
class CutOut:
    """A block of a grid; first and last are included."""

    first_row: int
    """Row of latitude."""
    last_row: int
    """Included."""
    first_column: int
    """Column of longitude."""
    last_column: int
    """Included."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.last_row - self.first_row + 1, self.last_column - self.first_column + 1


@dataclass(frozen=True)
class GlobalGrid:
    """Nodes around the whole globe, from pole to pole."""

    first_longitude: float
    """Of column 0, degrees; columns run eastwards."""
    step_longitude: float
    """Degrees."""
    columns: int
    """Columns times step is 360 degrees."""
    first_latitude: float
    """Of row 0, degrees."""
    step_latitude: float
    """Degrees; negative where rows run southwards."""
    rows: int
    """Rows of latitude, poles included."""

    @property
    def longitudes(self) -> NDArray[np.float64]:
        """Degrees as the service counts them, one a column."""
        return self.first_longitude + self.step_longitude * np.arange(self.columns, dtype=np.float64)

    @property
    def latitudes(self) -> NDArray[np.float64]:
        """Degrees, one a row."""
        return self.first_latitude + self.step_latitude * np.arange(self.rows, dtype=np.float64)

    def cut_outs(self, bounds: Bounds) -> list[CutOut]:
        """Return the blocks that hold all nodes within a margin of the bounds: one, two over the grid's seam."""
        west, south, east, north = bounds
        ends = [(lat - self.first_latitude) / self.step_latitude for lat in (south - MARGIN_DEG, north + MARGIN_DEG)]
        first_row, last_row = max(0, math.ceil(min(ends))), min(self.rows - 1, math.floor(max(ends)))
        width = width_deg(west, east)
        offset = (west - MARGIN_DEG - self.first_longitude) % 360.0 / self.step_longitude
        first, last = math.ceil(offset), math.floor(offset + (width + 2 * MARGIN_DEG) / self.step_longitude)
        if last - first + 1 >= self.columns:
            return [CutOut(first_row, last_row, 0, self.columns - 1)]
        first, last = first % self.columns, last - first + first % self.columns
        if last < self.columns:
            return [CutOut(first_row, last_row, first, last)]
        east_part = CutOut(first_row, last_row, first, self.columns - 1)
        return [east_part, CutOut(first_row, last_row, 0, last - self.columns)]

    def nodes(self, cut_out: CutOut) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitude in [-180, 180) and latitude of a cut-out's nodes, row by row."""
        lon = wrap_longitude(self.longitudes[cut_out.first_column : cut_out.last_column + 1])
        lat = self.latitudes[cut_out.first_row : cut_out.last_row + 1]
        grid_lon, grid_lat = np.meshgrid(lon, lat)
        return grid_lon.ravel(), grid_lat.ravel()
