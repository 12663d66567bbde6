"""From the soundings of one orbit to rows of `peaks`, observations, and what the figure of a peak came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.oco2.flux import (
    Emission,
    Section,
    compute_cross_sectional_flux_kt_h,
    compute_wind_across_track,
    estimate_emission,
)
from plumewatch.oco2.null_distribution import NullDistribution, null_distribution
from plumewatch.oco2.peaks import ACCEPTED, Peak, PeakSearch, find_peaks
from plumewatch.oco2.seed_method import find_peaks_seed
from plumewatch.oco2.thresholds import thresholds
from plumewatch.oco2.track import Track, compute_track
from plumewatch.wind.at_point import WindAtPoint, wind_at

SCAN, CURVE_FIT_SEED = "scan", "curve_fit_seed"
METHODS: Mapping[str, Callable[[Track, NullDistribution | None], PeakSearch]] = {
    SCAN: find_peaks,
    CURVE_FIT_SEED: find_peaks_seed,
}
SEARCHED, NO_INPUT, STAGE = "searched", "no_input", "detection"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WIND_FROM_FILES, WIND_OF_SOUNDINGS = "wind files", "soundings (10 m, of the weather model sampled at each)"


@dataclass(frozen=True)
class DetectedPeak:
    """A peak with its row and what the row was made from."""

    row: dict[str, Any]
    """In the columns of the table `peaks`."""
    month: str
    """YYYY-MM of its centre."""
    details: dict[str, Any] | None
    """What goes into its JSON; None unless accepted."""


@dataclass(frozen=True)
class OrbitDetections:
    """What detection made of one orbit."""

    peaks: tuple[DetectedPeak, ...]
    """Along the track."""
    observations: tuple[dict[str, Any], ...]
    """One for each month with soundings of the orbit, in the columns of the table `observations`; times in ISO 8601."""


def calibration_version() -> str:
    """Return which thresholds and which null distribution are in use."""
    return f"{thresholds().version} {null_distribution().version}"


def detect_peaks(
    soundings: pa.Table, method: str = SCAN, read_wind: Callable[[Track, PeakSearch], pa.Table | None] | None = None
) -> OrbitDetections:
    """Return peaks and observations of one orbit's soundings (the columns `track.COLUMNS`).

    `read_wind` returns rows of the table `wind` around the peaks; where it is absent or knows no wind, the soundings'
    own met wind counts.
    """
    track = compute_track(soundings)
    search = METHODS[method](track, None) if len(track) else PeakSearch((), 0.0, float("nan"))
    wind = read_wind(track, search) if read_wind and search.peaks else None
    peaks = tuple(_detected(track, peak, method, wind) for peak in search.peaks)
    return OrbitDetections(peaks, tuple(_observations(track, search)))


def _detected(track: Track, peak: Peak, method: str, wind: pa.Table | None) -> DetectedPeak:
    section, wind_source = _section(track, peak, wind)
    fit = peak.fit
    emission = estimate_emission(fit.amplitude_ppm_km, fit.amplitude_ppm_km_low, fit.amplitude_ppm_km_high, section)
    row = _row(track, peak, section, emission)
    month = f"{row['observed_at_utc']:%Y-%m}"
    details = _details(track, peak, row, section, wind_source, method) if peak.status == ACCEPTED else None
    return DetectedPeak(row, month, details)


def _section(track: Track, peak: Peak, wind: pa.Table | None) -> tuple[Section, str]:
    """Wind, pressure and water at the peak, and where the wind comes from."""
    within = max(thresholds()["flux"]["mean_within_km"], peak.fit.sigma_km)
    at = track.near(float(track.distance_km[peak.index]), within)
    known = _wind_of_files(track, peak.index, wind)
    u, v = (known.wind_u_m_s, known.wind_v_m_s) if known else _mean_wind(track, at)
    section = Section(
        u,
        v,
        _mean(track.surface_pressure_hpa[at]),
        _mean(track.tcwv_kg_m2[at]),
        track.bearing_deg(float(track.distance_km[peak.index])),
    )
    return section, WIND_FROM_FILES if known else WIND_OF_SOUNDINGS


def _wind_of_files(track: Track, index: int, wind: pa.Table | None) -> WindAtPoint | None:
    if wind is None or not wind.num_rows:
        return None
    return wind_at(wind, float(track.longitude[index]), float(track.latitude[index]), _time(track.time_s[index]))


def _mean_wind(track: Track, at: NDArray[np.intp]) -> tuple[float, float]:
    """Mean of the soundings that have both components."""
    u, v = track.wind_u_m_s[at], track.wind_v_m_s[at]
    both = np.isfinite(u) & np.isfinite(v)
    return _mean(u[both]), _mean(v[both])


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _time(time_s: float) -> datetime:
    return EPOCH + timedelta(microseconds=round(time_s * 1e6))


def _row(track: Track, peak: Peak, section: Section, emission: Emission) -> dict[str, Any]:
    fit = peak.fit
    return {
        "peak_id": int(track.sounding_id[peak.index]),
        "orbit": track.orbit,
        "observed_at_utc": _time(track.time_s[peak.index]),
        "longitude": float(track.longitude[peak.index]),
        "latitude": float(track.latitude[peak.index]),
        "height_ppm": fit.height_ppm,
        "amplitude_ppm_km": fit.amplitude_ppm_km,
        "amplitude_ppm_km_low": fit.amplitude_ppm_km_low,
        "amplitude_ppm_km_high": fit.amplitude_ppm_km_high,
        "sigma_km": fit.sigma_km,
        "background_ppm": fit.coefficients[0],
        "slope_ppm_km": fit.coefficients[1],
        "correlation": _or_none(peak.correlation),
        "false_alarm_probability": peak.false_alarm_probability,
        "significance": peak.significance,
        "n_soundings": fit.n_soundings,
        "wind_u_m_s": _or_none(section.wind_u_m_s),
        "wind_v_m_s": _or_none(section.wind_v_m_s),
        "wind_across_track_m_s": _or_none(section.wind_across_track_m_s),
        "surface_pressure_hpa": _or_none(section.surface_pressure_hpa),
        "tcwv_kg_m2": _or_none(section.tcwv_kg_m2),
        "emission_kt_h": emission.emission_kt_h,
        "emission_kt_h_low": emission.emission_kt_h_low,
        "emission_kt_h_high": emission.emission_kt_h_high,
        "emission_status": emission.status,
        "status": peak.status,
    }


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _details(
    track: Track, peak: Peak, row: Mapping[str, Any], section: Section, wind_source: str, method: str
) -> dict[str, Any]:
    """All that the figure shows and the row was made from; 16-digit ids are strings."""
    fit = peak.fit
    at = track.near(fit.centre_km, fit.half_window_km)
    distance = track.distance_km[at]
    return {
        **row,
        "peak_id": str(row["peak_id"]),
        "observed_at_utc": row["observed_at_utc"].isoformat(),
        "method": method,
        "calibration": calibration_version(),
        "background_coefficients_ppm_km": list(fit.coefficients),
        "centre_offset_km": fit.centre_km - float(track.distance_km[peak.index]),
        "half_window_km": fit.half_window_km,
        "track_bearing_deg": _or_none(section.bearing_deg),
        "wind_source": wind_source,
        "soundings": {
            "sounding_id": [str(i) for i in track.sounding_id[at]],
            "longitude": track.longitude[at].tolist(),
            "latitude": track.latitude[at].tolist(),
            "distance_km": (distance - fit.centre_km).tolist(),
            "across_km": track.across_km[at].tolist(),
            "xco2_ppm": track.xco2_ppm[at].tolist(),
            "background_ppm": fit.background_ppm(distance).tolist(),
            "model_ppm": fit.model_ppm(distance).tolist(),
        },
    }


def _observations(track: Track, search: PeakSearch) -> list[dict[str, Any]]:
    """One observation for each month in which the orbit has soundings.

    The detection limit is the flux of the limiting amplitude at the orbit's median pressure, water vapour and wind
    across the track.
    """
    if not len(track):
        return []
    month_of = np.array([f"{m}" for m in track.time_s.astype("datetime64[s]").astype("datetime64[M]")])
    across = compute_wind_across_track(track.wind_u_m_s, track.wind_v_m_s, track.heading_deg)
    limit = compute_cross_sectional_flux_kt_h(
        search.detection_limit_ppm_km, _median(track.surface_pressure_hpa), _median(track.tcwv_kg_m2), _median(across)
    )
    detected = {month_of[peak.index] for peak in search.peaks if peak.status == ACCEPTED}
    is_searched = search.searched_fraction > 0
    return [
        {
            "area": None,
            "orbit": track.orbit,
            "scene_id": None,
            "source_id": None,
            "observed_at_utc": _time(float(np.median(track.time_s[month_of == month]))).isoformat(),
            "outcome": SEARCHED if is_searched else NO_INPUT,
            "clear_fraction": search.searched_fraction,
            "wind_speed_m_s": _or_none(_median(np.hypot(track.wind_u_m_s, track.wind_v_m_s))),
            "detection_limit": _or_none(float(limit)),
            "detected": bool(month in detected),
            "stage": STAGE,
        }
        for month in np.unique(month_of).tolist()
    ]


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan
