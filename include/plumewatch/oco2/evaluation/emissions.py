"""Emissions of planted peaks, with a wind that is wrong as winds are and a profile that isn't quite the assumed one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from plumewatch.oco2.evaluation.noise import NoiseSource
from plumewatch.oco2.evaluation.planted import PlantedPeak, planted_tracks
from plumewatch.oco2.fit import PeakFit, fit_peak
from plumewatch.oco2.flux import PeakEmission, Section, compute_cross_sectional_flux_kt_h, estimate_peak_emission
from plumewatch.oco2.plume_wind import surface_to_plume_height
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.statuses import RATED
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M
from plumewatch.wind.profile import height_factor_error

MIN_HEIGHT_PPM = 2.0  # weaker ones are dominated by the noise of xco2, which the other table shows
WIND_M_S = (3.0, 9.0)  # 10-m wind
MAX_TILT_DEG = 45.0  # of the wind from the track's normal
PRESSURE_HPA, TCWV_KG_M2 = 950.0, 15.0
WIND_STREAM = 4
ENDS = ("_low", "", "_high")


def emission_lines(source: NoiseSource, per_cell: int) -> list[str]:
    """Return a table: estimated over true emission, and how often the 68 % interval holds the truth.

    The 10-m wind that the estimate knows is off by what `flux.wind_error_m_s` and `wind_error_fraction` state; the wind
    at plume height has an exponent drawn around the assumed one.
    """
    lines = ["height  trials  rated  median est./true  |error|  68 % interval holds"]
    trials: dict[float, list[tuple[PeakEmission, float]]] = {}
    for number, (planted, fit) in enumerate(_fits(source, per_cell)):
        rng = np.random.default_rng([WIND_STREAM, number])
        trials.setdefault(planted.height_ppm, []).append(_trial(rng, planted, fit))
    for height, some in trials.items():
        rated = [(estimate, truth) for estimate, truth in some if estimate.status == RATED]
        low, value, high = (np.array([getattr(e, f"emission_kt_h{end}") for e, _ in rated]) for end in ENDS)
        truth = np.array([truth for _, truth in rated])
        ratio, held = value / truth, (low <= truth) & (truth <= high)
        lines.append(
            f"{height:6.1f}  {len(some):6}  {len(rated):5}  {np.median(ratio):16.2f}  "
            f"{np.median(np.abs(ratio - 1.0)):7.3f}  {np.mean(held):19.3f}"
        )
    return lines


def _fits(source: NoiseSource, per_cell: int) -> Iterator[tuple[PlantedPeak, PeakFit]]:
    for planted, track in planted_tracks(source, per_cell):
        if planted.height_ppm >= MIN_HEIGHT_PPM and (fit := fit_peak(track, planted.centre_km, planted.sigma_km)):
            yield planted, fit


def _trial(rng: np.random.Generator, planted: PlantedPeak, fit: PeakFit) -> tuple[PeakEmission, float]:
    """The estimate and the true emission (kt/h), on a track that runs north."""
    settings = peak_thresholds().flux
    speed, tilt = rng.uniform(*WIND_M_S), np.radians(rng.uniform(-MAX_TILT_DEG, MAX_TILT_DEG))
    u, v = speed * np.cos(tilt), speed * np.sin(tilt)
    at_plume = surface_to_plume_height()
    factor_error = float(height_factor_error(SURFACE_WIND_HEIGHT_M, settings.plume_height_m))
    true_factor = at_plume * np.exp(rng.normal(0.0, factor_error))
    truth = compute_cross_sectional_flux_kt_h(planted.amplitude_ppm_km, PRESSURE_HPA, TCWV_KG_M2, u * true_factor)
    error = max(settings.wind_error_m_s, settings.wind_error_fraction * speed * at_plume) / at_plume
    known_u, known_v = u + rng.normal(0.0, error), v + rng.normal(0.0, error)
    section = Section(
        known_u * at_plume, known_v * at_plume, PRESSURE_HPA, TCWV_KG_M2, 0.0, height_factor_error=factor_error
    )
    estimate = estimate_peak_emission(
        fit.amplitude_ppm_km, fit.amplitude_ppm_km_low, fit.amplitude_ppm_km_high, section
    )
    return estimate, float(truth)
