from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.models import Grid
from plumewatch.sentinel2.pixels import CellWindow, SceneCells, compute_coordinates, compute_pixel_rows
from pyproj import Transformer
from sentinel2_scenes import EPSG, NORTH, SIZE_M, WEST

GRID = Grid(EPSG, WEST, NORTH, SIZE_M, 40, 30)


def exact(grid: Grid, window: CellWindow) -> tuple[np.ndarray, np.ndarray]:
    x = grid.west + (np.arange(window.col, window.col + window.width) + 0.5) * grid.resolution_m
    y = grid.north - (np.arange(window.row, window.row + window.height) + 0.5) * grid.resolution_m
    return Transformer.from_crs(f"EPSG:{grid.epsg}", "EPSG:4326", always_xy=True).transform(*np.meshgrid(x, y))


def error_m(grid: Grid, window: CellWindow) -> float:
    lon, lat = exact(grid, window)
    found_lon, found_lat = compute_coordinates(grid, window)
    return 1000.0 * float(great_circle_distance_km(lon, lat, found_lon, found_lat).max())


@pytest.mark.parametrize(
    ("grid", "limit_m"),
    [
        (Grid(32640, 500_000, 2_700_000, 20.0, 2000, 2000), 0.02),  # 24 N, middle of the zone
        (Grid(32633, 280_000, 5_000_000, 20.0, 2000, 2000), 0.04),  # 45 N, edge of the zone
        (Grid(32733, 280_000, 5_000_000, 20.0, 2000, 2000), 0.04),  # 45 S
        (Grid(32633, 430_000, 9_200_000, 20.0, 2000, 2000), 0.35),  # 83 N, beyond where Sentinel-2 looks
        (Grid(32629, 199_980, 2_800_020, 200.0, 549, 549), 0.02),  # coarse cells have a finer lattice
        (Grid(32640, 500_000, 2_700_000, 10.0, 2000, 2000), 0.02),
        (Grid(32601, 340_000, 7_000_000, 20.0, 2000, 2000), 0.08),  # 63 N across the antimeridian
    ],
)
def test_coordinates_are_right_to_far_below_a_tenth_of_a_pixel(grid: Grid, limit_m: float) -> None:
    worst = max(error_m(grid, CellWindow(row, col, 37, 300)) for row in (0, 500, 512) for col in (0, 199))
    assert worst < limit_m < 0.1 * grid.resolution_m


def test_longitudes_stay_in_range_across_the_antimeridian() -> None:
    grid = Grid(32601, 340_000, 7_000_000, 20.0, 2000, 2000)
    lon, _ = compute_coordinates(grid, CellWindow(0, 0, 512, 1024))
    assert lon.min() >= -180 and lon.max() < 180 and lon.min() < -179.9 and lon.max() > 179.9


@settings(max_examples=50, deadline=None)
@given(row=st.integers(0, 300), col=st.integers(0, 300), height=st.integers(1, 130), width=st.integers(1, 130))
def test_a_cell_lies_where_it_lies_in_whatever_window(row: int, col: int, height: int, width: int) -> None:
    grid = replace(GRID, width=500, height=500)
    whole = compute_coordinates(grid, CellWindow(0, 0, 500, 500))
    part = compute_coordinates(grid, CellWindow(row, col, height, width))
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one[row : row + height, col : col + width], other)


def cells(scene_id: str, shape: tuple[int, int], **changed: object) -> SceneCells:
    yes = np.ones(shape, bool)
    bands = {b: np.full(shape, v, np.float32) for b, v in (("B11", 0.4), ("B12", 0.3))}
    nothing = np.zeros(shape, np.uint8)
    plain = SceneCells(
        scene_id, "sentinel-2a", "2025-08-21T06:48:12.123000+00:00", 20, 27.5, 4.25, yes, yes, yes, bands,
        nothing + np.uint8(5), nothing, ~yes,
    )  # fmt: skip
    return replace(plain, **changed)


def rows_of(*scenes: SceneCells, inside: np.ndarray | None = None) -> list[dict]:
    shape = scenes[0].is_present.shape
    window = CellWindow(7, 9, *shape)
    inside = np.ones(shape, bool) if inside is None else inside
    return compute_pixel_rows(GRID, window, scenes, *compute_coordinates(GRID, window), inside).to_pylist()


def test_a_row() -> None:
    [row] = rows_of(cells("a", (1, 1)))
    lon, lat = exact(GRID, CellWindow(7, 9, 1, 1))
    assert row.pop("longitude") == pytest.approx(lon[0, 0], abs=1e-6)
    assert row.pop("latitude") == pytest.approx(lat[0, 0], abs=1e-6)
    assert row == {
        "scene_id": "a", "platform": "sentinel-2a", "relative_orbit": 20, "epsg": EPSG, "pixel_size_m": 20.0,
        "observed_at_utc": datetime(2025, 8, 21, 6, 48, 12, 123000, tzinfo=UTC), "row": 7, "col": 9, "scl": 5,
        "b11": np.float32(0.4), "b12": np.float32(0.3), "b_diff": np.float32(0.4) - np.float32(0.3), "is_clear": True,
        "cloud_probability_percent": None, "solar_zenith_deg": 27.5, "view_zenith_deg": 4.25,
    }  # fmt: skip


def test_what_is_unknown_is_null() -> None:
    [row] = rows_of(cells("a", (1, 1), observed_at_utc=None, relative_orbit=None, solar_zenith_deg=None))
    assert (row["observed_at_utc"], row["relative_orbit"], row["solar_zenith_deg"]) == (None, None, None)


def test_only_cells_inside_and_shown() -> None:
    inside = np.array([[True, True, False]])
    shown = np.array([[True, False, True]])
    [row] = rows_of(cells("a", (1, 3), is_present=shown, is_valid=shown, is_clear=shown), inside=inside)
    assert row["col"] == 9


def test_overlap_prefers_clear_then_valid_then_the_first_id() -> None:
    def flags(present: str, valid: str, clear: str) -> dict[str, np.ndarray]:
        names = ("is_present", "is_valid", "is_clear")
        return {n: np.array([[c == "1" for c in t]]) for n, t in zip(names, (present, valid, clear), strict=True)}

    a = cells("a", (1, 6), **flags("111110", "111000", "110000"))
    b = cells("b", (1, 6), **flags("111111", "111101", "101001"))
    rows = rows_of(b, a)
    assert [r["scene_id"] for r in rows] == ["a", "a", "b", "b", "a", "b"]
    assert [r["is_clear"] for r in rows] == [True, True, True, False, False, True]


@pytest.mark.parametrize("ids", ["ab", "ba"])
def test_of_one_tile_the_newest_product_that_is_valid_shows_a_cell(ids: str) -> None:
    """Cells: both clear, the new one cloudy, the new one without data, the old one without data, neither has data."""
    old, new = ({"tile": "40RDN", "newness": (b, 0, "", "")} for b in ((2, 14), (5, 11)))
    old |= {"is_valid": np.array([[True, True, True, False, False]])}
    new |= {"is_valid": np.array([[True, True, False, True, False]])}
    new |= {"is_clear": np.array([[True, False, False, True, False]])}
    old |= {"is_clear": old["is_valid"]}
    rows = rows_of(cells(ids[0], (1, 5), **old), cells(ids[1], (1, 5), **new))
    assert [r["scene_id"] for r in rows[:4]] == [ids[1], ids[1], ids[0], ids[1]] and len(rows) == 5
    assert [r["is_clear"] for r in rows] == [True, False, True, True, False]


def test_another_tile_or_none_replaces_nothing() -> None:
    for tiles in (("40RDN", "40RCN"), ("", "")):
        old, new = ({"tile": t, "newness": (b, 0, "", "")} for t, b in zip(tiles, ((2, 14), (5, 11)), strict=True))
        assert [r["scene_id"] for r in rows_of(cells("a", (1, 1), **old), cells("b", (1, 1), **new))] == ["a"]


def test_of_three_products_of_a_tile_the_newest_with_data_wins() -> None:
    made = [{"tile": "40RDN", "newness": ((5, 11), n, "", "")} for n in (1, 0, 2)]
    made[2] |= dict.fromkeys(("is_valid", "is_clear"), np.array([[True, False]]))
    rows = rows_of(*(cells(name, (1, 2), **one) for name, one in zip("abc", made, strict=True)))
    assert [r["scene_id"] for r in rows] == ["c", "a"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_one_row_a_cell_from_the_best_scene(seed: int, n_scenes: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (5, 6)
    scenes = []
    for number in range(n_scenes):
        present = rng.random(shape) < 0.8
        valid = present & (rng.random(shape) < 0.7)
        clear = valid & (rng.random(shape) < 0.6)
        numbers = rng.random(shape).astype(np.float32)
        reflectance = {"B11": np.where(valid, numbers, np.float32("nan")), "B12": numbers}
        scenes.append(
            cells(f"s{number}", shape, is_present=present, is_valid=valid, is_clear=clear, reflectance=reflectance)
        )
    inside = rng.random(shape) < 0.8
    rows = rows_of(*scenes, inside=inside)
    rng.shuffle(scenes)
    np.testing.assert_equal(rows_of(*scenes, inside=inside), rows)
    assert [(r["row"] - 7, r["col"] - 9) for r in rows] == [
        tuple(c) for c in np.argwhere(inside & np.any([s.is_present for s in scenes], axis=0))
    ]
    for row in rows:
        at = row["row"] - 7, row["col"] - 9
        best = min(
            (s for s in scenes if s.is_present[at]),
            key=lambda s, at=at: (not s.is_clear[at], not s.is_valid[at], s.scene_id),
        )
        assert row["scene_id"] == best.scene_id
        np.testing.assert_equal(np.float32(row["b11"]), best.reflectance["B11"][at])
        assert row["is_clear"] == best.is_clear[at]


def test_further_bands_are_null_where_the_scene_lacks_them() -> None:
    first = np.array([[True, False]])
    bands = {b: np.full((1, 2), v, np.float32) for b, v in (("B11", 0.4), ("B12", 0.3), ("B04", 0.2))}
    rows = rows_of(cells("a", (1, 2), is_clear=first, reflectance=bands), cells("b", (1, 2), is_clear=~first))
    assert [(r["scene_id"], r["b04"]) for r in rows] == [("a", np.float32(0.2)), ("b", None)]
