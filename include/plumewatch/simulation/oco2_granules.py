"""OCO-2 Lite granules (build B11.2) of the simulated world, as NetCDF-4 files in the form of the real ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plumewatch.constants import SECONDS_PER_DAY
from plumewatch.geodesy import destination
from plumewatch.simulation.oco2_lite_file import write_lite_file
from plumewatch.simulation.oco2_orbits import FOOTPRINT_KM, FRAMES_PER_S
from plumewatch.simulation.oco2_plan import GRANULES, HTML_DATE, PLUME_HEIGHT_M, PlannedPeak, emission_kt_h
from plumewatch.simulation.oco2_soundings import FILL, FRAME_KM, GLINT, GOOD, LAND, NADIR, WATER, Soundings
from plumewatch.simulation.random_streams import random_stream
from plumewatch.sun import solar_angles_deg
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M
from plumewatch.wind.profile import height_factor

BUILD = "B11210Ar"
PROCESSING_DELAY = timedelta(days=47, hours=3, minutes=25, seconds=18)
MILLISECONDS = np.array([0, 300, 700])  # how ids and dates write the thirds of a second
X2019_SLOPE, X2019_OFFSET_PPM = 1.00079, -0.142  # WMO scale X2019 from X2007, Hall et al. 2021
RAW_BIAS_PPM = 1.8
ORBITS_OF_CYCLE, DAYS_OF_CYCLE = 233, 16
COORDINATES = {"levels": 20, "bands": 3, "vertices": 4, "footprints": 8}
APRIORI_PPM, ITERATIONS, DEM_POINTS = 423.8, 3, 400  # the same everywhere: nothing reads them
LISTED_OF_PLANTS = ("name", "longitude", "latitude", "co2_t_y")
VIEW_ZENITH_DEG = {NADIR: 0.35, GLINT: 24.0}
HTML_PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Earthdata Login</title></head>
<body><h1>Earthdata Login</h1>
<p>You must approve the application NASA GESDISC DATA ARCHIVE in your profile before you can download this file.</p>
<form action="/login" method="post"><input name="username"><input name="password" type="password"></form>
</body></html>
"""

Values = NDArray[Any]


def granule_name(date: str) -> str:
    """Return the file name of a UTC day; the stamp at its end is the time of processing.

    >>> granule_name("2025-08-24")
    'oco2_LtCO2_250824_B11210Ar_251010032518s.nc4'
    """
    day = datetime.fromisoformat(date)
    return f"oco2_LtCO2_{day:%y%m%d}_{BUILD}_{day + PROCESSING_DELAY:%y%m%d%H%M%S}s.nc4"


def write_granules(folder: Path, seed: int, arcs: Iterable[Soundings]) -> list[dict[str, Any]]:
    """Write one file a UTC day of GRANULES and the HTML page, and return the peaks that they hold, in order of time."""
    arcs = list(arcs)
    folder.mkdir(parents=True, exist_ok=True)
    for date, *_ in GRANULES:
        made_at = datetime.fromisoformat(date) + PROCESSING_DELAY
        rng = random_stream(seed, "granule", date)
        write_lite_file(folder / granule_name(date), _variables(date, arcs), made_at, rng)
    (folder / granule_name(HTML_DATE)).write_text(HTML_PAGE, encoding="utf-8")
    return [_planted(arc, arc.planned.peak) for arc in arcs if arc.planned.peak]


def _planted(arc: Soundings, peak: PlannedPeak) -> dict[str, Any]:
    """Return a peak as the truth lists it.

    `sounding_id` is that of the good sounding nearest to the centre, which wind, pressure and water vapour are of.
    `emission_kt_h` is the cross-sectional flux by them and by the wind at `wind_height_m`, which carries the smoke (the
    granule's own is that at 10 m); `inventory_emission_kt_h` is the annual mean of all plants of the place, the
    greatest of which is `source_name`. `sigma_km` is along the track, and `amplitude_ppm_km` height x sigma x
    sqrt(2 pi).
    """
    nearest = int(np.argmin(np.where(arc.quality_flag == GOOD, np.abs(arc.along_km), np.inf)))
    factor = float(height_factor(SURFACE_WIND_HEIGHT_M, PLUME_HEIGHT_M))
    u, v = factor * float(arc.wind_u_m_s[nearest]), factor * float(arc.wind_v_m_s[nearest])
    heading = np.radians(arc.heading_deg[nearest])
    across = float(abs(u * np.cos(heading) - v * np.sin(heading)))
    amplitude = peak.height_ppm * peak.sigma_km * float(np.sqrt(2.0 * np.pi))
    pressure, vapour = float(arc.pressure_hpa[nearest]), float(arc.vapour_kg_m2[nearest])
    planned = arc.planned
    return {
        "orbit": arc.orbit,
        "month": f"{planned.observed_at_utc:%Y-%m}",
        "granule": granule_name(f"{planned.observed_at_utc:%Y-%m-%d}"),
        "sounding_id": str(_sounding_ids(arc.thirds[[nearest]], arc.footprint[[nearest]])[0]),
        "longitude": planned.longitude,
        "latitude": planned.latitude,
        "observed_at_utc": planned.observed_at_utc.isoformat(),
        "height_ppm": peak.height_ppm,
        "sigma_km": peak.sigma_km,
        "amplitude_ppm_km": amplitude,
        "emission_kt_h": emission_kt_h(amplitude, pressure, vapour, across),
        "wind_height_m": PLUME_HEIGHT_M,
        "wind_u_m_s": u,
        "wind_v_m_s": v,
        "wind_across_track_m_s": across,
        "inventory_emission_kt_h": peak.inventory_kt_h,
        "source_name": peak.plants[0].name,
        "plants": [{name: getattr(p, name) for name in LISTED_OF_PLANTS} for p in peak.plants],
    }


def _calendar(thirds: Values) -> Values:
    """Return year, month, day, hour, minute, second and millisecond of each time, (n, 7)."""
    time = pd.DatetimeIndex((thirds // FRAMES_PER_S).astype("datetime64[s]"))
    parts = (time.year, time.month, time.day, time.hour, time.minute, time.second)
    return np.stack([*parts, MILLISECONDS[thirds % FRAMES_PER_S]], axis=1)


def _sounding_ids(thirds: Values, footprint: Values) -> Values:
    """Return the 16-digit ids YYYYMMDDhhmmssmf."""
    parts = _calendar(thirds)
    weights = np.array([10**12, 10**10, 10**8, 10**6, 10**4, 10**2], dtype=np.int64)
    return ((parts[:, :6] @ weights + parts[:, 6] // 100 * 10) + footprint).astype(np.uint64)


def _variables(date: str, arcs: list[Soundings]) -> dict[str, Values]:
    """Return the modelled variables of a day by their path."""
    day = _day(date, arcs)
    groups = {"": _root(day), "Sounding/": _sounding(day), "Retrieval/": _retrieval(day), "Meteorology/": _weather(day)}
    values = {prefix + name: content for prefix, group in groups.items() for name, content in group.items()}
    values["Auxiliary/n_dem_points"] = np.full(len(day["thirds"]), DEM_POINTS)
    values["L1b/frame_time"] = np.unique(day["thirds"]) / FRAMES_PER_S
    return values


def _day(date: str, arcs: list[Soundings]) -> dict[str, Values]:
    """Return what all arcs measured on a UTC day, by field of Soundings, with orbit, mode and angles."""
    start = int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * FRAMES_PER_S
    end = start + SECONDS_PER_DAY * FRAMES_PER_S
    parts = [(arc, (arc.thirds >= start) & (arc.thirds < end)) for arc in arcs]
    fields = [f.name for f in dataclasses.fields(Soundings) if f.name not in ("planned", "orbit")]
    day = {name: np.concatenate([getattr(arc, name)[inside] for arc, inside in parts]) for name in fields}
    counts = [int(inside.sum()) for _, inside in parts]
    day["orbit"] = np.repeat([arc.orbit for arc in arcs], counts)
    day["is_water"] = np.repeat([arc.planned.is_water for arc in arcs], counts)
    day["view_zenith_deg"] = np.where(day["is_water"], VIEW_ZENITH_DEG[GLINT], VIEW_ZENITH_DEG[NADIR])
    sun = solar_angles_deg(day["longitude"], day["latitude"], day["thirds"] / FRAMES_PER_S)
    day["sun_zenith_deg"], day["sun_azimuth_deg"] = sun
    return day


def _root(day: dict[str, Values]) -> dict[str, Values]:
    xco2, flag = day["xco2_ppm"], day["quality_flag"]
    corner_lon, corner_lat = _corners(day["longitude"], day["latitude"], day["heading_deg"])
    orbits, file_number = np.unique(day["orbit"], return_inverse=True)
    return {
        "sounding_id": _sounding_ids(day["thirds"], day["footprint"]),
        **{name: np.arange(1, n + 1) for name, n in COORDINATES.items()},
        "date": _calendar(day["thirds"]),
        "latitude": day["latitude"],
        "longitude": day["longitude"],
        "time": day["thirds"] / FRAMES_PER_S,
        "solar_zenith_angle": day["sun_zenith_deg"],
        "sensor_zenith_angle": day["view_zenith_deg"],
        "xco2_quality_flag": flag,
        "xco2_qf_bitflag": flag,
        "xco2_qf_simple_bitflag": flag,
        "source_files": np.array([f"oco2_L2StdGL_{orbit}a_B11200r.h5" for orbit in orbits], dtype=object),
        "file_index": file_number + 1,
        "vertex_latitude": corner_lat,
        "vertex_longitude": corner_lon,
        "xco2": xco2,
        "xco2_x2019": np.where(xco2 == FILL, FILL, X2019_SLOPE * xco2 + X2019_OFFSET_PPM),
        "xco2_uncertainty": day["uncertainty_ppm"],
        "xco2_apriori": np.full(len(xco2), APRIORI_PPM),
        **_profiles(day["pressure_apriori_hpa"]),
    }


def _sounding(day: dict[str, Values]) -> dict[str, Values]:
    sun, view = np.radians(day["sun_zenith_deg"]), np.radians(day["view_zenith_deg"])
    return {
        "operation_mode": np.where(day["is_water"], GLINT, NADIR),
        "orbit": day["orbit"],
        "path": day["orbit"] * DAYS_OF_CYCLE % ORBITS_OF_CYCLE + 1,
        "footprint": day["footprint"],
        "altitude": day["altitude_m"],
        "land_fraction": np.where(day["is_water"], 0.0, 100.0),
        "land_water_indicator": np.where(day["is_water"], WATER, LAND),
        "airmass": 1.0 / np.cos(sun) + 1.0 / np.cos(view),
        "solar_azimuth_angle": day["sun_azimuth_deg"],
        "l1b_type": np.zeros(len(sun)),
    }


def _retrieval(day: dict[str, Values]) -> dict[str, Values]:
    u, v, xco2 = day["wind_u_m_s"], day["wind_v_m_s"], day["xco2_ppm"]
    speed = np.where(u == FILL, FILL, np.hypot(u, v))
    return {
        "psurf": day["pressure_hpa"],
        "psurf_apriori": day["pressure_apriori_hpa"],
        "xco2_raw": np.where(xco2 == FILL, FILL, xco2 - RAW_BIAS_PPM),
        "tcwv": day["vapour_kg_m2"],
        "tcwv_apriori": day["vapour_apriori_kg_m2"],
        "windspeed": speed,
        "windspeed_apriori": speed,
        "surface_type": np.where(day["is_water"], 0, 1),
        "snow_flag": np.zeros(len(u)),
        "iterations": np.full(len(u), ITERATIONS),
        "diverging_steps": np.zeros(len(u)),
    }


def _weather(day: dict[str, Values]) -> dict[str, Values]:
    wind = {"windspeed_u_met": day["wind_u_m_s"], "windspeed_v_met": day["wind_v_m_s"]}
    return wind | {f"psurf_apriori_{band}": day["pressure_apriori_hpa"] for band in ("o2a", "wco2", "sco2")}


def _corners(lon: Values, lat: Values, heading: Values) -> tuple[Values, Values]:
    """Return the corners of each field of view, (n, 4)."""
    half_wide, half_long = FOOTPRINT_KM / 2, FRAME_KM / 2
    turn = np.degrees(np.arctan2(half_wide, half_long))
    bearings = heading[:, None] + np.array([turn, 180.0 - turn, 180.0 + turn, -turn])
    return destination(lon[:, None], lat[:, None], bearings, np.hypot(half_wide, half_long))


def _profiles(pressure: Values) -> dict[str, Values]:
    """Return the four variables on 20 levels, from space to the surface."""
    level = np.linspace(0.0, 1.0, 20)
    shape = (len(pressure), 20)
    weight = np.full(20, 1.0 / 19.0)
    weight[[0, -1]] /= 2.0
    return {
        "pressure_levels": np.maximum(level, 1e-4) * pressure[:, None],
        "co2_profile_apriori": np.broadcast_to(420.0 + 6.0 * level, shape),
        "xco2_averaging_kernel": np.broadcast_to(0.75 + 0.3 * level, shape),
        "pressure_weight": np.broadcast_to(weight, shape),
    }
