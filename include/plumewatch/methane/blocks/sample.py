"""A sample of a large pass: squares of its ground side by side, as large as what the detector is calibrated on.

What a search takes of the whole scene (`SceneNumbers`) is found in it once, so that no window has numbers of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.methane.detection import Detection
from plumewatch.methane.mask_window import Window
from plumewatch.methane.pass_search import detect
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import plume_free
from plumewatch.methane.quantification import GroundNoise
from plumewatch.methane.smoothing import SceneNumbers
from plumewatch.methane.thresholds import PlumeThresholds

SQUARE_PX = 248  # 5 km of 20 m: a square of the calibration's scenes, and most of it is away from its ends
GAP_PX = 2  # between squares: no pixel has a neighbour of another one
PERIOD_PX = SQUARE_PX + GAP_PX
IN_A_ROW, SQUARES = 4, 16  # a million cells in all: medians to 1 %, and no more memory than a window takes
GOOD_SHARE = 0.5  # of the most usable ones: squares, and rows of them, that are taken alike
LONGEST_LAG_PX = 100  # of the noise that hangs together: longer than a mask of nearly all plumes

Square = tuple[int, int]
"""Row and column of squares, counted on the area's grid."""


@dataclass(frozen=True)
class Sample:
    """Which squares of the area's grid are taken, and where they lie in the sample."""

    squares: tuple[Square, ...]
    """In the order of the sample, IN_A_ROW in a row."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the sample."""
        return PERIOD_PX * -(-len(self.squares) // IN_A_ROW), PERIOD_PX * min(IN_A_ROW, len(self.squares))

    @property
    def pieces(self) -> list[Window]:
        """The squares on the sample's arrays."""
        corners = [(PERIOD_PX * (n // IN_A_ROW), PERIOD_PX * (n % IN_A_ROW)) for n in range(len(self.squares))]
        return [np.s_[row : row + SQUARE_PX, col : col + SQUARE_PX] for row, col in corners]

    @property
    def ranges(self) -> list[dict[str, tuple[int, int]]]:
        """Rows and columns of the area's grid of each square."""
        return [
            {name: (at * SQUARE_PX, (at + 1) * SQUARE_PX) for name, at in zip(("row", "col"), square, strict=True)}
            for square in self.squares
        ]

    def cells(self, row: NDArray[np.int64], col: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where cells of the area's grid lie in the sample, counted along its rows; -1 where they aren't in."""
        cell = np.full(row.shape, -1, np.int64)
        for ranges, piece in zip(self.ranges, self.pieces, strict=True):
            (top, bottom), (left, right) = ranges["row"], ranges["col"]
            inside = (row >= top) & (row < bottom) & (col >= left) & (col < right)
            at_row, at_col = row[inside] - top + piece[0].start, col[inside] - left + piece[1].start
            cell[inside] = at_row * self.shape[1] + at_col
        return cell


def choose_squares(usable: Mapping[Square, int]) -> Sample:
    """Return squares all over a pass, by the usable pixels of each: of the clear ones evenly taken.

    At most four rows of squares, so that little else has to be read.
    """
    rows: dict[int, dict[int, int]] = {}
    for (row, col), count in usable.items():
        rows.setdefault(row, {})[col] = count
    kept = _evenly({row: sum(sorted(counts.values())[-IN_A_ROW:]) for row, counts in rows.items()}, IN_A_ROW)
    each = SQUARES // max(1, len(kept))
    return Sample(tuple((row, col) for row in kept for col in _evenly(rows[row], each)))


def _evenly(usable: Mapping[int, int], count: int) -> list[int]:
    """Return so many of the good ones, evenly taken; the best where few are good."""
    least = GOOD_SHARE * max(usable.values(), default=0)
    good = [key for key in sorted(usable) if usable[key] >= max(1.0, least)]
    if len(good) <= count:
        return sorted(sorted((k for k in usable if usable[k]), key=lambda k: (-usable[k], k))[:count])
    return [good[i] for i in np.linspace(0, len(good) - 1, count).round().astype(int)]


def find_numbers(
    method: str,
    target: Pass,
    references: Sequence[Pass],
    limits: PlumeThresholds,
    towards_deg: float | None,
    sample: Sample,
) -> tuple[dict[str, Any], Detection]:
    """Return the numbers of the scene that the sample stands for, and its detection without arrays or candidates."""
    numbers = SceneNumbers({})
    found = detect(method, target, references, limits, towards_deg, numbers)
    ground = GroundNoise.of(found.enhancement_mol_m2, plume_free(found, target, limits), sample.pieces)
    known = dict(numbers.known or {}) | {"ground": _shortened(ground)}
    nothing = np.zeros((0, 0), np.float32)
    return known, replace(found, enhancement_mol_m2=nothing, valid=nothing.astype(bool), candidates=())


def _shortened(ground: GroundNoise) -> GroundNoise:
    lag = min(LONGEST_LAG_PX, *ground.longest_lag)
    if not lag:
        return ground
    near = np.r_[0:lag, -lag:0]
    return GroundNoise(ground.covariance[np.ix_(near, near)], (lag, lag))
