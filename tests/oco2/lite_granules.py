"""OCO-2 Lite files as tests need them: names, types and `missing_value` as users of real files print them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

NAME = "oco2_LtCO2_160831_B11210Ar_240910224028s.nc4"
NAME_V10 = "oco2_LtCO2_160831_B10206Ar_200730235637s.nc4"
FILL = -999999.0
FRAME_KM = 2.25
KM_PER_DEGREE = 111.195
MILLISECONDS = np.array([0, 300, 700])  # how ids and dates write the thirds of a second
START = datetime(2016, 8, 31, 11, 50, tzinfo=UTC)

# path, type, missing_value, units
VARIABLES = [
    ("sounding_id", "u8", 0, None),
    ("date", "i2", -9999, "none"),
    ("latitude", "f4", FILL, "degrees_north"),
    ("longitude", "f4", FILL, "degrees_east"),
    ("time", "f8", FILL, "seconds since 1970-01-01 00:00:00"),
    ("xco2_quality_flag", "i1", 127, "none"),
    ("xco2", "f4", FILL, "ppm"),
    ("xco2_uncertainty", "f4", FILL, "ppm"),
    ("Sounding/operation_mode", "i1", 127, "none"),
    ("Sounding/orbit", "i4", -9999, "none"),
    ("Sounding/footprint", "i1", 127, "none"),
    ("Sounding/altitude", "f4", FILL, "m"),
    ("Sounding/land_fraction", "f4", FILL, "%"),
    ("Sounding/land_water_indicator", "i1", 127, "none"),
    ("Retrieval/psurf", "f4", FILL, "hPa"),
    ("Retrieval/tcwv", "f4", FILL, "kg m-2"),
    ("Retrieval/tcwv_apriori", "f4", FILL, "kg m-2"),
    ("Retrieval/tcwv_uncertainty", "f4", FILL, "kg m-2"),
    ("Meteorology/windspeed_u_met", "f4", FILL, "m/s"),
    ("Meteorology/windspeed_v_met", "f4", FILL, "m/s"),
]
PRESSURE_APRIORI = {"B10": "Meteorology/psurf_apriori_o2a", "B11": "Retrieval/psurf_apriori"}


def sounding_ids(thirds: Any, footprint: Any) -> Any:
    """YYYYMMDDhhmmssmf of times in thirds of a second since 1970."""
    parts = calendar(thirds)
    weights = 10 ** np.array([12, 10, 8, 6, 4, 2])
    return (parts[:, :6] @ weights + parts[:, 6] // 100 * 10 + np.asarray(footprint)).astype(np.uint64)


def calendar(thirds: Any) -> Any:
    """Year, month, day, hour, minute, second, milliseconds of each time, shape (n, 7)."""
    thirds = np.asarray(thirds, dtype=np.int64)
    seconds = (thirds // 3).astype("datetime64[s]")
    days, months = seconds.astype("datetime64[D]"), seconds.astype("datetime64[M]")
    of_day = (seconds - days).astype(int)
    columns = [
        seconds.astype("datetime64[Y]").astype(int) + 1970,
        months.astype(int) % 12 + 1,
        (days - months).astype("timedelta64[D]").astype(int) + 1,
        of_day // 3600,
        of_day // 60 % 60,
        of_day % 60,
        MILLISECONDS[thirds % 3],
    ]
    return np.stack(columns, axis=-1)


def northward_track(
    length_km: float,
    *,
    orbit: int = 11522,
    longitude: float = 20.0,
    latitude: float = -30.0,
    start: datetime = START,
    footprints: int = 8,
) -> dict[str, Any]:
    """Columns of soundings along a meridian: frames of 2.25 km and a third of a second, footprints of 1.3 km."""
    frames = np.arange(int(length_km / FRAME_KM))
    frame, foot = (a.ravel() for a in np.meshgrid(frames, np.arange(1, footprints + 1), indexing="ij"))
    thirds = int(start.timestamp() * 3) + frame
    lat = latitude + frame * FRAME_KM / KM_PER_DEGREE
    lon = longitude + (foot - 4.5) * 1.29 / (KM_PER_DEGREE * np.cos(np.radians(lat)))
    n = len(frame)
    return {
        "sounding_id": sounding_ids(thirds, foot),
        "date": calendar(thirds),
        "latitude": lat,
        "longitude": lon,
        "time": thirds / 3,
        "xco2_quality_flag": np.zeros(n),
        "xco2": np.full(n, 400.0),
        "xco2_uncertainty": np.full(n, 0.5),
        "Sounding/operation_mode": np.zeros(n),
        "Sounding/orbit": np.full(n, orbit),
        "Sounding/footprint": foot,
        "Sounding/altitude": np.full(n, 300.0),
        "Sounding/land_fraction": np.full(n, 100.0),
        "Sounding/land_water_indicator": np.zeros(n),
        "Retrieval/psurf": np.full(n, 980.0),
        "psurf_apriori": np.full(n, 981.0),
        "Retrieval/tcwv": np.full(n, 20.0),
        "Retrieval/tcwv_apriori": np.full(n, 21.0),
        "Retrieval/tcwv_uncertainty": np.full(n, 0.1),
        "Meteorology/windspeed_u_met": np.full(n, 5.0),
        "Meteorology/windspeed_v_met": np.full(n, 1.0),
    }


def along_km(columns: Mapping[str, Any]) -> Any:
    """Distance of the frames of `northward_track` from the first."""
    return (columns["latitude"] - columns["latitude"].min()) * KM_PER_DEGREE


def joined(*tracks: Mapping[str, Any]) -> dict[str, Any]:
    """Several tracks as the columns of one file."""
    return {name: np.concatenate([track[name] for track in tracks]) for name in tracks[0]}


def write_lite(path: Path, columns: Mapping[str, Any]) -> Path:
    """Write a Lite file; the build in its name decides where the prior pressure is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    build = path.name.split("_")[3][:3]
    variables = [*VARIABLES, (PRESSURE_APRIORI[build], "f4", FILL, "hPa")]
    values = {**columns, PRESSURE_APRIORI[build]: columns["psurf_apriori"]}
    with netCDF4.Dataset(path, "w", format="NETCDF4") as dataset:
        dataset.BuildId = f"{build}.2.05"
        dataset.Platform, dataset.Sensor, dataset.title = "OCO-2", "OCO-2", "ACOS L2 Lite Output"
        dataset.createDimension("sounding_id", len(columns["sounding_id"]))
        dataset.createDimension("epoch_dimension", 7)
        for name, kind, missing, units in variables:
            if name not in values:
                continue
            dimensions = ("sounding_id", "epoch_dimension")[: np.ndim(values[name])]
            variable = dataset.createVariable(name, kind, dimensions, zlib=True, complevel=1)
            variable.missing_value = np.array(missing).astype(kind)
            if units:
                variable.units = units
            variable[:] = np.asarray(values[name]).astype(kind)
        if build == "B11":  # a group whose arrays have another length, and familiar names
            dataset.createDimension("l1b_frames", 3)
            dataset.createVariable("L1b/latitude", "f4", ("l1b_frames",))[:] = 1.0
    return path
