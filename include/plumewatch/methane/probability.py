"""How probable it is that a candidate is methane from a source, at a stated prior."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plumewatch.gases import ISOLATION_FOREST, MULTI_PASS
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.sensors.sentinel2 import SENTINEL2

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


def is_calibrated(method: str, sensor: str, limits: PlumeThresholds) -> bool:
    """Return whether the probability of a method was measured on images of a sensor (its name)."""
    if method == ISOLATION_FOREST:
        return False
    return sensor == SENTINEL2.name or (method == MULTI_PASS and sensor in limits.probability.multi_pass_offset)


def probability_of(
    method: str, significance: float, tests: Mapping[str, float], limits: PlumeThresholds, sensor: str = SENTINEL2.name
) -> float:
    """Return the probability of methane from a source, by the logistic model of the method.

    `sensor` is the name of the one whose image it is: fewer of its cells, where they are larger, tell as much.
    """
    model = limits.probability.coefficients(method)
    features = features_of(significance, tests)
    offset = limits.probability.multi_pass_offset.get(sensor, 0.0) if method == MULTI_PASS else 0.0
    log_odds = (
        offset
        + model["intercept"]
        + sum(coefficient * features[name] for name, coefficient in model.items() if name != "intercept")
    )
    return float(1.0 / (1.0 + np.exp(-log_odds)))
