"""Simulated soundings for benchmarks: orbits as OCO-2 flies them, as rows of the table `soundings`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from plumewatch import storage
from plumewatch.simulation.oco2_granules import granule_name
from plumewatch.simulation.oco2_orbits import FRAMES_PER_S, PERIOD_S, Arc, make_arc, swath
from plumewatch.simulation.random_streams import autoregressive_series, correlated_series
from plumewatch.tables import SOUNDINGS

Floats = NDArray[np.float64]

DAY_SIDE_KM = 10_000.0  # half of what an orbit's day side is long
FRAME_KM = 2.27
BACKGROUND_PPM, WAVE_PPM, WAVE_KM = 410.0, 0.2, 400.0
# As orbit 11522 shows them: errors of single soundings, and those that neighbouring frames share (ppm, km).
SINGLE_PPM, SHARED_PPM, SHARED_KM = 0.45, 0.25, 2.0
CLEAR_KM = (25.0, 250.0)  # scales of cloud
WEATHER_KM, HPA_A_M = 500.0, 0.115
PLUMES, PLUME_PPM, PLUME_KM = 3, (1.5, 4.0), (4.0, 15.0)  # a full orbit, heights and widths
FIRST_ORBIT, EQUATOR_STEP_DEG = 20_000, 360.0 * PERIOD_S / 86_400.0
ORBITS_A_DAY = 86_400.0 / PERIOD_S
MONTH = "2017-08"
MONTH_START = datetime(2017, 8, 1, 0, 20, tzinfo=UTC)


def simulate_orbit(number: int, share: float) -> pa.Table:
    """Return the soundings of an orbit of which clouds leave a share; the same number gives the same rows."""
    rng = np.random.default_rng(number)
    time = MONTH_START + timedelta(seconds=number * PERIOD_S)
    arc = make_arc(180.0 - number * EQUATOR_STEP_DEG % 360.0, 0.0, time, DAY_SIDE_KM)
    frame, foot = np.nonzero(_kept(rng, len(arc.thirds), share))
    return _rows(rng, arc, FIRST_ORBIT + number, frame, foot)


def orbits_of_day(day: int) -> range:
    """Return the numbers of the orbits that see some of a day of the month (from 0)."""
    return range(max(0, int(day * ORBITS_A_DAY) - 1), int((day + 1) * ORBITS_A_DAY) + 2)


def _kept(rng: np.random.Generator, frames: int, share: float) -> NDArray[np.bool_]:
    """Which footprints are good: clear stretches of all lengths, and some footprints of each missing."""
    clear = sum(correlated_series(rng, frames, km / FRAME_KM) for km in CLEAR_KM)
    single = rng.random((frames, 8)) < max(0.75, share)
    return (clear >= np.quantile(clear, 1.0 - min(1.0, share / single.mean())))[:, None] & single


def _rows(rng: np.random.Generator, arc: Arc, orbit: int, frame: NDArray[np.intp], foot: NDArray[np.intp]) -> pa.Table:
    n, time_s = len(frame), arc.thirds / FRAMES_PER_S
    shared = SHARED_PPM * autoregressive_series(rng, len(arc.thirds), SHARED_KM / FRAME_KM)
    common = BACKGROUND_PPM + WAVE_PPM * np.sin(arc.along_km / WAVE_KM * 2 * np.pi) + shared
    for centre in rng.uniform(arc.along_km[0], arc.along_km[-1], PLUMES):
        common = common + rng.uniform(*PLUME_PPM) * np.exp(
            -0.5 * ((arc.along_km - centre) / rng.uniform(*PLUME_KM)) ** 2
        )
    weather = [correlated_series(rng, len(arc.thirds), WEATHER_KM / FRAME_KM) for _ in range(3)]
    altitude = 300.0 + rng.normal(0.0, 20.0, n)
    pressure = 980.0 + weather[0][frame] - altitude * HPA_A_M
    longitude, latitude = (a[frame, foot] for a in swath(arc))
    tenths = np.floor(time_s[frame] * 10).astype("i8")
    values = {
        "sounding_id": _ids(tenths, foot + 1),
        "observed_at_utc": pa.array(tenths * 100_000).cast(pa.timestamp("us", tz="UTC")),
        "orbit": np.full(n, orbit),
        "longitude": longitude,
        "latitude": latitude,
        "xco2_ppm": common[frame] + rng.normal(0.0, SINGLE_PPM, n),
        "xco2_uncertainty_ppm": rng.uniform(0.4, 0.6, n),
        "xco2_quality_flag": np.zeros(n),
        "operation_mode": np.zeros(n),
        "footprint": foot + 1,
        "wind_u_m_s": 5.0 + weather[0][frame] + rng.normal(0.0, 0.01, n),
        "wind_v_m_s": 1.0 + weather[1][frame] + rng.normal(0.0, 0.01, n),
        "surface_pressure_hpa": pressure + rng.normal(0.0, 1.0, n),
        "surface_pressure_apriori_hpa": pressure,
        "tcwv_kg_m2": 20.0 + weather[2][frame] + rng.normal(0.0, 0.5, n),
        "tcwv_apriori_kg_m2": 20.0 + weather[2][frame],
        "tcwv_uncertainty_kg_m2": rng.uniform(0.1, 0.3, n),
        "altitude_m": altitude,
        "land_water_indicator": np.zeros(n),
        "land_fraction_percent": np.full(n, 100.0),
    }
    kinds = {field.name: field.type for field in SOUNDINGS.schema}
    arrays = {
        name: v if isinstance(v, pa.Array) else pa.array(v.astype(kinds[name].to_pandas_dtype()))
        for name, v in values.items()
    }
    days = pc.strftime(arrays["observed_at_utc"], "%Y-%m-%d")
    names = {day: granule_name(day) for day in pc.unique(days).to_pylist()}
    return SOUNDINGS.from_columns({**arrays, "granule": [names[day] for day in days.to_pylist()]})


def _ids(tenths: NDArray[np.int64], footprint: NDArray[np.intp]) -> NDArray[np.int64]:
    """YYYYMMDDhhmmssmf."""
    seconds = (tenths // 10).astype("datetime64[s]")
    text = pc.strftime(pa.array(seconds), "%Y%m%d%H%M%S").to_numpy(zero_copy_only=False).astype("i8")
    return text * 100 + tenths % 10 * 10 + footprint


def write_month(root: Path, orbits: int, share: float) -> int:
    """Write a month's partition of `soundings`, a file a day, and return its number of soundings.

    The month ends with its last orbit: fewer orbits are fewer days. Rows of the day after are left out.
    """
    table = pa.concat_tables(simulate_orbit(number, share) for number in range(orbits))
    table = table.filter(pc.equal(pc.strftime(table["observed_at_utc"], "%Y-%m"), MONTH))
    folder = storage.join(f"file://{root}", f"month={MONTH}")
    files = []
    for granule in sorted(pc.unique(table["granule"]).to_pylist()):
        rows = table.filter(pc.equal(table["granule"], granule)).sort_by("sounding_id")
        files.append(granule.replace(".nc4", ".parquet"))
        storage.write_parquet(SOUNDINGS, storage.join(folder, files[-1]), rows)
    storage.publish_partition(SOUNDINGS, f"file://{root}", {"month": MONTH}, files, table.num_rows)
    return table.num_rows
