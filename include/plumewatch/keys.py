"""Names of files and folders: what one may be, and partition keys that are times, UTC, as text in one form."""

from __future__ import annotations

from datetime import date, datetime, timedelta

DAY, MONTH = "%Y-%m-%d", "%Y-%m"
"""Forms of a key, for strftime."""
AS_WRITTEN = {DAY: "YYYY-MM-DD", MONTH: "YYYY-MM"}
"""The same for people."""


def days_between(first: date, last: date) -> list[str]:
    """Return the days from `first` to `last`, both included.

    >>> days_between(date(2025, 8, 31), date(2025, 9, 1))
    ['2025-08-31', '2025-09-01']
    """
    return [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]


def is_key(text: str, form: str) -> bool:
    """Whether `text` is a day or a month that there is, in just the form DAY or MONTH.

    >>> is_key("2025-02-28", DAY), is_key("2025-2-28", DAY), is_key("2025-13", MONTH)
    (True, False, False)
    """
    try:
        return datetime.strptime(text, form).strftime(form) == text
    except ValueError:
        return False


def is_file_name(name: object) -> bool:
    """Whether it is the name of one file or folder in a place of ours, and leads nowhere else; hidden ones are none.

    >>> is_file_name("a.parquet"), is_file_name("../a.parquet"), is_file_name("/etc"), is_file_name(3)
    (True, False, False, False)
    """
    if not isinstance(name, str) or not name or name.startswith(".") or set("/\\\0") & set(name):
        return False
    return name.isprintable()  # half of a character, which UTF-8 can't write, isn't
