"""What many sources emit at the hours of many detections, over their means of the year: `rate_at`, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.inventory.hourly_rate import DEGREES_PER_HOUR, PlantProfile, Profile

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class HourlyRates:
    """The profiles of some sources; goes to the workers."""

    first_unit: Ints
    """Of each source its first unit, and behind the last source the number of units: none where it has no profile."""
    share: Floats
    """Of each unit in its source."""
    profile: Ints
    """Of each unit, a row of the factors."""
    months: Floats
    weekdays: Floats
    hours: Floats

    @classmethod
    def of(cls, source_ids: Sequence[str], profiles: Mapping[str, PlantProfile]) -> HourlyRates:
        """Return those of these sources, in their order."""
        units = [profiles.get(one, ()) for one in source_ids]
        rows: dict[Profile, int] = {}
        which = [rows.setdefault(profile, len(rows)) for plant in units for _, profile in plant]
        return cls(
            np.cumsum([0, *map(len, units)]),
            np.array([share for plant in units for share, _ in plant]),
            np.array(which, np.intp),
            *(
                np.array([getattr(one, of) for one in rows]).reshape(-1, n)
                for of, n in (("months", 12), ("weekdays", 7), ("hours", 24))
            ),
        )

    def factors(self, source: Ints, longitude: Floats, at: NDArray[np.datetime64]) -> Floats:
        """Return the rate of sources (their rows) at times (UTC) over the mean of the year; 1 where it isn't known."""
        n_units = np.diff(self.first_unit)[source]
        pair = np.repeat(np.arange(len(source)), np.where(np.isnat(at), 0, n_units))
        within = np.arange(len(pair)) - np.searchsorted(pair, pair)
        unit = self.first_unit[source[pair]] + within
        ahead = np.round(longitude[pair] / DEGREES_PER_HOUR * SECONDS_PER_HOUR).astype("timedelta64[s]")
        local = at[pair].astype("datetime64[s]") + ahead
        day = local.astype("datetime64[D]")
        month = day.astype("datetime64[M]").astype(int) % 12
        weekday = (day.astype(int) + 3) % 7  # 1970-01-01 was a Thursday
        hour = (local - day).astype("timedelta64[h]").astype(int)
        of = self.profile[unit]
        rate = self.share[unit] * self.months[of, month] * self.weekdays[of, weekday] * self.hours[of, hour]
        found = np.bincount(pair, weights=rate, minlength=len(source))
        return np.where(np.bincount(pair, minlength=len(source)) > 0, found, 1.0)
