"""Zones in cells of the known scenes' grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas
import shapely
from sentinel2_scenes import EPSG, NORTH, SIZE_M, WEST


def place(row: float, col: float) -> tuple[float, float]:
    """Easting and northing of a place on the grid, in cells from its corner."""
    return WEST + col * SIZE_M, NORTH - row * SIZE_M


def rectangle(row: float, col: float, height: float, width: float) -> Any:
    """A rectangle of cells."""
    west, north = place(row, col)
    return shapely.box(west, north - height * SIZE_M, west + width * SIZE_M, north)


def write_zones(path: Path, zones: Mapping[Any, Any], column: str = "zone", **options: Any) -> Path:
    """Write shapes by id, in the grid's system."""
    frame = geopandas.GeoDataFrame({column: list(zones)}, geometry=list(zones.values()), crs=options.pop("crs", EPSG))
    frame.to_file(path, **options)
    return path
