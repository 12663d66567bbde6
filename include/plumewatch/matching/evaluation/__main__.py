"""Measure the matching rule: `python -m plumewatch.matching.evaluation [--test-data FOLDER] [--pictures FOLDER]`.

Made-up detections on real plants, where the list of these is in the folder, else on plants of a made-up list; in two
worlds that the rule wasn't set on, and in plain ones, beside the bound of who knows how each was made. With the real
peaks in the folder, their upwind sectors beside those of the older tool. Exit code 1 where the figures in the first
world miss their limits.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from plumewatch import progress
from plumewatch.constants import HOURS_PER_YEAR
from plumewatch.inventory.gppd import read_gppd
from plumewatch.matching.evaluation.bound import bayes_posterior
from plumewatch.matching.evaluation.judge import TONNES_PER_KT, answers_of_bound, answers_of_rule, score, score_lines
from plumewatch.matching.evaluation.plain import PLAIN, make_plain_detections, plain_posterior, plants_of
from plumewatch.matching.evaluation.sectors import draw_sectors, read_seed_peaks, sector_lines
from plumewatch.matching.evaluation.worlds import JUDGED, STRANGER, Plants, made_up_plants, make_detections

PLANTS_FILE = "inventory/gppd_v130_rebuilt.csv"
PEAKS_FOLDER = "oco2/peaks_and_invent"
N, SEEDS, PLAIN_SEED = 5_000, (2026, 2027), 2028  # the rule's numbers were picked with seeds below 100
MONTHS = 24  # keys over which detections are spread


def main() -> None:
    """Print the tables, and draw the sectors."""
    parser = argparse.ArgumentParser(prog="python -m plumewatch.matching.evaluation", description=__doc__)
    parser.add_argument("--test-data", type=Path, help="folder with the plants and the peaks")
    parser.add_argument("--detections", type=int, default=N, help="of each world (%(default)s)")
    parser.add_argument("--pictures", type=Path, help="folder for the picture of the sectors")
    arguments = parser.parse_args()
    progress.shown()
    plants = _plants(arguments.test_data)
    missed: list[str] = []
    for world, seed in zip((JUDGED, STRANGER), SEEDS, strict=True):
        detections = make_detections(world, plants, arguments.detections, seed)
        n_sources = len(np.unique(detections.source[detections.source >= 0]))
        print(f"\n{world.name}: {len(detections)} detections of {n_sources} plants and of unlisted sources")
        of_bound = answers_of_bound(bayes_posterior(world, detections, plants))
        of_rule = score(answers_of_rule(detections, plants, MONTHS), detections, plants)
        rows = [
            ("the rule", of_rule),
            ("the rule, all in one month", score(answers_of_rule(detections, plants), detections, plants)),
            ("all distributions known", score(of_bound, detections, plants)),
        ]
        print("\n".join(score_lines(rows)), flush=True)
        if world is JUDGED:
            missed = of_rule.misses()
    _plain(plants, arguments.detections)
    for limit in missed:
        print(f"MISSED: {limit}")
    _sectors(arguments.test_data, arguments.pictures)
    sys.exit(1 if missed else 0)


def _plain(plants: Plants, n: int) -> None:
    """Print how the rule does where nothing but place and wind tells sources apart."""
    print("\nPlain worlds: sources all alike, no intervals, seen at any distance whatever the wind")
    rows = []
    for world in PLAIN:
        listed = plants_of(world, plants)
        detections = make_plain_detections(world, listed, n, PLAIN_SEED)
        answers = answers_of_rule(detections, listed, MONTHS, has_intervals=False)
        rows.append((world.name, score(answers, detections, listed)))
        of_bound = answers_of_bound(plain_posterior(world, detections, listed))
        rows.append(("  all distributions known", score(of_bound, detections, listed)))
    print("\n".join(score_lines(rows)), flush=True)


def _plants(folder: Path | None) -> Plants:
    file = folder / PLANTS_FILE if folder else None
    if file is None or not file.is_file():
        print(f"left out: real plants, for lack of {file or PLANTS_FILE}; a made-up list in their place")
        return made_up_plants(seed=5)
    rows = read_gppd(str(file))
    kt_h = rows["emission_t_y"].to_numpy() / TONNES_PER_KT / HOURS_PER_YEAR
    emits = kt_h > 0
    return Plants(rows["longitude"].to_numpy()[emits], rows["latitude"].to_numpy()[emits], kt_h[emits])


def _sectors(folder: Path | None, pictures: Path | None) -> None:
    source = folder / PEAKS_FOLDER if folder else None
    if source is None or not source.is_dir():
        print(f"\nleft out: upwind sectors of real peaks, for lack of {source or PEAKS_FOLDER}")
        return
    months = read_seed_peaks(source)
    print("\nUpwind sectors of real peaks: how far the older tool's polygon lies from upwind")
    print("\n".join(sector_lines(months)))
    if pictures is not None:
        print(f"picture: {draw_sectors(months, pictures)}")


if __name__ == "__main__":
    main()
