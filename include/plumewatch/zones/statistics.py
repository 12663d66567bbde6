"""Statistics of the values of many zones at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plumewatch.zonal_names import PERCENTILE

Floats = NDArray[np.float64]
SIGN = np.uint32(1 << 31)
MIDDLE, PERCENT = 0.5, 100.0
LARGE = 1000  # values a zone, from which on a call for each costs less than what it spares


def compute_statistics(
    values: NDArray[np.float32], counts: NDArray[np.int64], names: Sequence[str]
) -> dict[str, Floats]:
    """Return each statistic (n_zones) of finite values that stand zone after zone, so many (`counts`) of each.

    NaN where a zone has none. `std` is that of the values themselves (division by their number, as numpy and
    rasterstats do). A percentile between two values is interpolated (numpy's `linear`), so that the median of an even
    number is the mean of the middle two. `count` is 0 where a zone has no value.

    >>> found = compute_statistics(np.float32([1, 2, 4, 5]), np.array([3, 0, 1]), ["median", "count"])
    >>> found["median"].tolist(), found["count"].tolist()
    ([2.0, nan, 5.0], [3.0, 0.0, 1.0])
    """
    has = np.flatnonzero(counts)
    n = counts[has]
    starts = np.cumsum(n) - n
    are_large = len(values) >= LARGE * max(len(has), 1)
    found: dict[str, Floats] = {"count": counts.astype(np.float64)}
    if shares := {name: share for name in names if (share := _share(name)) is not None}:
        quantiles = (_by_partition if are_large else _by_order)(values, starts, n, list(shares.values()))
        found |= {name: _spread(one, has, len(counts)) for name, one in zip(shares, quantiles, strict=True)}
    for name, reduce in (("min", np.minimum), ("max", np.maximum)):
        if name in names:
            found[name] = _spread(_reduced(reduce, values, starts, are_large), has, len(counts))
    if {"mean", "std", "sum"} & set(names):
        total, std = (_sums_of_large if are_large else _sums)(values, starts, n, "std" in names)
        found |= {"sum": _spread(total, has, len(counts)), "mean": _spread(total / n, has, len(counts))}
        found["std"] = _spread(std, has, len(counts))
    return {name: found[name] for name in names}


def _share(name: str) -> float | None:
    """The share of the values below a percentile, None of another statistic."""
    if name == "median":
        return MIDDLE
    return float(name[1:]) / PERCENT if PERCENTILE.fullmatch(name) else None


def _reduced(
    reduce: np.ufunc, values: NDArray[np.float32], starts: NDArray[np.intp], are_large: bool
) -> NDArray[np.floating]:
    """The least or greatest value of each zone."""
    if not len(starts):
        return np.empty(0)
    if are_large:  # numpy reduces one zone by many values a step, and many zones by one
        return np.array([reduce.reduce(own) for own in np.split(values, starts[1:])])
    return np.asarray(reduce.reduceat(values, starts))


def _sums(
    values: NDArray[np.float32], starts: NDArray[np.intp], n: NDArray[np.int64], with_std: bool
) -> tuple[Floats, Floats]:
    """Sum and deviation of each zone, all at once; the latter NaN unless it is wanted."""
    if not len(n):
        return np.empty(0), np.empty(0)
    exact = values.astype(np.float64)
    total = np.add.reduceat(exact, starts)
    if not with_std:
        return total, np.full(len(n), np.nan)
    return total, np.sqrt(np.add.reduceat((exact - np.repeat(total / n, n)) ** 2, starts) / n)


def _sums_of_large(
    values: NDArray[np.float32], starts: NDArray[np.intp], n: NDArray[np.int64], with_std: bool
) -> tuple[Floats, Floats]:
    """The same zone by zone, each of which stays in the processor's cache."""
    total, std = np.empty(len(n)), np.full(len(n), np.nan)
    for i, (first, number) in enumerate(zip(starts.tolist(), n.tolist(), strict=True)):
        own = values[first : first + number].astype(np.float64)
        total[i] = own.sum()
        if with_std:
            own -= total[i] / number
            std[i] = np.sqrt(np.square(own, out=own).sum() / number)
    return total, std


def _spread(values: NDArray[np.floating], has: NDArray[np.intp], n_zones: int) -> Floats:
    spread = np.full(n_zones, np.nan)
    spread[has] = values
    return spread


def _by_order(
    values: NDArray[np.float32], starts: NDArray[np.intp], n: NDArray[np.int64], shares: Sequence[float]
) -> list[Floats]:
    """Quantiles of many small zones: all values are sorted at once."""
    ordered = _ordered_within(values, np.repeat(np.arange(len(n), dtype=np.uint64), n))
    found = []
    for share in shares:
        below, above, part = _places(n, share)
        low, high = ordered[starts + below].astype(np.float64), ordered[starts + above].astype(np.float64)
        found.append(low * (1.0 - part) + high * part)
    return found


def _by_partition(
    values: NDArray[np.float32], starts: NDArray[np.intp], n: NDArray[np.int64], shares: Sequence[float]
) -> list[Floats]:
    """Quantiles of large zones: the values of each are parted at what is wanted, which is less than sorting them."""
    places = [_places(n, share) for share in shares]
    found = [np.empty(len(n)) for _ in shares]
    for i, (first, number) in enumerate(zip(starts.tolist(), n.tolist(), strict=True)):
        wanted = sorted({int(place[i]) for below, above, _ in places for place in (below, above)})
        parted = np.partition(values[first : first + number], wanted)
        for one, (below, above, part) in zip(found, places, strict=True):
            one[i] = np.float64(parted[below[i]]) * (1.0 - part[i]) + np.float64(parted[above[i]]) * part[i]
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
