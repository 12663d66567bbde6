"""The plume of a source within a map: its amplitude is that of the section downwind, where there is a plume at all.

A map is laid on an axis across the wind (`overpasses.py`), so that every plume crosses it, and the scan sees the mean
over the map's whole length along the wind. Where a source lies in the map, what is upwind of it sees nothing. Soundings
r above the background, d km along the wind, say where it begins: the step s at which a plume of the shape g that was
found explains most,

    gain(s) = (sum_{d >= s} w g r)^2 / sum_{d >= s} w g^2,

and where that is more than the whole map's by more than chance, the soundings from there on are fitted anew. Mass is
balanced by the section times the wind (`flux.py`), as on a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.fit import PeakFit, fit_plume
from plumewatch.oco2.null_distribution import NullDistribution, null_distribution
from plumewatch.oco2.peaks import Peak, correlation
from plumewatch.oco2.scan import Scan
from plumewatch.oco2.templates import WINDOW
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track
from plumewatch.statuses import ACCEPTED

Floats = NDArray[np.float64]


def compute_downwind_km(track: Track) -> Floats | None:
    """Return how far each sounding of a map lies along the wind, None where its axis isn't one across the wind."""
    if not track.is_across_wind:
        return None
    bearing = np.radians(track.heading_deg[0])
    u, v = (float(np.nanmean(wind)) for wind in (track.wind_u_m_s, track.wind_v_m_s))
    return np.asarray(np.sign(u * np.cos(bearing) - v * np.sin(bearing)) * track.across_km)


def find_sections(
    track: Track, peaks: Sequence[Peak], distribution: NullDistribution | None = None
) -> tuple[Peak, ...]:
    """Return the peaks of a map, accepted ones with the section downwind of where they begin, if that is in the map.

    Their sounding is the one nearest to the source. Peaks of a map whose axis isn't one across the wind stay.
    """
    downwind_km = compute_downwind_km(track)
    if downwind_km is None:
        return tuple(peaks)
    law = distribution or null_distribution()
    return tuple(_of_section(track, downwind_km, peak, law) if peak.status == ACCEPTED else peak for peak in peaks)


def _of_section(track: Track, downwind_km: Floats, peak: Peak, law: NullDistribution) -> Peak:
    begin_km = _begin(track, downwind_km, peak.fit)
    fit = None if begin_km is None else _fitted(track.at(downwind_km >= begin_km), peak.fit, law)
    if fit is None:
        return replace(peak, index=_first(track, downwind_km, peak.fit, -np.inf))
    index = _first(track, downwind_km, fit, begin_km or -np.inf)
    return replace(peak, fit=fit, index=index, correlation=correlation(track, fit))


def _begin(track: Track, downwind_km: Floats, fit: PeakFit) -> float | None:
    """How far along the wind a plume begins; None where the whole map explains it as well."""
    rule = peak_thresholds().place
    near = np.flatnonzero(np.abs(track.distance_km - fit.centre_km) <= rule.plume_sigmas * fit.sigma_km)
    shape = np.maximum(fit.enhancement_ppm(track.distance_km[near]), 0.0) / fit.height_ppm
    above = track.xco2_ppm[near] - fit.background_ppm(track.distance_km[near])
    weight = track.uncertainty_ppm[near] ** -2.0
    order = np.argsort(-downwind_km[near], kind="stable")  # from the far end on
    told = np.cumsum((weight * shape**2)[order])
    gain = np.maximum(np.cumsum((weight * shape * above)[order]), 0.0) ** 2 / np.maximum(told, 1e-9)
    farthest = int(np.argmax(gain))
    if gain[farthest] - gain[-1] < rule.begin_gain:
        return None
    return float(downwind_km[near][order][farthest])


def _fitted(section: Track, fit: PeakFit, law: NullDistribution) -> PeakFit | None:
    """The fit of the same plume to a part of the map; None where that tells too little."""
    scan = Scan.of_track(section, law)
    if not np.isfinite(scan.statistic).any():
        return None
    rows = scan.rows
    row = float(np.interp(fit.centre_km, rows.distance_km, np.arange(float(len(rows)))))
    return fit_plume(scan, row, min(fit.shape.wide, WINDOW) * rows.km_per_row, fit.statistic)


def _first(track: Track, downwind_km: Floats, fit: PeakFit, begin_km: float) -> int:
    """The sounding in the plume's middle that is nearest to its source."""
    off_km = np.abs(track.distance_km - fit.centre_km)
    within = off_km <= max(fit.sigma_km, off_km.min())
    return int(np.argmin(np.where(within & (downwind_km >= begin_km), downwind_km, np.inf)))
