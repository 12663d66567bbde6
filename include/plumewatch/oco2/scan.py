"""The scan: how far every template stands out of noise and background, everywhere along a track.

Rows y have the covariance C of their own errors and what they share (`row_noise.py`), with a free level and a free step
between land and water. The height of a template t by generalised least squares and its statistic are

    h = t' P y / t' P t,   z = t' P y / sqrt(t' P t),   P = C^-1,

the matched filter for noise of this covariance. A plume that lies ahead on one side of the strip has rows that show a
wider f t, lower by f, and quarters of the strip's width that differ, d, whose errors are nearly independent of those of
rows (`contrasts.py`): both are added up,

    z = (f t' P y + t' S d) / sqrt(f^2 t' P t + t' S t).

That takes windows of 250 km and matrices of their size. Noise makes slanted templates stand out less than straight
ones: `statistic` is their z over a scale that makes them alike (`null_distribution.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri

from plumewatch.constants import MEDIAN_OF_ABSOLUTE_NORMAL
from plumewatch.oco2.contrasts import Contrasts
from plumewatch.oco2.null_distribution import NullDistribution, null_distribution
from plumewatch.oco2.row_noise import estimate_strengths, kernels
from plumewatch.oco2.rows import UNSEEN_PPM2, Rows
from plumewatch.oco2.templates import (
    CORE,
    HALF,
    MARGIN,
    SEGMENT,
    SEGMENT_MARGIN,
    WINDOW,
    Bank,
    banks,
    scan_widths,
    slanted_templates,
)
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

STRETCH = 4  # windows, 500 km, whose noise is told together, with half as many on both sides
AT_ONCE = 8  # windows: what is in the processor's cache
ANY_LEVEL_PPM2, ANY_STEP_PPM2 = 100.0, 9.0  # variances that leave the level, and a step at coasts, free
LEAST_INFORMATION = 0.01  # ppm^-2: a height that is known to 10 ppm tells nothing


class Disturbance(Protocol):
    """Something else in the rows, whose covariance is added."""

    def covariance(self, row: Floats) -> Floats:
        """Return it (ppm^2) between rows of these numbers, shape (rows, rows)."""

    def reach(self) -> tuple[float, float]:
        """First and last row that it reaches."""

    def of_quarters(self, row: Floats) -> Floats:
        """Variance (ppm^2) that it adds to what the quarters of these rows differ by, shape (rows,)."""


@dataclass
class Scan:
    """The strongest template at every half row of a track; arrays have shape (2 rows,), and change with `update`."""

    rows: Rows
    """What was scanned."""
    statistic: Floats
    """z of the strongest template there, of slanted ones over their scale; -inf where none can be tested."""
    sigma_km: Floats
    """Its width in the rows' means."""
    dip: Floats
    """-z of the deepest straight template: what lies below the background on both its sides."""
    dip_sigma_km: Floats
    """Its width."""
    height_error_ppm: Floats
    """Height of a plume of typical width whose statistic is 1; NaN where none can be tested."""
    spread: Floats
    """What z of templates of each width really spreads by, shape (widths,): 1 where the covariance is right."""
    largest: Floats
    """The largest z of straight and of slanted templates anywhere; -inf where none can be tested."""
    _starts: Indices
    _strengths: Floats
    _slanted_scale: float

    @classmethod
    def of_track(cls, track: Track, law: NullDistribution | None = None) -> Scan:
        """Scan the rows of a track."""
        return cls.of(Rows.of(track), (law or null_distribution()).slanted_scale)

    @classmethod
    def of(cls, rows: Rows, slanted_scale: float) -> Scan:
        """Scan all windows."""
        size = HALF * len(rows)
        starts = np.arange(0, len(rows), CORE)
        padded, rule = np.pad(rows.n_soundings, (MARGIN, MARGIN + CORE)), peak_thresholds().templates
        around = sliding_window_view(padded, WINDOW)[starts]
        is_enough = ((around > 0).sum(axis=1) >= rule.min_rows) & (around.sum(axis=1) >= rule.min_soundings)
        starts = starts[is_enough & (around[:, MARGIN : MARGIN + CORE] > 0).any(axis=1)]
        untested, unknown = (np.full((3, size), value) for value in (-np.inf, np.nan))
        strengths = cls._strengths_around(rows, starts)
        kept = untested[0], unknown[0], untested[1], unknown[1], unknown[2]
        largest = np.full(2, -np.inf)
        scan = cls(rows, *kept, np.ones(len(scan_widths())), largest, starts, strengths, slanted_scale)
        if len(starts):
            parts = [scan._run(np.arange(k, min(k + AT_ONCE, len(starts))), ()) for k in range(0, len(starts), AT_ONCE)]
            overlap, information = (np.concatenate(values) for values in zip(*parts, strict=True))
            if not rows.is_place:  # over a place a plume would count as its own noise
                scan.spread = _spread(_over_error(overlap, information), len(starts) * CORE * rows.km_per_row)
            scan._keep(np.arange(len(starts)), overlap, information, ())
        return scan

    @staticmethod
    def _strengths_around(rows: Rows, starts: Indices) -> Floats:
        """How strong noise and background are around each window, shape (windows, kinds)."""
        stretches, of_stretch = np.unique(starts // (STRETCH * CORE), return_inverse=True)
        first = np.maximum((stretches * STRETCH - STRETCH // 2) * CORE, 0)
        return estimate_strengths(rows, first, 2 * STRETCH * CORE)[of_stretch]

    def update(self, disturbances: Sequence[Disturbance], near: Disturbance) -> None:
        """Scan the windows again that something reaches, with the covariance of all that is in them."""
        first, last = near.reach()
        touched = np.flatnonzero((self._starts - MARGIN <= last) & (self._starts + CORE + MARGIN > first))
        self._keep(touched, *self._run(touched, disturbances), disturbances)

    def window(self, row: float, sigma_km: float) -> tuple[Indices, Floats]:
        """Return the rows around one, and the covariance (ppm^2) of what a plume of this width is told from."""
        start = int(np.clip(round(row) - WINDOW // 2, 0, max(len(self.rows) - WINDOW, 0)))
        at = np.arange(start, min(start + WINDOW, len(self.rows)))
        k = int(np.argmin(np.abs(self._starts + CORE / 2 - row)))
        return at, self._spread_of(sigma_km) ** 2 * self._covariances(
            at[None], self._shared(at[None]), self._strengths[k][None]
        )[0]

    def _spread_of(self, sigma_km: Floats | float) -> Floats:
        """Spread of z of templates of a width."""
        return np.asarray(np.interp(np.log(sigma_km), np.log(scan_widths()), self.spread))

    def _of_rows(self, values: Floats, at: Indices, beyond: float) -> Floats:
        """Values of rows at indices, which may lie beyond the ends of the track."""
        n = len(self.rows)
        return np.where((at >= 0) & (at < n), values[..., np.clip(at, 0, n - 1)], beyond)

    def _shared(self, at: Indices) -> Floats:
        """What rows at indices (windows, rows) share, of each kind: shape (windows, kinds, rows, rows)."""
        correlation = _correlation(at.shape[1], self.rows.km_per_row)
        n_errors, scale = len(peak_thresholds().noise.errors_km), self._of_rows(self.rows.error_scale, at, 1.0)
        shared = np.repeat(correlation[None], len(at), axis=0)
        shared[:, :n_errors] *= (scale[:, :, None] * scale[:, None, :])[:, None]
        return shared

    def _covariances(self, at: Indices, shared: Floats, strengths: Floats) -> Floats:
        """Of noise and background of rows at indices (windows, rows); those beyond the ends aren't seen."""
        covariance = np.einsum("wk,wkrs->wrs", strengths, shared) + ANY_LEVEL_PPM2
        diagonal = np.arange(at.shape[1])
        covariance[:, diagonal, diagonal] += self._of_rows(self.rows.variance_ppm2, at, UNSEEN_PPM2)
        water = self._of_rows(self.rows.water, at, 0.0)
        if water.any() and not water.all():
            covariance += ANY_STEP_PPM2 * water[:, :, None] * water[:, None, :]
        return covariance

    def _rows_of(self, windows: Indices) -> Indices:
        """Numbers of the rows of some windows, shape (windows, rows)."""
        return np.asarray(self._starts[windows][:, None] + np.arange(-MARGIN, CORE + MARGIN))

    def _run(self, windows: Indices, disturbances: Sequence[Disturbance]) -> tuple[Floats, Floats]:
        """Return t' P y and t' P t of all templates in some windows, each of shape (windows, widths, half rows)."""
        rows, at = self.rows, self._rows_of(windows)
        covariance = self._covariances(at, self._shared(at), self._strengths[windows])
        if disturbances:
            covariance += [known_covariance(disturbances, row) for row in at.astype(float)]
        inverse = inverted(covariance)
        is_seen = self._of_rows(rows.is_seen.astype(float), at, 0.0)
        weighted = np.einsum("wij,wj->wi", inverse, self._of_rows(rows.value_ppm, at, 0.0))
        narrow, middle, wide = banks(round(rows.km_per_row, 2))
        cut = MARGIN - SEGMENT_MARGIN + np.arange(0, CORE, SEGMENT)[:, None] + np.arange(SEGMENT + 2 * SEGMENT_MARGIN)
        length = cut.shape[1]
        of_segments = _told(
            narrow,
            inverse[:, cut[:, :, None], cut[:, None, :]].reshape(-1, length, length),
            weighted[:, cut].reshape(-1, length),
            is_seen[:, cut].reshape(-1, length),
        )
        told = [
            values.reshape(len(at), len(cut), values.shape[1], -1).swapaxes(1, 2).reshape(len(at), values.shape[1], -1)
            for values in of_segments
        ]
        of_windows = [_told(bank, inverse, weighted, is_seen) for bank in (middle, wide)]
        overlap, information = (np.concatenate(values, axis=1) for values in zip(told, *of_windows, strict=True))
        return overlap, information

    def _keep(
        self, windows: Indices, overlap: Floats, information: Floats, disturbances: Sequence[Disturbance]
    ) -> None:
        """Keep the strongest template of each half row of some windows."""
        widths = scan_widths()
        z = _over_error(overlap, information) / self.spread[:, None]
        is_told = np.isfinite(z)
        below = np.where(is_told, -z, -np.inf)
        best, deepest = z.argmax(axis=1), below.argmax(axis=1)
        statistic, dip = z.max(axis=1), below.max(axis=1)
        slanted, width = np.full_like(statistic, -np.inf), best
        at, km_per_row = self._rows_of(windows), round(self.rows.km_per_row, 2)
        weight = self._of_rows(self.rows.quarter_weight, at, 0.0).swapaxes(0, 1)
        if disturbances:
            known = np.array([np.sum([d.of_quarters(row) for d in disturbances], axis=0) for row in at.astype(float)])
            weight = weight / (1.0 + weight * known[:, None])
        contrasts = Contrasts(self._of_rows(self.rows.quarter_ppm, at, 0.0).swapaxes(0, 1), weight, km_per_row)
        for template in slanted_templates(km_per_row):
            k, height = template.width, template.height
            found, told = contrasts.test(template)
            both = _over_error(height * overlap[:, k] + found, height**2 * information[:, k] + told)
            # they hold much of the rows' means, but what quarters tell isn't calmer where these are
            both = np.where(is_told[:, k], both / max(self.spread[k], 1.0), -np.inf)
            slanted, width = np.where(both > slanted, both, slanted), np.where(both > slanted, k, width)
        self.largest = np.maximum(self.largest, (statistic.max(), slanted.max()))
        is_slanted = slanted > statistic * self._slanted_scale
        statistic, best = (
            np.where(is_slanted, slanted / self._slanted_scale, statistic),
            np.where(is_slanted, width, best),
        )
        k = int(np.argmin(np.abs(np.log(widths / peak_thresholds().flux.typical_sigma_km))))
        error = self.spread[k] / np.sqrt(np.maximum(information[:, k], LEAST_INFORMATION))
        error = np.where(is_told[:, k], error, np.nan)
        place = HALF * self._starts[windows][:, None] + np.arange(HALF * CORE)
        is_in = place < len(self.statistic)
        for kept, values in (
            (self.statistic, statistic),
            (self.sigma_km, widths[best]),
            (self.dip, dip),
            (self.dip_sigma_km, widths[deepest]),
            (self.height_error_ppm, error),
        ):
            kept[place[is_in]] = values[is_in]


def _told(bank: Bank, inverse: Floats, weighted: Floats, is_seen: Floats) -> tuple[Floats, Floats]:
    """Return t' P y and t' P t at half rows, from P, P y and which rows are seen, of windows or segments."""
    t = bank.shape
    is_told = is_seen @ bank.is_near.T > 0
    overlap = np.where(is_told, weighted @ t.T, 0.0)
    information = np.where(is_told, np.einsum("wtr,tr->wt", t @ inverse, t), 0.0)
    return bank.at_half_rows(overlap), bank.at_half_rows(information)


def _spread(z: Floats, length_km: float) -> Floats:
    """Spread of z for each width: 1.4826 x median |z|, so that few plumes don't count, and 1 where little is tested."""
    rule = peak_thresholds().noise
    spread = np.ones(len(scan_widths()))
    for k, sigma_km in enumerate(scan_widths()):
        of_width = z[:, k][np.isfinite(z[:, k])]
        if len(of_width):
            n_places = length_km / (rule.spread_prior_km + rule.spread_prior_sigmas * sigma_km)
            own = np.median(np.abs(of_width)) / MEDIAN_OF_ABSOLUTE_NORMAL
            spread[k] = np.sqrt((n_places * own**2 + 1.0) / (n_places + 1.0))
    return spread


def _over_error(overlap: Floats, information: Floats) -> Floats:
    """Heights in units of their errors, -inf where next to nothing tells of them."""
    is_told = information > LEAST_INFORMATION
    return np.where(is_told, overlap / np.sqrt(np.where(is_told, information, 1.0)), -np.inf)


@lru_cache(maxsize=4)
def _correlation(n_rows: int, km_per_row: float) -> Floats:
    """Correlation of so many rows, of each kind, shape (kinds, rows, rows); for all windows of a track the same."""
    number = np.arange(n_rows)
    return kernels(np.abs(number[:, None] - number) * km_per_row)


def known_covariance(disturbances: Sequence[Disturbance], row: Floats) -> Floats:
    """Return the covariance (ppm^2) of all that is known to be in rows of these numbers, shape (rows, rows)."""
    total = np.zeros((len(row), len(row)))
    for disturbance in disturbances:
        first, last = disturbance.reach()
        if first <= row[-1] and last >= row[0]:
            total += disturbance.covariance(row)
    return total


def inverted(covariance: Floats) -> Floats:
    """Return the inverse of a covariance, or of several: by Cholesky's factors, in half of a general one's time."""
    if covariance.ndim > 2:
        return np.stack([inverted(one) for one in covariance])
    factor, failed = dpotrf(covariance.T, lower=True)
    lower, failed = dpotri(factor, lower=True, overwrite_c=True) if not failed else (factor, failed)
    if failed:  # so near to singular that rounding makes it indefinite
        return np.asarray(np.linalg.inv(covariance), dtype=float)
    inverse = lower + lower.T
    np.fill_diagonal(inverse, lower.diagonal())
    return np.asarray(inverse, dtype=float)
