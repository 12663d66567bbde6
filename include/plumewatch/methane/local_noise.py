"""How noisy each place is: the absorption in units of the noise of its own ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.methane.references import Comparison
from plumewatch.methane.smoothing import (
    LEAST_NOISE,
    OWN,
    TINY,
    Array,
    Mask,
    SceneNumbers,
    least_noise,
    local_noise,
    robust_sigma,
    sampled,
    smooth,
    smooth_each,
)
from plumewatch.methane.thresholds import PlumeThresholds

# Classes of the strength of edges as shares of the scene, and their middles: the sharpest percent has its own.
EDGE_CLASSES = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99)
EDGE_MIDDLES = (0.25, 0.625, 0.825, 0.925, 0.965, 0.985, 0.995)


def compute_local_noise(
    comparison: Comparison, pixel_size_m: float, limits: PlumeThresholds, numbers: SceneNumbers = OWN
) -> Array:
    """Return the noise of a pixel's absorption, up to one factor for the scene; more where fewer references see it.

    From the references where there are two or more, else from the target's own surroundings.
    """
    smoothing = limits.smoothing
    valid = comparison.valid
    if numbers.of("has residuals", lambda: bool(comparison.residuals_valid.any())):
        noise = _noise_of_references(comparison, pixel_size_m, limits, numbers)
    else:
        averaged = smooth(comparison.absorption, valid, smoothing.noise_scale_m / pixel_size_m)
        noise = local_noise(averaged, valid, smoothing.local_noise_m / pixel_size_m, numbers)
    noise = np.maximum(noise, least_noise(smoothing.noise_scale_m / pixel_size_m))
    typical = numbers.of("usual variance", lambda: _usual(comparison.variance, valid)) if valid.any() else 1.0
    noise = (noise * np.sqrt(comparison.variance / typical)).astype(np.float32)
    return noise * _more_at_edges(comparison, noise, smoothing.noise_scale_m / pixel_size_m, numbers)


def _usual(values: Array, valid: Mask) -> float:
    return max(float(np.median(sampled(values, valid))), TINY)


def _more_at_edges(comparison: Comparison, noise: Array, scale_px: float, numbers: SceneNumbers) -> Array:
    """Return how much larger the noise is where the ground has edges, at least 1, from the scene itself.

    The spread of the averaged absorption over `noise` in classes of the strength of edges, against that of the weaker
    half: what registration left, which the references' differences from one another don't hold.
    """
    valid = comparison.valid
    strength = smooth(comparison.edge_strength, valid, scale_px)
    if not strength[valid].any():
        return np.ones_like(noise)

    def factors() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        relative = smooth(np.where(valid, comparison.absorption / np.maximum(noise, TINY), 0.0), valid, scale_px)
        limits = np.quantile(strength[valid], EDGE_CLASSES)
        number, values = np.digitize(strength[valid], limits), relative[valid]
        spreads = np.array([robust_sigma(values[number == n]) for n in range(len(limits) + 1)])
        factor = np.maximum.accumulate(np.nan_to_num(spreads / max(spreads[0], TINY), nan=1.0))
        return np.quantile(strength[valid], EDGE_MIDDLES), np.maximum(factor, 1.0)

    return np.interp(strength, *numbers.of("more at edges", factors)).astype(np.float32)


def in_units_of_noise(comparison: Comparison, noise: Array, numbers: SceneNumbers = OWN) -> tuple[Array, float]:
    """Return the absorption over the noise (0 where not valid) and the factor that makes its spread one.

    The noise of a pixel is that factor times `noise`.
    """
    valid = comparison.valid
    if not valid.any():
        return np.zeros_like(comparison.absorption), 1.0
    noise = np.maximum(noise, TINY)
    relative = np.where(valid, comparison.absorption / noise, np.float32(0.0))
    spread = numbers.of(
        "spread", lambda: max(robust_sigma(relative, valid), LEAST_NOISE / float(np.median(sampled(noise, valid))))
    )
    return (relative / spread).astype(np.float32), spread


def _noise_of_references(
    comparison: Comparison, pixel_size_m: float, limits: PlumeThresholds, numbers: SceneNumbers
) -> Array:
    """Return the root mean square of the references' averaged residuals, pooled over the neighbourhood.

    The largest quarter of the squares is left out at each pixel: a plume in one reference is no noise, ground that
    changes from date to date is. Drawn towards the scene's own, which counts as much as `noise_prior` residuals.
    """
    smoothing = limits.smoothing
    scale_px = smoothing.noise_scale_m / pixel_size_m
    residuals, known = comparison.residuals, comparison.residuals_valid
    averaged = smooth_each(residuals, known, scale_px)

    def mean_square() -> float:
        typical = [robust_sigma(a, k) ** 2 for a, k in zip(averaged, known, strict=True) if k.any()]
        return float(np.mean(typical)) if typical else 0.0

    scene = numbers.of("mean square", mean_square)
    squares = np.stack([np.where(k, a**2, np.float32(scene)) for a, k in zip(averaged, known, strict=True)])
    kept = len(squares) - int(smoothing.noise_trim * len(squares))
    if kept < len(squares):
        squares = np.partition(squares, kept - 1, axis=0)[:kept]
    mean = squares.mean(axis=0)
    if comparison.valid.any():
        mean *= scene / numbers.of("usual square", lambda: _usual(mean, comparison.valid))
    pooled = ndimage.gaussian_filter(mean, smoothing.noise_pooling * scale_px, mode="nearest")
    prior = smoothing.noise_prior
    return np.sqrt((kept * pooled + prior * scene) / (kept + prior))
