"""The outline of an area of interest as a feature states it, brought to one form or refused."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from plumewatch.errors import InputError
from plumewatch.geodesy import split_at_180

Refuse = Callable[[str, str], InputError]

OVER_180 = "areas on one side of 180 degrees: areas over 180 degrees are not served, make two of one"


def number_of(value: Any) -> float | None:
    """Return a number that stands there as such or as text; None where it is none, or not finite."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_geometry(feature: dict[str, Any], properties: dict[str, Any], refuse: Refuse) -> Any:
    """Return the shapely polygon or multipolygon of a feature, or of its property bbox, in longitude and latitude.

    Two-dimensional, without repeated points, within -180 to 180 degrees. What `refuse` makes of the part that was found
    and of what is allowed is raised where it is no area.
    """
    import shapely
    from shapely.geometry import box, shape

    bbox = properties.get("bbox")
    if feature.get("geometry"):
        try:
            geometry = shape(feature["geometry"])
        except Exception as error:  # GEOS's and shapely's own, of whatever stands there
            raise refuse(f"geometry that cannot be read ({error})", "a Polygon or MultiPolygon") from error
    elif bbox is not None:
        corners = bbox if isinstance(bbox, list) else re.split(r"[,\s]+", str(bbox).strip("[] "))
        numbers = [number_of(c) for c in corners]
        if len(numbers) != 4 or None in numbers:
            raise refuse(f"bbox {bbox!r}", "west, south, east, north in degrees")
        west, south, east, north = map(float, numbers)  # type: ignore[arg-type]
        if west > east:
            east += 360.0
            if not (west >= 180 or east <= 180):  # 180 degrees are -180 too
                raise refuse(f"bbox {bbox!r}, over 180 degrees or not west, south, east, north", OVER_180)
        geometry = box(west, south, east, north)
    else:
        raise refuse("neither a geometry nor a bbox", "a Polygon, a MultiPolygon or the property bbox")
    if geometry.geom_type not in ("Polygon", "MultiPolygon") or geometry.is_empty:
        raise refuse(
            f"a {geometry.geom_type}{' that is empty' if geometry.is_empty else ''}", "a Polygon or MultiPolygon"
        )
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise refuse("geometry with a coordinate that is no number", "longitude and latitude in degrees")
    west, south, east, north = geometry.bounds
    if not (west >= -360 and east <= 360 and south >= -90 and north <= 90):
        raise refuse(
            f"bounds {geometry.bounds}", "longitude from -180 to 180 and latitude from -90 to 90 degrees (WGS 84)"
        )
    if not geometry.length:
        raise refuse("geometry that is not valid (all corners in one place)", "a polygon with an area")
    geometry = shapely.remove_repeated_points(shapely.force_2d(geometry))
    return _on_one_side(geometry, refuse)


def _on_one_side(geometry: Any, refuse: Refuse) -> Any:
    """The geometry within -180 to 180 degrees; what lies over 180 is refused, however it is written."""
    import shapely

    west, _, east, _ = geometry.bounds
    turns = 1 if west >= 180 and east <= 360 else -1 if west >= -360 and east <= -180 else 0
    if turns:  # longitudes from 0 to 360 degrees
        geometry = shapely.transform(geometry, lambda places: places - [360.0 * turns, 0.0])
        west, _, east, _ = geometry.bounds
    if east - west > 180 and west >= -180 and east <= 180:
        with contextlib.suppress(ValueError):  # what runs around a pole, or has no area, is wide
            geometry = split_at_180(geometry)  # one whose corners at 180 degrees are written as -180 is on one side
            west, _, east, _ = geometry.bounds
    if west < -180 or east > 180 or east - west > 180:
        raise refuse(f"an area over 180 degrees (longitudes from {west:g} to {east:g})", OVER_180)
    if not geometry.is_valid:
        raise refuse(
            f"geometry that is not valid ({shapely.is_valid_reason(geometry)})", "a polygon that does not cross itself"
        )
    return geometry
