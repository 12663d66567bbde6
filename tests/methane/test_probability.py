"""The logistic model: what the file says, and what it must say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.gases import MULTI_PASS, SINGLE_PASS
from plumewatch.methane.probability import features_of, probability_of
from plumewatch.methane.thresholds import PlumeThresholds, plume_thresholds

LIMITS = plume_thresholds()
TESTS = {
    "n_references": 5.0, "lowest_significance_in_scene": -4.5, "band_11_correlation": 0.1, "band_11_slope": -0.2,
    "changed_ground_share": 0.0, "masked_edge_share": 0.0, "sharp_ground_share": 0.1, "local_noise": 1.0,
    "mean_significance": 0.8, "n_pixels": 120.0, "off_wind_deg": 10.0, "is_round": 0.0,
}  # fmt: skip


def with_model(**model: float) -> PlumeThresholds:
    return replace(LIMITS, probability=replace(LIMITS.probability, multi_pass=model))


@pytest.mark.parametrize("method", [MULTI_PASS, SINGLE_PASS])
def test_it_rises_with_the_significance(method: str) -> None:
    at = [probability_of(method, significance, TESTS, LIMITS) for significance in (4, 5, 6, 8, 12, 20, 60)]
    assert at == sorted(at) and len(set(at)) == len(at)
    assert 0 < at[0] < 0.5 < at[-1] <= 1


@pytest.mark.parametrize("method", [MULTI_PASS, SINGLE_PASS])
def test_it_is_what_the_file_says(method: str) -> None:
    model = LIMITS.probability.coefficients(method)
    features = features_of(7.0, TESTS)
    log_odds = sum(features.get(name, 1.0) * coefficient for name, coefficient in model.items())
    assert set(model) - {"intercept"} <= set(features)
    assert probability_of(method, 7.0, TESTS, LIMITS) == pytest.approx(1 / (1 + math.exp(-log_odds)))


def test_one_worked_number() -> None:
    limits = with_model(intercept=-11.0, log_significance=6.0)
    assert probability_of(MULTI_PASS, math.exp(11 / 6), TESTS, limits) == pytest.approx(0.5)
    assert probability_of(MULTI_PASS, 8.0, TESTS, limits) == pytest.approx(0.8141, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "changed", "feature"),
    [
        ("log_local_noise", {"local_noise": math.e}, 1.0),
        ("log_mean_significance", {"mean_significance": -3.0}, math.log(0.05)),
        ("log_pixels", {"n_pixels": 100.0}, math.log(100)),
        ("off_wind", {"off_wind_deg": 45.0}, 1.0),
        ("is_round", {"is_round": 1.0}, 1.0),
    ],
)
def test_what_is_weighed(name: str, changed: dict[str, float], feature: float) -> None:
    assert features_of(6.0, TESTS | changed)[name] == pytest.approx(feature)
    assert features_of(6.0, TESTS)["log_significance"] == pytest.approx(math.log(6.0))


def test_a_coefficient_without_a_feature_names_itself() -> None:
    with pytest.raises(KeyError, match="brightness"):
        probability_of(MULTI_PASS, 6.0, TESTS, with_model(intercept=0.0, brightness=1.0))


def test_a_plume_against_the_wind_is_less_probable() -> None:
    along, off = (probability_of(MULTI_PASS, 8.0, TESTS | {"off_wind_deg": at}, LIMITS) for at in (0.0, 45.0))
    assert off < along - 0.05


def test_an_unknown_method_names_itself() -> None:
    with pytest.raises(KeyError, match="no_such_method"):
        probability_of("no_such_method", 6.0, TESTS, LIMITS)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    significance=st.floats(0.1, 1e4), method=st.sampled_from([MULTI_PASS, SINGLE_PASS]),
    references=st.integers(0, 12), noise=st.floats(1e-6, 1e6), mean=st.floats(-1e6, 1e6),
    pixels=st.integers(1, 10**7), share=st.floats(0, 1),
)  # fmt: skip
def test_it_is_a_probability_for_any_candidate(
    significance: float, method: str, references: int, noise: float, mean: float, pixels: int, share: float,
) -> None:  # fmt: skip
    tests = TESTS | {
        "n_references": float(references), "local_noise": noise, "mean_significance": mean, "n_pixels": float(pixels),
        "masked_edge_share": share, "sharp_ground_share": share,
    }  # fmt: skip
    assert 0.0 <= probability_of(method, significance, tests, LIMITS) <= 1.0
