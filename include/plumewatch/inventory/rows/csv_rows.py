"""Rows of a CSV file as text, by their line, so that a bad row can be named."""

from __future__ import annotations

import contextlib
import csv
import hashlib
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
    ['47.71', '-8.5', '1.234,5', '1,234,567']
    """
    is_decimal = texts.str.fullmatch(r"[+-]?[0-9]*,[0-9]+")
    return texts.where(~is_decimal, texts.str.replace(",", "."))


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
    failures: dict[int, InputError] = {}
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
    columns, which no rule on required columns passes. Raises InputError where the file isn't such a file.
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
    reader = csv.reader(lines, delimiter=form.delimiter)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"{path}:1", f"not CSV ({error})", form.separated) from error
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
    numbered, whole = [], []
    try:
        for row in reader:
            if len(row) != len(header):
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
            numbered.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}", f"not CSV ({error})", form.separated) from error
    return pd.DataFrame(whole, numbered, names, dtype=object)


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


def digests(rows: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return a hash of the texts of each row in some columns, 12 hexadecimal digits."""
    content = rows[list(columns)].agg("|".join, axis=1)
    return content.map(lambda text: hashlib.sha256(text.encode()).hexdigest()[:12])
