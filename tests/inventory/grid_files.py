"""Writes grids in the forms of EDGAR and ODIAC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import rasterio
from rasterio.transform import from_origin

LON, LAT = np.arange(-179.5, 180), np.arange(-89.5, 90)
EMI = "EDGAR_2024_GHG_CO2_2023_TOTALS_emi.nc"


def world(**cells: float) -> np.ndarray:
    """Cells of a degree with some emissions, named `e10n20` by their south-western corner."""
    values = np.zeros((180, 360))
    for name, value in cells.items():
        east, north = name[1:].split("n")
        values[int(north) + 90, int(east) + 180] = value
    return values


def told(read: Any, paths: list[str]) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    failures: list[Any] = []
    aside: list[str] = []
    rows = read(paths, failures.append, aside.append).to_pylist()
    return rows, [f"{f.scene_id} {f.message}" for f in failures], aside


def edgar(
    path: Path,
    values: np.ndarray,
    longitude: np.ndarray,
    latitude: np.ndarray,
    variable: str = "emissions",
    units: str | None = "Tonnes",
    mode: str = "w",
    steps: tuple[Any, str] | None = (range(1, 13), "month"),
    **attributes: Any,
) -> str:
    """Write `values` by latitude and longitude, with leading times where they have such, told in `steps` (values and
    their unit); `mode` a adds a variable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, mode) as file:
        for name, centres in (("lat", latitude), ("lon", longitude)) if mode == "w" else ():
            file.createDimension(name, len(centres))
            file.createVariable(name, "f4", (name,))[:] = centres
        times = ("time",) if values.ndim > 2 else ()
        for name in times:
            file.createDimension(name, len(values))
            if steps is not None:
                axis = file.createVariable(name, "f8", (name,))
                axis[:], axis.units = list(steps[0])[: len(values)], steps[1]
        written = file.createVariable(variable, "f4", (*times, "lat", "lon"), fill_value=np.nan, zlib=True, complevel=1)
        written[:] = values
        if units is not None:
            written.units = units
        written.setncatts(attributes)
    return str(path)


def odiac(path: Path, values: np.ndarray, west: float, north: float, size: float, **profile: Any) -> str:
    """Write tonnes of carbon, rows from the north."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stated = {
        "driver": "GTiff", "width": values.shape[1], "height": values.shape[0], "count": 1, "dtype": "float32",
        "crs": "EPSG:4326", "transform": from_origin(west, north, size, size), **profile,
    }  # fmt: skip
    with rasterio.open(path, "w", **stated) as file:
        file.write(values.astype(stated["dtype"]), 1)
    return str(path)
