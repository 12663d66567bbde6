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
    min_uncertainty_ppm: float


@dataclass(frozen=True)
class PlaceRule:
    """Sweeps over one place."""

    reach_km: float
    least_side_km: float
    plume_sigmas: float
    begin_gain: float


@dataclass(frozen=True)
class RowRule:
    """Rows of footprints and their own errors."""

    km_per_row: float
    km_per_row_within: tuple[float, float]
    longest_gap: int
    outlier_sds: float
    outlier_among: int
    error_among: int
    error_prior: int
    least_error_ppm: float
    edge_quantile: float
    quarters_alike_over: int
    quarter_error_ppm: float


@dataclass(frozen=True)
class TemplateRule:
    """The templates that are moved along the track."""

    min_sigma_km: float
    max_sigma_km: float
    n_sigmas: int
    widest_slanted_km: float
    min_rows: int
    min_soundings: int


@dataclass(frozen=True)
class NoiseRule:
    """What rows share, by how far it reaches."""

    errors_km: tuple[float, ...]
    backgrounds_km: tuple[float, ...]
    usual_ppm2: tuple[float, ...]
    least_ppm2: tuple[float, ...]
    spread_prior_km: float
    spread_prior_sigmas: float


@dataclass(frozen=True)
class CandidateRule:
    """What is fitted, and what is accepted."""

    separation_km: float
    false_alarm_probability: float
    accepted_false_alarm_probability: float
    flank_sigmas: float
    dip_ppm: float
    valley: float
    tried_valley: float
    least_top: float
    min_seen_share: float
    max_sigma_km: float
    correlation_sigmas: float


@dataclass(frozen=True)
class FitRule:
    """The fit of a plume on its background, and its interval."""

    difference_share: float
    difference_reach: float
    difference_length: float
    interval_scale: float
    beside_sigmas: float
    parts_share: float
    parts_reach: float
    parts_error: float
    reach_sigmas: float
    min_sigma_km: float
    max_sigma_km: float


@dataclass(frozen=True)
class ProbabilityRule:
    """How many plumes there may be, and how strong."""

    exponent: float
    plumes_per_1000_km: float
    prior_plumes: float
    prior_noise: float


@dataclass(frozen=True)
class SeedMethodRule:
    """The method curve_fit_seed."""

    half_window_km: float
    every_nth_sounding: int
    min_orbit_soundings: int
    min_window_soundings: int
    min_correlation: float
    sigma_km: tuple[float, float]
    shoulder_sigmas: tuple[float, float]


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
    rows: RowRule
    templates: TemplateRule
    noise: NoiseRule
    candidates: CandidateRule
    fit: FitRule
    probability: ProbabilityRule
    seed_method: SeedMethodRule
    flux: FluxRule


@lru_cache(maxsize=1)
def peak_thresholds() -> PeakThresholds:
    """Return the values that ship with the library."""
    return load_values(PeakThresholds, FILE)
