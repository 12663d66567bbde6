"""Rows of one list that say the same emitter again: the same words count once, contradicting ones not at all."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from plumewatch.errors import InputError, some_of
from plumewatch.inventory.rows.csv_rows import PLACE, OnFailure, composed, numbers, without_refused
from plumewatch.inventory.rows.power_plants import cluster, power_plant_factors

MAX_LINES = 10  # line numbers in a message

Says = Callable[[object], str]
"""What a field says, in one spelling."""

log = logging.getLogger(__name__)


def single_rows(
    rows: pd.DataFrame, path: str, identity: pd.Series, names: Sequence[str], on_failure: OnFailure | None
) -> pd.DataFrame:
    """Return the rows of a file with each identity once, by their lines as `read_csv_rows` gives them.

    Of rows that say the same of one identity the first counts, with what only the others say in its empty fields;
    the log names the rest. The columns `names` are compared as words, without regard to capitals, also where they look
    like numbers (well 007 isn't well 7); of others numbers are compared as numbers. Where two rows of one
    identity contradict each other nobody knows which is right: all of them raise InputError, or are reported to
    `on_failure`.
    """
    failures: dict[int, InputError] = {}
    again: list[int] = []
    rows = rows.copy()
    says = {column: words if column in names else meaning for column in rows.columns}
    for name, group in rows[identity.duplicated(keep=False)].groupby(identity, sort=False):
        column = _contradicted(group, says)
        if column is None:
            first, *others = group.index.tolist()
            rows.loc[first] = [next((t for t in group[c] if says[c](t)), "") for c in group.columns]
            again += others
        else:
            said = group[column]
            failures |= {line: _contradiction(path, str(name), said, says[column], line) for line in group.index}
    if again:
        lines = some_of([str(line) for line in sorted(again)], MAX_LINES)
        log.warning("%s: %d rows are there again (line %s); each counts once", path, len(again), lines)
    return without_refused(rows.drop(index=again), failures, on_failure)


def _contradicted(group: pd.DataFrame, says: Mapping[str, Says]) -> str | None:
    """A column of which rows say different things, the place last; None where there is none."""
    columns = sorted(group.columns, key=PLACE.__contains__)
    return next((c for c in columns if len({says[c](value) for value in group[c]} - {""}) > 1), None)


def _contradiction(path: str, name: str, said: pd.Series, says: Says, line: int) -> InputError:
    others = [f"{text!r} in line {n}" for n, text in said.items() if says(text) != says(said[line])]
    found = f"{said.name} is {said[line]!r}, but {some_of(others, MAX_LINES)}"
    return InputError(f"{path}:{line}", found, f"one row of {name}, or the same again")


def at_one_place(names: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Return names that are the same only where rows of one name are no farther apart than units of a plant."""
    told = names.copy()
    limit = power_plant_factors().plants.unit_distance_km
    for name, group in rows[names.duplicated(keep=False)].groupby(names, sort=False):
        place = cluster(numbers(group["longitude"]), numbers(group["latitude"]), limit)
        told[group.index] = [f"{name} (place {n + 1})" if place.any() else name for n in place]
    return told


def meaning(value: object) -> str:
    """Return what a field says that may be a number, in one spelling.

    >>> meaning("1e3"), meaning(1000.0), meaning(" Kendal  A"), meaning("")
    ('1000', '1000', 'kendal a', '')
    """
    text = str(value)
    try:
        number = float(text)
    except ValueError:
        return words(text)
    return f"{number + 0.0:.12g}" if math.isfinite(number) else ""


def words(value: object) -> str:
    """Return what a name says, in one spelling; it is never a number.

    >>> words("1E2"), words("007"), words("Ke\u0301ndal  A") == words("K\u00c9NDAL A")
    ('1e2', '007', True)
    """
    return " ".join(composed(str(value)).casefold().split())
