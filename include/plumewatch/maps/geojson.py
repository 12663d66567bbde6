"""Shapes as GeoJSON, and the view that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from plumewatch.geodesy import wrap_longitude
from plumewatch.models import Area

PLACE_DIGITS = 6  # a tenth of a metre
MIN_SPAN_DEG = 0.02  # a single detection is shown with two kilometres around it
MAX_LATITUDE_DEG = 85.0  # where Mercator's map ends


def rounded(degrees: float) -> float:
    """Return degrees to a tenth of a metre."""
    return round(degrees, PLACE_DIGITS)


def mapping(geometry: Any) -> dict[str, Any]:
    """Return a geometry with coordinates to a tenth of a metre."""
    moved = shapely.transform(geometry, lambda places: np.round(places, PLACE_DIGITS))
    return shapely.geometry.mapping(moved)


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    """Return a geometry with its properties."""
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return features as one."""
    return {"type": "FeatureCollection", "features": list(features)}


def line(start: tuple[float, float], end: tuple[float, float]) -> dict[str, Any]:
    """Return a line between two places (longitude, latitude), the short way round."""
    to = start[0] + float(wrap_longitude(end[0] - start[0]))
    return {"type": "LineString", "coordinates": [list(start), [rounded(to), rounded(end[1])]]}


def corners(area: Area) -> list[list[float]]:
    """Return the south-west and the north-east corner of an area."""
    west, south, east, north = (rounded(corner) for corner in area.geometry.bounds)
    return [[west, south], [east, north]]


def bounds(places: Sequence[tuple[float, float]], areas: Sequence[Area]) -> list[list[float]] | None:
    """Return the corners around all places (else all areas), over the antimeridian where that is shorter."""
    places = places or [corner for area in areas for corner in np.reshape(area.geometry.bounds, (2, 2)).tolist()]
    if not places:
        return None
    lon, lat = zip(*places, strict=True)
    east = np.sort(np.asarray(lon))
    gaps = np.diff(np.append(east, east[0] + 360.0))
    widest = int(np.argmax(gaps))
    west = float(east[(widest + 1) % len(east)])
    span = 360.0 - float(gaps[widest])
    margin, high = max(0.0, MIN_SPAN_DEG - span) / 2, max(0.0, MIN_SPAN_DEG - (max(lat) - min(lat))) / 2
    view = [[west - margin, min(lat) - high], [west + span + margin, max(lat) + high]]
    return [[rounded(x), rounded(float(np.clip(y, -MAX_LATITUDE_DEG, MAX_LATITUDE_DEG)))] for x, y in view]
