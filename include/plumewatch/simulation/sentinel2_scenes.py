"""The scenes of the simulated world: reflectance with plumes and clouds, as Cloud-Optimized GeoTIFFs and items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.transform import Affine

from plumewatch.constants import SECONDS_PER_DAY
from plumewatch.simulation import stac_catalogue, surfaces
from plumewatch.simulation.methane_plumes import air_mass_factor, plume_column_mol_m2, transmittance
from plumewatch.simulation.random_streams import random_stream
from plumewatch.simulation.sentinel2_plan import CELL_M, SCENE_SIZE, Acquisition, PlannedArea, PlannedPlume
from plumewatch.simulation.wind_fields import WindField, hour_of_day

DN_PER_REFLECTANCE = 10000.0  # the offset of baseline 04.00 is already taken off
SECOND_TILE_COLUMNS = 240  # the neighbouring tile holds so many columns, from the east
SWATH_EDGE_SHARE = 0.35  # of the upper and the left edge of the scene that lie outside the swath
FOOTPRINT_MOL_M2 = 0.02  # a quarter of the noise of a pixel: nothing outside can be taken for the plume
CLEARANCE_M = 500.0  # between sources and fields or water
TRUNCATED_SHARE = 0.4  # of the bytes that are left of a truncated file: the full resolution comes last in a COG
COG_OPTIONS: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",
    "predictor": "YES",
    "level": 6,
    "blocksize": 256,
    "overview_resampling": "nearest",
}


def write_scenes(
    folder: Path, seed: int, area: PlannedArea, plumes: list[PlannedPlume], winds: dict[str, WindField]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Write all scenes of an area below `folder`, that of the collection, each into a folder of its own.

    Returns the scenes and the plumes planted in them, as the truth lists them in order of time, and the scenes' STAC
    items, which are not yet written.
    """
    west, north = area.corner
    middle = (west + SCENE_SIZE * CELL_M / 2, north - SCENE_SIZE * CELL_M / 2)
    free = [(p.source.x_m - middle[0], p.source.y_m - middle[1]) for p in plumes]
    ground = surfaces.make_surface(seed, area.name, SCENE_SIZE, free, CLEARANCE_M)
    days = [area.time_of(a).timestamp() / SECONDS_PER_DAY for a in area.acquisitions]
    by_date = {plume.acquisition.date: plume for plume in plumes}
    scenes, planted, items = [], [], []
    for number, acquisition in enumerate(area.acquisitions):
        surface = surfaces.on_date(ground, seed, area.name, days, number, acquisition.unit, acquisition.is_side_view)
        plume = by_date.get(acquisition.date)
        column = _column(seed, area, plume, winds[acquisition.date]) if plume else None
        surface = _seen(seed, area, acquisition, surface, column)
        for order in range(2 if acquisition.has_second_tile else 1):
            columns = slice(order * (SCENE_SIZE - SECOND_TILE_COLUMNS), SCENE_SIZE)
            corner = west + columns.start * CELL_M, north
            scl = surface.scl[:, columns]
            outline = _footprint(area, *corner, scl.shape, acquisition.has_swath_edge)
            item = stac_catalogue.stac_item(area, acquisition, order, corner, scl, outline)
            _write_rasters(folder / item["id"], area, corner, columns, surface, acquisition.truncated_asset)
            items.append(item)
            scenes.append(
                {
                    "scene_id": item["id"],
                    "area": area.name,
                    "date": acquisition.date,
                    "cloud_cover_percent": item["properties"]["eo:cloud_cover"],
                    "truncated_asset": acquisition.truncated_asset,
                }
            )
        if plume and column is not None:
            planted.append(_planted(area, plume, column))
    return scenes, planted, items


def _planted(area: PlannedArea, plume: PlannedPlume, column: NDArray[np.float64]) -> dict[str, Any]:
    """Return a plume as the truth lists it.

    The scene is, of two tiles of a pass, the one that holds the whole area. The place is the source's, the wind that by
    which the plume was blown. The footprint is a closed ring of longitude and latitude around all cells with at least
    FOOTPRINT_MOL_M2; its far puffs too.
    """
    source = plume.source
    return {
        "area": source.area,
        "date": plume.acquisition.date,
        "scene_id": stac_catalogue.scene_id(plume.acquisition, area.tiles[0]),
        "longitude": source.longitude,
        "latitude": source.latitude,
        "source_name": source.name,
        "emission_kg_h": source.emission_kg_h,
        "inventory_emission_t_y": source.inventory_t_y,
        "wind_u_m_s": plume.wind_u_m_s,
        "wind_v_m_s": plume.wind_v_m_s,
        "observed_at_utc": area.time_of(plume.acquisition).isoformat(),
        "footprint": _outline(area, column),
    }


def _outline(area: PlannedArea, column: NDArray[np.float64]) -> list[list[float]]:
    """Convex hull of the cells that a plume is in, in longitude and latitude."""
    rows, cols = np.nonzero(column >= min(FOOTPRINT_MOL_M2, column.max()))
    x, y = area.corner[0] + (cols + 0.5) * CELL_M, area.corner[1] - (rows + 0.5) * CELL_M
    hull = shapely.MultiPoint(np.column_stack([x, y])).buffer(CELL_M, quad_segs=1).convex_hull
    return _to_degrees(area, list(hull.exterior.coords))


def _column(seed: int, area: PlannedArea, plume: PlannedPlume, wind: WindField) -> NDArray[np.float64]:
    """Methane column of a plume on the scene's cells, mol/m2, row 0 in the north."""
    source = plume.source
    hour = hour_of_day(area.time_of(plume.acquisition))
    u, v = (float(c) for c in wind.at(source.longitude, source.latitude, hour))
    west, north = area.corner
    x_edges = west + np.arange(SCENE_SIZE + 1) * CELL_M
    y_edges = north - np.arange(SCENE_SIZE, -1, -1) * CELL_M
    rng = random_stream(seed, "puffs", area.name, plume.acquisition.date)
    along_grid = _on_grid(area, source.longitude, source.latitude, u, v)
    place = (source.x_m, source.y_m)
    return plume_column_mol_m2(x_edges, y_edges, place, source.emission_kg_h, along_grid, rng)[::-1]


def _on_grid(area: PlannedArea, lon: float, lat: float, u: float, v: float) -> tuple[float, float]:
    """Turn a wind towards east and north into one along the tile's grid, whose north differs from true north."""
    (x0, y0), (x1, y1) = area.to_utm.transform(lon, lat), area.to_utm.transform(lon, lat + 1e-4)
    angle = np.radians(np.degrees(np.arctan2(x0 - x1, y1 - y0)))  # by which a meridian points left of the grid's north
    return float(u * np.cos(angle) - v * np.sin(angle)), float(u * np.sin(angle) + v * np.cos(angle))


def _seen(
    seed: int,
    area: PlannedArea,
    acquisition: Acquisition,
    surface: surfaces.Surface,
    column: NDArray[np.float64] | None,
) -> surfaces.Surface:
    """Return the surface as the instrument records it: through methane and clouds, with noise, cut by the swath."""
    rng = random_stream(seed, "image", area.name, acquisition.date)
    if column is not None:
        factor = air_mass_factor(area.sun_deg(acquisition)[0], area.view_zenith_deg[acquisition.is_side_view])
        surface = replace(
            surface,
            b11=surface.b11 * transmittance(acquisition.unit, "B11", column, factor),
            b12=surface.b12 * transmittance(acquisition.unit, "B12", column, factor),
        )
    if acquisition.cloud_fraction:
        surface = surfaces.under_clouds(surface, rng, acquisition.cloud_fraction)
    surface = surfaces.with_noise(surface, rng)
    return _cut_by_swath(surface) if acquisition.has_swath_edge else surface


def _cut_by_swath(surface: surfaces.Surface) -> surfaces.Surface:
    """Take away the north-western corner: class 0, and reflectance that becomes 0."""
    row, col = np.indices(surface.b11.shape)
    outside = row + col < SWATH_EDGE_SHARE * SCENE_SIZE
    return surfaces.Surface(
        np.where(outside, 0.0, surface.b11),
        np.where(outside, 0.0, surface.b12),
        np.where(outside, surfaces.SCL_NODATA, surface.scl).astype(np.uint8),
        np.where(outside, 0, surface.cloud_percent).astype(np.uint8),
    )


def _footprint(
    area: PlannedArea, west: float, north: float, shape: tuple[int, ...], has_swath_edge: bool
) -> list[list[float]]:
    south, east = north - shape[0] * CELL_M, west + shape[1] * CELL_M
    cut = SWATH_EDGE_SHARE * SCENE_SIZE * CELL_M if has_swath_edge else 0.0
    corners = [(west + cut, north), (west, north - cut), (west, south), (east, south), (east, north)]
    if not has_swath_edge:
        corners = corners[1:]
    return _to_degrees(area, [*corners, corners[0]])


def _to_degrees(area: PlannedArea, points: list[Any]) -> list[list[float]]:
    x, y = np.array(points, dtype=float).T
    lon, lat = area.to_utm.transform(x, y, direction="INVERSE")
    return np.round(np.column_stack([lon, lat]), 7).tolist()


def _write_rasters(
    folder: Path,
    area: PlannedArea,
    corner: tuple[float, float],
    columns: slice,
    surface: surfaces.Surface,
    truncated_asset: str | None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels: dict[str, NDArray[Any]] = {
        "swir16": np.round(surface.b11 * DN_PER_REFLECTANCE).astype(np.uint16),
        "swir22": np.round(surface.b12 * DN_PER_REFLECTANCE).astype(np.uint16),
        "scl": surface.scl,
        "cloud": surface.cloud_percent,
    }
    transform = Affine(CELL_M, 0.0, corner[0], 0.0, -CELL_M, corner[1])
    profile = {"count": 1, "nodata": 0, "crs": f"EPSG:{area.epsg}", "transform": transform}
    for key, values in pixels.items():
        values = values[:, columns]
        file = folder / stac_catalogue.ASSETS[key][0]
        size = {"height": values.shape[0], "width": values.shape[1], "dtype": values.dtype.name}
        with rasterio.open(file, "w", **COG_OPTIONS, **profile, **size) as target:
            target.write(values, 1)
        if key == truncated_asset:
            content = file.read_bytes()
            file.write_bytes(content[: int(len(content) * TRUNCATED_SHARE)])
