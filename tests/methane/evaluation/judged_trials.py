"""Trials with candidates as a judge leaves them, without the search."""

from __future__ import annotations

from plumewatch.methane.evaluation.measure import Judged, Setting, Trial

NAN = float("nan")


def judged(probability: float, is_plume: bool = False, status: str = "accepted", rate: float = NAN) -> Judged:
    return Judged(probability, 10 * probability, status, is_plume, rate, 0.8 * rate, 1.2 * rate)


def trial(
    setting: Setting, *candidates: Judged, bare: float = 0.0, limit: float = 1500.0, visible: bool = True
) -> Trial:
    ranked = tuple(sorted(candidates, key=lambda one: one.rank, reverse=True))
    return Trial(setting, "sentinel-2a", 3.0, visible, ranked, limit, 0, bare, {})
