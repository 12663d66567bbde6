"""How far a long piece of work is: now and then a line in the log, of the share done, the rate and the time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from plumewatch.meanwhile import meanwhile

EVERY_S = 15.0
"""Between two lines, and before the first: what is over by then has none."""
POLL_S = 1.0  # how often something is asked how far it is
MINUTE_S, HOUR_S = 60.0, 3600.0
TENS = 10.0  # from here on a rate has no decimals

One = TypeVar("One")

log = logging.getLogger(__name__)


class Progress:
    """The progress of one piece of work, that says so itself.

    Call `reached` as often as there is something new.
    """

    def __init__(
        self, what: str, total: int, unit: str, *, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin: `what` is being done to `total` pieces, called `unit` in the plural; `clock` counts seconds.

        `done` of them were so before: they don't count for the rate.
        """
        self._what, self._total, self._unit, self._clock, self._before = what, total, unit, clock, done
        self._begun_s = self._told_s = clock()

    def reached(self, done: int) -> None:
        """Log how far the work is, if the last line is old enough.

        For instance `rasters_to_pixels: 12 of 64 tasks (19 %), 1.3 a second, 40 s left`.
        """
        now_s = self._clock()
        if now_s - self._told_s < EVERY_S or done >= self._total:
            return
        self._told_s = now_s
        rate = (done - self._before) / (now_s - self._begun_s)
        told = f"{_rate(rate)}, {_duration((self._total - done) / rate)} left" if rate > 0 else "no rate yet"
        share = f"{done / self._total:.0%}".replace("%", " %")
        log.info("%s: %s of %s %s (%s), %s", self._what, done, self._total, self._unit, share, told)


def followed(things: Iterable[One], what: str, unit: str, total: int | None = None) -> Iterator[One]:
    """Yield each of some things, and say now and then how many of them the loop has done.

    `total` is their number where they have no length.
    """
    work = Progress(what, len(things) if isinstance(things, Collection) else total or 0, unit)
    for done, thing in enumerate(things):
        work.reached(done)
        yield thing


def shown() -> None:
    """Let a tool whose output is for people say on standard error how far it is, and what is wrong."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    log.setLevel(logging.INFO)


@contextmanager
def watched(what: str, total: int, unit: str, done: Callable[[], int]) -> Iterator[None]:
    """Say now and then while the block runs how many of `total` are `done`: what threads or processes are at work on.

    Nothing is lost where none of them ends for long: that is said too.
    """
    work = Progress(what, total, unit)
    with meanwhile(lambda: work.reached(done()), min(POLL_S, EVERY_S)):
        yield


def _rate(a_second: float) -> str:
    for rate, unit in ((a_second, "second"), (a_second * MINUTE_S, "minute")):
        if rate >= 1.0:
            return f"{rate:,.{1 if rate < TENS else 0}f} a {unit}"
    return f"{a_second * HOUR_S:.1f} an hour"


def _duration(seconds: float) -> str:
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE_S:.0f} min" if seconds < 2 * HOUR_S else f"{seconds / HOUR_S:.1f} h"
