"""The published form of the retrieval: the fractional change of band 12 against band 11, of one date or two.

    MBSP (multi-band, single-pass)  dR = (c R12 - R11) / R11
    MBMP (multi-band, multi-pass)   dR = dR_MBSP - dR_MBSP'              a prime marks the earlier date

c scales band 12 of the whole scene to band 11. Methane makes dR negative. Reference: Varon et al. 2021,
doi:10.5194/amt-14-2771-2021. The detector itself goes by the normalised ratio form of `retrieval`.

What it says of the column: with a column in the target, R12 = T12 rho12 and R11 = T11 rho11, so that on ground
where c rho12 = rho11 the MBSP is T12 / T11 - 1. On ground with c rho12 = (1 + e) rho11 both dates hold e, and MBMP is
(1 + e) (T12 / T11 - 1): the share e of the column is wrong there, and right in the mean over ground, to which c is
fitted. The ratio form M = (1 + dR) / (1 + dR') has no such error.
So the column is `retrieval.estimate_enhancement` of -dR. The published model of MBSP and MBMP, (T12 - 1) - (T11 - 1),
is the first order of the same. Satellite and air mass factor are always those of the target: the earlier date has no
plume of its own, and whatever else differs between the dates is the same factor for the whole scene, which c takes up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plumewatch.methane.smoothing import Array, Mask, robust_sigma

OUTLIER_SIGMA = 3.0  # chosen: of Gaussian ground it leaves out 0.3 %


def fit_band_scale(b12: NDArray, b11: NDArray, ground: Mask) -> float:
    """Return c = sum(R12 R11) / sum(R12^2) over `ground`, refitted once without outliers; NaN where no pixel is valid.

    An outlier (a plume nobody masked, a flare, water) has a dR that is further from the scene's median than
    OUTLIER_SIGMA robust standard deviations (1.4826 times the median absolute deviation) of dR in the first fit. Bands
    are reflectances, height x width; pixels of `ground` without a positive value in both are left out from the start.

    >>> ground = np.full((2, 2), True)
    >>> fit_band_scale(np.full((2, 2), 0.25), np.full((2, 2), 0.5), ground)
    2.0
    """
    inside = ground & (b12 > 0) & (b11 > 0)
    own, other = b12[inside], b11[inside]
    if not own.size:
        return float("nan")
    change = own / other  # dR but for the first c, which stretches dR and its deviations alike
    kept = ~_is_outlier(change)
    own, other = own[kept], other[kept]
    return float(np.sum(own * other, dtype=float) / np.sum(own * own, dtype=float))


def compute_mbsp(b11: NDArray, b12: NDArray, valid: Mask, plume: Mask | None = None) -> Array:
    """Return dR = (c R12 - R11) / R11 of one date: negative where methane absorbs, not clipped, NaN where not valid.

    Reflectances and masks are height x width. `plume`, where it is known, is left out of the fit of c.
    """
    usable = valid & (b12 > 0) & (b11 > 0)
    scale = fit_band_scale(b12, b11, usable if plume is None else usable & ~plume)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.float32(scale) * b12 / b11 - np.float32(1.0)
    return np.where(usable, change, np.nan).astype(np.float32)


def compute_mbmp(target: Array, references: Sequence[Array]) -> Array:
    """Return the MBSP of the target minus the mean MBSP of one or several earlier dates without plume.

    Each pixel's mean is over the dates that are valid there; NaN where none is. The mean of several: Zhang et al. 2022,
    doi:10.5194/amt-15-7155-2022. Raises ValueError without a reference.
    """
    if not references:
        raise ValueError("MBMP needs the MBSP of the target and of at least one reference")
    total, count = np.zeros_like(target), np.zeros(target.shape, np.float32)
    for reference in references:
        seen = np.isfinite(reference)
        total += np.where(seen, reference, np.float32(0.0))
        count += seen
    return target - np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def centre_on_ground(change: Array, ground: Mask) -> Array:
    """Return (1 + dR) / (1 + dR_0) - 1, so that ln(1 + dR) is zero in the mean over `ground`, outliers left out.

    A fit through the origin takes all scatter for that of band 11, and makes c too small by about 1.5
    times the relative variance of the bands' ratio: on ground whose ratio varies by 1 %, MBSP is 1.5e-4 too low, 0.003
    mol/m2. MBMP loses it in the difference of the dates. Outliers as in `fit_band_scale`; a map without a valid pixel
    on the ground is returned as it is.
    """
    inside = ground & (change > -1.0)
    if not inside.any():
        return change
    log_change = np.log1p(change[inside])
    kept = ~_is_outlier(log_change)
    level = np.float32(np.exp(log_change[kept].mean(dtype=float)))
    return (change - (level - np.float32(1.0))) / level


def _is_outlier(values: NDArray) -> Mask:
    return np.abs(values - np.median(values)) > OUTLIER_SIGMA * robust_sigma(values)
