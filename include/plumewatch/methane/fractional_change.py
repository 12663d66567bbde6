"""The published form of the retrieval: the fractional change of band 12 against band 11, an earlier date, or both.

    MBSP (multi-band, single-pass)  dR = (c R12 - R11) / R11
    SBMP (single-band, multi-pass)  dR = (c R12 - R12') / R12'           a prime marks the earlier date
    MBMP (multi-band, multi-pass)   dR = dR_MBSP - dR_MBSP'

c scales band 12 of the whole scene to what it is compared with. Methane makes dR negative. Reference: Varon et al.
2021, doi:10.5194/amt-14-2771-2021. The detector itself goes by the normalised ratio form of `retrieval`.

What the forward models say of each: with a column in the target, R12 = T12 rho12 and R11 = T11 rho11, so that on ground
where c rho12 = rho11 the MBSP is T12 / T11 - 1. On ground with c rho12 = (1 + e) rho11 both dates hold e, and MBMP is
(1 + e) (T12 / T11 - 1): the share e of the column is wrong there, and right in the mean over ground, to which c is
fitted. The ratio form M = (1 + dR) / (1 + dR') has no such error.
The published model of MBSP and MBMP, (T12 - 1) - (T11 - 1), is the first order of the same: inverted, it gives 1 % too
much at 1 mol/m2 and 10 % at 8 (Sentinel-2A, air mass factor 2), so it is here for comparison.
Satellite and air mass factor are always those of the target: the earlier date has no plume of its own, and whatever
else differs between the dates is the same factor for the whole scene, which c takes up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.methane.retrieval import (
    BandTransmittance,
    Floats,
    compute_transmittance,
    interpolate_enhancement,
    transmittance_curve,
)
from plumewatch.methane.smoothing import Array, Mask, robust_sigma

OUTLIER_SIGMA = 3.0  # chosen: of Gaussian ground it leaves out 0.3 %


class ForwardModel(StrEnum):
    """How a column enhancement shows in a fractional change."""

    MULTI_BAND = "multi_band"
    """MBSP and MBMP: T12 / T11 - 1."""
    SINGLE_BAND = "single_band"
    """SBMP: T12 - 1."""
    MULTI_BAND_FIRST_ORDER = "multi_band_first_order"
    """MBSP and MBMP as published: T12 - T11."""


@dataclass(frozen=True)
class BandScale:
    """The factor c of a scene, fitted through the origin."""

    factor: float
    """Band compared with over band 12; NaN where no pixel is valid."""
    n_pixels: int
    """Pixels of the last fit."""
    n_left_out: int
    """Pixels of the first fit that were too far from it for the last."""


@dataclass(frozen=True, eq=False)
class FractionalChange:
    """A map of dR and what it was made of."""

    values: Array
    """dR, height x width; negative where methane absorbs, not clipped, NaN where not valid."""
    model: ForwardModel
    """Which forward model inverts it."""
    scales: tuple[BandScale, ...]
    """c of the target, then of each reference that has its own."""


def fit_band_scale(b12: NDArray, compared: NDArray, ground: Mask) -> BandScale:
    """Fit c = sum(R12 R) / sum(R12^2) over `ground`, refitted once without outliers.

    An outlier (a plume nobody masked, a flare, water) has a dR that is further from the scene's median than
    OUTLIER_SIGMA robust standard deviations (1.4826 times the median absolute deviation) of dR in the first fit. Bands
    are reflectances, height x width; pixels of `ground` without a positive value in both are left out from the start.

    >>> ground = np.full((2, 2), True)
    >>> fit_band_scale(np.full((2, 2), 0.25), np.full((2, 2), 0.5), ground).factor
    2.0
    """
    inside = ground & (b12 > 0) & (compared > 0)
    own, other = b12[inside], compared[inside]
    if not own.size:
        return BandScale(np.nan, 0, 0)
    change = own / other  # dR but for the first c, which stretches dR and its deviations alike
    kept = ~_is_outlier(change)
    own, other = own[kept], other[kept]
    factor = float(np.sum(own * other, dtype=float) / np.sum(own * own, dtype=float))
    return BandScale(factor, int(kept.sum()), int(change.size - kept.sum()))


def compute_mbsp(b11: NDArray, b12: NDArray, valid: Mask, plume: Mask | None = None) -> FractionalChange:
    """Return dR = (c R12 - R11) / R11 of one date.

    Reflectances and masks are height x width. `plume`, where it is known, is left out of the fit of c.
    """
    scale, values = _scaled_change(b12, b11, valid, plume)
    return FractionalChange(values, ForwardModel.MULTI_BAND, (scale,))


def compute_sbmp(b12: NDArray, reference_b12: NDArray, valid: Mask, plume: Mask | None = None) -> FractionalChange:
    """Return dR = (c R12 - R12') / R12' of band 12 against an earlier date; `valid` holds for both."""
    scale, values = _scaled_change(b12, reference_b12, valid, plume)
    return FractionalChange(values, ForwardModel.SINGLE_BAND, (scale,))


def compute_mbmp(target: FractionalChange, references: Sequence[FractionalChange]) -> FractionalChange:
    """Return the MBSP of the target minus the mean MBSP of one or several earlier dates without plume.

    Each pixel's mean is over the dates that are valid there; NaN where none is. The mean of several: Zhang et al. 2022,
    doi:10.5194/amt-15-7155-2022. Raises ValueError without a reference or where a map isn't an MBSP.
    """
    changes = (target, *references)
    if len(changes) < 2 or any(change.model is ForwardModel.SINGLE_BAND for change in changes):
        raise ValueError("MBMP needs the MBSP of the target and of at least one reference")
    total, count = np.zeros_like(target.values), np.zeros(target.values.shape, np.float32)
    for reference in references:
        seen = np.isfinite(reference.values)
        total += np.where(seen, reference.values, np.float32(0.0))
        count += seen
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    scales = tuple(scale for change in changes for scale in change.scales)
    return FractionalChange(target.values - mean, ForwardModel.MULTI_BAND, scales)


def centre_on_ground(change: FractionalChange, ground: Mask) -> FractionalChange:
    """Return (1 + dR) / (1 + dR_0) - 1, so that ln(1 + dR) is zero in the mean over `ground`, outliers left out.

    A fit through the origin takes all scatter for that of the band compared with, and makes c too small by about 1.5
    times the relative variance of the bands' ratio: on ground whose ratio varies by 1 %, MBSP is 1.5e-4 too low, 0.003
    mol/m2. MBMP loses it in the difference of the dates. Outliers as in `fit_band_scale`; a map without a valid pixel
    on the ground is returned as it is.
    """
    inside = ground & (change.values > -1.0)
    if not inside.any():
        return change
    log_change = np.log1p(change.values[inside])
    kept = ~_is_outlier(log_change)
    level = np.float32(np.exp(log_change[kept].mean(dtype=float)))
    return replace(change, values=(change.values - (level - np.float32(1.0))) / level)


def compute_change(
    omega_mol_m2: ArrayLike,
    platform: str,
    air_mass_factor: float,
    model: ForwardModel = ForwardModel.MULTI_BAND,
) -> Floats:
    """Return the fractional change m(Omega) that a column enhancement (mol/m2, any shape) makes.

    Satellite and air mass factor are the target's. Raises InputError for one that the table doesn't hold.

    >>> round(float(compute_change(1.0, "sentinel-2a", 2.0)), 4)
    -0.0472
    """
    transmittance = compute_transmittance(omega_mol_m2, platform, air_mass_factor)
    return _change_of(transmittance, model)


def invert_change(
    change: ArrayLike, platform: str, air_mass_factor: float, model: ForwardModel = ForwardModel.MULTI_BAND
) -> Floats:
    """Return the column enhancement in mol/m2 of a fractional change (any shape): the inverse of `compute_change`.

    Not clipped: a positive change (noise) goes by the slope at zero. A change of -1 or less gives NaN.
    """
    curve = transmittance_curve(platform, air_mass_factor)
    at_nodes = _change_of(BandTransmittance(np.exp(curve.log_b11), np.exp(curve.log_b12)), model)
    return interpolate_enhancement(-np.asarray(change, dtype=float), -np.log1p(at_nodes), curve.omega_mol_m2)


def _is_outlier(values: NDArray) -> Mask:
    return np.abs(values - np.median(values)) > OUTLIER_SIGMA * robust_sigma(values)


def _change_of(transmittance: BandTransmittance, model: ForwardModel) -> Floats:
    if model is ForwardModel.SINGLE_BAND:
        return transmittance.b12 - 1.0
    if model is ForwardModel.MULTI_BAND_FIRST_ORDER:
        return transmittance.b12 - transmittance.b11
    return transmittance.b12 / transmittance.b11 - 1.0


def _scaled_change(b12: NDArray, compared: NDArray, valid: Mask, plume: Mask | None) -> tuple[BandScale, Array]:
    usable = valid & (b12 > 0) & (compared > 0)
    scale = fit_band_scale(b12, compared, usable if plume is None else usable & ~plume)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.float32(scale.factor) * b12 / compared - np.float32(1.0)
    return scale, np.where(usable, change, np.nan).astype(np.float32)
