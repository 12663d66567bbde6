"""Simulated passes as rows of the pixel table, as the raster job would have written them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from plumewatch.methane.passes import Pass
from plumewatch.tables import PIXELS

VEGETATION_FREE = 5  # scene classification of Sen2Cor: not vegetated


def pixel_rows(one: Pass) -> pa.Table:
    """Return all cells of a pass (of one scene) as rows of the table pixels; further bands as far as it has them."""
    row, col = (index.ravel() for index in np.indices(one.shape))
    longitude, latitude = one.place.longitude_latitude(row, col)
    n = row.size
    solar_zenith_deg = np.degrees(np.arccos(1 / (one.air_mass_factor - 1 / np.cos(np.radians(one.view_zenith_deg)))))
    further = {name: band.ravel() for name, band in one.other_bands.items()}
    return PIXELS.from_columns(
        {
            "scene_id": pa.array([one.scene_ids[0]] * n, pa.string()),
            "platform": pa.array([one.platform] * n, pa.string()),
            "observed_at_utc": pa.array([one.observed_at_utc] * n, pa.timestamp("us", tz="UTC")),
            "relative_orbit": pa.array([one.relative_orbit] * n, pa.int16()),
            "epsg": pa.array([one.epsg] * n, pa.int32()),
            "pixel_size_m": np.full(n, one.pixel_size_m, np.float32),
            "row": (row + one.place.row0).astype(np.int32),
            "col": (col + one.place.col0).astype(np.int32),
            "longitude": longitude,
            "latitude": latitude,
            "b11": one.b11.ravel(),
            "b12": one.b12.ravel(),
            "b_diff": one.b11.ravel() - one.b12.ravel(),
            "scl": np.full(n, VEGETATION_FREE, np.uint8),
            "is_clear": one.is_usable.ravel(),
            "solar_zenith_deg": np.full(n, solar_zenith_deg, np.float32),
            "view_zenith_deg": np.full(n, one.view_zenith_deg, np.float32),
            **further,
        }
    )
