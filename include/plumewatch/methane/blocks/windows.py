"""Where a large pass is cut: cores side by side, and around each a margin that is searched too.

All begin at multiples of ALIGNED_PX of the pass's own window: the blocks over which the background and the coverage of
templates are averaged (2 to 6 pixels, by the size of a pixel) then lie alike in all windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from plumewatch.methane.mask_window import Window

ALIGNED_PX = 60  # a multiple of 2, 3, 4, 5 and 6
RIM_PX = 156  # two reaches (of 78 pixels of 20 m) of the background's Gaussian: what it takes is taken again, and again
MARGIN_PX = 180  # the rim, so that few plumes of a core reach into it and are looked at again, and a little
AROUND_PX = MARGIN_PX  # on each side of a plume that is looked at again: it may turn out to be a little larger
BLOCK_PX = 840  # chosen: with its margin 1200 x 1200 cells, a seventh of a Sentinel-2 tile in rows and columns


@dataclass(frozen=True)
class Blocks:
    """How passes are cut."""

    block_px: int = BLOCK_PX
    """Most rows and columns of a core, a multiple of ALIGNED_PX."""
    most_whole_cells: int = (BLOCK_PX + 2 * MARGIN_PX) ** 2
    """A pass on a window of at most so many cells is searched whole."""


@dataclass(frozen=True)
class SearchWindow:
    """What is searched at once; rows and columns of the pass's window."""

    rows: tuple[int, int]
    """First, and the one after the last."""
    cols: tuple[int, int]
    """First, and the one after the last."""
    core_rows: tuple[int, int]
    """Of those whose plumes are this window's."""
    core_cols: tuple[int, int]
    """Of those whose plumes are this window's."""

    @property
    def core(self) -> Window:
        """The core on the window's own arrays."""
        (top, bottom), (left, right) = self.core_rows, self.core_cols
        return np.s_[top - self.rows[0] : bottom - self.rows[0], left - self.cols[0] : right - self.cols[0]]

    def holds(self, row: int, col: int, around_px: int = 0) -> bool:
        """Whether a cell of the pass's window lies in the core, or so many pixels beside it."""
        return all(
            first - around_px <= at < end + around_px
            for at, (first, end) in ((row, self.core_rows), (col, self.core_cols))
        )


def cut(height: int, width: int, block_px: int = BLOCK_PX) -> list[SearchWindow]:
    """Return the windows of a pass, along its rows.

    >>> [window.core_rows for window in cut(1500, 800)]
    [(0, 780), (780, 1500)]
    """
    return [
        SearchWindow(_with_margin(rows, height), _with_margin(cols, width), rows, cols)
        for rows in _cores(height, block_px)
        for cols in _cores(width, block_px)
    ]


def _cores(length: int, block_px: int) -> Iterator[tuple[int, int]]:
    """Yield equal parts of at most `block_px`, as far as ALIGNED_PX allows."""
    step = _up(-(-length // -(-length // block_px)))
    for first in range(0, length, step):
        yield first, min(first + step, length)


def _with_margin(core: tuple[int, int], length: int) -> tuple[int, int]:
    return max(0, core[0] - MARGIN_PX), min(length, core[1] + MARGIN_PX)


def around(rows: tuple[int, int], cols: tuple[int, int], height: int, width: int, block_px: int) -> SearchWindow:
    """Return a window with these rows and columns and AROUND_PX on each side, no larger than others; all is its core.

    It is told by the plume alone, and not by how the pass is cut, unless the plume is as long as a block.

    >>> around((2000, 2090), (10, 90), 5490, 5490, 840).rows
    (1800, 2280)
    """
    most = block_px + 2 * MARGIN_PX
    sides = []
    for (first, end), length in ((rows, height), (cols, width)):
        start, stop = max(0, _down(first - AROUND_PX)), min(_up(end + AROUND_PX), length)
        if stop - start > most:
            start = max(0, min(_up((first + end - most) // 2), _up(length - most)))
            stop = min(start + most, length)
        sides.append((start, stop))
    return SearchWindow(sides[0], sides[1], sides[0], sides[1])


def _up(length: int) -> int:
    return -(-length // ALIGNED_PX) * ALIGNED_PX


def _down(length: int) -> int:
    return length // ALIGNED_PX * ALIGNED_PX


def is_in_rim(rows: tuple[int, int], cols: tuple[int, int], window: SearchWindow, height: int, width: int) -> bool:
    """Whether some rows or columns of the pass come so near to an end of the window, not of the pass, that it shows."""
    return any(
        (start > 0 and first < start + RIM_PX) or (stop < length and end > stop - RIM_PX)
        for (first, end), (start, stop), length in ((rows, window.rows, height), (cols, window.cols, width))
    )
