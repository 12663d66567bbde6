"""Which pixels show the ground: the scene classification, a cloud probability, and a margin around cloud and shadow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.models import Area
from plumewatch.sentinel2.bands import (
    CLEAR_CLASSES,
    CLOUD_CLASSES,
    CLOUD_DILATION_M,
    DILATED_CLASSES,
    MOST_CLOUD_PROBABILITY,
    NO_CLOUD_DATA,
)


@dataclass(frozen=True)
class PixelSettings:
    """What decides whether a cell is clear."""

    clear_classes: tuple[int, ...]
    """Classes of the scene classification in which the ground is seen."""
    cloud_dilation_m: float
    """Margin around cloud and its shadow."""
    max_cloud_probability: float | None = None
    """Percent; cells of a higher cloud probability are cloud. None: the classification alone decides."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PixelSettings:
        """Return the settings that JSON holds."""
        return cls(**{**content, "clear_classes": tuple(content["clear_classes"])})


def pixel_settings(
    area: Area | None = None, clear_classes: tuple[int, ...] | None = None, cloud_dilation_m: float | None = None
) -> PixelSettings:
    """Return what decides in an area: what is given here, else what its file says, else the project's values.

    A probability of the service (CLD) counts where the area says from which percentage on; one that the area asks for
    (`cloud_mask`) has a limit of its own.

    >>> pixel_settings(clear_classes=(5,))
    PixelSettings(clear_classes=(5,), cloud_dilation_m=60.0, max_cloud_probability=None)
    """
    area = area or Area("", None)
    classes = next(c for c in (clear_classes, area.clear_classes, CLEAR_CLASSES) if c is not None)
    dilation_m = next(d for d in (cloud_dilation_m, area.cloud_dilation_m, CLOUD_DILATION_M) if d is not None)
    limit = area.max_cloud_probability
    return PixelSettings(classes, dilation_m, MOST_CLOUD_PROBABILITY.get(area.cloud_mask) if limit is None else limit)


def is_cloud(
    scl: NDArray[np.uint8], probability: NDArray[np.uint8] | None, max_probability: float | None
) -> NDArray[np.bool_]:
    """Return True where a pixel is cloud: of class 8, 9 or 10, or of a probability above the limit.

    `probability` (the shape of `scl`) is in percent, 255 where unknown; None, or no limit: the classes alone.

    >>> is_cloud(np.array([[4, 9, 4, 4]]), np.array([[80, 0, 40, 255]]), 40.0).tolist()
    [[True, True, False, False]]
    """
    cloud: NDArray[np.bool_] = np.isin(scl, CLOUD_CLASSES)
    return cloud if probability is None else cloud | is_probable(probability, max_probability)


def is_probable(probability: NDArray[np.uint8], max_probability: float | None) -> NDArray[np.bool_]:
    """Return True where a cloud probability (percent, 255 is unknown) is above the limit, nowhere without one."""
    if max_probability is None:
        return np.zeros(probability.shape, bool)
    return (probability > max_probability) & (probability != NO_CLOUD_DATA)


def compute_clear_mask(
    scl: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    clear_classes: Collection[int],
    dilation_px: float,
    probable: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Return True where a pixel is valid, of a clear class, and further than `dilation_px` from cloud and shadow.

    clear = valid & (scl in clear_classes) & ~probable & (d > dilation_px), where d is the distance in pixels between
    the centres of the pixel and of the nearest one of cloud or cloud shadow (classes 3, 8, 9, 10, but for those
    declared clear, and what is `probable`).

    Arguments: `scl` (rows x columns) Sentinel-2's scene classification; `valid` (the same shape) False where a band
    has no data; `dilation_px` 0 or more; `probable` (the same shape) True where a probability says cloud. Give a margin
    of `dilation_px` around the pixels that matter: cloud outside the array isn't seen.

    With a cloud in column 0 and a dilation of 2 pixels, columns 0 to 2 are not clear and column 3 is.
    """
    of_class = np.arange(1 + np.iinfo(np.uint8).max)  # looked up: comparing a pixel with each class takes longer
    clear = valid & np.isin(of_class, list(clear_classes))[scl]
    cloud = np.isin(of_class, [c for c in DILATED_CLASSES if c not in clear_classes])[scl]
    if probable is not None:
        clear, cloud = clear & ~probable, cloud | probable
    if dilation_px > 0 and cloud.any():
        clear &= ~_within(cloud, dilation_px)
    return clear


def _within(seeds: NDArray[np.bool_], distance_px: float) -> NDArray[np.bool_]:
    """Return where a seed is at most `distance_px` away: the seeds, moved to each place of a disc around them.

    For the few pixels of a margin this is many times faster than a distance transform.
    """
    reach = int(min(distance_px, max(seeds.shape) - 1))
    steps = np.arange(reach + 1)
    # By rows up or down, how many columns to either side are still within the distance.
    widths = np.count_nonzero(np.sqrt(np.add.outer(steps**2, steps**2)) <= distance_px, axis=1) - 1
    found, wide = np.zeros_like(seeds), seeds.copy()
    for width in steps:
        if width:
            wide[:, width:] |= seeds[:, :-width]
            wide[:, :-width] |= seeds[:, width:]
        for up in np.flatnonzero(widths[: len(seeds)] == width):
            found[up:] |= wide[: len(wide) - up]
            found[: len(wide) - up] |= wide[up:]
    return found
