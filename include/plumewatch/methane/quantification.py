"""From the enhancement inside a plume's mask to its emission rate with an interval.

Integrated mass enhancement (IME): Q = Ueff x IME / L with L = sqrt(area of the mask) and the effective wind
Ueff = 0.33 U10 + 0.45 m/s fitted to large-eddy simulations for Sentinel-2. Reference: Varon et al. 2018,
doi:10.5194/amt-11-5673-2018, and 2021, doi:10.5194/amt-14-2771-2021.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage

from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL
from plumewatch.methane.significance import Array, Mask, robust_sigma
from plumewatch.methane.thresholds import Thresholds

Floats = NDArray[np.float64]

SECONDS_PER_HOUR = 3600.0
ONE_SIGMA = (0.1587, 0.8413)  # quantiles of a 68 % interval
MIN_PLACE_COVERAGE = 0.8  # a shifted mask must lie on so much valid, plume-free ground to tell the noise
MIN_PLACES = 50  # fewer shifted masks don't tell a standard deviation


@dataclass(frozen=True)
class Mass:
    """The methane in a plume's mask above its surroundings."""

    ime_kg: float
    """Integrated mass enhancement."""
    ime_sigma_kg: float
    """Its standard deviation from the noise of the image."""
    area_m2: float
    """Area of the mask."""
    ime_per_length_kg_m: tuple[float, float, float]
    """IME / sqrt(area) for the mask a pixel smaller, as it is, a pixel larger."""


@dataclass(frozen=True)
class Emission:
    """The rate of a source."""

    emission_kg_h: float
    """Best estimate."""
    low_kg_h: float
    """Lower end of the 68 % interval."""
    high_kg_h: float
    """Upper end of the 68 % interval."""


def effective_wind_m_s(wind_speed_10m_m_s: ArrayLike, limits: Thresholds) -> Floats:
    """Return Ueff = 0.33 U10 + 0.45 in m/s.

    >>> from plumewatch.methane.thresholds import thresholds
    >>> round(float(effective_wind_m_s(3.5, thresholds())), 3)
    1.605
    """
    rule = limits["emission"]
    return rule["effective_wind_slope"] * np.asarray(wind_speed_10m_m_s, dtype=float) + rule["effective_wind_offset"]


def compute_mass(
    enhancement_mol_m2: Array, mask: Mask, plume_free: Mask, pixel_size_m: float, limits: Thresholds
) -> Mass:
    """Return the mass of methane in `mask`; its noise is that of the same mask shifted over `plume_free` ground.

    `enhancement_mol_m2` (height x width, NaN where not valid) is relative to the surroundings; pixels of the mask
    without a value count as the mean of the others.
    """
    step = int(limits["emission"]["mask_step_px"])
    smaller = ndimage.binary_erosion(mask, iterations=step)
    larger = ndimage.binary_dilation(mask, iterations=step)
    masks = (smaller if smaller.any() else mask, mask, larger)
    mol_to_kg = MOLAR_MASS_CH4_KG_MOL * pixel_size_m**2
    sums = [float(np.nanmean(enhancement_mol_m2[m]) * m.sum() * mol_to_kg) for m in masks]
    per_length = tuple(s / (np.sqrt(m.sum()) * pixel_size_m) for s, m in zip(sums, masks, strict=True))
    sigma = noise_of_sum(enhancement_mol_m2, mask, plume_free) * mol_to_kg
    return Mass(sums[1], sigma, float(mask.sum() * pixel_size_m**2), per_length)


def noise_of_sum(field: Array, mask: Mask, plume_free: Mask) -> float:
    """Return the standard deviation of the field's sum over the mask, from the mask at all other places of the image.

    This holds the correlation of the noise from pixel to pixel. Where the mask fits at too few places, the noise of
    single pixels is taken as fully correlated inside the mask: an upper bound.
    """
    ground = plume_free & np.isfinite(field)
    values = np.where(ground, field, 0.0)
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    shape = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].astype(float)
    total, count = (_sums_over_places(image, shape) for image in (values, ground.astype(float)))
    places = count >= MIN_PLACE_COVERAGE * shape.sum()
    if places.sum() >= MIN_PLACES:
        return robust_sigma(total[places] / count[places]) * float(shape.sum())
    return robust_sigma(values[ground]) * float(shape.sum()) if ground.any() else float("nan")


def _sums_over_places(image: Floats, shape: Floats) -> Floats:
    """Return the sum of the image under `shape` at every place where it fits in whole."""
    size = [fft.next_fast_len(n, real=True) for n in image.shape]
    spectrum = fft.rfft2(image, size) * np.conj(fft.rfft2(shape, size))
    height, width = (n - m + 1 for n, m in zip(image.shape, shape.shape, strict=True))
    return fft.irfft2(spectrum, size)[:height, :width]


def estimate_emission(mass: Mass, wind_speed_10m_m_s: float, plume_id: str, limits: Thresholds) -> Emission:
    """Return the rate and its 68 % interval by Monte Carlo over wind, noise, mask and retrieval.

    The seed is the plume's id: the same plume has the same interval. IME 520 kg on 0.36 km2 in 3.5 m/s: 5.0 t/h.
    """
    rule = limits["emission"]
    smaller, best, larger = mass.ime_per_length_kg_m
    rate = float(effective_wind_m_s(wind_speed_10m_m_s, limits)) * best * SECONDS_PER_HOUR
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(plume_id.encode()).digest()[:8], "big"))
    n = int(rule["draws"])
    wind = np.maximum(0.0, wind_speed_10m_m_s * (1 + rule["wind_error"] * rng.standard_normal(n)))
    outline = np.interp(rng.uniform(-1, 1, n), [-1, 0, 1], [smaller, best, larger])
    noise = mass.ime_sigma_kg / np.sqrt(mass.area_m2) * rng.standard_normal(n)
    retrieval = 1 + rule["retrieval_error"] * rng.standard_normal(n)
    rates = effective_wind_m_s(wind, limits) * (outline + noise) * retrieval * SECONDS_PER_HOUR
    low, high = np.quantile(rates, ONE_SIGMA)
    return Emission(rate, min(float(low), rate), max(float(high), rate))


def detection_limit_kg_h(noise_mol_m2: dict[float, float], wind_speed_10m_m_s: float, significance: float) -> float:
    """Return the rate (kg/h) at which a plume reaches `significance`, the least over the Gaussian widths s.

    A plume of line density Q / U and as wide as the Gaussian has, averaged by it, the peak Q / (U 2 sqrt(pi) s), so
    Q = 2 sqrt(pi) s U significance noise M. Noise 0.02 mol/m2 at s = 40 m, 3 m/s, significance 5.5: 2.7 t/h.
    """
    rates = [2 * np.sqrt(np.pi) * scale_m * sigma for scale_m, sigma in noise_mol_m2.items() if np.isfinite(sigma)]
    if not rates:
        return float("nan")
    return float(min(rates) * wind_speed_10m_m_s * significance * MOLAR_MASS_CH4_KG_MOL * SECONDS_PER_HOUR)
