"""What is true of a plume in a strip: how much, where, how high, how many, and whether it is one plume or two.

The profile of a plume is its mean over the footprints of each row, seen or not. Its amplitude is the integral of the
profile along the track (ppm km): of the whole plume, also where clouds hide a part of it, and of what the strip gets,
where only half of the strip sees it. Plumes of neighbouring plants are two by the definition that is the finder's too
(`candidates` in `reference/oco2_peaks.yaml`): where the sum of their profiles falls, between their highest places,
which are ten kilometres apart at least, below 0.35 of the lower one. The real plumes of the Highveld, which fall to
0.37, are published as one. Otherwise they are one, with all that comes of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.evaluation.strip import ROW_KM, Crossing
from plumewatch.oco2.thresholds import peak_thresholds

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PRESENT = 0.2  # of its largest enhancement: a sounding with more is in the plume
CORE = 0.5
WHOLE = 0.8  # of the strip's width: less, and the plume begins or ends within the strip
HIDDEN = 0.1  # where less than this share of the core's footprints is seen, nobody could tell
NEAR_KM, NEAR_SPREADS, FAR_KM = 15.0, 2.0, 50.0  # a row so near the middle is that plume's; never one farther off


@dataclass(frozen=True)
class TruePlume:
    """A plume in a strip."""

    enhancement_ppm: Floats
    """Of every footprint, shape (rows, 8)."""
    crossings: tuple[Crossing, ...]
    """How the strip cuts it, one for each plant whose plume it is; that of the strongest first."""
    amplitude_ppm_km: float
    """Integral along the track of the mean over each row's footprints."""
    centre_km: float
    """Centroid of that mean."""
    spread_km: float
    """Its standard deviation along the track."""
    largest_ppm: float
    """Enhancement of the footprint that has most."""
    n_soundings: int
    """Seen footprints with at least a fifth of that."""
    seen_core: float
    """Share of footprints with at least half of it that is seen."""
    width_share: float
    """Share of the strip's width where the plume is at least half of what it is where it is most."""

    @property
    def is_part_of_strip(self) -> bool:
        """Whether a part of the strip's width sees little of it."""
        return self.width_share < WHOLE

    @property
    def is_core_hidden(self) -> bool:
        """Whether clouds hide what would tell of it."""
        return self.seen_core < HIDDEN

    @property
    def reach_km(self) -> float:
        """How far from the centre a row may be and still be this plume's."""
        return min(max(NEAR_KM, NEAR_SPREADS * self.spread_km), FAR_KM)

    @classmethod
    def of(cls, parts: Sequence[tuple[Crossing, Floats]], is_seen: Bools, row_km: Floats) -> TruePlume:
        """Sum up the plume of one or more plants: how each is cut, and what each gives the footprints."""
        enhancement = np.sum([part for _, part in parts], axis=0)
        profile = enhancement.mean(axis=1)
        centre = float(profile @ row_km / profile.sum())
        largest = float(enhancement.max())
        core, by_footprint = enhancement >= CORE * largest, enhancement.sum(axis=0)
        return cls(
            enhancement,
            tuple(crossing for crossing, _ in sorted(parts, key=lambda part: -part[1].sum())),
            float(profile.sum() * ROW_KM),
            centre,
            float(np.sqrt(profile @ (row_km - centre) ** 2 / profile.sum())),
            largest,
            int(np.count_nonzero(is_seen & (enhancement >= PRESENT * largest))),
            float(is_seen[core].mean()),
            float(np.mean(by_footprint >= CORE * by_footprint.max())),
        )


def one_or_two(profiles: Sequence[Floats]) -> list[list[int]]:
    """Return which profiles (rows,) are one plume: groups of their indices, along the track.

    Two that touch, and two that don't:

    >>> x = np.arange(100.0)
    >>> hill = lambda at: np.exp(-0.5 * ((x - at) / 5.0) ** 2)
    >>> one_or_two([hill(40.0), hill(50.0)]), one_or_two([hill(40.0), hill(60.0)])
    ([[0, 1]], [[0], [1]])
    """
    rule = peak_thresholds().candidates
    total, least_apart = np.sum(profiles, axis=0), round(rule.separation_km / ROW_KM)
    groups = [[k] for k in sorted(range(len(profiles)), key=lambda k: int(np.argmax(profiles[k])))]
    k = 0
    while k + 1 < len(groups):
        tops = [int(np.argmax(np.sum([profiles[i] for i in groups[j]], axis=0))) for j in (k, k + 1)]
        between = total[min(tops) : max(tops) + 1]
        if len(between) > least_apart and between.min() < rule.valley * min(total[tops]):
            k += 1
        else:
            groups[k] += groups.pop(k + 1)
            k = max(k - 1, 0)
    return groups


def owner_of(plumes: Sequence[TruePlume], centres_km: Floats) -> NDArray[np.intp]:
    """Return whose row each is, by the place of its centre: of the nearest plume within reach, -1 where none is."""
    if not plumes or not len(centres_km):
        return np.full(len(centres_km), -1, dtype=np.intp)
    apart = np.abs(np.asarray(centres_km)[:, None] - [plume.centre_km for plume in plumes])
    relative = apart / [plume.reach_km for plume in plumes]
    owner = np.argmin(np.where(relative <= 1.0, apart, np.inf), axis=1)
    return np.where((relative <= 1.0).any(axis=1), owner, -1).astype(np.intp)
