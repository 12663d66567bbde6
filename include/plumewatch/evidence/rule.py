"""The numbers of the evidence; units and sources in `reference/source_evidence.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from plumewatch.gases import CH4, CO2
from plumewatch.reference.loading import load_values

FILE = "source_evidence.yaml"


@dataclass(frozen=True)
class GasRule:
    """Numbers of one gas."""

    reach_km: float
    decay_km: float
    position_sigma_km: float
    direction_sigma_deg: float
    least_visible: float
    variability: float
    prior_sigma: float
    least_prior_sigma: float
    unlisted_median: float
    unlisted_sigma: float
    least_emission: float
    most_emission: float
    cluster_km: float


@dataclass(frozen=True)
class Limit:
    """How the share of plumes found rises around the detection limit."""

    blur: float


@dataclass(frozen=True)
class Reports:
    """When a plume that others saw counts as evidence."""

    within_km: float
    within_days: float


@dataclass(frozen=True)
class Candidates:
    """Which unexplained detections make a candidate."""

    least_weight: float
    least_probability: float
    surroundings_km: float


@dataclass(frozen=True)
class EvidenceRule:
    """All numbers."""

    version: str
    limit: Limit
    co2: GasRule
    ch4: GasRule
    reports: Reports
    candidates: Candidates

    def of(self, gas: str) -> GasRule:
        """Return the numbers of a gas."""
        return {CO2.name: self.co2, CH4.name: self.ch4}[gas]


@lru_cache(maxsize=1)
def evidence_rule() -> EvidenceRule:
    """Return the numbers that ship with the library."""
    return load_values(EvidenceRule, FILE)
