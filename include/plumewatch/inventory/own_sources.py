"""A user's own lists of sources, of either gas: CSV or GeoJSON files with the columns of the table `sources`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from plumewatch import storage
from plumewatch.gases import GASES
from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.inventory import Inventory, named
from plumewatch.inventory.rows.csv_rows import (
    OnFailure,
    Rule,
    composed,
    digests,
    good_rows,
    numbers,
    place_rules,
    read_csv_rows,
    tell_refused,
)
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.inventory.rows.geojson_rows import read_geojson_rows
from plumewatch.inventory.rows.newest_rows import newest_rows
from plumewatch.inventory.rows.power_plants import fuel_name
from plumewatch.inventory.rows.repeated_rows import meaning, single_rows, words
from plumewatch.inventory.rows.units import ALLOWED, tonnes_a_year
from plumewatch.tables import SOURCES

NAME = "own_sources"
COLUMNS = ("name", "kind", "fuel", "gas", "emission_t_y", "emission_t_y_sigma", "year", "longitude", "latitude")
OPTIONAL = ("owner", "licence", "provenance")
UNIT_COLUMNS = ("unit", "units", "emission_unit", "emission_units", "emissions_unit", "emission_t_y_unit")
"""Optional too: the unit of both emission columns where it isn't t/yr."""
QUANTITIES = ("emission_t_y", "emission_t_y_sigma")
IDENTITY = ("name", "gas", "kind", "longitude", "latitude")
NAMES = ("name", "kind", "gas", *OPTIONAL)
"""Words, also where they look like numbers."""
KINDS = ("power_plant", "industry", "oil_and_gas", "coal_mine", "landfill", "city", "grid_cell")
FIRST_YEAR, LAST_YEAR = 1970, 2100  # EDGAR, the longest inventory, starts in 1970


def read_own_sources(path: str, on_failure: OnFailure | None = None) -> pa.Table:
    """Return the good rows of a list (`own_sources*.csv`) as rows of the table `sources`: `read_own_lists` of one."""
    return read_own_lists([path], on_failure)


def read_own_lists(
    paths: Sequence[str], on_failure: OnFailure | None = None, on_set_aside: Callable[[str], None] | None = None
) -> pa.Table:
    """Return the good rows of lists as rows of the table `sources`, each emitter once.

    A source's id comes from its name, gas, kind and place, so that a corrected emission keeps it, and so does another
    spelling of the same: 28.970 for 28.97, an accent as a character of its own. Other capitals are another id.
    Emissions are tonnes a year, or in the unit that the row states (`units.py`). A row that is there again in its file
    counts once (`single_rows`); of entries of one emitter the newest counts, and `on_set_aside` is told of the others
    (`newest_rows`). Bad rows raise InputError, or are reported to `on_failure` by file and line, of GeoJSON by file and
    number of the feature.
    """
    lists = [rows for rows in (_rows(path, on_failure) for path in paths) if len(rows)]
    if not lists:
        return SOURCES.empty()
    rows = pd.concat(lists, ignore_index=True)
    written_at = {path: storage.modified_at(path) for path in paths} if len(paths) > 1 else {}
    found = newest_rows(rows, written_at)
    for error in found.contradictions:
        if on_failure is None:
            raise error
        tell_refused(error, on_failure)
    if on_set_aside is not None:
        for said in found.set_aside:
            on_set_aside(said)
    good = found.rows
    return SOURCES.from_columns(
        {
            **{name: good[name].tolist() for name in ("source_id", "name", "kind", "fuel", "gas", "provenance")},
            **{name: good[name].to_numpy(float) for name in (*QUANTITIES, "longitude", "latitude")},
            "year": good["year"].to_numpy(np.int16),
            **{name: good[name].replace("", None).tolist() for name in ("owner", "licence")},
        }
    )


def _rows(path: str, on_failure: OnFailure | None) -> pd.DataFrame:
    """The good rows of a list, each once, with what `newest_rows` asks for."""
    read_rows = read_csv_rows if path.lower().endswith(".csv") else read_geojson_rows
    rows = read_rows(path, COLUMNS, (*OPTIONAL, *UNIT_COLUMNS))
    if not len(rows):
        return rows
    rows["name"] = [" ".join(composed(name).split()) for name in rows["name"]]
    rows["unit"] = [" and ".join(dict.fromkeys(filter(None, said))) for said in rows[list(UNIT_COLUMNS)].to_numpy()]
    year, emission, sigma = (numbers(rows[name]) for name in ("year", *QUANTITIES))
    gases = rows["gas"].where(rows["gas"].isin(GASES), "co2")
    tonnes = pd.Series(map(tonnes_a_year, rows["unit"], gases), rows.index, float)
    most = gases.map(inventory_factors().most_of_grid_t_y)
    rules = [
        Rule("name", rows["name"] != "", "a name, and as many fields as the header"),
        Rule("kind", rows["kind"].isin(KINDS), ", ".join(KINDS)),
        Rule("gas", rows["gas"].isin(GASES), ", ".join(GASES)),
        Rule("unit", np.isfinite(tonnes), ALLOWED),
        Rule("emission_t_y", (emission >= 0) & np.isfinite(emission), "a number of t/yr or the unit, at least 0"),
        Rule("emission_t_y", ~(emission * tonnes > most), "less than the world emits; is the unit another one?"),
        Rule("emission_t_y_sigma", (sigma >= 0) & np.isfinite(sigma), "a number of t/yr or the unit, at least 0"),
        Rule("year", (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (year % 1 == 0), f"{FIRST_YEAR} to {LAST_YEAR}"),
        *place_rules(rows),
    ]
    rows = good_rows(rows, path, rules, on_failure)
    for name in QUANTITIES:
        converted = (numbers(rows[name]) * tonnes[rows.index]).map(repr)
        rows[name] = rows[name].where(rows["unit"] == "", converted)
    rows = rows.drop(columns=list(UNIT_COLUMNS)).assign(fuel=rows["fuel"].map(fuel_name))
    says = {name: words if name in NAMES else meaning for name in IDENTITY}
    identity = pd.DataFrame({name: rows[name].map(says[name]) for name in IDENTITY}).agg(", ".join, axis=1)
    rows = single_rows(rows, path, identity + ", " + rows["year"].map(meaning), NAMES, on_failure)
    return rows.assign(
        source_id="own-" + digests(rows, IDENTITY),
        identity=identity[rows.index],
        file=path,
        line=rows.index,
        provenance=rows["provenance"].replace("", path.rsplit("/", 1)[-1]),
        longitude=wrap_longitude(numbers(rows["longitude"])),
        **{name: numbers(rows[name]) for name in (*QUANTITIES, "year", "latitude")},
    )


INVENTORY = Inventory(NAME, named(r"own_sources.*\.(?:csv|geojson)"), read_own_lists, are_apart=True)
