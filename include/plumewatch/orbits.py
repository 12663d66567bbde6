"""Orbits: whose they are, which soundings of them are good, and which pass of a satellite a scene belongs to that
doesn't state its relative orbit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch.constants import SENTINEL2_HALF_ORBIT_S

OCO2, OCO3 = "oco2", "oco3"
"""Who measures CO2, as the column `sensor` and file names say it. Each counts orbits of its own: a number is one only
together with the sensor."""
SENSOR_NAMES = {OCO2: "OCO-2", OCO3: "OCO-3"}
"""What a person reads; the keys are all sensors that there are."""
QUALITY, GOOD_QUALITY = "xco2_quality_flag", 0
"""Column of `soundings`, and what it says of those that are to be used."""


def sensors_of(rows: pa.Table) -> pa.ChunkedArray:
    """Return whose each row is, by its column `sensor`: OCO-2's where it is null."""
    return pc.fill_null(rows["sensor"], OCO2)


def good_soundings(soundings: pa.Table) -> pa.Table:
    """Return those that their makers recommend; a quality that is null says nothing good either."""
    return soundings.filter(pc.fill_null(pc.equal(soundings[QUALITY], GOOD_QUALITY), False))


def orbit_of_pass(at: datetime | None, others: Iterable[tuple[int | None, datetime | None]]) -> int | None:
    """Return the relative orbit of a scene that states none, None where it isn't to be told.

    It is that of the pass which was nearest in time, within half an orbit; where times are unknown that of the only
    pass. `at` is when the scene was seen; `others` are relative orbit and time of the scenes of its platform and day.

    >>> seven, later = datetime(2025, 8, 21, 7, 0), datetime(2025, 8, 21, 7, 20)
    >>> orbit_of_pass(later, [(63, seven), (None, later)])
    63
    """
    seconds: dict[int, float] = {}  # apart, infinite where a time is unknown
    for orbit, then in others:
        if orbit is not None:
            apart = abs((at - then).total_seconds()) if at and then else math.inf
            seconds[orbit] = min(apart, seconds.get(orbit, math.inf))
    nearest = min(seconds, key=lambda orbit: seconds[orbit], default=None)
    if nearest is None:
        return None
    is_known = math.isfinite(seconds[nearest])
    return nearest if (seconds[nearest] <= SENTINEL2_HALF_ORBIT_S if is_known else len(seconds) == 1) else None
