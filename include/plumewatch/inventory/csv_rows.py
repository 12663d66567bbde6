"""Rows of a CSV file as columns of text that know their line, so that a bad row can be named."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.models import FailedScene
from plumewatch.statuses import INVENTORY_STAGE

OnFailure = Callable[[FailedScene], None]
Text = NDArray[np.object_]


@dataclass(frozen=True)
class Rule:
    """What a good row fulfils."""

    column: str
    """The column that is looked at."""
    is_good: NDArray[np.bool_]
    """One value a row."""
    allowed: str
    """What a good value is, in words."""


@dataclass(frozen=True)
class CsvRows:
    """Some columns of a CSV file."""

    file: str
    """Path of the file."""
    columns: dict[str, Text]
    """Stripped text of each column, one value a row."""
    line: NDArray[np.int64]
    """Line of the file on which each row ends, from 1."""

    def __getitem__(self, column: str) -> Text:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.line)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column as numbers; NaN where it is empty or something else."""
        return pd.to_numeric(pd.Series(self.columns[column]), errors="coerce").to_numpy(dtype=float)

    def take(self, which: NDArray[np.generic]) -> CsvRows:
        """Return some of the rows."""
        return CsvRows(self.file, {name: values[which] for name, values in self.columns.items()}, self.line[which])

    def good(self, rules: Sequence[Rule], on_failure: OnFailure | None) -> CsvRows:
        """Return the rows that fulfil all rules; report the others by file and line.

        Raises InputError for the first bad row where `on_failure` is None, or where no row is good.
        """
        failures: dict[int, InputError] = {}
        for rule in rules:
            for row in np.flatnonzero(~rule.is_good).tolist():
                found = f"{rule.column} is {self.columns[rule.column][row]!r}"
                failures.setdefault(row, InputError(f"{self.file}:{self.line[row]}", found, rule.allowed))
        if failures and (on_failure is None or len(failures) == len(self)):
            raise failures[min(failures)]
        for bad in sorted(failures):
            name = f"{self.file.rsplit('/', 1)[-1]}:{self.line[bad]}"
            on_failure(FailedScene.from_exception(failures[bad], scene_id=name, stage=INVENTORY_STAGE))  # type: ignore[misc]
        return self.take(~np.isin(np.arange(len(self)), list(failures)))


def read_csv_rows(path: str, required: Sequence[str], optional: Sequence[str] = ()) -> CsvRows:
    """Read columns of a comma-separated file with a header line, UTF-8, local or on S3; absent optional ones are empty.

    A row with too few or too many fields has empty text in all its columns, which no rule on required columns passes.
    Raises InputError where the file isn't such a file.
    """
    try:
        text = storage.read_bytes(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "a CSV file") from error
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8 ({error})", "a CSV file in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in required if name not in header]
    if missing:
        found = f"no column {', '.join(missing)} in the first line"
        raise InputError(path, found, "a header with " + ", ".join(required))
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}", f"not CSV ({error})", "comma-separated values") from error
    whole = [row if len(row) == len(header) else [""] * len(header) for _, row in rows]
    columns = {
        name: np.array(
            [row[header.index(name)].strip() for row in whole] if name in header else [""] * len(rows), object
        )
        for name in (*required, *optional)
    }
    return CsvRows(path, columns, np.array([line for line, _ in rows], dtype=np.int64))


def place_rules(rows: CsvRows) -> list[Rule]:
    """Return the rules of the columns longitude and latitude."""
    lon, lat = rows.numbers("longitude"), rows.numbers("latitude")
    return [
        Rule("longitude", (lon >= -180) & (lon <= 180), "degrees from -180 to 180"),
        Rule("latitude", (lat >= -90) & (lat <= 90), "degrees from -90 to 90"),
    ]
