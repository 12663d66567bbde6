"""The numbers of the methane detection, read from `reference/methane_detection.yaml`: units and sources are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from plumewatch.gases import MULTI_PASS, SINGLE_PASS
from plumewatch.reference.loading import load_values

FILE = "methane_detection.yaml"


@dataclass(frozen=True)
class ReferenceChoice:
    """Which earlier dates a pass is compared with."""

    max_days_back: int
    max_count: int
    min_clear_fraction: float
    min_shared_fraction: float
    cloud_margin_m: float


@dataclass(frozen=True)
class SceneChoice:
    """Which passes are searched."""

    min_clear_fraction: float


@dataclass(frozen=True)
class PixelSizes:
    """Of which pixels the other values may be used."""

    sizes_m: tuple[float, float]


@dataclass(frozen=True)
class SmoothingScales:
    """Widths over which is averaged, and the noise that is left."""

    background_m: float
    background_margin_m: float
    reference_scale_m: float
    surface_change_scale_m: float
    mask_m: float
    noise_scale_m: float
    noise_trim: float
    noise_pooling: float
    noise_prior: float
    local_noise_m: float


@dataclass(frozen=True)
class TemplateShapes:
    """The plumes that are looked for."""

    lengths_m: tuple[float, ...]
    source_width_m: float
    growth: float
    round_m: tuple[float, ...]
    wind_direction_range_deg: float
    clip: float
    min_coverage: float


@dataclass(frozen=True)
class CandidateLevels:
    """What makes a region, and what refuses it."""

    seed_significance: float
    mask_significance: float
    same_plume_share: float
    reference_significance: float
    bridge_m: float
    downwind_gap_m: float
    downwind_angle_deg: float
    downwind_width_m: float
    min_area_m2: float
    largest_object_area_m2: float
    beyond_table_share: float
    surface_change_correlation: float
    surface_change_slope: float
    steep_change_correlation: float
    steep_change_slope: float
    changed_ground_significance: float
    changed_ground_share: float
    changed_ground_correlation: float
    masked_edge_share: float


@dataclass(frozen=True)
class ProbabilityModel:
    """From a candidate's tests to the probability that it is methane from a source."""

    prior: float
    multi_pass: Mapping[str, float]
    """Coefficients by name of the feature, and the intercept."""
    single_pass: Mapping[str, float]
    """The same, without references."""
    multi_pass_offset: Mapping[str, float]
    """Log odds that are added for candidates of a sensor that `multi_pass` wasn't fitted on, by its name."""
    refused: Mapping[str, float]
    """The most that a candidate has, by the status that refuses it."""
    limit_significance: Mapping[str, float]
    """By method."""
    accepted: float

    def coefficients(self, method: str) -> Mapping[str, float]:
        """Return the logistic model of a method."""
        return {MULTI_PASS: self.multi_pass, SINGLE_PASS: self.single_pass}[method]


@dataclass(frozen=True)
class EmissionRule:
    """From the mass of a plume to the rate of its source, and how far that may be off."""

    effective_wind_slope: float
    effective_wind_offset: float
    wind_error: float
    retrieval_error: float
    model_error: float
    mask_step_px: int
    draws: int


@dataclass(frozen=True)
class ExpectedFalsePlumes:
    """How many accepted plumes there are where none is."""

    multi_pass_desert: float


@dataclass(frozen=True)
class PlumeThresholds:
    """All sections of the file."""

    version: str
    """What manifests state as calibration."""
    references: ReferenceChoice
    scene: SceneChoice
    pixels: PixelSizes
    smoothing: SmoothingScales
    templates: TemplateShapes
    candidates: CandidateLevels
    probability: ProbabilityModel
    emission: EmissionRule
    expected_false_plumes: ExpectedFalsePlumes


@lru_cache(maxsize=1)
def plume_thresholds() -> PlumeThresholds:
    """Return the values that ship with the library."""
    return load_values(PlumeThresholds, FILE)
