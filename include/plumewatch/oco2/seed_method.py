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

from plumewatch.oco2.fit import SQRT_2_PI, PeakFit, TrackWindow, statistic_at
from plumewatch.oco2.null_distribution import estimate_spread, null_distribution
from plumewatch.oco2.peaks import PeakSearch, judge_peak, search_limits
from plumewatch.oco2.scan import scan_track
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track
from plumewatch.statuses import ACCEPTED

BACKGROUND_DEGREE = 1
# The seed's width has no bounds; its rules refuse what is outside 2 to 33.3 km.
WIDTHS_KM = np.geomspace(0.5, 150.0, 80)
REFINED = 21  # widths between the neighbours of the best one


def find_peaks_seed(track: Track) -> PeakSearch:
    """Return what the seed's rules keep, `accepted` where noise seldom reaches it too."""
    settings = peak_thresholds().seed_method
    distribution = null_distribution()
    scan = scan_track(track.distance_km, track.xco2_ppm, track.weight)
    if len(track) < settings.min_orbit_soundings or not np.isfinite(scan.statistic).any():
        return PeakSearch((), 0.0, float("nan"))
    spread = estimate_spread(scan, distribution.spread)
    as_stated = replace(track, weight=track.uncertainty_ppm**-2)
    peaks = []
    for index in range(0, len(track), settings.every_nth_sounding):
        fit = _converged_fit(as_stated, float(track.distance_km[index]))
        if fit is None or judge_peak(track, fit, 0.0, settings.min_correlation, index=index).status != ACCEPTED:
            continue
        # The law of what noise reaches is one of the scan's own fit.
        fit = replace(fit, statistic=statistic_at(track, fit.centre_km, fit.sigma_km))
        z = distribution.normalised(fit.statistic, fit.sigma_km, spread)
        probability = float(distribution.false_alarm_probability(z))
        peaks.append(judge_peak(track, fit, probability, settings.min_correlation, index=index))
    return PeakSearch(tuple(peaks), *search_limits(scan, spread, distribution))


def _converged_fit(track: Track, centre_km: float) -> PeakFit | None:
    """The best width at a centre, None where the window is too empty or the best height isn't positive."""
    half_window_km = peak_thresholds().seed_method.half_window_km
    window = TrackWindow.of(track, centre_km, half_window_km, BACKGROUND_DEGREE, is_shared=False)
    if window is None or window.n_soundings < peak_thresholds().seed_method.min_window_soundings:
        return None
    widths = WIDTHS_KM
    for _ in range(2):
        grid = window.evaluate(np.array([centre_km]), widths)
        k = int(np.argmax(grid.height_ppm**2 * grid.leverage))
        widths = np.geomspace(widths[max(k - 1, 0)], widths[min(k + 1, len(widths) - 1)], REFINED)
    best = grid.candidate(k)
    if best.height_ppm <= 0:
        return None
    reach = best.sigma_km * SQRT_2_PI * float(np.sqrt(window.noise_variance(best) / grid.leverage[k]))
    return window.peak(best, best.amplitude_ppm_km - reach, best.amplitude_ppm_km + reach)
