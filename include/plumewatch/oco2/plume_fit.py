"""The parts of the inversion of a Gaussian plume: directions and stabilities, soundings, and the fits of all pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.gaussian_plume import (
    PlumeSource,
    along_and_across_wind_km,
    compute_plume_kg_m2,
    compute_spread_km,
    plume_constants,
)
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track

Floats = NDArray[np.float64]

N_GEOMETRY = 2  # direction and stability, beside the emission
ZOOM_STEPS, ZOOM_POINTS, ZOOMS = 1.5, 11, 2  # next grids: so many points within so many steps of the last
OTHER_SIDE_DEG = 90.0


@dataclass(frozen=True)
class PlumeGrid:
    """Directions and stabilities that are tried, all pairs."""

    rotation_deg: Floats
    """By which the wind is turned, clockwise; increasing."""
    stability_m: Floats
    """Spread at 1 km downwind; increasing."""
    max_rotation_deg: float
    """To either side."""
    stability_range_m: tuple[float, float]
    """Smallest and largest."""

    @classmethod
    def first(cls, max_rotation_deg: float, held_m: float | None) -> PlumeGrid:
        """Return the grid that a search begins with; one stability where it is held."""
        search, classes = plume_constants().search, plume_constants().stability.values()
        steps = math.ceil(max_rotation_deg / search.rotation_step_deg)
        rotations = np.linspace(-max_rotation_deg, max_rotation_deg, 2 * steps + 1)
        if held_m is not None:
            return cls(rotations, np.array([held_m]), max_rotation_deg, (held_m, held_m))
        low, high = min(classes), max(classes)
        return cls(rotations, np.geomspace(low, high, search.n_stabilities), max_rotation_deg, (low, high))

    def within(self, rotations: Floats, stabilities: Floats) -> PlumeGrid:
        """Return another grid inside the same limits."""
        rotations = np.unique(np.clip(rotations, -self.max_rotation_deg, self.max_rotation_deg))
        stabilities = np.unique(np.clip(stabilities, *self.stability_range_m))
        return PlumeGrid(rotations, stabilities, self.max_rotation_deg, self.stability_range_m)

    def around(self, best: PlumeFit) -> PlumeGrid:
        """Return a narrower one."""
        step = self.rotation_deg[1] - self.rotation_deg[0] if len(self.rotation_deg) > 1 else 0.0
        ratio = self.stability_m[1] / self.stability_m[0] if len(self.stability_m) > 1 else 1.0
        steps = np.linspace(-ZOOM_STEPS, ZOOM_STEPS, ZOOM_POINTS)
        return self.within(best.rotation_deg + step * steps, best.stability_m * ratio**steps)


@dataclass(frozen=True)
class PlumeFit:
    """The best emission at a direction and a stability."""

    rotation_deg: float
    """By which the wind is turned, clockwise."""
    stability_m: float
    """Spread at 1 km downwind."""
    emission_kt_h: float
    """CO2; may be negative."""
    rss: float
    """Weighted sum of squared residuals, 1."""
    leverage: float
    """1 / variance of the emission per unit of noise, (kt/h)^-2."""
    by_others_kt_h: float
    """What the other sources take from the emission."""


@dataclass(frozen=True)
class PlumeWindow:
    """Soundings around a place of the track, weighted, and the background as an orthonormal basis."""

    centre_km: float
    """Along-track distance of its middle."""
    at: NDArray[np.intp]
    """Indices of its soundings in the track."""
    distance_km: Floats
    """Along the track."""
    root_weight: Floats
    """Square root of each sounding's weight, ppm^-1."""
    basis: Floats
    """Background times root_weight, orthonormal, shape (soundings, degree + 1)."""
    left: Floats
    """root_weight x xco2 without its background part."""

    @classmethod
    def of(cls, track: Track, centre_km: float, half_window_km: float, degree: int) -> PlumeWindow | None:
        """Return the window around a place, None where it holds too few soundings for the fit."""
        at = track.near(centre_km, half_window_km)
        if len(at) <= degree + 1 + N_GEOMETRY + 1:
            return None
        # The stated errors alone: the track's weights distrust what stands out of its neighbours, as narrow plumes do.
        root = 1.0 / np.maximum(track.uncertainty_ppm[at], peak_thresholds().track.min_uncertainty_ppm)
        x = (track.distance_km[at] - centre_km) / half_window_km
        basis, _ = np.linalg.qr(root[:, None] * x[:, None] ** np.arange(degree + 1))
        y = root * (track.xco2_ppm[at] - np.median(track.xco2_ppm[at]))
        return cls(centre_km, at, track.distance_km[at], root, basis, y - basis @ (basis.T @ y))

    def reduced(self, ppm: Floats) -> Floats:
        """Return models (ppm) without their background part, times root_weight; shape (..., soundings)."""
        weighted = ppm * self.root_weight
        return weighted - (weighted @ self.basis) @ self.basis.T

    def noise_variance(self, residual: Floats) -> float:
        """Return the variance of weighted residuals in units of their stated one, of block means where it is larger."""
        block_km = plume_constants().background.noise_block_km
        n_parameters = self.basis.shape[1] + 1 + N_GEOMETRY
        single = float(residual @ residual) / max(len(residual) - n_parameters, 1)
        _, block = np.unique(np.floor(self.distance_km / block_km), return_inverse=True)
        means = np.bincount(block, residual * self.root_weight) ** 2 / np.bincount(block, self.root_weight**2)
        return max(single, float(means.sum()) / max(len(means) - n_parameters, 1))


@dataclass(frozen=True)
class Plumes:
    """The plumes over the soundings of a track, for directions and stabilities."""

    track: Track
    """All soundings."""
    column_ppm_m2_kg: Floats
    """XCO2 of a kg of CO2 a m2, one value a sounding."""
    source: PlumeSource
    """The one whose emission is wanted."""
    others: tuple[PlumeSource, ...]
    """Held at their emissions."""
    wind_speed_m_s: float
    """At plume height."""
    wind_towards_deg: float
    """Where it goes before it is turned, clockwise from north."""

    def frame_km(
        self, source: PlumeSource, at: NDArray[np.intp] | slice, rotation_deg: Floats
    ) -> tuple[Floats, Floats]:
        """Return how far soundings are downwind and across; shape (rotations, soundings)."""
        towards = self.wind_towards_deg + rotation_deg
        return along_and_across_wind_km(source, self.track.longitude[at], self.track.latitude[at], towards)

    def footprint_km(self, at: NDArray[np.intp], rotation_deg: Floats) -> Floats:
        """Return how far footprints reach across the wind, shape (rotations, soundings).

        The side of the square with the variance that the turned rectangle has across the wind.
        """
        search = plume_constants().search
        angle = np.radians(self.wind_towards_deg + rotation_deg[:, None] - self.track.heading_deg[at])
        return np.hypot(search.footprint_along_km * np.sin(angle), search.footprint_across_km * np.cos(angle))

    def ppm(self, source: PlumeSource, emission_kt_h: float, at: NDArray[np.intp], grid: PlumeGrid) -> Floats:
        """Return the enhancement by a source, shape (rotations, stabilities, soundings)."""
        x, y = (a[:, None] for a in self.frame_km(source, at, grid.rotation_deg))
        footprint_km = self.footprint_km(at, grid.rotation_deg)[:, None]
        spread = grid.stability_m[:, None], source.width_km, footprint_km
        return compute_plume_kg_m2(x, y, emission_kt_h, self.wind_speed_m_s, *spread) * self.column_ppm_m2_kg[at]

    def is_under(self, at: NDArray[np.intp], grid: PlumeGrid) -> NDArray[np.bool_]:
        """Return whether soundings in reach are within one sigma_y of the axis, or upon it; shape as of `ppm`."""
        x, y = (a[:, None] for a in self.frame_km(self.source, at, grid.rotation_deg))
        half_footprint_km = self.footprint_km(at, grid.rotation_deg)[:, None] / 2.0
        reach_km = np.maximum(compute_spread_km(x, grid.stability_m[:, None], self.source.width_km), half_footprint_km)
        return (x > 0) & (x <= plume_constants().search.max_downwind_km) & (np.abs(y) <= reach_km)

    def crossing_km(self) -> float | None:
        """Return the along-track distance where the plume's axis passes, None where that is out of reach or upwind.

        Of the soundings in reach, the one whose direction from the source is nearest to the wind's.
        """
        x, y = (a[0] for a in self.frame_km(self.source, slice(None), np.zeros(1)))
        off_deg = np.abs(np.degrees(np.arctan2(y, x)))
        off_deg[np.hypot(x, y) > plume_constants().search.max_downwind_km] = np.inf
        if off_deg.min(initial=np.inf) >= OTHER_SIDE_DEG:
            return None
        return float(self.track.distance_km[int(np.argmin(off_deg))])


@dataclass(frozen=True)
class PlumeFits:
    """The fits of all pairs of a grid; all arrays have shape (rotations, stabilities)."""

    grid: PlumeGrid
    """Directions and stabilities."""
    emission_kt_h: Floats
    """CO2, in closed form; may be negative."""
    rss: Floats
    """Weighted sum of squared residuals."""
    leverage: Floats
    """1 / variance of the emission per unit of noise."""
    by_others_kt_h: Floats
    """What the other sources take from the emission."""
    is_possible: NDArray[np.bool_]
    """Enough soundings under the plume, and the background leaves enough of it."""

    def fit(self, index: int) -> PlumeFit:
        """Return a pair by its place in the flattened arrays."""
        i, j = divmod(index, len(self.grid.stability_m))
        values = (float(a[i, j]) for a in (self.emission_kt_h, self.rss, self.leverage, self.by_others_kt_h))
        return PlumeFit(float(self.grid.rotation_deg[i]), float(self.grid.stability_m[j]), *values)

    def best(self) -> PlumeFit | None:
        """Return the best pair with a positive emission, None where there is none."""
        rss = np.where(self.is_possible & (self.emission_kt_h > 0), self.rss, np.inf)
        if not np.isfinite(rss).any():
            return None
        return self.fit(int(np.argmin(rss)))


def solve(plumes: Plumes, window: PlumeWindow, grid: PlumeGrid) -> PlumeFits:
    """Return the fits of all pairs of the grid."""
    search = plume_constants().search
    raw = plumes.ppm(plumes.source, 1.0, window.at, grid)
    plume = window.reduced(raw)
    full = np.einsum("...k,...k->...", raw * window.root_weight, raw * window.root_weight)
    leverage = np.einsum("...k,...k->...", plume, plume)
    is_possible = leverage > search.min_leverage * full
    is_possible &= np.count_nonzero(plumes.is_under(window.at, grid), axis=-1) >= search.min_plume_soundings
    leverage = np.where(is_possible, leverage, 1.0)
    other = np.zeros_like(plume)
    for source in plumes.others:
        other += window.reduced(plumes.ppm(source, source.emission_kt_h, window.at, grid))
    left = window.left - other
    overlap = np.einsum("...k,...k->...", plume, left)
    rss = np.einsum("...k,...k->...", left, left) - overlap**2 / leverage
    by_others = np.einsum("...k,...k->...", plume, other) / leverage
    return PlumeFits(grid, overlap / leverage, rss, leverage, by_others, is_possible)


def search_best(plumes: Plumes, window: PlumeWindow, grid: PlumeGrid) -> PlumeFit | None:
    """Return the best fit, None where no pair is possible; where no emission is positive, the middlemost pair's."""
    first = solve(plumes, window, grid)
    if not first.is_possible.any():
        return None
    best = first.best()
    if best is None:
        turned = np.abs(first.grid.rotation_deg)[:, None] / OTHER_SIDE_DEG
        middle = math.sqrt(math.prod(grid.stability_range_m))
        distance = turned + np.abs(np.log(first.grid.stability_m / middle))
        nearest = int(np.argmin(np.where(first.is_possible, distance, np.inf)))
        return first.fit(nearest)
    for _ in range(ZOOMS):
        grid = grid.around(best)
        best = solve(plumes, window, grid).best() or best
    return best
