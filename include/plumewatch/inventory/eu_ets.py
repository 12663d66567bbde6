"""EU Emissions Trading System: verified emissions of installations, as Sandbag exported them, joined with their places.

Two files: emissions by installation (`sandbag_export_emissions2019.csv`) and places that Sandbag's users found by the
installations' addresses (`sandbag_locations.csv`); both are separated by semicolons, in Windows' encoding, with decimal
commas. Tonnes of CO2 equivalent: beside nitric acid and aluminium works that is CO2.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.errors import InputError
from plumewatch.gases import CO2
from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.inventory import Inventory, OnSetAside, file_name, named, tell_set_aside
from plumewatch.inventory.rows.csv_rows import (
    ONE_MEANING,
    UNCLOSED,
    CsvForm,
    Rule,
    good_rows,
    may_be_thousands,
    numbers,
    place_rules,
    read_csv_rows,
    with_points,
)
from plumewatch.inventory.rows.factors import emission_rule, inventory_factors
from plumewatch.inventory.rows.repeated_rows import single_rows
from plumewatch.models import OnFailure
from plumewatch.tables import SOURCES

NAME = "eu_ets"
LICENCE = "licence not stated; registry data are public, EU Transaction Log"
FORM = CsvForm(delimiter=";", other_encoding="cp1252")
EMISSIONS = ("Key", "InstallationName", "RegCtryName", "SandbagSector", "tCO2e", "Period")
PLACES = ("Key", "RegCtryName", "latitude", "longitude")
PLACES_FILE = re.compile(r".*locations?\.csv", re.IGNORECASE)
NAMES = ("Key", "InstallationName", "RegCtryName")
KINDS = {
    "power and heat": "power_plant",
    **dict.fromkeys(
        ("combustion", "ceramics", "chemicals", "pulp and paper", "iron and steel", "cement and lime", "glass",
         "non ferrous metals", "mineral oil", "coke ovens", ""),
        "industry",
    ),
}  # fmt: skip
"""By sector; a hundred small installations have none."""
AIRLINES = "aviation"  # they emit along their routes
FIRST_YEAR, LAST_YEAR = 2005, 2100  # the system began in 2005

log = logging.getLogger(__name__)


def read_eu_ets(
    paths: Sequence[str], on_failure: OnFailure | None = None, on_set_aside: OnSetAside | None = None
) -> pa.Table:
    """Return the installations of the two files as rows of the table `sources`, by the id of the registry (`AT 10`).

    Set aside, and told to `on_set_aside`, are airlines, installations without a place or with one outside of their
    country (another place of that name), and a row without an id, which is the file's total. Bad rows raise
    InputError, or are reported to `on_failure`; InputError where there is not one file of each.
    """
    of_places = [path for path in paths if PLACES_FILE.fullmatch(file_name(path))]
    of_emissions = [path for path in paths if path not in of_places]
    if len(of_places) != 1 or len(of_emissions) != 1:
        found = f"{len(of_emissions)} files of emissions and {len(of_places)} of places"
        raise InputError(paths[0], found, "one of emissions, and one of places whose name ends in locations.csv")
    rows = _emissions(of_emissions[0], on_failure, on_set_aside)
    places = _places(of_places[0], on_failure, on_set_aside)
    if not len(rows):
        return SOURCES.empty()
    rows = rows.join(places, on="Key")
    has_place = rows["longitude"].notna()
    if n := int((~has_place).sum()):
        tell_set_aside(f"{file_name(of_places[0])}: no place of {n} installations of {len(rows)}", on_set_aside)
    rows = rows[has_place & (rows["emission"] > 0)]
    log.info("%s: %d installations with a place emit", of_emissions[0], len(rows))
    year = numbers(rows["Period"]).astype(np.int16)
    columns = {
        "source_id": NAME + "-" + rows["Key"].str.replace(" ", "-"),
        "name": rows["InstallationName"].where(rows["InstallationName"] != "", "EU-ETS " + rows["Key"]),
        "kind": rows["SandbagSector"].str.casefold().map(KINDS),
        "fuel": "",
        "gas": CO2.name,
        "emission_t_y": rows["emission"],
        "emission_t_y_sigma": rows["emission"] * inventory_factors().relative_sigma[NAME],
        "year": year,
        "longitude": wrap_longitude(rows["longitude"]),
        "latitude": rows["latitude"],
        "licence": LICENCE,
        "provenance": "EU-ETS verified emissions "
        + year.astype(str)
        + " (Sandbag)"
        + (", " + rows["SandbagSector"].str.lower()).where(rows["SandbagSector"] != "", ""),
    }
    return SOURCES.conform(pa.Table.from_pandas(pd.DataFrame(columns, rows.index), preserve_index=False))


def _emissions(path: str, on_failure: OnFailure | None, on_set_aside: OnSetAside | None) -> pd.DataFrame:
    rows = read_csv_rows(path, EMISSIONS, form=FORM)
    is_total = (rows["Key"] == "") & (rows["InstallationName"] == "") & (rows["tCO2e"] != "")
    is_airline = rows["SandbagSector"].str.casefold() == AIRLINES
    for is_left_out, what in ((is_total, "without an installation, the total of others"), (is_airline, "of airlines")):
        if n := int(is_left_out.sum()):
            tell_set_aside(f"{file_name(path)}: {n} rows {what}", on_set_aside)
    rows = rows[~is_total & ~is_airline]
    if not len(rows):
        return rows
    emission, year = numbers(with_points(rows["tCO2e"])), numbers(rows["Period"])
    rules = [
        Rule("Key", rows["Key"] != "", "an id such as AT 10, and as many fields as the header"),
        Rule(
            "SandbagSector",
            rows["SandbagSector"].str.casefold().isin(KINDS),
            ", ".join((*filter(None, KINDS), AIRLINES)) + " or nothing",
        ),
        Rule("tCO2e", ~may_be_thousands(rows["tCO2e"]), ONE_MEANING),
        emission_rule("tCO2e", emission, CO2.name),
        Rule("Period", (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (year % 1 == 0), "a year from 2005"),
    ]
    rows = good_rows(rows, path, rules, on_failure)
    rows = single_rows(rows, path, rows["Key"], NAMES, on_failure)
    return rows.assign(emission=emission[rows.index])


def _places(path: str, on_failure: OnFailure | None, on_set_aside: OnSetAside | None) -> pd.DataFrame:
    """Longitude and latitude by id."""
    rows = read_csv_rows(path, PLACES, form=FORM)
    rows = rows[rows["Key"].isin(("", UNCLOSED)) | (rows["latitude"] != "") | (rows["longitude"] != "")]
    rows = rows.assign(**{name: with_points(rows[name]) for name in ("longitude", "latitude")})
    rules = [Rule("Key", rows["Key"] != "", "an id, and as many fields as the header"), *place_rules(rows)]
    rows = good_rows(rows, path, rules, on_failure) if len(rows) else rows
    rows = single_rows(rows, path, rows["Key"], NAMES, on_failure) if len(rows) else rows
    rows = rows.assign(longitude=numbers(rows["longitude"]), latitude=numbers(rows["latitude"]))
    is_outside = ~_in_country(rows)
    if n := int(is_outside.sum()):
        some = ", ".join(rows["Key"][is_outside][:5])
        tell_set_aside(f"{file_name(path)}: {n} places outside of their country ({some} ...)", on_set_aside)
    return rows[~is_outside].set_index("Key")[["longitude", "latitude"]]


def _in_country(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether places lie in what belongs to their country, or in one whose extents aren't known."""
    where = inventory_factors().eu_ets
    lon, lat, country = (rows[name].to_numpy() for name in ("longitude", "latitude", "RegCtryName"))
    is_inside = ~np.isin(country.astype(str), list(where.extents))
    for name, parts in where.extents.items():
        for west, south, east, north in parts:
            is_near = (lon >= west - where.margin_deg) & (lon <= east + where.margin_deg)
            is_near &= (lat >= south - where.margin_deg) & (lat <= north + where.margin_deg)
            is_inside |= is_near & (country == name)
    return is_inside


INVENTORY = Inventory(NAME, named(r".*sandbag.*\.csv|eu[_-]?ets.*\.csv"), read_eu_ets)
