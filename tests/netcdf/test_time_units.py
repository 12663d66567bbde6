"""Units of time mean one step and one epoch, or no time at all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from plumewatch.netcdf.time_units import TimeUnits, parse_time_units

DAY_S, HOUR_S = 86_400.0, 3_600.0
SINCE_1900 = datetime(1900, 1, 1, tzinfo=UTC).timestamp()

MEANT = {
    "seconds since 1970-01-01 00:00:00": (1.0, 0.0),
    "s since 1970-01-01 00:00": (1.0, 0.0),
    "seconds since 1970-01-01T00:00:00Z": (1.0, 0.0),
    "usec since 1970-01-02": (1e-6, DAY_S),
    "nanoseconds since 1970-1-1": (1e-9, 0.0),
    "ms since 1970-01-01 GMT": (1e-3, 0.0),
    "Hours since 1969-12-31 22:00:00 -0200": (HOUR_S, 0.0),
    "hours  since  1970-01-01 02:00:00 +02:00": (HOUR_S, 0.0),
    "hours since 1970-01-01 +5:30": (HOUR_S, -5.5 * HOUR_S),
    "seconds since 1970-01-01 00:00:00.50Z": (1.0, 0.5),
    "hours since 1900-01-01": (HOUR_S, SINCE_1900),
    " hours since 1900-01-01 00:00:00.0 ": (HOUR_S, SINCE_1900),
    "hrs since 1900-01-01 00:00:00.": (HOUR_S, SINCE_1900),
    "h since 1900-01-01 00:00:00 +00:00": (HOUR_S, SINCE_1900),
    "days since 1993-1-1": (DAY_S, 725_846_400.0),
    "minutes since 1970-01-01 06:30": (60.0, 6.5 * HOUR_S),
    "days since 1582-10-15": (DAY_S, datetime(1582, 10, 15, tzinfo=UTC).timestamp()),
}
NO_TIMES = [
    "hours", "seconds", "None", "", "seconds since launch", "hours since yesterday", "months since 1900-01-01",
    "years since 1970-01-01", "fortnights since 1970-01-01", "ss since 1970-01-01", "hours since 1-1-1",
    "hours since 1582-10-14", "hours since 93-01-01", "hours since 1900-13-01", "days since 1970-02-30",
    "hours since 1900-01-01T25:00", "seconds since 01.01.1970", "seconds since 1970-01-01 00:00:61",
    "hours since 1970-01-01 +02:75", "hours since 1970-01-01 +99:00", "hours since 1970-01-01 CET",
]  # fmt: skip


@pytest.mark.parametrize("units", MEANT)
@pytest.mark.parametrize("calendar", ["standard", "Gregorian", "proleptic_gregorian"])
def test_units_of_time(units: str, calendar: str) -> None:
    assert parse_time_units(units, calendar) == TimeUnits(*MEANT[units])


@pytest.mark.parametrize("units", NO_TIMES)
def test_units_that_mean_no_time(units: str) -> None:
    assert parse_time_units(units) is None


@pytest.mark.parametrize("calendar", ["noleap", "365_day", "360_day", "julian", "none", "all_leap", "", "tai"])
def test_other_calendars_mean_other_times(calendar: str) -> None:
    assert parse_time_units("days since 1970-01-01", calendar) is None
