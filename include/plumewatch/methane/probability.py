"""How probable it is that a candidate is methane from a source, at a stated prior."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plumewatch.methane.thresholds import PlumeThresholds

OFF_WIND_UNIT_DEG = 45.0  # so that the coefficient is of the others' size
LEAST = 0.05  # of a mean significance, before the logarithm


def features_of(significance: float, tests: Mapping[str, float]) -> dict[str, float]:
    """Return what the logistic model weighs, by the names of its coefficients."""
    return {
        "log_significance": float(np.log(significance)),
        "sharp_ground_share": tests["sharp_ground_share"],
        "log_local_noise": float(np.log(tests["local_noise"])),
        "log_mean_significance": float(np.log(max(tests["mean_significance"], LEAST))),
        "log_pixels": float(np.log(tests["n_pixels"])),
        "masked_edge_share": tests["masked_edge_share"],
        "off_wind": tests["off_wind_deg"] / OFF_WIND_UNIT_DEG,
        "is_round": tests["is_round"],
    }


def probability_of(method: str, significance: float, tests: Mapping[str, float], limits: PlumeThresholds) -> float:
    """Return the probability of methane from a source, by the logistic model of the method."""
    model = limits.probability.coefficients(method)
    features = features_of(significance, tests)
    log_odds = model["intercept"] + sum(
        coefficient * features[name] for name, coefficient in model.items() if name != "intercept"
    )
    return float(1.0 / (1.0 + np.exp(-log_odds)))
