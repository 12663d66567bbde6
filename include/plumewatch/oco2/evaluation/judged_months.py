"""Whether probabilities are what they say: of candidates of whole months, whose plumes are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.limit_check import Check, at_most
from plumewatch.oco2.evaluation.judged_strips import ORBITS, World
from plumewatch.oco2.evaluation.strip_truth import owner_of
from plumewatch.oco2.peaks import find_peaks
from plumewatch.oco2.probability import plume_probabilities
from plumewatch.progress import followed
from plumewatch.statuses import ACCEPTED

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PLUMES = (0, 5, 30)  # of a month
MONTHS_EACH = 3
CLASSES, MOST_OFF = 5, 0.1  # of equal numbers of candidates; how far their mean probability may be from their share
SHOWN_FROM = 0.5  # the map's


@dataclass(frozen=True)
class JudgedMonth:
    """The candidates of a month; both arrays have one value each."""

    n_plumes: int
    """Planted."""
    searched_km: float
    """How long the tracks are on which they could be found."""
    probability: Floats
    """As it is stated."""
    is_plume: Bools
    """As it is."""
    is_accepted: Bools
    """By the false alarm probability alone."""


def judge_months(world: World, months_each: int = MONTHS_EACH, n_orbits: int = ORBITS) -> list[JudgedMonth]:
    """Search months with few and many plumes."""
    months = [(n, number) for n in PLUMES for number in range(months_each)]
    return [_month(world, n, number, n_orbits) for n, number in followed(months, "months", "months")]


def _month(world: World, n_plumes: int, number: int, n_orbits: int) -> JudgedMonth:
    false_alarm, is_plume, is_accepted, searched_km = [], [], [], 0.0
    for judged in world.month(n_plumes, number, n_orbits):
        search = find_peaks(judged.track)
        searched_km += search.searched_km
        false_alarm += [peak.false_alarm_probability for peak in search.peaks]
        is_accepted += [peak.status == ACCEPTED for peak in search.peaks]
        is_plume += list(owner_of(judged.plumes, np.array([peak.fit.centre_km for peak in search.peaks])) >= 0)
    stated = plume_probabilities(np.array(false_alarm), searched_km)
    return JudgedMonth(n_plumes, searched_km, stated, np.array(is_plume, bool), np.array(is_accepted, bool))


def classes_of(months: Sequence[JudgedMonth]) -> list[tuple[float, float, int]]:
    """Return mean probability, share of plumes and number of candidates in each class, from the least probable on."""
    stated, truth = (np.concatenate([getattr(m, name) for m in months]) for name in ("probability", "is_plume"))
    parts = np.array_split(np.argsort(stated, kind="stable"), CLASSES)
    return [(float(stated[part].mean()), float(truth[part].mean()), len(part)) for part in parts if len(part)]


def month_lines(months: Sequence[JudgedMonth]) -> list[str]:
    """Return tables of the classes, and of what is shown."""
    lines = ["stated  really  candidates"]
    lines += [f"{stated:6.3f}  {really:6.3f}  {n:10}" for stated, really, n in classes_of(months)]
    lines.append("plumes  accepted  of them false  from 0.5 on  of them false  expected false")
    for n in PLUMES:
        some = [month for month in months if month.n_plumes == n]
        sums = [
            (m.is_accepted.sum(), (m.is_accepted & ~m.is_plume).sum(), shown.sum(), (shown & ~m.is_plume).sum(),
             (1.0 - m.probability)[shown].sum())
            for m in some
            for shown in [m.probability >= SHOWN_FROM]
        ]  # fmt: skip
        accepted, wrong, shown, wrong_shown, expected = np.mean(sums, axis=0)
        lines.append(f"{n:6}  {accepted:8.1f}  {wrong:13.1f}  {shown:11.1f}  {wrong_shown:13.1f}  {expected:14.1f}")
    return lines


def month_checks(months: Sequence[JudgedMonth]) -> Iterator[Check]:
    """Compare each class with its limit."""
    for number, (stated, really, _) in enumerate(classes_of(months), 1):
        yield at_most(f"probability off, class {number} of {CLASSES}", abs(stated - really), MOST_OFF)
