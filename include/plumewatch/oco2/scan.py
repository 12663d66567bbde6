"""The scan: a Gaussian of every width at every kilometre of a track, on a local background, by sums over windows.

For a given centre and width the model is linear, y = b + m x + c x^2 + h g(x) with g = exp(-x^2 / (2 sigma^2)). With
the weighted sums over the window, <a, b> = sum w a b, and the parabola projected out of template and data,

    h = <g', y'> / <g', g'>,   t = h / sqrt(RSS / (n - 5) / <g', g'>),

which is the matched filter with its local background profiled out (Golub and Pereyra 1973, separable least squares).
All sums are correlations of binned sounding sums with fixed kernels, hence a few fast Fourier transforms a width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]

BACKGROUND_DEGREE = 2
N_GRID_PARAMETERS = 2  # height, and one for centre and width, which are on a grid
SINGULAR = 1e-9  # relative: a window whose soundings are all at two places has no parabola


@dataclass(frozen=True)
class Scan:
    """The statistic of every width at every kilometre."""

    start_km: float
    """Distance of the first bin's centre."""
    bin_km: float
    """Step from bin to bin."""
    sigma_km: Floats
    """Widths, shape (widths,)."""
    statistic: Floats
    """Height in units of its formal error, shape (widths, bins); NaN where the track can't be tested."""
    height_error_ppm: Floats
    """Formal 68 % error of the height, same shape."""

    def distance_km(self, index: int | NDArray[np.intp]) -> Floats:
        """Along-track distance of a bin's centre."""
        return self.start_km + self.bin_km * np.asarray(index)


def scan_widths() -> Floats:
    """Return the widths (sigma, km) that are scanned, log-spaced."""
    settings = peak_thresholds().scan
    return np.geomspace(settings.min_sigma_km, settings.max_sigma_km, settings.n_sigmas)


def scan_track(distance_km: Floats, xco2_ppm: Floats, weight: Floats, degree: int = BACKGROUND_DEGREE) -> Scan:
    """Return the scan of soundings at `distance_km` with `weight` in ppm^-2; all have shape (soundings,).

    `degree` is that of the background.

    A track of 20,000 km with 64,000 soundings takes about 0.1 s.
    """
    sigma, bin_km = scan_widths(), float(peak_thresholds().track.bin_km)
    sums, start_km = _binned(distance_km, xco2_ppm, weight, bin_km)
    shape = (len(sigma), sums.shape[1])
    statistic, error = np.full(shape, np.nan), np.full(shape, np.nan)
    if shape[1]:
        windows = _Windows(sums, peak_thresholds().scan.half_window_km, bin_km, degree)
        for row, width in enumerate(sigma):
            statistic[row], error[row] = windows.test(width)
    return Scan(start_km, bin_km, sigma, statistic, error)


def _binned(distance_km: Floats, xco2_ppm: Floats, weight: Floats, bin_km: float) -> tuple[Floats, float]:
    """Sums of weight, weighted value, its square, and one, shape (4, bins), and where the first bin has its centre."""
    if not len(distance_km):
        return np.empty((4, 0)), 0.0
    first = np.floor(distance_km.min() / bin_km)
    index = (np.floor(distance_km / bin_km) - first).astype(np.intp)
    value = xco2_ppm - np.median(xco2_ppm)  # small numbers: the sums of squares cancel less
    parts = weight, weight * value, weight * value**2, np.ones(len(weight))
    return np.stack([np.bincount(index, part) for part in parts]), float((first + 0.5) * bin_km)


class _Windows:
    """Sums over the windows around every bin, and the test of one width in them."""

    def __init__(self, sums: Floats, half_window_km: float, bin_km: float, degree: int) -> None:
        half = round(half_window_km / bin_km)
        self._x = np.arange(-half, half + 1).astype(np.float64) / half
        self._half, self._n_bins, self._reach_km = half, sums.shape[1], half * bin_km
        self._length = fft.next_fast_len(self._n_bins + 2 * half, real=True)
        self._weight, self._weighted, squared, count = map(self._transform, sums)
        self._powers = self._x ** np.arange(degree + 1)[:, None]
        moments = [self._sums(self._weight, self._x**k) for k in range(2 * degree + 1)]
        size = len(self._powers)
        gram = np.stack([moments[i + j] for i, j in np.ndindex(size, size)], axis=-1).reshape(-1, size, size)
        is_covered = moments[0] > SINGULAR * moments[0].max()
        scaled = gram / np.where(is_covered, moments[0], 1.0)[:, None, None]
        self._has_background = is_covered & (np.linalg.det(scaled) > SINGULAR)
        inverse = np.linalg.inv(np.where(self._has_background[:, None, None], gram, np.eye(size)))
        self._inverse = np.ascontiguousarray(np.moveaxis(inverse, 0, -1))
        self._y = self._moments(self._weighted, np.ones(len(self._x)))
        everything = self._sums(squared, np.ones(len(self._x)))
        self._yy_left = everything - self._of_background(self._y, self._y)
        self._count = np.rint(self._sums(count, np.ones(len(self._x))))

    def _transform(self, values: Floats) -> NDArray[np.complex128]:
        padded = np.zeros(self._length)
        padded[self._half : self._half + self._n_bins] = values
        return fft.rfft(padded)

    def _sums(self, transformed: NDArray[np.complex128], kernel: Floats) -> Floats:
        """Correlation with a kernel of the window's length, one value a bin."""
        return fft.irfft(transformed * np.conj(fft.rfft(kernel, self._length)), self._length)[: self._n_bins]

    def _moments(self, transformed: NDArray[np.complex128], kernel: Floats) -> Floats:
        """Correlations with a kernel times each power of x, shape (degree + 1, bins)."""
        return np.stack([self._sums(transformed, kernel * power) for power in self._powers])

    def _of_background(self, a: Floats, b: Floats) -> Floats:
        """What the background takes from <a, b>, given the moments of a and b."""
        total = np.zeros(self._n_bins)
        for i, j in np.ndindex(len(a), len(b)):  # many times faster than an einsum over so short axes
            total += a[i] * self._inverse[i, j] * b[j]
        return total

    def test(self, sigma_km: float) -> tuple[Floats, Floats]:
        """Statistic and formal error of the height (ppm) of one width, NaN where it can't be tested."""
        settings = peak_thresholds().scan
        g: Floats = np.exp(-0.5 * (self._x * self._reach_km / sigma_km) ** 2)
        moments, gg = self._moments(self._weight, g), self._sums(self._weight, g * g)
        gg_left = gg - self._of_background(moments, moments)
        gy_left = self._sums(self._weighted, g) - self._of_background(moments, self._y)
        testable = (
            self._has_background
            & (self._count >= settings.min_soundings)
            & (gg_left > settings.min_leverage * self._full_leverage(g) * np.maximum(gg, SINGULAR))
        )
        gg_left = np.where(testable, gg_left, 1.0)
        height = gy_left / gg_left
        n_parameters = len(self._powers) + N_GRID_PARAMETERS
        variance = np.maximum(self._yy_left - height * gy_left, SINGULAR) / np.maximum(self._count - n_parameters, 1)
        error = np.where(testable, np.sqrt(variance / gg_left), np.nan)
        return height / error, error

    def _full_leverage(self, g: Floats) -> float:
        """What the background leaves of <g, g> in a window that is evenly covered."""
        basis, _ = np.linalg.qr(self._powers.T)
        return float(1.0 - np.sum((basis.T @ g) ** 2) / (g @ g))
