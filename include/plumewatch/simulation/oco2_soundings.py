"""Soundings along the planned arcs: XCO2 with its noise, the weather, and which soundings are bad or missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.constants import SECONDS_PER_DAY, SECONDS_PER_HOUR
from plumewatch.simulation.oco2_orbits import FOOTPRINTS, FRAMES_PER_S, Arc, make_arc, swath
from plumewatch.simulation.oco2_plan import PlannedArc, surface_pressure_hpa, water_vapour_kg_m2
from plumewatch.simulation.random_streams import autoregressive_series, correlated_series, random_stream
from plumewatch.simulation.wind_fields import WindField

FRAME_KM = 2.27  # between frames along the track
BACKGROUND_PPM = 424.5  # August 2025, mid latitudes
NORTHWARD_PPM_DEG = -0.015  # the northern summer takes up CO2
WAVE_PPM, WAVE_KM, WAVES = 0.3, (250.0, 600.0), 2  # amplitude and lengths of the background's waves
# Errors that soundings share, standard deviation and correlation length: those of a frame, as orbit 11522 of 2016 shows
# them (0.26 ppm and 1.5 km), and those of aerosol and surface over tens of kilometres.
SHARED_ERRORS = ((0.25, 2.0), (0.2, 15.0))
WHITE_PPM = 0.45  # of a single sounding; orbit 11522: 0.43
BAD_PPM = 2.0  # further error of soundings that are flagged
UNCERTAINTY_PPM = (0.45, 0.6)
CLOUD_KM = 20.0  # smoothing scale of cloud along the track
CLOUDY_ABOVE, OVERCAST_ABOVE = 0.65, 1.4  # in standard deviations: flagged, and not retrieved at all
BAD_ANYWHERE = 0.05  # share of soundings that are flagged in clear air
CLEAR_AROUND_PEAK_KM = 130.0
FILL_AWAY_FROM_PEAK_KM = 200.0
FILLS_PER_ARC = 4
TERRAIN_M, TERRAIN_KM = 60.0, 40.0
PRESSURE_ERROR_HPA, VAPOUR_ERROR_KG_M2 = 1.0, 0.4
FILL = -999999.0
LAND, WATER = 0, 1
NADIR, GLINT = 0, 1
GOOD, BAD = 0, 1
EMPTY_LAND_ALTITUDE_M = 300.0  # of land without a plant

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Soundings:
    """Soundings of one arc in order of time; all arrays have one value a sounding."""

    planned: PlannedArc
    """What the arc was planned to be."""
    orbit: int
    """Orbit number."""
    thirds: NDArray[np.int64]
    """Time of the frame: thirds of a second since 1970."""
    footprint: NDArray[np.int64]
    """1 to 8."""
    along_km: Floats
    """Along the track, 0 at the arc's anchor."""
    heading_deg: Floats
    """Direction of flight."""
    longitude: Floats
    """Degrees."""
    latitude: Floats
    """Degrees."""
    quality_flag: NDArray[np.int64]
    """0 good, 1 bad."""
    xco2_ppm: Floats
    """FILL where missing."""
    uncertainty_ppm: Floats
    """Of xco2."""
    altitude_m: Floats
    """Of the ground."""
    pressure_apriori_hpa: Floats
    """At the ground, from the weather model."""
    pressure_hpa: Floats
    """Retrieved."""
    vapour_apriori_kg_m2: Floats
    """Total column water vapour of the weather model."""
    vapour_kg_m2: Floats
    """Retrieved."""
    wind_u_m_s: Floats
    """At 10 m, towards east; FILL where missing."""
    wind_v_m_s: Floats
    """Towards north; FILL where missing."""


def simulate_arc(seed: int, planned: PlannedArc, winds: dict[str, WindField]) -> Soundings:
    """Return the soundings of an arc; `winds` holds the field of each UTC date that it touches."""
    arc = make_arc(planned.longitude, planned.latitude, planned.observed_at_utc, planned.half_length_km)
    rng = random_stream(seed, "soundings", arc.orbit)
    frames = len(arc.thirds)
    lon, lat = swath(arc)
    cloud = _cloud(rng, arc, planned)
    altitude = np.repeat(_altitude(rng, frames, planned)[:, None], FOOTPRINTS, axis=1)
    common = _background(rng, arc)
    common += sum(sd * autoregressive_series(rng, frames, length / FRAME_KM) for sd, length in SHARED_ERRORS)
    if planned.peak:
        common += planned.peak.height_ppm * np.exp(-0.5 * (arc.along_km / planned.peak.sigma_km) ** 2)
    noise = rng.standard_normal((4, frames, FOOTPRINTS))
    clear_bad = rng.random((frames, FOOTPRINTS)) < BAD_ANYWHERE
    is_bad = (cloud > CLOUDY_ABOVE)[:, None] | clear_bad
    xco2 = common[:, None] + WHITE_PPM * noise[0] + is_bad * BAD_PPM * noise[1]
    pressure = surface_pressure_hpa(altitude)
    vapour = water_vapour_kg_m2(altitude)
    u, v = _wind(arc, lon, lat, winds)
    kept = np.broadcast_to((cloud <= OVERCAST_ABOVE)[:, None], lon.shape)
    fields = {
        "thirds": np.repeat(arc.thirds[:, None], FOOTPRINTS, axis=1),
        "footprint": np.broadcast_to(np.arange(1, FOOTPRINTS + 1), lon.shape),
        "along_km": np.repeat(arc.along_km[:, None], FOOTPRINTS, axis=1),
        "heading_deg": np.repeat(arc.heading_deg[:, None], FOOTPRINTS, axis=1),
        "longitude": lon,
        "latitude": lat,
        "quality_flag": np.where(is_bad, BAD, GOOD),
        "xco2_ppm": xco2,
        "uncertainty_ppm": rng.uniform(*UNCERTAINTY_PPM, lon.shape),
        "altitude_m": altitude,
        "pressure_apriori_hpa": pressure,
        "pressure_hpa": pressure + PRESSURE_ERROR_HPA * noise[2],
        "vapour_apriori_kg_m2": vapour,
        "vapour_kg_m2": vapour + VAPOUR_ERROR_KG_M2 * noise[3],
        "wind_u_m_s": u,
        "wind_v_m_s": v,
    }
    values = {name: np.array(field[kept]) for name, field in fields.items()}
    _punch_fills(rng, values, planned)
    return Soundings(planned=planned, orbit=arc.orbit, **values)


def _cloud(rng: np.random.Generator, arc: Arc, planned: PlannedArc) -> Floats:
    """How cloudy each frame is, in standard deviations; clear around a peak."""
    cloud = correlated_series(rng, len(arc.thirds), CLOUD_KM / FRAME_KM)
    if planned.peak:
        cloud[np.abs(arc.along_km) < CLEAR_AROUND_PEAK_KM] = -1.0
    return cloud


def _altitude(rng: np.random.Generator, frames: int, planned: PlannedArc) -> Floats:
    if planned.is_water:
        return np.zeros(frames)
    level = planned.peak.plants[0].altitude_m if planned.peak else EMPTY_LAND_ALTITUDE_M
    return np.maximum(0.0, level + TERRAIN_M * correlated_series(rng, frames, TERRAIN_KM / FRAME_KM))


def _background(rng: np.random.Generator, arc: Arc) -> Floats:
    """XCO2 without plumes or errors (ppm): the slope towards north and two long waves."""
    waves = sum(
        np.sin(2.0 * np.pi * arc.along_km / rng.uniform(*WAVE_KM) + rng.uniform(0.0, 2.0 * np.pi)) for _ in range(WAVES)
    )
    return BACKGROUND_PPM + NORTHWARD_PPM_DEG * arc.latitude + WAVE_PPM * waves


def _wind(arc: Arc, lon: Floats, lat: Floats, winds: dict[str, WindField]) -> tuple[Floats, Floats]:
    u, v = np.empty(lon.shape), np.empty(lon.shape)
    seconds = arc.thirds / FRAMES_PER_S
    day = np.floor(seconds / SECONDS_PER_DAY).astype("datetime64[D]")
    for date in np.unique(day):
        here = day == date
        hour = (seconds[here] - date.astype("datetime64[s]").astype(np.int64)) / SECONDS_PER_HOUR
        u[here], v[here] = winds[str(date)].at(lon[here], lat[here], hour[:, None])
    return u, v


def _punch_fills(rng: np.random.Generator, values: dict[str, Floats], planned: PlannedArc) -> None:
    """Put the fill value into a few good soundings far from the peak: some without xco2, some without wind."""
    far = np.abs(values["along_km"]) > (FILL_AWAY_FROM_PEAK_KM if planned.peak else 0.0)
    chosen = rng.choice(np.flatnonzero(far & (values["quality_flag"] == GOOD)), size=2 * FILLS_PER_ARC, replace=False)
    values["xco2_ppm"][chosen[:FILLS_PER_ARC]] = FILL
    for name in ("wind_u_m_s", "wind_v_m_s"):
        values[name][chosen[FILLS_PER_ARC:]] = FILL
