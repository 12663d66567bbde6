"""What points leave of cities, and points and cities of the cells of a grid, so that nothing counts twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from plumewatch.geodesy import distance_to_chord, index_pairs
from plumewatch.inventory.grid_cells import KIND, TURN_DEG
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.inventory.same_emitters import points
from plumewatch.tables import SOURCES

CITY = "city"
ON_EDGE = 1e-3
"""Of a cell: a place on an edge, as of whole degrees, is in the cell east or north of it, though centres are off by
what float32 adds (7.6e-6 degrees, of 0.1)."""
OWN = "own-"
"""How the ids of users' own sources begin, which stay as they are."""


def unexplained_cities(listed: pa.Table) -> pa.Table:
    """Return sources with each city's emission less what points of its gas within its radius emit, at least 0.

    A city of which nothing is left has no row; the user's own cities stay as they are. The standard deviation is that
    of the difference, and the provenance says what was taken off.
    """
    is_own = pc.starts_with(listed["source_id"], OWN).to_numpy(zero_copy_only=False)
    kind = listed["kind"].to_numpy(zero_copy_only=False)
    is_city = (kind == CITY) & ~is_own
    others = listed.filter(pa.array((kind != CITY) & (kind != KIND)))
    towns = listed.filter(pa.array(is_city))
    if not towns.num_rows or not others.num_rows:
        return listed
    radius = distance_to_chord(inventory_factors().combined.city_radius_km)
    near = cKDTree(points(others)).query_ball_point(points(towns), radius)
    town, other = index_pairs(near)
    gas = towns["gas"].to_numpy(zero_copy_only=False), others["gas"].to_numpy(zero_copy_only=False)
    is_of_gas = gas[0][town] == gas[1][other]
    left = _less(towns, others, town[is_of_gas], other[is_of_gas])
    return pa.concat_tables([listed.filter(pa.array(~is_city)), left])


def unexplained_cells(grids: Sequence[pa.Table], listed: pa.Table) -> list[pa.Table]:
    """Return of each gas the cells of the first grid that has some, each less what is listed in it, at least 0.

    A cell is less the points in it; a city's emission is taken from the cells with their centre within its radius, and
    its own, by what is left in them. A cell of which nothing is left has no row. Cells wider than stated are no place
    where a source is looked for.
    """
    most = inventory_factors().combined.most_cell_deg
    taken: set[str] = set()
    found = []
    for grid in grids:
        is_fine = pc.and_(pc.less_equal(grid["cell_width_deg"], most), pc.less_equal(grid["cell_height_deg"], most))
        fine = grid.filter(pc.fill_null(is_fine, False))
        for gas in sorted(set(pc.unique(fine["gas"]).to_pylist()) - taken):
            taken.add(gas)
            found.append(
                _cells_left(fine.filter(pc.equal(fine["gas"], gas)), listed.filter(pc.equal(listed["gas"], gas)))
            )
    return found


def _cells_left(cells: pa.Table, listed: pa.Table) -> pa.Table:
    kind = listed["kind"].to_numpy(zero_copy_only=False)
    others, towns = (listed.filter(pa.array(which)) for which in ((kind != CITY) & (kind != KIND), kind == CITY))
    cell = _cell_of(cells, others)
    cells = _less(cells, others, cell[cell >= 0], np.flatnonzero(cell >= 0))
    if not towns.num_rows or not cells.num_rows:
        return cells
    radius = distance_to_chord(inventory_factors().combined.city_radius_km)
    within = cKDTree(points(cells)).query_ball_point(points(towns), radius)
    left = cells["emission_t_y"].to_numpy().copy()
    for town, (found, own) in enumerate(zip(within, _cell_of(cells, towns).tolist(), strict=True)):
        of_town = sorted({*found, own} - {-1})
        there = left[of_town].sum()
        if there > 0:
            left[of_town] *= 1.0 - min(float(towns["emission_t_y"][town].as_py()) / there, 1.0)
    at = cells.column_names.index("emission_t_y")
    return cells.set_column(at, "emission_t_y", pa.array(left)).filter(pa.array(left > 0))


def _cell_of(cells: pa.Table, sources: pa.Table) -> np.ndarray:
    """The row of the cell in which each source lies, -1 where there is none; all cells are of one size."""
    if not cells.num_rows:
        return np.full(sources.num_rows, -1)
    width, height = (float(cells[f"cell_{side}_deg"][0].as_py()) for side in ("width", "height"))
    lon, lat = cells["longitude"].to_numpy(), cells["latitude"].to_numpy()
    west, south = lon[0] - width / 2, lat[0] - height / 2
    n = round(TURN_DEG / width)

    def number(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
        column = np.floor(np.mod(longitude - west, TURN_DEG) / width + ON_EDGE).astype(np.int64) % n
        row = np.floor((latitude - south) / height + ON_EDGE).astype(np.int64)
        return row * n + column

    of_cells = number(lon, lat)
    order = np.argsort(of_cells, kind="stable")
    wanted = number(sources["longitude"].to_numpy(), sources["latitude"].to_numpy())
    at = np.minimum(np.searchsorted(of_cells[order], wanted), len(order) - 1)
    return np.where(of_cells[order][at] == wanted, order[at], -1)


def _less(sources: pa.Table, others: pa.Table, row: np.ndarray, other: np.ndarray) -> pa.Table:
    """Sources less the others in them, at least 0; those of which nothing is left have no row."""
    n = sources.num_rows
    rate, sigma = others["emission_t_y"].to_numpy()[other], others["emission_t_y_sigma"].to_numpy()[other]
    rate, sigma = np.nan_to_num(rate), np.nan_to_num(sigma)
    explained = np.bincount(row, weights=rate, minlength=n)
    variance = np.bincount(row, weights=sigma**2, minlength=n)
    count = np.bincount(row, minlength=n)
    left = np.maximum(sources["emission_t_y"].to_numpy() - explained, 0.0)
    own = sources["emission_t_y_sigma"].to_numpy()
    told = pa.array(sources["provenance"].to_pylist(), pa.string())
    changed = np.flatnonzero(count)
    if len(changed):
        texts = told.to_pylist()
        for index in changed.tolist():
            texts[index] = f"{texts[index]}; less {explained[index]:.0f} t/yr of {count[index]} sources in it"
        told = pa.array(texts, pa.string())
    columns = {
        "emission_t_y": pa.array(left),
        "emission_t_y_sigma": pa.array(np.sqrt(own**2 + variance)),
        "provenance": told,
    }
    table = pa.table({name: columns.get(name, sources[name]) for name in SOURCES.schema.names})
    return table.filter(pa.array(left > 0))
