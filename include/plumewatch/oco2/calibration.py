"""Make `reference/oco2_null_distribution.yaml`: `python -m plumewatch.oco2.calibration [--tracks N] [--output FILE]`.

Scans simulated tracks without sources and fits the law of the largest statistic in 600 km. The noise of each track is
drawn from ranges around what orbit 11522 shows (lag covariances of xco2 minus its 60-km running median: 0.25 ppm^2 in
all, of which 0.07 within a row of footprints, 0.02 at 2.3 km, less than 0.005 at 4.6 km and beyond), and a smooth
background. Rare narrow excursions stand for what retrievals leave near clouds and slopes.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.signal import lfilter

from plumewatch.oco2 import null_distribution as null
from plumewatch.oco2.scan import Scan, scan_track

Floats = NDArray[np.float64]

SEED = 11522
TRACKS = 1500
VERSION = "oco2-null-1"
TRACK_KM = 3000.0  # an orbit's usual stretch between long gaps
FRAME_KM = 2.25  # OCO-2: 3 frames a second at 6.75 km/s over ground
FOOTPRINTS = 8
KEPT_FRACTION = (0.5, 1.0)  # soundings of good quality; orbit 11522 has 0.9
UNCERTAINTY_PPM = 0.5  # stated error; the statistic doesn't depend on it
SINGLE_PPM = (0.3, 0.6)  # independent error of a sounding; orbit 11522: 0.43
ROW_PPM = (0.1, 0.3)  # error that neighbouring soundings share; orbit 11522: 0.26
ROW_KM = (1.0, 3.0)  # its correlation length; orbit 11522: 1.5
MIDDLE_PPM = (0.0, 0.25)  # error shared over tens of kilometres
MIDDLE_KM = (5.0, 25.0)
BACKGROUND_PPM = (0.0, 0.4)  # amplitude of two waves of the background
BACKGROUND_KM = (250.0, 600.0)
TAIL_POINTS = 50
EXCURSIONS_PER_KM = 1.0 / 1000.0
EXCURSION_PPM = 0.4  # standard deviation of their heights, of either sign
EXCURSION_KM = (1.0, 4.0)  # sigma
TAIL = (0.9, 0.999)  # quantiles of the largest statistic between which the Gumbel law is fitted
ROUNDING = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SimulatedTrack:
    """Soundings without a source."""

    distance_km: Floats
    """Along the track."""
    xco2_ppm: Floats
    """Noise on a background of 0 ppm."""
    weight: Floats
    """ppm^-2."""


def simulate_track(rng: np.random.Generator, length_km: float = TRACK_KM) -> SimulatedTrack:
    """Return soundings of a source-free track with noise of random strength and correlation."""
    frames = np.arange(0.0, length_km, FRAME_KM)
    kept = rng.random((len(frames), FOOTPRINTS)) < rng.uniform(*KEPT_FRACTION)
    frame, _ = np.nonzero(kept)
    distance = frames[frame]
    noise = _background(rng, frames) + _excursions(rng, frames)
    noise += _correlated(rng, len(frames), rng.uniform(*ROW_PPM), rng.uniform(*ROW_KM))
    noise += _correlated(rng, len(frames), rng.uniform(*MIDDLE_PPM), rng.uniform(*MIDDLE_KM))
    xco2 = noise[frame] + rng.normal(0.0, rng.uniform(*SINGLE_PPM), len(frame))
    return SimulatedTrack(distance, xco2, np.full(len(frame), UNCERTAINTY_PPM**-2))


def _correlated(rng: np.random.Generator, n: int, sd_ppm: float, length_km: float) -> Floats:
    """First-order autoregressive noise at the frames."""
    a = np.exp(-FRAME_KM / length_km)
    return lfilter([np.sqrt(1 - a**2)], [1.0, -a], rng.standard_normal(n)) * sd_ppm


def _background(rng: np.random.Generator, distance_km: Floats) -> Floats:
    total = np.zeros_like(distance_km)
    for _ in range(2):
        phase, length = rng.uniform(0.0, 2 * np.pi), rng.uniform(*BACKGROUND_KM)
        total += rng.uniform(*BACKGROUND_PPM) * np.sin(2 * np.pi * distance_km / length + phase)
    return total


def _excursions(rng: np.random.Generator, distance_km: Floats) -> Floats:
    count = rng.poisson(EXCURSIONS_PER_KM * (distance_km[-1] - distance_km[0]))
    place, width = rng.uniform(distance_km[0], distance_km[-1], count), rng.uniform(*EXCURSION_KM, count)
    height = rng.normal(0.0, EXCURSION_PPM, count)
    return (height * np.exp(-0.5 * ((distance_km[:, None] - place) / width) ** 2)).sum(axis=1)


def calibrate(n_tracks: int, seed: int = SEED) -> null.NullDistribution:
    """Return the law of the largest statistic in 600 km over simulated tracks."""
    rng = np.random.default_rng(seed)
    scans = [_scan(simulate_track(rng)) for _ in range(n_tracks)]
    usual = np.sqrt(np.nanmedian([_mean_square(scan) for scan in scans], axis=0))
    largest = np.concatenate([largest_statistics(scan, usual) for scan in scans])
    location, scale = _fit_gumbel(largest)
    return null.NullDistribution(VERSION, usual, location, scale)


def _scan(track: SimulatedTrack) -> Scan:
    return scan_track(track.distance_km, track.xco2_ppm, track.weight)


def _mean_square(scan: Scan) -> Floats:
    return (np.nanmedian(np.abs(scan.statistic), axis=1) / null.MEDIAN_OF_ABSOLUTE_NORMAL) ** 2


def largest_statistics(scan: Scan, usual: Floats) -> Floats:
    """Return z of the strongest place in every 600 km of a track."""
    spread = null.estimate_spread(scan, usual)
    z = np.max(np.nan_to_num(scan.statistic, nan=-np.inf) / spread[:, None], axis=0)
    per_segment = round(null.REFERENCE_KM / scan.bin_km)
    n = len(z) // per_segment
    return z[: n * per_segment].reshape(n, per_segment).max(axis=1)


def _fit_gumbel(largest: Floats) -> tuple[float, float]:
    """Location and scale of the line through the tail of the Gumbel plot."""
    low, high = (-np.log(-np.log(probability)) for probability in TAIL)
    reduced = np.linspace(low, high, TAIL_POINTS)
    scale, location = np.polyfit(reduced, np.quantile(largest, np.exp(-np.exp(-reduced))), 1)
    return float(location), float(scale)


def write_calibration(distribution: null.NullDistribution, n_tracks: int, output: Path) -> None:
    """Write the file that `null_distribution` reads."""
    source = f"python -m plumewatch.oco2.calibration: {n_tracks} simulated tracks of {TRACK_KM:.0f} km, seed {SEED}"
    content = {
        "version": distribution.version,
        "spread": {
            "value": [round(float(s), ROUNDING) for s in distribution.spread],
            "unit": "formal errors of the height, for each width of the scan",
            "source": source,
        },
        "gumbel_location": {"value": round(distribution.location, ROUNDING), "unit": "spreads", "source": source},
        "gumbel_scale": {"value": round(distribution.scale, ROUNDING), "unit": "spreads", "source": source},
    }
    command = f"python -m plumewatch.oco2.calibration --tracks {n_tracks}"
    head = f"# The scan's statistic without a source; made by `{command}`.\n"
    output.write_text(head + yaml.safe_dump(content, sort_keys=False, width=120), encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=TRACKS, help="simulated tracks (default: %(default)s)")
    default = Path(__file__).parents[1] / "reference" / null.FILE
    parser.add_argument("--output", type=Path, default=default, help="file to write (default: %(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    distribution = calibrate(arguments.tracks)
    write_calibration(distribution, arguments.tracks, arguments.output)
    log.info("location %.3f, scale %.3f: %s", distribution.location, distribution.scale, arguments.output)


if __name__ == "__main__":
    main()
