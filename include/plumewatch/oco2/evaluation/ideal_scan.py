"""What a scan could find at best that is told all that the filter is told, but neither where a plume is nor its shape.

With P of `shape_filter.py`, shapes t drawn as the judge's plumes are and heights h as theirs, it tests each row by the
mean likelihood ratio of a plume whose middle lies within some rows of it,

    L = log mean over places, t and h of exp(h t' P y - h^2 t' P t / 2).

Where noise is as it is told, no test with as many false alarms finds more plumes of that kind (the lemma of Neyman and
Pearson): what it misses of the filter's plumes there, `recalls_as_told`, is the price of looking everywhere for shapes
of all kinds, which every finder pays. On the judged strips outliers and rough stretches, of which neither is told, cost
it more than the filter, as there is a shape for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from plumewatch.oco2.evaluation.judged_strips import LARGEST_PPM, WEAK, JudgedStrip, World
from plumewatch.oco2.evaluation.shape_filter import StripFilter, threshold_of
from plumewatch.oco2.evaluation.strip_truth import TruePlume
from plumewatch.oco2.evaluation.surroundings import SimulatedStripNoise

Floats = NDArray[np.float64]

SLANTS_DEG: Floats = np.arange(-67.5, 70.0, 15.0)  # a strip's shapes are those of the nearest
HALF_ROWS = 40  # 90 km: what lies beyond on both sides of a shape's middle is left away
HEIGHTS: Floats = np.geomspace(WEAK * LARGEST_PPM[0], LARGEST_PPM[1], 12)  # ppm of the best footprint
PLACES = 2  # rows on both sides over which the mean is taken


class IdealScan:
    """The scan for all strips of a world."""

    def __init__(self, world: World, n_shapes: int) -> None:
        """Draw so many shapes for each slant, of height 1, and how high each can be."""
        self._shapes, self._highest = [], []
        for slant in SLANTS_DEG:
            drawn = list(world.shapes(n_shapes, float(slant)))
            highest = np.array([shape.max() for shape in drawn])
            self._shapes.append(np.stack([_around_middle(shape) for shape in drawn]) / highest[:, None, None])
            self._highest.append(highest)

    def along(self, judged: JudgedStrip, others: Sequence[TruePlume] = ()) -> Floats:
        """Return L at every row of a strip, its `others` taken away: shape (rows,)."""
        k = int(np.argmin(np.abs(SLANTS_DEG - judged.strip.slant_deg)))
        overlap, information = StripFilter(judged).moved(self._shapes[k], others)
        inside = slice(HALF_ROWS, HALF_ROWS + judged.strip.n_rows)
        overlap, information = overlap[None, :, inside], np.maximum(information[None, :, inside], 0.0)
        h = HEIGHTS[:, None, None]
        log_ratio = h * overlap - 0.5 * h**2 * information
        can_be = h <= self._highest[k][:, None]
        at_place = logsumexp(np.where(can_be, log_ratio, -np.inf), axis=(0, 1)) - np.log(can_be.sum())
        padded = np.pad(at_place, PLACES, constant_values=-np.inf)
        return np.asarray(logsumexp(np.lib.stride_tricks.sliding_window_view(padded, 2 * PLACES + 1), axis=1))

    def at(self, judged: JudgedStrip, plume: TruePlume, others: Sequence[TruePlume]) -> float:
        """Return the largest L at the rows that are a plume's."""
        is_near = np.abs(judged.strip.row_km - plume.centre_km) <= plume.reach_km
        return float(self.along(judged, others)[is_near].max())

    def threshold(self, empty: Iterable[JudgedStrip], false_alarms: float) -> float:
        """Return the L that this share of strips without a plume exceeds."""
        return float(np.quantile([self.along(judged).max() for judged in empty], 1.0 - false_alarms))


def recalls_as_told(
    world: World, ideal: IdealScan, planted: int, empty: int, false_alarms: float
) -> tuple[float, float]:
    """Return the shares of plumes that the filter and the scan find where noise is as they are told.

    `planted` and `empty` are numbers of strips, `false_alarms` is the share of the latter on which both alarm.
    """
    told = replace(world, noise=(SimulatedStripNoise.as_told(),))
    of_filter, of_ideal, shapes = [], [], []
    for judged in told.planted_strips(planted):
        knows = StripFilter(judged)
        for plume in judged.plumes:
            others = [other for other in judged.plumes if other is not plume]
            of_filter.append(knows.at(plume, others))
            of_ideal.append(ideal.at(judged, plume, others))
            shapes.append(plume.enhancement_ppm)
    z = threshold_of(told.empty_strips(empty), shapes, false_alarms)
    least = ideal.threshold(told.empty_strips(empty), false_alarms)
    return float(np.mean(np.array(of_filter) > z)), float(np.mean(np.array(of_ideal) > least))


def _around_middle(shape: Floats) -> Floats:
    """The rows (2 HALF_ROWS + 1, 8) around the middle of a shape (rows, 8)."""
    profile = shape.mean(axis=1)
    middle = round(float(profile @ np.arange(len(profile)) / profile.sum()))
    padded = np.pad(shape, ((HALF_ROWS, HALF_ROWS), (0, 0)))
    return padded[middle : middle + 2 * HALF_ROWS + 1]
