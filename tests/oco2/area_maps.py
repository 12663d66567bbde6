"""Snapshot area maps of OCO-3, simulated: sweeps side by side over 80 x 80 km, and a plume from a source in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from lite_granules import calendar, northward_track, sounding_ids
from plumewatch.geodesy import destination

AREA_MAP = 4
SIDE_KM, SWEEPS, TURN_S = 80.0, 7, 5
ROW_KM, FOOTPRINT_KM = 2.2, 1.43  # 36 rows a sweep, 11.4 km wide
SITE = (29.0, -26.0)
START = datetime(2019, 10, 13, 9, 30, tzinfo=UTC)


def area_map(
    *,
    rng: np.random.Generator | None = None,
    bearing_deg: float = 50.0,
    orbit: int = 2500,
    site: tuple[float, float] = SITE,
    start: datetime = START,
    is_back_and_forth: bool = True,
    angle_deg: float = 90.0,
    amplitude_ppm_km: float = 30.0,
    source_km: float = -SIDE_KM,
    noise_ppm: float = 0.5,
    wind_m_s: float = 5.0,
) -> dict[str, Any]:
    """Columns of a Lite file (see lite_granules) of one map.

    The plume leaves its source at an angle to the sweeps, `source_km` from the map's middle (before its edge: it goes
    right through), with the wind; its integral across is `amplitude_ppm_km` everywhere, its width grows.
    """
    rows = int(SIDE_KM / ROW_KM)
    sweep, row, foot = (
        a.ravel() for a in np.meshgrid(np.arange(SWEEPS), np.arange(rows), np.arange(1, 9), indexing="ij")
    )
    forward = np.where(is_back_and_forth & (sweep % 2 == 1), -1.0, 1.0)
    along = forward * (row - (rows - 1) / 2) * ROW_KM
    aside = (sweep - (SWEEPS - 1) / 2) * SIDE_KM / SWEEPS + (foot - 4.5) * FOOTPRINT_KM
    thirds = int(start.timestamp()) * 3 + sweep * (rows + 3 * TURN_S) + row
    angle = np.radians(angle_deg)
    downwind = along * np.cos(angle) + aside * np.sin(angle) - source_km
    across = along * np.sin(angle) - aside * np.cos(angle)
    sigma = 1.5 + 0.06 * np.maximum(downwind, 0.0)
    plume = amplitude_ppm_km / (np.sqrt(2 * np.pi) * sigma) * np.exp(-0.5 * (across / sigma) ** 2) * (downwind > 0)
    n = len(row)
    track = northward_track((n // 8 + 1) * 2.25 + 0.1, orbit=orbit)
    columns = {name: values[:n] for name, values in track.items()}
    middle = destination(*site, bearing_deg, along)
    longitude, latitude = destination(*middle, bearing_deg + 90.0, aside)
    towards = np.radians(bearing_deg + angle_deg)
    xco2 = 410.0 + plume + (rng.normal(0.0, noise_ppm, n) if rng else 0.0)
    return columns | {
        "sounding_id": sounding_ids(thirds, foot),
        "date": calendar(thirds),
        "time": thirds / 3,
        "longitude": longitude,
        "latitude": latitude,
        "xco2": xco2,
        "Sounding/footprint": foot,
        "Sounding/operation_mode": np.full(n, AREA_MAP),
        "Meteorology/windspeed_u_met": np.full(n, wind_m_s * np.sin(towards)),
        "Meteorology/windspeed_v_met": np.full(n, wind_m_s * np.cos(towards)),
    }
