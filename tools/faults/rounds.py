"""A round: the whole pipeline into an empty storage, struck a few times; its tables are those of an undisturbed run.

Or what differs is named in failed_scenes or by a red run, and the same again, undisturbed, makes all equal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from plumewatch import storage
from plumewatch.tables import FAILED_SCENES, PROCESSING_UNITS

from tools.airflow_client import AirflowClient
from tools.demo import Clock, DemoFailed, process
from tools.equality import Contents, differences, read_contents
from tools.faults.reading import emptied, overdue
from tools.faults.strikes import TROUBLE_S, Field, Strike

EARLIEST, LATEST = 0.05, 0.8
"""Share of the undisturbed run's time in which strikes fall."""
NOT_COMPARED = {FAILED_SCENES.name, PROCESSING_UNITS.name}
"""What was tried, and what trying again cost, is another story each time; of failures the open ones are compared."""

OpenFailures = set[tuple[str, str, str, str, str]]
Red = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """What the pipeline left."""

    contents: Contents
    overdue: Sequence[str]
    """Manifests of another write than the file beside them, as lines."""
    open_failures: OpenFailures
    red: Red
    """Keys of red runs by DAG."""
    seconds: float


@dataclass(frozen=True)
class Result:
    """How a round ended."""

    strikes: Sequence[str]
    ended: str
    """equal, healed, LOST or NOT DONE."""
    details: Sequence[str]
    seconds: float


class Rounds:
    """The pipeline of one world, again and again."""

    def __init__(
        self,
        client: AirflowClient,
        truth: dict[str, Any],
        root: str,
        check: Callable[[], None],
        clock: Clock,
        wipes: Path,
    ) -> None:
        """`check` raises where the servers are given up; `wipes` is how readers know of an emptied storage."""
        self._client, self._truth, self._root, self._check, self._clock = client, truth, root, check, clock
        self._wipes = wipes

    def undisturbed(self) -> Outcome:
        """Run the pipeline into an empty storage."""
        self._empty()
        return self._run(self._check)

    def struck(self, undisturbed: Outcome, field: Field, strikes: Sequence[Strike]) -> Result:
        """Run it again, struck at random moments."""
        started = time.monotonic()
        self._empty()
        volley = _Volley(field, strikes, undisturbed.seconds, self._check, self._clock.say)
        try:
            try:
                outcome = self._run(volley.poll)
            finally:
                volley.end()
            ended, details = self._judge(undisturbed, outcome)
        except DemoFailed as error:
            ended, details = "NOT DONE", [str(error)]
        details += [f"never struck: {strike.name}" for strike in volley.left]
        return Result([strike.name for strike in strikes], ended, details, time.monotonic() - started)

    def _empty(self) -> None:
        with emptied(self._wipes):
            storage.delete(self._root)

    def _run(self, check: Callable[[], None]) -> Outcome:
        started = time.monotonic()
        red, _, _ = process(self._client, check, self._truth, self._clock, reprocess="completed")
        seconds = time.monotonic() - started
        contents = read_contents(self._root, max(self._truth["dates"]))
        compared = {name: rows for name, rows in contents.items() if name not in NOT_COMPARED}
        return Outcome(compared, overdue(self._root), self._open_failures(), red, seconds)

    def _open_failures(self) -> OpenFailures:
        rows = storage.read_table(FAILED_SCENES, storage.join(self._root, FAILED_SCENES.name))
        names = ("dag_id", "key", "area", "scene_id", "stage")
        is_open = rows.filter(pc.is_null(rows["healed_at_utc"]))
        return set(zip(*([str(value) for value in is_open[n].to_pylist()] for n in names), strict=True))

    def _judge(self, undisturbed: Outcome, outcome: Outcome) -> tuple[str, list[str]]:
        different = _differences(undisturbed, outcome)
        if not different:
            return "equal", []
        named = outcome.open_failures - undisturbed.open_failures
        calm = undisturbed.red
        red = [f"{dag} {key}" for dag, keys in outcome.red.items() for key in set(keys) - set(calm.get(dag, ()))]
        told = [*different, f"open failures: {len(named)}", *(f"red run: {run}" for run in sorted(red))]
        again = _differences(undisturbed, self._run(self._check))
        if again:
            return "LOST", [*told, *(f"after a second run: {line}" for line in again)]
        return ("healed" if named or red else "LOST"), told


def _differences(undisturbed: Outcome, outcome: Outcome) -> list[str]:
    lines = [line for line in differences(undisturbed.contents, outcome.contents) if line.startswith("DIFFERENT")]
    more = sorted(outcome.open_failures - undisturbed.open_failures)
    return [*lines, *outcome.overdue] + [f"DIFFERENT failed_scenes: open: {' '.join(row)}" for row in more]


class _Volley:
    """Strikes that fall while the pipeline is waited for."""

    def __init__(
        self,
        field: Field,
        strikes: Sequence[Strike],
        expected_s: float,
        check: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._field, self._check, self._say = field, check, say
        self._started = time.monotonic()
        moments = sorted(field.random.uniform(EARLIEST, LATEST) * expected_s for _ in strikes)
        self._due = list(zip(moments, strikes, strict=True))
        self._ending: list[tuple[float, Strike]] = []

    @property
    def left(self) -> list[Strike]:
        """What found nothing to strike."""
        return [strike for _, strike in self._due]

    def poll(self) -> None:
        """Do what is due."""
        self._check()
        now = time.monotonic() - self._started
        for at, strike in [entry for entry in self._ending if entry[0] <= now]:
            self._end(at, strike)
        # One trouble with the bucket at a time: there is one file that says which.
        if self._due and self._due[0][0] <= now and not (self._ending and self._due[0][1].end):
            strike = self._due[0][1]
            if what := strike.begin(self._field):
                self._due.pop(0)
                self._say(f"STRUCK: {strike.name}: {what}")
                if strike.end:
                    self._ending.append((now + TROUBLE_S, strike))

    def end(self) -> None:
        """All is well again."""
        for at, strike in list(self._ending):
            self._end(at, strike)

    def _end(self, at: float, strike: Strike) -> None:
        assert strike.end
        strike.end(self._field)
        self._ending.remove((at, strike))
        self._say(f"over: {strike.name}")
