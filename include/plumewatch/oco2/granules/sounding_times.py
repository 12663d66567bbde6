"""When soundings were made: by the variable `time`, by their ids, and what contradicts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plumewatch.constants import SECONDS_PER_DAY
from plumewatch.errors import InputError
from plumewatch.oco2.archive.listing import day_in_name
from plumewatch.oco2.granules.lite_values import LiteValues

TENTHS_PER_S, MICROSECONDS_PER_TENTH = 10, 100_000
FIRST_TIME_S, LAST_TIME_S = 1.0e9, 4.1e9  # 2001 and 2099: other values of `time` are none
SAME_S = 1.0  # an id has tenths of a second: what is so near says the same
LEAP_S = 60.0  # clocks that don't count leap seconds (TAI, GPS) are less apart: there the id, which is UTC, counts

Tenths = NDArray[np.int64]


def compute_tenths(sounding_id: NDArray[np.int64], time: LiteValues | None, path: str) -> Tenths:
    """Return tenths of a second since 1970: by a valid `time`, else by the first 15 digits of the id, else -1.

    The id also counts where `time` is coarser than a tenth, or off by leap seconds. InputError where they contradict
    each other, or the day in the file's name: a Lite file is one UTC day, and orbits reach a little beyond it.

    >>> int(compute_tenths(np.array([2016083111560007]), None, "file")[0])
    14726445600
    """
    of_id = _tenths_of_id(sounding_id)
    tenths = of_id if time is None else _of_both(of_id, time, sounding_id, path)
    day = day_in_name(path.rsplit("/", 1)[-1])
    if day is not None:
        days_off = np.abs(tenths // (SECONDS_PER_DAY * TENTHS_PER_S) - np.datetime64(day, "D").astype(np.int64))
        _refuse((tenths >= 0) & (days_off > 1), tenths, sounding_id, path, f"the day of its name, {day}")
    return tenths


def _of_both(of_id: Tenths, time: LiteValues, sounding_id: NDArray[np.int64], path: str) -> Tenths:
    with np.errstate(invalid="ignore"):
        is_valid = time.valid() & (time.values > FIRST_TIME_S) & (time.values < LAST_TIME_S)
    tenths = np.rint(np.where(is_valid, time.values, 0.0) * TENTHS_PER_S).astype(np.int64)
    off_s = np.abs(tenths - of_id) / TENTHS_PER_S
    is_both = is_valid & (of_id >= 0)
    _refuse(is_both & (off_s > LEAP_S + time.step), tenths, sounding_id, path, "the time that its id says")
    is_better = is_valid & ~(is_both & ((off_s > SAME_S) | (time.step > 1 / TENTHS_PER_S)))
    return np.where(is_better, tenths, of_id)


def _refuse(is_off: NDArray[np.bool_], tenths: Tenths, ids: NDArray[np.int64], path: str, allowed: str) -> None:
    if is_off.any():
        first = int(np.flatnonzero(is_off)[0])
        when = np.datetime64(int(tenths[first]) * MICROSECONDS_PER_TENTH, "us").astype("datetime64[s]")
        found = f"{int(is_off.sum())} of {len(is_off)} soundings at another time, the first, {ids[first]}, at {when}"
        raise InputError(path, found, allowed)


def _tenths_of_id(sounding_id: NDArray[np.int64]) -> Tenths:
    # eight digits of date, eight of the rest: 32 bits, whose divisions take a fifth of those of 64
    date, rest = (part.astype(np.int32) for part in np.divmod(sounding_id % 10**16, 10**8))
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    hour, minute, second, tenth = rest // 10**6, rest // 10_000 % 100, rest // 100 % 100, rest // 10 % 10
    is_time = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (hour < 24) & (minute < 60) & (second <= 60)
    is_time &= (year >= 2000) & (year < 2100)
    second = np.minimum(second, 59)  # a leap second is of its day, and its month
    months = np.where(is_time, (year - 1970) * 12 + month - 1, 0).astype(np.int64).astype("datetime64[M]")
    first, next_first = (m.astype("datetime64[D]").astype(np.int64) for m in (months, months + 1))
    days = first + day - 1
    is_time &= days < next_first
    seconds = days * 86_400 + (hour * 3_600 + minute * 60 + second)
    return np.where(is_time, seconds * TENTHS_PER_S + tenth, -1)
