"""Partition keys that are times: a day or a month, UTC, as text in one form."""

from __future__ import annotations

from datetime import datetime

DAY, MONTH = "%Y-%m-%d", "%Y-%m"
"""Forms of a key, for strftime."""
AS_WRITTEN = {DAY: "YYYY-MM-DD", MONTH: "YYYY-MM"}
"""The same for people."""


def is_key(text: str, form: str) -> bool:
    """Whether `text` is a day or a month that there is, in just the form DAY or MONTH.

    >>> is_key("2025-02-28", DAY), is_key("2025-2-28", DAY), is_key("2025-13", MONTH)
    (True, False, False)
    """
    try:
        return datetime.strptime(text, form).strftime(form) == text
    except ValueError:
        return False
