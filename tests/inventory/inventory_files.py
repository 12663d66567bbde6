"""Writes small inventory files of each kind, a row a line."""

from __future__ import annotations

from pathlib import Path

COCO2_HEADER = "ID,ISO3,fuel,longitude,latitude,co2_emis_ty"
GPPD_HEADER = "name,gppd_idnr,capacity_mw,latitude,longitude,primary_fuel,estimated_generation_gwh_2017,owner"
OWN_HEADER = "name,kind,fuel,gas,emission_t_y,emission_t_y_sigma,year,longitude,latitude"
COCO2_FILE, GPPD_FILE, OWN_FILE = "coco2_ps_catalogue.csv", "gppd.csv", "own_sources.csv"
NORTH_KM = 1 / 111.195


def write(folder: Path, name: str, header: str, *lines: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([header, *lines]) + "\n")
    return str(folder / name)


def coco2(folder: Path, *lines: str) -> str:
    return write(folder, COCO2_FILE, COCO2_HEADER, *lines)


def gppd(folder: Path, *lines: str) -> str:
    return write(folder, GPPD_FILE, GPPD_HEADER, *lines)


def own(folder: Path, *lines: str, name: str = OWN_FILE) -> str:
    return write(folder, name, OWN_HEADER, *lines)


def unit(number: int = 1, km_north: float = 0.0, fuel: str = "coal", t_y: float = 8.76e6) -> str:
    return f"CoCO2_{number:05d},ZAF,{fuel},29,{-26 + km_north * NORTH_KM},{t_y}"


def mine(km_north: float, fuel: str = "coal", kind: str = "power_plant", gas: str = "co2", name: str = "Ours") -> str:
    return f"{name},{kind},{fuel},{gas},8800000,800000,2019,29,{-26 + km_north * NORTH_KM}"
