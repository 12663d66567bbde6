"""Simulated passes in the pixel table, wind around them, and the job as a module."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.methane.evaluation.scenes import SimulatedArea
from plumewatch.methane.passes import Pass
from plumewatch.tables import PIXELS, WIND

from tools.checkout import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "tests" / "benchmarks"))  # which lay passes out as rows too
from pixel_rows import pixel_rows as rows_of

JOB = CHECKOUT / "spark_jobs" / "detect_methane_plumes.py"


@pytest.fixture(scope="session")
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("detect_methane_plumes", JOB)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["detect_methane_plumes"] = module
    spec.loader.exec_module(module)
    return module


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
