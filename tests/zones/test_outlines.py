"""Zones of all sizes and places on a grid: those that reach far, around the globe, and around a pole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from plumewatch.errors import InputError
from plumewatch.models import Grid
from plumewatch.zones.cells import find_zone_cells
from plumewatch.zones.hexagons import hexagons_over
from plumewatch.zones.outlines import lonlat_shapes, outline_of, shapes_on
from plumewatch.zones.zone import Zone
from plumewatch.zones.zone_files import read_zones
from pyproj import CRS

GRIDS = {
    "gulf": Grid(32640, 500_000.0, 2_700_000.0, 20.0, 40, 40),
    "over 180 degrees": Grid(32660, 813_380.0, 2_214_000.0, 20.0, 40, 40),
    "svalbard": Grid(32633, 500_000.0, 9_300_000.0, 20.0, 40, 40),
    "chukotka": Grid(32601, 180_000.0, 7_000_000.0, 20.0, 40, 40),
}


def never(where: str, error: InputError) -> None:
    raise AssertionError(f"{where}: {error}")


def n_cells(grid: Grid, shape: Any, crs: int) -> int:
    """Number of the grid's cells in a zone."""
    zones, system = [Zone("a", shape)], CRS.from_epsg(crs)
    outlines = lonlat_shapes(zones, system)
    met = shapely.intersects(outlines[0], outline_of(grid))
    found = find_zone_cells(shapes_on(grid, zones, system, outlines), grid.transform, (grid.height, grid.width))
    return int(found.sizes[0]) if met else 0


@pytest.mark.parametrize("name", GRIDS)
def test_zones_that_reach_far_hold_the_whole_grid(name: str) -> None:
    grid = GRIDS[name]
    for west in (-180, 0, -360):  # however its longitudes are counted
        assert n_cells(grid, shapely.box(west, -90, west + 360, 90), 4326) == 1600
    assert n_cells(grid, shapely.box(-2e7, -2e7, 2e7, 2e7), 3857) == (0 if name == "over 180 degrees" else 1600)
    (x, y), *_ = shapely.get_coordinates(outline_of(grid).centroid)
    if name == "gulf":
        assert n_cells(grid, shapely.box(x - 100, y - 50, x + 70, y + 50), 4326) == 1600


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("resolution", [0, 1, 3, 6, 8])
def test_a_cell_is_in_one_hexagon_of_any_size(name: str, resolution: int) -> None:
    grid = GRIDS[name]
    zones = hexagons_over([outline_of(grid)], resolution, grid.resolution_m)
    outlines = lonlat_shapes(zones.zones, zones.crs)
    shapes = shapes_on(grid, zones.zones, zones.crs, outlines)
    cells = find_zone_cells(shapes, grid.transform, (grid.height, grid.width))
    assert sorted(cells.cell.tolist()) == list(range(1600))
    assert all(shapely.intersects(outlines[i], outline_of(grid)) for i in np.flatnonzero(cells.sizes))


@pytest.mark.parametrize("crs", [4326, 4269])
def test_a_zone_over_180_degrees_that_crosses_itself_in_a_plane_is_whole(tmp_path: Path, crs: int) -> None:
    corners = [(175, 0), (178, 0.5), (-178, 1), (-178, 3), (178, 3), (175, 4)]
    path = tmp_path / "over.gpkg"
    geopandas.GeoDataFrame({"id": ["over"]}, geometry=[shapely.Polygon(corners)], crs=crs).to_file(path)
    zones = read_zones(str(path), None, None, never)
    true = shapely.Polygon([(x % 360, y) for x, y in corners])
    [outline] = lonlat_shapes(zones.zones, zones.crs)
    assert outline.area == pytest.approx(true.area) and zones.mended == () and outline.is_valid


@pytest.mark.parametrize("west", [-180, 0])
def test_a_zone_around_the_globe_is_so_in_another_datum_too(tmp_path: Path, west: int) -> None:
    path = tmp_path / "band.gpkg"  # in DHDN, whose 180 degrees are -179.9995 of WGS 84
    frame = geopandas.GeoDataFrame({"id": ["band"]}, geometry=[shapely.box(west, 20, west + 360, 30)], crs=4314)
    frame.to_file(path)
    zones = read_zones(str(path), None, None, never)
    [outline] = lonlat_shapes(zones.zones, zones.crs)
    assert outline.area == pytest.approx(3600, rel=1e-3) and n_cells(GRIDS["gulf"], zones.zones[0].shape, 4314) == 1600


def test_a_ring_around_a_pole_keeps_its_holes() -> None:
    ring = [(0, 70), (90, 70), (180, 70), (-90, 70)]
    hole = [(20, 75), (30, 75), (30, 80), (20, 80)]
    [outline] = lonlat_shapes([Zone("a", shapely.Polygon(ring, [hole]))], CRS.from_epsg(4326))
    assert outline.area == pytest.approx(360 * 20 - 50) and not outline.contains(shapely.Point(25, 77))


def test_a_ring_to_and_fro_over_180_degrees_is_refused_by_name(tmp_path: Path) -> None:
    flat, good = shapely.Polygon([(180, 0), (-180, 1), (-180, 2)]), shapely.box(1, 1, 2, 2)
    path = tmp_path / "flat.gpkg"
    geopandas.GeoDataFrame({"id": ["flat", "good"]}, geometry=[flat, good], crs=4326).to_file(path)
    refused: dict[str, str] = {}
    zones = read_zones(str(path), None, None, lambda where, error: refused.update({where: str(error)}))
    assert [zone.zone_id for zone in zones.zones] == ["good"]
    assert list(refused) == ["zone flat"] and "without area" in refused["zone flat"]


def test_a_point_beyond_180_degrees_is_where_it_is() -> None:
    grid = GRIDS["over 180 degrees"]
    [place] = geopandas.GeoSeries([shapely.Point(813_700, 2_213_700)], crs=32660).to_crs(4326)
    longitude, latitude = place.x, place.y
    for turned in (longitude, longitude - 360.0, longitude + 360.0):
        assert n_cells(grid, shapely.Point(turned, latitude), 4326) == 1


def test_a_hole_that_crosses_its_ring_in_another_system_is_made_valid() -> None:
    grid = GRIDS["gulf"]
    ring = [(56, 23.4), (58, 23.1), (58, 25), (56, 25)]
    hole = [(57, 23.25), (57.1, 23.9), (56.9, 23.9)]
    zone = [Zone("a", shapely.Polygon(ring, [hole]))]
    [shape] = shapes_on(grid, zone, CRS.from_epsg(4326), lonlat_shapes(zone, CRS.from_epsg(4326)))
    assert zone[0].shape.is_valid and shape.is_valid


def test_places_that_are_not_on_the_earth_are_refused_by_name(tmp_path: Path) -> None:
    refused: dict[str, str] = {}

    def note(where: str, error: InputError) -> None:
        refused[where] = str(error)

    write: Callable[..., Any] = geopandas.GeoDataFrame
    far = shapely.Polygon([(0, 0), (1e300, 0), (1e300, 1e300)])
    metres = tmp_path / "metres.gpkg"
    write({"zone": ["far", "good"]}, geometry=[far, shapely.box(0, 0, 1, 1)], crs=32640).to_file(metres)
    degrees = tmp_path / "degrees.gpkg"
    shapes = [shapely.Polygon([(57, 24), (57, 95), (58, 95)]), shapely.box(5e5, 2e6, 6e5, 3e6), shapely.box(1, 1, 2, 2)]
    write({"zone": ["north", "utm", "good"]}, geometry=shapes, crs=4326).to_file(degrees)
    for file in (metres, degrees):
        assert [zone.zone_id for zone in read_zones(str(file), None, "zone", note).zones] == ["good"]
    assert set(refused) == {"zone far", "zone north", "zone utm"}
    assert "degrees.gpkg, zone utm: corners from 500000, 2e+06" in refused["zone utm"]
