"""Smoothed fields with gaps, their slow part, and how large their noise is at each place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.constants import MAD_TO_SIGMA

T = TypeVar("T")
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

TINY = float(np.finfo(np.float32).tiny)  # below every spread, so that none is divided by 0
TRUNCATE = 3.0  # Gaussians end at 3 standard deviations: 0.3 % of the weight is beyond
WINSOR_SIGMA = 3.0  # values further out are pulled in, or left out, where a background, noise or shift is computed
LEAST_NOISE = 1e-4  # of a pixel's ln ratio: reflectance comes in steps of 1e-4
SAMPLED_VALUES = 20_000  # evenly taken values tell a spread to 1 %, a median to 1 % of it
SLOPE_RIDGE = 0.02  # of the squared width (1 inside, 0.36 at an edge): holds the slope where few pixels are left
BLOCKS_PER_SIGMA = 4  # a Gaussian needs no finer sampling than a quarter of its standard deviation


@dataclass(frozen=True, eq=False)
class SceneNumbers:
    """What is told of a whole scene (medians, spreads, fits), so that a part of it is searched as the whole would be.

    Each is found by the code that needs it, under a name. Of a scene that is searched whole nothing is kept; of a
    sample of a large one all is, and its windows are told it: what they find depends on the pixels around a place
    alone, and not on where the windows end.
    """

    known: dict[str, Any] | None = None
    """By name; None for a scene that is searched whole."""
    is_told: bool = False
    """Whether they are another one's, and not found but taken."""
    prefix: str = ""
    """Before the names of one step."""

    @property
    def is_large(self) -> bool:
        """Whether the scene is searched by windows, of which none sees all of it."""
        return self.known is not None

    def of(self, name: str, find: Callable[[], T]) -> T:
        """Return the number of this name: what `find` gives, or what was told.

        What the sample can't tell, such as a band that has no pixel there, is found in the window itself.
        """
        if self.known is None:
            return find()
        key = self.prefix + name
        if not self.is_told:
            self.known[key] = find()
        value: T = self.known[key] if key in self.known else find()
        return value

    def step(self, name: str) -> SceneNumbers:
        """Return the numbers of one step, whose names begin with its own."""
        return replace(self, prefix=f"{self.prefix}{name}/")


OWN = SceneNumbers()
"""Of a scene that is searched whole."""


def smooth(field: Array, valid: Mask, sigma_px: float) -> Array:
    """Return the average of `field` over valid pixels by a Gaussian (normalised convolution).

    Outside the array nothing is valid; 0 where no valid pixel is in reach.
    """
    return _weighted_mean(field, valid, _gauss(valid.astype(np.float32), sigma_px), sigma_px)


def smooth_each(fields: Array, valid: Mask, sigma_px: float) -> list[Array]:
    """Return the averages of several fields, as `smooth` does; masks that are equal are averaged once."""
    averages, weight = [], np.zeros(0, np.float32)
    for k, field in enumerate(fields):
        if not k or not np.array_equal(valid[k], valid[k - 1]):
            weight = _gauss(valid[k].astype(np.float32), sigma_px)
        averages.append(_weighted_mean(field, valid[k], weight, sigma_px))
    return averages


def _weighted_mean(field: Array, valid: Mask, weight: Array, sigma_px: float) -> Array:
    total = _gauss(np.where(valid, field, np.float32(0.0)).astype(np.float32), sigma_px)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)


def robust_sigma(values: NDArray[Any], valid: Mask | None = None) -> float:
    """Return the standard deviation by the median absolute deviation from the median; NaN for no values.

    Of the `valid` values where a mask is given; of very many only some, evenly taken.
    """
    if valid is not None:
        values = sampled(values, valid)
    if not values.size:
        return float("nan")
    values = sampled(values)
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def sampled(values: NDArray[Any], valid: Mask | None = None) -> NDArray[Any]:
    """Return the (valid) values, flat; of very many only some, evenly taken, of no column more than of others."""
    count = values.size if valid is None else int(np.count_nonzero(valid))
    every = _step(count, values.shape[-1])
    some = values.ravel()[::every]
    if valid is None:
        return some
    is_valid = valid.ravel()[::every]
    if np.count_nonzero(is_valid) * every * 2 < count:  # a pattern that the steps miss
        return values[valid][:: _step(count, count)]
    return some[is_valid]


def _step(count: int, width: int) -> int:
    """Return the step that takes about SAMPLED_VALUES of `count`, and in rows of `width` all columns alike."""
    step = 1 + count // SAMPLED_VALUES
    while math.gcd(step, width) > 1:
        step += 1
    return step


def least_noise(sigma_px: float) -> float:
    """Return the least noise that a Gaussian average can have, of white noise from the steps of the reflectance."""
    return LEAST_NOISE * white_noise_of_average(sigma_px)


def white_noise_of_average(sigma_px: float) -> float:
    """Return the standard deviation of a Gaussian average of white noise of variance 1."""
    return 1.0 / (2 * math.sqrt(math.pi) * sigma_px)


def slow_part(field: Array, valid: Mask, sigma_px: float, numbers: SceneNumbers = OWN) -> Array:
    """Return the local plane through the valid pixels in a wide Gaussian window, at every pixel.

    A plane, so that a slope isn't bent at the edge of the image or of a gap. Values that stand out of the scene by more
    than 3 sigma are pulled in, then those that stand out of a first fit are left out, so that ground that changed
    neither lifts nor sinks its surroundings. Works on block means a quarter of the Gaussian wide.
    """
    if not valid.any():
        return np.zeros_like(field)
    block = max(1, int(sigma_px / BLOCKS_PER_SIGMA))
    middle, spread = numbers.of("range", lambda: _usual_range(sampled(field, valid)))
    first = _wide_plane(np.clip(field, middle - spread, middle + spread), valid, sigma_px, block)
    off = field - first
    is_near = np.abs(off) <= numbers.of("off", lambda: WINSOR_SIGMA * robust_sigma(off, valid))
    return _wide_plane(field, valid & is_near, sigma_px, block)


def _usual_range(values: NDArray[Any]) -> tuple[Any, float]:
    """Return the median, and how far from it values are not pulled in."""
    return np.median(values), WINSOR_SIGMA * robust_sigma(values)


def local_noise(field: Array, valid: Mask, window_px: float, numbers: SceneNumbers = OWN) -> Array:
    """Return the standard deviation around zero in a Gaussian window, of values winsorised at 3 sigma of the scene."""
    limit = numbers.of("limit", lambda: WINSOR_SIGMA * robust_sigma(field, valid))
    block = max(1, int(window_px / BLOCKS_PER_SIGMA))
    return np.sqrt(np.maximum(_wide_average(np.clip(field, -limit, limit) ** 2, valid, window_px, block), 0.0))


def _gauss(field: NDArray[Any], sigma_px: float) -> NDArray[Any]:
    return ndimage.gaussian_filter(field, sigma_px, mode="constant", truncate=TRUNCATE)


def _wide_average(field: Array, valid: Mask, sigma_px: float, block: int) -> Array:
    """Return the normalised convolution computed on blocks and interpolated back bilinearly."""
    weight = _block_sums(valid.astype(np.float32), block)
    total = _block_sums(np.where(valid, field, np.float32(0.0)).astype(np.float32), block)
    weight, total = (_gauss(a, sigma_px / block) for a in (weight, total))
    return _to_pixels(np.divide(total, weight, out=np.zeros_like(total), where=weight > 0), field.shape, block)


def _wide_plane(field: Array, valid: Mask, sigma_px: float, block: int) -> Array:
    """Return the value of the local weighted least-squares plane, computed on blocks and interpolated back."""
    weight = _block_sums(valid.astype(np.float32), block).astype(float)
    total = _block_sums(np.where(valid, field, np.float32(0.0)).astype(np.float32), block).astype(float)
    y, x = (np.arange(n) * block / sigma_px for n in weight.shape)
    y = y[:, None]

    def moment(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted mean in the window of each block."""
        return np.divide(_gauss(values, sigma_px / block), inside, out=np.zeros_like(values), where=inside > 0)

    inside = _gauss(weight, sigma_px / block)
    mean, mean_y, mean_x = moment(total), moment(weight * y), moment(weight * x)
    syy = moment(weight * y * y) - mean_y**2 + SLOPE_RIDGE
    sxx = moment(weight * x * x) - mean_x**2 + SLOPE_RIDGE
    sxy = moment(weight * y * x) - mean_y * mean_x
    sfy, sfx = moment(total * y) - mean * mean_y, moment(total * x) - mean * mean_x
    determinant = syy * sxx - sxy**2
    slope_y, slope_x = (sfy * sxx - sfx * sxy) / determinant, (sfx * syy - sfy * sxy) / determinant
    plane = np.where(inside > 0, mean + slope_y * (y - mean_y) + slope_x * (x - mean_x), 0.0)
    return _to_pixels(plane.astype(np.float32), field.shape, block)


def _to_pixels(coarse: Array, shape: tuple[int, ...], block: int) -> Array:
    return coarse if block == 1 else _stretch(_stretch(coarse, shape[0], block).T, shape[1], block).T


def _block_sums(field: Array, block: int) -> Array:
    rows = np.add.reduceat(field, np.arange(0, field.shape[0], block), axis=0)
    return np.add.reduceat(rows, np.arange(0, field.shape[1], block), axis=1)


def _stretch(coarse: Array, n: int, block: int) -> Array:
    """Interpolate along the first axis from block centres to pixels."""
    at = np.clip((np.arange(n) + 0.5) / block - 0.5, 0, len(coarse) - 1)
    low = np.minimum(at.astype(np.int64), max(len(coarse) - 2, 0))
    share = (at - low).astype(np.float32)[:, None]
    return coarse[low] * (1 - share) + coarse[np.minimum(low + 1, len(coarse) - 1)] * share
