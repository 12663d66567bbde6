"""Measure the methane detection on simulated areas: `python -m plumewatch.methane.evaluation --areas 200`."""

from __future__ import annotations

import argparse

from plumewatch.methane.detection import MULTI_PASS, SINGLE_PASS
from plumewatch.methane.evaluation.measure import false_plume_table, recall_table, run_trial
from plumewatch.methane.evaluation.scenes import DESERT, FIELDS
from plumewatch.methane.thresholds import thresholds

RATES_KG_H = (1000.0, 2000.0, 3000.0, 5000.0, 10000.0)
PLANTED_SEEDS = 100_000  # areas with plumes have other seeds than those without


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m plumewatch.methane.evaluation", description=__doc__)
    parser.add_argument("--areas", type=int, default=60, help="areas without plumes, of each ground (%(default)s)")
    parser.add_argument(
        "--plumes", type=int, default=12, help="areas with a plume, of each ground and rate (%(default)s)"
    )
    parser.add_argument("--references", type=int, help="earlier dates (default: 1 to 7 in turn)")
    parser.add_argument("--seed", type=int, default=0, help="first seed (%(default)s)")
    parser.add_argument("--method", choices=(MULTI_PASS, SINGLE_PASS), default=MULTI_PASS)
    arguments = parser.parse_args()
    limits = thresholds()
    grounds = (DESERT, FIELDS)

    def trial(number: int, ground: str, rate: float):  # type: ignore[no-untyped-def]
        return run_trial(arguments.seed + number, ground, rate, limits, arguments.method, arguments.references)

    empty = [trial(n, ground, 0.0) for ground in grounds for n in range(arguments.areas)]
    print("\n".join(false_plume_table(empty)))
    planted = [
        trial(PLANTED_SEEDS + n, ground, rate)
        for ground in grounds
        for rate in RATES_KG_H
        for n in range(arguments.plumes)
    ]
    if planted:
        print("\n".join(recall_table(planted)))


if __name__ == "__main__":
    main()
