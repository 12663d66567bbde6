"""Which cells of a raster are in which zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

LEVEL_PX = 1e-6  # so near to a row of centres a level edge may be drawn on both of its sides


@dataclass(frozen=True, eq=False)
class ZoneCells:
    """The cells of some zones, one after the other; a cell may be in several zones."""

    cell: NDArray[np.int64]
    """Its place in the flattened raster."""
    starts: NDArray[np.int64]
    """Where each zone's cells begin in `cell`, and at last their number: one more than there are zones."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of cells of each zone."""
        return np.diff(self.starts)

    @property
    def zone(self) -> NDArray[np.int32]:
        """The number of the zone that each entry of `cell` belongs to, ascending."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), self.sizes)

    def count(self, is_there: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the number of each zone's cells that a mask of the entries of `cell` leaves."""
        left_out = np.flatnonzero(~is_there)  # mostly few
        return self.sizes - np.diff(np.searchsorted(left_out, self.starts))


def find_zone_cells(shapes: Sequence[Any], transform: Affine, shape: tuple[int, int]) -> ZoneCells:
    """Return the cells whose centre is in each of the `shapes` (shapely, in the raster's system).

    A point is in the cell around it. It is GDAL's rule, and that of rasterstats without all_touched: a level edge
    through centres has these cells in the zones on both of its sides. Zones that share cells are drawn one after the
    other, the rest in one go.
    """
    found, zones = [], []
    for layer in _layers_without_overlap(shapes, transform):
        drawn = rasterize(
            [(shapes[i], i + 1) for i in layer], out_shape=shape, transform=transform, fill=0, dtype=np.int32
        ).ravel()
        cells = np.flatnonzero(drawn)
        found.append(cells)
        zones.append(drawn[cells])
    if not found:
        return ZoneCells(np.empty(0, np.int64), np.zeros(len(shapes) + 1, np.int64))
    cell, zone = np.concatenate(found), np.concatenate(zones) - 1
    order = np.argsort(zone, kind="stable")
    starts = np.searchsorted(zone[order], np.arange(len(shapes) + 1)).astype(np.int64)
    return ZoneCells(cell[order], starts)


def _layers_without_overlap(shapes: Sequence[Any], transform: Affine) -> list[list[int]]:
    """Share the shapes out into layers in which no two have a cell in common."""
    drawn = [i for i, one in enumerate(shapes) if not one.is_empty]
    reach = [shapes[i] if shapes[i].area else _cells_around(shapes[i], transform) for i in drawn]
    has_shared_edge = _has_edge_through_centres(reach, transform)
    neighbours: dict[int, set[int]] = {}
    pairs = shapely.STRtree(reach).query(reach, predicate="intersects").T
    for one, other in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        is_shared = has_shared_edge[one] and has_shared_edge[other]
        if is_shared or not shapely.touches(reach[one], reach[other]):
            neighbours.setdefault(drawn[other], set()).add(drawn[one])
    layer_of: dict[int, int] = {}
    layers: list[list[int]] = []
    for i in drawn:
        taken = {layer_of[j] for j in neighbours.get(i, ())}
        layer = next(n for n in range(len(taken) + 1) if n not in taken)
        layer_of[i] = layer
        if layer == len(layers):
            layers.append([])
        layers[layer].append(i)
    return layers


def _cells_around(points: Any, transform: Affine) -> Any:
    """The cells that points are in, as polygons."""
    col, row = np.floor(~transform @ shapely.get_coordinates(points).T)
    (west, north), (east, south) = transform * (col, row), transform * (col + 1, row + 1)
    return shapely.union_all(shapely.box(west, south, east, north))


def _has_edge_through_centres(shapes: Sequence[Any], transform: Affine) -> NDArray[np.bool_]:
    """Whether each shape has a level edge at the height of a row of centres."""
    places, shape = shapely.get_coordinates(shapes, return_index=True)
    row = (places[:, 1] - transform.f) / transform.e - 0.5
    is_level = (np.diff(places[:, 1]) == 0) & (np.diff(shape) == 0)
    is_through = is_level & (np.abs(row - np.round(row))[1:] < LEVEL_PX)
    return np.bincount(shape[1:][is_through], minlength=len(shapes)) > 0
