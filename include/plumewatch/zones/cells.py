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


def find_zone_cells(shapes: Sequence[Any], transform: Affine, shape: tuple[int, int]) -> ZoneCells:
    """Return the cells whose centre is in each of the `shapes` (shapely, in the raster's system).

    A point is in the cell around it. It is GDAL's rule, and that of rasterstats without all_touched. Zones that overlap
    share cells; those that don't are drawn in one go.
    """
    found, zones = [], []
    for layer in _layers_without_overlap(shapes):
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


def _layers_without_overlap(shapes: Sequence[Any]) -> list[list[int]]:
    """Share the shapes out into layers in which no two have more than an edge in common."""
    drawn = [i for i, one in enumerate(shapes) if not one.is_empty]
    tree = shapely.STRtree([shapes[i] for i in drawn])
    neighbours: dict[int, set[int]] = {}
    pairs = tree.query([shapes[i] for i in drawn], predicate="intersects").T
    for one, other in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        i, j = drawn[one], drawn[other]
        if not shapely.touches(shapes[i], shapes[j]):
            neighbours.setdefault(j, set()).add(i)
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
