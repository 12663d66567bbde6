"""Cloud-Optimized GeoTIFFs as bytes: the same pixels give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from plumewatch.models import Grid

TILE_PX = 512
INTEGER_PREDICTOR = 2  # differences of neighbours, TIFF 6.0 section 14


def cog_bytes(
    bands: Mapping[str, NDArray[Any]], grid: Grid, nodata: int, overview_resampling: str, scale: float | None = None
) -> bytes:
    """Return integer bands (height x width, by description) as one Cloud-Optimized GeoTIFF.

    Tiles of 512 pixels, DEFLATE with predictor 2, overviews by `overview_resampling` (AVERAGE, NEAREST) where the
    raster is larger than a tile; `scale` becomes the tag of each band, with an offset of 0.
    """
    first = next(iter(bands.values()))
    profile = {
        "driver": "GTiff",
        "dtype": first.dtype,
        "count": len(bands),
        "width": grid.width,
        "height": grid.height,
        "crs": CRS.from_epsg(grid.epsg),
        "transform": grid.transform,
        "nodata": nodata,
    }
    with rasterio.Env(), MemoryFile() as plain, MemoryFile() as cog:
        with plain.open(**profile) as target:
            for number, (name, band) in enumerate(bands.items(), 1):
                target.write(band, number)
                target.set_band_description(number, name)
            if scale is not None:
                target.scales, target.offsets = [scale] * len(bands), [0.0] * len(bands)
        with plain.open() as source:
            copy(
                source,
                cog.name,
                driver="COG",
                COMPRESS="DEFLATE",
                PREDICTOR=INTEGER_PREDICTOR,
                BLOCKSIZE=TILE_PX,
                OVERVIEW_RESAMPLING=overview_resampling,
            )
        return bytes(cog.read())
