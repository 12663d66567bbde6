"""Readers of inventories and of published plumes, with a small good file of each kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from netCDF4 import Dataset
from plumewatch.inventory.cities import read_cities
from plumewatch.inventory.climate_trace import read_climate_trace
from plumewatch.inventory.coco2 import read_coco2
from plumewatch.inventory.coco2_profiles import COLUMNS, HOURS, read_profiles
from plumewatch.inventory.edgar import read_edgar
from plumewatch.inventory.eu_ets import read_eu_ets
from plumewatch.inventory.gppd import read_gppd
from plumewatch.inventory.odiac import read_odiac
from plumewatch.inventory.own_sources import read_own_sources
from plumewatch.inventory.reported_plumes import CARBON_MAPPER, IMEO_MARS, OWN, read_reported_plumes
from rasterio.transform import from_origin
from trials import Reader

ETS = "sandbag_export_emissions2019.csv", "Key;InstallationName;RegCtryName;SandbagSector;tCO2e;Period"
ETS_PLACES = "sandbag_locations.csv", ";Key;RegCtryName;latitude;longitude"
CITIES = (
    "co2-emissions-cities.csv",
    "City name;Country;Year of emission;Scope-1 GHG emissions [tCO2 or tCO2-eq];Scope-1 GHG emissions units",
)
WORLD = "worldcities.csv", "city;city_ascii;lat;lng;country;population"
ROWS = {
    ETS[0]: "AT {n};Werk {n};Austria;Glass;1000{n};2019",
    ETS_PLACES[0]: "{n};AT {n};Austria;48,{n};15,{n}",
    CITIES[0]: "City {n};Canada;2013;1615101{n};tCO2",
    WORLD[0]: "City {n};City {n};45,{n};-79,{n};Canada;100",
}


def _listed(read_file: Callable[[str], Any], name: str, header: str, row: str) -> Reader:
    def write(folder: Path) -> Path:
        lines = [row.format(n=n, lon=28 + n / 10, lat=-26 - n / 10) for n in range(12)]
        (folder / name).write_text("\n".join([header, *lines]) + "\n")
        return folder / name

    return Reader(write, lambda path: read_file(str(path)))


def _joined(read_files: Callable[[Sequence[str]], Any], changed: str, *files: tuple[str, str]) -> Reader:
    """Of files that are read together the one that is changed."""

    def write(folder: Path) -> Path:
        for name, header in files:
            (folder / name).write_text("\n".join([header, *(ROWS[name].format(n=n) for n in range(1, 10))]) + "\n")
        return folder / changed

    return Reader(write, lambda path: read_files([str(path.parent / name) for name, _ in files]))


def _edgar(folder: Path) -> Path:
    path = folder / "EDGAR_2024_GHG_CO2_2023_TOTALS_emi.nc"
    with Dataset(path, "w") as file:
        for name, centres in (("lat", np.arange(-89.5, 90, 10)), ("lon", np.arange(-179.5, 180, 10))):
            file.createDimension(name, len(centres))
            file.createVariable(name, "f4", (name,))[:] = centres
        emissions = file.createVariable("emissions", "f4", ("lat", "lon"), fill_value=np.nan)
        emissions[:] = np.full(emissions.shape, 1e6)
        emissions.units = "Tonnes"
    return path


def _odiac(folder: Path) -> Path:
    path = folder / "odiac2023_1km_excl_intl_2212.tif"
    profile = {"driver": "GTiff", "width": 24, "height": 24, "count": 1, "dtype": "float32", "crs": "EPSG:4326",
               "transform": from_origin(10, 50, 1 / 120, 1 / 120), "nodata": -9999}  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.full((24, 24), 1e3, "f4"), 1)
    return path


def _geojson(folder: Path) -> Path:
    said = {"kind": "landfill", "fuel": "", "gas": "ch4", "emission_t_y": 5.0, "emission_t_y_sigma": 1, "year": 2020}
    features = [
        {
            "type": "Feature",
            "properties": {"name": f"Own {n}", **said},
            "geometry": {"type": "Point", "coordinates": [n, n]},
        }
        for n in range(5)
    ]
    path = folder / "own_sources.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def _profiles(folder: Path) -> Path:
    unit = "CoCO2_{n},ZAF,coal,{n},{n},1e6,F{n},F{n},F{n}"
    lines = {of: [",".join([f"F{n}", *["1"] * len(names)]) for n in range(9)] for of, names in COLUMNS.items()}
    for of, names in COLUMNS.items():
        (folder / f"{of}.csv").write_text("\n".join([",".join([of, *names]), *lines[of]]) + "\n")
    header = ",".join(["ID,ISO3,fuel,longitude,latitude,co2_emis_ty", *COLUMNS])
    (folder / "catalogue.csv").write_text("\n".join([header, *(unit.format(n=n) for n in range(9))]) + "\n")
    return folder / f"{HOURS}.csv"


def _read_profiles(path: Path) -> None:
    read_profiles(str(path.parent / "catalogue.csv"), *(str(path.parent / f"{of}.csv") for of in COLUMNS))


LIST_READERS = {
    "CoCO2 profiles": Reader(_profiles, _read_profiles),
    "CoCO2": _listed(
        read_coco2,
        "coco2_ps_catalogue.csv",
        "ID,ISO3,fuel,longitude,latitude,co2_emis_ty",
        "CoCO2_{n},ZAF,coal,{lon},{lat},1e6",
    ),
    "GPPD": _listed(
        read_gppd,
        "gppd.csv",
        "name,gppd_idnr,capacity_mw,longitude,latitude,primary_fuel,owner,generation_gwh_2017,estimated_generation_gwh_2017",
        'Plant {n},X{n},100,{lon},{lat},Coal,"Own, er",,500',
    ),
    "own sources": _listed(
        read_own_sources,
        "own_sources.csv",
        "name,kind,fuel,gas,emission_t_y,emission_t_y_sigma,year,longitude,latitude",
        "Own {n},power_plant,coal,co2,1e6,1e5,2020,{lon},{lat}",
    ),
    "own GeoJSON": Reader(_geojson, lambda path: read_own_sources(str(path))),
    "Climate TRACE": _listed(
        lambda path: read_climate_trace([path]),
        "climate_trace.csv",
        "source_id,source_name,subsector,start_time,end_time,gas,emissions_quantity,lat,lon",
        "{n},Mine {n},coal-mining,2024-1-1,2024-12-31,ch4,500,{lat},{lon}",
    ),
    "EU-ETS": _joined(read_eu_ets, ETS[0], ETS, ETS_PLACES),
    "EU-ETS places": _joined(read_eu_ets, ETS_PLACES[0], ETS, ETS_PLACES),
    "cities": _joined(read_cities, CITIES[0], CITIES, WORLD),
    "places of cities": _joined(read_cities, WORLD[0], CITIES, WORLD),
    "EDGAR": Reader(_edgar, lambda path: read_edgar([str(path)])),
    "ODIAC": Reader(_odiac, lambda path: read_odiac([str(path)])),
    "IMEO MARS": _listed(
        lambda path: read_reported_plumes([path], IMEO_MARS),
        "mars.csv",
        "id_plume,satellite,tile_date,lat,lon,sector,ch4_fluxrate,ch4_fluxrate_std",
        "p{n},Sentinel-2,2024-05-01T06:{n:02}:10,{lat},{lon},Oil and Gas,381{n},1372",
    ),
    "Carbon Mapper": _listed(
        lambda path: read_reported_plumes([path], CARBON_MAPPER),
        "carbon_mapper.csv",
        "plume_id,plume_latitude,plume_longitude,datetime,ipcc_sector,gas,emission_auto,emission_uncertainty_auto",
        "p{n},{lat},{lon},2026-03-21T10:48:33+00,Coal Mining (1B1a),CH4,50{n},90",
    ),
    "own plumes": _listed(
        lambda path: read_reported_plumes([path], OWN),
        "own_plumes.csv",
        "report_id,gas,observed_at_utc,longitude,latitude,emission_kg_h",
        "p{n},ch4,2024-05-01T06:48:00Z,{lon},{lat},900",
    ),
}
"""By the name of their kind."""
