"""Peaks of xco2 along an orbit: scanned, tested, fitted; one row a plume, rejected candidates with their reason.

Method `scan`: templates of every width, for all of the strip and for parts of it, are tested at every half row
(`scan.py`) and compared with what noise reaches (`null_distribution.py`). From the strongest on, what stands out is
fitted (`fit.py`); what is accepted becomes a part of what is known, with room for all that a plume may differ by from a
Gaussian, and its surroundings are scanned again. Two that aren't parted by a valley are one plume, one row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from plumewatch.oco2.fit import SQRT_2_PI, PeakFit, fit_plume
from plumewatch.oco2.neighbours import MOST_APART, fit_neighbours, two_parts
from plumewatch.oco2.null_distribution import NullDistribution, null_distribution
from plumewatch.oco2.plume_shape import PlumeShape
from plumewatch.oco2.scan import Scan
from plumewatch.oco2.templates import HALF
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track
from plumewatch.statuses import ACCEPTED, NOT_SIGNIFICANT, SHOULDERS_EMPTY, TOO_WIDE

Floats = NDArray[np.float64]

MAX_SIGNIFICANCE = 38.0  # one-sided normal z of the smallest positive f64


@dataclass(frozen=True)
class Peak:
    """A candidate with what came of it."""

    index: int
    """Its sounding in the track: the one nearest the centre."""
    fit: PeakFit
    """Enhancement and background."""
    false_alarm_probability: float
    """Of at least one as strong in 600 km without a source."""
    correlation: float
    """Of soundings and model around the centre."""
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
    searched_km: float
    """How long that is."""
    detection_limit_ppm_km: float
    """Amplitude of a peak of the typical width that would just have been significant at the track's median noise; NaN
    where nothing could be tested."""


def find_peaks(track: Track, distribution: NullDistribution | None = None) -> PeakSearch:
    """Return the peaks of a track by the method `scan`."""
    law = distribution or null_distribution()
    scan = Scan.of_track(track, law)
    if not np.isfinite(scan.statistic).any():
        return PeakSearch((), 0.0, 0.0, float("nan"))
    limits = search_limits(track, scan, law)
    found = _select(scan, law)
    peaks = [peak_at(track, fit, law) for fit in found]
    # in a gap several may have the same nearest sounding: an accepted one counts, or the strongest
    order = sorted(peaks, key=lambda peak: (peak.status == ACCEPTED, peak.fit.statistic))
    of_sounding = {peak.index: peak for peak in order}
    in_order = sorted(of_sounding.values(), key=lambda peak: (peak.fit.centre_km, peak.status))
    return PeakSearch(tuple(in_order), *limits)


def _select(scan: Scan, law: NullDistribution) -> list[PeakFit]:
    """Fit candidates from the strongest on; each accepted one is known to those after it."""
    rule = peak_thresholds().candidates
    lowest = law.threshold(rule.false_alarm_probability)
    accepting = law.threshold(rule.accepted_false_alarm_probability)
    refused: list[PeakFit] = []
    accepted: list[PeakFit] = []
    known: list[PlumeShape] = []  # accepted plumes and dips
    is_open, is_dip_open = np.ones((2, len(scan.statistic)), dtype=bool)
    apart = round(HALF * rule.separation_km / scan.rows.km_per_row)
    while True:
        k = int(np.argmax(np.where(is_open, scan.statistic, -np.inf)))
        z = float(scan.statistic[k])
        deepest = int(np.argmax(np.where(is_dip_open, scan.dip, -np.inf)))
        if is_dip_open[deepest] and scan.dip[deepest] > max(z, accepting):
            # a dip's rims stand out as plumes do: it has to be known before them
            is_dip_open[max(0, deepest - 1) : deepest + 2] = False
            if any(_is_within(deepest, other, rule.flank_sigmas) for other in accepted):
                continue  # the valley of a double plume that was taken for a wide one
            sigma = float(scan.dip_sigma_km[deepest]) / scan.rows.km_per_row
            known.append(PlumeShape(deepest / HALF, sigma, rule.dip_ppm))
            scan.update(known, known[-1])
            continue
        if not is_open[k] or z < lowest:
            return [*refused, *_fitted_together(scan, accepted, known, accepting)]
        is_open[max(0, k - 1) : k + 2] = False
        fit = fit_plume(scan, k / HALF, float(scan.sigma_km[k]), z, known)
        is_flank = any(_is_within(k, other, rule.flank_sigmas) for other in accepted)
        if fit is None or (is_flank and z < accepting):
            continue  # what a plume differs by from what was fitted, and noise makes as well
        if any(abs(fit.centre_km - other.centre_km) <= rule.separation_km for other in refused):
            continue  # another way to the same
        if z < accepting or _reason(fit):
            refused.append(fit)
            is_open[max(0, k - apart) : k + apart + 1] = False
            continue
        accepted.append(fit)
        known.append(fit.shape)
        scan.update(known, fit.shape)


def _is_within(half_row: int, fit: PeakFit, sigmas: float) -> bool:
    return abs(half_row / HALF - fit.shape.centre) <= sigmas * fit.shape.wide


def _fitted_together(
    scan: Scan, accepted: Sequence[PeakFit], known: Sequence[PlumeShape], accepting: float
) -> list[PeakFit]:
    """Fit those again that were fitted before a neighbour was known, whose part they may have taken for their own.

    One that has no neighbour may be two itself.
    """
    groups: list[list[PeakFit]] = []
    for fit in sorted(accepted, key=lambda fit: fit.shape.centre):
        is_in_reach = bool(groups) and fit.shape.centre - groups[-1][0].shape.centre <= MOST_APART
        if is_in_reach and any(fit.shape.is_beside(other.shape) for other in groups[-1]):
            groups[-1].append(fit)
        else:
            groups.append([fit])
    together: list[PeakFit] = []
    for group in groups:
        others = [shape for shape in known if all(shape is not own.shape for own in group)]
        parts = two_parts(scan, group[0], others, accepting) if len(group) == 1 else group
        plumes = fit_neighbours(scan, parts, others) if parts else group
        together += group if len(group) == 1 and len(plumes) != 2 else plumes
    return together


def _reason(fit: PeakFit) -> str | None:
    """Why the soundings can't tell of a plume what it is, None where they can."""
    rule = peak_thresholds().candidates
    failed = {
        SHOULDERS_EMPTY: math.isnan(fit.seen_share),
        TOO_WIDE: fit.sigma_km > rule.max_sigma_km,
    }
    return next((reason for reason, is_so in failed.items() if is_so), None)


def peak_at(track: Track, fit: PeakFit, law: NullDistribution, index: int | None = None) -> Peak:
    """Return a fit with what came of it; `index` is its sounding, the one nearest the centre where None."""
    probability = float(law.false_alarm_probability(fit.statistic))
    is_significant = probability <= peak_thresholds().candidates.accepted_false_alarm_probability
    status = _reason(fit) or (ACCEPTED if is_significant else NOT_SIGNIFICANT)
    if index is None:
        index = int(np.lexsort((track.sounding_id, np.abs(track.distance_km - fit.centre_km)))[0])
    return Peak(index, fit, probability, correlation(track, fit), status)


def correlation(track: Track, fit: PeakFit) -> float:
    """Return Pearson's correlation of soundings and model within 4 sigma, NaN where either is constant."""
    at = track.near(fit.centre_km, peak_thresholds().candidates.correlation_sigmas * fit.sigma_km)
    y, model = track.xco2_ppm[at], fit.model_ppm(track.distance_km[at])
    if len(at) < 2 or np.ptp(y) == 0 or np.ptp(model) == 0:
        return float("nan")
    return float(np.corrcoef(y, model)[0, 1])


def search_limits(track: Track, scan: Scan, law: NullDistribution) -> tuple[float, float, float]:
    """Return the searched fraction and length (km), and the detection limit (ppm km) of PeakSearch.

    The limit is the amplitude h sigma sqrt(2 pi) of a peak of the typical width whose height in units of its error
    would just be accepted, at the track's median error.
    """
    error = scan.height_error_ppm[np.isfinite(scan.height_error_ppm)]
    z = law.threshold(peak_thresholds().candidates.accepted_false_alarm_probability)
    sigma_km = peak_thresholds().flux.typical_sigma_km
    limit = z * float(np.median(error)) * sigma_km * SQRT_2_PI if len(error) else np.nan
    searched_km = float(np.isfinite(scan.statistic).sum()) / HALF * scan.rows.km_per_row
    length_km = float(np.ptp(track.distance_km))
    return min(searched_km / length_km, 1.0) if length_km else 0.0, searched_km, limit
