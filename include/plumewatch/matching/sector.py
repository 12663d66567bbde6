"""The sector upwind of a peak, by the wind at the peak, as a polygon to be shown. The air may have come another way."""

from __future__ import annotations

import math

import numpy as np
import shapely

from plumewatch.gases import CO2
from plumewatch.geodesy import destination
from plumewatch.matching.paths import CALM_M_S
from plumewatch.matching.rule import PeakRule, matching_rule

SIGMAS = 2.0  # half the angle of the sector: 95 of 100 sources lie in it
ARC_POINTS = 13


def upwind_sector(longitude: float, latitude: float, wind_u_m_s: float, wind_v_m_s: float) -> shapely.Polygon | None:
    """Return the sector from a peak against the wind, as far as the rule looks; None without wind or in a calm.

    Two standard deviations of the direction on both sides. Longitudes may run over 180 degrees: they are continuous
    from the peak on, which is the first corner.

    >>> west, south, east, north = upwind_sector(10.0, 0.0, 5.0, 0.0).bounds
    >>> round(west, 2), round(east, 2), round(north, 2) == -round(south, 2)
    (9.1, 10.0, True)
    """
    rule = matching_rule(CO2.name).position
    assert isinstance(rule, PeakRule)
    speed = math.hypot(wind_u_m_s, wind_v_m_s)
    if not speed >= CALM_M_S:
        return None
    from_deg = math.degrees(math.atan2(-wind_u_m_s, -wind_v_m_s))
    half = math.degrees(math.hypot(math.radians(rule.direction_sigma_deg), rule.wind_component_sigma_m_s / speed))
    angles = np.linspace(-1.0, 1.0, ARC_POINTS) * min(SIGMAS * half, 180.0)
    reach = min(float(rule.reach_km(np.array([speed]))[0]), rule.max_distance_km)
    lon, lat = destination(longitude, latitude, from_deg + angles, reach)
    lon = longitude + (lon - longitude + 180.0) % 360.0 - 180.0
    return shapely.Polygon([(longitude, latitude), *zip(lon.tolist(), lat.tolist(), strict=True)])
