"""Inventory files of the simulated world: its power plants as CoCO2 and GPPD list them, and its methane sources."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from plumewatch import storage
from plumewatch.simulation.oco2_plan import PowerPlant
from plumewatch.simulation.sentinel2_plan import MethaneSource

COCO2_FILE, GPPD_FILE, OWN_FILE = "coco2_ps_catalogue_v1.1.csv", "gppd_v130.csv", "own_sources.csv"
COCO2_COLUMNS = (
    "ID", "ISO3", "fuel", "longitude", "latitude", "co2_emis_ty", "nox_emis_ty", "sox_emis_ty", "co_emis_ty",
    "ch4_emis_ty", "ID_MonthFact", "ID_WeekFact", "ID_HourFact", "ID_VertProf",
)  # fmt: skip
COCO2_FUEL = {"coal": "coal", "gas": "natural gas", "oil": "oil"}
GPPD_YEARS = range(2013, 2018)
GPPD_COLUMNS = (
    "country_long", "name", "gppd_idnr", "capacity_mw", "latitude", "longitude", "primary_fuel", "other_fuel1",
    "other_fuel2", "other_fuel3", "commissioning_year", *(f"estimated_generation_gwh_{year}" for year in GPPD_YEARS),
    "capacity_from",
)  # fmt: skip
OWN_COLUMNS = (
    "name", "kind", "fuel", "gas", "emission_t_y", "emission_t_y_sigma", "year", "longitude", "latitude", "owner",
    "licence", "provenance",
)  # fmt: skip
OWN_YEAR = 2024
OWN_RELATIVE_SIGMA = 0.5


def write_inventories(folder: str, plants: Iterable[PowerPlant], sources: Iterable[MethaneSource]) -> None:
    """Write the three files; what CoCO2 or GPPD say beyond the facts of power_plants.csv stays empty."""
    plants = list(plants)
    _write(storage.join(folder, COCO2_FILE), COCO2_COLUMNS, _coco2_rows(plants), csv.QUOTE_NONNUMERIC)
    _write(storage.join(folder, GPPD_FILE), GPPD_COLUMNS, _gppd_rows(plants), csv.QUOTE_MINIMAL)
    _write(storage.join(folder, OWN_FILE), OWN_COLUMNS, _own_rows(sources), csv.QUOTE_MINIMAL)


def _write(path: str, columns: Sequence[str], rows: Iterable[dict[str, Any]], quoting: Any) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, quoting=quoting, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    storage.write_bytes(path, text.getvalue().encode())


def _coco2_rows(plants: list[PowerPlant]) -> Iterable[dict[str, Any]]:
    """One row a unit, as the catalogue has it; the units of a plant share its emission equally."""
    number = 0
    for plant in plants:
        for _ in range(plant.coco2_units):
            number += 1
            yield {
                "ID": f"CoCO2_{number:05d}",
                "ISO3": plant.iso3,
                "fuel": COCO2_FUEL[plant.fuel],
                "longitude": plant.longitude,
                "latitude": plant.latitude,
                "co2_emis_ty": plant.co2_t_y / plant.coco2_units,
            }


def _gppd_rows(plants: list[PowerPlant]) -> Iterable[dict[str, Any]]:
    for plant in plants:
        if plant.gppd_longitude is not None:
            yield {
                "country_long": plant.country,
                "name": plant.name,
                "gppd_idnr": plant.gppd_id,
                "capacity_mw": plant.capacity_mw,
                "latitude": plant.gppd_latitude,
                "longitude": plant.gppd_longitude,
                "primary_fuel": plant.fuel.capitalize(),
                "estimated_generation_gwh_2017": plant.generation_gwh_2017,
            }


def _own_rows(sources: Iterable[MethaneSource]) -> Iterable[dict[str, Any]]:
    for source in sources:
        yield {
            "name": source.name,
            "kind": "oil_and_gas",
            "fuel": "gas",
            "gas": "ch4",
            "emission_t_y": round(source.inventory_t_y, 1),
            "emission_t_y_sigma": round(source.inventory_t_y * OWN_RELATIVE_SIGMA, 1),
            "year": OWN_YEAR,
            "longitude": round(source.longitude, 6),
            "latitude": round(source.latitude, 6),
            "owner": "made up",
            "licence": "Apache-2.0",
            "provenance": "plumewatch.simulation",
        }
