"""What the detector makes of simulated areas: false plumes, recall and rates, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.detection import ACCEPTED, MULTI_PASS
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume
from plumewatch.methane.retrieval import PLATFORMS
from plumewatch.methane.search import search_pass
from plumewatch.methane.thresholds import Thresholds
from plumewatch.wind.at_point import WindAtPoint

AREA_PX = 250
UNIT_AREA_PX = 500 * 500  # false plumes are stated per 500 x 500 pixels, as published detectors do
MAX_REFERENCES = 7
WIND_M_S = (2.0, 6.0)
FAR_PX = 25  # a detection further from every planted source (500 m) is false, unless it lies in the plume
CONE_SLOPE = 0.6  # half width of the plume's cone per length downwind
HIGH_PROBABILITY = 0.9


@dataclass(frozen=True)
class Trial:
    """One simulated area and what was found in it."""

    platform: str
    """Satellite of the target pass."""
    ground: str
    """desert or fields."""
    emission_kg_h: float
    """Planted rate; 0 for none."""
    wind_m_s: float
    """Planted wind."""
    found_kg_h: tuple[float, ...]
    """Estimated rates of accepted plumes at the planted source (one is right)."""
    holds_truth: bool
    """Whether the interval of the first of them holds the planted rate."""
    false_probabilities: tuple[float, ...]
    """Probabilities of accepted plumes elsewhere."""
    detection_limit_kg_h: float
    """As stated for the pass."""


def run_trial(
    seed: int,
    ground: str,
    emission_kg_h: float,
    limits: Thresholds,
    method: str = MULTI_PASS,
    n_references: int | None = None,
) -> Trial:
    """Simulate an area, search it, and compare with what was planted.

    Satellites and, where `n_references` is None, 1 to 7 references go round with the seed.
    """
    rng = np.random.default_rng([seed, 1])
    platform = list(PLATFORMS)[seed % len(PLATFORMS)]
    speed, towards = rng.uniform(*WIND_M_S), rng.uniform(0.0, 2.0 * np.pi)
    row, col = rng.uniform(0.25 * AREA_PX, 0.75 * AREA_PX, 2)
    plume = PlantedPlume(emission_kg_h, row, col, speed * np.sin(towards), speed * np.cos(towards))
    area = simulate_area(
        seed, size=AREA_PX, n_references=n_references or 1 + seed % MAX_REFERENCES, ground=ground, platform=platform,
        plumes=(plume,) if emission_kg_h else (),
    )  # fmt: skip
    wind = WindAtPoint(plume.wind_u_m_s, plume.wind_v_m_s, 10.0)
    target, earlier = area.passes[-1], area.passes[-2::-1]
    result = search_pass(
        "simulated", target, earlier, lambda longitude, latitude: wind, method, ForestSettings(), limits
    )
    accepted = [p for p in result.plumes if p.candidate.status == ACCEPTED]
    right = [p for p in accepted if emission_kg_h and _belongs(p, plume, target)]
    rates = [p.emission for p in right if p.emission]
    return Trial(
        platform=platform,
        ground=ground,
        emission_kg_h=emission_kg_h,
        wind_m_s=float(speed),
        found_kg_h=tuple(rate.emission_kg_h for rate in rates),
        holds_truth=bool(rates and rates[0].low_kg_h <= emission_kg_h <= rates[0].high_kg_h),
        false_probabilities=tuple(float(p.candidate.probability or 0.0) for p in accepted if p not in right),
        detection_limit_kg_h=float(result.observation["detection_limit"] or np.nan),
    )


def _belongs(found: Plume, planted: PlantedPlume, target: Pass) -> bool:
    """Whether a found plume begins near the planted source or lies in the cone downwind of it."""
    rows, cols = np.indices(target.shape)
    speed = np.hypot(planted.wind_u_m_s, planted.wind_v_m_s)
    east, south = cols - planted.col, rows - planted.row
    along = (east * planted.wind_u_m_s - south * planted.wind_v_m_s) / speed
    across = np.abs(east * planted.wind_v_m_s + south * planted.wind_u_m_s) / speed
    cone: NDArray[np.bool_] = (along > -FAR_PX) & (across < FAR_PX + CONE_SLOPE * np.maximum(along, 0.0))
    return bool(cone[found.candidate.mask].mean() > 0.5)


def false_plume_table(trials: Sequence[Trial]) -> list[str]:
    """Return lines: accepted plumes where nothing was planted, per 500 x 500 pixels and pass."""
    lines = ["ground   areas  accepted  p > 0.9  per 500 x 500 px"]
    for ground in sorted({trial.ground for trial in trials}):
        some = [trial for trial in trials if trial.ground == ground]
        probabilities = np.array([p for trial in some for p in trial.false_probabilities])
        units = len(some) * AREA_PX**2 / UNIT_AREA_PX
        high = int((probabilities > HIGH_PROBABILITY).sum())
        lines.append(f"{ground:8} {len(some):5} {len(probabilities):9} {high:8} {len(probabilities) / units:17.2f}")
    return lines


def recall_table(trials: Sequence[Trial]) -> list[str]:
    """Return lines: share found, estimated over planted rate, share of intervals that hold it."""
    lines = ["ground   t/h   areas  found  rate/true (16 %, median, 84 %)  interval holds  limit t/h"]
    for ground, rate in sorted({(trial.ground, trial.emission_kg_h) for trial in trials}):
        some = [trial for trial in trials if (trial.ground, trial.emission_kg_h) == (ground, rate)]
        found = [trial for trial in some if trial.found_kg_h]
        low, median, high = (
            np.quantile([t.found_kg_h[0] / rate for t in found], [0.16, 0.5, 0.84]) if found else [np.nan] * 3
        )
        holds = np.mean([t.holds_truth for t in found]) if found else np.nan
        limit = np.median([t.detection_limit_kg_h for t in some]) / 1000
        lines.append(
            f"{ground:8} {rate / 1000:4.1f} {len(some):6} {len(found) / len(some):6.2f}"
            f"  {low:8.2f} {median:8.2f} {high:8.2f} {holds:17.2f} {limit:12.1f}"
        )
    return lines
