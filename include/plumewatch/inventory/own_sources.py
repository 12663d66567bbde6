"""A user's own list of sources, of either gas: a CSV file with the columns of the table `sources`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from plumewatch.gases import GASES
from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.csv_rows import OnFailure, Rule, digests, good_rows, numbers, place_rules, read_csv_rows
from plumewatch.tables import SOURCES

NAME = "own_sources"
COLUMNS = ("name", "kind", "fuel", "gas", "emission_t_y", "emission_t_y_sigma", "year", "longitude", "latitude")
OPTIONAL = ("owner", "licence", "provenance")
KINDS = ("power_plant", "industry", "oil_and_gas", "coal_mine", "landfill", "city", "grid_cell")
FIRST_YEAR, LAST_YEAR = 1970, 2100  # EDGAR, the longest inventory, starts in 1970


def read_own_sources(path: str, on_failure: OnFailure | None = None) -> pa.Table:
    """Return the good rows of a list (`own_sources*.csv`) as rows of the table `sources`.

    A source's id comes from its name, gas, kind and place, so that a corrected emission keeps it. Bad rows raise
    InputError, or are reported to `on_failure` by file and line.
    """
    rows = read_csv_rows(path, COLUMNS, OPTIONAL)
    if not len(rows):
        return SOURCES.empty()
    year, emission, sigma = (numbers(rows[name]) for name in ("year", "emission_t_y", "emission_t_y_sigma"))
    rows["source_id"] = "own-" + digests(rows, ("name", "gas", "kind", "longitude", "latitude"))
    rules = [
        Rule("name", rows["name"] != "", "a name, and as many fields as the header"),
        Rule("kind", rows["kind"].isin(KINDS), ", ".join(KINDS)),
        Rule("gas", rows["gas"].isin(GASES), ", ".join(GASES)),
        Rule("emission_t_y", (emission >= 0) & np.isfinite(emission), "tonnes a year, at least 0"),
        Rule("emission_t_y_sigma", (sigma >= 0) & np.isfinite(sigma), "tonnes a year, at least 0"),
        Rule("year", (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (year % 1 == 0), f"{FIRST_YEAR} to {LAST_YEAR}"),
        *place_rules(rows),
        Rule("name", ~rows["source_id"].duplicated(), "each source (name, gas, kind, place) once"),
    ]
    good = good_rows(rows, path, rules, on_failure)
    return SOURCES.from_columns(
        {
            **{name: good[name].to_numpy() for name in ("source_id", "name", "kind", "fuel", "gas")},
            **{name: numbers(good[name]).to_numpy() for name in ("emission_t_y", "emission_t_y_sigma", "latitude")},
            "year": numbers(good["year"]).to_numpy(np.int16),
            "longitude": wrap_longitude(numbers(good["longitude"])),
            **{name: good[name].replace("", None).tolist() for name in ("owner", "licence")},
            "provenance": good["provenance"].replace("", path.rsplit("/", 1)[-1]).tolist(),
        }
    )
