"""Peaks as the older tool published them, `peaks_and_invent_*.csv`, as rows of the table `peaks`.

It fitted each sounding for itself, so that a plume has many rows: of those of an orbit within 50 km of each other the
one with the highest correlation is kept. Its wind is that at 10 m; what it says of inventories isn't read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from plumewatch.geodesy import distance_to_chord, unit_vectors
from plumewatch.tables import PEAKS

COLUMNS = {
    "sounding_id": "peak_id", "latitude": "latitude", "longitude": "longitude", "orbit": "orbit", "delta": "height_ppm",
    "amplitude": "amplitude_ppm_km", "sigma": "sigma_km", "R": "correlation", "windspeed_u": "wind_u_m_s",
    "windspeed_v": "wind_v_m_s", "surface_pressure": "surface_pressure_hpa", "tcwv": "tcwv_kg_m2",
    "ktCO2_per_h": "emission_kt_h", "date": "observed_at_utc",
}  # fmt: skip
APART_KM = 50.0


def read_published_peaks(files: Sequence[str]) -> pa.Table:
    """Return the peaks of the files, one a plume and orbit; as the wind across the orbit they have the whole wind."""
    rows = pd.concat([pd.read_csv(file, usecols=list(COLUMNS)) for file in files], ignore_index=True)
    rows = rows.rename(columns=COLUMNS).dropna(subset=["wind_u_m_s", "wind_v_m_s", "surface_pressure_hpa"])
    rows = rows.sort_values(["correlation", "peak_id"], ascending=[False, True])
    kept = pd.concat([_apart(of_orbit) for _, of_orbit in rows.groupby("orbit", sort=True)])
    kept["observed_at_utc"] = pd.to_datetime(kept["observed_at_utc"], utc=True, format="ISO8601")
    kept["wind_across_track_m_s"] = np.hypot(kept["wind_u_m_s"], kept["wind_v_m_s"])
    kept = kept.assign(status="accepted", emission_status="ok").reindex(columns=PEAKS.schema.names)
    return PEAKS.conform(pa.Table.from_pandas(kept, schema=PEAKS.schema, preserve_index=False))


def _apart(rows: pd.DataFrame) -> pd.DataFrame:
    """The best rows of an orbit that are farther than 50 km from better ones."""
    places = unit_vectors(rows["longitude"].to_numpy(), rows["latitude"].to_numpy())
    is_left, chosen = np.ones(len(rows), bool), []
    for at in range(len(rows)):
        if is_left[at]:
            chosen.append(at)
            is_left &= np.linalg.norm(places - places[at], axis=1) > distance_to_chord(APART_KM)
    return rows.iloc[chosen]
