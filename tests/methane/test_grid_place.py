"""Where cells lie: a stated grid and a fit to the cells' own places agree, and a grid that isn't theirs is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.geodesy import great_circle_distance_km, wrap_longitude
from plumewatch.methane.dates.stored_passes import StoredPasses
from plumewatch.methane.details.enhancement_raster import georeference
from plumewatch.methane.evaluation.scenes import simulate_area
from plumewatch.methane.grid_place import FittedPlace, KnownPlace, find_grid_place
from plumewatch.methane.pass_rows import grid_pass
from plumewatch.methane.passes import Pass
from plumewatch.models import Grid
from plumewatch.tables import PIXELS
from pyproj import Transformer
from shapely import get_coordinates

DAY = "2025-08-20"
GRIDS = {
    "Oman": Grid(32640, 388_000.0, 2_490_000.0, 20.0, 600, 500),
    "across 180 degrees": Grid(32760, 600_000.0, 8_100_000.0, 60.0, 4000, 200),
    "far north": Grid(32633, 480_000.0, 8_700_000.0, 20.0, 400, 400),
}


def places(grid: Grid, row: np.ndarray, col: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of the centres of cells, by the projection itself."""
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x, y = grid.transform @ (col + 0.5, row + 0.5)
    return to_degrees.transform(x, y)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_stated_grid_and_a_fit_place_cells_alike(grid: Grid) -> None:
    row, col = (a.ravel() for a in np.meshgrid(np.arange(40, 180), np.arange(10, 200), indexing="ij"))
    longitude, latitude = places(grid, row, col)
    known, fitted = (find_grid_place(row, col, longitude, latitude, g) for g in (grid, None))
    assert isinstance(known, KnownPlace) and isinstance(fitted, FittedPlace)
    for place in (known, fitted):
        assert (place.row0, place.col0, place.height, place.width) == (40, 10, 140, 190)
        off_km = great_circle_distance_km(longitude, latitude, *place.longitude_latitude(row - 40, col - 10))
        assert off_km.max() < 1e-5  # a centimetre


def test_an_outline_across_180_degrees_is_in_one_piece() -> None:
    grid = GRIDS["across 180 degrees"]
    row, col = (a.ravel() for a in np.meshgrid(np.arange(4), np.arange(4000), indexing="ij"))
    longitude, latitude = places(grid, row, col)
    assert longitude.max() > 179 and longitude.min() < -179
    place = find_grid_place(row, col, longitude, latitude, grid)
    corners = get_coordinates(place.polygon(np.ones((4, 4000), bool)))
    assert np.ptp(corners[:, 0]) < 3 and np.abs(wrap_longitude(corners[:, 0])).max() > 179


@pytest.fixture
def rows(pixel_rows: Callable[[Pass], pa.Table]) -> pa.Table:
    """A simulated pass whose cells lie on the grid of Oman."""
    table = pixel_rows(simulate_area(5, size=40, n_references=0, clouds=False).passes[0])
    longitude, latitude = places(GRIDS["Oman"], table["row"].to_numpy(), table["col"].to_numpy())
    for name, values in (("longitude", longitude), ("latitude", latitude)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    return table


def stored(root: Path, rows: pa.Table, grid: object) -> StoredPasses:
    storage.write_partition(PIXELS, str(root), {"area": "a", "date": DAY}, rows, extra={"grid": grid})
    return StoredPasses(str(root), "a", [DAY], 0)


def test_the_grid_of_the_manifest_is_taken(rows: pa.Table, tmp_path: Path) -> None:
    [one] = stored(tmp_path, rows, asdict(GRIDS["Oman"])).read(DAY).passes
    assert isinstance(one.place, KnownPlace) and one.place.grid == GRIDS["Oman"]
    [other] = stored(tmp_path, rows, None).read(DAY).passes
    assert isinstance(other.place, FittedPlace)


def test_a_raster_of_a_stated_grid_lies_on_it_exactly(rows: pa.Table) -> None:
    crs, transform = georeference(grid_pass(rows, "there", GRIDS["Oman"]), (slice(3, 9), slice(5, 9)))
    row0, col0 = (int(rows[name].to_numpy().min()) for name in ("row", "col"))
    assert crs == "EPSG:32640"
    assert (transform.c, transform.f) == (388_000.0 + 20.0 * (col0 + 5), 2_490_000.0 - 20.0 * (row0 + 3))


def test_pixels_off_the_stated_grid_are_refused(rows: pa.Table, tmp_path: Path) -> None:
    shifted = replace(GRIDS["Oman"], west=GRIDS["Oman"].west + 30.0)
    with pytest.raises(InputError, match=r"date=2025-08-20: pixels 1\.5 cells off the grid of its manifest"):
        stored(tmp_path, rows, asdict(shifted)).read(DAY)


def test_a_grid_of_another_form_is_refused_by_the_manifest_s_name(rows: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"_manifest\.json: grid \{'epsg': 32640\}.*; allowed: numbers: epsg, west"):
        stored(tmp_path, rows, {"epsg": 32640}).read(DAY)
    assert json.loads((tmp_path / f"area=a/date={DAY}/_manifest.json").read_text())["grid"] == {"epsg": 32640}
