"""Absorption averaged on several scales, each in units of the noise that such an average has at its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plumewatch.methane.references import Comparison
from plumewatch.methane.significance import Array, least_noise, local_noise, robust_sigma, smooth
from plumewatch.methane.thresholds import Thresholds


@dataclass(frozen=True, eq=False)
class Scale:
    """The averages by a Gaussian of one width."""

    scale_m: float
    """Standard deviation of the Gaussian."""
    z: Array
    """Averaged absorption in units of its noise; -inf where too few pixels are valid."""
    noise: float
    """The noise of the averaged absorption, median over the scene."""


def compute_noise(comparison: Comparison, pixel_size_m: float, limits: Thresholds) -> list[Array]:
    """Return for each scale the noise of the averaged absorption at each pixel, up to one factor for the scene.

    From the references where there are two or more, else from the target's own surroundings; more where the mean of the
    references is of fewer dates.
    """
    smoothing = limits["smoothing"]
    variance = 1.0 + comparison.reference_variance
    fewer = np.sqrt(variance / np.median(variance[comparison.valid])) if comparison.valid.any() else variance
    noises = []
    for scale_m in smoothing["scales_m"]:
        scale_px = scale_m / pixel_size_m
        if len(comparison.residuals):
            noise = _noise_of_references(comparison, scale_px, limits)
        else:
            averaged = smooth(comparison.absorption, comparison.valid, scale_px)
            inside = comparison.valid & (averaged.coverage >= smoothing["min_coverage"])
            noise = local_noise(averaged.values, inside, smoothing["local_noise_m"] / pixel_size_m)
        noises.append((noise * fewer).astype(np.float32))
    return noises


def _noise_of_references(comparison: Comparison, scale_px: float, limits: Thresholds) -> Array:
    """Return the root mean square of the references' averaged residuals, pooled over the neighbourhood.

    Drawn towards the scene's own, which counts as much as `noise_prior` independent residuals (K references have K -
    1).
    """
    smoothing = limits["smoothing"]
    squares, counts = (np.zeros(comparison.valid.shape, np.float32) for _ in range(2))
    typical = []
    for residual, known in zip(comparison.residuals, comparison.residuals_valid, strict=True):
        averaged = smooth(residual, known, scale_px)
        inside = known & (averaged.coverage >= smoothing["min_coverage"])
        squares += np.where(inside, averaged.values**2, np.float32(0.0))
        counts += inside
        if inside.any():
            typical.append(robust_sigma(averaged.values[inside]) ** 2)
    pool_px = smoothing["noise_pooling"] * scale_px
    pooled, counted = (ndimage.gaussian_filter(a, pool_px, mode="constant") for a in (squares, counts))
    independent, prior = 1.0 - 1.0 / len(comparison.residuals), smoothing["noise_prior"]
    scene = float(np.mean(typical)) if typical else 0.0
    return np.sqrt((independent * pooled + prior * scene) / (independent * counted + prior))


def compute_scales(
    comparison: Comparison, noises: list[Array], pixel_size_m: float, limits: Thresholds
) -> tuple[Scale, ...]:
    """Return the significance on each scale, with the noise scaled to the scene's own spread."""
    smoothing = limits["smoothing"]
    scales = []
    for scale_m, local in zip(smoothing["scales_m"], noises, strict=True):
        averaged = smooth(comparison.absorption, comparison.valid, scale_m / pixel_size_m)
        inside = comparison.valid & (averaged.coverage >= smoothing["min_coverage"])
        least = least_noise(scale_m / pixel_size_m)
        local = np.maximum(local, least)
        spread = robust_sigma((averaged.values / local)[inside])
        noise = np.maximum(local * spread, least)
        z = np.where(inside, averaged.values / noise, -np.inf).astype(np.float32)
        scales.append(Scale(float(scale_m), z, float(np.median(noise[inside]))))
    return tuple(scales)
