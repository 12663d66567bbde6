"""Measure the methane detection: `python -m plumewatch.methane.evaluation [--test-data FOLDER] [--quick]`.

Simulated areas with and without planted plumes, on simulated ground and, where the folder has it, on that of a real
scene. Exit code 1 where a figure misses its limit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from plumewatch import progress
from plumewatch.gases import SINGLE_PASS
from plumewatch.limit_check import Check, at_most, within
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.evaluation.calibration import calibration_bins, calibration_lines, rate_at_half
from plumewatch.methane.evaluation.control import scene_noise_mol_m2
from plumewatch.methane.evaluation.ground import DENSE_FIELDS, DESERT, FIELDS
from plumewatch.methane.evaluation.landsat import WATCHERS, SensorTrials, scene_settings, sensor_checks, sensor_lines
from plumewatch.methane.evaluation.landsat import empty_settings as sensor_empty_settings
from plumewatch.methane.evaluation.limits import (
    HALF_FOUND,
    LARGE_KG_H,
    LEAST_RECALL,
    MOST_LOST,
    MOST_ROUND_TRIP_BIAS,
    bare_check,
    calibration_checks,
    detection_checks,
    noise_check,
    ranking_checks,
    rate_checks,
    sahara_checks,
)
from plumewatch.methane.evaluation.measure import SAHARA, Setting, Trial, run_trials
from plumewatch.methane.evaluation.pictures import draw_pictures
from plumewatch.methane.evaluation.ranking import ranking_lines, ranking_settings, rankings
from plumewatch.methane.evaluation.rates import rate_groups, rate_lines, rate_settings
from plumewatch.methane.evaluation.recall import (
    bare_rate,
    empty_settings,
    false_plume_lines,
    false_rate,
    planted_settings,
    recall,
    recall_above,
    recall_lines,
    threshold_for,
)
from plumewatch.methane.evaluation.references_seen import (
    COUNTS,
    SHARES,
    counted_lines,
    counted_settings,
    shared_lines,
    shared_settings,
)
from plumewatch.methane.evaluation.round_trip import round_trip_lines, worst_round_trip_bias
from plumewatch.methane.evaluation.sahara import pass_of_sahara, texture_of_sahara
from plumewatch.methane.evaluation.train import landsat_lines, training_lines
from plumewatch.methane.pass_search import search_pass
from plumewatch.methane.thresholds import PlumeThresholds, plume_thresholds
from plumewatch.sensors.landsat import LANDSAT
from plumewatch.statuses import ACCEPTED
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M, WindAtPoint

WIND_ALONE = WindAtPoint(3.0, 1.0, SURFACE_WIND_HEIGHT_M)  # the real scene's own is not known
PARTS = ("scenes", "recall", "ranking", "rates", "references", "landsat")


@dataclass(frozen=True)
class Sizes:
    """Numbers of trials."""

    empty: int = 40
    """Areas of 500 x 500 px of desert without a plume; of other ground half as many."""
    planted: int = 28
    """Plumes of each rate in desert, twice as many of rates with a limit; of other ground half as many."""
    scenes: int = 1200
    """Scenes that are ranked, 5 % of them with a plume."""
    more_plumes: int = 180
    """Further scenes with a plume, weighted so that it is 5 % again."""
    forest: int = 400
    """Of these, how many the Isolation Forest ranks too."""
    rates: int = 180
    """Plumes whose rate is estimated."""
    shared: int = 60
    """Plumes with and without plumes on earlier dates."""
    counted: tuple[int, int] = (6, 20)
    """Areas without and with a plume for each number of references."""
    sensors: tuple[int, int] = (20, 160)
    """Areas without a plume, and scenes, for each sensor."""


QUICK = Sizes(
    empty=6, planted=4, scenes=160, more_plumes=24, forest=40, rates=24, shared=9, counted=(1, 3), sensors=(3, 24)
)


@dataclass(frozen=True)
class Measurement:
    """What the parts share."""

    limits: PlumeThresholds
    """Of the detector."""
    sizes: Sizes
    """Numbers of trials."""
    processes: int
    """How many run at a time."""
    test_data: str
    """Folder of the real scene; empty where it is not there."""
    pictures: Path | None
    """Folder for pictures."""

    def run(self, settings: Iterable[Setting]) -> list[Trial]:
        """Run trials."""
        return run_trials(settings, self.limits, self.processes)


def main() -> None:
    """Print the tables and the checks."""
    parser = argparse.ArgumentParser(prog="python -m plumewatch.methane.evaluation", description=__doc__)
    parser.add_argument("--test-data", type=Path, help="folder with the scene S2A_29RKH_20200219")
    parser.add_argument("--quick", action="store_true", help="few trials: to see that it runs; limits mean little then")
    parser.add_argument("--scenes", type=int, help=f"scenes that are ranked ({Sizes.scenes})")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of hits, misses and false alarms")
    parser.add_argument("--processes", type=int, default=2, help="trials that run at a time (%(default)s)")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="parts (default: all)")
    parser.add_argument("--train", type=int, metavar="SCENES", help="fit the probability anew instead, and print it")
    parser.add_argument(
        "--train-landsat", type=int, metavar="SCENES", help="fit Landsat's offset instead, and print it"
    )
    arguments = parser.parse_args()
    progress.shown()
    if arguments.train:
        print("\n".join(training_lines(arguments.train, arguments.processes)))
        return
    if arguments.train_landsat:
        print("\n".join(landsat_lines(arguments.train_landsat, arguments.processes)))
        return
    sizes = QUICK if arguments.quick else Sizes()
    if arguments.scenes:
        sizes = Sizes(**{**vars(sizes), "scenes": arguments.scenes})
    measurement = Measurement(
        plume_thresholds(), sizes, arguments.processes, _with_sahara(arguments.test_data), arguments.pictures
    )
    missed = 0
    for part in PARTS:
        if part in arguments.only:
            began = time.monotonic()
            checks = MEASURED[part](measurement)
            print("\n".join(map(str, checks)))
            print(f"({part}: {time.monotonic() - began:.0f} s)\n", flush=True)
            missed += sum(not check.is_ok for check in checks)
    sys.exit(1 if missed else 0)


def _with_sahara(folder: Path | None) -> str:
    if folder is None or texture_of_sahara(folder) is None:
        print(f"left out: the ground of the real scene S2A_29RKH_20200219, for lack of {folder or 'its folder'}")
        return ""
    return str(folder)


def _measure_scenes(measurement: Measurement) -> list[Check]:
    """The retrieval by itself, and the noise of a pixel."""
    print("\n".join(round_trip_lines(0)))
    noise = scene_noise_mol_m2(measurement.sizes.empty)
    bias = at_most("round trip: largest bias", worst_round_trip_bias(0), MOST_ROUND_TRIP_BIAS)
    return [bias, noise_check(noise)]


def _measure_recall(measurement: Measurement) -> list[Check]:
    """False plumes, recall and the stated limit."""
    sizes, data = measurement.sizes, measurement.test_data
    judged = (DESERT, FIELDS, SAHARA) if data else (DESERT, FIELDS)
    grounds = (*judged, DENSE_FIELDS)
    share = {g: 1 if g == DESERT else 2 for g in grounds}
    empty = {g: measurement.run(empty_settings(g, sizes.empty // share[g], data)) for g in grounds}
    print("\n".join(false_plume_lines(empty)), flush=True)
    planted = {g: measurement.run(planted_settings(g, sizes.planted // share[g], data)) for g in grounds}
    print("\n".join(recall_lines(empty, planted)), flush=True)
    if measurement.pictures:
        drawn = [trial for g in grounds for trial in (*planted[g], *empty[g])]
        print(f"{len(draw_pictures(drawn, measurement.pictures, measurement.limits))} pictures: {measurement.pictures}")
    threshold = threshold_for(empty[DESERT])
    by_rate = {
        r: recall_above([t for t in planted[DESERT] if t.setting.emission_kg_h == r], threshold) for r in LEAST_RECALL
    }
    half = rate_at_half([trial for g in judged for trial in planted[g]])
    return [
        *(bare_check(ground, bare_rate(empty[ground])) for ground in judged),
        *detection_checks(false_rate(empty[DESERT]), by_rate),
        within("rate at which half are found over the stated limit", half, HALF_FOUND),
        *(_sahara(measurement, empty[SAHARA], planted[SAHARA]) if data else ()),
    ]


def _sahara(measurement: Measurement, empty: list[Trial], planted: list[Trial]) -> Iterator[Check]:
    """What is found on the ground of the real scene, and in the scene as it is."""
    scene = pass_of_sahara(measurement.test_data)
    alone = search_pass("real", scene, (), lambda *_: WIND_ALONE, SINGLE_PASS, ForestSettings(), measurement.limits)
    accepted = sum(plume.candidate.status == ACCEPTED for plume in alone.plumes)
    large = [trial for trial in planted if trial.setting.emission_kg_h >= LARGE_KG_H]
    yield from sahara_checks(false_rate(empty), recall(large), accepted)


def _measure_ranking(measurement: Measurement) -> list[Check]:
    """Average precision of scenes, and whether probabilities come true."""
    sizes = measurement.sizes
    trials = measurement.run(ranking_settings(sizes.scenes, sizes.forest, sizes.more_plumes))
    print("\n".join(ranking_lines(trials, sizes.scenes)))
    prior = measurement.limits.probability.prior
    bins = calibration_bins(trials, prior)
    print("\n".join(calibration_lines(bins, prior)))
    return [*ranking_checks(rankings(trials)), *calibration_checks(bins)]


def _measure_rates(measurement: Measurement) -> list[Check]:
    """Rates with a wrong wind."""
    trials = measurement.run(rate_settings(measurement.sizes.rates))
    print("\n".join(rate_lines(trials)))
    return list(rate_checks(rate_groups(trials)["all"]))


def _measure_references(measurement: Measurement) -> list[Check]:
    """What plumes on earlier dates cost, and what more dates gain."""
    by_share = {s: measurement.run(shared_settings(s, measurement.sizes.shared)) for s in SHARES}
    print("\n".join(shared_lines(by_share)), flush=True)
    by_count = {n: measurement.run(counted_settings(n, *measurement.sizes.counted)) for n in COUNTS}
    print("\n".join(counted_lines(by_count)))
    lost = recall(by_share[SHARES[0]]) - recall(by_share[SHARES[-1]])
    return [at_most("recall lost to plumes on earlier dates", lost, MOST_LOST)]


def _measure_landsat(measurement: Measurement) -> list[Check]:
    """Landsat beside Sentinel-2."""
    n_empty, n_scenes = measurement.sizes.sensors
    tried = {
        watcher.name: SensorTrials(
            measurement.run(sensor_empty_settings(watcher, n_empty)),
            measurement.run(scene_settings(watcher, n_scenes)),
        )
        for watcher in WATCHERS
    }
    prior = measurement.limits.probability.prior
    print("\n".join(sensor_lines(tried, prior)))
    return list(sensor_checks(tried[LANDSAT.title], prior))


MEASURED = {
    "scenes": _measure_scenes,
    "recall": _measure_recall,
    "ranking": _measure_ranking,
    "rates": _measure_rates,
    "references": _measure_references,
    "landsat": _measure_landsat,
}

if __name__ == "__main__":
    main()
