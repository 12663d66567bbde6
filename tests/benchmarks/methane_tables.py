"""Simulated areas in a pixel table on disk, and the wind around them, for the benchmarks of the methane detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pixel_rows import pixel_rows
from plumewatch import storage
from plumewatch.methane.evaluation.scenes import FIRST_DAY, SimulatedArea
from plumewatch.tables import PIXELS, WIND

WIND_STEP_DEG, WIND_SIDE, WIND_HOURS = 0.25, 9, 24  # the block of a global model's grid around one area
DAYS_APART = 3
WIND_M_S, WIND_HEIGHT_M = (2.5, 1.5), 10.0


def write_area(root: Path, name: str, area: SimulatedArea) -> list[str]:
    """Write all passes of an area, on the same dates whatever the area, and return these."""
    days = []
    for number, one in enumerate(area.passes):
        dated = replace(one, observed_at_utc=FIRST_DAY + timedelta(days=DAYS_APART * number))
        days.append(f"{dated.observed_at_utc:%Y-%m-%d}")
        storage.write_partition(PIXELS, f"{root}/pixels", {"area": name, "date": days[-1]}, pixel_rows(dated))
    return days


def copy_areas(root: Path, source: Path, names: Sequence[str], count: int) -> None:
    """Give `count` areas of a new pixel table the files of the named ones in turn, as links."""
    for number in range(count):
        name = names[number % len(names)]
        for file in (source / "pixels" / f"area={name}").glob("date=*/*"):
            copy = root / "pixels" / f"area={name}-{number:04d}" / file.parent.name / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.hardlink_to(file)


def write_wind(root: Path, day: str, places: np.ndarray) -> str:
    """Write one day of hourly wind in a block of the grid around each place (longitude, latitude); return its path."""
    step = (np.arange(WIND_SIDE) - WIND_SIDE // 2) * WIND_STEP_DEG
    near = np.round(places / WIND_STEP_DEG) * WIND_STEP_DEG
    east, north, hour = (a.ravel() for a in np.meshgrid(step, step, np.arange(WIND_HOURS)))
    n = len(places) * hour.size
    at = np.datetime64(day, "us") + np.tile(hour, len(places)).astype("timedelta64[h]")
    rows = WIND.from_columns(
        {
            "observed_at_utc": pa.array(at).cast(WIND.schema.field("observed_at_utc").type),
            "longitude": (near[:, :1] + east).ravel(),
            "latitude": (near[:, 1:] + north).ravel(),
            "wind_u_m_s": np.full(n, WIND_M_S[0]),
            "wind_v_m_s": np.full(n, WIND_M_S[1]),
            "height_m": np.full(n, WIND_HEIGHT_M),
        }
    )
    storage.write_partition(WIND, f"{root}/wind", {"product": "simulated", "date": day}, rows)
    return f"{root}/wind"
