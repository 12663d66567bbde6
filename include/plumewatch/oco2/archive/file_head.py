"""What a file is, by how it begins: archives answer an account without permission by a page and status 200."""

from __future__ import annotations

import html
import re

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
HEAD_BYTES = 4096  # enough to see what a file is, and the title of an HTML page
HTML_PAGE = "an HTML page"


def describe_other_than_hdf5(head: bytes) -> str | None:
    """Return what a file is that begins with `head` (4 kB suffice), None where it may be HDF5.

    >>> describe_other_than_hdf5(b"<html><head><title>Earthdata Login</title></head></html>")
    'an HTML page (Earthdata Login)'
    """
    if head.startswith(HDF5_MAGIC):
        return None
    if not head:
        return "an empty file"
    text = head[:HEAD_BYTES].decode("utf-8", "replace")
    if not re.search(r"<!doctype html|<html", text, re.IGNORECASE):
        return f"a file that begins with {head[:8]!r}"
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return HTML_PAGE + (f" ({html.unescape(' '.join(title[1].split()))})" if title else "")
