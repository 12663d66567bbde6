"""Recall and false plumes: at the detector's own threshold, and at the one that gives half a false plume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from plumewatch.methane.evaluation.measure import UNIT_AREA_PX, Setting, Trial
from plumewatch.methane.evaluation.planted import PIXEL_M
from plumewatch.methane.evaluation.seeds import judging_seed
from plumewatch.statuses import ACCEPTED, NOT_SIGNIFICANT

RATES_KG_H = (500.0, 700.0, 1000.0, 1200.0, 1500.0, 2000.0, 3000.0, 5000.0, 10000.0)
JUDGED_KG_H = (1000.0, 1200.0, 2000.0)  # rates with a limit get twice as many trials
MOST_FALSE = 0.5  # per 500 x 500 pixels
EMPTY_PX = 500


def empty_settings(ground: str, count: int, test_data: str = "") -> Iterator[Setting]:
    """Return areas of 500 x 500 pixels without a plume; the grounds share seeds."""
    for number in range(count):
        yield Setting(
            judging_seed("false plumes", number), ground, size=EMPTY_PX, has_baselines=True, test_data=test_data,
        )  # fmt: skip


def planted_settings(ground: str, count: int, test_data: str = "") -> Iterator[Setting]:
    """Return `count` areas of each rate, twice as many of those with a limit."""
    first = 0
    for rate in RATES_KG_H:
        n = 2 * count if rate in JUDGED_KG_H else count
        for number in range(first, first + n):
            yield Setting(judging_seed("recall", number), ground, rate, test_data=test_data)
        first += n


def units_of(trials: Sequence[Trial]) -> float:
    """Return the searched area in units of 500 x 500 pixels of 20 m, which are 10 x 10 km."""
    return sum((trial.setting.size * trial.setting.pixel_m / PIXEL_M) ** 2 for trial in trials) / UNIT_AREA_PX


def false_rate(trials: Sequence[Trial]) -> float:
    """Return accepted plumes where none was planted, per 500 x 500 pixels."""
    return sum(len(trial.false_plumes) for trial in trials) / units_of(trials)


def bare_rate(trials: Sequence[Trial]) -> float:
    """Return the same of the bare threshold, on areas without a plume."""
    return sum(trial.n_bare for trial in trials) / units_of(trials)


def recall(trials: Sequence[Trial]) -> float:
    """Return the share of visible plumes that were found."""
    visible = [trial for trial in trials if trial.is_visible]
    return float(np.mean([bool(trial.hits) for trial in visible])) if visible else float("nan")


def threshold_for(empty: Sequence[Trial]) -> tuple[float, float]:
    """Return the rank (probability, significance) above which areas without a plume give MOST_FALSE per unit.

    Candidates that a test refuses are no plumes at any threshold.
    """
    allowed = int(MOST_FALSE * units_of(empty))
    ranks = sorted((c.rank for trial in empty for c in trial.candidates if _is_open(c.status)), reverse=True)
    return ranks[allowed] if len(ranks) > allowed else (0.0, 0.0)


def recall_above(trials: Sequence[Trial], threshold: tuple[float, float]) -> float:
    """Return the share of visible plumes with a candidate of a higher rank than `threshold`."""
    visible = [trial for trial in trials if trial.is_visible]
    found = [any(c.is_plume and _is_open(c.status) and c.rank > threshold for c in t.candidates) for t in visible]
    return float(np.mean(found)) if found else float("nan")


def _is_open(status: str) -> bool:
    return status in (ACCEPTED, NOT_SIGNIFICANT)


def false_plume_lines(empty: dict[str, list[Trial]]) -> list[str]:
    """Return a table of false plumes, the detector's and the bare threshold's."""
    lines = ["ground       areas of 500 x 500 px  false plumes  per area  bare threshold, per area"]
    for ground, trials in empty.items():
        count = sum(len(trial.false_plumes) for trial in trials)
        lines.append(f"{ground:12} {len(trials):22} {count:13} {false_rate(trials):9.2f} {bare_rate(trials):25.1f}")
    return lines


def recall_lines(empty: dict[str, list[Trial]], planted: dict[str, list[Trial]]) -> list[str]:
    """Return a table of recall by ground and rate."""
    lines = [
        "recall                              at the      at the probability that gives",
        "ground        t/h  plumes  hidden  threshold  0.5 false plumes  rows a plume  limit t/h",
    ]
    for ground, trials in planted.items():
        threshold = threshold_for(empty[ground])
        for rate in sorted({trial.setting.emission_kg_h for trial in trials}):
            some = [trial for trial in trials if trial.setting.emission_kg_h == rate]
            hidden = sum(not trial.is_visible for trial in some)
            hits = [len(trial.hits) for trial in some if trial.hits]
            rows = np.mean(hits) if hits else np.nan
            limit = np.nanmedian([trial.detection_limit_kg_h for trial in some]) / 1000
            lines.append(
                f"{ground:12} {rate / 1000:4.1f} {len(some):7} {hidden:7} {recall(some):10.2f}"
                f" {recall_above(some, threshold):17.2f} {rows:13.2f} {limit:10.2f}"
            )
        lines.append(f"{ground:12} that probability is {threshold[0]:.3f} (significance {threshold[1]:.1f})")
    return lines
