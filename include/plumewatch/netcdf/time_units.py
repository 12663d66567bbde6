"""Times of CF: `microseconds since 2016-08-31 00:00:00` as a step and an epoch (CF Conventions 1.11, 4.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

STANDARD = "standard"
CALENDARS = (STANDARD, "gregorian", "proleptic_gregorian")  # all alike since FIRST_DAY
FIRST_DAY = datetime(1582, 10, 15, tzinfo=UTC)  # before it CF's standard calendar is the Julian one
ALLOWED = "nanoseconds to days since a date of the Gregorian calendar (UTC, or with a time zone)"
STEPS_S = {
    ("nanosecond", "nanosec", "nsec"): 1e-9,
    ("microsecond", "microsec", "usec"): 1e-6,
    ("millisecond", "millisec", "msec"): 1e-3,
    ("second", "sec"): 1.0,
    ("minute", "min"): 60.0,
    ("hour", "hr"): 3_600.0,
    ("day",): 86_400.0,
}  # months and years, which CF advises against, have no one length
SYMBOLS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "h": 3_600.0, "d": 86_400.0}
_STEP_S = SYMBOLS_S | {spelled: s for names, s in STEPS_S.items() for name in names for spelled in (name, f"{name}s")}
_SINCE = re.compile(
    r"(?P<step>[a-z]+)\s+since\s+(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[t ]+(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?P<fraction>\.\d*)?)?)?"
    r"\s*(?:z|utc|gmt|(?P<zone>[+-]\d{1,2}(?::?[0-5]\d)?))?"
)


@dataclass(frozen=True)
class TimeUnits:
    """What a number stands for."""

    step_s: float
    """Seconds of one."""
    epoch_s: float
    """When it is 0, in seconds since 1970-01-01 UTC."""


def parse_time_units(units: str, calendar: str = STANDARD) -> TimeUnits | None:
    """Return what the attributes `units` and `calendar` mean, None where they mean no time of our calendar.

    That are other words, steps without one length, other calendars, days that there aren't, and epochs of the Julian
    calendar.

    >>> parse_time_units("milliseconds since 1993-01-01 00:00:00", "standard")
    TimeUnits(step_s=0.001, epoch_s=725846400.0)
    """
    found = _SINCE.fullmatch(units.strip().casefold())
    if found is None or calendar.strip().casefold() not in CALENDARS or found["step"] not in _STEP_S:
        return None
    date = [int(found[name]) for name in ("year", "month", "day")]
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    try:
        epoch = datetime(date[0], date[1], date[2], hour, minute, second, tzinfo=_zone(found["zone"]))
    except ValueError:
        return None
    if epoch < FIRST_DAY:
        return None
    fraction = found["fraction"] or "."
    return TimeUnits(_STEP_S[found["step"]], epoch.timestamp() + float(f"0{fraction}0"))


def _zone(text: str | None) -> timezone:
    if text is None:
        return UTC
    digits = text[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if text[0] == "-" else offset)
