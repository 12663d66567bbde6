"""The scan: how far every template stands out of noise and background, everywhere along a track.

Rows y have the covariance C of their own errors and what they share (`row_noise.py`), with a free level and a free step
between land and water. The height of a template t by generalised least squares and its statistic are

    h = t' P y / t' P t,   z = t' P y / sqrt(t' P t),   P = C^-1,

the matched filter for noise of this covariance. Where only a part f of the strip sees the plume, rows show f t and the
difference of their sides, whose errors are nearly independent, shows t: both are added up,

    z = (f t' P y + t' S d) / sqrt(f^2 t' P t + t' S t),

and so for a plume that lies ahead on one side. That takes windows of 250 km and matrices of their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from plumewatch.constants import MEDIAN_OF_ABSOLUTE_NORMAL
from plumewatch.oco2.row_noise import estimate_strengths, kernels
from plumewatch.oco2.rows import MIDDLE, UNSEEN_PPM2, Rows
from plumewatch.oco2.templates import CORE, MARGIN, SEGMENT, SEGMENT_MARGIN, WINDOW, Bank, banks, scan_widths
from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

STRETCH = 4  # windows, 500 km, whose noise is told together, with half as many on both sides
AT_ONCE = 8  # windows: what is in the processor's cache
ANY_LEVEL_PPM2, ANY_STEP_PPM2 = 100.0, 9.0  # variances that leave the level, and a step at coasts, free
LEAST_INFORMATION = 0.01  # ppm^-2: a height that is known to 10 ppm tells nothing
HALF = 2  # places a row at which the statistic is kept
TYPICAL_WITHIN = 0.2  # of the logarithm of the typical width


class Disturbance(Protocol):
    """Something else in the rows, whose covariance is added."""

    def covariance(self, row: Floats) -> Floats:
        """Return it (ppm^2) between rows of these numbers, shape (rows, rows)."""

    def reach(self) -> tuple[float, float]:
        """First and last row that it reaches."""


@dataclass
class Scan:
    """The strongest template at every half row of a track; arrays have shape (2 rows,), and change with `update`."""

    rows: Rows
    """What was scanned."""
    statistic: Floats
    """z of the strongest template there, of parts of the strip over `part_scale`; -inf where none can be tested."""
    sigma_km: Floats
    """Its width."""
    dip: Floats
    """-z of the deepest template, for all of the strip: what lies below the background on both its sides."""
    dip_sigma_km: Floats
    """Its width."""
    height_error_ppm: Floats
    """Error of the height of a plume of typical width where such a template lies, else NaN."""
    spread: Floats
    """What z of templates of each width really spreads by, shape (widths,): 1 where the covariance is right."""
    _starts: Indices
    _strengths: Floats
    _part_scale: float

    @classmethod
    def of(cls, rows: Rows, part_scale: float) -> Scan:
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
        scan = cls(rows, *kept, np.ones(len(scan_widths())), starts, strengths, part_scale)
        tested: list[_Tested] = []
        for k in range(0, len(starts), AT_ONCE):
            tested += scan._run(np.arange(k, min(k + AT_ONCE, len(starts))), ())
        if not rows.is_place:  # over a place a plume would count as its own noise
            scan.spread = _spread(tested, len(starts) * CORE * rows.km_per_row)
        for some in tested:
            scan._keep(some)
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
        for k in touched:
            at = slice(HALF * self._starts[k], HALF * (self._starts[k] + CORE))
            self.statistic[at] = self.dip[at] = -np.inf
            for tested in self._run(np.array([k]), disturbances):
                self._keep(tested)

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

    def _run(self, windows: Indices, disturbances: Sequence[Disturbance]) -> list[_Tested]:
        """Test all templates in some windows."""
        rows = self.rows
        at = self._starts[windows][:, None] + np.arange(-MARGIN, CORE + MARGIN)
        covariance = self._covariances(at, self._shared(at), self._strengths[windows])
        if disturbances:
            covariance += [known_covariance(disturbances, row) for row in at.astype(float)]
        inverse = inverted(covariance)
        is_seen = self._of_rows(rows.is_seen.astype(float), at, 0.0)
        weighted = np.einsum("wij,wj->wi", inverse, self._of_rows(rows.value_ppm, at, 0.0))
        side_weight = self._of_rows(1.0 / rows.side_variance_ppm2, at, 0.0)
        side = self._of_rows(rows.side_ppm, at, 0.0) * side_weight
        narrow, middle, wide = banks(round(rows.km_per_row, 2))
        data = _Data(inverse, weighted, is_seen, side, side_weight, rows.left_share)
        tested = [data.test(bank, self._starts[windows]) for bank in (middle, wide)]
        segments = np.arange(0, CORE, SEGMENT)
        cut = (MARGIN - SEGMENT_MARGIN + segments)[:, None] + np.arange(SEGMENT + 2 * SEGMENT_MARGIN)
        length = cut.shape[1]
        data = _Data(
            inverse[:, cut[:, :, None], cut[:, None, :]].reshape(-1, length, length),
            weighted[:, cut].reshape(-1, length),
            is_seen[:, cut].reshape(-1, length),
            side[:, :, cut].reshape(len(side), -1, length),
            side_weight[:, :, cut].reshape(len(side), -1, length),
            rows.left_share,
        )
        return [*tested, data.test(narrow, (self._starts[windows][:, None] + segments).ravel())]

    def _keep(self, tested: _Tested) -> None:
        """Keep the strongest template of each half row."""
        bank = tested.bank
        spread = self._spread_of(bank.sigma_km)
        whole = tested.whole / spread
        # parts hold much of the whole, but what their sides tell isn't calmer where the whole is
        statistic = np.maximum(whole, tested.parts / (self._part_scale * np.maximum(spread, 1.0)))
        place = np.rint(HALF * (tested.starts[:, None] + bank.centre)).astype(np.intp)
        counts = np.broadcast_to(bank.is_core, place.shape) & (place < len(self.statistic)) & np.isfinite(statistic)
        where, sigma = place[counts], np.broadcast_to(bank.sigma_km, place.shape)[counts]
        _keep_largest(self.statistic, self.sigma_km, where, statistic[counts], sigma)
        _keep_largest(self.dip, self.dip_sigma_km, where, -whole[counts], sigma)
        typical = np.abs(np.log(bank.sigma_km / peak_thresholds().flux.typical_sigma_km))
        told = counts & (typical == typical.min()) & (typical < TYPICAL_WITHIN)
        self.height_error_ppm[place[told]] = tested.error_ppm[told]


@dataclass(frozen=True)
class _Tested:
    """Templates tested in some windows or segments; arrays have shape (windows, templates)."""

    bank: Bank
    """Which templates."""
    starts: Indices
    """First row of the core of each window, shape (windows,)."""
    whole: Floats
    """z of the template for all of the strip; -inf where nothing tells."""
    parts: Floats
    """The largest z of those for parts of the strip."""
    error_ppm: Floats
    """Error of the height."""


def _spread(tested: Sequence[_Tested], length_km: float) -> Floats:
    """Spread of z for each width: 1.4826 x median |z|, so that few plumes don't count, and 1 where little is tested."""
    rule = peak_thresholds().noise
    spread = np.ones(len(scan_widths()))
    for k, sigma_km in enumerate(scan_widths()):
        of_width = [t.whole[:, t.bank.is_core & (t.bank.sigma_km == sigma_km)].ravel() for t in tested]
        z = np.concatenate(of_width) if of_width else np.empty(0)
        z = z[np.isfinite(z)]
        if len(z):
            n_places = length_km / (rule.spread_prior_km + rule.spread_prior_sigmas * sigma_km)
            own = np.median(np.abs(z)) / MEDIAN_OF_ABSOLUTE_NORMAL
            spread[k] = np.sqrt((n_places * own**2 + 1.0) / (n_places + 1.0))
    return spread


def _keep_largest(largest: Floats, widths: Floats, where: Indices, value: Floats, sigma_km: Floats) -> None:
    """Put values and widths where they are larger than what is kept there."""
    order = np.argsort(value, kind="stable")
    best, width = np.full(len(largest), -np.inf), np.full(len(largest), np.nan)
    best[where[order]], width[where[order]] = value[order], sigma_km[order]  # the last, which is the largest, stays
    is_better = best > largest
    largest[is_better], widths[is_better] = best[is_better], width[is_better]


@dataclass(frozen=True)
class _Data:
    """What templates are tested against in some windows or segments."""

    inverse: Floats
    """P, shape (windows, rows, rows)."""
    weighted: Floats
    """P y, shape (windows, rows)."""
    is_seen: Floats
    """Shape (windows, rows)."""
    side: Floats
    """S d, shape (splits, windows, rows)."""
    side_weight: Floats
    """S, same shape."""
    left_share: Floats
    """Of each split."""

    def test(self, bank: Bank, starts: Indices) -> _Tested:
        """Test every template."""
        t = bank.shape
        filtered = t @ self.inverse
        information = np.einsum("wtr,tr->wt", filtered, t)
        height = self.weighted @ t.T
        is_told = self.is_seen @ bank.is_near.T > 0
        whole = np.where(is_told, _over_error(height, information), -np.inf)
        parts = [np.full(whole.shape, -np.inf)]
        if bank.is_parted:
            parts = [*self._of_parts(t, height, information), *self._of_slants(bank, filtered, height, information)]
        strongest = np.where(np.isfinite(whole), np.max(parts, axis=0), -np.inf)
        error = 1.0 / np.sqrt(np.maximum(information, LEAST_INFORMATION))
        return _Tested(bank, starts, whole, strongest, np.where(np.isfinite(whole), error, np.nan))

    def _of_parts(self, t: Floats, height: Floats, information: Floats) -> list[Floats]:
        """Statistics of plumes that only the left or right part of the strip sees."""
        found = []
        for split, share in enumerate(self.left_share):
            side, of_side = self.side[split] @ t.T, self.side_weight[split] @ (t * t).T
            for part, sign in ((share, 1.0), (1.0 - share, -1.0)):
                found.append(_over_error(part * height + sign * side, part**2 * information + of_side))
        return found

    def _of_slants(self, bank: Bank, filtered: Floats, height: Floats, information: Floats) -> list[Floats]:
        """Statistics of plumes that lie ahead on the left or on the right."""
        t, weight = bank.shape, self.side_weight[MIDDLE]
        side = self.side[MIDDLE] @ t.T
        of_side = weight @ (t * t).T
        found = []
        for ahead, behind, middle in bank.pairs:
            both = np.einsum("wtr,tr->wt", filtered[:, ahead], t[behind])
            of_both = weight @ (t[ahead] * t[behind]).T
            along = 0.5 * (height[:, ahead] + height[:, behind])
            told = 0.25 * (information[:, ahead] + information[:, behind] + 2.0 * both)
            told += of_side[:, ahead] + of_side[:, behind] - 2.0 * of_both
            across = side[:, ahead] - side[:, behind]
            for sign in (1.0, -1.0):
                statistic = np.full(height.shape, -np.inf)
                statistic[:, middle] = _over_error(along + sign * across, told)
                found.append(statistic)
        return found


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
    """Return the inverse of a covariance, or of several."""
    return np.asarray(np.linalg.inv(covariance), dtype=float)
