"""Emissions from detections and non-detections: intervals hold what they say, and what is known shows."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.evidence.posterior import Passes, Prior, compute_posterior, prior_of


def planted(gas: str, n: int, seed: int, prior_sigma: float, variability: float) -> tuple[np.ndarray, Passes]:
    """Sources with emissions about 1 and 12 passes each, whose limits are about what they emit."""
    rng = np.random.default_rng(seed)
    unit = {"co2": 1.0, "ch4": 1000.0}[gas]
    mean = unit * np.exp(rng.normal(0.0, prior_sigma, n))
    source = np.repeat(np.arange(n), 12)
    emitted = mean[source] * np.exp(rng.normal(0.0, variability, len(source)) - variability**2 / 2)
    limit = unit * np.exp(rng.normal(0.3, 0.4, len(source)))
    visible = rng.uniform(0.2, 1.0, len(source))
    is_seen = (rng.uniform(size=len(source)) < visible) & (
        np.log(emitted / limit) + rng.normal(0, 0.5, len(source)) > 0
    )
    rate = np.where(is_seen, emitted * np.exp(rng.normal(0.0, 0.3, len(source))), np.nan)
    return mean, Passes(source, visible, limit, is_seen * 1.0, rate, np.full(len(source), 0.3))


@pytest.mark.parametrize(("gas", "prior_sigma", "variability"), [("co2", 0.5, 0.35), ("ch4", 1.0, 1.0)])
def test_intervals_hold_68_percent_and_non_detections_take_the_bias_away(
    gas: str, prior_sigma: float, variability: float
) -> None:
    mean, passes = planted(gas, 800, 1, prior_sigma, variability)
    unit = {"co2": 1.0, "ch4": 1000.0}[gas]
    found = compute_posterior(gas, Prior(np.full(800, unit), np.full(800, prior_sigma)), passes)
    inside = np.mean((found.low < mean) & (mean < found.high))
    error = np.log(found.median / mean)
    seen = passes.source[passes.probability > 0]
    rates = np.bincount(seen, weights=passes.rate[passes.probability > 0], minlength=800)
    by_detections_alone = np.median(np.log(rates[np.unique(seen)] / np.bincount(seen, minlength=800)[np.unique(seen)]
                                           / mean[np.unique(seen)]))  # fmt: skip
    print(f"{gas}: {inside:.2f} inside, bias {np.median(error):+.2f}, by detections alone {by_detections_alone:+.2f}")
    assert 0.62 < inside < 0.75 and abs(np.median(error)) < 0.1 < by_detections_alone
    assert np.std(error) < 0.75 * prior_sigma


def one(**values: float) -> Passes:
    usual = {"visible": 1.0, "limit": 1.0, "probability": 0.0, "rate": np.nan, "rate_sigma": 0.3} | values
    return Passes(np.zeros(1, np.intp), *(np.array([value]) for value in usual.values()))


KNOWN = Prior(np.array([2.0]), np.array([0.5]))


def median(passes: Passes) -> float:
    return float(compute_posterior("co2", KNOWN, passes).median[0])


def test_a_doubtful_detection_counts_less_and_one_of_somebody_else_not_at_all() -> None:
    sure, doubtful, none = (median(one(probability=p, rate=6.0)) for p in (1.0, 0.4, 1e-9))
    assert sure > doubtful > none == pytest.approx(2.0, rel=0.01)


def test_what_was_not_seen_tells_the_more_the_lower_the_limit_and_nothing_without_one() -> None:
    low, high, unknown = (median(one(limit=limit)) for limit in (0.3, 2.0, np.nan))
    assert low < high < unknown == pytest.approx(2.0, rel=0.01)
    assert median(one(limit=0.3, visible=0.1)) > median(one(limit=0.3, visible=1.0))


def test_a_detection_without_rate_says_that_it_is_not_small() -> None:
    assert median(one(probability=1.0, limit=4.0)) > 2.0


def test_the_prior_is_the_inventory_s() -> None:
    prior = prior_of("co2", np.array([2.0, 2.0, np.nan, 2.0]), np.array([2.0, np.nan, np.nan, 1e-6]))
    assert prior.median.tolist() == [2.0, 2.0, 3.0, 2.0]
    assert prior.sigma.tolist() == pytest.approx([np.sqrt(np.log(2)), 0.5, 1.5, 0.3])
    nothing = Passes(np.empty(0, np.intp), *(np.empty(0) for _ in range(5)))
    found = compute_posterior("co2", prior, nothing)
    assert found.median.tolist() == pytest.approx(prior.median.tolist(), rel=0.02)
    assert np.log(found.high / found.low).tolist() == pytest.approx((2 * prior.sigma).tolist(), rel=0.02)


def test_sources_and_passes_in_any_order_and_number_give_the_same() -> None:
    _, passes = planted("co2", 300, 2, 0.5, 0.35)
    prior = Prior(np.ones(300), np.full(300, 0.5))
    order = np.random.default_rng(0).permutation(len(passes.source))
    mixed = Passes(*(getattr(passes, name)[order] for name in passes.__dataclass_fields__))
    expected = compute_posterior("co2", prior, passes).median
    assert compute_posterior("co2", prior, mixed).median.tolist() == pytest.approx(expected.tolist(), rel=1e-9)
