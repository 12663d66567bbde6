"""Orbits with planted peaks in correlated noise, as rows of the table `soundings`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from lite_granules import along_km, northward_track
from plumewatch.oco2.evaluation.planted import PlantedPeak as Planted
from plumewatch.tables import SOUNDINGS
from scipy.signal import lfilter

PATHS = {
    "sounding_id": "sounding_id",
    "longitude": "longitude",
    "latitude": "latitude",
    "xco2_ppm": "xco2",
    "xco2_uncertainty_ppm": "xco2_uncertainty",
    "xco2_quality_flag": "xco2_quality_flag",
    "orbit": "Sounding/orbit",
    "operation_mode": "Sounding/operation_mode",
    "footprint": "Sounding/footprint",
    "altitude_m": "Sounding/altitude",
    "land_fraction_percent": "Sounding/land_fraction",
    "land_water_indicator": "Sounding/land_water_indicator",
    "surface_pressure_hpa": "Retrieval/psurf",
    "tcwv_kg_m2": "Retrieval/tcwv",
    "wind_u_m_s": "Meteorology/windspeed_u_met",
    "wind_v_m_s": "Meteorology/windspeed_v_met",
}
"""Columns of the table and their places in a Lite file."""


def noise(rng: np.random.Generator, distance_km: Any, single_ppm: float = 0.45, shared_ppm: float = 0.2) -> Any:
    """Independent errors, errors that neighbouring frames share (correlation length 5 km), and a smooth background."""
    frame = np.unique(np.round(distance_km, 3), return_inverse=True)[1]
    a = np.exp(-2.25 / 5.0)
    shared = lfilter([np.sqrt(1 - a**2)], [1, -a], rng.standard_normal(frame.max() + 1)) * shared_ppm
    length, phase = rng.uniform(250, 600), rng.uniform(0, 2 * np.pi)
    background = 0.2 * np.sin(2 * np.pi * distance_km / length + phase)
    return background + shared[frame] + rng.normal(0, single_ppm, len(distance_km))


def planted_columns(
    rng: np.random.Generator | None, length_km: float, peaks: Sequence[Planted] = (), **track: Any
) -> dict[str, Any]:
    """Columns of a Lite file (see lite_granules) with peaks in noise; without noise where there is no generator."""
    columns = northward_track(length_km, **track)
    km = along_km(columns)
    xco2 = 402.0 + (noise(rng, km) if rng else 0.0 * km)
    for peak in peaks:
        xco2 = xco2 + peak.height_ppm * np.exp(-0.5 * ((km - peak.centre_km) / peak.sigma_km) ** 2)
    return {**columns, "xco2": xco2}


def soundings_of(columns: dict[str, Any], where: Any = slice(None)) -> pa.Table:
    """The columns of a Lite file as rows of the table, without the file."""
    kinds = {field.name: field.type for field in SOUNDINGS.schema}
    values: dict[str, Any] = {
        name: pa.array(np.asarray(columns[path])[where].astype(kinds[name].to_pandas_dtype()))
        for name, path in PATHS.items()
    }
    tenths = np.rint(columns["time"][where] * 10).astype("i8")
    values["observed_at_utc"] = pa.array(tenths * 100_000).cast(pa.timestamp("us", tz="UTC"))
    values["granule"] = ["planted.nc4"] * len(tenths)
    return SOUNDINGS.from_columns(values)
