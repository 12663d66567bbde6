"""Connected regions of significance, and what they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.methane.significance import Array, Mask, smooth

MARGIN_PX = 5  # width of the surroundings that a region is compared with

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of an image, numbered from 1."""

    labels: NDArray[np.int32]
    """Number of the region at each pixel, 0 for none."""
    significance: Floats
    """Highest value in each region."""
    scale: Integers
    """Which of the fields gave it."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.significance)

    @property
    def numbers(self) -> Integers:
        """1 to count."""
        return np.arange(1, self.count + 1)


def find_regions(z: Array, seed_level: float, mask_level: float, scale: int = 0) -> Regions:
    """Return the connected regions where `z` reaches `mask_level`, and `seed_level` somewhere (hysteresis)."""
    labels, count = ndimage.label(z >= mask_level)
    if not count:
        return Regions(labels.astype(np.int32), np.zeros(0), np.zeros(0, np.int64))
    seeds = z >= seed_level
    highest = np.full(count + 1, -np.inf)
    np.maximum.at(highest, labels[seeds], z[seeds])
    highest = highest[1:]
    kept = highest >= seed_level
    number = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
    return Regions(number[labels], highest[kept], np.full(int(kept.sum()), scale))


def find_regions_on_scales(fields: Sequence[Array], seed_level: float, mask_level: float) -> Regions:
    """Return the regions of all fields; of those that overlap only the most significant, with its own mask.

    So a narrow plume keeps its narrow mask, and a wide average of it is not a plume of its own.
    """
    by_scale = [find_regions(z, seed_level, mask_level, scale) for scale, z in enumerate(fields)]
    found = [
        (float(regions.significance[number - 1]), scale, int(number))
        for scale, regions in enumerate(by_scale)
        for number in regions.numbers
    ]
    boxes = [ndimage.find_objects(regions.labels) for regions in by_scale]
    labels = np.zeros(fields[0].shape, np.int32)
    significance, scales = [], []
    for value, scale, number in sorted(found, key=lambda region: (-region[0], region[1:])):
        box = boxes[scale][number - 1]
        inside = by_scale[scale].labels[box] == number
        if not labels[box][inside].any():
            significance.append(value)
            scales.append(scale)
            labels[box][inside] = len(significance)
    return Regions(labels, np.array(significance), np.array(scales, np.int64))


def join_regions(regions: Regions, wanted: NDArray[np.bool_], gap_px: float) -> Regions:
    """Return the `wanted` regions (a flag each), those whose gap is at most `gap_px` as one: puffs of one plume."""
    kept = np.concatenate([[False], wanted])[regions.labels]
    if not kept.any():
        return Regions(np.zeros_like(regions.labels), np.zeros(0), np.zeros(0, np.int64))
    near = ndimage.distance_transform_edt(~kept) <= gap_px / 2
    groups, count = ndimage.label(near, structure=np.ones((3, 3)))
    joined = np.where(kept, groups, 0).astype(np.int32)
    strongest = [np.unique(regions.labels[joined == number]) - 1 for number in range(1, count + 1)]
    best = [members[np.argmax(regions.significance[members])] for members in strongest]
    return Regions(joined, regions.significance[best], regions.scale[best])


def is_surface_change(
    regions: Regions,
    absorption: Array,
    brightening: Array,
    valid: Mask,
    scale_px: float,
    min_correlation: float,
    min_slope: float,
) -> Mask:
    """Return for each region whether band 11 changed with the ratio: soil, fields, thin cloud do that, methane doesn't.

    True where, over the region and a margin around it, both fields (averaged by a Gaussian of `scale_px`) correlate by
    at least `min_correlation`, and band 11 changes by at least `min_slope` of the absorption. Methane's own slope is
    -0.2; noise of band 11, which is in both fields, gives at most 0.5.
    """
    if not regions.count:
        return np.zeros(0, bool)
    margin = ndimage.grey_dilation(regions.labels, size=2 * MARGIN_PX + 1)
    near = np.where(regions.labels > 0, regions.labels, margin)[valid]
    a, b = (smooth(field, valid, scale_px).values[valid].astype(float) for field in (absorption, brightening))
    size = np.maximum(np.bincount(near, minlength=regions.count + 1), 1)

    def mean(values: Floats) -> Floats:
        return (np.bincount(near, values, regions.count + 1) / size)[1:]

    tiny = np.finfo(float).tiny
    variance_a, variance_b = mean(a * a) - mean(a) ** 2, mean(b * b) - mean(b) ** 2
    covariance = np.abs(mean(a * b) - mean(a) * mean(b))
    correlation = covariance / np.sqrt(np.maximum(variance_a * variance_b, tiny))
    return (correlation >= min_correlation) & (covariance / np.maximum(variance_a, tiny) >= min_slope)
