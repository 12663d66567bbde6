"""Emissions of planted peaks and plumes, with a wind that is wrong as winds are and a profile that isn't as assumed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.constants import EARTH_RADIUS_KM
from plumewatch.geodesy import destination
from plumewatch.oco2.evaluation.noise import TRACK_KM, USUAL_PPM, NoiseSource
from plumewatch.oco2.evaluation.planted import EDGE_KM, PlantedPeak, fit_at, planted_tracks
from plumewatch.oco2.fit import PeakFit
from plumewatch.oco2.flux import (
    PeakEmission,
    Section,
    compute_cross_sectional_flux_kt_h,
    estimate_peak_emission,
    usual_wind_error_m_s,
)
from plumewatch.oco2.gaussian_plume import PlumeSource, compute_plume_ppm, plume_constants, wind_direction_deg
from plumewatch.oco2.plume_inversion import PlumeInversion, estimate_source_emission
from plumewatch.oco2.plume_wind import surface_to_plume_height
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M
from plumewatch.wind.profile import height_factor_error

Floats = NDArray[np.float64]

MIN_HEIGHT_PPM = 2.0  # weaker ones are dominated by the noise of xco2, which the other table shows
WIND_M_S = (3.0, 9.0)  # 10-m wind
MAX_TILT_DEG = 45.0  # of the wind from the track's normal
PRESSURE_HPA, TCWV_KG_M2 = 950.0, 15.0
WIND_STREAM, PLUME_STREAM = 4, 5
DISTANCES_KM, EMISSIONS_KT_H = (10.0, 25.0, 50.0), (2.0, 5.0, 10.0)  # of known sources
FIGURES = "  trials  rated  median est./true  |error|  68 % interval holds"
ENDS = ("_low", "", "_high")


def emission_lines(source: NoiseSource, per_cell: int) -> list[str]:
    """Return a table of planted peaks by height: estimated over true emission, how often the 68 % interval holds it."""
    trials: dict[float, list[tuple[PeakEmission, float]]] = {}
    for number, (planted, fit) in enumerate(_fits(source, per_cell)):
        rng = np.random.default_rng([WIND_STREAM, number])
        trials.setdefault(planted.height_ppm, []).append(_trial(rng, planted, fit))
    return ["height" + FIGURES, *(f"{height:6.1f}{_figures(some)}" for height, some in trials.items())]


def source_emission_lines(source: NoiseSource, per_cell: int) -> list[str]:
    """Return a table of planted plumes of a known source, by its distance and emission: the figures of the other one.

    The plume is the mean over the footprints' length, of a stability drawn from all classes, and goes with the true
    wind; the soundings that are inverted tell the wrong one.
    """
    lines = [f"   km  kt/h{FIGURES}"]
    for distance_km, emission in product(DISTANCES_KM, EMISSIONS_KT_H):
        trials = []
        for number in range(per_cell):
            rng = np.random.default_rng([PLUME_STREAM, number, round(distance_km), round(emission)])
            trials.append((_plume_trial(rng, source.draw(rng), distance_km, emission), emission))
        lines.append(f"{distance_km:5.0f}  {emission:4.0f}{_figures(trials)}")
    return lines


def _figures(trials: Sequence[tuple[PeakEmission | PlumeInversion, float]]) -> str:
    """What estimates with their true emissions come to, under the names of FIGURES."""
    rated = [(estimate, truth) for estimate, truth in trials if estimate.emission_kt_h is not None]
    low, value, high = (np.array([getattr(e, f"emission_kt_h{end}") for e, _ in rated]) for end in ENDS)
    truth = np.array([truth for _, truth in rated])
    ratio, held = value / truth, (low <= truth) & (truth <= high)
    return (
        f"  {len(trials):6}  {len(rated):5}  {np.median(ratio):16.2f}  {np.median(np.abs(ratio - 1.0)):7.3f}"
        f"  {np.mean(held):19.3f}"
    )


def _fits(source: NoiseSource, per_cell: int) -> Iterator[tuple[PlantedPeak, PeakFit]]:
    for planted, track in planted_tracks(source, per_cell):
        if planted.height_ppm >= MIN_HEIGHT_PPM and (fit := fit_at(track, planted.centre_km, planted.sigma_km)):
            yield planted, fit


def _trial(rng: np.random.Generator, planted: PlantedPeak, fit: PeakFit) -> tuple[PeakEmission, float]:
    """The estimate and the true emission (kt/h), on a track that runs north."""
    wind, told = _draw_winds(rng)
    truth = compute_cross_sectional_flux_kt_h(planted.amplitude_ppm_km, PRESSURE_HPA, TCWV_KG_M2, wind[0])
    u, v = told * surface_to_plume_height()
    section = Section(u, v, PRESSURE_HPA, TCWV_KG_M2, 0.0, height_factor_error=_factor_error())
    estimate = estimate_peak_emission(
        fit.amplitude_ppm_km, fit.amplitude_ppm_km_low, fit.amplitude_ppm_km_high, section
    )
    return estimate, float(truth)


def _plume_trial(rng: np.random.Generator, track: Track, distance_km: float, emission_kt_h: float) -> PlumeInversion:
    """The estimate for a source so far upwind of a place of the track."""
    (u, v), told = _draw_winds(rng)
    place = 0.0, math.degrees(rng.uniform(EDGE_KM, TRACK_KM - EDGE_KM) / EARTH_RADIUS_KM)
    lon, lat = destination(*place, wind_direction_deg(u, v) + 180.0, distance_km)
    source = PlumeSource(float(lon), float(lat), emission_kt_h)
    shape = str(rng.choice(list(plume_constants().stability))), plume_constants().search.footprint_along_km
    seen = compute_plume_ppm(track.longitude, track.latitude, source, u, v, PRESSURE_HPA, TCWV_KG_M2, *shape)
    n, level_ppm = len(track), USUAL_PPM - np.median(track.xco2_ppm)
    soundings = {
        **{name: getattr(track, name) for name in ("sounding_id", "longitude", "latitude")},
        "observed_at_utc": pa.array((track.time_s * 1e6).astype(np.int64)).cast(pa.timestamp("us", tz="UTC")),
        "orbit": np.full(n, track.orbit),
        "xco2_ppm": track.xco2_ppm + seen + level_ppm,
        "xco2_uncertainty_ppm": track.uncertainty_ppm,
        "wind_u_m_s": np.full(n, told[0]),
        "wind_v_m_s": np.full(n, told[1]),
        "surface_pressure_hpa": np.full(n, PRESSURE_HPA),
        "tcwv_kg_m2": np.full(n, TCWV_KG_M2),
    }
    return estimate_source_emission(pa.table(soundings), source)


def _draw_winds(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The true wind at plume height and the 10-m wind that is told, each towards east and north (m/s).

    What is told is off by what `flux.wind_error_m_s` and `wind_error_fraction` state, so by some 10 degrees as well;
    the wind at plume height has an exponent drawn around the assumed one.
    """
    speed, tilt = rng.uniform(*WIND_M_S), np.radians(rng.uniform(-MAX_TILT_DEG, MAX_TILT_DEG))
    wind = speed * np.array([np.cos(tilt), np.sin(tilt)])
    at_plume = surface_to_plume_height()
    true_factor = at_plume * np.exp(rng.normal(0.0, _factor_error()))
    error = usual_wind_error_m_s(speed * at_plume) / at_plume
    return wind * true_factor, wind + rng.normal(0.0, error, 2)


def _factor_error() -> float:
    return float(height_factor_error(SURFACE_WIND_HEIGHT_M, peak_thresholds().flux.plume_height_m))
