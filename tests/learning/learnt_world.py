"""Plants, peaks downwind of them, and two inventories, from which emissions can be learnt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from plumewatch.gases import CO2
from plumewatch.geodesy import destination
from plumewatch.tables import PEAKS, SOURCES

SEEN = datetime(2018, 6, 1, 12, tzinfo=UTC)


def world(seed: int, n: int, error: float) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Peaks 15 km downwind of plants whose flux is theirs but for an error (log), and two inventories of the plants."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(0, 60, n), rng.uniform(20, 60, n)
    emission = np.exp(rng.normal(0.5, 0.8, n))  # kt/h
    turn = rng.uniform(0, 360, n)
    x, y = destination(lon, lat, turn, 15.0)
    peaks = [
        dict.fromkeys(PEAKS.schema.names) | {
            "peak_id": i, "orbit": i, "observed_at_utc": SEEN + timedelta(days=i % 365), "longitude": float(x[i]),
            "latitude": float(y[i]), "height_ppm": 1.5, "sigma_km": 6.0, "wind_u_m_s": 5 * np.sin(np.radians(turn[i])),
            "wind_v_m_s": 5 * np.cos(np.radians(turn[i])), "wind_across_track_m_s": 4.0, "surface_pressure_hpa": 1000.0,
            "tcwv_kg_m2": 20.0 + i % 7, "emission_kt_h": float(emission[i] * np.exp(rng.normal(0, error))),
            "status": "accepted", "probability": 0.9,
        }
        for i in range(n)
    ]  # fmt: skip
    lists = [
        [{"source_id": f"{name}{i}", "name": "x", "kind": "power_plant", "fuel": "coal", "gas": "co2", "year": 2018,
          "emission_t_y": float(emission[i] * np.exp(rng.normal(0, wrong)) / CO2.units_per_t_y),
          "longitude": float(lon[i]), "latitude": float(lat[i]), "emission_t_y_sigma": None} for i in range(n)]
        for name, wrong in (("a", 0.0), ("b", 0.4))
    ]  # fmt: skip
    return PEAKS.from_pylist(peaks), *(SOURCES.from_pylist(rows) for rows in lists)
