"""What the methane detector has to reach on the simulated scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plumewatch.limit_check import Check, at_least, at_most, within
from plumewatch.methane.evaluation.calibration import Bin
from plumewatch.methane.evaluation.ranking import BARE, DETECTOR, Ranking
from plumewatch.methane.evaluation.rates import RateFigures
from plumewatch.methane.evaluation.recall import MOST_FALSE

BARE_FALSE = (10.0, 30.0)  # of the bare threshold per 500 x 500 px: with fewer the scenes are too easy
NOISE_MOL_M2, NOISE_TOLERANCE = 0.0734, 0.25  # MARS: 206 ppb a pixel; relative
LEAST_RECALL = {1200.0: 0.5, 2000.0: 0.9}  # in desert, by rate in kg/h
LARGE_KG_H, LEAST_RECALL_SAHARA = 3000.0, 0.9  # of plumes of that rate and more
LEAST_PRECISION, MOST_OF_BARE = 0.60, 0.5  # average precision; 1 - AP over that of the bare threshold
MOST_ERROR, MOST_BIAS, HELD = 0.30, 0.10, (0.60, 0.76)
MOST_OFF, LEAST_IN_BIN = 0.1, 100
HALF_FOUND = (0.67, 1.5)  # of the stated limit: where half are found
MOST_LOST = 0.10  # recall that plumes in the references may cost
MOST_ROUND_TRIP_BIAS = 0.02


def bare_check(ground: str, false: float) -> Check:
    """Whether the scenes are as hard as they should be."""
    return within(f"bare threshold: false plumes per 500 x 500 px of {ground}", false, BARE_FALSE)


def noise_check(noise_mol_m2: float) -> Check:
    """Whether they are as noisy as published."""
    least, most = (round(NOISE_MOL_M2 * (1 + sign * NOISE_TOLERANCE), 3) for sign in (-1, 1))
    return within("noise of a pixel against one date, S2A, mol/m2", noise_mol_m2, (least, most))


def detection_checks(false: float, recall_by_rate: dict[float, float]) -> Iterator[Check]:
    """Compare false plumes of the detector, and recall at as many as are allowed, with their limits in desert."""
    yield at_most("false plumes per 500 x 500 px of desert", false, MOST_FALSE)
    for rate, least in LEAST_RECALL.items():
        name = f"recall at {rate / 1000:g} t/h in desert, where {MOST_FALSE:g} false plumes are allowed"
        yield at_least(name, recall_by_rate[rate], least)


def sahara_checks(false: float, recall_of_large: float, n_alone: int) -> Iterator[Check]:
    """Compare what is found on the ground of the real scene with its limits."""
    yield at_most("false plumes per 500 x 500 px of Sahara", false, MOST_FALSE)
    yield at_least("recall at 3 t/h and more on Sahara", recall_of_large, LEAST_RECALL_SAHARA)
    yield at_most("plumes of single_pass in the real scene as it is", n_alone, 0)


def ranking_checks(rankings: dict[str, Ranking]) -> Iterator[Check]:
    """Compare average precision with its limits."""
    value, bare = rankings[DETECTOR].value, rankings[BARE].value
    yield at_least("average precision of scenes", value, LEAST_PRECISION)
    yield at_most("1 - AP over that of the bare threshold", (1 - value) / (1 - bare), MOST_OF_BARE)


def rate_checks(of: RateFigures) -> Iterator[Check]:
    """Compare the rates with their limits."""
    yield at_most("median error of rates, wind 30 % wrong", of.error, MOST_ERROR)
    yield within("median of estimated over planted", of.ratio, (1 - MOST_BIAS, 1 + MOST_BIAS))
    yield within("68 % intervals that hold", of.held, HELD)


def calibration_checks(bins: Sequence[Bin]) -> Iterator[Check]:
    """Compare stated probabilities with what came true."""
    yield at_least("candidates in the smallest bin of probability", min(b.n_candidates for b in bins), LEAST_IN_BIN)
    yield at_most("largest gap of stated and observed", max(abs(b.stated - b.observed) for b in bins), MOST_OFF)
