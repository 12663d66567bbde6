"""Numbers of pixels, areas around them, and the table that the job makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from plumewatch import storage
from plumewatch.tables import PIXELS
from pyproj import Transformer
from sentinel2_scenes import EPSG, NORTH, SIZE_M, WEST
from shapely.geometry import mapping

from tools.checkout import CHECKOUT

JOB = CHECKOUT / "spark_jobs" / "rasters_to_pixels.py"
TO_LONLAT = Transformer.from_crs(f"EPSG:{EPSG}", "EPSG:4326", always_xy=True)
RNG = np.random.default_rng(5)


def numbers(*shape: int) -> np.ndarray:
    return RNG.integers(1, 9000, shape).astype(np.uint16)


def classes(*shape: int) -> np.ndarray:
    return np.full(shape, 5, np.uint8)


def pixels(tmp_path: Path) -> pa.Table:
    return storage.read_table(PIXELS, str(tmp_path / "pixels"))


def image(table: pa.Table, column: str, shape: tuple[int, int], fill: Any = -1) -> np.ndarray:
    """A column laid out by row and column."""
    values = table[column].to_numpy()
    whole = np.full(shape, fill, dtype=np.result_type(values.dtype, np.min_scalar_type(fill)))
    whole[table["row"].to_numpy(), table["col"].to_numpy()] = values
    return whole


def centres(height: int, width: int, west: float = WEST, north: float = NORTH) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(west + (np.arange(width) + 0.5) * SIZE_M, north - (np.arange(height) + 0.5) * SIZE_M)
    return TO_LONLAT.transform(x, y)


def write_area(path: Path, outline: Any, name: str = "dune", **properties: Any) -> Path:
    feature = {"type": "Feature", "geometry": mapping(outline), "properties": {"name": name, **properties}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def lonlat_polygon(*corners: tuple[float, float]) -> Any:
    """A polygon of (column, row) corners in cells."""
    return shapely.Polygon([TO_LONLAT.transform(WEST + c * SIZE_M, NORTH - r * SIZE_M) for c, r in corners])
