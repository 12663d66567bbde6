"""Peaks of xco2 along an orbit: scanned, tested, fitted; one row a plume, rejected candidates with their reason.

Method `scan`: every kilometre and width is tested against a local parabola (`scan.py`); the local maxima that stand out
are fitted (`fit.py`), compared with what noise reaches (`null_distribution.py`) and pass through the tests
of `judge_peak`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.special import ndtri

from plumewatch.oco2.fit import SQRT_2_PI, PeakFit, find_best, with_interval
from plumewatch.oco2.null_distribution import NullDistribution, estimate_spread, null_distribution
from plumewatch.oco2.scan import BACKGROUND_DEGREE, Scan, scan_track
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track
from plumewatch.statuses import (
    ACCEPTED,
    CURVED_BACKGROUND,
    DUPLICATE,
    LOW_CORRELATION,
    NOT_SIGNIFICANT,
    SHOULDERS_EMPTY,
    TOO_NARROW,
    TOO_WIDE,
)

Floats = NDArray[np.float64]

MAX_SIGNIFICANCE = 38.0  # one-sided normal z of the smallest positive f64


@dataclass(frozen=True)
class Peak:
    """A candidate with what came of it."""

    index: int
    """Its sounding in the track: the one nearest the centre."""
    fit: PeakFit
    """Gaussian and background."""
    false_alarm_probability: float
    """Of at least one as strong in 600 km without a source."""
    correlation: float
    """Of soundings and model within 4 sigma."""
    status: str
    """accepted, or the first test that it fails."""

    @property
    def significance(self) -> float:
        """The false alarm probability as a one-sided normal z."""
        return float(np.minimum(-ndtri(self.false_alarm_probability), MAX_SIGNIFICANCE))


@dataclass(frozen=True)
class PeakSearch:
    """What was found on a track, and what could have been."""

    peaks: tuple[Peak, ...]
    """Accepted ones and promising rejected ones, along the track."""
    searched_fraction: float
    """Share of the track's kilometres, first to last sounding, where a peak could have been tested; 0 where none."""
    detection_limit_ppm_km: float
    """Amplitude of a peak of the typical width that would just have been significant at the track's median noise; NaN
    where nothing could be tested."""


def find_peaks(track: Track, distribution: NullDistribution | None = None) -> PeakSearch:
    """Return the peaks of a track by the method `scan`."""
    distribution = distribution or null_distribution()
    degree = peak_thresholds().place.background_degree if track.is_place else BACKGROUND_DEGREE
    scan = scan_track(track.distance_km, track.xco2_ppm, track.weight, degree)
    if not np.isfinite(scan.statistic).any():
        return PeakSearch((), 0.0, float("nan"))
    # A place is as short as a plume, which would count as its noise: there the usual noise has to do.
    spread = distribution.spread if track.is_place else estimate_spread(scan, distribution.spread)
    found = _select(track, scan, spread, distribution)
    return PeakSearch(
        tuple(sorted(found, key=lambda peak: (peak.fit.centre_km, peak.status))),
        *search_limits(scan, spread, distribution),
    )


def _select(track: Track, scan: Scan, spread: Floats, distribution: NullDistribution) -> list[Peak]:
    """Candidates from the strongest on: what lies within reach of an accepted peak is its duplicate."""
    settings = peak_thresholds().candidates
    scanned = np.nan_to_num(scan.statistic, nan=-np.inf) / (spread * distribution.reached)[:, None]
    lowest = settings.scan_share * distribution.threshold(settings.false_alarm_probability)
    accepted: list[PeakFit] = []
    found: list[Peak] = []
    rest = track  # without the accepted peaks, which would count as noise of their neighbours
    for bin_index in _local_maxima(scanned.max(axis=0), lowest, round(settings.separation_km / scan.bin_km)):
        width = scan.sigma_km[np.argmax(scanned[:, bin_index])]
        fitted = find_best(rest, float(scan.distance_km(bin_index)), float(width))
        if fitted is None:
            continue  # too few soundings for the quadratic background, or nothing but the background's curvature
        window, best = fitted
        z = distribution.normalised(window.statistic(best), best.sigma_km, spread)
        probability = float(distribution.false_alarm_probability(z))
        if probability > settings.false_alarm_probability:
            continue  # not worth a row
        if any(abs(best.centre_km - other.centre_km) <= settings.separation_km for other in accepted):
            continue  # its fit leads to that plume itself
        is_near = any(abs(best.centre_km - other.centre_km) <= _reach_km(other) for other in accepted)
        if is_near and probability > settings.accepted_false_alarm_probability:
            continue  # the flank of a plume that noise could make as well: no candidate of its own
        fit = with_interval(rest, window, best)
        peak = judge_peak(rest, fit, probability, settings.min_correlation, is_duplicate=is_near)
        is_twin = any(abs(fit.centre_km - other.fit.centre_km) <= settings.separation_km for other in found)
        if is_twin and peak.status != ACCEPTED:
            continue  # two maxima of one refused candidate
        found.append(peak)
        if peak.status == ACCEPTED:
            accepted.append(fit)
            rest = replace(rest, xco2_ppm=rest.xco2_ppm - fit.enhancement_ppm(rest.distance_km))
    return found


def _local_maxima(z: Floats, lowest: float, separation: int) -> list[int]:
    """Indices of maxima of at least `lowest` within +-`separation` bins, the strongest first."""
    at = np.flatnonzero((z >= lowest) & (z == maximum_filter1d(z, 2 * separation + 1, mode="nearest")))
    return [int(i) for i in at[np.lexsort((at, -z[at]))]]


def _reach_km(fit: PeakFit) -> float:
    settings = peak_thresholds().candidates
    return max(settings.suppression_sigmas * fit.sigma_km, settings.suppression_km)


def judge_peak(
    track: Track,
    fit: PeakFit,
    false_alarm_probability: float,
    min_correlation: float,
    *,
    is_duplicate: bool = False,
    index: int | None = None,
) -> Peak:
    """Return the candidate with its status: the first test that it fails, or accepted.

    `index` is its sounding; the one nearest the centre where None.
    """
    settings = peak_thresholds().candidates
    r = correlation(track, fit)
    failed = {
        TOO_NARROW: fit.sigma_km < peak_thresholds().scan.min_sigma_km,
        TOO_WIDE: fit.sigma_km > settings.max_sigma_km,
        SHOULDERS_EMPTY: not has_shoulders(track, fit),
        LOW_CORRELATION: not r >= min_correlation,
        CURVED_BACKGROUND: fit.amplitude_ppm_km_low <= 0,
        DUPLICATE: is_duplicate,
        NOT_SIGNIFICANT: false_alarm_probability > settings.accepted_false_alarm_probability,
    }
    status = next((reason for reason, is_so in failed.items() if is_so), ACCEPTED)
    if index is None:
        index = int(np.lexsort((track.sounding_id, np.abs(track.distance_km - fit.centre_km)))[0])
    return Peak(index, fit, false_alarm_probability, r, status)


def has_shoulders(track: Track, fit: PeakFit) -> bool:
    """Whether there are soundings in both halves of the peak and beside it: at least one a km in each of four bands.

    The bands are 0 to 1 and 2 to 3 sigma on both sides; the number wanted in each is sigma in km, rounded down.
    """
    settings = peak_thresholds().candidates
    x = (track.distance_km - fit.centre_km) / fit.sigma_km
    inner, outer = settings.shoulder_inner, settings.shoulder_outer
    bands = ((-1.0, 0.0), (0.0, 1.0), (-outer, -inner), (inner, outer))
    wanted = max(1, int(fit.sigma_km))
    return all(np.count_nonzero((x >= low) & (x <= high)) >= wanted for low, high in bands)


def correlation(track: Track, fit: PeakFit) -> float:
    """Return Pearson's correlation of soundings and model within 4 sigma, NaN where either is constant."""
    at = track.near(fit.centre_km, peak_thresholds().candidates.correlation_sigmas * fit.sigma_km)
    y, model = track.xco2_ppm[at], fit.model_ppm(track.distance_km[at])
    if len(at) < 2 or np.ptp(y) == 0 or np.ptp(model) == 0:
        return float("nan")
    return float(np.corrcoef(y, model)[0, 1])


def search_limits(scan: Scan, spread: Floats, distribution: NullDistribution) -> tuple[float, float]:
    """Return the searched fraction and the detection limit (ppm km) of PeakSearch.

    The limit is the amplitude h sigma sqrt(2 pi) of a peak of the typical width that would just be accepted. Its T is h
    over the scan's median formal error and usual spread: the fit's formal error knows that neighbours err alike.
    """
    sigma_km = peak_thresholds().flux.typical_sigma_km
    row = int(np.argmin(np.abs(np.log(scan.sigma_km / sigma_km))))
    error = scan.height_error_ppm[row][np.isfinite(scan.height_error_ppm[row])]
    z = distribution.threshold(peak_thresholds().candidates.accepted_false_alarm_probability)
    wanted = z / distribution.normalised(1.0, sigma_km, spread)
    limit = wanted * distribution.spread[row] * np.median(error) * sigma_km * SQRT_2_PI if len(error) else np.nan
    return float(np.isfinite(scan.statistic).any(axis=0).mean()), float(limit)
