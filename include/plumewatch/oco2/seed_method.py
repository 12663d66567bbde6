"""Method `curve_fit_seed`: the seed's own peak finder, but converged, for comparison.

The seed (dataforgoodfr/batch7_satellite_ges, find_peak.py) fits y = b + m x + A / (sigma sqrt(2 pi)) exp(-x^2 / (2
sigma^2)) around every 15th sounding, the centre fixed at it, and stops its iterations early. For a fixed centre and
width the model is linear, so the optimum over the width alone is found on a grid: what its curve_fit would reach if
it converged. Its rules are kept: at least 500 soundings in the orbit and 400 in the window of 200 km, 2 km <= sigma
<= 33.3 km, positive height, occupied shoulders, correlation at least 0.5. One plume gives several rows, as there. The
distance runs along the track instead of from the first sounding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.fit import SQRT_2_PI, Gaussian, PeakFit
from plumewatch.oco2.null_distribution import null_distribution
from plumewatch.oco2.peaks import Peak, PeakSearch, correlation, peak_at, search_limits
from plumewatch.oco2.plume_shape import PlumeShape
from plumewatch.oco2.rows import Rows
from plumewatch.oco2.scan import Scan
from plumewatch.oco2.templates import HALF
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track

Floats = NDArray[np.float64]

# The seed's width has no bounds; its rules refuse what is outside 2 to 33.3 km.
WIDTHS_KM = np.geomspace(0.5, 150.0, 80)
REFINED = 21  # widths between the neighbours of the best one
N_PARAMETERS = 4  # level, slope, height, width
CURVE_POINTS = 201


def find_peaks_seed(track: Track) -> PeakSearch:
    """Return what the seed's rules keep, `accepted` where noise seldom reaches it too."""
    settings, law = peak_thresholds().seed_method, null_distribution()
    scan = Scan.of_track(track, law)
    if len(track) < settings.min_orbit_soundings or not np.isfinite(scan.statistic).any():
        return PeakSearch((), 0.0, 0.0, float("nan"))
    peaks: list[Peak] = []
    for index in range(0, len(track), settings.every_nth_sounding):
        fit = _converged_fit(track, scan.rows, float(track.distance_km[index]))
        if fit is None or not _is_kept(track, fit):
            continue
        row, reach = fit.shape.centre, max(1.0, fit.shape.sigma)
        near = slice(max(0, round(HALF * (row - reach))), round(HALF * (row + reach)) + 1)
        peaks.append(peak_at(track, replace(fit, statistic=float(scan.statistic[near].max())), law, index))
    return PeakSearch(tuple(peaks), *search_limits(track, scan, law))


def _is_kept(track: Track, fit: PeakFit) -> bool:
    """Whether the seed's rules keep a fit."""
    settings = peak_thresholds().seed_method
    low, high = settings.sigma_km
    is_wide_enough = low <= fit.sigma_km <= high and has_shoulders(track, fit)
    return is_wide_enough and correlation(track, fit) >= settings.min_correlation


def has_shoulders(track: Track, fit: PeakFit) -> bool:
    """Whether there are soundings in both halves of the peak and beside it: at least one a km in each of four bands.

    The bands are 0 to 1 and 2 to 3 sigma on both sides; the number wanted in each is sigma in km, rounded down.
    """
    x = (track.distance_km - fit.centre_km) / fit.sigma_km
    inner, outer = peak_thresholds().seed_method.shoulder_sigmas
    bands = ((-1.0, 0.0), (0.0, 1.0), (-outer, -inner), (inner, outer))
    wanted = max(1, int(fit.sigma_km))
    return all(np.count_nonzero((x >= low) & (x <= high)) >= wanted for low, high in bands)


def _converged_fit(track: Track, rows: Rows, centre_km: float) -> PeakFit | None:
    """The best width at a centre, None where the window is too empty or the best height isn't positive."""
    settings = peak_thresholds().seed_method
    at = track.near(centre_km, settings.half_window_km)
    if len(at) < settings.min_window_soundings:
        return None
    x, root = track.distance_km[at] - centre_km, 1.0 / track.uncertainty_ppm[at]
    line = root[:, None] * np.stack([np.ones(len(at)), x / settings.half_window_km], axis=1)
    basis, _ = np.linalg.qr(line)
    value = root * (track.xco2_ppm[at] - np.median(track.xco2_ppm[at]))
    left = value - basis @ (basis.T @ value)
    widths = WIDTHS_KM
    for _ in range(2):
        g = root * np.exp(-0.5 * (x / widths[:, None]) ** 2)
        g -= (g @ basis) @ basis.T
        leverage = np.maximum(np.einsum("ij,ij->i", g, g), np.finfo(float).tiny)
        height = g @ left / leverage
        k = int(np.argmax(height**2 * leverage))
        best = Gaussian(centre_km, float(height[k]), float(widths[k]))
        noise = float(left @ left - height[k] ** 2 * leverage[k]) / (len(at) - N_PARAMETERS)
        error = best.sigma_km * SQRT_2_PI * float(np.sqrt(noise / leverage[k]))
        widths = np.geomspace(widths[max(k - 1, 0)], widths[min(k + 1, len(widths) - 1)], REFINED)
    if best.height_ppm <= 0:
        return None
    level = np.linalg.lstsq(line, root * (track.xco2_ppm[at] - best.enhancement_ppm(track.distance_km[at])))[0]
    along = np.linspace(x.min(), x.max(), CURVE_POINTS)
    row = float(np.interp(centre_km, rows.distance_km, np.arange(len(rows))))
    return PeakFit(
        PlumeShape(row, best.sigma_km / rows.km_per_row, best.height_ppm),
        centre_km,
        best.height_ppm,
        best.amplitude_ppm_km,
        best.amplitude_ppm_km - error,
        best.amplitude_ppm_km + error,
        np.nan,
        len(at),
        1.0,
        centre_km + along,
        level[0] + level[1] * along / settings.half_window_km,
        best.enhancement_ppm(centre_km + along),
    )
