"""The fit of one peak: a Gaussian on a smooth background, and the 68 % interval of its amplitude.

Separable least squares on a grid of centres and widths that is narrowed twice: the global optimum near the start,
without a first guess of heights and without failures to converge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track

Floats = NDArray[np.float64]

SQRT_2_PI = math.sqrt(2.0 * math.pi)
N_GAUSSIAN = 3  # height, centre, width
MIN_LEVERAGE = 1e-9  # ppm^-2: less is a template without a sounding
SEARCH_CENTRES, SEARCH_WIDTHS, SEARCH_FACTOR, SEARCH_SIGMAS = 15, 19, 2.5, 1.0  # first grid, around the scan's maximum
ZOOM_POINTS, ZOOM_STEPS, ZOOMS = 11, 1.5, 2  # next grids: so many points within so many steps of the last
PROFILE_CENTRES, PROFILE_WIDTHS, PROFILE_FACTOR, PROFILE_SIGMAS = 31, 41, 2.8, 1.0  # grid of the likelihood profile


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
        x = (np.asarray(distance_km) - self.centre_km) / self.sigma_km
        return np.asarray(self.height_ppm * np.exp(-0.5 * x**2), dtype=float)


@dataclass(frozen=True)
class PeakFit(Gaussian):
    """A Gaussian on a polynomial background, fitted to the soundings of a window."""

    statistic: float
    """Height in units of its formal error, which takes the errors of the soundings for independent."""
    amplitude_ppm_km_low: float
    """Lower end of the 68 % interval of the amplitude; negative where the peak may be none."""
    amplitude_ppm_km_high: float
    """Upper end."""
    coefficients: tuple[float, ...]
    """Background in ppm as a polynomial of (distance - centre) in km, constant first."""
    n_soundings: int
    """In the window."""
    half_window_km: float
    """Half the length of the window."""

    def background_ppm(self, distance_km: Floats) -> Floats:
        """Background at along-track distances."""
        x = np.asarray(distance_km) - self.centre_km
        return np.asarray(np.polynomial.polynomial.polyval(x, self.coefficients), dtype=float)

    def model_ppm(self, distance_km: Floats) -> Floats:
        """Background and peak at along-track distances."""
        return self.background_ppm(distance_km) + self.enhancement_ppm(distance_km)


def fit_peak(track: Track, centre_km: float, sigma_km: float) -> PeakFit | None:
    """Return the best fit near a centre and width with its interval, None where no positive height fits."""
    best = find_best(track, centre_km, sigma_km)
    return with_interval(track, *best) if best else None


def with_interval(track: Track, window: TrackWindow, best: FitPoint) -> PeakFit:
    """Return a fit that `find_best` gives with the 68 % interval of its amplitude A = h sigma sqrt(2 pi).

    The interval is the profile likelihood over centre and width (the A whose best sum of squares is within one unit
    of noise of the optimum; the noise is that of block means where it is larger, as neighbouring soundings err
    alike), widened by the spread of A between this and other windows and backgrounds.
    """
    amplitude = best.amplitude_ppm_km
    low, high = _profile(window, best)
    spread = float(np.std([amplitude, *_alternatives(track, best)]))
    below, above = (float(np.hypot(reach, spread)) for reach in (amplitude - low, high - amplitude))
    return window.peak(best, amplitude - below, amplitude + above)


def find_best(track: Track, centre_km: float, sigma_km: float) -> tuple[TrackWindow, FitPoint] | None:
    """Return the best fit near a centre and width, None where no positive height fits.

    Without its interval, which takes many times as long.
    """
    settings = peak_thresholds().fit
    size = settings.half_window_km, _degree(track, settings.background_degree)
    window = TrackWindow.of(track, centre_km, *size)
    first = window.best_near(centre_km, sigma_km) if window else None
    window = TrackWindow.of(track, first.centre_km, *size) if first else None  # the window moves with the centre, once
    best = window.best_near(first.centre_km, first.sigma_km) if first and window else None
    return (window, best) if window and best else None


def statistic_at(track: Track, centre_km: float, sigma_km: float) -> float:
    """Return the height in units of its formal error with centre and width held fast; 0 where it isn't positive."""
    settings = peak_thresholds().fit
    window = TrackWindow.of(track, centre_km, settings.half_window_km, _degree(track, settings.background_degree))
    if window is None:
        return 0.0
    best = window.evaluate(np.array([centre_km]), np.array([sigma_km])).candidate(0)
    return max(0.0, window.statistic(best))


def _degree(track: Track, degree: int) -> int:
    """Of the background: over a place no more than its span can tell from a peak."""
    return min(degree, peak_thresholds().place.background_degree) if track.is_place else degree


def _alternatives(track: Track, best: FitPoint) -> list[float]:
    """Amplitudes by the other windows and backgrounds, started from the best fit; 0 where they find nothing."""
    amplitudes = []
    for half_window_km, degree in peak_thresholds().fit.alternatives:
        window = TrackWindow.of(track, best.centre_km, half_window_km, _degree(track, degree))
        other = window.best_near(best.centre_km, best.sigma_km) if window else None
        amplitudes.append(other.amplitude_ppm_km if other else 0.0)
    return amplitudes


def _profile(window: TrackWindow, best: FitPoint) -> tuple[float, float]:
    """Ends of the 68 % profile-likelihood interval of the amplitude."""
    noise = window.noise_variance(best)
    centres = best.centre_km + best.sigma_km * np.linspace(-PROFILE_SIGMAS, PROFILE_SIGMAS, PROFILE_CENTRES)
    widths = _widths(best.sigma_km, PROFILE_FACTOR, PROFILE_WIDTHS)
    grid = window.evaluate(centres, widths)
    misfit = (grid.rss - best.rss) / noise
    area = grid.sigma_km * SQRT_2_PI
    reach = area * np.sqrt(noise / grid.leverage * np.clip(1.0 - misfit, 0.0, None))
    amplitude, within = grid.height_ppm * area, misfit < 1.0
    start = best.amplitude_ppm_km
    return (
        min(start, float(np.min((amplitude - reach)[within], initial=start))),
        max(start, float(np.max((amplitude + reach)[within], initial=start))),
    )


def _widths(sigma_km: float, factor: float, count: int) -> Floats:
    settings = peak_thresholds().fit
    widths = sigma_km * np.geomspace(1.0 / factor, factor, count)
    return np.unique(np.clip(widths, settings.min_sigma_km, settings.max_sigma_km))


@dataclass(frozen=True)
class FitPoint(Gaussian):
    """A point of a grid with the best height there."""

    rss: float
    """Weighted sum of squared residuals, 1."""


@dataclass(frozen=True)
class FitGrid:
    """The fit at every point of a grid of centres and widths; all arrays have shape (points,)."""

    centre_km: Floats
    """Centre of each point."""
    sigma_km: Floats
    """Width of each point."""
    height_ppm: Floats
    """Best height there; negative ones are kept."""
    rss: Floats
    """Weighted sum of squares with that height, with none where it is negative."""
    leverage: Floats
    """1 / variance of the height per unit of noise, ppm^-2."""

    def candidate(self, k: int) -> FitPoint:
        """Return point `k`."""
        return FitPoint(*(float(a[k]) for a in (self.centre_km, self.height_ppm, self.sigma_km, self.rss)))


@dataclass(frozen=True)
class TrackWindow:
    """The soundings near a place, in 1-km means, and the background as an orthonormal basis.

    Neighbours share a part of their error, C = 1 / weight + s exp(-distance / L); the means are whitened with W,
    W C W' = 1, so that least squares count them for what they tell (generalised least squares).
    """

    distance_km: Floats
    """Weighted mean distance of each bin."""
    whitening: Floats
    """W, ppm^-1, shape (bins, bins)."""
    value: Floats
    """W (mean xco2 - origin_ppm)."""
    basis: Floats
    """W times the background, orthonormal, shape (bins, degree + 1)."""
    left: Floats
    """value without its background part."""
    within_rss: float
    """Sum of squares of the soundings about the means of their bins."""
    n_soundings: int
    """In the window."""
    half_window_km: float
    """Half the window's length."""
    origin_ppm: float
    """Median xco2 of the window."""

    @classmethod
    def of(
        cls, track: Track, centre_km: float, half_window_km: float, degree: int, *, is_shared: bool = True
    ) -> TrackWindow | None:
        """Return the window around a place, None where it holds too few soundings for the fit.

        Without `is_shared` all errors count as independent.
        """
        at = track.near(centre_km, half_window_km)
        _, bins = np.unique(np.floor(track.distance_km[at] / peak_thresholds().track.bin_km), return_inverse=True)
        if not len(at) or bins.max() + 1 <= degree + 1 + N_GAUSSIAN:
            return None
        w, origin = track.weight[at], float(np.median(track.xco2_ppm[at]))
        y = track.xco2_ppm[at] - origin
        weight = np.bincount(bins, w).astype(float)
        mean, distance = np.bincount(bins, w * y) / weight, np.bincount(bins, w * track.distance_km[at]) / weight
        alone = np.diag(np.sqrt(weight))
        whitening = _whitening(distance, weight, float(np.median(1.0 / w))) if is_shared else alone
        x = (distance - centre_km) / half_window_km
        basis, _ = np.linalg.qr(whitening @ x[:, None] ** np.arange(degree + 1))
        value = whitening @ mean
        left = value - basis @ (basis.T @ value)
        within = float(w @ (y - mean[bins]) ** 2)
        return cls(distance, whitening, value, basis, left, within, len(at), half_window_km, origin)

    @property
    def n_parameters(self) -> int:
        """Of the background and the Gaussian."""
        return self.basis.shape[1] + N_GAUSSIAN

    def _template(self, centre_km: Floats, sigma_km: Floats) -> Floats:
        """Gaussians without their background part, shape (points, bins)."""
        x = (self.distance_km - centre_km[:, None]) / sigma_km[:, None]
        g = np.exp(-0.5 * x**2) @ self.whitening.T
        return g - (g @ self.basis) @ self.basis.T

    def evaluate(self, centres_km: Floats, widths_km: Floats) -> FitGrid:
        """Return the fit at all pairs of centres and widths."""
        centre, sigma = (a.ravel() for a in np.meshgrid(centres_km, widths_km, indexing="ij"))
        g = self._template(centre, sigma)
        leverage = np.maximum(np.einsum("ij,ij->i", g, g), MIN_LEVERAGE)
        overlap = g @ self.left
        height = overlap / leverage
        rss = self.left @ self.left + self.within_rss - np.where(height > 0, height * overlap, 0.0)
        return FitGrid(centre, sigma, height, rss, leverage)

    def best_near(self, centre_km: float, sigma_km: float) -> FitPoint | None:
        """Return the best fit near a start, None where no height is positive."""
        bin_km = peak_thresholds().track.bin_km
        reach = max(SEARCH_SIGMAS * sigma_km, bin_km * SEARCH_CENTRES / 2)
        centres = centre_km + np.linspace(-reach, reach, SEARCH_CENTRES)
        widths = _widths(sigma_km, SEARCH_FACTOR, SEARCH_WIDTHS)
        for _ in range(ZOOMS + 1):
            grid = self.evaluate(centres, widths)
            k = int(np.argmin(grid.rss))
            steps = np.linspace(-ZOOM_STEPS, ZOOM_STEPS, ZOOM_POINTS)
            ratio = (widths[-1] / widths[0]) ** (1.0 / max(len(widths) - 1, 1))
            centres = grid.centre_km[k] + steps * (centres[1] - centres[0])
            widths = _widths(grid.sigma_km[k], ratio**ZOOM_STEPS, ZOOM_POINTS)
        if grid.height_ppm[k] <= 0:
            return None
        return grid.candidate(k)

    def statistic(self, best: FitPoint) -> float:
        """Height in units of its formal error."""
        template = self._template(np.array([best.centre_km]), np.array([best.sigma_km]))[0]
        variance = max(self._single_variance(best), np.finfo(float).tiny)
        return float(best.height_ppm * np.sqrt(template @ template / variance))

    def _single_variance(self, best: FitPoint) -> float:
        """Variance of the soundings about the fit in units of their stated one."""
        return best.rss / max(self.n_soundings - self.n_parameters, 1)

    def noise_variance(self, best: FitPoint) -> float:
        """Variance of the residuals in units of their stated one, that of long block means where it is larger."""
        template = self._template(np.array([best.centre_km]), np.array([best.sigma_km]))[0]
        residual = self.left - best.height_ppm * template
        _, block = np.unique(np.floor(self.distance_km / peak_thresholds().fit.noise_block_km), return_inverse=True)
        blocks = self.whitening @ (block[:, None] == np.arange(block.max() + 1)).astype(float)
        means = (residual @ blocks) ** 2 / np.sum(blocks**2, axis=0)
        return max(self._single_variance(best), float(means.sum()) / max(len(means) - self.n_parameters, 1))

    def peak(self, best: FitPoint, low: float, high: float) -> PeakFit:
        """Return the fit with the ends of its amplitude's interval."""
        shape = best.centre_km, best.height_ppm, best.sigma_km
        background, size = self.background(best), (self.n_soundings, self.half_window_km)
        return PeakFit(*shape, self.statistic(best), low, high, background, *size)

    def background(self, best: FitPoint) -> tuple[float, ...]:
        """Return the background's coefficients (ppm, powers of km from the fitted centre, constant first)."""
        x, degrees = self.distance_km - best.centre_km, np.arange(self.basis.shape[1])
        peak = self.whitening @ best.enhancement_ppm(self.distance_km)
        powers = self.whitening @ (x / self.half_window_km)[:, None] ** degrees
        scaled = np.linalg.lstsq(powers, self.value - peak, rcond=None)[0]
        coefficients = scaled / self.half_window_km**degrees
        coefficients[0] += self.origin_ppm
        return tuple(float(c) for c in coefficients)


def _whitening(distance_km: Floats, weight: Floats, variance_ppm2: float) -> Floats:
    """W of 1-km means of soundings whose errors have this variance and share a part of it with their neighbours."""
    settings = peak_thresholds().fit
    apart = np.abs(distance_km[:, None] - distance_km)
    shared = settings.shared_variance * variance_ppm2 * np.exp(-apart / settings.shared_km)
    lower = np.linalg.cholesky(np.diag(1.0 / weight) + shared)
    return np.asarray(solve_triangular(lower, np.eye(len(weight)), lower=True))
