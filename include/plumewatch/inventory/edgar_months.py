"""The steps of an EDGAR file that has twelve of them: the months of its year, and of no other time."""

from __future__ import annotations

import re
from typing import Any

import netCDF4
import numpy as np

from plumewatch.errors import InputError
from plumewatch.inventory.grid_cells import Floats

DAYS_OF_MONTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)
N_MONTHS = len(DAYS_OF_MONTHS)
BY_MONTHS = re.compile(
    r"months?(?:\s+since\s+(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-[0-9]{1,2}(?:[T ][0-9:.]+)?Z?)?", re.IGNORECASE
)
"""Units that count months, which no library makes times of: months have no one length."""
OTHER_UNITS = re.compile(r"(?:days?|hours?|minutes?|seconds?)\s+since\b.*", re.IGNORECASE)


def month_weights(is_rate: bool) -> Floats:
    """Return by what each month is multiplied in the sum of a year.

    A mass is that of its month and counts whole; of a rate or a flux the mean of the year is taken, weighted by days.

    >>> month_weights(is_rate=True).sum().round(12).item(), month_weights(is_rate=False)[1].item()
    (1.0, 1.0)
    """
    return DAYS_OF_MONTHS / DAYS_OF_MONTHS.sum() if is_rate else np.ones(N_MONTHS)


def require_months(dataset: netCDF4.Dataset, variable: Any, year: int, path: str) -> None:
    """Raise InputError where the twelve steps of a variable aren't January to December of the file's `year`.

    The axis is the variable called as the dimension is: times since a day, months since one, or the numbers of months.
    """
    name = next(name for name, n in zip(variable.dimensions, variable.shape, strict=True) if n == N_MONTHS)
    axis = dataset.variables.get(name)
    allowed = f"12 months of {year}, and a variable {name} that says so"
    if axis is None or axis.dimensions != (name,):
        raise InputError(path, f"{N_MONTHS} steps of {variable.name} along {name}, which has no variable", allowed)
    values = np.ma.filled(np.ma.asarray(axis[:]).astype(float), np.nan)
    units = str(getattr(axis, "units", "")).strip() or (name if BY_MONTHS.fullmatch(name) else "")
    if _months(axis, values, units, year) != [(year, month) for month in range(1, N_MONTHS + 1)]:
        found = f"{name} from {values[0]:g} to {values[-1]:g} in {units!r}"
        raise InputError(path, f"{N_MONTHS} steps of {variable.name}, {found}", allowed)


def _months(axis: Any, values: Floats, units: str, of_year: int) -> list[tuple[int, int]]:
    """Year and month of each step, none where its axis doesn't tell them."""
    if not np.isfinite(values).all():
        return []
    if since := BY_MONTHS.fullmatch(units):
        year, month = (int(since["year"]), int(since["month"])) if since["year"] else (of_year, 0)
        counted = year * N_MONTHS + month - 1 + np.floor(values).astype(int)
        return [(n // N_MONTHS, n % N_MONTHS + 1) for n in counted.tolist()]
    if not OTHER_UNITS.fullmatch(units):
        return []
    times = np.asarray(netCDF4.num2date(values, units, getattr(axis, "calendar", "standard")))
    return [(time.year, time.month) for time in times]
