"""A month of the table `soundings` as the older tool's CSV."""

from __future__ import annotations

import bz2
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.csv

from plumewatch import storage
from plumewatch.orbits import OCO2, sensors_of
from plumewatch.tables import SOUNDINGS

SEED_COLUMNS = {
    "sounding_id": "sounding_id",
    "latitude": "latitude",
    "longitude": "longitude",
    "xco2": "xco2_ppm",
    "xco2_uncert": "xco2_uncertainty_ppm",
    "orbit": "orbit",
    "windspeed_u": "wind_u_m_s",
    "windspeed_v": "wind_v_m_s",
    "surface_pressure_apriori": "surface_pressure_apriori_hpa",
    "surface_pressure": "surface_pressure_hpa",
    "altitude": "altitude_m",
    "land_water_indicator": "land_water_indicator",
    "land_fraction": "land_fraction_percent",
    "tcwv": "tcwv_kg_m2",
    "tcwv_apriori": "tcwv_apriori_kg_m2",
    "tcwv_uncertainty": "tcwv_uncertainty_kg_m2",
}
"""Columns of the seed's monthly CSV, in its order, and ours."""


def write_seed_csv(soundings_path: str, month: str, csv_path: str) -> list[str]:
    """Write a month's soundings in the seed's sixteen columns into the folder `csv_path` and return the files' paths.

    One file a sensor, `oco2_<YYMM>.csv.bz2` always and `oco3_<YYMM>.csv.bz2` where there are such soundings, as the
    columns don't tell whose an orbit is. Separated by ';', a null is empty.
    """
    columns = list(SEED_COLUMNS.values())
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter=";", quoting_style="none")
    with tempfile.TemporaryDirectory(prefix="plumewatch-") as folder, ExitStack() as open_files:
        files: dict[str, bz2.BZ2File] = {}

        def file_of(sensor: str) -> bz2.BZ2File:
            if sensor not in files:
                local = Path(folder) / f"{sensor}_{month[2:4]}{month[5:7]}.csv.bz2"
                files[sensor] = open_files.enter_context(bz2.open(local, "wb"))
                files[sensor].write((";".join(SEED_COLUMNS) + "\n").encode())
            return files[sensor]

        file_of(OCO2)
        for partition in storage.list_partitions(SOUNDINGS, soundings_path, {"month": month}):
            for path in storage.partition_files(partition):
                rows = storage.read_parquet(SOUNDINGS, path, [*columns, "sensor"])
                sensors = sensors_of(rows)
                for sensor in pc.unique(sensors).to_pylist():
                    of_sensor = rows.filter(pc.equal(sensors, sensor)).select(columns)
                    pyarrow.csv.write_csv(of_sensor, file_of(sensor), options)
        open_files.close()
        targets = {local: storage.join(csv_path, local.name) for local in sorted(Path(folder).iterdir())}
        for local, target in targets.items():
            storage.upload(local, target)
        return list(targets.values())
