"""What Sentinel Hub's Statistical API says of a zone, day by day, and the month that follows from its days.

https://docs.sentinel-hub.com/api/latest/api/statistical: an answer of HTTP 200 may hold an error in place of a day, and
"NaN" in place of numbers where nothing was clear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError, reading
from plumewatch.zonal_names import PERCENTILE

FORM = "an answer of the Statistical API: a list `data` of intervals with outputs"
BAND = "B0"  # what the service calls the only band of an output
MEDIAN_PERCENT, PERCENT = 50.0, 100.0
DAY_CHARACTERS = len("YYYY-MM-DD")
BY_SERVICE = "sentinel_hub"
"""Begins the `scene_id` of a day, and says in the manifest who counted."""
SEEN = "seen"
"""The output that all cells have that were seen at all."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DayStatistics:
    """One band or index of a zone on one day."""

    count: int
    """Cells that are clear."""
    mean: float
    """NaN where none is; so are the others."""
    std: float
    """Of the values themselves: division by their number."""
    low: float
    """The least value."""
    high: float
    """The greatest."""
    percentiles: Mapping[float, float]
    """By percent."""
    edges: Floats
    """Of the histogram's bins, one more than they are."""
    bins: Floats
    """Number of values in each bin."""
    below: float
    """Number of values below the first bin."""

    def value(self, statistic: str) -> float:
        """Return a statistic by its name; NaN where nothing was clear."""
        known = {
            "mean": self.mean, "min": self.low, "max": self.high, "std": self.std, "sum": self.mean * self.count,
            "count": float(self.count) if self.count else math.nan,
        }  # fmt: skip
        return known[statistic] if statistic in known else self.percentiles.get(percent_of(statistic), math.nan)


@dataclass(frozen=True)
class ZoneDays:
    """What an answer says of a zone."""

    days: Mapping[str, Mapping[str, DayStatistics]]
    """By day (YYYY-MM-DD) and output."""
    errors: Mapping[str, str]
    """Days that the service failed to compute, and what it says."""


def percent_of(statistic: str) -> float:
    """Return the percent of a percentile's name.

    >>> percent_of("median"), percent_of("p97.5")
    (50.0, 97.5)
    """
    return MEDIAN_PERCENT if statistic == "median" else float(statistic[1:])


def percents_of(statistics: Sequence[str]) -> list[float]:
    """Return the percents that statistics need, ascending."""
    return sorted({percent_of(name) for name in statistics if name == "median" or PERCENTILE.fullmatch(name)})


def read_days(where: str, answer: Any) -> ZoneDays:
    """Return what an answer (JSON) says; InputError, naming `where`, where it is none or contradicts itself.

    A day whose statistics are no numbers although cells of it are counted as clear is an error of that day.
    """
    days: dict[str, Mapping[str, DayStatistics]] = {}
    errors: dict[str, str] = {}
    with reading(where, FORM, "an answer of another form"):
        if answer.get("data") is None:
            raise InputError(where, f"no data, status {answer.get('status')!r}, {answer.get('error')!r}", FORM)
        for interval in answer["data"]:
            day = str(interval["interval"]["from"])[:DAY_CHARACTERS]
            if (error := interval.get("error")) is not None:
                errors[day] = str(error.get("type", error) if isinstance(error, Mapping) else error)
                continue
            of_day = {name: _read_output(output["bands"][BAND]) for name, output in interval["outputs"].items()}
            if odd := [name for name, one in of_day.items() if one.count and not math.isfinite(one.mean)]:
                errors[day] = f"NaN of {of_day[odd[0]].count} clear cells in {', '.join(odd)}"
                continue
            days[day] = of_day
    return ZoneDays(days, errors)


def _read_output(band: Mapping[str, Any]) -> DayStatistics:
    stats, histogram = band["stats"], band.get("histogram") or {}
    listed = histogram.get("bins") or []
    edges = [float(one["lowEdge"]) for one in listed] + [float(one["highEdge"]) for one in listed[-1:]]
    percentiles = {float(percent): float(value) for percent, value in (stats.get("percentiles") or {}).items()}
    return DayStatistics(
        count=int(stats["sampleCount"]) - int(stats["noDataCount"]),
        mean=float(stats["mean"]),
        std=float(stats["stDev"]),
        low=float(stats["min"]),
        high=float(stats["max"]),
        percentiles=percentiles,
        edges=np.array(edges),
        bins=np.array([float(one["count"]) for one in listed]),
        below=float(histogram.get("underflowCount") or 0),
    )


def pool_days(days: Sequence[DayStatistics], percents: Sequence[float]) -> DayStatistics:
    """Return the statistics of all clear cells of some days together.

    Number, mean, deviation, least and greatest value are exact; a percentile is that of the days' histograms added up,
    interpolated within its bin, so that it is off by a bin at most; NaN where it lies beyond all bins.
    """
    clear = [day for day in days if day.count]
    nan = math.nan
    if not clear:
        return DayStatistics(0, nan, nan, nan, nan, dict.fromkeys(percents, nan), np.empty(0), np.empty(0), 0.0)
    n = np.array([day.count for day in clear], float)
    mean = np.array([day.mean for day in clear])
    of_all = float(n @ mean / n.sum())
    square = float(n @ (np.array([day.std for day in clear]) ** 2 + (mean - of_all) ** 2) / n.sum())
    low, high = min(day.low for day in clear), max(day.high for day in clear)
    edges, bins = clear[0].edges, np.sum([day.bins for day in clear], axis=0)
    below = sum(day.below for day in clear)
    found = {percent: _quantile(edges, bins, below, n.sum(), percent, (low, high)) for percent in percents}
    return DayStatistics(int(n.sum()), of_all, math.sqrt(square), low, high, found, edges, bins, below)


def _quantile(
    edges: Floats, bins: Floats, below: float, n: float, percent: float, limits: tuple[float, float]
) -> float:
    """A percentile by a histogram, between the two values that it lies between; NaN where one is beyond its bins."""
    if len(edges) < 2:
        return math.nan
    place = (n - 1.0) * percent / PERCENT
    reached = below + np.concatenate([[0.0], np.cumsum(bins)])
    ranks = np.array([math.floor(place), math.ceil(place)]) + 0.5  # in the middle of what it takes of its bin
    values = np.interp(ranks, reached, edges, left=math.nan, right=math.nan)
    low, high = np.clip(values, *limits)
    return float(low + (high - low) * (place % 1.0))


def rows_of_zone(
    zone_id: str, names: Sequence[str], statistics: Sequence[str], clear: ZoneDays, seen: ZoneDays
) -> list[dict[str, Any]]:
    """Return the rows of a zone (zonal_statistics): of each day that was seen, and of the month that they make up.

    A day that the service failed to compute, in one of the two answers, has no rows and is left out of the month.
    InputError, naming the zone, where outputs are missing or contradict each other.
    """
    percents, rows = percents_of(statistics), list[dict[str, Any]]()
    with reading(zone_id, FORM, "outputs that don't go together"):
        days = sorted(
            day for day, of_day in seen.days.items()
            if of_day[SEEN].count and day in clear.days and day not in {*clear.errors, *seen.errors}
        )  # fmt: skip
        for name in names:
            of_days = [(clear.days[day][name], seen.days[day][SEEN].count) for day in days]
            for day, (one, total) in zip(days, of_days, strict=True):
                rows += _rows(zone_id, f"{BY_SERVICE}_{day}", name, statistics, one, total)
            pooled = pool_days([one for one, _ in of_days], percents)
            rows += _rows(zone_id, None, name, statistics, pooled, sum(total for _, total in of_days))
    return rows


def _rows(
    zone_id: str, scene_id: str | None, name: str, statistics: Sequence[str], one: DayStatistics, total: int
) -> list[dict[str, Any]]:
    if one.count > total:
        raise InputError(zone_id, f"{one.count} clear cells of {total} that were seen", "no more than were seen")
    counts = {"count_clear": one.count, "count_total": total, "clear_fraction": one.count / total if total else None}
    of_all = {"zone_id": zone_id, "scene_id": scene_id, "band_or_index": name, **counts}
    values = ((statistic, one.value(statistic)) for statistic in statistics)
    return [
        {**of_all, "statistic": statistic, "value": value if np.isfinite(value) else None}
        for statistic, value in values
    ]
