"""The same ground on earlier dates: what the target date is compared with, and how far it usually differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.methane.passes import Pass
from plumewatch.methane.registration import Shift, edges_of, estimate_shift, gradient_of, moved_back, without_edges
from plumewatch.methane.retrieval import compute_log_ratio
from plumewatch.methane.significance import (
    SAMPLED_VALUES,
    Array,
    Mask,
    least_noise,
    robust_sigma,
    slow_part,
    smooth,
)
from plumewatch.methane.thresholds import Thresholds

OUTLIER_SIGMA = 3.0  # values further out are pulled in before a covariance is computed from them
OUTLIER_ROUNDS = 2  # references with a plume of their own, or cloud, at one place
COVARIANCE_RIDGE = 0.05  # added to the variances, relative: a dozen references are not told apart exactly
DERIVATIVES_PX = 2  # second derivatives need two neighbours: a border so wide can't be registered
FLARE_SURROUNDINGS_PX = 3.0
FLARE_EXCESS = 0.25  # ln: a flare of a hundred square metres at 1,500 K adds more to band 12 of its pixel than a third
TARGET_SHARE = 0.5  # of the variance of a difference is the target's, where dates are alike
MIN_SHARED_PIXELS = 2000  # fewer don't tell a covariance


@dataclass(frozen=True, eq=False)
class Aligned:
    """References minus target, each as a natural logarithm, references x height x width; 0 where not valid."""

    ratios: Array
    """Of the band ratio, each relative to its scene's median."""
    brightness: Array
    """Of band 11, without its median."""
    valid: Mask
    """Usable in both."""
    edge_strength: Array
    """Root mean square of the references' ratio's derivatives: where registration leaves most, height x width."""
    other_changes: dict[str, Array]
    """By band: ln of its reflectance minus that of the references, without its median."""
    pixel_size_m: float
    """Cell size."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The target against the mean of its references: natural logarithms without their slow parts."""

    absorption: Array
    """ln R_ref - ln R = -ln M, about the signal of methane; 0 where not valid."""
    brightening: Array
    """ln of band 11 minus that of the references; 0 where not valid."""
    valid: Mask
    """Usable in the target and in at least one reference."""
    n_references: int
    """How many dates the target is compared with; 0 for its own surroundings."""
    variance: Array
    """Expected variance of the smoothed absorption, by which references see the pixel; 1 for the own surroundings."""
    edge_strength: Array
    """As in `Aligned`; 0 for the own surroundings, whose texture is noise anyway."""
    weights: tuple[float, ...]
    """Of each reference in the mean, averaged over the pixels that were compared."""
    other_changes: dict[str, Array]
    """By further band: as `brightening`; empty where dates share no further band."""
    residuals: Array
    """Each reference against the mean of the others; references x height x width, empty for one."""
    residuals_valid: Mask
    """Where `residuals` are known: usable there and in another reference."""


def align(target: Pass, references: Sequence[Pass], limits: Thresholds) -> Aligned:
    """Bring the references onto the target's grid to a fraction of a pixel."""
    searched = target.is_usable & ~find_flares(target)
    log_ratio = compute_log_ratio(target.b11, target.b12, searched)
    log_b11 = _log(target.b11, searched)
    slopes = gradient_of(log_b11, searched)
    valid = np.stack([comparable(target, reference, limits) for reference in references])
    shifts = [estimate_shift(_log(r.b11, v), log_b11, slopes, v) for r, v in zip(references, valid, strict=True)]
    brightness = np.stack([moved_back(_log(r.b11, v), v, s) for r, v, s in zip(references, valid, shifts, strict=True)])
    ratios = np.stack(
        [
            moved_back(compute_log_ratio(r.b11, r.b12, v), v, s)
            for r, v, s in zip(references, valid, shifts, strict=True)
        ]
    )
    of_ratio = edges_of([_mean(ratios, valid)], _without_seams(valid))
    of_ground = np.concatenate([edges_of([log_b11], searched), of_ratio])
    for k, v in enumerate(valid):
        difference = np.where(v, ratios[k] - log_ratio, np.float32(0.0))
        brightness[k] = _without_median(brightness[k] - log_b11, v)
        ratios[k] = without_edges(difference, of_ground, v)
    return Aligned(
        ratios=ratios,
        brightness=brightness,
        valid=valid,
        edge_strength=np.sqrt((of_ratio**2).mean(axis=0)),
        other_changes=_changes_of_other_bands(target, references, valid, shifts),
        pixel_size_m=target.pixel_size_m,
    )


def find_flares(one: Pass) -> Mask:
    """Return pixels whose band 12 shines far above their surroundings, as flares do, and their neighbours."""
    log_ratio = compute_log_ratio(one.b11, one.b12, one.is_usable)
    around = smooth(log_ratio, one.is_usable, FLARE_SURROUNDINGS_PX).values
    hot = one.is_usable & (log_ratio - around > FLARE_EXCESS)
    return ndimage.binary_dilation(hot, structure=np.ones((3, 3))) if hot.any() else hot


def _changes_of_other_bands(
    target: Pass, references: Sequence[Pass], valid: Mask, shifts: Sequence[Shift]
) -> dict[str, Array]:
    """Return by band how the logarithm of the reflectance differs from the mean of the references that have it."""
    changes = {}
    for name, band in target.other_bands.items():
        differences, seen = [], []
        for reference, usable, shift in zip(references, valid, shifts, strict=True):
            if name in reference.other_bands:
                its = reference.other_bands[name]
                inside = usable & (band > 0) & (its > 0) & np.isfinite(band) & np.isfinite(its)
                difference = _log(band, inside) - moved_back(_log(its, inside), inside, shift)
                differences.append(_without_median(difference, inside))
                seen.append(inside)
        if differences:
            changes[name] = _mean(np.stack(differences), np.stack(seen))
    return changes


def comparable(target: Pass, reference: Pass, limits: Thresholds) -> Mask:
    """Return where two passes can be compared: usable in both, no flare, and away from the reference's clouds.

    A border of the image and of gaps, which has no derivatives, can't be registered. Single pixels that aren't usable
    cost only themselves.
    """
    margin_px = round(limits["references"]["cloud_margin_m"] / target.pixel_size_m)
    here = target.is_usable & ~find_flares(target) & ~_beside_gaps(target.is_usable, DERIVATIVES_PX)
    there = reference.is_usable & ~find_flares(reference) & ~_beside_gaps(reference.is_usable, margin_px)
    inside = np.zeros_like(here)
    inside[DERIVATIVES_PX:-DERIVATIVES_PX, DERIVATIVES_PX:-DERIVATIVES_PX] = True
    return here & there & inside


def _beside_gaps(usable: Mask, margin_px: int) -> Mask:
    """Return gaps of at least 3 x 3 pixels and a margin around them; the image's end is no gap."""
    gaps = ndimage.binary_opening(~usable, structure=np.ones((3, 3)))
    return ndimage.maximum_filter(gaps, size=2 * margin_px + 1, mode="constant") if gaps.any() else gaps


def _mean(fields: Array, valid: Mask) -> Array:
    """Return the mean of the fields where any is valid, else 0."""
    count = valid.sum(axis=0, dtype=np.float32)
    total = np.where(valid, fields, np.float32(0.0)).sum(axis=0)
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0)


def _without_seams(valid: Mask) -> Mask:
    """Return where a mean over the valid dates is of the same number of dates as beside."""
    count = valid.sum(axis=0, dtype=np.int16)
    return (ndimage.minimum_filter(count, 3) == ndimage.maximum_filter(count, 3)) & (count > 0)


def compute_comparison(aligned: Aligned, limits: Thresholds) -> Comparison:
    """Compare the target with the mean of its references.

    Each difference loses its slow part first, so that gaps of a reference leave no step. At each pixel the references
    that see it get the weights that make the noise of the comparison least; where one stands out of the others, by a
    plume of its own or by a change of its ground, its pixels are left out.
    """
    smoothing = limits["smoothing"]
    background_px = smoothing["background_m"] / aligned.pixel_size_m
    scale_px = smoothing["reference_scale_m"] / aligned.pixel_size_m
    valid = aligned.valid
    ratios = np.stack([_without_slow_part(r, v, v, background_px) for r, v in zip(aligned.ratios, valid, strict=True)])
    covariance = _covariance(ratios, valid, scale_px)
    weights = 1.0 / np.diag(covariance)
    residuals, known = _leave_one_out(ratios, valid, weights) if len(ratios) > 1 else (ratios[:0], valid[:0])
    usable = _without_outliers(ratios, valid, weights, scale_px, limits["candidates"]["reference_significance"])
    mean = _best_mean(usable, covariance)
    any_valid = np.any(usable, axis=0)
    absorption, brightening = (
        _without_slow_part(np.einsum("kij,kij->ij", mean.weights, field), any_valid, any_valid, background_px)
        for field in (ratios, -aligned.brightness)
    )
    return Comparison(
        absorption=absorption,
        brightening=brightening,
        valid=any_valid,
        n_references=len(ratios),
        variance=mean.variance,
        edge_strength=aligned.edge_strength,
        weights=tuple(float(weight[any_valid].mean()) if any_valid.any() else 0.0 for weight in mean.weights),
        other_changes={
            name: _without_slow_part(change, any_valid, any_valid, background_px)
            for name, change in aligned.other_changes.items()
        },
        residuals=residuals,
        residuals_valid=known,
    )


def compare_with_surroundings(target: Pass, limits: Thresholds) -> Comparison:
    """Compare each pixel of one date with the ground around it: what is left without references."""
    background_px = limits["smoothing"]["background_m"] / target.pixel_size_m
    valid = target.is_usable
    log_ratio = compute_log_ratio(target.b11, target.b12, valid)
    none = np.zeros((0, *target.shape), np.float32)
    return Comparison(
        absorption=-_without_slow_part(log_ratio, valid, valid, background_px),
        brightening=_without_slow_part(_log(target.b11, valid), valid, valid, background_px),
        valid=valid,
        n_references=0,
        variance=np.ones(target.shape, np.float32),
        edge_strength=np.zeros(target.shape, np.float32),
        weights=(),
        other_changes={},
        residuals=none,
        residuals_valid=none.astype(bool),
    )


def against_ground(comparison: Comparison, ground: Mask, background_px: float) -> Comparison:
    """Return the comparison with slow parts taken from the pixels of `ground` alone."""
    valid = comparison.valid
    absorption, brightening = (
        _without_slow_part(field, valid, valid & ground, background_px)
        for field in (comparison.absorption, comparison.brightening)
    )
    return replace(comparison, absorption=absorption, brightening=brightening)


def _log(band: Array, valid: Mask) -> Array:
    return np.log(np.where(valid, band, np.float32(1.0))).astype(np.float32)


def _without_slow_part(field: Array, valid: Mask, ground: Mask, background_px: float) -> Array:
    field = np.where(valid, field, np.float32(0.0))
    return np.where(valid, field - slow_part(field, ground, background_px), np.float32(0.0))


def _without_median(field: Array, valid: Mask) -> Array:
    if not valid.any():
        return np.zeros_like(field)
    return np.where(valid, field - np.median(field[valid]), np.float32(0.0)).astype(np.float32)


def _leave_one_out(fields: Array, valid: Mask, weights: NDArray[np.float64]) -> tuple[Array, Mask]:
    """Return the mean of the others minus each field (of ln R: a reference's absorption), and where it is known."""
    w = weights.astype(np.float32)[:, None, None] * valid
    weighted = w * fields
    others_weight, others = w.sum(axis=0) - w, weighted.sum(axis=0) - weighted
    known = valid & (others_weight > 0.5 * weights.min().astype(np.float32))
    mean = np.divide(others, others_weight, out=np.zeros_like(others), where=known)
    return np.where(known, mean - fields, np.float32(0.0)), known


def _covariance(ratios: Array, valid: Mask, scale_px: float) -> NDArray[np.float64]:
    """Return the covariance (references x references) of the smoothed differences from the target.

    Of each pair by the pixels that both see, outliers pulled in; half of the smaller variance, the target's share, for
    pairs that share too few. Made positive definite, the diagonal raised a little.
    """
    smoothed = np.stack([smooth(ratio, v, scale_px).values for ratio, v in zip(ratios, valid, strict=True)])
    spreads = np.array([robust_sigma(s[v]) for s, v in zip(smoothed, valid, strict=True)])
    floor = least_noise(scale_px)
    spreads = np.fmax(spreads, floor)  # NaN where a reference sees nothing
    every = 1 + valid[0].size // SAMPLED_VALUES
    seen = valid.reshape(len(ratios), -1)[:, ::every].astype(float)
    limit = OUTLIER_SIGMA * spreads[:, None]
    samples = np.clip(smoothed.reshape(len(ratios), -1)[:, ::every], -limit, limit) * seen
    shared = seen @ seen.T
    assumed = TARGET_SHARE * np.minimum.outer(spreads, spreads) ** 2
    covariance = np.where(shared * every >= MIN_SHARED_PIXELS, samples @ samples.T / np.maximum(shared, 1.0), assumed)
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance), spreads**2))
    values, vectors = np.linalg.eigh(covariance)
    covariance = (vectors * np.maximum(values, floor**2)) @ vectors.T
    return covariance + COVARIANCE_RIDGE * np.diag(np.diag(covariance))


@dataclass(frozen=True, eq=False)
class _Mean:
    """How the references are averaged."""

    weights: Array
    """References x height x width; sum 1 over the references, 0 where none is usable."""
    variance: Array
    """Of the averaged difference from the target; 0 where none is usable."""


def _best_mean(usable: Mask, covariance: NDArray[np.float64]) -> _Mean:
    """Return the weights of least variance, none negative, for each combination of usable references."""
    seen, index = np.unique(np.packbits(usable, axis=0).reshape(-1, usable[0].size), axis=1, return_inverse=True)
    combinations = np.unpackbits(seen, axis=0, count=len(usable)).astype(bool).T
    weights, variances = np.zeros(combinations.shape, np.float32), np.zeros(len(combinations), np.float32)
    for number, used in enumerate(combinations):
        if used.any():
            weights[number], variances[number] = _least_variance(used, covariance)
    shape = usable.shape[1:]
    return _Mean(weights[index].T.reshape(usable.shape), variances[index].reshape(shape))


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


def _without_outliers(ratios: Array, valid: Mask, weights: NDArray[np.float64], scale_px: float, level: float) -> Mask:
    """Return `valid` without what stands out of the other references, up or down alike, so that no mean is shifted.

    At each pixel only the reference that stands out most, as it lifts the others' means too; then the next. Of two
    references none can be told from the other.
    """
    usable = valid
    for _ in range(min(len(ratios) - 2, OUTLIER_ROUNDS)):
        residuals, known = _leave_one_out(ratios, usable, weights)
        z = np.zeros_like(residuals)
        for k, (residual, inside) in enumerate(zip(residuals, known, strict=True)):
            if inside.any():
                smoothed = smooth(residual, inside, scale_px).values
                z[k] = np.where(
                    inside, np.abs(smoothed) / max(robust_sigma(smoothed[inside]), least_noise(scale_px)), 0
                )
        out = (z >= level) & (z == z.max(axis=0))
        usable = usable & ~np.stack([ndimage.binary_dilation(one, iterations=round(scale_px)) for one in out])
    return usable
