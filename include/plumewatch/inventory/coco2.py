"""CoCO2 point source catalogue: CO2 of the world's thermal power plants in 2018.

Guevara et al. 2023, Earth System Science Data Discussions, doi:10.5194/essd-2023-95; data doi:10.24380/mxjo-nram.
A row is a unit of a plant. The CH4 that plants emit with their CO2 is left out: no plant's reaches a tonne an hour.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from plumewatch.gases import CO2
from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.inventory import Inventory, named, one_file
from plumewatch.inventory.rows.csv_rows import OnFailure, Rule, digests, good_rows, numbers, place_rules, read_csv_rows
from plumewatch.inventory.rows.factors import emission_rule
from plumewatch.inventory.rows.power_plants import cluster, fuel_name, power_plant_factors
from plumewatch.inventory.rows.repeated_rows import at_one_place, single_rows
from plumewatch.tables import SOURCES

NAME = "coco2"
YEAR = 2018
LICENCE = "licence not stated; doi:10.24380/mxjo-nram"
COLUMNS = ("ID", "ISO3", "fuel", "longitude", "latitude", "co2_emis_ty")
FUELS = ("coal", "natural gas", "oil", "biomass", "waste")
UNIT_ID = r"CoCO2_0*([0-9]{1,18})"  # as many digits as 64 bits hold

log = logging.getLogger(__name__)


def read_coco2(path: str, on_failure: OnFailure | None = None) -> pa.Table:
    """Return the plants of a catalogue file (`coco2_ps_catalogue_*.csv`) as rows of the table `sources`.

    Units no more than 1 km apart are one plant: the emission is their sum, the place their mean weighted by emission,
    the fuel the one that emits most. The file has no names: `CoCO2 ZAF coal 26.09S 28.97E` says country, fuel and
    place. A plant keeps the lowest number of its units as its id, with a hash of its place where distant plants
    share it. A unit that is there again counts once (`single_rows`). Bad rows raise InputError, or are reported
    to `on_failure`.
    """
    units = read_units(path, on_failure)
    return _plants(units) if len(units) else SOURCES.empty()


def read_units(path: str, on_failure: OnFailure | None = None, optional: Sequence[str] = ()) -> pd.DataFrame:
    """Return the units of a catalogue file that emit, with the `source_id` of their plant and further columns as text.

    `read_coco2` says what is refused.
    """
    rows = read_csv_rows(path, COLUMNS, optional)
    emission = numbers(rows["co2_emis_ty"])
    rules = [
        Rule("ID", rows["ID"].str.fullmatch(UNIT_ID), "CoCO2_ and a number"),
        Rule("fuel", rows["fuel"].map(fuel_name).isin(FUELS), ", ".join(FUELS)),
        *place_rules(rows),
        emission_rule("co2_emis_ty", emission, CO2.name),
    ]
    rows = good_rows(rows, path, rules, on_failure)
    number = "CoCO2_" + rows["ID"].str.extract(UNIT_ID)[0]
    rows = rows.assign(ID=number, fuel=rows["fuel"].map(fuel_name))
    rows = single_rows(rows, path, at_one_place(number, rows), ("ID", "ISO3"), on_failure)
    emitting = rows[numbers(rows["co2_emis_ty"]) > 0]
    log.info("%s: %d of %d units emit", path, len(emitting), len(rows))
    return _units(emitting, optional)


def _units(rows: pd.DataFrame, optional: Sequence[str]) -> pd.DataFrame:
    units = pd.DataFrame(
        {
            "number": rows["ID"].str.extract(UNIT_ID)[0].astype("int64"),
            "country": rows["ISO3"],
            "fuel": rows["fuel"],
            "longitude": numbers(rows["longitude"]),
            "latitude": numbers(rows["latitude"]),
            "emission": numbers(rows["co2_emis_ty"]),
            **{name: rows[name] for name in optional},
        }
    ).sort_values(["number", "longitude", "latitude"], ignore_index=True)
    units["plant"] = cluster(units["longitude"], units["latitude"], power_plant_factors().plants.unit_distance_km)
    first = units.drop_duplicates("plant").set_index("plant")
    ids = "coco2-" + first["number"].astype(str) + _apart(first)
    return units.assign(source_id=ids[units["plant"]].to_numpy())


def _plants(units: pd.DataFrame) -> pa.Table:
    plant, emission = units["plant"], units["emission"]
    total = emission.groupby(plant).sum()
    share = emission / total[plant].to_numpy()
    # Offsets from the first unit, so that the mean of a plant on the antimeridian stays there.
    first = units.drop_duplicates("plant").set_index("plant")
    east = wrap_longitude(units["longitude"].to_numpy() - first["longitude"][plant].to_numpy())
    longitude = wrap_longitude(first["longitude"] + (share * east).groupby(plant).sum())
    latitude = (share * units["latitude"]).groupby(plant).sum()
    by_fuel = emission.groupby([plant, units["fuel"]]).sum().reset_index().sort_values(["plant", "emission", "fuel"])
    fuel = by_fuel.drop_duplicates("plant", keep="last").set_index("plant")["fuel"].sort_index()
    number, count = first["number"], plant.value_counts(sort=False).sort_index()
    return SOURCES.from_columns(
        {
            "source_id": first["source_id"],
            "name": "CoCO2 " + first["country"] + " " + fuel + " " + place_texts(longitude, latitude),
            "kind": np.full(len(total), "power_plant"),
            "fuel": fuel.to_numpy(),
            "gas": np.full(len(total), CO2.name),
            "emission_t_y": total.to_numpy(),
            "emission_t_y_sigma": total.to_numpy() * fuel.map(power_plant_factors().relative_sigma).to_numpy(float),
            "year": np.full(len(total), YEAR, np.int16),
            "longitude": longitude,
            "latitude": latitude.to_numpy(),
            "licence": np.full(len(total), LICENCE),
            "provenance": f"CoCO2 point source catalogue v1.1, {YEAR}, CoCO2_"
            + number.astype(str).str.zfill(5)
            + np.where(count > 1, " and " + (count - 1).astype(str) + " more units", ""),
        }
    )


def _apart(first: pd.DataFrame) -> pd.Series:
    """What tells plants of one number apart: `-` and a hash of the first unit's place; nothing where one has it."""
    place = digests(first[["longitude", "latitude"]].astype(str), ("longitude", "latitude"))
    return ("-" + place).where(first["number"].duplicated(keep=False), "")


def place_texts(longitude: np.ndarray, latitude: pd.Series) -> pd.Series:
    """Return places as text, hundredths of a degree: `26.09S 28.97E`."""
    lon, lat = pd.Series(longitude, index=latitude.index), latitude
    north = lat.abs().map("{:.2f}".format) + np.where(lat < 0, "S", "N")
    return north + " " + lon.abs().map("{:.2f}".format) + np.where(lon < 0, "W", "E")


INVENTORY = Inventory(NAME, named(r"coco2_ps_(?!.*profiles).*\.csv"), one_file(NAME, read_coco2))
