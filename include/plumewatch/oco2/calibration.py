"""Make `reference/oco2_null_distribution.yaml`: `python -m plumewatch.oco2.calibration [--tracks N] [--output FILE]`.

Searches simulated tracks without sources and fits the law of the largest statistic in 600 km. The noise of each track
is drawn from ranges around what orbit 11522 shows (lag covariances of xco2 minus its 60-km running median: 0.25 ppm^2
in all, of which 0.07 within a row of footprints, 0.02 at 2.3 km, less than 0.005 at 4.6 km and beyond), and a smooth
background. Narrow excursions stand for what retrievals leave near clouds and slopes and for sources too small to count;
the quiet 340 km of that orbit have one of 1.2 ppm and 2.5 km (at km 478 of its soundings).
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

from plumewatch.constants import MEDIAN_OF_ABSOLUTE_NORMAL
from plumewatch.errors import ConfigurationError
from plumewatch.oco2 import null_distribution as null
from plumewatch.oco2.peaks import find_peaks
from plumewatch.oco2.scan import scan_track, scan_widths
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track, straight_track
from plumewatch.statuses import ACCEPTED

Floats = NDArray[np.float64]

SEED = 11522
TRACKS = 1000
VERSION = "oco2-null-3"
TRACK_KM = 3000.0  # an orbit's usual stretch between long gaps
FRAME_KM = 2.25  # OCO-2: 3 frames a second at 6.75 km/s over ground
FOOTPRINTS = 8
KEPT_FRACTION = (0.5, 1.0)  # soundings of good quality; orbit 11522 has 0.9
UNCERTAINTY_PPM = 0.5  # stated error; the statistic doesn't depend on it
SINGLE_PPM = (0.3, 0.6)  # independent error of a sounding; orbit 11522: 0.43
ROW_PPM = (0.1, 0.3)  # error that neighbouring soundings share; orbit 11522: 0.26
ROW_KM = (1.0, 3.0)  # its correlation length; orbit 11522: 1.5
MIDDLE_PPM = (0.0, 0.15)  # error shared over tens of kilometres
MIDDLE_KM = (5.0, 25.0)
BACKGROUND_PPM = (0.0, 0.4)  # amplitude of two waves of the background
BACKGROUND_KM = (250.0, 600.0)
EXCURSIONS_PER_KM = 1.0 / 500.0
EXCURSION_PPM = 0.57  # standard deviation of their heights, of either sign; the one of orbit 11522 is twice that
EXCURSION_KM = (1.0, 4.0)  # sigma
PLAIN_LAW = 2.4, 0.3  # location and scale while none is known: it accepts from z = 3.6 on, which tells the tail
WIDTH_BINS = 5  # the law is made alike in so many classes of width
REACHED_BY = 0.02  # share of stretches of 600 km whose strongest candidate exceeds c(sigma), over all classes
TAIL = (0.96, 0.999)  # quantiles of the largest statistic between which the Gumbel law is fitted
TAIL_POINTS = 50
ROUNDING = 4

log = logging.getLogger(__name__)


def simulate_track(rng: np.random.Generator, length_km: float = TRACK_KM) -> Track:
    """Return soundings of a source-free track with noise of random strength and correlation."""
    frames = np.arange(0.0, length_km, FRAME_KM)
    kept = rng.random((len(frames), FOOTPRINTS)) < rng.uniform(*KEPT_FRACTION)
    frame, _ = np.nonzero(kept)
    noise = _background(rng, frames) + _excursions(rng, frames)
    noise += _correlated(rng, len(frames), rng.uniform(*ROW_PPM), rng.uniform(*ROW_KM))
    noise += _correlated(rng, len(frames), rng.uniform(*MIDDLE_PPM), rng.uniform(*MIDDLE_KM))
    xco2 = noise[frame] + rng.normal(0.0, rng.uniform(*SINGLE_PPM), len(frame))
    return straight_track(frames[frame], xco2, np.full(len(frame), UNCERTAINTY_PPM))


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


def calibrate(n_tracks: int) -> null.NullDistribution:
    """Return the law of the largest statistic in 600 km over simulated tracks."""
    rng = np.random.default_rng(SEED)
    tracks = [simulate_track(rng) for _ in range(n_tracks)]
    usual = np.sqrt(np.median([_mean_square(track) for track in tracks], axis=0))
    plain = null.NullDistribution(VERSION, usual, np.ones_like(usual), *PLAIN_LAW)  # z = T / noise(sigma)
    candidates = [find_candidates(track, plain) for track in tracks]
    reached = _reached(candidates)
    law = null.NullDistribution(VERSION, usual, reached, 0.0, 1.0)
    location, scale = _fit_gumbel(np.concatenate([largest_statistics(found, law) for found in candidates]))
    return null.NullDistribution(VERSION, usual, reached, location, scale)


def _mean_square(track: Track) -> Floats:
    scan = scan_track(track.distance_km, track.xco2_ppm, track.weight)
    return (np.nanmedian(np.abs(scan.statistic), axis=1) / MEDIAN_OF_ABSOLUTE_NORMAL) ** 2


@dataclass(frozen=True)
class Candidates:
    """What a track without a source shows that passes all tests but that of significance."""

    segment: NDArray[np.intp]
    """In which 600 km of the track."""
    sigma_km: Floats
    """Width."""
    statistic: Floats
    """T / noise(sigma)."""
    n_segments: int
    """Full stretches of 600 km."""


def find_candidates(track: Track, law: null.NullDistribution) -> Candidates:
    """Return the candidates of a track in the measure of a law whose c(sigma) is 1."""
    scan = scan_track(track.distance_km, track.xco2_ppm, track.weight)
    spread = null.estimate_spread(scan, law.spread)
    fits = [peak.fit for peak in find_peaks(track, law).peaks if peak.status == ACCEPTED]
    n_segments = round(np.ptp(track.distance_km) / null.REFERENCE_KM)
    fits = [fit for fit in fits if fit.centre_km < n_segments * null.REFERENCE_KM]
    return Candidates(
        np.array([fit.centre_km // null.REFERENCE_KM for fit in fits], dtype=np.intp),
        np.array([fit.sigma_km for fit in fits]),
        np.array([law.normalised(fit.statistic, fit.sigma_km, spread) for fit in fits]),
        n_segments,
    )


def _reached(candidates: list[Candidates]) -> Floats:
    """c(sigma) at the scan's widths: a smooth curve through what is seldom exceeded in each class of width."""
    edges = np.geomspace(scan_widths()[0], peak_thresholds().candidates.max_sigma_km, WIDTH_BINS + 1)
    sigma, level = np.sqrt(edges[1:] * edges[:-1]), np.empty(WIDTH_BINS)
    for k in range(WIDTH_BINS):
        largest = []
        for found in candidates:
            here = (found.sigma_km >= edges[k]) & (found.sigma_km <= edges[k + 1])
            largest.append(_by_segment(found, np.where(here, found.statistic, 0.0)))
        level[k] = np.quantile(np.concatenate(largest), 1.0 - REACHED_BY / WIDTH_BINS)
    if not level.all():
        raise ConfigurationError(f"{len(candidates)} tracks: too few for a law of every width; allowed: some hundreds")
    curve = np.polyfit(np.log(sigma), np.log(level), 2)
    return np.asarray(np.exp(np.polyval(curve, np.log(scan_widths()))))


def largest_statistics(found: Candidates, law: null.NullDistribution) -> Floats:
    """Return z of the strongest candidate in every 600 km of a track, 0 where there is none."""
    reached = np.interp(np.log(found.sigma_km), np.log(scan_widths()), law.reached)
    return _by_segment(found, found.statistic / reached)


def _by_segment(found: Candidates, statistic: Floats) -> Floats:
    largest = np.zeros(found.n_segments)
    np.maximum.at(largest, found.segment, statistic)
    return largest


def _fit_gumbel(largest: Floats) -> tuple[float, float]:
    """Location and scale of the line through the tail of the Gumbel plot."""
    low, high = (-np.log(-np.log(probability)) for probability in TAIL)
    reduced = np.linspace(low, high, TAIL_POINTS)
    scale, location = np.polyfit(reduced, np.quantile(largest, np.exp(-np.exp(-reduced))), 1)
    return float(location), float(scale)


def write_calibration(distribution: null.NullDistribution, n_tracks: int, output: Path) -> None:
    """Write the file that `null_distribution` reads."""
    source = f"python -m plumewatch.oco2.calibration: {n_tracks} simulated tracks of {TRACK_KM:.0f} km, seed {SEED}"
    by_width = "formal errors of the height, for each width of the scan"
    spread, reached = (
        [round(float(v), ROUNDING) for v in some] for some in (distribution.spread, distribution.reached)
    )
    content = {
        "version": distribution.version,
        "spread": {"value": spread, "unit": by_width, "source": source},
        "reached": {"value": reached, "unit": by_width, "source": source},
        "gumbel_location": {"value": round(distribution.location, ROUNDING), "unit": "1", "source": source},
        "gumbel_scale": {"value": round(distribution.scale, ROUNDING), "unit": "1", "source": source},
    }
    command = f"python -m plumewatch.oco2.calibration --tracks {n_tracks}"
    head = f"# What the peak finder's statistic reaches without a source; made by `{command}`.\n"
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
