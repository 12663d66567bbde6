"""The emission of a source from all passes over it: those that saw it, and those that didn't though they might have.

An emission M (the mean of the time that was watched) is log-normal beforehand, its median what the inventory states.
In one pass the source emits something about it, log-normal with the width `variability` v and the mean M, and

    seen with a rate r:     N(ln r; ln M - v^2 / 2, w^2 + v^2),  w half the width of the rate's 68 % interval, in logs
    seen without a rate:    P(seen | M) = visible x Phi((ln M - v^2 / 2 - ln limit) / sqrt(blur^2 + v^2))
    not seen:               1 - P(seen | M)

`limit` is the emission at which half of the plumes are found, `visible` the probability that the pass sees the plume's
place at all (clouds, gaps, the wind's direction). A detection that comes from the source with the probability p alone
counts as p x likelihood / (its mean beforehand) + (1 - p): p is given for what was believed beforehand, and where it is
somebody else's plume, that hides this one. It is all computed on a grid of ln M; intervals hold 68 %.

The numbers are in `reference/source_evidence.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from plumewatch.evidence.rule import evidence_rule

Floats = NDArray[np.float64]

GRID_POINTS = 321  # over seven decades a step is 5 %, a third of the narrowest width (0.3 of a prior, 0.35 of a pass)
ROWS_AT_A_TIME = 5_000  # of 321 numbers of 8 bytes: 13 MB, some eight times at once
SAYS_NOTHING = 0.01  # a pass that sees even the 97.5 % point of what is believed no more often tells nothing
HIGH_SIGMA = 2.0
ENDS = (0.16, 0.5, 0.84)


@dataclass(frozen=True)
class Prior:
    """What is believed of sources beforehand; one value a source, in the gas's unit of emissions."""

    median: Floats
    sigma: Floats
    """Of the natural log."""


@dataclass(frozen=True)
class Passes:
    """What passes saw of sources; one value a source and pass."""

    source: NDArray[np.intp]
    """Index of the source in the prior."""
    visible: Floats
    """Probability that the plume's place was seen."""
    limit: Floats
    """Emission at which half of the plumes are found; NaN where unknown: then not seeing it tells nothing."""
    probability: Floats
    """That a detection of the pass comes from the source; 0 where there is none."""
    rate: Floats
    """Emission of the detection; NaN where none is stated."""
    rate_sigma: Floats
    """Half the width of the rate's interval, in natural logs."""


@dataclass(frozen=True)
class Posterior:
    """What is believed afterwards; one value a source."""

    low: Floats
    """16 % are lower."""
    median: Floats
    """As probable to be more as to be less."""
    high: Floats
    """16 % are higher."""


def prior_of(gas: str, emission: Floats, emission_sigma: Floats) -> Prior:
    """Return what inventories make one believe: median `emission`, width from the stated standard deviation.

    Without a stated one, or where it is smaller than any inventory's can be, the reference's; without an emission that
    of what no inventory lists.
    """
    rule = evidence_rule().of(gas)
    is_listed = np.isfinite(emission) & (emission > 0)
    median = np.clip(np.where(is_listed, emission, rule.unlisted_median), rule.least_emission, rule.most_emission)
    relative = np.where(is_listed & (emission_sigma > 0), emission_sigma / median, np.nan)
    stated = np.maximum(np.sqrt(np.log1p(relative**2)), rule.least_prior_sigma)
    sigma = np.where(np.isfinite(stated), stated, rule.prior_sigma)
    return Prior(median, np.where(is_listed, sigma, rule.unlisted_sigma))


def compute_posterior(gas: str, prior: Prior, passes: Passes) -> Posterior:
    """Return the emissions of all sources of a prior, given what the passes saw (see the module).

    A plant of 1 kt/h, known to 0.5 in logs, that two passes with a limit of 0.2 kt/h see at 2 kt/h +- 30 % is likely
    larger, and one that twenty such passes didn't see is likely off:

    >>> one, two = Prior(np.array([1.0]), np.array([0.5])), np.full(2, 1.0)
    >>> seen = Passes(np.zeros(2, int), two, 0.2 * two, two, 2 * two, 0.3 * two)
    >>> round(float(compute_posterior("co2", one, seen).median[0]), 1)
    1.7
    >>> many = np.ones(20)
    >>> unseen = Passes(np.zeros(20, int), many, 0.2 * many, 0 * many, np.nan * many, np.nan * many)
    >>> round(float(compute_posterior("co2", one, unseen).median[0]), 2)
    0.11
    """
    rule, n = evidence_rule().of(gas), len(prior.median)
    grid = np.linspace(np.log(rule.least_emission), np.log(rule.most_emission), GRID_POINTS)
    result = Posterior(*(np.empty(n) for _ in ENDS))
    order = np.argsort(passes.source, kind="stable")
    order = order[_tells(gas, prior, passes)[order]]
    source = passes.source[order]
    starts = np.searchsorted(source, np.arange(n + 1))
    first = 0
    while first < n:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + ROWS_AT_A_TIME, "right")) - 1)
        last = min(last, n, first + ROWS_AT_A_TIME)
        log_prior = -0.5 * ((grid - np.log(prior.median[first:last, None])) / prior.sigma[first:last, None]) ** 2
        log_prior -= np.log(np.exp(log_prior).sum(axis=1, keepdims=True))
        posterior = log_prior.copy()
        at = order[starts[first] : starts[last]]
        for part in np.array_split(at, max(1, -(-len(at) // ROWS_AT_A_TIME))):
            own = passes.source[part] - first
            each = _log_likelihood(gas, grid, np.exp(log_prior)[own], passes, part)
            if len(part):  # sorted by source: a sum over each one's stretch
                begins = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
                posterior[own[begins]] += np.add.reduceat(each, begins)
        _summarise(grid, posterior, [end[first:last] for end in (result.low, result.median, result.high)])
        first = last
    return result


def chance_seen(gas: str, emission: Floats, visible: Floats, limit: Floats) -> Floats:
    """Return the probability that a pass sees a source of a mean emission; NaN where its limit isn't known."""
    rule = evidence_rule()
    v = rule.of(gas).variability
    with np.errstate(divide="ignore"):
        z = (np.log(emission) - v**2 / 2 - np.log(limit)) / np.hypot(rule.limit.blur, v)
    return visible * ndtr(z)


def _tells(gas: str, prior: Prior, passes: Passes) -> NDArray[np.bool_]:
    """Whether a pass can change what is believed."""
    high = prior.median * np.exp(HIGH_SIGMA * prior.sigma)
    seen = chance_seen(gas, high[passes.source], passes.visible, passes.limit)
    return (passes.probability > 0) | (seen >= SAYS_NOTHING)


def _log_likelihood(gas: str, grid: Floats, prior: Floats, passes: Passes, at: NDArray[np.intp]) -> Floats:
    """Log likelihood of some passes on the grid, shape (passes, grid); `prior` sums to 1 in each row."""
    rule = evidence_rule()
    v = rule.of(gas).variability
    middle = grid[None, :] - v**2 / 2
    p, visible, limit = (a[at, None] for a in (passes.probability, passes.visible, passes.limit))
    rate, width = passes.rate[at, None], passes.rate_sigma[at, None]
    log_likelihood = np.zeros((len(at), len(grid)))
    is_unseen = passes.probability[at] <= 0
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (middle - np.log(limit)) / np.hypot(rule.limit.blur, v)
        log_likelihood[is_unseen] = np.log1p(-visible[is_unseen] * ndtr(z[is_unseen]))
        spread = np.hypot(np.nan_to_num(width), v)
        log_seen = np.where(np.isfinite(rate), -0.5 * ((np.log(rate) - middle) / spread) ** 2, log_ndtr(z))
        log_seen = np.where(np.isfinite(log_seen), log_seen, 0.0)[~is_unseen]
    if len(log_seen):
        log_seen -= log_seen.max(axis=1, keepdims=True)
        mean = (prior[~is_unseen] * np.exp(log_seen)).sum(axis=1, keepdims=True)
        share = p[~is_unseen]
        log_likelihood[~is_unseen] = np.log(
            np.exp(log_seen) * share / np.maximum(mean, 1e-300) + (1.0 - share) + 1e-300
        )
    return log_likelihood


def _summarise(grid: Floats, log_posterior: Floats, into: list[Floats]) -> None:
    """Write the quantiles of each row, in units of emission; between the points of the grid by a straight line."""
    weight = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
    total = np.cumsum(weight, axis=1)
    total = (total - weight / 2) / total[:, -1:]
    for end, values in zip(ENDS, into, strict=True):
        above = np.clip((total < end).sum(axis=1), 1, len(grid) - 1)
        row = np.arange(len(above))
        left, right = total[row, above - 1], total[row, above]
        part = np.clip((end - left) / np.maximum(right - left, 1e-300), 0.0, 1.0)
        values[:] = np.exp(grid[above - 1] + part * (grid[above] - grid[above - 1]))
