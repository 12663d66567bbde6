"""Cloud probability by Sentinel Hub's s2cloudless, from the reflectance of ten bands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.sensors.sentinel2 import QUANTIFICATION
from plumewatch.sentinel2.bands import MOST_PERCENT, NO_CLOUD_DATA, S2CLOUDLESS_BANDS
from plumewatch.sentinel2.reflectance import NODATA

ROWS_AT_ONCE = 256  # of the features of some hundred thousand pixels, each 10 numbers of 64 bits
ON_SURFACE_REFLECTANCE = "trained on Level-1C reflectance, used on Level-2A"


def compute_cloud_probability(bands: Mapping[str, NDArray[np.uint16]]) -> NDArray[np.uint8]:
    """Return the probability of cloud in percent, 255 where a band has no data.

    `bands` are the ten of S2CLOUDLESS_BANDS (rows x columns), reflectance x 10000, 0 is no data. The classifier was
    trained on the top-of-atmosphere reflectance of Level-1C: on Level-2A, whose bands had the air's part taken off, its
    percentages aren't calibrated. Neither averaged nor dilated: the clear mask does that.

    Source: A. Zupanc, Improving cloud detection with machine learning (Sentinel Hub, 2017); package s2cloudless.
    """
    layers = [bands[band] for band in S2CLOUDLESS_BANDS]
    percent: NDArray[np.uint8] = np.full(layers[0].shape, NO_CLOUD_DATA, np.uint8)
    has_data = np.logical_and.reduce([layer != NODATA for layer in layers])
    for start in range(0, percent.shape[0], ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        features = np.stack([layer[rows] for layer in layers], axis=-1) / QUANTIFICATION
        found = _detector().get_cloud_probability_maps(features[np.newaxis])[0]
        percent[rows] = np.where(has_data[rows], np.rint(found * MOST_PERCENT), NO_CLOUD_DATA).astype(np.uint8)
    return percent


@lru_cache(maxsize=1)
def _detector() -> Any:
    from s2cloudless import S2PixelCloudDetector

    return S2PixelCloudDetector(average_over=None, dilation_size=None)
