"""How much each reference counts at each pixel: by the covariance of their noise, without what stands out of others.

The mean of least variance of correlated measurements: weights are the rows' sums of the inverse covariance over their
sum (Aitken 1935, generalised least squares), none of them negative here.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.methane.smoothing import (
    OWN,
    WINSOR_SIGMA,
    Array,
    Mask,
    SceneNumbers,
    least_noise,
    robust_sigma,
    sampled,
    smooth_each,
)

OUTLIER_ROUNDS = 2  # references with a plume of their own, or cloud, at one place
COVARIANCE_RIDGE = 0.05  # added to the variances, relative: a dozen references are not told apart exactly
TARGET_SHARE = 0.5  # of the variance of a difference is the target's, where dates are alike
MIN_SHARED_PIXELS = 2000  # fewer don't tell a covariance


def leave_one_out(fields: Array, valid: Mask, weights: NDArray[np.float64]) -> tuple[Array, Mask]:
    """Return the mean of the others minus each field (of ln R: a reference's absorption), and where it is known."""
    own = [w * v for w, v in zip(weights.astype(np.float32), valid, strict=True)]
    weighted = [w * field for w, field in zip(own, fields, strict=True)]
    weight, total = sum(own), sum(weighted)
    residuals, known = np.zeros_like(fields), np.zeros_like(valid)
    least = np.float32(0.5 * weights.min())
    for k, field in enumerate(fields):
        others = weight - own[k]
        known[k] = valid[k] & (others > least)
        np.divide(total - weighted[k], others, out=residuals[k], where=known[k])
        np.subtract(residuals[k], field, out=residuals[k], where=known[k])
    return residuals, known


def compute_covariance(ratios: Array, valid: Mask, scale_px: float) -> NDArray[np.float64]:
    """Return the covariance (references x references) of the smoothed differences from the target.

    Of each pair by the pixels that both see, outliers pulled in; half of the smaller variance, the target's share, for
    pairs that share too few. Made positive definite, the diagonal raised a little.
    """
    smoothed = np.stack(smooth_each(ratios, valid, scale_px))
    spreads = np.array([robust_sigma(s, v) for s, v in zip(smoothed, valid, strict=True)])
    floor = least_noise(scale_px)
    spreads = np.fmax(spreads, floor)  # NaN where a reference sees nothing
    seen = np.stack([sampled(v) for v in valid]).astype(float)
    limit = WINSOR_SIGMA * spreads[:, None]
    samples = np.clip(np.stack([sampled(s) for s in smoothed]), -limit, limit) * seen
    shared = seen @ seen.T
    assumed = TARGET_SHARE * np.minimum.outer(spreads, spreads) ** 2
    is_known = shared * (valid[0].size / seen.shape[1]) >= MIN_SHARED_PIXELS
    covariance = np.where(is_known, samples @ samples.T / np.maximum(shared, 1.0), assumed)
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance), spreads**2))
    values, vectors = np.linalg.eigh(covariance)
    covariance = (vectors * np.maximum(values, floor**2)) @ vectors.T
    return covariance + COVARIANCE_RIDGE * np.diag(np.diag(covariance))


def best_mean(usable: Mask, covariance: NDArray[np.float64]) -> tuple[Array, Array]:
    """Return the weights for each combination of usable references (at most 62): of least variance, but none negative.

    Weights (references x height x width; sum 1 over the references), and the variance (height x width) of the averaged
    difference from the target; both are 0 where none is usable. References with a negative weight are dropped until
    none is left, which comes near the least variance.
    """
    bits = np.packbits(usable, axis=0, bitorder="little").reshape(-1, usable[0].size)
    code = sum(byte.astype(np.int64) << 8 * place for place, byte in enumerate(bits))
    seen, index = np.unique(code, return_inverse=True)
    combinations = (seen[:, None] >> np.arange(len(usable)) & 1).astype(bool)
    weights, variances = np.zeros(combinations.shape, np.float32), np.zeros(len(combinations), np.float32)
    for number, used in enumerate(combinations):
        if used.any():
            weights[number], variances[number] = _least_variance(used, covariance)
    shape = usable.shape[1:]
    return weights[index].T.reshape(usable.shape), variances[index].reshape(shape)


def _least_variance(used: NDArray[np.bool_], covariance: NDArray[np.float64]) -> tuple[Array, float]:
    used = used.copy()
    while True:
        solved = np.linalg.solve(covariance[np.ix_(used, used)], np.ones(int(used.sum())))
        if (solved > 0).all():
            break
        used[np.flatnonzero(used)[solved <= 0]] = False
    weights = np.zeros(len(used), np.float32)
    weights[used] = solved / solved.sum()
    return weights, float(1.0 / solved.sum())


def without_outliers(
    ratios: Array,
    valid: Mask,
    weights: NDArray[np.float64],
    scale_px: float,
    level: float,
    numbers: SceneNumbers = OWN,
) -> Mask:
    """Return `valid` without what stands out of the other references, up or down alike, so that no mean is shifted.

    At each pixel only the reference that stands out most, as it lifts the others' means too; then the next. Of two
    references none can be told from the other.
    """
    usable = valid
    for turn in range(min(len(ratios) - 2, OUTLIER_ROUNDS)):
        residuals, known = leave_one_out(ratios, usable, weights)
        z = np.zeros_like(residuals)
        for k, (smoothed, inside) in enumerate(zip(smooth_each(residuals, known, scale_px), known, strict=True)):
            if inside.any():
                noise = max(
                    numbers.of(f"outliers {turn} of {k}", partial(robust_sigma, smoothed, inside)),
                    least_noise(scale_px),
                )
                z[k] = np.where(inside, np.abs(smoothed) / noise, 0.0)
        out = (z >= level) & (z == z.max(axis=0))
        if not out.any() and not numbers.is_large:  # another window of it may have some
            break
        usable = usable & ~np.stack([ndimage.binary_dilation(one, iterations=max(1, round(scale_px))) for one in out])
    return usable
