"""A user's own list of sources, of either gas: a CSV file with the columns of the table `sources`."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa

from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.csv_rows import OnFailure, Rule, place_rules, read_csv_rows
from plumewatch.tables import SOURCES

NAME = "own_sources"
COLUMNS = ("name", "kind", "fuel", "gas", "emission_t_y", "emission_t_y_sigma", "year", "longitude", "latitude")
OPTIONAL = ("owner", "licence", "provenance")
KINDS = ("power_plant", "industry", "oil_and_gas", "coal_mine", "landfill", "city", "grid_cell")
GASES = ("co2", "ch4")
FIRST_YEAR, LAST_YEAR = 1970, 2100  # EDGAR, the longest inventory, starts in 1970


def read_own_sources(path: str, on_failure: OnFailure | None = None) -> pa.Table:
    """Return the good rows of a list (`own_sources*.csv`) as rows of the table `sources`.

    A source's id comes from its name, gas, kind and place, so that a corrected emission keeps it. Bad rows raise
    InputError, or are reported to `on_failure` by file and line.
    """
    rows = read_csv_rows(path, COLUMNS, OPTIONAL)
    if not len(rows):
        return SOURCES.empty()
    year, emission, sigma = (rows.numbers(name) for name in ("year", "emission_t_y", "emission_t_y_sigma"))
    identity = _identity(rows.columns)
    rules = [
        Rule("name", rows["name"] != "", "a name, and as many fields as the header"),
        Rule("kind", np.isin(rows["kind"].astype(str), KINDS), ", ".join(KINDS)),
        Rule("gas", np.isin(rows["gas"].astype(str), GASES), ", ".join(GASES)),
        Rule("emission_t_y", (emission >= 0) & np.isfinite(emission), "tonnes a year, at least 0"),
        Rule("emission_t_y_sigma", (sigma >= 0) & np.isfinite(sigma), "tonnes a year, at least 0"),
        Rule("year", (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (year % 1 == 0), f"{FIRST_YEAR} to {LAST_YEAR}"),
        *place_rules(rows),
        Rule("name", ~pd.Series(identity).duplicated().to_numpy(), "each source (name, gas, kind, place) once"),
    ]
    good = rows.good(rules, on_failure)
    return SOURCES.from_columns(
        {
            "source_id": ["own-" + text for text in _identity(good.columns)],
            **{name: good[name] for name in ("name", "kind", "fuel", "gas")},
            **{name: good.numbers(name) for name in ("emission_t_y", "emission_t_y_sigma", "latitude")},
            "year": good.numbers("year").astype(np.int16),
            "longitude": wrap_longitude(good.numbers("longitude")),
            **{name: pd.Series(good[name]).replace("", None).tolist() for name in ("owner", "licence")},
            "provenance": [text or path.rsplit("/", 1)[-1] for text in good["provenance"]],
        }
    )


def _identity(columns: dict[str, np.ndarray]) -> list[str]:
    rows = zip(*(columns[name] for name in ("name", "gas", "kind", "longitude", "latitude")), strict=True)
    return [hashlib.sha256("|".join(row).encode()).hexdigest()[:12] for row in rows]
