"""How the dates of many areas are shared out: runs of neighbouring dates of one area, in bins of about equal pixels."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIN_DATES = 4  # of a run: its first date reads up to 12 references anew, which costs an eighth of a search


@dataclass(frozen=True)
class Run:
    """Dates of one area that one worker searches in their order, reading each date once."""

    area: str
    """Partition of the table pixels."""
    dates: tuple[str, ...]
    """Partitions of the table pixels, YYYY-MM-DD, ascending."""
    pixels: int
    """To be searched in all."""


def plan_runs(dates_of: Mapping[str, Sequence[str]], pixels_of: Mapping[str, int], max_bins: int) -> list[list[Run]]:
    """Return at most `max_bins` bins of runs, the fullest first; the same arguments give the same bins.

    `dates_of` are the dates of each area, `pixels_of` the pixels of one date. An area with more than a bin's share of
    the pixels is cut into runs of at least MIN_DATES dates, so that one area of a year keeps all cores busy too.

    365 dates of one area in at most 64 bins: 61 bins of a run of 5 or 6 dates.
    """
    share = sum(len(dates) * pixels_of[area] for area, dates in dates_of.items()) / max_bins
    runs = [run for area in sorted(dates_of) for run in _cut(area, sorted(dates_of[area]), pixels_of[area], share)]
    runs.sort(key=lambda run: (-run.pixels, run.area, run.dates))
    bins: list[list[Run]] = [[] for _ in range(min(max_bins, len(runs)))]
    loads = [(0, index) for index in range(len(bins))]
    for run in runs:
        load, index = heapq.heappop(loads)
        bins[index].append(run)
        heapq.heappush(loads, (load + run.pixels, index))
    return sorted(bins, key=lambda runs: (-sum(run.pixels for run in runs), runs[0].area, runs[0].dates))


def _cut(area: str, dates: Sequence[str], pixels: int, share: float) -> list[Run]:
    """Return the dates in runs of about equal length: a `share` of the pixels, and at least MIN_DATES dates if any."""
    longest = max(MIN_DATES, math.ceil(share / max(1, pixels)))
    n = max(1, min(math.ceil(len(dates) / longest), len(dates) // MIN_DATES))
    ends = [len(dates) * (i + 1) // n for i in range(n)]
    parts = [tuple(dates[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    return [Run(area, part, len(part) * max(1, pixels)) for part in parts]
