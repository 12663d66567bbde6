"""Statistics of the values of many zones at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plumewatch.zonal_names import PERCENTILE

Floats = NDArray[np.float64]
SIGN = np.uint32(1 << 31)


def compute_statistics(
    values: NDArray[np.float32], zone: NDArray[np.int32], n_zones: int, names: Sequence[str]
) -> dict[str, Floats]:
    """Return each statistic (n_zones) of the values (n, finite) by their zone (n, ascending); NaN where it has none.

    `std` is that of the values themselves (division by their number, as numpy and rasterstats do). A percentile between
    two values is interpolated (numpy's `linear`), so that the median of an even number is the mean of the middle two.
    `count` is 0 where a zone has no value.

    >>> found = compute_statistics(np.float32([1, 2, 4, 5]), np.int32([0, 0, 0, 2]), 3, ["median", "count"])
    >>> found["median"].tolist(), found["count"].tolist()
    ([2.0, nan, 5.0], [3.0, 0.0, 1.0])
    """
    edges = np.searchsorted(zone, np.arange(n_zones + 1))
    count = np.diff(edges)
    has = np.flatnonzero(count)
    starts, n = edges[has], count[has]
    found: dict[str, Floats] = {"count": count.astype(np.float64)}
    if needs_order := [name for name in names if name == "median" or PERCENTILE.fullmatch(name)]:
        ordered = _ordered_within(values, zone)
        for name in needs_order:
            percent = 50.0 if name == "median" else float(name[1:])
            found[name] = _spread(_quantile(ordered, starts, n, percent / 100.0), has, n_zones)
    for name, reduce in (("min", np.minimum), ("max", np.maximum)):
        if name in names:
            found[name] = _spread(reduce.reduceat(values, starts) if len(has) else np.empty(0), has, n_zones)
    if {"mean", "std", "sum"} & set(names):
        exact = values.astype(np.float64)
        total = np.add.reduceat(exact, starts) if len(has) else np.empty(0)
        mean = total / n
        found["sum"], found["mean"] = _spread(total, has, n_zones), _spread(mean, has, n_zones)
        if "std" in names:
            off = (exact - np.repeat(mean, n)) ** 2
            found["std"] = _spread(np.sqrt((np.add.reduceat(off, starts) if len(has) else mean) / n), has, n_zones)
    return {name: found[name] for name in names}


def _spread(values: NDArray[np.floating], has: NDArray[np.intp], n_zones: int) -> Floats:
    spread = np.full(n_zones, np.nan)
    spread[has] = values
    return spread


def _ordered_within(values: NDArray[np.float32], zone: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the values, ascending within each zone: sorted once, as whole numbers of zone and value.

    The bits of a number of IEEE 754 count up as it does, once the sign bit of positive ones is set and all bits of
    negative ones are turned; sorting 64-bit whole numbers is what numpy does fastest.
    """
    bits = values.view(np.uint32)
    key = np.where(bits & SIGN, ~bits, bits | SIGN)
    both = np.sort((zone.astype(np.uint64) << np.uint64(32)) | key)
    key = both.astype(np.uint32)
    return np.where(key & SIGN, key & ~SIGN, ~key).view(np.float32)


def _quantile(ordered: NDArray[np.float32], starts: NDArray[np.intp], n: NDArray[np.intp], share: float) -> Floats:
    place = (n - 1) * share
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, n - 1)
    low, high = ordered[starts + below].astype(np.float64), ordered[starts + above].astype(np.float64)
    part = place - below
    quantile: Floats = low * (1.0 - part) + high * part
    return quantile
