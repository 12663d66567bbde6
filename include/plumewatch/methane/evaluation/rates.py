"""Estimated rates against planted ones, with a wind that is wrong as reanalysis winds are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from plumewatch.methane.evaluation.ground import DESERT, FIELDS
from plumewatch.methane.evaluation.measure import Setting, Trial
from plumewatch.methane.evaluation.ranking import draw_rate
from plumewatch.methane.evaluation.seeds import judging_seed

WIND_ERROR, WIND_TURN_DEG = 0.3, 15.0  # as in all trials, but here it is what the limits are stated for
RATE_KG_H = (2000.0, 20_000.0)  # log-uniform
CLASSES_KG_H = ((2000.0, 4000.0), (4000.0, 9000.0), (9000.0, 20_000.0))


@dataclass(frozen=True)
class RateFigures:
    """Errors of the rates of some plumes that were found."""

    n_found: int
    """Plumes with a rate."""
    n_planted: int
    """Plumes that were planted."""
    error: float
    """Median of the absolute relative error."""
    ratio: float
    """Median of estimated over planted."""
    held: float
    """Share of the 68 % intervals that hold the planted rate."""
    width: float
    """Median of the interval's half width over the estimate."""


def rate_settings(count: int) -> Iterator[Setting]:
    """Return areas with a plume of a log-uniform rate, half of either kind of ground, the wind told wrong."""
    for number in range(count):
        seed = judging_seed("rates", number)
        yield Setting(
            seed, (DESERT, FIELDS)[number // 3 % 2], draw_rate(seed, RATE_KG_H),
            wind_error=WIND_ERROR, wind_turn_deg=WIND_TURN_DEG,
        )  # fmt: skip


def rate_figures(trials: Sequence[Trial]) -> RateFigures:
    """Return the figures of the first hit of each trial."""
    found = [(trial.setting.emission_kg_h, trial.hits[0]) for trial in trials if trial.found_kg_h]
    if not found:
        return RateFigures(0, len(trials), *[float("nan")] * 4)
    truth = np.array([rate for rate, _ in found])
    best, low, high = (np.array([getattr(hit, f"{n}_kg_h") for _, hit in found]) for n in ("emission", "low", "high"))
    return RateFigures(
        n_found=len(found),
        n_planted=len(trials),
        error=float(np.median(np.abs(best / truth - 1))),
        ratio=float(np.median(best / truth)),
        held=float(np.mean((low <= truth) & (truth <= high))),
        width=float(np.median((high - low) / 2 / best)),
    )


def rate_groups(trials: Sequence[Trial]) -> dict[str, RateFigures]:
    """Return the figures of all, by ground and by class of the planted rate."""
    groups = {"all": list(trials)}
    groups |= {ground: [t for t in trials if t.setting.ground == ground] for ground in (DESERT, FIELDS)}
    groups |= {
        f"{low / 1000:.0f} to {high / 1000:.0f} t/h": [t for t in trials if low <= t.setting.emission_kg_h < high]
        for low, high in CLASSES_KG_H
    }
    return {name: rate_figures(some) for name, some in groups.items()}


def rate_lines(trials: Sequence[Trial]) -> list[str]:
    """Return a table of them."""
    lines = ["rates           planted  found  median |error|  median ratio  68 % holds  half width"]
    for name, of in rate_groups(trials).items():
        lines.append(
            f"{name:15} {of.n_planted:7} {of.n_found:6} {of.error:15.2f} {of.ratio:13.2f} {of.held:11.2f}"
            f" {of.width:11.2f}"
        )
    return lines
