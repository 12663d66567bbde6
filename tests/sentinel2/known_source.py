"""Source scenes that are stacked: the numbers of a catalogue's rasters, and an area on their lattice."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from plumewatch.models import Area
from pyproj import Transformer
from sentinel2_scenes import EPSG, NORTH, SIZE_M, WEST

RNG = np.random.default_rng(8)
SHAPE = (120, 130)
TO_LONLAT = Transformer.from_crs(f"EPSG:{EPSG}", "EPSG:4326", always_xy=True)


def area_of(col: int, row: int, width: int, height: int, **fields: Any) -> Area:
    """An area whose outline runs through the centres of its outermost cells, given on the sources' lattice."""
    x = [WEST + (c + 0.5) * SIZE_M for c in (col, col + width - 1)]
    y = [NORTH - (r + 0.5) * SIZE_M for r in (row, row + height - 1)]
    corners = [TO_LONLAT.transform(*c) for c in ((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]))]
    return Area("dune", shapely.Polygon(corners), crs=f"EPSG:{EPSG}", **fields)


AREA = area_of(30, 20, 40, 50)
