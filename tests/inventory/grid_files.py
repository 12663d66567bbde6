"""Writes grids in the forms of EDGAR and ODIAC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import rasterio
from rasterio.transform import from_origin


def edgar(
    path: Path,
    values: np.ndarray,
    longitude: np.ndarray,
    latitude: np.ndarray,
    variable: str = "emissions",
    units: str | None = "Tonnes",
    mode: str = "w",
    **attributes: Any,
) -> str:
    """Write `values` by latitude and longitude, with leading times where they have such; `mode` a adds a variable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, mode) as file:
        for name, centres in (("lat", latitude), ("lon", longitude)) if mode == "w" else ():
            file.createDimension(name, len(centres))
            file.createVariable(name, "f4", (name,))[:] = centres
        times = ("time",) if values.ndim > 2 else ()
        for name in times:
            file.createDimension(name, len(values))
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
