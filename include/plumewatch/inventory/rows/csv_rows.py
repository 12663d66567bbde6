"""Rows of a CSV file as text, by their line, so that a bad row can be named."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.models import FailedScene, OnFailure
from plumewatch.statuses import INVENTORY_STAGE

UNCLOSED = "a quote that isn't closed in its line"
NO_PROPERTIES = "a feature without properties"
NOT_READ = {UNCLOSED: "a row in a line of its own", NO_PROPERTIES: "a GeoJSON feature with properties and a point"}
"""What stands in the first column of what is no row, and what is allowed: `good_rows` refuses it."""
ONE_MEANING = "tonnes without a mark that may stand between thousands, such as 123456 or 123456.0"
PLACE = ("longitude", "latitude")
MISSING = ("na", "n/a", "#n/a", "nan", "null", "none", "-", "--")


@dataclass(frozen=True)
class Rule:
    """What a good row fulfils."""

    column: str
    """The column that is looked at."""
    is_good: pd.Series | NDArray[np.bool_]
    """One value a row."""
    allowed: str
    """What a good value is, in words."""


@dataclass(frozen=True)
class CsvForm:
    """How a file of separated values is written."""

    delimiter: str = ","
    """What stands between fields."""
    other_encoding: str | None = None
    """What a file is in that isn't in UTF-8."""
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Values of columns, in small letters: rows of others, but empty ones, are left out while the file is read."""

    @property
    def separated(self) -> str:
        """What is allowed, in words."""
        return {",": "comma-separated values", ";": "values separated by semicolons"}[self.delimiter]


def with_points(texts: pd.Series) -> pd.Series:
    """Return numbers as text with a decimal point where they have a decimal comma; what may mean two things stays.

    >>> with_points(pd.Series(["47,71", "-8.5", "1.234,5", "1,234,567"])).tolist()
    ['47.71', '-8.5', '1234.5', '1,234,567']
    """
    is_decimal = texts.str.fullmatch(r"[+-]?(?:[0-9]*|[0-9]{1,3}(?:\.[0-9]{3})+),[0-9]+")
    return texts.where(~is_decimal, texts.str.replace(".", "", regex=False).str.replace(",", "."))


def may_be_thousands(texts: pd.Series) -> pd.Series:
    """Return which of a column of large numbers may be a thousand times what `with_points` reads in them.

    A comma or a point before exactly three digits may stand between thousands: 123,456 is 123 tonnes or 123 thousand.
    It is decimal where others of the column have it before another number of digits, or behind more than three.

    >>> said = (["123,456", "1.5"], ["123,456", "1,5"], ["123,456", "1,5", "1,234,567"])
    >>> [may_be_thousands(pd.Series(texts)).tolist() for texts in said]
    [[True, False], [False, False], [True, False, False]]
    """
    may_be = pd.Series(False, texts.index)
    for mark, other in ((",", "."), (".", ",")):
        comma, point = re.escape(mark), re.escape(other)
        three = texts.str.fullmatch(rf"[+-]?[1-9][0-9]{{0,2}}{comma}[0-9]{{3}}")
        decimal = texts.str.fullmatch(rf"[+-]?(?:[0-9]*|[0-9]{{1,3}}(?:{point}[0-9]{{3}})+){comma}[0-9]*") & ~three
        grouped = texts.str.fullmatch(rf"[+-]?[0-9]{{1,3}}(?:{comma}[0-9]{{3}}){{2,}}(?:{point}[0-9]*)?")
        grouped |= texts.str.fullmatch(rf"[+-]?[0-9]{{1,3}}(?:{comma}[0-9]{{3}})+{point}[0-9]*")
        if grouped.any() or not decimal.any():
            may_be |= three
    return may_be


def numbers(texts: pd.Series) -> pd.Series:
    """Return a column as numbers; NaN where it is empty or something else."""
    return pd.to_numeric(texts, errors="coerce").astype(float)


def without_missing(texts: pd.Series) -> pd.Series:
    """Return a column with empty text where it says in a word that there is no value, as R and pandas write it."""
    return texts.where(~texts.str.casefold().isin(MISSING), "")


def good_rows(rows: pd.DataFrame, path: str, rules: Sequence[Rule], on_failure: OnFailure | None) -> pd.DataFrame:
    """Return the rows of the file `path` that fulfil all rules; report the others by file and line.

    Raises InputError for the first bad row where `on_failure` is None, or where no row is good.
    """
    no_rows = rows.iloc[:, 0][rows.iloc[:, 0].isin(NOT_READ)]
    failures = {line: InputError(f"{path}:{line}", found, NOT_READ[found]) for line, found in no_rows.items()}
    for rule in rules:
        for line, text in rows.loc[~np.asarray(rule.is_good, bool), rule.column].items():
            failures.setdefault(line, InputError(f"{path}:{line}", f"{rule.column} is {text!r}", rule.allowed))
    return without_refused(rows, failures, on_failure)


def without_refused(
    rows: pd.DataFrame, failures: Mapping[int, InputError], on_failure: OnFailure | None
) -> pd.DataFrame:
    """Return the rows but those of the lines that are refused, which are reported by file and line.

    Raises the first of the errors where `on_failure` is None, or where no row is left.
    """
    if failures and (on_failure is None or len(failures) == len(rows)):
        raise failures[min(failures)]
    for line in sorted(failures):
        tell_refused(failures[line], on_failure)  # type: ignore[arg-type]
    return rows.drop(index=list(failures))


def tell_refused(error: InputError, on_failure: OnFailure) -> None:
    """Report a row whose error names file and line."""
    name = error.file.rsplit("/", 1)[-1]
    on_failure(FailedScene.from_exception(error, scene_id=name, stage=INVENTORY_STAGE))


def read_csv_rows(
    path: str, required: Sequence[str], optional: Sequence[str] = (), form: CsvForm | None = None
) -> pd.DataFrame:
    """Read columns of a comma-separated file with a header line, UTF-8, local or on S3; absent optional ones are empty.

    `form` says what is otherwise. A column may be written in other letters, small or large, where none is in those
    that are asked for; one that is there twice is refused, as nobody knows which of the two is meant.
    The columns are stripped text; the index is the line of the file, from 1, on which each row ends. Rows of empty
    fields, which spreadsheets leave, are none. A row with too few or too many fields has empty text in all its
    columns, which no rule on required columns passes. A quote that isn't closed takes no rows along (`_each_row`): the
    row of its line has UNCLOSED in the first column and nothing else. Raises InputError where the file isn't such a
    file.
    """
    form = form or CsvForm()
    found: UnicodeDecodeError | None = None
    with contextlib.ExitStack() as stack:
        local = stack.enter_context(_local(path))
        for encoding in filter(None, ("utf-8-sig", form.other_encoding)):
            try:
                with local.open(encoding=encoding, newline="") as lines:
                    return _rows(lines, path, required, optional, form)
            except UnicodeDecodeError as error:
                found = found or error
    or_else = f" or {form.other_encoding}" if form.other_encoding else ""
    raise InputError(path, f"not UTF-8 ({found})", f"a CSV file in UTF-8{or_else}") from found


@contextlib.contextmanager
def _local(path: str) -> Iterator[Path]:
    try:
        with storage.local_copy(path) as local:
            if not local.is_file():
                raise FileNotFoundError(path)
            yield local
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "a CSV file") from error


def _rows(lines: TextIO, path: str, required: Sequence[str], optional: Sequence[str], form: CsvForm) -> pd.DataFrame:
    ahead = _Lines(lines)
    reader = csv.reader(ahead, delimiter=form.delimiter)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"{path}:1", f"not CSV ({error})", form.separated) from error
    if ahead.number > 1:
        raise InputError(f"{path}:1", f"a header over {ahead.number} lines", f"{form.separated}, a header in one line")
    names = [*required, *optional]
    header = _asked_for(header, names)
    if missing := [name for name in required if name not in header]:
        found = f"no column {', '.join(missing)} in the first line"
        raise InputError(path, found, f"{form.separated}, a header with " + ", ".join(required))
    if twice := sorted({name for name in names if header.count(name) > 1}):
        raise InputError(path, f"{', '.join(twice)} twice in the first line", "each column once")
    at = [header.index(name) if name in header else len(header) for name in names]
    only = [(header.index(name), values) for name, values in form.only.items() if name in header]
    torn = [""] * len(names)
    unclosed = [UNCLOSED, *torn[1:]]
    numbered, whole = [], []
    try:
        for row in _each_row(reader, ahead, len(header), at, form.delimiter):
            if row is None:
                whole.append(unclosed)
            elif len(row) != len(header):
                if not any(map(str.strip, row)):
                    continue
                whole.append(torn)
            elif all(row[n].strip().casefold() in ("", *values) for n, values in only):
                row.append("")
                kept = [row[n].strip() for n in at]
                if not any(kept) and not any(map(str.strip, row)):
                    continue
                whole.append(kept)
            else:
                continue
            numbered.append(ahead.number)
    except csv.Error as error:
        raise InputError(f"{path}:{ahead.number}", f"not CSV ({error})", form.separated) from error
    return pd.DataFrame(whole, numbered, names, dtype=object)


MOST_LINES = 200  # of a row: no list has a text so long; else each quote that isn't closed has all the rest read


class _Lines:
    """Lines of a file, of which the last ones can be read again."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = iter(lines)
        self._again: deque[str] = deque()
        self._doubtful = 0  # the last line that is, or was, to be read again
        self.number = 0
        """Of the last line, from 1."""
        self.of_row: list[str] = []
        """Lines since the last row."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.of_row) == MOST_LINES:
            raise csv.Error(f"a field over more than {MOST_LINES} lines")
        line = self._again.popleft() if self._again else next(self._lines)
        self.number += 1
        self.of_row.append(line)
        return line

    def back_to_first(self) -> None:
        """Go back to where only the first line of the row has been read."""
        self._doubtful = max(self._doubtful, self.number)
        self._again.extendleft(reversed(self.of_row[1:]))
        self.number -= len(self.of_row) - 1

    @property
    def is_rest(self) -> bool:
        """Whether the row is a line, of those read again, with one quote of a pair: the end of a text, perhaps."""
        return len(self.of_row) == 1 and self.number <= self._doubtful and self.of_row[0].count('"') % 2 == 1


def _each_row(
    reader: Iterator[list[str]], ahead: _Lines, n_fields: int, asked: Sequence[int], delimiter: str
) -> Iterator[list[str] | None]:
    """Yield the fields of each row, whose last line is `ahead.number`, and None for a line whose quote isn't closed.

    A quote that is closed some lines below may be a text of several lines, as published lists have them in columns that
    nobody asks for, or two slips with all the rows between them in one field. What may be the latter is given up in its
    first line, and the others are read again, as if it weren't there.
    """
    while True:
        ahead.of_row.clear()
        try:
            row = next(reader, None)
        except csv.Error:  # a field that is longer than any, as all the rest of a file is
            if len(ahead.of_row) == 1:
                raise
            row = []
        if row is None:
            return
        if len(ahead.of_row) > 1 and _may_hold_rows(ahead.of_row, row, n_fields, asked, delimiter):
            ahead.back_to_first()
            row = None
        yield None if ahead.is_rest else row


def _may_hold_rows(lines: list[str], row: list[str], n_fields: int, asked: Sequence[int], delimiter: str) -> bool:
    """Whether a row over several lines isn't surely one: by its width, an asked field, its quotes, or its lines."""
    if len(row) != n_fields or any(len(row[n].strip().splitlines()) > 1 for n in asked if n < n_fields):
        return True
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return True
    alone = (len(next(csv.reader([line], delimiter=delimiter), [])) for line in lines if line.count('"') % 2 == 0)
    return n_fields in alone or sum(line.count(delimiter) == n_fields - 1 for line in lines) > 1


def _asked_for(header: list[str], names: Sequence[str]) -> list[str]:
    """The header with the columns that are asked for in the letters in which they are."""
    asked = {name.casefold(): name for name in names if name not in header}
    return [asked.get("_".join(name.casefold().split()), name) for name in header]


def place_rules(rows: pd.DataFrame) -> list[Rule]:
    """Return the rules of the columns longitude and latitude."""
    lon, lat = numbers(rows["longitude"]), numbers(rows["latitude"])
    return [
        Rule("longitude", (lon >= -180) & (lon <= 180), "degrees from -180 to 180"),
        Rule("latitude", (lat >= -90) & (lat <= 90), "degrees from -90 to 90"),
    ]


def composed(text: str) -> str:
    """Return a text in which a letter and its accent are one character, however it was typed (Unicode's NFC).

    >>> composed("Ke\u0301ndal") == "K\u00e9ndal"
    True
    """
    return unicodedata.normalize("NFC", text)


def digests(rows: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return a hash of what each row says in some columns, 12 hexadecimal digits: ids that another spelling keeps.

    Of a longitude or latitude the number counts, in its shortest digits (28.970 and 28.97 are one), of a text its
    characters (`composed`). What is written so already has the hash of its texts as they are.
    """
    said = rows[list(columns)].apply(lambda column: column.map(_digits if column.name in PLACE else composed))
    return said.agg("|".join, axis=1).map(lambda text: hashlib.sha256(text.encode()).hexdigest()[:12])


def _digits(text: str) -> str:
    """A number in its shortest digits, without an exponent."""
    return np.format_float_positional(float(text) + 0.0, trim="-")  # + 0.0: -0 is 0
