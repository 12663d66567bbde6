"""What a map says of who looked: what came of each area, or of the orbits of a month, by `observations`.

The rule: an area or orbit with several rows has the outcome that comes first in `FIRST_TOLD`. Searched wins; then what
somebody can mend or wait for; then how far one came. An area without a row was not looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from plumewatch.gases import CH4, Gas
from plumewatch.orbits import OCO2
from plumewatch.pages.outcomes import NOT_LOOKED_AT_TEXT, limit_text, outcome_text, range_text, share_text, sight_text
from plumewatch.pages.wording import time_text
from plumewatch.statuses import (
    FAILED,
    NO_INPUT,
    NO_REFERENCE,
    SEARCHED,
    SKIPPED_CLOUD,
    SKIPPED_DUPLICATE,
    WAITING_FOR_QUOTA,
)

Row = Mapping[str, Any]

UNHEARD_OF = ""
FIRST_TOLD = (
    SEARCHED, FAILED, WAITING_FOR_QUOTA, NO_REFERENCE, SKIPPED_CLOUD, UNHEARD_OF, SKIPPED_DUPLICATE, NO_INPUT,
)  # fmt: skip
"""Outcomes by the rule; the empty one stands for any that this version doesn't know."""
AREA, ORBIT, GRANULE = "area", "orbit", "granule"
NO_AREA = "no area named"
THE_MONTH = "the month"  # what a row of no orbit and no granule is of


@dataclass(frozen=True)
class LookedAt:
    """What came of looking at one area, or at all orbits of one outcome."""

    name: str
    """The area's, or how many orbits."""
    rank: int
    """Place of the outcome in `FIRST_TOLD`, behind all of them where nothing is on record."""
    outcome: str
    """In words."""
    lines: tuple[str, ...]
    """What else is known, in words."""
    n: int = 1
    """How many these are."""
    noun: str = AREA
    """What they are; empty for the month as a whole."""
    limit: str = ""
    """From which emission on something would have been seen, in words; empty where that isn't known."""

    @property
    def is_searched(self) -> bool:
        """Whether anybody looked, found or not."""
        return self.rank == FIRST_TOLD.index(SEARCHED)


def looked_at(gas: Gas, observations: Iterable[Row], areas: Collection[str] = ()) -> list[LookedAt]:
    """Return what came of looking: of methane by area, of `areas` and those that have rows; of CO2 by outcome."""
    rows = [{name: None if value != value else value for name, value in row.items()} for row in observations]
    rows.sort(key=lambda row: (_rank(row), str(row["observed_at_utc"]), str(row["scene_id"]), str(row["stage"])))
    if gas is not CH4:
        return _orbits(gas, rows)
    by_area: dict[str, list[Row]] = {area: [] for area in areas}
    for row in rows:
        by_area.setdefault(row["area"] or NO_AREA, []).append(row)
    return [_area(gas, name, by_area[name]) for name in sorted(by_area)]


def looked_over(
    gas: Gas, observations: Iterable[Row], keys: Collection[str], areas: Collection[str] = ()
) -> list[LookedAt]:
    """Return the same over several keys (rows with `key`): of methane on how many days an area was searched."""
    if gas is not CH4:
        return looked_at(gas, observations)
    by_key: dict[str, list[Row]] = {key: [] for key in keys}
    for row in observations:
        by_key[row["key"]].append(row)
    days: dict[str, list[tuple[LookedAt, list[Row]]]] = {area: [] for area in areas}
    for rows in by_key.values():
        for one in looked_at(gas, rows, areas):
            of_area = [row for row in rows if (row["area"] or NO_AREA) == one.name]
            days.setdefault(one.name, []).append((one, of_area))
    return [_over_days(gas, name, days[name]) for name in sorted(days)]


def searched_text(gas: Gas, told: Sequence[LookedAt]) -> str:
    """Return in how much something could be found.

    >>> searched_text(CH4, [LookedAt("oman", 0, "searched", ()), LookedAt("gone", 1, "failed", ())])
    '1 area searched'
    """
    return _count(sum(one.n for one in told if one.is_searched), AREA if gas is CH4 else ORBIT) + " searched"


def not_searched_text(told: Sequence[LookedAt]) -> str:
    """Return what was not searched and why; empty where all was.

    >>> not_searched_text([LookedAt("oman", 0, "searched", ()), LookedAt("gone", 1, "failed", ())])
    'failed (1 area)'
    """
    if not told:
        return "there is no area"
    missed = sorted((one.rank, one.outcome, one.noun, one.n) for one in told if not one.is_searched)
    texts = []
    for (_, outcome, noun), same in groupby(missed, lambda one: one[:3]):
        texts.append(f"{outcome} ({_count(sum(n for *_, n in same), noun)})" if noun else outcome)
    return ", ".join(texts)


def _rank(row: Row) -> int:
    return FIRST_TOLD.index(row["outcome"] if row["outcome"] in FIRST_TOLD else UNHEARD_OF)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _area(gas: Gas, name: str, rows: Sequence[Row]) -> LookedAt:
    if not rows:
        return LookedAt(name, len(FIRST_TOLD), NOT_LOOKED_AT_TEXT, ())
    outcome = outcome_text(gas, rows[0])
    lines = []
    for row in rows:
        seen_at = [row["scene_id"], row["observed_at_utc"] and time_text(row["observed_at_utc"])]
        own = outcome_text(gas, row)
        said = [own if own != outcome else "", sight_text(gas, row)]
        lines += [", ".join(filter(None, seen_at)), ": ".join(filter(None, said))]
    return LookedAt(name, _rank(rows[0]), outcome, tuple(filter(None, lines)), limit=_limits(gas, rows))


def _limits(gas: Gas, rows: Iterable[Row]) -> str:
    """The detection limits of what was searched, the least and the largest."""
    known = [row["detection_limit"] for row in rows if row["outcome"] == SEARCHED]
    return range_text(known, lambda limit: limit_text(gas, limit))


def _over_days(gas: Gas, name: str, days: Sequence[tuple[LookedAt, list[Row]]]) -> LookedAt:
    """An area's days as one."""
    if not days:
        return LookedAt(name, len(FIRST_TOLD), NOT_LOOKED_AT_TEXT, ())
    searched = [rows for one, rows in days if one.is_searched]
    seen = [row for rows in searched for row in rows if row["outcome"] == SEARCHED]
    outcome = f"searched on {len(searched)} of {_count(len(days), 'day')}" if searched else days[0][0].outcome
    others = sorted((one.rank, one.outcome) for one, _ in days if not one.is_searched)
    lines = [f"{told} on {_count(len(list(same)), 'day')}" for (_, told), same in groupby(others)]
    if shares := range_text([row["clear_fraction"] for row in seen], share_text):
        lines.append(f"{shares} of what was seen was clear")
    if limits := _limits(gas, seen):
        lines.append(f"detection limit {limits}")
    return LookedAt(name, min(one.rank for one, _ in days), outcome, tuple(lines), limit=limits)


def _orbits(gas: Gas, rows: Sequence[Row]) -> list[LookedAt]:
    """One entry an outcome: a month has hundreds of orbits."""
    if not rows:
        return [LookedAt(THE_MONTH, len(FIRST_TOLD), NOT_LOOKED_AT_TEXT, (), noun="")]
    first: dict[Any, Row] = {}
    for row in rows:
        whose = row.get("sensor") or OCO2, row["orbit"]
        first.setdefault(whose if row["orbit"] else row["scene_id"], row)

    def kind(row: Row) -> tuple[int, str, str]:
        noun = ORBIT if row["orbit"] else GRANULE if row["scene_id"] else ""  # orbit 0 is none
        return _rank(row), outcome_text(gas, row), noun

    told = []
    for (rank, outcome, noun), same in groupby(sorted(first.values(), key=kind), kind):
        alike = list(same)
        name = _count(len(alike), noun) if noun else THE_MONTH
        told.append(LookedAt(name, rank, outcome, _lines_of_orbits(gas, alike), len(alike), noun))
    return told


def _lines_of_orbits(gas: Gas, rows: Sequence[Row]) -> tuple[str, ...]:
    if rows[0]["outcome"] != SEARCHED:
        return tuple(filter(None, [sight_text(gas, {"outcome": rows[0]["outcome"]})]))
    shares = range_text([row["clear_fraction"] for row in rows], share_text)
    limits = _limits(gas, rows)
    return (
        f"{shares or 'an unknown share'} of their tracks was searched",
        f"detection limit {limits}" if limits else "no detection limit (no wind)",
    )
