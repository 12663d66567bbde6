"""Statistics of the values of many zones at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plumewatch.zonal_names import PERCENTILE

Floats = NDArray[np.float64]
Part = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Finite values that stand zone after zone, and how many of each."""
SIGN = np.uint32(1 << 31)
MIDDLE, PERCENT = 0.5, 100.0
EXACT_AT_ONCE = 1 << 16
LARGE = 1000  # values a zone, from which on a call for each costs less than what it spares


def compute_statistics(parts: Sequence[Part], names: Sequence[str]) -> dict[str, Floats]:
    """Return each statistic (n_zones) of the values of all `parts` together, such as those of several dates.

    NaN where a zone has none. `std` is that of the values themselves (division by their number, as numpy and
    rasterstats do). A percentile between two values is interpolated (numpy's `linear`), so that the median of an even
    number is the mean of the middle two. `count` is 0 where a zone has no value.

    >>> parts = [(np.float32([1, 2, 4, 5]), np.array([3, 0, 1])), (np.float32([7]), np.array([1, 0, 0]))]
    >>> found = compute_statistics(parts, ["median", "count"])
    >>> found["median"].tolist(), found["count"].tolist()
    ([3.0, nan, 5.0], [4.0, 0.0, 1.0])
    """
    counts: NDArray[np.int64] = np.stack([of_zones for _, of_zones in parts]).sum(axis=0)
    has = np.flatnonzero(counts)
    shares = {name: share for name in names if (share := _share(name)) is not None}
    are_large = counts.sum() >= LARGE * max(len(has), 1)
    found = (_of_large if are_large else _of_small)(parts, counts, has, names, shares)
    found["count"] = counts[has].astype(np.float64)
    spread = {}
    for name in names:
        spread[name] = np.full(len(counts), 0.0 if name == "count" else np.nan)
        spread[name][has] = found[name]
    return spread


def _share(name: str) -> float | None:
    """The share of the values below a percentile, None of another statistic."""
    if name == "median":
        return MIDDLE
    return float(name[1:]) / PERCENT if PERCENTILE.fullmatch(name) else None


def _of_large(
    parts: Sequence[Part],
    counts: NDArray[np.int64],
    has: NDArray[np.intp],
    names: Sequence[str],
    shares: Mapping[str, float],
) -> dict[str, Floats]:
    """Statistics of zones that have values, one after the other, each of which stays in the processor's cache."""
    found = {name: np.full(len(has), np.nan) for name in (*names, "mean", "sum", "std")}
    ends = [np.cumsum(of_zones) for _, of_zones in parts]
    n, places = counts[has], {name: _places(counts[has], share) for name, share in shares.items()}
    with_sum, with_std = bool({"mean", "std", "sum"} & set(names)), "std" in names
    for i, zone in enumerate(has.tolist()):
        pieces = [
            values[end[zone] - of_zones[zone] : end[zone]] for (values, of_zones), end in zip(parts, ends, strict=True)
        ]
        own = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        if with_sum:
            found["sum"][i] = sum(float(some.sum()) for some in _exact(own))
            found["mean"][i] = found["sum"][i] / n[i]
        if with_std:
            squares = (np.square(some - found["mean"][i]).sum() for some in _exact(own))
            found["std"][i] = np.sqrt(sum(map(float, squares)) / n[i])
        ordered = own
        if shares:  # by numpy's vectors that is as fast as parting them
            ordered = own if len(pieces) > 1 else own.copy()
            ordered.sort()
        for name, (below, above, part) in places.items():
            low, high = float(ordered[below[i]]), float(ordered[above[i]])
            found[name][i] = low * (1.0 - part[i]) + high * part[i]
        if "min" in names:
            found["min"][i] = ordered[0] if shares else own.min()
        if "max" in names:
            found["max"][i] = ordered[-1] if shares else own.max()
    return found


def _exact(values: NDArray[np.float32]) -> Iterator[Floats]:
    """The values in 64 bits, so many at once as fit the processor's cache."""
    for first in range(0, len(values), EXACT_AT_ONCE):
        yield values[first : first + EXACT_AT_ONCE].astype(np.float64)


def _of_small(
    parts: Sequence[Part],
    counts: NDArray[np.int64],
    has: NDArray[np.intp],
    names: Sequence[str],
    shares: Mapping[str, float],
) -> dict[str, Floats]:
    """Statistics of zones that have values, all at once."""
    zone = np.concatenate([np.repeat(np.arange(len(counts)), of_zones) for _, of_zones in parts])
    values = np.concatenate([of_part for of_part, _ in parts])
    n, found = counts[has], dict[str, Floats]()
    starts = np.cumsum(n) - n
    if {"mean", "std", "sum"} & set(names):
        found["sum"] = np.bincount(zone, values, len(counts))[has].astype(np.float64)
        found["mean"] = found["sum"] / n
        mean = np.zeros(len(counts))
        mean[has] = found["mean"]
        if "std" in names:
            found["std"] = np.sqrt(np.bincount(zone, (values - mean[zone]) ** 2, len(counts))[has] / n)
    if shares or {"min", "max"} & set(names):
        ordered = _ordered_within(values, zone.astype(np.uint64))
        found |= {"min": ordered[starts].astype(float), "max": ordered[starts + n - 1].astype(float)}
        for name, share in shares.items():
            below, above, part = _places(n, share)
            low, high = ordered[starts + below].astype(float), ordered[starts + above].astype(float)
            found[name] = low * (1.0 - part) + high * part
    return found


def _places(n: NDArray[np.int64], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Places below and above a quantile among n ascending values, and how far between the two it is."""
    place = (n - 1) * share
    below = np.floor(place).astype(np.int64)
    return below, np.minimum(below + 1, n - 1), place - below


def _ordered_within(values: NDArray[np.float32], zone: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return the values, ascending within each zone: sorted once, as whole numbers of zone and value.

    The bits of a number of IEEE 754 count up as it does, once the sign bit of positive ones is set and all bits of
    negative ones are turned; sorting 64-bit whole numbers is what numpy does fastest.
    """
    bits = values.view(np.uint32)
    key = np.where(bits & SIGN, ~bits, bits | SIGN)
    both = np.sort((zone << np.uint64(32)) | key)
    key = both.astype(np.uint32)
    return np.where(key & SIGN, key & ~SIGN, ~key).view(np.float32)
