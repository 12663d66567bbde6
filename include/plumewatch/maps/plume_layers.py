"""Rasters that a map lays under one plume: its enhancement, its scene, and the last scene before that it was compared
with, as pictures in web Mercator with their corners.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform, transform_bounds

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.gases import CH4, Gas
from plumewatch.keys import is_file_name
from plumewatch.maps.geojson import rounded
from plumewatch.rasters.reading import read_raster
from plumewatch.sensors.known import sensor_of_item

WEB_MERCATOR, DEGREES = CRS.from_epsg(3857), CRS.from_epsg(4326)
MAX_PX = 1024  # of a picture's side: finer cells are left out
ENHANCEMENT, SCENE, BEFORE = "enhancement", "scene", "before"
BAND = "B12"  # that methane darkens most
STRONGEST_PERCENTILE = 99.0  # of the enhancement: the strongest colour, as single pixels of noise are stronger
GREY_PERCENTILES = (2.0, 98.0)
COLOURS = "plasma"  # told apart by colour-blind people as well
LEGEND_COLOURS = 7
FAINTEST, DENSEST = 0.0, 0.95  # opacity of no enhancement, and from half of the strongest on
DATE = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)(?!\d)")
"""When a scene was acquired, the first date in its name (Sentinel-2, Landsat)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlumeLayer:
    """A raster that there is of a plume."""

    name: str
    """ENHANCEMENT, SCENE or BEFORE."""
    label: str
    """For people."""
    path: str
    """Where it is."""
    scene_id: str | None = None
    """Of a scene: which."""


@dataclass(frozen=True)
class Grid:
    """Where a picture lies: metres of web Mercator."""

    transform: Affine
    """From columns and rows."""
    width: int
    """Columns."""
    height: int
    """Rows."""


def enhancement_layer(gas: Gas, row: Mapping[str, Any], storage_root: str) -> PlumeLayer | None:
    """Return the methane above the surroundings of a plume (a row with its partitions), None where it isn't stored."""
    if gas is not CH4 or not is_file_name(str(row[gas.id_column])):
        return None
    path = storage.join(storage_root, gas.picture_of(row).removesuffix(".png") + ".tif")
    return PlumeLayer(ENHANCEMENT, "methane above the surroundings", path) if storage.is_file(path) else None


def plume_layers(gas: Gas, row: Mapping[str, Any], storage_root: str) -> list[PlumeLayer]:
    """Return the rasters that are stored of a plume (a row with its partitions); none without its enhancement."""
    enhancement = enhancement_layer(gas, row, storage_root)
    if enhancement is None:
        return []
    earlier = [scene_id for scene_id in row.get("reference_scene_ids") or [] if _date(scene_id) < row["date"]]
    before = max(earlier, key=lambda scene_id: (_date(scene_id), scene_id), default=None)
    found = [enhancement]
    for name, label, scene_id in ((SCENE, "the scene", row.get("scene_id")), (BEFORE, "before", before)):
        if scene_id and is_file_name(scene_id) and (date := _date(scene_id)):
            keys = {"area": row["area"], "date": date}
            path = storage.join(storage.partition_path(storage.join(storage_root, "scenes"), keys), f"{scene_id}.tif")
            if storage.is_file(path):
                found.append(PlumeLayer(name, f"{label}, {date}, {BAND}", path, scene_id))
    return found


def draw_layer(layers: list[PlumeLayer], name: str) -> dict[str, Any] | None:
    """Return one of the rasters (`plume_layers`) as a map takes it; None where there is none of that name.

    `picture` is a PNG (data URL) in web Mercator, `corners` are its longitudes and latitudes from the north-west
    clockwise, `legend` has `title`, `low`, `high` and `colours`. Scenes are cut to where the enhancement lies. Raises
    InputError where a file can't be used.
    """
    wanted = next((layer for layer in layers if layer.name == name), None)
    if wanted is None:
        return None
    grid = read_raster(layers[0].path, _grid_of)
    values = read_raster(wanted.path, lambda source: _read(source, grid, _band_of(wanted, source)))
    image, legend = (_coloured if name == ENHANCEMENT else _grey)(values)
    return {"picture": _png(image), "corners": _corners(grid), "legend": legend}


def _date(scene_id: str) -> str:
    found = DATE.search(scene_id)
    return "-".join(found.groups()) if found else ""


def _grid_of(source: DatasetReader) -> Grid:
    """The grid of a picture of a whole raster, in cells of its own size, larger where there would be too many."""
    transform, width, height = calculate_default_transform(
        source.crs, WEB_MERCATOR, source.width, source.height, *source.bounds
    )
    coarser = max(1.0, max(width, height) / MAX_PX)
    width, height = max(1, round(width / coarser)), max(1, round(height / coarser))
    return Grid(transform @ Affine.scale(coarser), width, height)


def _read(source: DatasetReader, grid: Grid, band: int) -> Floats:
    """A band on the grid, its tags of scale and offset applied, NaN where nothing is known."""
    place: dict[str, Any] = {"transform": grid.transform, "width": grid.width, "height": grid.height}
    with WarpedVRT(source, crs=WEB_MERCATOR, resampling=Resampling.nearest, add_alpha=False, **place) as warped:
        read = warped.read(band, masked=True)
    values = np.ma.filled(read.astype(float), np.nan)
    return np.asarray(values * source.scales[band - 1] + source.offsets[band - 1])


def _band_of(layer: PlumeLayer, source: DatasetReader) -> int:
    if layer.scene_id is None:
        return 1
    sensor = sensor_of_item(layer.scene_id, {})
    bands = [sensor.band_of(description) for description in source.descriptions]
    if BAND not in bands:
        raise InputError(layer.path, f"bands described as {source.descriptions}", f"a scene with {BAND}")
    return bands.index(BAND) + 1


def _coloured(values: Floats) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Colour and opacity by how much there is above the surroundings; less than them is not coloured."""
    from matplotlib import colormaps

    known = values[np.isfinite(values)]
    top = float(np.percentile(known, STRONGEST_PERCENTILE)) if known.size else 0.0
    strength = np.clip(np.nan_to_num(values) / top, 0.0, 1.0) if top > 0 else np.zeros(values.shape)
    rgba = colormaps[COLOURS](strength)
    rgba[..., 3] = np.where(np.isfinite(values), np.clip(FAINTEST + 2.0 * strength, FAINTEST, DENSEST), 0.0)
    steps = colormaps[COLOURS](np.linspace(0.0, 1.0, LEGEND_COLOURS))
    title = "methane above the surroundings, mol/m2"
    return _bytes(rgba), _legend(title, "0", f"{max(top, 0.0):.2g} or more", steps)


def _grey(values: Floats) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, GREY_PERCENTILES) if known.size else (0.0, 0.0)
    share = np.clip((np.nan_to_num(values) - low) / (high - low), 0.0, 1.0) if high > low else np.zeros(values.shape)
    rgba = np.stack([share, share, share, np.isfinite(values)], axis=-1).astype(float)
    steps = np.repeat(np.linspace(0.0, 1.0, LEGEND_COLOURS)[:, None], 3, axis=1)
    return _bytes(rgba), _legend(f"reflectance, {BAND}", f"{low:.2f}", f"{high:.2f}", steps)


def _bytes(shares: Floats) -> NDArray[np.uint8]:
    return np.round(255.0 * shares).astype(np.uint8)


def _legend(title: str, low: str, high: str, colours: Floats) -> dict[str, Any]:
    texts = ["#" + bytes(one[:3]).hex() for one in _bytes(colours)]
    return {"title": title, "low": low, "high": high, "colours": texts}


def _png(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    Image.fromarray(image).save(buffer := io.BytesIO(), "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _corners(grid: Grid) -> list[list[float]]:
    bounds = array_bounds(grid.height, grid.width, grid.transform)
    west, south, east, north = map(rounded, transform_bounds(WEB_MERCATOR, DEGREES, *bounds))
    return [[west, north], [east, north], [east, south], [west, south]]
