"""What a scene's score is for Isolation Forest and DBSCAN on the features of one date: the method without physics."""

from __future__ import annotations

import numpy as np

from plumewatch.methane.anomalies import NOISE, ForestSettings, find_anomalies
from plumewatch.methane.passes import Pass

SIZE, SUM, MEAN = "pixels of the largest cluster", "summed score of a cluster", "mean score of a cluster"


def forest_scores(target: Pass) -> dict[str, float]:
    """Return the highest value over the clusters of each natural score; 0 where there is no cluster."""
    anomalies = find_anomalies(target, ForestSettings())
    inside = anomalies.cluster != NOISE
    if not inside.any():
        return dict.fromkeys((SIZE, SUM, MEAN), 0.0)
    pixels = np.bincount(anomalies.cluster[inside])
    sums = np.bincount(anomalies.cluster[inside], anomalies.score[inside])
    return {SIZE: float(pixels.max()), SUM: float(sums.max()), MEAN: float((sums / np.maximum(pixels, 1)).max())}
