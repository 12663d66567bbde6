"""The detector on Landsat's cells of 30 m, with its table and its dates, beside Sentinel-2: found, false, claimed.

Landsat has what Sentinel-2 is simulated with, ground, clouds, noise of a pixel (its own instrument has less) and errors
of registration in pixels; light is averaged over 30 m, and there are three earlier dates, 8 days apart, in place of
eight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from plumewatch.limit_check import Check, at_most
from plumewatch.methane.evaluation.calibration import RIDGE, calibration_bins
from plumewatch.methane.evaluation.ground import DESERT, FIELDS
from plumewatch.methane.evaluation.measure import Setting, Trial
from plumewatch.methane.evaluation.ranking import draw_rate
from plumewatch.methane.evaluation.rates import rate_figures
from plumewatch.methane.evaluation.recall import MOST_FALSE, false_rate
from plumewatch.methane.evaluation.seeds import judging_seed
from plumewatch.methane.retrieval import LANDSAT_PLATFORMS, PLATFORMS
from plumewatch.sensors.landsat import LANDSAT
from plumewatch.sensors.sentinel2 import SENTINEL2

SIDE_M = 10_000.0  # of an area without a plume
SCENE_PX = 200  # of one that may have one
RATE_KG_H = (500.0, 20_000.0)  # log-uniform
LOG_ODDS_OF_90 = float(np.log(9.0))
MOST_OFF = 0.15  # of stated and observed, in bins of some dozen candidates


@dataclass(frozen=True)
class Watcher:
    """How a sensor sees a place."""

    name: str
    """Of the sensor."""
    units: tuple[str, ...]
    """Its satellites."""
    pixel_m: float
    """Size of its cells."""
    n_references: int
    """Earlier dates within the search window."""


WATCHERS = (
    Watcher(SENTINEL2.title, tuple(PLATFORMS), SENTINEL2.pixel_m, 8),
    Watcher(LANDSAT.title, tuple(LANDSAT_PLATFORMS), LANDSAT.pixel_m, 3),
)


@dataclass(frozen=True)
class SensorTrials:
    """What was tried of one sensor."""

    empty: Sequence[Trial]
    """Areas of 10 x 10 km of desert without a plume."""
    scenes: Sequence[Trial]
    """Scenes of desert and fields, half of them with a plume."""


def empty_settings(watcher: Watcher, count: int) -> Iterator[Setting]:
    """Return areas of 10 x 10 km of desert without a plume."""
    for number in range(count):
        yield Setting(
            judging_seed("landsat", number), size=round(SIDE_M / watcher.pixel_m), n_references=watcher.n_references,
            units=watcher.units,
        )  # fmt: skip


def scene_settings(watcher: Watcher, count: int) -> Iterator[Setting]:
    """Return scenes of which every second has a plume of a log-uniform rate, half of either kind of ground."""
    for number in range(count):
        seed = judging_seed("landsat", 10_000 + number)
        yield Setting(
            seed, (DESERT, FIELDS)[number // 2 % 2], draw_rate(seed, RATE_KG_H) if number % 2 else 0.0, size=SCENE_PX,
            n_references=watcher.n_references, units=watcher.units,
        )  # fmt: skip


def detection_rates_kg_h(trials: Sequence[Trial]) -> tuple[float, float]:
    """Return the rates at which half and nine tenths of the visible plumes are found, by a logistic curve in ln rate.

    NaN where no plume can be seen.
    """
    seen = [trial for trial in trials if trial.is_visible and trial.setting.emission_kg_h]
    if not seen:
        return float("nan"), float("nan")
    x = np.log([trial.setting.emission_kg_h for trial in seen])
    found = np.array([bool(trial.hits) for trial in seen])

    def loss(curve: np.ndarray) -> float:
        z = curve[1] * (x - curve[0])
        return float(np.sum(np.logaddexp(0.0, np.where(found, -z, z))) + RIDGE * curve[1] ** 2)

    middle, slope = minimize(loss, np.array([np.median(x), 2.0]), method="Nelder-Mead").x
    return float(np.exp(middle)), float(np.exp(middle + LOG_ODDS_OF_90 / slope))


def largest_gap(trials: Sequence[Trial], prior: float) -> float:
    """Return the largest difference of stated and observed probability over the bins of `calibration_bins`."""
    bins = calibration_bins(trials, prior)
    return max((abs(one.stated - one.observed) for one in bins), default=float("nan"))


def sensor_lines(by_sensor: Mapping[str, SensorTrials], prior: float) -> list[str]:
    """Return a table of what each sensor finds."""
    lines = [
        "sensor           areas of 10 x 10 km  false per area  plumes  P50 t/h  P90 t/h  |error|  ratio  68 % holds"
        "  largest gap of probability"
    ]
    for name, tried in by_sensor.items():
        half, most = (rate / 1000 for rate in detection_rates_kg_h(tried.scenes))
        planted = [trial for trial in tried.scenes if trial.setting.emission_kg_h]
        of = rate_figures(planted)
        lines.append(
            f"{name:16} {len(tried.empty):20} {false_rate(tried.empty):15.2f} {len(planted):7} {half:8.2f} {most:8.2f}"
            f" {of.error:8.2f} {of.ratio:6.2f} {of.held:11.2f} {largest_gap(tried.scenes, prior):27.2f}"
        )
    return lines


def sensor_checks(tried: SensorTrials, prior: float) -> Iterator[Check]:
    """Compare false plumes and probabilities of Landsat with their limits."""
    yield at_most("Landsat: false plumes per 10 x 10 km of desert", false_rate(tried.empty), MOST_FALSE)
    yield at_most("Landsat: largest gap of stated and observed", largest_gap(tried.scenes, prior), MOST_OFF)
