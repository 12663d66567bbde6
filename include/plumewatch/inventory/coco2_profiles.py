"""Temporal profiles of CoCO2: factors of month, weekday and hour of each unit, in files beside the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.inventory.coco2 import INVENTORY, read_units
from plumewatch.inventory.hourly_rate import PlantProfile, Profile
from plumewatch.inventory.inventory import file_name, named
from plumewatch.inventory.rows.csv_rows import Rule, good_rows, numbers, read_csv_rows
from plumewatch.inventory.rows.repeated_rows import single_rows
from plumewatch.models import FailedScene, OnFailure
from plumewatch.statuses import INVENTORY_STAGE

MONTHS, WEEKDAYS, HOURS = "ID_MonthFact", "ID_WeekFact", "ID_HourFact"
COLUMNS = {
    MONTHS: ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    WEEKDAYS: ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    HOURS: tuple(f"H{hour}" for hour in range(24)),
}
FILES = (INVENTORY.file_name, *(named(rf"coco2_ps_{of}_profiles.*\.csv") for of in ("monthly", "weekly", "hourly")))
MAX_OFF = 0.01  # of the mean of a profile's factors from 1


def read_profiles(
    catalogue: str, months: str, weekdays: str, hours: str, on_failure: OnFailure | None = None
) -> dict[str, PlantProfile]:
    """Return the profiles of the plants of a catalogue, by `source_id`, for `hourly_rate.rate_at`.

    The files are `coco2_ps_monthly_profiles*.csv`, `..._weekly_...` and `..._hourly_...`. The factors of a profile have
    a mean of 1. A unit whose profile isn't there is even over that time. Bad rows raise InputError, or are reported to
    `on_failure`.
    """
    factors = {
        of: _factors(path, of, on_failure) for of, path in ((MONTHS, months), (WEEKDAYS, weekdays), (HOURS, hours))
    }
    units = read_units(catalogue, on_failure, (MONTHS, WEEKDAYS, HOURS))
    known: dict[tuple[str, ...], Profile] = {}
    found: dict[str, list[tuple[float, Profile]]] = {}
    total = units["emission"].groupby(units["source_id"]).transform("sum")
    names = zip(*(units[of] for of in COLUMNS), strict=True)
    for id_, share, name in zip(units["source_id"], units["emission"] / total, names, strict=True):
        if name not in known:
            flat = (factors[of].get(each, (1.0,) * len(COLUMNS[of])) for of, each in zip(COLUMNS, name, strict=True))
            known[name] = Profile(*flat)
        found.setdefault(id_, []).append((float(share), known[name]))
    return {id_: tuple(parts) for id_, parts in found.items()}


def profiles_in(path: str, on_failure: OnFailure) -> dict[str, PlantProfile]:
    """Return the profiles of CoCO2 below a folder, where its catalogue and all three files are; else none.

    Of several files of a kind the last by name counts. A file that can't be used is told, and there are none.
    """
    there = storage.visible_files(path)
    found = [[file for file in there if kind.fullmatch(file_name(file))] for kind in FILES]
    if not all(found):
        return {}
    catalogue, months, weekdays, hours = (max(files, key=file_name) for files in found)
    try:
        return read_profiles(catalogue, months, weekdays, hours, on_failure)
    except InputError as error:
        on_failure(FailedScene.from_exception(error, scene_id=file_name(error.file), stage=INVENTORY_STAGE))
        return {}


def _factors(path: str, of: str, on_failure: OnFailure | None) -> dict[str, tuple[float, ...]]:
    """The factors of each profile of a file."""
    columns: Sequence[str] = COLUMNS[of]
    rows = read_csv_rows(path, (of, *columns))
    if not len(rows):
        return {}
    values = pd.DataFrame({column: numbers(rows[column]) for column in columns})
    rules = [Rule(of, rows[of] != "", "a name, and as many fields as the header")]
    rules += [
        Rule(column, (values[column] >= 0) & np.isfinite(values[column]), "a factor, at least 0") for column in columns
    ]
    rules.append(Rule(of, (values.mean(axis=1) - 1.0).abs() <= MAX_OFF, "factors with a mean of 1"))
    rows = good_rows(rows, path, rules, on_failure)
    rows = single_rows(rows, path, rows[of], (of,), on_failure)
    return dict(zip(rows[of], map(tuple, values.loc[rows.index].to_numpy().tolist()), strict=True))
