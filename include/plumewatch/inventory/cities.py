"""Cities and what they emit within their bounds (scope 1), by Nangini et al. 2019 (Scientific Data 6, 180027).

Two files: emissions (`co2-emissions-cities.csv`, as Opendatasoft has it; doi:10.1594/PANGAEA.884141) and the places of
cities (`worldcities.csv` of SimpleMaps), both separated by semicolons.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from plumewatch.errors import InputError, some_of
from plumewatch.gases import CO2
from plumewatch.geodesy import great_circle_distance_km, wrap_longitude
from plumewatch.inventory.inventory import Inventory, OnSetAside, file_name, named, tell_set_aside
from plumewatch.inventory.rows.csv_rows import (
    ONE_MEANING,
    CsvForm,
    Rule,
    digests,
    good_rows,
    may_be_thousands,
    numbers,
    read_csv_rows,
    with_points,
)
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.inventory.rows.repeated_rows import single_rows
from plumewatch.models import OnFailure
from plumewatch.tables import SOURCES

NAME = "cities"
LICENCE = "CC BY 4.0 (emissions: PANGAEA 884141); places: SimpleMaps World Cities"
FORM = CsvForm(delimiter=";", other_encoding="cp1252")
NAME_COLUMN, COUNTRY, YEAR = "City name", "Country", "Year of emission"
SCOPE_1, UNIT, DATASET = (
    "Scope-1 GHG emissions [tCO2 or tCO2-eq]",
    "Scope-1 GHG emissions units",
    "Scope-1 source dataset",
)
ESTIMATE = "S1 mean (CDP) [tCO2]"
"""Scope 1 where only the total is stated, by the mean share of other cities."""
PLACE = "City location (CDP) [degrees]"
COLUMNS = (NAME_COLUMN, COUNTRY, YEAR, SCOPE_1, UNIT)
OPTIONAL = (DATASET, ESTIMATE, PLACE)
WORLD = ("city_ascii", "lat", "lng", "country")
WORLD_OPTIONAL = ("population",)
WORLD_FILE = re.compile(r".*world[_-]?cities.*\.csv", re.IGNORECASE)
UNITS = ("tco2", "tco2-eq")
COUNTRY_NAMES = {"usa": "united states", "uk": "united kingdom", "south korea": "korea, south"}
"""What the list of emissions calls countries that the list of places calls otherwise."""
FAR_KM = 200.0  # chosen: two lists' places of a large city differ by tens of kilometres
FIRST_YEAR, LAST_YEAR = 1970, 2100
MAX_NAMED = 10  # cities in one sentence

log = logging.getLogger(__name__)


def read_cities(
    paths: Sequence[str], on_failure: OnFailure | None = None, on_set_aside: OnSetAside | None = None
) -> pa.Table:
    """Return the cities of the two files as rows of the table `sources`.

    The place is the list's own (`latitude,longitude`), else that of the city of this name and country in the list of
    places, of several the most populous. Cities whose own place is the listed one with latitude and longitude swapped,
    those without a place or an emission, and those whose emission no city has (as one of 713 Mt), are set aside and
    told to `on_set_aside`. Bad rows raise InputError, or are reported to `on_failure`.
    """
    of_places = [path for path in paths if WORLD_FILE.fullmatch(file_name(path))]
    of_emissions = [path for path in paths if path not in of_places]
    if len(of_emissions) != 1 or len(of_places) > 1:
        found = f"{len(of_emissions)} files of emissions and {len(of_places)} of places"
        raise InputError(paths[0], found, "one file of cities' emissions, and at most one worldcities.csv")
    path = of_emissions[0]
    rows = _emissions(path, on_failure)
    world = _world(of_places[0], on_failure) if of_places else {}
    if not len(rows):
        return SOURCES.empty()
    own = rows[PLACE].str.extract(r"^\s*(?P<latitude>[^,]*),(?P<longitude>[^,]*)$").apply(numbers)
    listed = [_listed(*said, world) for said in zip(rows[NAME_COLUMN], rows[COUNTRY], strict=True)]
    listed_lon, listed_lat = np.array(listed, float).reshape(-1, 2).T
    has_own = own["latitude"].notna().to_numpy()
    is_swapped = _is_far(own["longitude"], own["latitude"], listed_lon, listed_lat)
    is_swapped &= ~_is_far(own["latitude"], own["longitude"], listed_lon, listed_lat)
    longitude = np.where(has_own, own["longitude"], listed_lon)
    latitude = np.where(has_own, own["latitude"], listed_lat)
    emission = rows["emission"].to_numpy()
    most = inventory_factors().most_t_y[CO2.name]
    reasons = {
        "have no emission": ~np.isfinite(emission),
        f"emit more than {most / 1e6:.0f} Mt": emission > most,
        "have no place": ~np.isfinite(latitude),
        "have latitude and longitude swapped": is_swapped,
    }
    is_left = np.ones(len(rows), bool)
    for reason, is_so in reasons.items():
        if len(names := rows[NAME_COLUMN][is_so & is_left].tolist()):
            tell_set_aside(
                f"{file_name(path)}: {len(names)} cities {reason}: {some_of(names, MAX_NAMED)}", on_set_aside
            )
        is_left &= ~is_so
    is_left &= emission > 0
    sources = _sources(rows, longitude, latitude)
    log.info("%s: %d of %d cities have a place and an emission", path, is_left.sum(), len(rows))
    return SOURCES.conform(pa.Table.from_pandas(sources[is_left], preserve_index=False))


def _is_far(lon: pd.Series, lat: pd.Series, other_lon: np.ndarray, other_lat: np.ndarray) -> np.ndarray:
    """Whether places are known and more than 200 km apart."""
    return np.asarray(great_circle_distance_km(lon, lat, other_lon, other_lat)) > FAR_KM


def _sources(rows: pd.DataFrame, longitude: np.ndarray, latitude: np.ndarray) -> pd.DataFrame:
    of_gases = rows[UNIT].str.casefold().map({"tco2-eq": " with other gases in it", "tco2": ""})
    estimated = np.where(rows["is_estimated"], ", from the total by the usual share", "")
    return pd.DataFrame(
        {
            "source_id": "city-" + digests(rows.assign(name=rows[NAME_COLUMN].map(place_key)), ("name", COUNTRY)),
            "name": rows[NAME_COLUMN],
            "kind": "city",
            "fuel": "",
            "gas": CO2.name,
            "emission_t_y": rows["emission"],
            "emission_t_y_sigma": rows["emission"] * inventory_factors().relative_sigma["city"],
            "year": numbers(rows[YEAR]).astype(np.int16),
            "longitude": wrap_longitude(longitude),
            "latitude": latitude,
            "licence": LICENCE,
            "provenance": "Nangini et al. 2019, scope 1, " + rows[DATASET] + of_gases + estimated,
        },
        rows.index,
    )


def _emissions(path: str, on_failure: OnFailure | None) -> pd.DataFrame:
    rows = read_csv_rows(path, COLUMNS, OPTIONAL, FORM)
    if not len(rows):
        return rows
    stated, year = numbers(with_points(rows[SCOPE_1])), numbers(with_points(rows[YEAR]))
    estimate = numbers(with_points(rows[ESTIMATE]))
    place = rows[PLACE].str.extract(r"^\s*(?P<latitude>[^,]*),(?P<longitude>[^,]*)$").apply(numbers)
    is_place = place["latitude"].between(-90, 90) & place["longitude"].between(-180, 180)
    quantity = "tonnes of CO2 a year, at least 0, or nothing"
    rules = [
        Rule(NAME_COLUMN, rows[NAME_COLUMN] != "", "a name, and as many fields as the header"),
        Rule(COUNTRY, rows[COUNTRY] != "", "a country"),
        Rule(UNIT, rows[UNIT].str.casefold().isin(UNITS), "tCO2 or tCO2-eq"),
        Rule(SCOPE_1, ~may_be_thousands(rows[SCOPE_1]), ONE_MEANING),
        Rule(ESTIMATE, (rows[SCOPE_1] != "") | ~may_be_thousands(rows[ESTIMATE]), ONE_MEANING),
        Rule(SCOPE_1, (rows[SCOPE_1] == "") | ((stated >= 0) & np.isfinite(stated)), quantity),
        Rule(
            ESTIMATE,
            (rows[SCOPE_1] != "") | (rows[ESTIMATE] == "") | ((estimate >= 0) & np.isfinite(estimate)),
            quantity,
        ),
        Rule(YEAR, (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (year % 1 == 0), f"{FIRST_YEAR} to {LAST_YEAR}"),
        Rule(PLACE, (rows[PLACE] == "") | is_place, "latitude,longitude in degrees, or nothing"),
    ]
    rows = good_rows(rows, path, rules, on_failure)
    identity = rows[NAME_COLUMN].map(place_key) + ", " + rows[COUNTRY]
    rows = single_rows(rows, path, identity, (NAME_COLUMN, COUNTRY, DATASET), on_failure)
    stated, estimate = stated[rows.index], estimate[rows.index]
    return rows.assign(emission=stated.fillna(estimate), is_estimated=stated.isna())


def _world(path: str, on_failure: OnFailure | None) -> dict[tuple[str, str], tuple[float, float]]:
    """Longitude and latitude by name and country, of the most populous city."""
    rows = read_csv_rows(path, WORLD, WORLD_OPTIONAL, FORM)
    lat, lon = numbers(with_points(rows["lat"])), numbers(with_points(rows["lng"]))
    rules = [
        Rule("city_ascii", rows["city_ascii"] != "", "a name, and as many fields as the header"),
        Rule("lat", (lat >= -90) & (lat <= 90), "degrees from -90 to 90"),
        Rule("lng", (lon >= -180) & (lon <= 180), "degrees from -180 to 180"),
    ]
    rows = good_rows(rows, path, rules, on_failure) if len(rows) else rows
    rows = rows.assign(people=numbers(with_points(rows["population"])).fillna(0)).sort_values("people", kind="stable")
    keys = zip(rows["city_ascii"].map(place_key), rows["country"].map(place_key), strict=True)
    return dict(zip(keys, zip(lon[rows.index], lat[rows.index], strict=True), strict=True))


def _listed(name: str, country: str, world: dict[tuple[str, str], tuple[float, float]]) -> tuple[float, float]:
    """The place of a city in the list of places, NaN where it isn't there; `Richmond, VA` is Richmond."""
    land = place_key(country)
    names = [place_key(name), place_key(name.partition(",")[0])]
    keys = [(each, of) for each in names for of in (land, COUNTRY_NAMES.get(land, land))]
    return next((world[key] for key in keys if key in world), (np.nan, np.nan))


def place_key(name: str) -> str:
    """Return a name without capitals and accents.

    >>> place_key("São  Paulo"), place_key("Xi'an")
    ('sao paulo', 'xian')
    """
    letters = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return " ".join(letters.replace("'", "").casefold().split())


INVENTORY = Inventory(
    NAME, named(r".*emissions[_-]cities.*\.csv|.*cities[_-]emissions.*\.csv|.*world[_-]?cities.*\.csv"), read_cities
)
