"""Simulated passes as rows of the pixel table, and the job as a module."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.methane.evaluation.scenes import SimulatedArea
from plumewatch.methane.passes import Pass
from plumewatch.tables import PIXELS, WIND

JOB = Path(__file__).resolve().parents[2] / "spark_jobs" / "detect_methane_plumes.py"


@pytest.fixture(scope="session")
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("detect_methane_plumes", JOB)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["detect_methane_plumes"] = module
    spec.loader.exec_module(module)
    return module


def rows_of(one: Pass) -> pa.Table:
    """The pixel table of a pass, all of its cells."""
    row, col = (index.ravel() for index in np.indices(one.shape))
    longitude, latitude = one.place.longitude_latitude(row, col)
    n = row.size
    return PIXELS.from_columns(
        {
            "scene_id": pa.array([one.scene_ids[0]] * n, pa.string()),
            "platform": pa.array([one.platform] * n, pa.string()),
            "observed_at_utc": pa.array([one.observed_at_utc] * n, pa.timestamp("us", tz="UTC")),
            "relative_orbit": np.full(n, one.relative_orbit, np.int16),
            "epsg": np.full(n, one.epsg, np.int32),
            "pixel_size_m": np.full(n, one.pixel_size_m, np.float32),
            "row": row.astype(np.int32),
            "col": col.astype(np.int32),
            "longitude": longitude,
            "latitude": latitude,
            "b11": one.b11.ravel(),
            "b12": one.b12.ravel(),
            "b_diff": one.b11.ravel() - one.b12.ravel(),
            "scl": np.full(n, 5, np.uint8),
            "is_clear": one.is_usable.ravel(),
            "solar_zenith_deg": np.full(n, np.degrees(np.arccos(1 / (one.air_mass_factor - 1))), np.float32),
            "view_zenith_deg": np.zeros(n, np.float32),
        }
    )


@pytest.fixture(scope="session")
def pixel_rows() -> Callable[[Pass], pa.Table]:
    return rows_of


@pytest.fixture(scope="session")
def store_area() -> Callable[[str, str, SimulatedArea], list[str]]:
    """Write all passes of an area into the table pixels below a root; return their dates."""

    def store(root: str, name: str, area: SimulatedArea) -> list[str]:
        days = [f"{one.observed_at_utc:%Y-%m-%d}" for one in area.passes]
        for day, one in zip(days, area.passes, strict=True):
            storage.write_partition(PIXELS, storage.join(root, "pixels"), {"area": name, "date": day}, rows_of(one))
        return days

    return store


@pytest.fixture(scope="session")
def store_wind() -> Callable[[str, str, float, float], str]:
    """Write one day of a uniform wind around the simulated areas; return the wind's path."""

    def store(root: str, day: str, u: float, v: float) -> str:
        lon, lat, hour = (
            a.ravel() for a in np.meshgrid([53.0, 54.0, 55.0, 56.0], [37.0, 38.0, 39.0, 40.0], [0, 3, 6, 9, 12])
        )
        at = np.datetime64(day, "us") + hour.astype("timedelta64[h]")
        rows = WIND.from_columns(
            {
                "observed_at_utc": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
                "longitude": lon,
                "latitude": lat,
                "wind_u_m_s": np.full(lon.size, u),
                "wind_v_m_s": np.full(lon.size, v),
                "height_m": np.full(lon.size, 10.0),
            }
        )
        path = storage.join(root, "wind")
        storage.write_partition(WIND, path, {"product": "simulated", "date": day}, rows)
        return path

    return store
