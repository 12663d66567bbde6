"""Answers of HTTP that come too slowly are given up: a host that drips would hold a task for ever."""

from __future__ import annotations

import io
import math
import time
from functools import cache
from http.client import HTTPResponse
from typing import Any

from plumewatch.constants import LOWEST_BYTES_S


class TooSlow(TimeoutError):
    """An answer that has begun, and doesn't go on as it should."""


class _Watched(io.RawIOBase):
    """The bytes of one answer, headers too, as they come from a socket: TooSlow where they come too slowly.

    From its first byte on an answer may take as long as a silence may last (the socket's timeout), and one second more
    for each LOWEST_BYTES_S bytes: what came fast buys no more than that silence.
    """

    def __init__(self, raw: io.RawIOBase, silence_s: float) -> None:
        self._raw, self._silence_s, self._ends_at = raw, silence_s, math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        n_bytes = self._raw.readinto(buffer)
        now = time.monotonic()
        if now > self._ends_at:
            raise TooSlow(f"it comes slower than {LOWEST_BYTES_S:.0f} bytes/s")
        self._ends_at = min(now + self._silence_s, self._ends_at + (n_bytes or 0) / LOWEST_BYTES_S)
        return n_bytes

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    fp: Any

    def __init__(self, sock: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_Watched(self.fp.detach(), sock.gettimeout() or math.inf))


@cache
def watching(connection: Any) -> Any:
    """The class of connections (plain, TLS, through a proxy) that give an answer up which comes too slowly."""

    class Watching(connection):
        response_class = _Answer

        def getresponse(self) -> Any:
            answer = super().getresponse()
            # What is refused for now isn't read to its end, however long that is.
            answer.drain_conn = lambda: (answer.close(), answer.release_conn())
            return answer

    return connection if connection.response_class is _Answer else Watching
