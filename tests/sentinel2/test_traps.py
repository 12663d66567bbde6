"""What goes wrong with Sentinel-2 elsewhere, the test that keeps each of it out, and those that had none yet."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pystac
import pytest
import rasterio
from known_pixels import pixels, write_area
from known_source import RNG
from plumewatch.areas import grid_of, read_areas
from plumewatch.sentinel2.stack import fetch_scene
from pyproj import Transformer
from shapely import box

from tools.checkout import CHECKOUT

HELD_BY = {
    "real/test_vegetation.py": {
        "test_vegetation_is_vegetation_on_each_date":
            "the offset is taken off twice, or not at all; cloud leaks into what is clear",
        "test_what_was_seen_of_the_tile_is_known":
            "a part of the tile out of the swath",
    },
    "sentinel2/test_reflectance.py": {
        "test_flags_that_contradict_are_refused":
            "flag, offset and pixels contradict each other",
        "test_pixels_that_lost_their_offset_before_are_refused":
            "pixels that had their offset taken off twice",
        "test_normalise":
            "a valid 0 taken for no data",
    },
    "sentinel2/test_cloud_masks.py": {
        "test_a_scene_over_the_areas_limit_is_a_skip_on_record":
            "cloud cover of the tile taken for the area's",
        "test_the_pixel_table_follows_the_area":
            "what is clear can't be chosen",
        "test_qa60_where_it_is_to_be_relied_on":
            "QA60 of products that have another mask",
    },
    "rasters/test_regrid.py": {
        "test_what_a_mask_within_the_file_leaves_out_is_no_data":
            "a mask within the file is dropped",
        "test_no_data_does_not_bleed_into_its_neighbours":
            "no data bleeds where whole numbers are resampled",
        "test_between_pixels_a_plane_stays_a_plane_without_a_shift":
            "half a pixel's shift",
    },
    "sentinel2/test_rasters_to_pixels.py": {
        "test_a_whole_raster":
            "no data is 0 and not NaN in the table",
        "test_tiles_of_one_overpass_give_one_row_a_cell":
            "overlapping tiles count twice",
    },
    "sentinel2/test_traps.py": {
        "test_an_area_across_two_zones_has_each_cell_once_and_in_its_place":
            "an area in two UTM zones; B11 - B12 overflows",
        "test_classes_and_percentages_are_never_mixed":
            "classes and percentages are resampled bilinearly",
    },
    "sentinel2/test_stack.py": {
        "test_a_damaged_or_missing_file_is_fetched_again":
            "half a scene taken for a whole one",
    },
    "sentinel2/test_reading_at_once.py": {
        "test_a_failing_read_leaves_nothing":
            "a page saved as a raster",
    },
}  # fmt: skip
"""Traps by the file and the test that hold them."""
BOUNDARY, LATITUDE = 54.0, 24.4  # of zones 39 and 40
STEP = 200_000.0  # of numbers a degree of longitude: some 40 a cell of 20 m


@pytest.mark.parametrize("file", HELD_BY)
def test_each_trap_has_its_test(file: str) -> None:
    text = (CHECKOUT / "tests" / file).read_text()
    assert [name for name in HELD_BY[file] if not re.search(rf"def {name}\(", text)] == []


def seen(longitude: np.ndarray) -> np.ndarray:
    return 3000 + STEP * (longitude - BOUNDARY)


@pytest.fixture
def two_zones(source: Callable) -> list[pystac.Item]:
    """A tile of each zone, 200 x 200 pixels around the boundary; the swath ends some 200 m beyond it."""
    items = []
    for epsg, tile, east_of, west_of in ((32639, "39RZH", -1, 0.002), (32640, "40RBN", -0.002, 1)):
        middle = Transformer.from_crs(4326, epsg, always_xy=True).transform(BOUNDARY, LATITUDE)
        west, north = (round(m / 20) * 20 + shift for m, shift in zip(middle, (-2000, 2000), strict=True))
        x, y = np.meshgrid(west + 20 * np.arange(200) + 10, north - 20 * np.arange(200) - 10)
        longitude, _ = Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
        is_seen = (longitude - BOUNDARY > east_of) & (longitude - BOUNDARY < west_of)
        b11 = np.where(is_seen, np.rint(seen(longitude)), 0).astype(np.uint16)
        classes = np.where(is_seen, RNG.choice(np.array([4, 9]), is_seen.shape), 0).astype(np.uint8)
        percent = np.where(classes == 9, 100, 0).astype(np.uint8)
        arrays = {"B11": b11, "B12": np.where(is_seen, 2 * b11, 0).astype(np.uint16), "SCL": classes, "CLD": percent}
        place = {"west": west, "north": north, "epsg": epsg}
        uri = f"S2A_MSIL2A_20250821T064621_N0511_R020_T{tile}_20250821T102030.SAFE"
        names = {"grid:code": f"MGRS-{tile}", "s2:product_uri": uri}
        items.append(source(arrays, place, scene_id=f"S2A_{tile}_20250821_0_L2A", **names))
    return [pystac.Item.from_dict(item, migrate=False) for item in items]


@pytest.fixture
def stacked(two_zones: list[pystac.Item], tmp_path: Path) -> list[Path]:
    write_area(
        tmp_path / "mine" / "dune.geojson", box(BOUNDARY - 0.01, LATITUDE - 0.01, BOUNDARY + 0.01, LATITUDE + 0.01)
    )
    [area] = read_areas(str(tmp_path / "mine"))
    return [Path(fetch_scene(item, area, str(tmp_path / "scenes"))) for item in two_zones]


def test_classes_and_percentages_are_never_mixed(stacked: list[Path]) -> None:
    """Though one of the tiles is turned against the grid and lies between its cells."""
    for item in stacked:
        found = {}
        for kind in ("scl", "cloud"):
            with rasterio.open(item.with_name(f"{item.stem}_{kind}.tif")) as source:
                found[kind] = source.read(1)
        assert set(np.unique(found["scl"])) == {0, 4, 9} and set(np.unique(found["cloud"])) == {0, 100, 255}
        assert ((found["cloud"] == 255) == (found["scl"] == 0)).all()


def test_an_area_across_two_zones_has_each_cell_once_and_in_its_place(
    run: Callable, stacked: list[Path], tmp_path: Path
) -> None:
    """Its numbers are those of the longitude that the table states: a shift of half a pixel would be 20 off.

    So are those at the edge of a swath, which have neighbours on one side alone.
    """
    run("--areas-path", tmp_path / "mine")
    table, grid = pixels(tmp_path), grid_of(read_areas(str(tmp_path / "mine"))[0])
    assert set(table["epsg"].to_pylist()) == {32640} == {grid.epsg}
    assert set(table["scene_id"].to_pylist()) == {item.stem for item in stacked}
    cells = table.group_by(["row", "col"]).aggregate([])
    assert (
        cells.num_rows
        == table.num_rows
        == pytest.approx(0.02**2 * 111_194**2 * np.cos(np.radians(LATITUDE)) / 400, rel=0.01)
    )
    assert not pc.any(pc.is_nan(table["b11"])).as_py()
    off = table["b11"].to_numpy() * 1e4 - seen(table["longitude"].to_numpy())
    assert np.quantile(np.abs(off), 0.98) < 1 and np.abs(off).max() < 21 and abs(off.mean()) < 0.5
    # B12 is twice B11: in 16 bits without a sign the difference would be above 5.
    np.testing.assert_array_equal(table["b_diff"].to_numpy(), table["b11"].to_numpy() - table["b12"].to_numpy())
    assert table["b_diff"].to_numpy().min() > -0.6 and table["b_diff"].to_numpy().max() < 0
