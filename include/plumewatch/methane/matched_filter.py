"""Averages in the shape of a plume: how far the absorption around each pixel stands out of the noise of such averages.

A plume is spread thinly over hundreds of pixels, so nothing is decided before the field is averaged by templates:
wedges that widen downwind, in the directions that the wind allows, and round ones for plumes that no direction fits.
The filter is the matched one for noise that is correlated from pixel to pixel: template over noise spectrum (Turin
1960, doi:10.1109/TIT.1960.1057571).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from plumewatch.geodesy import angle_between_deg
from plumewatch.methane.smoothing import OWN, Array, Mask, SceneNumbers, robust_sigma
from plumewatch.methane.thresholds import PlumeThresholds

Floats = NDArray[np.float64]

DIRECTION_STEP_DEG = 15.0  # half of it is a little more than a wedge opens to either side (6 degrees)
SUBCELLS = 3  # a template is averaged over 3 x 3 points of each cell
CORE_SHARE = 0.1  # of a template's highest value: what lies above is its footprint
COVERAGE_BLOCK = 4  # coverage is as smooth as the templates: computed on blocks of so many pixels
SPECTRUM_CLIP = 3.0  # sigma: a plume or an edge must not count as noise
LEAST_POWER = 0.01  # of white noise of the field's own spread: a field without noise has the steps of the reflectance
LEAST_OF_EXPECTED = 0.5  # a response's noise is at least half of what the noise's spectrum lets expect
REACH_PX = 50  # of a filter beside its template, in a large scene: a margin's 120 pixels hold both
LOCAL_PX = 512  # of the transform that such a filter is made with: twice its length
# Edges of the rings that a spectrum is averaged over, cycles a pixel; the widest wave fits four times into 1000 pixels.
RINGS = np.array([0.004, 0.01, 0.02, 0.03, 0.04, 0.055, 0.08, 0.12, 0.17, 0.25, 0.5, 0.72])


@dataclass(frozen=True, eq=False)
class Template:
    """The shape of a plume around its source, which lies in the middle cell."""

    towards_deg: float | None
    """Direction that it runs to, clockwise from the grid's north; None for a round one."""
    length_m: float
    """Of a wedge: where it ends; of a round one: its standard deviation."""
    values: Array
    """Odd number of rows and columns; the sum of the squares is 1."""

    @property
    def footprint(self) -> Mask:
        """Cells that matter."""
        return self.values > CORE_SHARE * self.values.max()


@dataclass(frozen=True, eq=False)
class Matches:
    """What the templates say at each pixel, taken as the source of a plume."""

    z: Array
    """Highest response in units of its own noise; -inf where too few pixels are valid."""
    best: NDArray[np.int16]
    """Which template gave it."""
    lowest_z: float
    """Lowest response of any template anywhere: how far the same noise reaches where no plume can be the reason."""
    templates: tuple[Template, ...]
    """In the order that `best` counts."""
    z_per_mol_m: float
    """Response to a straight plume of 1 mol of methane per metre, at the scene's typical noise."""


def plume_templates(
    pixel_size_m: float, wind_towards_deg: float | None, limits: PlumeThresholds
) -> tuple[Template, ...]:
    """Return round templates and wedges: those near the wind's direction, nearest first; all without a wind."""
    rule = limits.templates
    steps = np.arange(0.0, 360.0, DIRECTION_STEP_DEG)
    if wind_towards_deg is not None:
        off = angle_between_deg(steps, wind_towards_deg)
        near = off <= rule.wind_direction_range_deg
        steps = steps[near][np.argsort(off[near], kind="stable")]
    shape = (pixel_size_m, rule.source_width_m, rule.growth)
    wedges = [wedge(float(towards), length, *shape) for length in rule.lengths_m for towards in steps]
    return (*(round_template(sigma, pixel_size_m) for sigma in rule.round_m), *wedges)


@lru_cache(maxsize=256)
def wedge(towards_deg: float, length_m: float, pixel_size_m: float, source_width_m: float, growth: float) -> Template:
    """Return a steady plume: Gaussian across, widening by `growth` a metre, thinning out before `length_m`."""
    values = _steady_plume(towards_deg, length_m, pixel_size_m, source_width_m, growth)
    return Template(towards_deg, length_m, (values / np.sqrt((values**2).sum())).astype(np.float32))


@lru_cache(maxsize=16)
def round_template(sigma_m: float, pixel_size_m: float) -> Template:
    """Return a Gaussian."""
    half = int(np.ceil(3 * sigma_m / pixel_size_m))
    y, x = np.mgrid[-half : half + 1, -half : half + 1] * pixel_size_m
    values = np.exp(-(x**2 + y**2) / (2 * sigma_m**2))
    return Template(None, sigma_m, (values / np.sqrt((values**2).sum())).astype(np.float32))


def _steady_plume(
    towards_deg: float, length_m: float, pixel_size_m: float, source_width_m: float, growth: float
) -> Floats:
    """Return the column (per metre) of a plume of line density 1, averaged over cells; it fades over its last third."""
    half = int(np.ceil(length_m / pixel_size_m)) + 1
    points = (np.arange((2 * half + 1) * SUBCELLS) - (2 * half + 1) * SUBCELLS // 2) / SUBCELLS * pixel_size_m
    x, south = points[None, :], points[:, None]
    towards = np.radians(towards_deg)
    along = x * np.sin(towards) - south * np.cos(towards)
    across = x * np.cos(towards) + south * np.sin(towards)
    width = source_width_m + growth * np.maximum(along, 0.0)
    fading = np.clip((length_m - along) / (length_m / 3), 0.0, 1.0) * (along > 0)
    fine = fading * np.exp(-(across**2) / (2 * width**2)) / (np.sqrt(2 * np.pi) * width)
    cells = 2 * half + 1
    return fine.reshape(cells, SUBCELLS, cells, SUBCELLS).mean(axis=(1, 3))


def match_templates(
    field: Array,
    valid: Mask,
    templates: Sequence[Template],
    limits: PlumeThresholds,
    signal: Floats | None = None,
    numbers: SceneNumbers = OWN,
) -> Matches:
    """Compare the field (in units of the noise of its place; 0 where not valid) with all templates at all pixels.

    Values beyond `clip` sigma are pulled in: one wild pixel is no plume. `signal` is the field of a plume of 1 mol/m,
    its source in the middle cell.
    """
    rule = limits.templates
    widest = max(template.values.shape[0] for template in templates)
    reach = REACH_PX if numbers.is_large else 0
    size = [fft.next_fast_len(n + widest + 2 * reach, real=True) for n in field.shape]
    spectrum = fft.rfft2(np.clip(field, -rule.clip, rule.clip).astype(np.float32), size)
    rings = numbers.of("spectrum", lambda: _mean_of_rings(field, valid, size))
    inverse_noise = (1.0 / _power_at(size, rings)).astype(np.float32)
    local_power = _power_at((LOCAL_PX, LOCAL_PX), rings) if numbers.is_large else None
    of_signal = None if signal is None else fft.rfft2(signal.astype(np.float32), size)
    cover = _Coverage(valid, widest)
    best = np.full(field.shape, -np.inf, np.float32)
    which = np.zeros(field.shape, np.int16)
    lowest, per_mol = 0.0, 0.0
    for index, template in enumerate(templates):
        of_template = np.conj(fft.rfft2(template.values, size))
        kernel = of_template * inverse_noise
        if local_power is not None:
            kernel = _within_reach(template, local_power, size)
        least = LEAST_OF_EXPECTED * float(np.sqrt((np.abs(of_template) ** 2 * inverse_noise).mean()))
        response = _from_middle(fft.irfft2(spectrum * kernel, size), template.values.shape, field.shape)
        coverage = cover.of(template)
        inside = valid & (coverage >= rule.min_coverage)
        if not inside.any():
            continue
        response = np.divide(response, np.sqrt(coverage), out=np.zeros_like(response), where=inside)
        noise = numbers.of(f"response {index}", partial(_noise_of, response, inside, least))
        response /= noise
        lowest = min(lowest, float(response.min()))
        if of_signal is not None:
            middle = fft.irfft2(of_signal * kernel, size)
            offset = tuple((a - b) // 2 for a, b in zip(signal.shape, template.values.shape, strict=True))  # type: ignore[union-attr]
            per_mol = max(per_mol, float(middle[offset]) / noise)
        higher = inside & (response > best)
        np.copyto(best, response, where=higher)
        which[higher] = index
    per_mol = numbers.of("significance per mol/m", lambda: per_mol)
    return Matches(best, which, lowest, tuple(templates), per_mol)


def _within_reach(template: Template, power: Array, size: Sequence[int]) -> NDArray[np.complex64]:
    """Return a template over the power of the noise (of a transform of LOCAL_PX) as a filter that ends: beyond
    REACH_PX around the template it is nothing, so that a response is told by the pixels there alone.
    """
    square = (LOCAL_PX, LOCAL_PX)
    whole = fft.irfft2(np.conj(fft.rfft2(template.values, square)) / power, square)
    lags = np.r_[0 : REACH_PX + 1, -(template.values.shape[0] - 1 + REACH_PX) : 0]
    near = np.zeros(size, np.float32)
    near[np.ix_(lags, lags)] = whole[np.ix_(lags, lags)]
    return fft.rfft2(near).astype(np.complex64)


def _noise_of(response: Array, inside: Mask, least: float) -> float:
    return max(robust_sigma(response, inside), least)


def noise_power(field: Array, valid: Mask, size: Sequence[int]) -> Array:
    """Return the power of the field's noise at the frequencies of a real transform of `size`.

    Averaged over rings, never rising with frequency, interpolated in log frequency. 1 for white noise of variance 1.
    """
    return _power_at(size, _mean_of_rings(field, valid, size))


def _power_at(size: Sequence[int], rings: tuple[Floats, Floats]) -> Array:
    middle, power = rings
    at = np.log(np.maximum(_frequency(size), RINGS[0]))
    return np.maximum(np.interp(at, np.log(middle), power), LEAST_POWER).astype(np.float32)


def _frequency(size: Sequence[int]) -> Floats:
    """Return the cycles a pixel of a real transform."""
    return np.hypot(fft.fftfreq(size[0])[:, None], fft.rfftfreq(size[1])[None, :])


def _mean_of_rings(field: Array, valid: Mask, size: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the middle of each ring that has a frequency, and its power, never rising."""
    clipped = np.where(valid, np.clip(field, -SPECTRUM_CLIP, SPECTRUM_CLIP), np.float32(0.0))
    power = np.abs(fft.rfft2(clipped, size)) ** 2 / max(int(valid.sum()), 1)
    ring = np.digitize(_frequency(size), RINGS).ravel()
    count = np.bincount(ring, minlength=len(RINGS) + 1)[1:-1]
    mean = np.bincount(ring, power.ravel(), len(RINGS) + 1)[1:-1] / np.maximum(count, 1)
    middle, mean = np.sqrt(RINGS[1:] * RINGS[:-1])[count > 0], mean[count > 0]
    return middle, np.maximum.accumulate(mean[::-1])[::-1]


class _Coverage:
    """Share of a template's squared weight that falls on valid pixels, at every pixel."""

    def __init__(self, valid: Mask, widest: int) -> None:
        self._shape = valid.shape
        blocks = _block_means(valid.astype(np.float32))
        self._blocks = blocks.shape
        self._size = [fft.next_fast_len(n + widest // COVERAGE_BLOCK + 2, real=True) for n in blocks.shape]
        self._spectrum = fft.rfft2(blocks, self._size)

    def of(self, template: Template) -> Array:
        """Return the share, 0 to 1."""
        weight = _block_means(_centred(template.values**2)) * COVERAGE_BLOCK**2
        kernel = np.conj(fft.rfft2(weight, self._size))
        share = _from_middle(fft.irfft2(self._spectrum * kernel, self._size), weight.shape, self._blocks)
        stretched = np.repeat(np.repeat(share, COVERAGE_BLOCK, 0), COVERAGE_BLOCK, 1)
        return np.clip(stretched[: self._shape[0], : self._shape[1]], 1e-3, 1.0)


def _centred(values: Array) -> Array:
    """Pad so that the middle cell lies in the middle of the middle block."""
    half = values.shape[0] // 2
    blocks = -(-half // COVERAGE_BLOCK)
    before = blocks * COVERAGE_BLOCK + COVERAGE_BLOCK // 2 - half
    after = (2 * blocks + 1) * COVERAGE_BLOCK - before - values.shape[0]
    return np.pad(values, ((before, after), (before, after)))


def _block_means(field: Array) -> Array:
    rows, cols = (-n % COVERAGE_BLOCK for n in field.shape)
    padded = np.pad(field, ((0, rows), (0, cols)))
    height, width = (n // COVERAGE_BLOCK for n in padded.shape)
    return padded.reshape(height, COVERAGE_BLOCK, width, COVERAGE_BLOCK).mean(axis=(1, 3))


def _from_middle(response: NDArray[Any], template_shape: Iterable[int], shape: tuple[int, ...]) -> Array:
    """Return the correlation of a template whose middle lies on each pixel of an image of `shape`."""
    half = [-(n // 2) for n in template_shape]
    rows, cols = (np.arange(n) + h for n, h in zip(shape, half, strict=True))
    return response[rows[:, None] % response.shape[0], cols[None, :] % response.shape[1]].astype(np.float32)


def steady_signal(templates: Sequence[Template], pixel_size_m: float, limits: PlumeThresholds) -> Floats:
    """Return the column (mol/m2) of a straight plume of 1 mol/m, its source in the middle cell.

    It runs where the first of the wedges does, which is the nearest to the wind, and as far as the longest.
    """
    rule = limits.templates
    wedges = [template for template in templates if template.towards_deg is not None]
    towards_deg = wedges[0].towards_deg or 0.0
    longest = max(wedge.length_m for wedge in wedges)
    return _steady_plume(towards_deg, longest, pixel_size_m, rule.source_width_m, rule.growth)
