"""The soundings of a track by rows of footprints: what a row is worth, how sure that is, and what its quarters differ.

The footprints of a row share errors of the retrieval that neighbouring rows share in part (`row_noise.py`). A plume
that only a part of the strip sees, or that the strip cuts at an angle, shows in what the quarters of the strip's width
differ by, in which those errors and the background cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from plumewatch.constants import MEDIAN_OF_ABSOLUTE_NORMAL
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROWS_A_SECOND = 3.0  # OCO-2 and OCO-3
QUARTERS = 4  # of the strip's width, of two footprints each
MIN_OWN = 10  # differences of neighbours: with fewer, the stated error of a sounding has to do
UNSEEN_PPM2 = 1e6  # variance of a row without soundings
MIXED = 0.01  # share of water, or of land, from which the quarters of a row may differ by the coast
MEDIANS = np.array([np.nan, 0.4549, 0.6931, 0.7887])  # of chi squared over its degrees of freedom, 1 to 3


@dataclass(frozen=True)
class Rows:
    """A track on a regular grid of rows of footprints; arrays have shape (rows,), rows without soundings count too."""

    distance_km: Floats
    """Along the track: mean of the soundings, in between interpolated."""
    km_per_row: float
    """Usual step."""
    value_ppm: Floats
    """Mean xco2 minus `origin_ppm`; 0 where nothing is seen."""
    variance_ppm2: Floats
    """Of the mean, from the soundings' own errors; UNSEEN_PPM2 where nothing is seen."""
    error_scale: Floats
    """Own error of a sounding of the row over the track's usual one; 1 where nothing is seen."""
    n_soundings: NDArray[np.intp]
    """Of each row."""
    water: Floats
    """Share of soundings over water."""
    quarter_ppm: Floats
    """Mean of each quarter less that of the row, without what is alike over tens of rows; shape (quarters, rows)."""
    quarter_weight: Floats
    """One over the variance of a quarter's mean (ppm^-2), 0 where it can't be compared with others; same shape."""
    quarter_share: Floats
    """Share of the soundings that are in each quarter, from the left on, shape (quarters,)."""
    origin_ppm: float
    """Median xco2 of the track."""
    is_place: bool
    """Whether the track is the axis of sweeps over a place, and so as short as a plume."""

    def __len__(self) -> int:
        return len(self.distance_km)

    @property
    def is_seen(self) -> Bools:
        """Which rows have soundings."""
        return self.n_soundings > 0

    @classmethod
    def of(cls, track: Track) -> Rows:
        """Put the soundings of a track, at least one, into rows: by time, over a place by the distance on its axis."""
        rule = peak_thresholds().rows
        row = _row_numbers(track, rule.km_per_row, rule.longest_gap)
        order = np.lexsort((track.across_km, row))
        row, origin = row[order], float(np.median(track.xco2_ppm))
        count = np.bincount(row)
        seen = np.flatnonzero(count)
        along = np.bincount(row, track.distance_km[order])[seen] / count[seen]
        value, stated = track.xco2_ppm[order] - origin, track.uncertainty_ppm[order]
        single = _single_errors(value, stated, row)
        value = _capped(value, rule.outlier_sds * single, rule.outlier_among)
        steps = np.diff(along) / np.diff(seen) if len(seen) > 1 else np.array([rule.km_per_row])
        least, most = rule.km_per_row_within
        water = np.nan_to_num(track.is_water[order])
        total = np.maximum(count, 1)
        of_single = np.bincount(row, single**2) / total
        quarters = _Quarters.of(row, value, of_single / total, track.across_km[order], water, len(count))
        return cls(
            np.interp(np.arange(len(count)), seen, along),
            float(np.clip(np.median(steps), least, most)),
            np.bincount(row, value) / total,
            np.where(count > 0, of_single / total, UNSEEN_PPM2),
            np.where(count > 0, np.sqrt(of_single) / np.median(single), 1.0),
            count,
            np.bincount(row, water) / total,
            quarters.difference_ppm,
            quarters.weight,
            quarters.share,
            origin,
            track.is_place,
        )


def _row_numbers(track: Track, km_per_row: float, longest_gap: int) -> NDArray[np.intp]:
    """In which row each sounding is, counted from 0; longer gaps are as long as that."""
    if track.is_place:
        at = np.floor((track.distance_km - track.distance_km.min()) / km_per_row)
    else:
        at = np.floor((track.time_s - track.time_s.min()) * ROWS_A_SECOND + 0.5)
    frames, frame = np.unique(at, return_inverse=True)
    steps = np.minimum(np.diff(frames, prepend=frames[0]), longest_gap)
    return np.cumsum(steps).astype(np.intp)[frame]


def _single_errors(value_ppm: Floats, stated_ppm: Floats, row: NDArray[np.intp]) -> Floats:
    """Errors that soundings don't share, ppm: the stated ones times what neighbours within rows really differ by.

    That factor is local, a median over `error_among` differences, as far as there are so many; the track's otherwise.
    """
    rule = peak_thresholds().rows
    is_pair = np.diff(row) == 0
    differs = (np.abs(np.diff(value_ppm)) / np.hypot(stated_ppm[1:], stated_ppm[:-1]))[is_pair]
    if len(differs) < MIN_OWN:
        return stated_ppm
    of_track = np.median(differs) / MEDIAN_OF_ABSOLUTE_NORMAL
    among = min(rule.error_among, (len(differs) - 1) // 2 * 2 + 1)
    local = median_filter(differs, among, mode="reflect") / MEDIAN_OF_ABSOLUTE_NORMAL
    share = among / (among + rule.error_prior)
    factor = np.sqrt(share * local**2 + (1.0 - share) * of_track**2)
    at = np.flatnonzero(is_pair) + 0.5
    return np.maximum(stated_ppm * np.interp(np.arange(len(row)), at, factor), rule.least_error_ppm)


def _capped(value_ppm: Floats, beyond_ppm: Floats, among: int) -> Floats:
    """Values of which none stands alone: each at most `beyond_ppm` outside the range of its neighbours in order."""
    if len(value_ppm) <= 2 * among:
        return value_ppm

    def capped_above(value: Floats) -> Floats:
        windows = sliding_window_view(np.pad(value, among, constant_values=-np.inf), among)
        before, after = windows[: len(value)].max(axis=1), windows[among + 1 :].max(axis=1)
        return np.minimum(value, np.maximum(before, after) + beyond_ppm)

    return -capped_above(-capped_above(value_ppm))


@dataclass(frozen=True)
class _Quarters:
    difference_ppm: Floats
    weight: Floats
    share: Floats

    @classmethod
    def of(
        cls, row: NDArray[np.intp], value: Floats, single_ppm2: Floats, across_km: Floats, water: Floats, n_rows: int
    ) -> _Quarters:
        """Compare the quarters of the rows; `single_ppm2` is the variance of a sounding of each row."""
        rule = peak_thresholds().rows
        half_km = max(float(np.quantile(np.abs(across_km), rule.edge_quantile)), 1e-3)
        quarter = np.clip(np.floor((across_km / half_km + 1.0) * QUARTERS / 2), 0, QUARTERS - 1).astype(np.intp)
        place, size = quarter * n_rows + row, QUARTERS * n_rows
        n = np.bincount(place, minlength=size).reshape(QUARTERS, n_rows)
        mean = np.bincount(place, value, size).reshape(QUARTERS, n_rows) / np.maximum(n, 1)
        wet = np.bincount(row, water, n_rows) / np.maximum(n.sum(axis=0), 1)
        is_told = ((n > 0).sum(axis=0) > 1) & ((wet <= MIXED) | (wet >= 1.0 - MIXED))
        weight = np.where(is_told, n / np.where(single_ppm2 > 0, single_ppm2, 1.0), 0.0)
        difference = np.where(weight > 0, mean - compute_row_means(mean, weight), 0.0)
        for k, seen in enumerate(weight > 0):
            if seen.any():
                difference[k, seen] -= median_filter(difference[k, seen], rule.quarters_alike_over, mode="reflect")
        if is_told.any():
            # what they differ by beyond their own errors, over slopes and beside clouds, is told by the track
            among = (weight > 0).sum(axis=0)[is_told] - 1
            excess = (weight * difference**2).sum(axis=0)[is_told] / among / MEDIANS[among]
            usual = np.ones(n_rows)
            usual[is_told] = np.maximum(median_filter(excess, rule.quarters_alike_over, mode="reflect"), 1.0)
            weight = np.where(weight > 0, 1.0 / (usual / np.maximum(weight, 1e-9) + rule.quarter_error_ppm**2), 0.0)
        return cls(difference, weight, n.sum(axis=1) / max(n.sum(), 1))


def compute_row_means(values: Floats, weight: Floats) -> Floats:
    """Return the weighted mean of the quarters of each row, with quarters and rows last: shape (..., 1, rows)."""
    total = weight.sum(axis=-2, keepdims=True)
    return np.asarray((weight * values).sum(axis=-2, keepdims=True) / np.where(total > 0, total, 1.0))
