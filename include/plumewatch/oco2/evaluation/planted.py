"""Planted peaks: what the finder makes of them, and of tracks that have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.evaluation.noise import TRACK_KM, NoiseSource, RealNoise
from plumewatch.oco2.fit import Gaussian, PeakFit, fit_plume
from plumewatch.oco2.peaks import find_peaks
from plumewatch.oco2.scan import Scan
from plumewatch.oco2.track import Track, straight_track
from plumewatch.progress import followed
from plumewatch.statuses import ACCEPTED

Floats = NDArray[np.float64]

HEIGHTS_PPM = (0.8, 1.2, 2.0, 4.0)
SIGMAS_KM = (4.0, 10.0, 20.0)
EDGE_KM = 150.0  # planted so far from both ends, that the window fits
NEAR_KM, NEAR_SIGMAS = 20.0, 3.0  # a row so near the planted centre is the planted peak's
EMPTY_STREAM, PLANTED_STREAM, NOISE_STREAM = 1, 2, 3  # seeds of different trials never meet


@dataclass(frozen=True)
class PlantedPeak(Gaussian):
    """A Gaussian that was put into a track."""

    def is_near(self, centre_km: Floats | float) -> NDArray[np.bool_]:
        """Whether a place is the planted one."""
        return np.abs(np.asarray(centre_km) - self.centre_km) <= max(NEAR_SIGMAS * self.sigma_km, NEAR_KM)

    def added_to(self, track: Track) -> Track:
        """Return the track with the peak."""
        xco2_ppm = track.xco2_ppm + self.enhancement_ppm(track.distance_km)
        return straight_track(track.distance_km, xco2_ppm, track.uncertainty_ppm)


@dataclass(frozen=True)
class PeakTrial:
    """What was made of one planted peak."""

    planted: PlantedPeak
    """The truth."""
    n_rows: int
    """Accepted rows at its place."""
    n_unrelated: int
    """Accepted rows elsewhere."""
    amplitude_ppm_km: float
    """Of the fit at the planted place, found or not; NaN where nothing positive fits."""
    low: float
    """Lower end of its 68 % interval."""
    high: float
    """Upper end."""


def empty_tracks(source: NoiseSource, count: int) -> Iterator[Track]:
    """Tracks without a peak."""
    drawn = (source.draw(np.random.default_rng([EMPTY_STREAM, number])) for number in range(count))
    return followed(drawn, "empty tracks", "tracks", count)


def noise_tracks(source: RealNoise, count: int) -> Iterator[Track]:
    """Other tracks, without background, from which a method may learn the noise."""
    still = replace(source, background_ppm=0.0)
    return (still.draw(np.random.default_rng([NOISE_STREAM, number])) for number in range(count))


def planted_tracks(source: NoiseSource, per_cell: int) -> Iterator[tuple[PlantedPeak, Track]]:
    """Tracks with one peak: so many of every height and width."""
    cells = list(product(HEIGHTS_PPM, SIGMAS_KM, range(per_cell)))
    for height, sigma, number in followed(cells, "planted tracks", "tracks"):
        rng = np.random.default_rng([PLANTED_STREAM, number, round(10 * height), round(sigma)])
        peak = PlantedPeak(rng.uniform(EDGE_KM, TRACK_KM - EDGE_KM), height, sigma)
        yield peak, peak.added_to(source.draw(rng))


def count_alarms(source: NoiseSource, tracks: int) -> int:
    """Return on how many tracks without a peak one is accepted."""
    return sum(any(p.status == ACCEPTED for p in find_peaks(track).peaks) for track in empty_tracks(source, tracks))


def run_peak_trials(source: NoiseSource, per_cell: int) -> list[PeakTrial]:
    """Search every planted track, and fit at the planted place."""
    return [_trial(peak, track) for peak, track in planted_tracks(source, per_cell)]


def fit_at(track: Track, centre_km: float, sigma_km: float) -> PeakFit | None:
    """Return the fit of a plume at a place, found or not; None where nothing positive fits."""
    scan = Scan.of_track(track)
    row = float(np.interp(centre_km, scan.rows.distance_km, np.arange(len(scan.rows))))
    return fit_plume(scan, row, sigma_km, np.nan)


def _trial(planted: PlantedPeak, track: Track) -> PeakTrial:
    centres = np.array([p.fit.centre_km for p in find_peaks(track).peaks if p.status == ACCEPTED])
    is_right = planted.is_near(centres)
    fit = fit_at(track, planted.centre_km, planted.sigma_km)
    measured = (fit.amplitude_ppm_km, fit.amplitude_ppm_km_low, fit.amplitude_ppm_km_high) if fit else (np.nan,) * 3
    return PeakTrial(planted, int(is_right.sum()), int((~is_right).sum()), *measured)


@dataclass(frozen=True)
class Figures:
    """What trials of one height and width, or of several, come to."""

    n_trials: int
    """Planted peaks."""
    recall: float
    """Share that is accepted."""
    reference_recall: float
    """The same of a reference method; NaN where there is none."""
    rows_a_plume: float
    """Accepted rows of a found one."""
    unrelated: float
    """Accepted rows elsewhere, a track."""
    error: float
    """Median of |fitted over planted amplitude - 1| at the planted place."""
    held: float
    """Share of 68 % intervals that hold the planted amplitude."""

    @property
    def ratio(self) -> float:
        """Recall over that of the reference; NaN where that finds nothing."""
        return self.recall / self.reference_recall if self.reference_recall else np.nan

    @classmethod
    def of(cls, trials: Sequence[PeakTrial], reference: Sequence[bool] | None) -> Figures:
        """Sum up trials; `reference` says of each whether the reference method finds it."""
        found = [trial for trial in trials if trial.n_rows]
        ratio = np.array([trial.amplitude_ppm_km / trial.planted.amplitude_ppm_km for trial in trials])
        return cls(
            len(trials),
            len(found) / len(trials),
            float(np.mean(reference)) if reference else np.nan,
            sum(trial.n_rows for trial in found) / max(len(found), 1),
            float(np.mean([trial.n_unrelated for trial in trials])),
            float(np.nanmedian(np.abs(ratio - 1.0))),
            float(np.mean([trial.low <= trial.planted.amplitude_ppm_km <= trial.high for trial in trials])),
        )


def figures_by_group(
    trials: Sequence[PeakTrial], reference: Sequence[bool] | None
) -> dict[tuple[float | None, float | None], Figures]:
    """Return the figures of each height and width; None stands for all of them."""
    groups = [(height, sigma) for height in HEIGHTS_PPM for sigma in (*SIGMAS_KM, None)]
    figures = {}
    for height, sigma in [*groups, (None, None)]:
        at = [
            k
            for k, trial in enumerate(trials)
            if height in (None, trial.planted.height_ppm) and sigma in (None, trial.planted.sigma_km)
        ]
        figures[height, sigma] = Figures.of([trials[k] for k in at], reference and [reference[k] for k in at])
    return figures


def peak_recall_lines(figures: Mapping[tuple[float | None, float | None], Figures]) -> list[str]:
    """Return a table: recall beside that of a reference method, rows a plume, error of the amplitude, coverage."""
    lines = ["height  width  trials  recall  filter  ratio  rows/plume  unrelated/track  |error|  68 % interval holds"]
    for (height, sigma), f in figures.items():
        lines.append(
            f"{'all' if height is None else f'{height:.1f}':>6}  {'all' if sigma is None else f'{sigma:.0f}':>5}  "
            f"{f.n_trials:6}  {f.recall:6.3f}  {f.reference_recall:6.3f}  {f.ratio:5.2f}  "
            f"{f.rows_a_plume:10.2f}  {f.unrelated:15.3f}  {f.error:7.3f}  {f.held:19.3f}"
        )
    return lines
