"""The square of ground that a picture shows: the plume in its middle, with surroundings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.methane.mask_window import window_around
from plumewatch.methane.smoothing import Mask

MARGIN_M = 600.0  # of surroundings at least
MARGIN_SHARE = 0.15  # of the plume's longer side
BEYOND_SHARE = 0.08  # of the picture's side: so much of what lies beyond the area, to show that it ends there
NEAR = 0.2  # of the picture's side: what a label in a corner covers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PictureWindow:
    """A square of the pass's window; it may reach beyond, where there are no pixels."""

    row: int
    """First row, below 0 where the square begins outside."""
    col: int
    """First column, below 0 where the square begins outside."""
    cells: int
    """Cells that are drawn in each direction."""
    block: int
    """Rows and columns of pixels that one drawn cell stands for."""

    @property
    def size(self) -> int:
        """Rows and columns of pixels."""
        return self.cells * self.block

    @property
    def rows(self) -> Floats:
        """Centres of the cells, rows on the pass's window."""
        return self.row - 0.5 + np.arange(0.5, self.cells) * self.block

    @property
    def cols(self) -> Floats:
        """Centres of the cells, columns on the pass's window."""
        return self.col - 0.5 + np.arange(0.5, self.cells) * self.block

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top edges in columns and rows: pixel centres are whole numbers."""
        return self.col - 0.5, self.col + self.size - 0.5, self.row + self.size - 0.5, self.row - 0.5

    def cut(self, field: NDArray[Any], empty: float | bool) -> NDArray[Any]:
        """Return the pixels of the square from a field (height x width of the pass), `empty` beyond it."""
        square = np.full((self.size, self.size), empty, dtype=field.dtype)
        rows, cols = (
            slice(max(0, first), min(n, first + self.size))
            for first, n in zip((self.row, self.col), field.shape, strict=True)
        )
        to = tuple(slice(s.start - first, s.stop - first) for s, first in ((rows, self.row), (cols, self.col)))
        square[to] = field[rows, cols]
        return square

    def coarse(self, square: NDArray[Any]) -> Floats:
        """Return the mean of each cell over its pixels that are no NaN; of a mask its share."""
        blocks = square.reshape(self.cells, self.block, self.cells, self.block).astype(float)
        known = np.isfinite(blocks)
        count = known.sum(axis=(1, 3))
        total = np.where(known, blocks, 0.0).sum(axis=(1, 3))
        return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)

    def share_near(self, mask: Mask, x: float, y: float) -> float:
        """Return which part of a square around (x, y), shares from the lower left, the mask covers."""
        half, middle_row, middle_col = NEAR / 2 * self.size, (1.0 - y) * self.size, x * self.size
        rows, cols = (slice(max(0, round(m - half)), round(m + half) + 1) for m in (middle_row, middle_col))
        return float(self.cut(mask, False)[rows, cols].mean())


def frame_picture(mask: Mask, pixel_size_m: float, max_cells: int) -> PictureWindow:
    """Return the square with a margin around `mask` (at least one pixel of it set), moved so that little lies outside.

    Pixels are taken together to blocks where there are more than `max_cells` in a row.
    """
    inside = window_around(mask)
    extent = max(at.stop - at.start for at in inside)
    size = extent + 2 * round(max(MARGIN_M / pixel_size_m, MARGIN_SHARE * extent))
    block = -(-size // max_cells)
    cells = -(-size // block)
    beyond = round(BEYOND_SHARE * cells * block)
    row, col = (_first(at, cells * block, n, beyond) for at, n in zip(inside, mask.shape, strict=True))
    return PictureWindow(row, col, cells, block)


def _first(inside: slice, size: int, n: int, beyond: int) -> int:
    """Return where a stretch of `size` with its middle at that of `inside` begins, so that it hardly leaves 0 to n."""
    if size >= n + 2 * beyond:
        return (n - size) // 2
    return int(np.clip((inside.start + inside.stop - size) // 2, -beyond, n + beyond - size))
