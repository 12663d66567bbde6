"""From the soundings of one orbit to rows of `peaks`, observations, and what the figure of a peak came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from plumewatch.gases import CURVE_FIT_SEED, SCAN
from plumewatch.oco2.area_maps import find_sections
from plumewatch.oco2.flux import (
    PeakEmission,
    Section,
    compute_cross_sectional_flux_kt_h,
    compute_wind_across_track,
    estimate_peak_emission,
)
from plumewatch.oco2.null_distribution import null_distribution
from plumewatch.oco2.overpasses import compute_overpasses
from plumewatch.oco2.peaks import Peak, PeakSearch, find_peaks
from plumewatch.oco2.plume_wind import PlumeWind, surface_to_plume_height, wind_of_products, wind_of_soundings
from plumewatch.oco2.seed_method import find_peaks_seed
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track
from plumewatch.oco2.track_line import compute_track_line
from plumewatch.orbits import OCO2, OCO3
from plumewatch.statuses import ACCEPTED, DETECTION_STAGE, NO_INPUT, SEARCHED

METHODS: Mapping[str, Callable[[Track], PeakSearch]] = {SCAN: find_peaks, CURVE_FIT_SEED: find_peaks_seed}
MET_COLUMNS = ("wind_u_m_s", "wind_v_m_s", "surface_pressure_hpa", "tcwv_kg_m2")
IDS = 10**16
"""Ids of soundings have 16 digits."""
PEAK_ID_BEGINS = {OCO2: 0, OCO3: 3}
"""What stands before the id of a peak's sounding: ids tell the time, and both sensors may have a sounding of one id."""
CROSS_SECTIONS = {
    (False, False): "the orbit",
    (True, False): "the axis of the sweeps, mean over all of them",
    (True, True): "an axis across the wind, mean over the map downwind of where the plume begins",
}
"""What a peak's amplitude is the integral along: of a line, of a target, of a map."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    """Along the line of the orbit, then over each place that it swept over."""
    observations: tuple[dict[str, Any], ...]
    """One for each month with soundings of the orbit, in the columns of the table `observations`, as JSON has it: times
    in ISO 8601, the track's WKB in hexadecimal digits."""
    searched_km: float
    """Length of track on which peaks could have been found."""


def calibration_version() -> str:
    """Return which thresholds and which null distribution are in use."""
    return f"{peak_thresholds().version} {null_distribution().version}"


def detect_peaks(
    soundings: pa.Table, method: str = SCAN, read_wind: Callable[[Track, PeakSearch], pa.Table | None] | None = None
) -> OrbitDetections:
    """Return peaks and observations of one orbit's soundings (the columns `track.COLUMNS`).

    `read_wind` returns rows of the table `wind` around the peaks; where it is absent or knows no wind, the soundings'
    own met wind counts. Either is brought to plume height (`plume_wind`).
    """
    found: list[tuple[Track, PeakSearch]] = []
    peaks: list[DetectedPeak] = []
    for track in compute_overpasses(soundings):
        search = METHODS[method](track) if len(track) else PeakSearch((), 0.0, 0.0, float("nan"))
        if track.is_place and method == SCAN:
            search = replace(search, peaks=find_sections(track, search.peaks))
        wind = read_wind(track, search) if read_wind and search.peaks else None
        peaks += [_detected(track, peak, method, wind) for peak in search.peaks]
        found.append((track, search))
    searched_km = sum(search.searched_km for _, search in found)
    return OrbitDetections(tuple(peaks), tuple(_observations_of_all(found)), searched_km)


def _detected(track: Track, peak: Peak, method: str, wind: pa.Table | None) -> DetectedPeak:
    section, plume_wind = _section(track, peak, wind)
    fit = peak.fit
    emission = estimate_peak_emission(
        fit.amplitude_ppm_km, fit.amplitude_ppm_km_low, fit.amplitude_ppm_km_high, section
    )
    row = _row(track, peak, section, emission, plume_wind)
    month = f"{row['observed_at_utc']:%Y-%m}"
    details = _details(track, peak, row, section, plume_wind, method) if peak.status == ACCEPTED else None
    return DetectedPeak(row, month, details)


def _section(track: Track, peak: Peak, wind: pa.Table | None) -> tuple[Section, PlumeWind]:
    """Wind at plume height, pressure and water at the peak, and what the wind was made from."""
    within = max(peak_thresholds().flux.mean_within_km, peak.fit.sigma_km)
    at = track.near(float(track.distance_km[peak.index]), within)
    plume_wind = _wind_of_files(track, peak.index, wind) or wind_of_soundings(track, at)
    bearing = track.bearing_deg(float(track.distance_km[peak.index]))
    section = Section(
        plume_wind.wind.wind_u_m_s,
        plume_wind.wind.wind_v_m_s,
        _of_known(np.mean, track.surface_pressure_hpa[at]),
        _of_known(np.mean, track.tcwv_kg_m2[at]),
        bearing,
        wind_spread_m_s=plume_wind.spread_across_m_s(bearing),
        height_factor_error=plume_wind.height_factor_error,
    )
    return section, plume_wind


def _wind_of_files(track: Track, index: int, wind: pa.Table | None) -> PlumeWind | None:
    if wind is None or not wind.num_rows:
        return None
    where = float(track.longitude[index]), float(track.latitude[index])
    return wind_of_products(wind, *where, _time(track.time_s[index]))


def _of_known(statistic: Callable[[NDArray[np.float64]], Any], values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(statistic(known)) if len(known) else math.nan


def _time(time_s: float) -> datetime:
    return EPOCH + timedelta(microseconds=round(time_s * 1e6))


def _row(track: Track, peak: Peak, section: Section, emission: PeakEmission, plume_wind: PlumeWind) -> dict[str, Any]:
    fit = peak.fit
    return {
        "peak_id": int(track.sounding_id[peak.index]) + PEAK_ID_BEGINS[track.sensor] * IDS,
        "orbit": track.orbit,
        "observed_at_utc": _time(track.time_s[peak.index]),
        "longitude": float(track.longitude[peak.index]),
        "latitude": float(track.latitude[peak.index]),
        "height_ppm": fit.height_ppm,
        "amplitude_ppm_km": fit.amplitude_ppm_km,
        "amplitude_ppm_km_low": fit.amplitude_ppm_km_low,
        "amplitude_ppm_km_high": fit.amplitude_ppm_km_high,
        "sigma_km": fit.sigma_km,
        "background_ppm": float(fit.background_ppm(fit.centre_km)),
        "slope_ppm_km": fit.background_slope_ppm_km,
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
        "wind_source": plume_wind.source if math.isfinite(section.wind_speed_m_s) else None,
        "sensor": track.sensor,
        "probability": None,  # of all peaks of a key together: plumewatch.oco2.probability
    }


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _details(
    track: Track, peak: Peak, row: Mapping[str, Any], section: Section, plume_wind: PlumeWind, method: str
) -> dict[str, Any]:
    """All that the figure shows and the row was made from; 16-digit ids are strings."""
    fit = peak.fit
    at = np.flatnonzero((track.distance_km >= fit.along_km[0]) & (track.distance_km <= fit.along_km[-1]))
    distance = track.distance_km[at]
    return {
        **row,
        "peak_id": str(row["peak_id"]),
        "observed_at_utc": row["observed_at_utc"].isoformat(),
        "method": method,
        "calibration": calibration_version(),
        "centre_offset_km": fit.centre_km - float(track.distance_km[peak.index]),
        "along": {
            "distance_km": (fit.along_km - fit.centre_km).tolist(),
            "background_ppm": fit.background_along_ppm.tolist(),
            "enhancement_ppm": fit.enhancement_along_ppm.tolist(),
        },
        "track_bearing_deg": _or_none(section.bearing_deg),
        "cross_section_along": CROSS_SECTIONS[track.is_place, track.is_across_wind],
        "wind": {**plume_wind.details(), "spread_across_m_s": _or_none(section.wind_spread_m_s)},
        "soundings": {
            "sounding_id": [str(i) for i in track.sounding_id[at]],
            "longitude": track.longitude[at].tolist(),
            "latitude": track.latitude[at].tolist(),
            "distance_km": (distance - fit.centre_km).tolist(),
            "across_km": track.across_km[at].tolist(),
            "xco2_ppm": track.xco2_ppm[at].tolist(),
            "xco2_uncertainty_ppm": track.uncertainty_ppm[at].tolist(),
            "enhancement_ppm": (track.xco2_ppm[at] - fit.background_ppm(distance)).tolist(),
            "background_ppm": fit.background_ppm(distance).tolist(),
            "model_ppm": fit.model_ppm(distance).tolist(),
            **{name: [_or_none(v) for v in getattr(track, name)[at].tolist()] for name in MET_COLUMNS},
        },
    }


def _observations_of_all(found: Sequence[tuple[Track, PeakSearch]]) -> list[dict[str, Any]]:
    """One observation for each month: of the orbit's line where it was searched, else of a place that was.

    What was detected anywhere in the month counts, and the track is that of all of them.
    """
    of_month: dict[str, dict[str, Any]] = {}
    for observation in (row for track, search in found for row in _observations(track, search)):
        month = observation["observed_at_utc"][:7]
        first = of_month.setdefault(month, observation)
        better = observation if first["outcome"] == NO_INPUT and observation["outcome"] == SEARCHED else first
        of_month[month] = {**better, "detected": first["detected"] or observation["detected"]}
    return [{**of_month[month], "track": _track_of(found, month)} for month in sorted(of_month)]


def _track_of(found: Sequence[tuple[Track, PeakSearch]], month: str) -> str:
    """Where the soundings of a month lie."""
    own = [track.at(_months(track) == month) for track, _ in found]
    places = (np.concatenate([getattr(t, name) for t in own]) for name in ("time_s", "longitude", "latitude"))
    return str(shapely.to_wkb(compute_track_line(*places), hex=True))


def _months(track: Track) -> NDArray[np.str_]:
    """YYYY-MM of each sounding."""
    return np.datetime_as_string(track.time_s.astype("datetime64[s]").astype("datetime64[M]"))


def _observations(track: Track, search: PeakSearch) -> list[dict[str, Any]]:
    """One observation for each month in which the orbit has soundings.

    The detection limit is the flux of the limiting amplitude at the orbit's median pressure, water vapour and wind
    across the track, the soundings' 10-m wind carried to plume height; `wind_speed_m_s` is the median at 10 m.
    """
    if not len(track):
        return []
    month_of = _months(track)
    across = compute_wind_across_track(track.wind_u_m_s, track.wind_v_m_s, track.heading_deg)
    limit = compute_cross_sectional_flux_kt_h(
        search.detection_limit_ppm_km,
        _of_known(np.median, track.surface_pressure_hpa),
        _of_known(np.median, track.tcwv_kg_m2),
        surface_to_plume_height() * _of_known(np.median, across),
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
            "wind_speed_m_s": _or_none(_of_known(np.median, np.hypot(track.wind_u_m_s, track.wind_v_m_s))),
            "detection_limit": _or_none(float(limit)),
            "detected": bool(month in detected),
            "stage": DETECTION_STAGE,
            "sensor": track.sensor,
        }
        for month in np.unique(month_of).tolist()
    ]
