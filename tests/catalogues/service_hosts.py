"""Services by their real names: what the hosts behind a proxy on loopback answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import SplitResult

Answer = tuple[int, bytes, dict[str, str]]


@dataclass
class Hosts:
    """What the hosts behind the proxy answer, and what they were asked."""

    answers: dict[str, Callable[[SplitResult, BaseHTTPRequestHandler], Answer]] = field(default_factory=dict)
    """By host."""
    asked: list[str] = field(default_factory=list)
    """Addresses, in the order in which they were asked for."""


def ranged(content: bytes, handler: BaseHTTPRequestHandler) -> Answer:
    """Return the part of a file that a request asks for."""
    asked = handler.headers.get("Range")
    if not asked:
        return 200, content, {"Content-Type": "image/tiff"}
    first, last = (int(n or 0) for n in asked.removeprefix("bytes=").split("-"))
    last = min(last, len(content) - 1)
    where = {"Content-Range": f"bytes {first}-{last}/{len(content)}", "Content-Type": "image/tiff"}
    return 206, content[first : last + 1], where
