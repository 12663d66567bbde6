"""Plumes beside each other: fitted together, parted where the enhancement falls between them; one that was two.

The strongest template may be one that covers two narrow plumes, and the search, which leaves the difference of a plume
from a Gaussian free, doesn't find the second any more. What was fitted shows them all the same. The higher top is made
known instead, as narrow as it is, and where the other then stands out on its own, there are two to be fitted together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.fit import SQRT_2_PI, PeakFit, peak_fit, positive_quantiles, seen_share_of
from plumewatch.oco2.plume_shape import PlumeShape
from plumewatch.oco2.scan import Scan, inverted, known_covariance
from plumewatch.oco2.templates import HALF, WINDOW
from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]

MOST_APART = WINDOW * 5 // 8  # rows: neighbours farther apart have no window in common with their surroundings


def fit_neighbours(scan: Scan, parts: Sequence[PeakFit], others: Sequence[PlumeShape] = ()) -> list[PeakFit]:
    """Return the plumes that some accepted fits beside each other are, along the track; `others` lie around them.

    The enhancement is what is to be expected of all parts together, given the rows. It is two plumes where it falls
    below a share of the lower top, and both of them, up to there, are more than their errors; otherwise it is one.
    """
    rows, rule = scan.rows, peak_thresholds().fit
    strongest = max(parts, key=lambda part: part.statistic)
    middle_row = float(np.mean([part.shape.centre for part in parts]))
    at, covariance = scan.window(middle_row, strongest.shape.wide * rows.km_per_row)
    row = at.astype(float)
    covariance += known_covariance(others, row)
    shapes = [part.shape for part in parts]
    prior = np.sum([shape.covariance(row, is_part=True) for shape in shapes], axis=0)
    inverse = inverted(covariance + prior)
    value = rows.value_ppm[at]
    explained = inverse @ value
    profile = prior @ explained
    uncertain = prior - prior @ inverse @ prior
    background = value - profile - rows.variance_ppm2[at] * explained
    tops = [_uphill(profile, int(np.clip(round(shape.centre) - at[0], 0, len(at) - 1))) for shape in shapes]
    if profile.max() <= 0:
        return [strongest]
    least_apart = round(peak_thresholds().candidates.separation_km / rows.km_per_row)
    cuts = _cuts(profile, uncertain, tops, least_apart)
    plumes = []
    for first, last in zip([0, *cuts], [*cuts, len(at)], strict=True):
        inside = (np.arange(len(at)) >= first) & (np.arange(len(at)) < last)
        own = [k for k, top in enumerate(tops) if inside[top]]
        first_part = max((parts[k] for k in own), key=lambda part: part.statistic)
        enhancement = np.where(inside, profile, 0.0)
        amplitude = float(enhancement.sum()) * rows.km_per_row
        if enhancement.max() <= 0 or amplitude <= 0:
            continue  # a top that the others' tails explain
        error = rule.parts_error * math.sqrt(max(float(inside @ uncertain @ inside), 0.0)) * rows.km_per_row
        quantiles = positive_quantiles(np.array([amplitude]), np.array([error]), np.ones(1))
        positive = np.maximum(enhancement, 0.0)
        centre_km = float(positive @ rows.distance_km[at] / positive.sum())
        seen = float(np.fmax.reduce([seen_share_of(rows, at, shapes[k], enhancement) for k in own]))
        plume = first_part.shape, first_part.statistic, centre_km, quantiles, seen
        plumes.append(peak_fit(rows, at, *plume, background, enhancement))
    return plumes


def _uphill(profile: Floats, at: int) -> int:
    """The top of the hill that a place is on."""
    higher = max(at - 1, 0) + int(np.argmax(profile[max(at - 1, 0) : at + 2]))
    return at if higher == at else _uphill(profile, higher)


def _cuts(profile: Floats, uncertain: Floats, tops: Sequence[int], least_apart: int) -> list[int]:
    """Rows at which the enhancement falls between several parts, whose tops are so many rows apart at least."""
    valley = peak_thresholds().candidates.valley
    cuts: list[int] = []
    pieces = [[top] for top in tops]
    k = 0
    while k + 1 < len(pieces):
        left, right = max(pieces[k], key=lambda i: profile[i]), max(pieces[k + 1], key=lambda i: profile[i])
        between = profile[left : right + 1]
        cut = left + int(np.argmin(between)) if len(between) else left
        start = cuts[k - 1] if k else 0
        parts = slice(start, cut), slice(cut, len(profile))
        is_more = all(profile[p].sum() > math.sqrt(max(float(uncertain[p, p].sum()), 0.0)) for p in parts)
        lower = min(profile[left], profile[right])
        if right - left >= least_apart and lower > 0 and profile[cut] < valley * lower and is_more:
            cuts.append(cut)
            k += 1
        else:
            pieces[k : k + 2] = [[*pieces[k], *pieces[k + 1]]]
    return cuts


def two_parts(scan: Scan, fit: PeakFit, others: list[PlumeShape], accepting: float) -> list[PeakFit] | None:
    """Return the fit as two parts, along the track; None where it has one top, or the other doesn't stand out.

    `others` are plumes beside it, `accepting` is the statistic from which a row counts. The scan changes by that.
    """
    profile = np.maximum(fit.enhancement_along_ppm, 0.0)
    cut = _valley(profile)
    row = np.interp(fit.along_km, scan.rows.distance_km, np.arange(float(len(scan.rows))))
    if cut is None or not scan.rows.is_seen[round(row[cut]) - 1 : round(row[cut]) + 2].all():
        return None  # in a gap a plume may do what it likes
    sides = slice(0, cut), slice(cut, len(profile))
    shapes = [_shape(row[side], profile[side]) for side in sides]
    if (shapes[1].centre - shapes[0].centre) * scan.rows.km_per_row < peak_thresholds().candidates.separation_km:
        return None
    first, second = sorted(range(2), key=lambda k: -shapes[k].height_ppm)
    scan.update([*others, shapes[first]], shapes[first])
    half_row = round(HALF * shapes[second].centre)
    reach = max(HALF, round(HALF * shapes[second].sigma))
    found = scan.statistic[max(0, half_row - reach) : half_row + reach + 1]
    z = float(found.max()) if len(found) else -np.inf
    if z < accepting:
        return None
    parts = {first: replace(fit, shape=shapes[first]), second: replace(fit, shape=shapes[second], statistic=z)}
    return [parts[0], parts[1]]


def _valley(profile: Floats) -> int | None:
    """Where the enhancement is lowest between two tops, over the lower one; None where it has but one."""
    rule = peak_thresholds().candidates
    lower = np.minimum(np.maximum.accumulate(profile), np.maximum.accumulate(profile[::-1])[::-1])
    is_top = lower >= rule.least_top * profile.max()
    depth = np.where(is_top, profile / np.where(is_top, lower, 1.0), 1.0)
    cut = int(np.argmin(depth))
    return cut if depth[cut] < rule.tried_valley else None


def _shape(row: Floats, profile: Floats) -> PlumeShape:
    """The Gaussian with the top and the integral of one side, rows."""
    top = int(np.argmax(profile))
    sigma = float(profile.sum()) / (float(profile[top]) * SQRT_2_PI)
    return PlumeShape(float(row[top]), sigma, float(profile[top]))
