"""Measure the CO2 peak finder: `python -m plumewatch.oco2.evaluation [--test-data FOLDER]`.

Planted Gaussians of 4, 10 and 20 km in the residuals of the real orbit 11522, where its soundings are in the folder,
and in simulated noise; then the judge: plumes of particles in strips with clouds, backgrounds and coasts. Exit code 1
where the figures in real noise, or those of the judge, miss their limits.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import csv

from plumewatch import progress
from plumewatch.oco2.evaluation.emissions import emission_lines, source_emission_lines
from plumewatch.oco2.evaluation.hard_pictures import draw_hard_strips
from plumewatch.oco2.evaluation.judge import Sizes, judge_finder
from plumewatch.oco2.evaluation.judge_figures import judge_checks, judge_lines
from plumewatch.oco2.evaluation.judged_months import MONTHS_EACH, judge_months, month_checks, month_lines
from plumewatch.oco2.evaluation.judged_strips import JUDGING, ORBITS, STRIP_KM, World
from plumewatch.oco2.evaluation.limits import checks
from plumewatch.oco2.evaluation.matched_filter import MatchedFilter, binned
from plumewatch.oco2.evaluation.methods import comparison_lines
from plumewatch.oco2.evaluation.noise import TRACK_KM, NoiseSource, RealNoise, SimulatedNoise
from plumewatch.oco2.evaluation.planted import (
    count_alarms,
    empty_tracks,
    figures_by_group,
    noise_tracks,
    peak_recall_lines,
    planted_tracks,
    run_peak_trials,
)
from plumewatch.oco2.evaluation.surroundings import RealStripNoise, SimulatedStripNoise, StripNoise

Orbit = dict[str, NDArray[np.float64]]
"""Columns of the soundings of orbit 11522."""

SOUNDINGS_FILE = "oco2/orbit11522/soundings_dist300_800.csv"
# Distances at which orbit 11522 crosses plumes of the Highveld. Means over 5 km rise from 403.6 ppm at 460 km to 405.3
# at 480 km, and again to 406.8 at 510, 409.0 at 540 and 407.6 at 560 km.
PLUME_KM = (465.0, 640.0)
NOISE_TRACKS = 2000  # from which the matched filter learns the covariance


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m plumewatch.oco2.evaluation", description=__doc__)
    parser.add_argument("--test-data", type=Path, help="folder with the soundings of orbit 11522")
    parser.add_argument("--empty", type=int, default=1000, help="tracks without a peak (%(default)s)")
    parser.add_argument("--per-cell", type=int, default=170, help="peaks of each height and width (%(default)s)")
    parser.add_argument("--judged", type=float, default=1.0, help="share of the judge's full size (%(default)s)")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of five hard strips")
    parser.add_argument("--compared", type=int, default=10, help="of these, for the other methods (%(default)s)")
    arguments = parser.parse_args()
    progress.shown()
    orbit = _read_orbit(arguments.test_data)
    real = RealNoise.of("real noise (orbit 11522)", orbit["distance"], orbit["xco2"], PLUME_KM) if orbit else None
    missed = 0
    for source in (real, SimulatedNoise()) if real else (SimulatedNoise(),):
        missed += _measure(source, arguments.empty, arguments.per_cell)
    noise, compared = real or SimulatedNoise(), arguments.compared
    print(f"\nOther methods on the same truth, in {noise.name}: recall by height")
    print("\n".join(comparison_lines(noise, 3 * compared, compared)), flush=True)
    print("\nEmissions of planted peaks of 2 and 4 ppm")
    print("\n".join(emission_lines(noise, arguments.per_cell)), flush=True)
    print(f"\nEmission of a known source by its plume, in {SimulatedNoise.name}")
    print("\n".join(source_emission_lines(SimulatedNoise(), arguments.per_cell // 3)), flush=True)
    missed += _judge(orbit, arguments.judged, arguments.pictures)
    sys.exit(1 if missed else 0)


def _read_orbit(folder: Path | None) -> Orbit | None:
    file = folder / SOUNDINGS_FILE if folder else None
    if file is None or not file.is_file():
        print(f"left out: the real noise of orbit 11522, for lack of {file or SOUNDINGS_FILE}")
        return None
    columns = csv.read_csv(file, parse_options=csv.ParseOptions(delimiter=";"))
    names = ("longitude", "latitude", "distance", "xco2")
    return {name: np.asarray(columns[name].to_numpy(), dtype=float) for name in names}


def _judge(orbit: Orbit | None, share: float, pictures: Path | None) -> int:
    """Print what the judge says, draw its pictures; return how many limits are missed."""
    noise: list[StripNoise] = [SimulatedStripNoise()]
    if orbit is not None:
        is_plume = (orbit["distance"] >= PLUME_KM[0]) & (orbit["distance"] < PLUME_KM[1])
        places = orbit["longitude"], orbit["latitude"], orbit["xco2"]
        noise.append(RealStripNoise.of("real (orbit 11522)", *places, is_plume))
    sizes = Sizes.share(share)
    world = World.make(JUDGING, sizes.fields, noise)
    print(f"\nThe judge: plumes of particles, {sizes.planted} strips of {STRIP_KM:.0f} km, {len(noise)} kinds of noise")
    verdict = judge_finder(world, sizes)
    judged = list(judge_checks(verdict))
    print("\n".join(judge_lines(verdict, judged)), flush=True)
    months = judge_months(world, max(1, round(share * MONTHS_EACH)), max(1, round(share * ORBITS)))
    print(f"\nProbabilities of the candidates of {len(months)} months")
    of_months = list(month_checks(months))
    print("\n".join([*month_lines(months), *map(str, of_months)]), flush=True)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        for name, png in draw_hard_strips(world):
            (pictures / f"hard_{name}.png").write_bytes(png)
        print(f"pictures of hard strips: {pictures}")
    return sum(not check.is_ok for check in [*judged, *of_months])


def _measure(source: NoiseSource, n_empty: int, per_cell: int) -> int:
    """Print the figures of one source of noise; return how many limits are missed."""
    alarms = count_alarms(source, n_empty) / n_empty
    print(f"\nPlanted peaks in {source.name}: {source.origin}")
    print(f"false alarms on {alarms:.1%} of {n_empty} tracks of {TRACK_KM:.0f} km")
    figures = figures_by_group(run_peak_trials(source, per_cell), _filter_finds(source, n_empty, per_cell, alarms))
    judged = list(checks(alarms, figures)) if isinstance(source, RealNoise) else []
    print("\n".join([*peak_recall_lines(figures), *map(str, judged)]), flush=True)
    return sum(not check.is_ok for check in judged)


def _filter_finds(source: NoiseSource, n_empty: int, per_cell: int, false_alarms: float) -> list[bool] | None:
    """Whether the matched filter finds each planted peak where it alarms as often as the finder.

    None where the noise has no one covariance.
    """
    if not isinstance(source, RealNoise):
        return None
    matched = MatchedFilter(binned(track) for track in noise_tracks(source, NOISE_TRACKS))
    matched.set_threshold(empty_tracks(source, n_empty), false_alarms)
    return [matched.finds(planted, track) for planted, track in planted_tracks(source, per_cell)]


if __name__ == "__main__":
    main()
