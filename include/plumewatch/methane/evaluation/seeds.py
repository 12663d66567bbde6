"""Which seeds judge and which train: nothing may be chosen on scenes that judge it."""

from __future__ import annotations

JUDGING = range(1_000_000)
TRAINING = range(1_000_000, 10_000_000)
BLOCK = 100_000  # seeds of one figure
FIGURES = ("control", "false plumes", "recall", "ranking", "rates", "reference plumes", "fewer references", "landsat")


def judging_seed(figure: str, number: int) -> int:
    """Return the seed of a figure's trial, counted from 0; no two share one.

    Raises ValueError for an unknown figure and for more trials than a block has seeds.
    """
    if not 0 <= number < BLOCK:
        raise ValueError(f"trial {number}, allowed: 0 to {BLOCK - 1}")
    return FIGURES.index(figure) * BLOCK + number
