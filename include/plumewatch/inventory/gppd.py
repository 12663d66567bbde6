"""Global Power Plant Database v1.3.0 of the World Resources Institute (2021), CC BY 4.0.

It lists capacity and generation of power plants; what the fossil ones emit follows from the factors of
`reference/power_plant_emissions.yaml`.
"""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pyarrow as pa

from plumewatch.errors import some_of
from plumewatch.gases import CO2
from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.inventory import Inventory, named, one_file
from plumewatch.inventory.rows.csv_rows import (
    OnFailure,
    Rule,
    digests,
    good_rows,
    numbers,
    place_rules,
    read_csv_rows,
    without_missing,
)
from plumewatch.inventory.rows.power_plants import fuel_name, power_plant_factors
from plumewatch.inventory.rows.repeated_rows import MAX_LINES, at_one_place, meaning, single_rows, words
from plumewatch.tables import SOURCES

NAME = "gppd"
YEAR = 2017  # the last year with an estimate for (nearly) every plant
LICENCE = "CC BY 4.0"
PROVENANCE = "WRI Global Power Plant Database v1.3.0"
COLUMNS = ("name", "capacity_mw", "longitude", "latitude", "primary_fuel", "estimated_generation_gwh_2017")
OPTIONAL = ("gppd_idnr", "owner", "generation_gwh_2017")
NAMES = ("name", "gppd_idnr", "owner")
QUANTITIES = ("capacity_mw", "estimated_generation_gwh_2017", "generation_gwh_2017")
FOSSIL_FUELS = {
    "Coal": "coal",
    "Gas": "natural gas",
    "Oil": "oil",
    "Petcoke": "petcoke",
    "Cogeneration": "cogeneration",
}
OTHER_FUELS = {
    "biomass", "geothermal", "hydro", "nuclear", "other", "solar", "storage", "waste", "wave and tidal", "wind",
}  # fmt: skip
"""Those whose plants have no row, in small letters."""
_SPELLED = {fuel_name(name): name for name in FOSSIL_FUELS}
GWH_PER_MW_YEAR = 8.76  # 8,760 hours of 1 MW
MOST_MW = 1e5  # chosen: four times the largest plant of any kind, Three Gorges with 22,500 MW

log = logging.getLogger(__name__)


def read_gppd(path: str, on_failure: OnFailure | None = None) -> pa.Table:
    """Return the fossil plants of a database file (`gppd*.csv`) as rows of the table `sources`.

    emission = generation x t/GWh of the fuel; generation is the reported one of 2017, else the estimated one, else
    capacity x 8.76 x capacity factor. 1,000 GWh of coal are 946,000 t. Plants without any of the three, or that
    generate nothing, have no row; one that is there again counts once (`single_rows`). Bad rows raise
    InputError, or are reported to `on_failure`.
    """
    rows = read_csv_rows(path, COLUMNS, OPTIONAL)
    # Fuels that emit nothing need no further look; a torn row, which has no name, does.
    fuel = rows["primary_fuel"].map(fuel_name)
    rows = rows[~fuel.isin(OTHER_FUELS) | (rows["name"] == "")]
    if not len(rows):
        return SOURCES.empty()
    rows = rows.assign(**{column: without_missing(rows[column]) for column in (*QUANTITIES, "gppd_idnr", "owner")})
    fuel = fuel[rows.index].map(_SPELLED)
    rules = [Rule("name", rows["name"] != "", "a name, and as many fields as the header"), *place_rules(rows)]
    rules += [Rule("primary_fuel", fuel.notna(), ", ".join((*FOSSIL_FUELS, *sorted(OTHER_FUELS))))]
    rules += [_quantity(rows, c) for c in QUANTITIES]
    rows = good_rows(rows, path, rules, on_failure)
    rows = rows.assign(primary_fuel=fuel[rows.index])
    rows = _largest_blocks(rows, path, _identity(rows))
    return _plants(single_rows(rows, path, _identity(rows), NAMES, on_failure), path)


def _largest_blocks(rows: pd.DataFrame, path: str, identity: pd.Series) -> pd.DataFrame:
    """Of rows of one plant that state different generations the one of the largest, which may be the plant's total.

    The database has some: blocks of a plant, and blocks beside the plant itself. The log names what is left out.
    """
    generation = numbers(rows["generation_gwh_2017"]).combine_first(numbers(rows["estimated_generation_gwh_2017"]))
    is_torn = generation.groupby(identity).transform("nunique") > 1
    largest = generation[is_torn].groupby(identity[is_torn]).idxmax()
    left_out = [line for line in rows.index[is_torn] if line not in set(largest)]
    for plant, line in largest.items():
        others = [str(n) for n in left_out if identity[n] == plant]
        what = f"the largest generation, of line {line}, counts, not line {some_of(others, MAX_LINES)}"
        log.warning("%s: %s has several rows; %s", path, plant, what)
    return rows.drop(index=left_out)


def _quantity(rows: pd.DataFrame, column: str) -> Rule:
    quantity = numbers(rows[column])
    most = MOST_MW if column.endswith("_mw") else MOST_MW * GWH_PER_MW_YEAR
    is_good = (rows[column] == "") | ((quantity >= 0) & (quantity <= most))
    return Rule(column, is_good, f"a number from 0 to {most:.0f}, or nothing")


def _identity(rows: pd.DataFrame) -> pd.Series:
    """What is one plant: an id and fuel at one place; without an id the name, fuel and exact place."""
    with_id = at_one_place(rows["gppd_idnr"] + ", " + rows["primary_fuel"], rows)
    place = rows[["longitude", "latitude"]].map(meaning).agg(", ".join, axis=1)
    said = rows["name"].map(words) + ", " + rows["primary_fuel"].map(words) + ", " + place
    return with_id.where(rows["gppd_idnr"] != "", said)


def _plants(rows: pd.DataFrame, path: str) -> pa.Table:
    factors = power_plant_factors()
    fuel = rows["primary_fuel"].map(FOSSIL_FUELS)
    reported = numbers(rows["generation_gwh_2017"])
    is_reported = np.isfinite(reported)
    stated = reported.where(is_reported, numbers(rows["estimated_generation_gwh_2017"]))
    from_capacity = numbers(rows["capacity_mw"]) * GWH_PER_MW_YEAR * fuel.map(factors.capacity_factor)
    is_stated = np.isfinite(stated)
    emission = np.where(is_stated, stated, from_capacity) * fuel.map(factors.emission_t_gwh)
    sigma = np.where(is_stated, fuel.map(factors.relative_sigma), factors.relative_sigma["from_capacity"])
    how = np.select([is_reported, is_stated], ["reported", "estimated"], "capacity x mean")
    plants = pd.DataFrame(
        {
            "source_id": _ids(rows),
            "name": rows["name"],
            "kind": "power_plant",
            "fuel": fuel,
            "gas": CO2.name,
            "emission_t_y": emission,
            "emission_t_y_sigma": emission * sigma,
            "year": np.int16(YEAR),
            "longitude": wrap_longitude(numbers(rows["longitude"])),
            "latitude": numbers(rows["latitude"]),
            "owner": rows["owner"].replace("", None),
            "licence": LICENCE,
            "provenance": [f"{PROVENANCE}, {kind} generation {YEAR} x emission factor" for kind in how],
        }
    )
    emits = plants[emission > 0]
    log.info("%s: %d of %d fossil plants have an emission", path, len(emits), len(plants))
    return SOURCES.conform(pa.Table.from_pandas(emits, preserve_index=False))


def _ids(rows: pd.DataFrame) -> pd.Series:
    """The database's id; where it is absent or given twice, a hash of name, fuel and place (with it)."""
    digest = digests(rows, ("name", "primary_fuel", "longitude", "latitude"))
    number = rows["gppd_idnr"]
    alone = (number != "") & ~number.duplicated(keep=False)
    return "gppd-" + number.where(alone, number.where(number == "", number + "-") + digest)


INVENTORY = Inventory(NAME, named(r"gppd.*\.csv|global_power_plant_database.*\.csv"), one_file(NAME, read_gppd))
