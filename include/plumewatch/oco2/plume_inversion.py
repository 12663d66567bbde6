"""What a known source emits, from the soundings of an orbit downwind of it: the Gaussian plume, inverted.

For a direction of the wind and a stability the plume is linear in the emission F, on a background that is a line:

    y = b0 + b1 s + others(x, y) + F p(x, y),   F = <p', y'> / <p', p'>,

with <a, b> = sum w a b, s the distance along the track, p the plume of a unit of emission and ' what the background
leaves. The wind is turned to the plume by at most 30 degrees, and the stability is searched between classes F and A: a
grid, narrowed twice. Nassar et al. 2017, doi:10.1002/2017GL074702.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.geodesy import great_circle_distance_km
from plumewatch.oco2.flux import usual_wind_error_m_s
from plumewatch.oco2.gaussian_plume import (
    PlumeSource,
    column_to_ppm,
    plume_constants,
    stability_m,
    wind_direction_deg,
)
from plumewatch.oco2.plume_fit import PlumeFit, PlumeFits, PlumeGrid, Plumes, PlumeWindow, search_best, solve
from plumewatch.oco2.plume_wind import wind_of_soundings
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track, compute_track
from plumewatch.statuses import NO_WIND, RATED, WIND_TOO_WEAK

Floats = NDArray[np.float64]

NOT_DOWNWIND = "not_downwind"
TOO_FEW_SOUNDINGS = "too_few_soundings"
NO_ENHANCEMENT = "no_enhancement"
# stabilities and directions, around the best, along which the interval looks
PROFILE_FACTOR, PROFILE_DEG, PROFILE_POINTS = 2.5, 10.0, 61


@dataclass(frozen=True)
class PlumeErrors:
    """What makes the interval of an emission, each a 68 % error in kt/h; they add in quadrature."""

    noise: float
    """Of the soundings; that of 20-km block means where it is larger, as neighbouring soundings err alike."""
    wind_speed: float
    """1 m/s or a fifth of the wind, where that is more, unless it was given."""
    rotation: float
    """Directions that fit as well, within the noise."""
    stability: float
    """Stabilities that fit as well, within the noise."""
    background: float
    """Spread of the emission between windows and degrees of the background."""
    other_sources: float
    """Of the emissions that the other sources were held at."""

    @property
    def total(self) -> float:
        """All of them."""
        return math.hypot(*astuple(self))


@dataclass(frozen=True)
class PlumeInversion:
    """The emission of a known source, or why there is none."""

    status: str
    """ok; no_enhancement (no direction and stability with a positive emission: the interval is an upper limit); no_wind
    (no wind or no pressure); wind_too_weak; not_downwind (no soundings under the plume); too_few_soundings."""
    emission_kt_h: float | None = None
    """CO2; None unless ok, 0 where no_enhancement."""
    emission_kt_h_low: float | None = None
    """Lower end of the 68 % interval, not negative."""
    emission_kt_h_high: float | None = None
    """Upper end."""
    errors: PlumeErrors | None = None
    """What the interval is made of."""
    rotation_deg: float | None = None
    """By which the wind was turned, clockwise from above."""
    stability_m: float | None = None
    """Spread of the plume at 1 km downwind."""
    downwind_km: float | None = None
    """Mean distance from the source of the soundings within one sigma_y of the plume's axis."""
    wind_speed_m_s: float | None = None
    """Of the wind that was used."""


def estimate_source_emission(
    soundings: pa.Table,
    source: PlumeSource,
    others: Sequence[PlumeSource] = (),
    *,
    wind: tuple[float, float] | None = None,
    stability: str | float | None = None,
) -> PlumeInversion:
    """Return `invert_plume` for one orbit's soundings (the columns `track.COLUMNS`) and a source.

    `wind` is that at plume height towards east and north (m/s); without, the mean of the soundings' own 10-m wind
    within the plume's reach of the source, carried to plume height (`plume_wind`), whose error enters the interval.
    """
    track = compute_track(soundings)
    if wind is not None:
        return invert_plume(track, source, wind, others, stability=stability)
    away_km = great_circle_distance_km(source.longitude, source.latitude, track.longitude, track.latitude)
    near = np.flatnonzero(away_km <= plume_constants().search.max_downwind_km)
    if not len(near):
        return PlumeInversion(NOT_DOWNWIND)
    carried = wind_of_soundings(track, near)
    u, v = carried.wind.wind_u_m_s, carried.wind.wind_v_m_s
    speed = math.hypot(u, v)
    error = math.hypot(usual_wind_error_m_s(speed), carried.height_factor_error * speed)
    return invert_plume(track, source, (u, v), others, wind_error_m_s=error, stability=stability)


def invert_plume(
    track: Track,
    source: PlumeSource,
    wind: tuple[float, float],
    others: Sequence[PlumeSource] = (),
    *,
    wind_error_m_s: float | None = None,
    max_rotation_deg: float | None = None,
    stability: str | float | None = None,
) -> PlumeInversion:
    """Return the emission of a source from the track's soundings downwind of it, with its 68 % interval.

    `wind` (m/s towards east and north) blows at plume height over the whole plume; `others` keep the emission that they
    state, and their plumes turn and spread like the source's. `max_rotation_deg` is 30 where None; 0 holds the
    direction. `stability` (class A to F or a in m) is searched where None, else held. A direction or a stability that
    is held adds nothing to the interval.
    """
    search = plume_constants().search
    speed = math.hypot(*wind)
    if not math.isfinite(speed):
        return PlumeInversion(NO_WIND)
    if speed < peak_thresholds().flux.min_wind_m_s:
        return PlumeInversion(WIND_TOO_WEAK, wind_speed_m_s=speed)
    away_km = great_circle_distance_km(source.longitude, source.latitude, track.longitude, track.latitude)
    near = away_km <= search.max_downwind_km
    column = column_to_ppm(_known(track.surface_pressure_hpa, near), _known(track.tcwv_kg_m2, near))
    if not np.isfinite(column).all():
        return PlumeInversion(NO_WIND, wind_speed_m_s=speed)
    limit = search.rotation_deg if max_rotation_deg is None else abs(max_rotation_deg)
    plumes = Plumes(track, column, source, tuple(others), speed, wind_direction_deg(*wind))
    grid = PlumeGrid.first(limit, None if stability is None else stability_m(stability))
    centre_km = plumes.crossing_km()
    if centre_km is None:
        return PlumeInversion(NOT_DOWNWIND, wind_speed_m_s=speed)
    background = plume_constants().background
    window = PlumeWindow.of(track, centre_km, background.half_window_km, background.degree)
    if window is None or len(window.at) < search.min_soundings:
        return PlumeInversion(TOO_FEW_SOUNDINGS, wind_speed_m_s=speed)
    best = search_best(plumes, window, grid)
    if best is None:
        return PlumeInversion(NOT_DOWNWIND, wind_speed_m_s=speed)
    here = grid.within(np.array([best.rotation_deg]), np.array([best.stability_m]))
    error = usual_wind_error_m_s(speed) if wind_error_m_s is None else wind_error_m_s
    errors = _errors(plumes, window, here, best, error)
    emission = max(0.0, best.emission_kt_h)
    downwind_km, _ = plumes.frame_km(plumes.source, window.at, here.rotation_deg)
    return PlumeInversion(
        RATED if emission > 0 else NO_ENHANCEMENT,
        emission,
        max(0.0, best.emission_kt_h - errors.total),
        emission + errors.total,
        errors,
        best.rotation_deg,
        best.stability_m,
        float(downwind_km[0, plumes.is_under(window.at, here)[0, 0]].mean()),
        speed,
    )


def _known(values: Floats, near: NDArray[np.bool_]) -> Floats:
    """Missing ones as the median of those within the plume's reach: an orbit crosses mountains and seas elsewhere."""
    usual = values[near & np.isfinite(values)]
    return np.where(np.isfinite(values), values, np.median(usual) if len(usual) else math.nan)


# --- the interval


def _errors(plumes: Plumes, window: PlumeWindow, here: PlumeGrid, best: PlumeFit, wind_error_m_s: float) -> PlumeErrors:
    """The errors of the best fit; `here` is its direction and stability, with the limits of the search."""
    plume = window.reduced(plumes.ppm(plumes.source, best.emission_kt_h, window.at, here))[0, 0]
    for source in plumes.others:
        plume = plume + window.reduced(plumes.ppm(source, source.emission_kt_h, window.at, here))[0, 0]
    noise = window.noise_variance(window.left - plume)
    turned = best.rotation_deg + np.linspace(-1.0, 1.0, PROFILE_POINTS) * PROFILE_DEG
    factors = np.geomspace(1.0 / PROFILE_FACTOR, PROFILE_FACTOR, PROFILE_POINTS)
    by_rotation = solve(plumes, window, here.within(turned, here.stability_m))
    by_stability = solve(plumes, window, here.within(here.rotation_deg, best.stability_m * factors))
    return PlumeErrors(
        noise=math.sqrt(noise / best.leverage),
        wind_speed=abs(best.emission_kt_h) * wind_error_m_s / plumes.wind_speed_m_s,
        rotation=_half_range(by_rotation, best, noise),
        stability=_half_range(by_stability, best, noise),
        background=_background_spread(plumes, window, here, best),
        other_sources=plume_constants().errors.other_sources_fraction * abs(best.by_others_kt_h),
    )


def _half_range(profile: PlumeFits, best: PlumeFit, noise: float) -> float:
    """Half the range of the emission where the sum of squares is within one unit of noise of the optimum."""
    as_good = profile.is_possible & (profile.rss - best.rss < noise)
    return float(np.ptp(np.append(profile.emission_kt_h[as_good], best.emission_kt_h))) / 2.0


def _background_spread(plumes: Plumes, window: PlumeWindow, here: PlumeGrid, best: PlumeFit) -> float:
    """Standard deviation of the emission between backgrounds, direction and stability held."""
    emissions = [best.emission_kt_h]
    for half_window_km, degree in plume_constants().background.alternatives:
        other = PlumeWindow.of(plumes.track, window.centre_km, half_window_km, degree)
        solved = solve(plumes, other, here) if other else None
        if solved is not None and solved.is_possible[0, 0]:
            emissions.append(float(solved.emission_kt_h[0, 0]))
    return float(np.std(emissions))
