from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.models import Grid
from plumewatch.rasters.scene_store import ScenePaths
from plumewatch.sentinel2.pixel_plan import is_same_lattice, plan_partition, plan_windows, window_envelope
from plumewatch.sentinel2.pixels import CellWindow
from plumewatch.sentinel2.stored_scene import StoredScene
from pyproj import Transformer
from sentinel2_scenes import EPSG, NORTH, SIZE_M, WEST

AREA_GRID = Grid(EPSG, WEST, NORTH, SIZE_M, 1300, 900)


def scene(scene_id: str, grid: Grid) -> StoredScene:
    paths = ScenePaths("dune", "2025-08-21", scene_id, "folder")
    return StoredScene(
        paths,
        "sentinel-2a",
        None,
        20,
        30.0,
        0.0,
        grid,
        ("B11", "B12"),
        (1e-4,) * 2,
        (0.0,) * 2,
        0,
        "",
        (True, (5, 11), 0, "", ""),
        "",
    )


def moved(cols: float, rows: float, width: int = 100, height: int = 80, **changed: object) -> Grid:
    grid = replace(AREA_GRID, west=WEST + cols * SIZE_M, north=NORTH - rows * SIZE_M, width=width, height=height)
    return replace(grid, **changed)


@pytest.mark.parametrize(
    ("grid", "is_same"),
    [
        (moved(0, 0), True), (moved(-7, 12), True), (moved(0.001, 0), True), (moved(0.5, 0), False),
        (moved(0, 0.05), False), (moved(0, 0, epsg=32639), False), (moved(0, 0, resolution_m=10.0), False),
        (moved(0, 0, resolution_m=20.001), True), (moved(0, 0, width=5000, resolution_m=20.001), False),
    ],
)  # fmt: skip
def test_same_lattice(grid: Grid, is_same: bool) -> None:
    assert is_same_lattice(grid, AREA_GRID) == is_same


def test_the_areas_grid_decides_where_any_scene_is_on_it() -> None:
    others = [scene("a", moved(0.5, 0)), scene("b", moved(0.5, 0))]
    partition, failed = plan_partition([*others, scene("c", moved(3, 4))], AREA_GRID)
    assert (partition.grid, partition.is_on_area_grid) == (AREA_GRID, True)
    assert [s.paths.scene_id for s in partition.scenes] == ["c"]
    assert [f.scene_id for f in failed] == ["a", "b"]
    assert (
        "from 500010.00 E" in failed[0].message and "allowed: EPSG:32640, 20 m, from 500000.00 E" in failed[0].message
    )


def test_without_it_most_scenes_decide_and_their_common_corner_is_the_origin() -> None:
    scenes = [scene("a", moved(0.5, 0)), scene("b", moved(3, 4)), scene("c", moved(-2, 9, width=10, height=200))]
    partition, failed = plan_partition(scenes, None)
    assert [f.scene_id for f in failed] == ["a"] and not partition.is_on_area_grid
    assert partition.grid == moved(-2, 4, width=105, height=205)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-900, 1400), st.integers(-900, 1000), st.integers(1, 1200), st.integers(1, 900)),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_windows_cover_every_cell_that_a_scene_shows_once(
    places: list[tuple[int, int, int, int]], has_area: bool
) -> None:
    scenes = [scene(f"s{n}", moved(c, r, w, h)) for n, (c, r, w, h) in enumerate(places)]
    partition, _ = plan_partition(scenes, AREA_GRID if has_area else None)
    grid = partition.grid
    counts = np.zeros((grid.height, grid.width), int)
    for window in plan_windows(partition):
        assert window.row >= 0 and window.col >= 0 and window.height > 0 and window.width > 0
        assert window.row + window.height <= grid.height and window.col + window.width <= grid.width
        counts[window.row : window.row + window.height, window.col : window.col + window.width] += 1
    assert counts.max(initial=0) <= 1
    for s in scenes:
        row, col = round((grid.north - s.grid.north) / SIZE_M), round((s.grid.west - grid.west) / SIZE_M)
        shown = counts[max(row, 0) : max(row + s.grid.height, 0), max(col, 0) : max(col + s.grid.width, 0)]
        assert (shown == 1).all()


@pytest.mark.parametrize(
    "grid",
    [
        Grid(32640, 500_000, 2_700_000, 20.0, 600, 600), Grid(32733, 200_000, 3_000_000, 20.0, 600, 600),
        Grid(32629, 199_980, 2_800_020, 200.0, 549, 549), Grid(32633, 430_000, 9_200_000, 20.0, 600, 600),
    ],
)  # fmt: skip
def test_the_envelope_of_a_window_holds_its_centres_and_little_more(grid: Grid) -> None:
    window = CellWindow(37, 11, 512, 512)
    west, south, east, north = window_envelope(grid, window)
    x = grid.west + (np.arange(window.col, window.col + 512) + 0.5) * grid.resolution_m
    y = grid.north - (np.arange(window.row, window.row + 512) + 0.5) * grid.resolution_m
    lon, lat = Transformer.from_crs(f"EPSG:{grid.epsg}", "EPSG:4326", always_xy=True).transform(*np.meshgrid(x, y))
    assert west < lon.min() and lon.max() < east and south < lat.min() and lat.max() < north
    assert east - west < 1.01 * np.ptp(lon) and north - south < 1.01 * np.ptp(lat)


def test_the_envelope_across_the_antimeridian_goes_round_the_world() -> None:
    west, _, east, _ = window_envelope(Grid(32601, 340_000, 7_000_000, 20.0, 2000, 2000), CellWindow(0, 0, 512, 1024))
    assert (west, east) == (-180.0, 180.0)
