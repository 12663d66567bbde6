"""What a benchmark prints: a figure, what it is judged by in the same run, and whether it is good enough."""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

COMPARE = {">=": operator.ge, "<=": operator.le}
DIGITS = 4


@dataclass(frozen=True)
class Figure:
    """One line of `make bench`."""

    name: str
    """What was measured."""
    value: float
    """What came out."""
    unit: str
    """Of value and baseline."""
    baseline: float
    """The same of what it is compared with, in this run."""
    baseline_is: str
    """What that is."""
    ratio: float
    """The greater the better with >=, the smaller the better with <=."""
    limit: str | None = None
    """What the ratio must be, such as '>= 200'; nothing is asked where None."""
    note: str = ""
    """Sample, sizes, settings."""

    @property
    def ok(self) -> bool:
        """Whether the ratio keeps the limit."""
        if self.limit is None:
            return True
        sign, number = self.limit.split()
        return bool(COMPARE[sign](self.ratio, float(number)))

    def to_json(self) -> str:
        """As the line that is printed."""
        fields = {k: _rounded(v) for k, v in asdict(self).items() if v not in (None, "")}
        return json.dumps(fields | {"ok": self.ok}, ensure_ascii=False)


def _rounded(value: object) -> object:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def time_in_turns(steps: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the shortest time in s of each step; they take turns, so that a busy machine is busy for all of them."""
    best = [float("inf")] * len(steps)
    for _ in range(rounds):
        for i, step in enumerate(steps):
            started = time.perf_counter()
            step()
            best[i] = min(best[i], time.perf_counter() - started)
    return best
