"""Cloud beyond the area's edge has its margin inside: a cell is as clear as in a wider area."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
from known_pixels import lonlat_polygon
from plumewatch.errors import InputError
from plumewatch.models import Area
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.bands import CLEAR_CLASSES
from plumewatch.sentinel2.pixel_files import write_pixel_file
from plumewatch.sentinel2.pixel_plan import PixelSettings, plan_partition, plan_tasks, plan_windows
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.sentinel2.stored_scene import read_scene
from sentinel2_scenes import EPSG, NORTH, SCENE_ID, WEST, write_raster

SIZE = 120
FIRST, LAST = 40, 79  # cells of the area, of rows and columns alike; the wider one has 25 more on each side


def clear_by_place(folder: Path, item: dict[str, Any], first: int, last: int, dilation_m: float) -> dict[Any, bool]:
    """Stack the scene on an area from the cell `first` to `last`, and return which cell (row, column) is clear."""
    inner, outer = first + 0.5, last + 0.5
    outline = lonlat_polygon((inner, inner), (outer, inner), (outer, outer), (inner, outer))
    area = Area("dune", outline, crs=f"EPSG:{EPSG}")
    fetch_scene(pystac.Item.from_dict(item, migrate=False), area, str(folder))
    return clear_of_stored(folder, dilation_m)


def clear_of_stored(folder: Path, dilation_m: float) -> dict[Any, bool]:
    partition, failed = plan_partition([read_scene(s) for s in list_scenes(str(folder))], None)
    assert not failed
    windows = [(window, True) for window in plan_windows(partition)]
    [task] = plan_tasks(partition, windows, None, str(folder), PixelSettings(CLEAR_CLASSES, dilation_m))
    written = write_pixel_file(json.loads(task))
    if written["failures"]:
        raise InputError("the scene", written["failures"], "none")
    rows = pq.read_table(folder / written["file"])
    grid = partition.grid
    row = rows["row"].to_numpy() + round((NORTH - grid.north) / grid.resolution_m)
    col = rows["col"].to_numpy() + round((grid.west - WEST) / grid.resolution_m)
    places = zip(row.tolist(), col.tolist(), strict=True)
    return dict(zip(places, rows["is_clear"].to_pylist(), strict=True))


@pytest.fixture
def scene(source: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def make(*cloudy: tuple[slice, slice], kind: int = 9) -> dict[str, Any]:
        scl = np.full((SIZE, SIZE), 5, np.uint8)
        for part in cloudy:
            scl[part] = kind
        bands = {b: np.full((SIZE, SIZE), v, np.uint16) for b, v in (("B11", 4000), ("B12", 3600))}
        return source({**bands, "SCL": scl})

    return make


@pytest.mark.parametrize(
    ("cloudy", "kind", "dilation_m", "n_unclear"),
    [
        (np.s_[:, :FIRST], 9, 60.0, 3 * 40),  # up to the edge, in the west
        (np.s_[:, LAST + 1 :], 8, 60.0, 3 * 40),
        (np.s_[:FIRST, :], 10, 60.0, 3 * 40),
        (np.s_[LAST + 1 :, :], 3, 60.0, 3 * 40),  # a shadow in the south
        (np.s_[:, : FIRST - 1], 9, 60.0, 2 * 40),  # one cell beyond it
        (np.s_[:, : FIRST - 3], 9, 60.0, 0),
        (np.s_[:FIRST, :FIRST], 9, 60.0, 4),  # at the corner: cells within 3 cells of it
        (np.s_[60:61, FIRST - 1 : FIRST], 9, 40.0, 4),  # one cell of cloud
        (np.s_[:, :FIRST], 9, 300.0, 15 * 40),  # as far as is kept
        (np.s_[:, :FIRST], 9, 0.0, 0),
        (np.s_[:, :FIRST], 11, 60.0, 0),  # snow has no margin
    ],
)
def test_a_cell_is_as_clear_as_in_a_wider_area(
    scene: Callable, tmp_path: Path, cloudy: Any, kind: int, dilation_m: float, n_unclear: int
) -> None:
    item = scene(cloudy, kind=kind)
    found = clear_by_place(tmp_path / "area", item, FIRST, LAST, dilation_m)
    wider = clear_by_place(tmp_path / "wider", item, FIRST - 25, LAST + 25, dilation_m)
    assert found == {place: wider[place] for place in found} and len(found) == 40 * 40
    assert sum(not clear for clear in found.values()) == n_unclear


def test_at_the_edge_of_the_tile_nothing_is_known_beyond(scene: Callable, tmp_path: Path) -> None:
    found = clear_by_place(tmp_path, scene(np.s_[:, 20:]), 0, 15, 60.0)
    assert len(found) == 16 * 16 and all(found.values())


def test_a_margin_wider_than_what_is_kept_sees_as_far_as_that(scene: Callable, tmp_path: Path) -> None:
    found = clear_by_place(tmp_path, scene(np.s_[:, :FIRST]), FIRST, LAST, 500.0)
    assert sum(not clear for clear in found.values()) == 25 * 40


def test_scenes_stacked_elsewhere_need_no_surroundings_and_wrong_ones_are_refused(
    scene: Callable, tmp_path: Path
) -> None:
    clear_by_place(tmp_path, scene(np.s_[:, :FIRST]), FIRST, LAST, 60.0)
    [around] = tmp_path.rglob(f"{SCENE_ID}_around.tif")
    write_raster(around, np.full((70, 70), 5, np.uint8), west=WEST + 7)
    with pytest.raises(InputError, match="another grid than the bands"):
        clear_of_stored(tmp_path, 60.0)
    write_raster(around, np.full((9, 9), 5, np.uint8), west=WEST - 50_000)  # elsewhere on the same cells: nothing known
    assert all(clear_of_stored(tmp_path, 60.0).values())
    around.unlink()
    assert all(clear_of_stored(tmp_path, 60.0).values())
