"""The numbers of the peak finder, read from `reference/oco2_peaks.yaml`: units and sources are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from plumewatch.reference.loading import load_values

FILE = "oco2_peaks.yaml"


@dataclass(frozen=True)
class TrackSteps:
    """Steps along the ground track."""

    knot_s: float
    bin_km: float


@dataclass(frozen=True)
class PlaceRule:
    """Sweeps over one place."""

    reach_km: float
    background_degree: int


@dataclass(frozen=True)
class OutlierRule:
    """Which single soundings weigh less."""

    neighbours: int
    max_span_km: float
    every: int
    around: int
    huber_k: float


@dataclass(frozen=True)
class ScanRule:
    """The templates that are moved along the track."""

    half_window_km: float
    min_sigma_km: float
    max_sigma_km: float
    n_sigmas: int
    min_soundings: int
    min_leverage: float
    min_uncertainty_ppm: float


@dataclass(frozen=True)
class NoiseRule:
    """How an orbit's own noise counts."""

    prior_km: float
    plume_statistic: float
    min_plume_free: float


@dataclass(frozen=True)
class CandidateRule:
    """What is fitted, and what is accepted."""

    scan_share: float
    separation_km: float
    false_alarm_probability: float
    accepted_false_alarm_probability: float
    suppression_km: float
    suppression_sigmas: float
    max_sigma_km: float
    shoulder_inner: float
    shoulder_outer: float
    correlation_sigmas: float
    min_correlation: float


@dataclass(frozen=True)
class FitRule:
    """The fit of a Gaussian on its background, and its interval."""

    half_window_km: float
    background_degree: int
    alternatives: tuple[tuple[float, int], ...]
    """Half window (km) and degree of the other fits whose spread enters the interval."""
    shared_variance: float
    shared_km: float
    noise_block_km: float
    min_sigma_km: float
    max_sigma_km: float


@dataclass(frozen=True)
class SeedMethodRule:
    """The method curve_fit_seed."""

    half_window_km: float
    every_nth_sounding: int
    min_orbit_soundings: int
    min_window_soundings: int
    min_correlation: float


@dataclass(frozen=True)
class FluxRule:
    """From a peak's amplitude to its emission, and how far that may be off."""

    plume_height_m: float
    min_wind_m_s: float
    min_angle_deg: float
    wind_error_m_s: float
    wind_error_fraction: float
    pressure_error_hpa: float
    mean_within_km: float
    typical_sigma_km: float


@dataclass(frozen=True)
class PeakThresholds:
    """All sections of the file."""

    version: str
    """What manifests state as calibration, together with the version of the null distribution."""
    track: TrackSteps
    place: PlaceRule
    plausible: Mapping[str, tuple[float, float]]
    """Least and largest value, by column of the soundings."""
    robust: OutlierRule
    scan: ScanRule
    noise: NoiseRule
    candidates: CandidateRule
    fit: FitRule
    seed_method: SeedMethodRule
    flux: FluxRule


@lru_cache(maxsize=1)
def peak_thresholds() -> PeakThresholds:
    """Return the values that ship with the library."""
    return load_values(PeakThresholds, FILE)
