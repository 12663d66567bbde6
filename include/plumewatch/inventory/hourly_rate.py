"""What a source emits at a time: its yearly mean times the factors of month, weekday and hour. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from plumewatch.constants import HOURS_PER_YEAR

DEGREES_PER_HOUR = 15.0  # by which the sun moves


@dataclass(frozen=True)
class Profile:
    """How the emission of a unit changes with time, each factor over its own mean."""

    months: tuple[float, ...]
    """12, January first."""
    weekdays: tuple[float, ...]
    """7, Monday first."""
    hours: tuple[float, ...]
    """24 of the local day, the one from midnight first."""

    def factor_at(self, local: datetime) -> float:
        """Return rate over mean rate of the year at a local time."""
        return self.months[local.month - 1] * self.weekdays[local.weekday()] * self.hours[local.hour]


PlantProfile = tuple[tuple[float, Profile], ...]
"""The units of a plant: the share of each in its emission, and its profile."""


def rate_at(source: Mapping[str, Any], at: datetime, profiles: Mapping[str, PlantProfile]) -> float:
    """Return what a source (a row of `sources`) emits at a time, in tonnes an hour.

    rate = emission / 8,760 h x sum over units of share x month x weekday x hour; the mean of the year where no profile
    of the source is known. The hour is that of local solar time, by the longitude: the means of coal plants in the
    profiles of CoCO2 are highest from 18 to 20 hours at all longitudes, so they aren't UTC. A time without a zone is
    UTC.

    >>> flat, evening = (1.0,) * 12, (0.5,) * 12 + (1.5,) * 12
    >>> profiles = {"coco2-1": ((1.0, Profile(flat, (1.0,) * 7, evening)),)}
    >>> source = {"source_id": "coco2-1", "longitude": 30.0, "emission_t_y": 8_760_000.0}
    >>> [rate_at(source, datetime(2016, 8, 31, hour), profiles) for hour in (9, 10)]
    [500.0, 1500.0]
    """
    mean = float(source["emission_t_y"]) / HOURS_PER_YEAR
    parts = profiles.get(source["source_id"])
    if not parts:
        return mean
    utc = at if at.tzinfo is None else at.astimezone(UTC)
    local = utc + timedelta(hours=float(source["longitude"]) / DEGREES_PER_HOUR)
    return mean * sum(share * profile.factor_at(local) for share, profile in parts)
