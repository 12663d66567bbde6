"""The fit of one plume: its line integral above the background, and the 68 % interval of that.

A plume is a Gaussian in each quarter of the strip's width, farther ahead from one to the next where the strip cuts it
at an angle, and what it differs from that: rows y have the covariance

    C = noise and background + (delta h)^2 e(x) e(x') exp(-(x - x')^2 / 2 sigma^2),

in which e, a wider Gaussian, holds the difference to the plume's place and its strength to a share delta of the height
h: skewed and double plumes are plumes. The integral is that of the Gaussian, by generalised least squares on rows and
on what their quarters differ by, and of the difference, by its expectation given the rows; centre and width are
averaged over by how well each explains both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from plumewatch.oco2.plume_shape import SPREAD_OF_QUARTERS, PlumeShape, gaussians_of_quarters
from plumewatch.oco2.rows import Rows
from plumewatch.oco2.scan import Scan, inverted, known_covariance
from plumewatch.oco2.templates import gaussian
from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]

SQRT_2_PI = math.sqrt(2.0 * math.pi)
GRID_CENTRES, GRID_WIDTHS, GRID_FACTOR, GRID_SIGMAS, LEAST_ROWS = 17, 15, 2.5, 1.2, 1.5  # around the scan's best
SLANTS: Floats = np.array([-4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4])  # rows a quarter that are tried
FEW_CENTRES, FEW_WIDTHS, LEAST_OF_WIDE = 7, 3, 0.3  # with each; how narrow a Gaussian may be over the mean of quarters
SMALL = 1e-9  # keeps what is divided by above 0
SLOPE_KM = 20.0  # on both sides of a centre: the slope that its background has over a plume's length
LEVELS: Floats = ndtr(np.array([-1.0, 0.0, 1.0]))
FAR_ERRORS, BISECTIONS = 3.0, 40
CORE_SHARE, LEAST_CORE = 0.5, 3  # of the largest enhancement; rows


@dataclass(frozen=True)
class Gaussian:
    """An enhancement along a track."""

    centre_km: float
    """Along-track distance of the centre."""
    height_ppm: float
    """Enhancement at the centre."""
    sigma_km: float
    """Standard deviation."""

    @property
    def amplitude_ppm_km(self) -> float:
        """Integral of the enhancement: height x sigma x sqrt(2 pi)."""
        return self.height_ppm * self.sigma_km * SQRT_2_PI

    def enhancement_ppm(self, distance_km: Floats) -> Floats:
        """The enhancement at along-track distances."""
        return self.height_ppm * gaussian(np.asarray(distance_km) - self.centre_km, self.sigma_km)


@dataclass(frozen=True)
class PeakFit:
    """A plume along a track; arrays have one value a row of its window."""

    shape: PlumeShape
    """The Gaussian that fits best."""
    centre_km: float
    """Along-track distance of the middle of the enhancement."""
    height_ppm: float
    """Largest enhancement of a row."""
    amplitude_ppm_km: float
    """Line integral of the enhancement."""
    amplitude_ppm_km_low: float
    """Lower end of its 68 % interval."""
    amplitude_ppm_km_high: float
    """Upper end."""
    statistic: float
    """Of the scan's strongest template."""
    n_soundings: int
    """In the window."""
    seen_share: float
    """Share of the rows with at least half of the largest enhancement that have soundings; NaN beyond the track."""
    along_km: Floats
    """Distance along the track."""
    background_along_ppm: Floats
    """Background there."""
    enhancement_along_ppm: Floats
    """Enhancement there."""

    @property
    def sigma_km(self) -> float:
        """Width of the Gaussian with this height and integral."""
        return self.amplitude_ppm_km / (self.height_ppm * SQRT_2_PI)

    def background_ppm(self, distance_km: Floats | float) -> Floats:
        """Background at along-track distances."""
        return np.asarray(np.interp(distance_km, self.along_km, self.background_along_ppm))

    @property
    def background_slope_ppm_km(self) -> float:
        """Slope of the background at the centre, over `SLOPE_KM` on both sides, or as far as the track goes."""
        around_km = self.centre_km + np.array([-SLOPE_KM, SLOPE_KM])
        ends_km = np.clip(around_km, self.along_km.min(), self.along_km.max())
        return float(np.diff(self.background_ppm(ends_km))[0] / np.diff(ends_km)[0])

    def enhancement_ppm(self, distance_km: Floats) -> Floats:
        """Enhancement at along-track distances."""
        return np.interp(distance_km, self.along_km, self.enhancement_along_ppm, left=0.0, right=0.0)

    def model_ppm(self, distance_km: Floats) -> Floats:
        """Background and enhancement at along-track distances."""
        return self.background_ppm(distance_km) + self.enhancement_ppm(distance_km)


@dataclass(frozen=True)
class _Window:
    """What a plume is told from."""

    row: Floats
    """Numbers of rows."""
    value: Floats
    """Their means, ppm."""
    quarter: Floats
    """What quarters differ by, ppm, shape (quarters, rows)."""
    weight: Floats
    """One over its variance, same shape."""

    def fit(self, inverse: Floats, centre: Floats, sigma: Floats, slant: Floats) -> _Grid:
        """Fit Gaussians of these centres, widths and slants (rows), shape (points,) each."""
        t = gaussians_of_quarters(self.row, centre, sigma, slant)
        g = t.mean(axis=1)
        total = self.weight.sum(axis=0)
        share = self.weight / np.where(total > 0, total, 1.0)
        weighted = self.weight * (t - (share * t).sum(axis=1, keepdims=True))
        filtered = g @ inverse
        information = np.einsum("pr,pr->p", filtered, g) + np.einsum("pqr,pqr->p", weighted, t)
        information = np.maximum(information, SMALL)
        height = (filtered @ self.value + np.einsum("pqr,qr->p", weighted, self.quarter)) / information
        return _Grid(centre, sigma, slant, g, height, 1.0 / information, height * np.sqrt(information))


@dataclass(frozen=True)
class _Grid:
    """Gaussians of all points of a grid, fitted; arrays have shape (points,)."""

    centre: Floats
    sigma: Floats
    slant: Floats
    g: Floats
    height: Floats
    variance: Floats
    z: Floats


def fit_plume(
    scan: Scan, centre_row: float, sigma_km: float, statistic: float, others: Sequence[PlumeShape] = ()
) -> PeakFit | None:
    """Return the fit of a plume near a row, None where no positive height fits; `others` are plumes beside it."""
    rows = scan.rows
    at, covariance = scan.window(centre_row, sigma_km)
    row = at.astype(float)
    covariance += known_covariance(others, row)
    value = rows.value_ppm[at]
    known = np.sum([other.of_quarters(row) for other in others], axis=0) if others else 0.0
    weight = rows.quarter_weight[:, at]
    window = _Window(row, value, rows.quarter_ppm[:, at], weight / (1.0 + weight * known))
    first = window.fit(inverted(covariance), *_slanted_grid(centre_row, sigma_km / rows.km_per_row))
    k = int(np.argmax(first.z))
    if first.height[k] <= 0:
        return None
    slant = float(first.slant[k])
    first = window.fit(inverted(covariance), *_grid(rows, first.centre[k], first.sigma[k], slant))
    k = int(np.argmax(first.z))
    shape = PlumeShape(float(first.centre[k]), float(first.sigma[k]), float(first.height[k]), slant)
    difference = shape.difference(row)
    inverse = inverted(covariance + difference)
    window = replace(window, weight=window.weight / (1.0 + window.weight * shape.differing_quarters(row)))
    grid = window.fit(inverse, *_grid(rows, shape.centre, shape.sigma, slant))
    z = np.maximum(grid.z, 0.0)
    if not z.any():
        return None
    likely = np.where(z > 0, np.exp(0.5 * (z**2 - z.max() ** 2)), 0.0)
    # given centre and width: the integral of the Gaussian, and the expected one of the difference
    km = rows.km_per_row
    along = difference.sum(axis=0) * km
    weights = along @ inverse
    area = grid.sigma * km * SQRT_2_PI - grid.g @ weights
    amplitude = area * grid.height + value @ weights
    rest = max(float(difference.sum()) * km**2 - float(weights @ along), 0.0)
    error = np.sqrt(area**2 * grid.variance + rest)
    profile, background = _profile(likely, grid, inverse, difference, value, rows.variance_ppm2[at])
    if seen_share_of(rows, at, shape, profile) < peak_thresholds().candidates.min_seen_share:
        # what fits as well with a large plume in a gap as with a small one beside it is told by how strong plumes are
        likely = likely * error * np.maximum(amplitude, error) ** -(1.0 + peak_thresholds().probability.exponent)
        profile, background = _profile(likely, grid, inverse, difference, value, rows.variance_ppm2[at])
    if profile.max() <= 0:
        return None
    likely = likely / likely.sum()
    quantiles = positive_quantiles(amplitude, error, likely)
    centre_km = float(np.interp(likely @ grid.centre, row, rows.distance_km[at]))
    seen = seen_share_of(rows, at, shape, profile)
    return peak_fit(rows, at, shape, statistic, centre_km, quantiles, seen, background, profile)


def _profile(
    likely: Floats, grid: _Grid, inverse: Floats, difference: Floats, value: Floats, variance: Floats
) -> tuple[Floats, Floats]:
    """Return enhancement and background (ppm) that rows are to be expected to have, by how likely each point is."""
    mean = (likely * grid.height) @ grid.g / likely.sum()
    explained = inverse @ (value - mean)
    profile = mean + difference @ explained
    return profile, value - profile - variance * explained


def peak_fit(
    rows: Rows,
    at: NDArray[np.intp],
    shape: PlumeShape,
    statistic: float,
    centre_km: float,
    amplitudes: tuple[float, float, float],
    seen_share: float,
    background: Floats,
    enhancement: Floats,
) -> PeakFit:
    """Return what was fitted in rows `at`; `amplitudes` are the ends of the interval and what lies in its middle."""
    low, middle, high = amplitudes
    return PeakFit(
        shape,
        centre_km,
        float(enhancement.max()),
        middle,
        low,
        high,
        statistic,
        int(rows.n_soundings[at].sum()),
        seen_share,
        rows.distance_km[at],
        rows.origin_ppm + background,
        enhancement,
    )


def positive_quantiles(mean: Floats, error: Floats, weight: Floats) -> tuple[float, float, float]:
    """Return the 16th, 50th and 84th percentile of the positive part of normal distributions, mixed by weight."""
    error = np.maximum(error * peak_thresholds().fit.interval_scale, SMALL)
    negative = float(ndtr(-mean / error) @ weight)
    levels = negative + (1.0 - negative) * LEVELS
    low = np.full(len(LEVELS), max(float(np.min(mean - FAR_ERRORS * error)), 0.0))
    high = np.full(len(LEVELS), max(float(np.max(mean + FAR_ERRORS * error)), float(FAR_ERRORS * error.max())))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        below = ndtr((middle[:, None] - mean) / error) @ weight < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return float(middle[0]), float(middle[1]), float(middle[2])


def seen_share_of(rows: Rows, at: NDArray[np.intp], shape: PlumeShape, enhancement: Floats) -> float:
    """Return the share of the core's rows that have soundings; NaN of a plume whose middle lies beyond the track."""
    if not 0 <= shape.centre < len(rows):
        return math.nan
    core = enhancement >= CORE_SHARE * enhancement.max()
    if core.sum() < LEAST_CORE:  # a single empty row hides nothing of which both neighbours tell
        core = np.convolve(core, np.ones(3), "same") > 0
    return float(rows.is_seen[at][core].mean())


def _slanted_grid(centre: float, wide: float) -> tuple[Floats, Floats, Floats]:
    """Few centres and widths with all slants, rows, whose means over the quarters are about so wide."""
    reach = max(GRID_SIGMAS * wide, LEAST_ROWS)
    factors = np.geomspace(1.0 / GRID_FACTOR, GRID_FACTOR, FEW_WIDTHS)
    centres, factors, slants = (
        a.ravel() for a in np.meshgrid(centre + np.linspace(-reach, reach, FEW_CENTRES), factors, SLANTS, indexing="ij")
    )
    narrow = np.sqrt(np.maximum(wide**2 - (slants * SPREAD_OF_QUARTERS) ** 2, (LEAST_OF_WIDE * wide) ** 2))
    return centres, factors * narrow, slants


def _grid(rows: Rows, centre: float, sigma: float, slant: float) -> tuple[Floats, Floats, Floats]:
    """Centres and widths around a start, and the slant, rows, of all points."""
    rule = peak_thresholds().fit
    sigma_km = sigma * rows.km_per_row
    reach = max(GRID_SIGMAS * sigma, LEAST_ROWS)
    widths = sigma_km * np.geomspace(1.0 / GRID_FACTOR, GRID_FACTOR, GRID_WIDTHS)
    widths = np.unique(np.clip(widths, rule.min_sigma_km, rule.max_sigma_km)) / rows.km_per_row
    centres, sigmas = (
        a.ravel() for a in np.meshgrid(centre + np.linspace(-reach, reach, GRID_CENTRES), widths, indexing="ij")
    )
    return centres, sigmas, np.full(len(centres), slant)
